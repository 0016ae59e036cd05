/** Lag is the source's whole backlog (DESIGN): what nobody has read counts, and what was not measured is unknown. */
import type { TargetLag } from '../topology/target-report.ts'
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { binlogEnd } from '../binlog/backlog.ts'
import { connect } from '../mysql/connect.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { LagMeter } from './lag.ts'
import { stampOf } from './testkit/samples.ts'
import { fill, World } from './testkit/world.ts'

const pairs = new ServerPairs()
after(() => pairs[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  describe(`lag on ${flavour}`, () => {
    test('promise 6: a backlog far above what fits in memory is counted whole, in transactions and bytes, over a rotation; then it is 0', async () => {
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, pairs.of(flavour))
      await fill(world, 0, 200, 2000)
      const record = world.record(0)
      const running = world.start(record, { config: { tailBufferBytes: 64_000 } })
      await world.untilRunning(record.uid)
      const lags = (): (TargetLag | null)[] => running.stream.report().targets.map(({ lag }) => lag)
      await world.until('lag known', () => lags().every((lag) => lag?.transactions === 0 && lag.bytes === 0 && lag.markerAgeMs !== null))

      await using holder = await connect(world.target.config)
      const [one, two] = world.targetRefs.map(({ schema }) => `${quoteIdentifier(schema)}.item`)
      await holder.query(`LOCK TABLES ${one} WRITE, ${two} WRITE`)
      const begins = await binlogEnd(world.s)
      await world.s.useDatabase(world.sourceRefs[0]!.schema)
      await world.s.query('CREATE DATABASE IF NOT EXISTS elsewhere')
      await world.s.query('CREATE TABLE IF NOT EXISTS elsewhere.big (b LONGBLOB)')
      const transactions = 60
      for (let n = 0; n < transactions; n++) {
        await world.s.query(`UPDATE item SET v = v + 1, name = REPEAT('x', 30)`)
        await world.s.query("INSERT INTO elsewhere.big VALUES (REPEAT('y', 20000))")
        if (n === 20) await world.s.query('FLUSH BINARY LOGS')
      }
      await world.until('the whole backlog', () =>
        lags().every((lag) => lag !== null && (lag.transactions ?? 0) >= 2 * transactions && (lag.bytes ?? 0) > transactions * 30_000),
      )
      assert.notEqual((await binlogEnd(world.s)).at.file, begins.at.file)
      await holder.query('UNLOCK TABLES')
      await world.until('nothing left', () => lags().every((lag) => lag?.transactions === 0 && lag.bytes === 0 && lag.etaMs === 0), 60_000)
      await world.assertEqual()
      await world.s.query('DROP DATABASE elsewhere')
      await running.stop()
    })

    test('promise 6: nothing is known before the source was asked, nor when it has not answered for long', async () => {
      const { source } = await pairs.of(flavour)
      await using conn = await connect(source.config)
      await conn.query('CREATE DATABASE IF NOT EXISTS lagged')
      await conn.query('CREATE TABLE IF NOT EXISTS lagged.t (id INT)')
      const before = await binlogEnd(conn)
      for (let n = 0; n < 5; n++) await conn.query(`INSERT INTO lagged.t VALUES (${n})`)
      const position = `${flavour};${before.at.file}:${before.at.offset};${before.gtids}`
      const stamp = stampOf({ ordinal: 0, position })
      let atMs = 1_000
      const clock = { ...systemClock, monotonicMs: () => atMs, nowMs: () => atMs }
      const reading = { latest: stamp, began: before.at as typeof before.at | null }
      const meter = new LagMeter({ conn, clock, reading: () => reading, followers: [{ applied: stamp, consistent: true }] })
      assert.equal(meter.lag(0), null, 'not yet asked')
      await meter.measure()
      const { bytes } = meter.lag(0)!
      assert.deepEqual(meter.lag(0), { atMs, transactions: 5, bytes, markerAgeMs: null, etaMs: null })
      assert.equal(bytes, (await binlogEnd(conn)).at.offset - before.at.offset)
      reading.began = null
      assert.equal(meter.lag(0)?.bytes, null, 'where the reading begins in the files is not known before the first group')
      atMs += 10_000
      assert.equal(meter.lag(0), null, 'an old answer')
      await conn.query('DROP DATABASE lagged')
    })
  })
}
