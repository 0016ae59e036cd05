/** Promises 1, 3: death where rows are held back for another stream's (PROTOCOLS 1.6; docs/decisions/008, 025). In-process, as `crash.db.test.ts`; each point must be met. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { parseKeyRange } from '../keyspace/key-range.ts'
import { createVindex } from '../keyspace/vindexes/create.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { crashPoints, type CrashPoint } from './crash-points.ts'
import { killAt } from './testkit/kill-at.ts'
import { World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

/** Where it dies, after how many meetings, and what its source and the other do meanwhile. */
const cases: readonly { point: CrashPoint; skips: readonly number[]; waits: 'for the other stream' | 'at a statement' }[] = [
  { point: 'held.tried', skips: [0, 3], waits: 'for the other stream' },
  { point: 'held.tried', skips: [0, 2], waits: 'at a statement' },
  { point: 'held.leftOut', skips: [0], waits: 'at a statement' },
]

test('every point of rows held back is walked', () => {
  const walked = new Set(cases.map(({ point }) => point))
  assert.deepEqual([...walked].toSorted(), crashPoints.filter((point) => point.startsWith('held.')).toSorted())
})

for (const flavour of flavours())
  for (const { point, skips, waits } of cases)
    test(`promises 1, 3 on ${flavour}: killed at ${point} while a row waits ${waits}, begun again: the same rows`, async () => {
      await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'] }, servers.of(flavour))
      const vindex = createVindex('hash', 'hash')
      const index = new KeyRangeIndex(world.sourceRefs.map(({ shard }, value) => ({ range: parseKeyRange(shard), value })))
      const shardOf = (owner: number): number => index.find(vindex.map([{ type: 'INT64', bytes: Buffer.from(String(owner)) }])!)!
      const [a, b] = [0, 1].map((shard) => Array.from({ length: 50 }, (_, owner) => owner).find((owner) => shardOf(owner) === shard)!)
      const on = async (shard: number, ...statements: string[]): Promise<void> => {
        await world.s.useDatabase(world.sourceRefs[shard]!.schema)
        for (const statement of statements) await world.s.query(statement)
      }
      const options = { ...world.record(0).options, onDdl: 'exec' as const }
      const [one, two] = [world.record(0, { options }), world.record(1, { options })]
      const shares = world.sharesOf([one, two])
      await on(1, `INSERT INTO item VALUES (1, ${b}, 5, 'n', 0), (2, ${b}, 6, 'n', 0)`)
      const [first, second] = [one, two].map((record) => world.start(record, { shares }))
      await world.untilRunning(one.uid, two.uid)
      await world.drain(one.uid, two.uid)
      await first!.stop()
      if (waits === 'for the other stream') {
        await second!.stop()
        await on(1, 'DELETE FROM item WHERE id = 1', 'UPDATE item SET u = NULL WHERE id = 2')
        await on(0, `INSERT INTO item VALUES (1, ${a}, 5, 'n', 1), (3, ${a}, 6, 'n', 1), (4, ${a}, 9, 'n', 1)`)
      } else {
        await on(0, `INSERT INTO item VALUES (3, ${a}, 7, 'n', 1), (4, ${a}, 8, 'n', 1), (9, ${a}, 9, 'n', 1)`)
        await on(0, 'CREATE INDEX by_name ON item (name)', 'DELETE FROM item WHERE id = 3', 'UPDATE item SET u = NULL WHERE id = 4')
        await on(1, `INSERT INTO item VALUES (3, ${b}, 8, 'm', 2), (5, ${b}, 7, 'm', 2)`)
        await world.drain(two.uid)
      }
      for (const skip of skips) {
        world.reports.delete(one.uid)
        const failpoints = killAt(point, skip)
        await world.start(one, { shares, failpoints, config: { oneLaneChangesMax: skip === 0 ? 6 : 0 } }).done
        assert.ok(failpoints.hits > skip, 'the point was met')
        assert.match(world.reports.get(one.uid)?.error?.what ?? '', new RegExp(point))
      }
      world.reports.delete(one.uid)
      const running = [world.start(one, { shares }), ...(waits === 'at a statement' ? [second!] : [world.start(two, { shares })])]
      await world.drain(one.uid, two.uid)
      assert.equal(await world.assertEqual(), waits === 'at a statement' ? 6 : 4)
      for (const stream of running) await stream.stop()
    })
