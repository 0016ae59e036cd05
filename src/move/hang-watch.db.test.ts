/** A connection that hangs (blackholed, not closed) is noticed and replaced, of whichever side and in whichever part of a stream's life; one whose server is at work is left alone. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours, sharedServer, type TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { connectWriter } from './access.ts'
import { HangWatch } from './hang-watch.ts'
import { holdAt } from './testkit/kill-at.ts'
import { fill, World } from './testkit/world.ts'

const pairs = new ServerPairs()
after(() => pairs[Symbol.asyncDispose]())

type Case = {
  readonly side: 'source' | 'target'
  readonly when: 'following' | 'copying' | 'landing'
  readonly how: 'connected' | 'all'
}
const cases: readonly Case[] = [
  { side: 'target', when: 'following', how: 'connected' },
  { side: 'target', when: 'following', how: 'all' },
  { side: 'target', when: 'landing', how: 'connected' },
  { side: 'source', when: 'copying', how: 'connected' },
  { side: 'source', when: 'following', how: 'all' },
]
const words = { connected: 'only what is connected hangs', all: 'nothing gets through for a while' }

// Each waits for what a hang takes to be noticed.
describe('connections hang', { concurrency: 5 }, () => {
  for (const [flavour, { side, when, how }] of flavours().flatMap((name) => cases.map((one) => [name, one] as const))) {
    test(`on ${flavour}: the ${side}'s connections hang while ${when}, ${words[how]}: the stream connects anew and loses nothing`, async () => {
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, pairs.of(flavour))
      const server = world[side]
      await using proxy = await FaultProxy.start({ host: server.host, port: server.port })
      const proxied = { ...server, config: { ...server.config, host: proxy.host, port: proxy.port } }
      ;(world as Record<typeof side, TestServer>)[side] = proxied as TestServer
      await fill(world, 0, 300, 2000)
      const record = world.record(0)
      const landing = holdAt('copy.beforeLandCommit', 1)
      let paced = when === 'copying'
      const running = world.start(record, {
        config: { hangMs: 800 },
        pace: () => (paced ? { copyBytesPerSecondMax: 8_000 } : {}),
        ...(when === 'landing' ? { failpoints: landing } : {}),
      })
      if (when === 'landing') await landing.held
      else if (when === 'copying') await world.until('rows of the copy', () => (world.reports.get(record.uid)?.copy.rowsDone ?? 0) > 0)
      else {
        await world.untilRunning(record.uid)
        await world.s.query('UPDATE item SET v = v + 1')
        await world.drain(record.uid)
      }
      assert.equal(world.state(record.uid), when === 'following' ? 'running' : 'copying')
      if (how === 'connected') proxy.loseConnected()
      else proxy.blackhole()
      landing.letGo()
      await world.s.query('UPDATE item SET v = v + 1')
      await world.until('the hang to be noticed', () => running.stream.report().state === 'starting')
      paced = false
      if (how === 'all') proxy.heal('reset')
      await world.untilRunning(record.uid)
      await world.drain(record.uid)
      assert.equal(await world.assertEqual(), 300)
      await running.stop()
    })
  }
})

for (const flavour of flavours()) {
  test(`promise 7 on ${flavour}: a load whose rows are lost on the way ends within what a server waits for rows of ours, and is told meanwhile`, async (t) => {
    const server = await sharedServer(flavour)
    await using proxy = await FaultProxy.start({ host: server.host, port: server.port })
    const address = { id: 's', name: 'over there', flavour, connect: { ...server.config, host: proxy.host, port: proxy.port } }
    await using other = await connect(server.config)
    await other.query('SET GLOBAL local_infile = 1')
    await other.query('CREATE DATABASE hang')
    await other.query('CREATE TABLE hang.t (id INT PRIMARY KEY)')
    await using conn = await connectWriter(address)
    assert.equal(await conn.value('SELECT @@net_read_timeout'), '30')
    await conn.query('SET SESSION net_read_timeout = 3')
    const stop = new AbortController()
    // A watch that goes on behind a failure would keep the process.
    t.after(() => stop.abort())
    const watch = HangWatch.begin(systemClock, 500, stop.signal)
    watch.add(conn, address)
    function* rows(): Generator<Buffer> {
      yield Buffer.from('1\n')
      proxy.loseConnected()
      for (let id = 2; id < 50_000; id++) yield Buffer.from(`${id}\n`)
    }
    const told = new Set<string>()
    const listening = setInterval(() => told.add(watch.waiting?.what ?? ''), 50)
    const load = conn.loadData("LOAD DATA LOCAL INFILE 'rows' INTO TABLE hang.t", rows())
    // By us, or by the server's own end of the session when that gets through.
    await assert.rejects(load, { code: 'SW-MYSQL-003' })
    clearInterval(listening)
    // A busy server may not have said what it is at within half a second, at first.
    assert.match([...told].join('; '), /an answer of over there, where session \d+ is at Query/)
    await until('the rows to be gone', async () => (await other.value('SELECT COUNT(*) FROM hang.t')) === '0')
    stop.abort()
  })
}

test('a server that is at work on a statement is waited for, however long', async () => {
  const server = await sharedServer()
  await using conn = await connect(server.config)
  const watch = new HangWatch(systemClock, 500)
  watch.add(conn, { id: 's', name: 's', flavour: 'mariadb', connect: server.config })
  const stop = new AbortController()
  const running = watch.run(stop.signal)
  assert.equal(await conn.value('SELECT SLEEP(2)'), '0')
  assert.equal(conn.open, true)
  stop.abort()
  await running
})
