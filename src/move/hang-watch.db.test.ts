/** A connection that hangs (blackholed, not closed) is noticed and replaced; one whose server is at work is left alone. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { testServer, type TestServer } from '../../test/kit/servers.ts'
import { HangWatch } from './hang-watch.ts'
import { fill, World } from './testkit/world.ts'

for (const how of ['only what is connected hangs', 'nothing gets through for a while'] as const) {
  test(`a target's connections hang, ${how}: the stream connects anew and loses nothing`, async () => {
    await using world = await World.create({ flavour: 'mariadb', sources: ['-'], targets: ['-80', '80-'] })
    await using proxy = await FaultProxy.start({ host: world.target.host, port: world.target.port })
    const proxied = { ...world.target, config: { ...world.target.config, host: proxy.host, port: proxy.port } }
    ;(world as { target: TestServer }).target = proxied as TestServer
    await fill(world, 0, 200, 2000)
    const record = world.record(0)
    const running = world.start(record, { config: { hangMs: 1_500 } })
    await world.untilRunning(record.uid)
    await world.s.query('UPDATE item SET v = v + 1')
    await world.drain(record.uid)
    if (how === 'only what is connected hangs') proxy.loseConnected()
    else proxy.blackhole()
    await world.s.query('UPDATE item SET v = v + 1')
    await world.until('the hang to be noticed', () => running.stream.report().state === 'starting')
    if (how === 'nothing gets through for a while') proxy.heal('reset')
    await world.drain(record.uid)
    await world.assertEqual()
    await running.stop()
  })
}

test('a server that is at work on a statement is waited for, however long', async () => {
  await using server = await testServer({ flavour: 'mariadb' })
  await using conn = await connect(server.config)
  const watch = new HangWatch(systemClock, 500)
  watch.add(conn, { id: 's', name: 's', flavour: 'mariadb', connect: server.config })
  const stop = new AbortController()
  const running = watch.run(stop.signal)
  assert.equal(await conn.value('SELECT SLEEP(4)'), '0')
  assert.equal(conn.open, true)
  stop.abort()
  await running
})
