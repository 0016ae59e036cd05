/** What is told of a copy through kills and restarts, on real servers: figures that are done never fall, and are right at the end. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import type { StreamReport } from '../topology/records.ts'
import { killAt } from './testkit/kill-at.ts'
import { fill, itemTable, World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

const country = { name: 'country', shardKey: null, ddl: 'CREATE TABLE country (id INT NOT NULL PRIMARY KEY, name VARCHAR(20) NOT NULL)' }
const [items, countries] = [6_000, 3_000]

for (const flavour of flavours()) {
  test(`issue 4, 14 on ${flavour}: rows, bytes and chunks done never fall, whatever is killed, never are more than there are, and stay when the copy is over`, async () => {
    const made = { flavour, sources: ['-'], targets: ['-40', '40-80', '80-'], tables: [itemTable, country] }
    await using world = await World.create(made, servers.of(flavour))
    await fill(world, 0, items, items)
    await world.s.query(
      `INSERT INTO country WITH RECURSIVE n AS (SELECT 0 AS id UNION ALL SELECT id + 1 FROM n WHERE id < 999) SELECT id, 'a' FROM n`,
    )
    await world.s.query('INSERT INTO country SELECT id + 1000, name FROM country')
    await world.s.query('INSERT INTO country SELECT id + 2000, name FROM country WHERE id < 1000')
    const record = world.record(0)
    const copies: StreamReport['copy'][] = []
    world.reports = new (class extends Map<string, StreamReport> {
      override set(uid: string, report: StreamReport): this {
        copies.push(report.copy)
        return super.set(uid, report)
      }
    })()
    const config = { chunkBytes: 1_000, copyBytesMax: 20_000, rangesKept: 4 }
    const run = (skip: number) => {
      const last = copies.at(-1)
      const failpoints = killAt('copy.landedOnSomeTargets', skip)
      return world.start(record, { failpoints, config, ...(last === undefined ? {} : { copyBefore: last }) })
    }
    let kills = 0
    for (const skip of [20, 1, 40]) {
      const running = run(skip)
      await world.until('the kill', () => ['running', 'failed'].includes(world.state(record.uid) ?? ''))
      if (world.state(record.uid) === 'failed') kills++
      await running.stop()
      world.reports.delete(record.uid)
    }
    assert.ok(kills >= 2, 'killed while it copies')
    const last = run(Infinity)
    await world.untilRunning(record.uid)
    const whole = last.stream.report().copy
    await last.stop()
    world.reports.delete(record.uid)
    const again = run(Infinity)
    await world.untilRunning(record.uid)
    const resumed = again.stream.report().copy
    await again.stop()
    const figures = ({ rowsDone, bytesDone, chunksDone }: StreamReport['copy']): number[] => [rowsDone, bytesDone, chunksDone ?? 0]
    for (const [i, copy] of copies.entries()) {
      const before = figures(copies[i - 1] ?? copy)
      assert.ok(
        figures(copy).every((figure, of) => figure >= (before[of] ?? 0)),
        `rows, bytes and chunks ${figures(copy).join()} after ${before.join()}`,
      )
      assert.ok(copy.rowsDone <= items + countries, `${copy.rowsDone} rows`)
    }
    assert.deepEqual([whole.rowsDone, whole.rowsEstimated, whole.etaMs], [items + countries, items + countries, 0])
    assert.ok((whole.chunksDone ?? 0) > 100, `${whole.chunksDone} chunks`)
    assert.deepEqual(figures(resumed), figures(whole), 'a run that begins when all is copied tells the same')
  })
}
