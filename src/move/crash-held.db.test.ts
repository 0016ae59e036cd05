/** Promises 1, 3: death where rows are held back for another stream's (PROTOCOLS 1.6; docs/decisions/008, 025). In-process, as `crash.db.test.ts`; each point must be met. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { crashPoints, type CrashPoint } from './crash-points.ts'
import { killAt } from './testkit/kill-at.ts'
import { ownersOf } from './testkit/owners.ts'
import { World, type Running } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

/** Where it dies, after how many meetings, and what its source and the other do meanwhile. */
const cases: readonly { point: CrashPoint; skips: readonly number[]; waits: 'for the other stream' | 'at a statement' }[] = [
  { point: 'held.tried', skips: [0, 3], waits: 'for the other stream' },
  { point: 'held.tried', skips: [0, 2], waits: 'at a statement' },
  { point: 'held.leftOut', skips: [0], waits: 'at a statement' },
  { point: 'held.kept', skips: [0, 1], waits: 'for the other stream' },
  { point: 'held.stored', skips: [0, 1], waits: 'for the other stream' },
]

test('every point of rows held back is walked', () => {
  const walked = new Set(cases.map(({ point }) => point))
  assert.deepEqual([...walked].toSorted(), crashPoints.filter((point) => point.startsWith('held.')).toSorted())
})

besideEachOther(
  'streams that die with rows held back',
  (flavour) => {
    for (const { point, skips, waits } of cases)
      test(`promises 1, 3 on ${flavour}: killed at ${point} while a row waits ${waits}, begun again: the same rows`, async () => {
        await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'] }, servers.of(flavour))
        const [a, b] = ownersOf(world)
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
          const dying = world.start(one, { shares, failpoints, config: { oneLaneChangesMax: skip === 0 ? 6 : 0 } })
          // Where trying takes long the row may have been given up before it is tried so often: then it has gone on behind the statement.
          const isPast = (): boolean => waits === 'at a statement' && skip > 0 && (world.reports.get(one.uid)?.retries ?? 0) > 0
          await Promise.race([dying.done, world.until('the kill', () => failpoints.hits > skip || isPast())])
          if (failpoints.hits <= skip && isPast()) {
            await dying.stop()
            continue
          }
          await dying.done
          assert.ok(failpoints.hits > skip, 'the point was met')
          assert.match(world.reports.get(one.uid)?.error?.what ?? '', new RegExp(point))
        }
        world.reports.delete(one.uid)
        const running = [world.start(one, { shares }), ...(waits === 'at a statement' ? [second!] : [world.start(two, { shares })])]
        await world.drain(one.uid, two.uid)
        assert.equal(await world.assertEqual(), waits === 'at a statement' ? 6 : 4)
        for (const stream of running) await stream.stop()
      })

    test(`1.6, promises 3, 8 on ${flavour}: with a row held back for some seconds the position is stored, chunks land and a kill does little again; but nothing is said to have come through before the row has`, async () => {
      await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'] }, servers.of(flavour))
      const [a, b] = ownersOf(world)
      const [one, two] = [world.record(0), world.record(1)]
      const shares = world.sharesOf([one, two])
      const [first, second] = world.sourceRefs.map(({ schema }) => `${schema}.item`)
      await world.s.query(`INSERT INTO ${second} VALUES (1, ${b}, 5, 'n', 0)`)
      let running = world.start(two, { shares })
      await world.until('copy of the second', () => (world.reports.get(two.uid)?.copy.rowsDone ?? 0) === 1)
      await world.drain(two.uid)
      await running.stop()
      // The first's tail brings a row of the same key: the second, which is down, has yet to take its own away.
      await world.s.query(
        `INSERT INTO ${first} VALUES ${Array.from({ length: 1_000 }, (_, i) => `(${i + 100}, ${a}, NULL, 'a', 0)`).join()}`,
      )
      let paused = Date.now() + 1e9
      const start = (): Running => world.start(one, { shares, pace: () => ({ pausedUntilMs: paused }) })
      running = start()
      await world.until('copying', () => world.state(one.uid) === 'copying')
      await world.drain(one.uid)
      const drained = world.reports.get(one.uid)?.targets[0]?.controlMarker ?? 0
      await world.s.query(`DELETE FROM ${second}`)
      await world.s.query(`INSERT INTO ${first} VALUES (1, ${a}, 5, 'a', 0)`)
      await world.until('a row held back', () => world.reports.get(one.uid)?.targets[0]?.rowsHeldBack === 1)
      const stored = async (): Promise<string> =>
        `${await world.t.value(`SELECT CONCAT(at_marker, '/', at_groups) FROM _shardwright.move_stream WHERE stream_uid = '${one.uid}'`)}`
      const kept = async (): Promise<string | null | undefined> =>
        world.t.value(`SELECT COUNT(*) FROM _shardwright.move_held WHERE stream_uid = '${one.uid}'`)
      const marker = await bumpControlMarker(world.s)
      assert.ok(marker > drained)
      const before = await stored()
      while ((await kept()) !== '1') await new Promise((resolve) => setTimeout(resolve, 50))
      while ((await stored()) === before) await new Promise((resolve) => setTimeout(resolve, 50))
      // All but that row arrives.
      paused = 0
      await world.until('all that may', () => (world.reports.get(one.uid)?.copy.rowsDone ?? 0) > 900)
      assert.equal(await world.t.value(`SELECT COUNT(*) FROM ${world.targetRefs[0]!.schema}.item WHERE id >= 100`), '1000')
      // Begun again it is where it was.
      for (let n = 0; n < 300; n++) await world.s.query(`UPDATE ${first} SET v = v + 1 WHERE id = ${100 + n}`)
      await world.until('position', () => (world.reports.get(one.uid)?.targets[0]?.positionAgeMs ?? 1e9) < 1_500)
      await new Promise((resolve) => setTimeout(resolve, 2_500))
      await running.stop()
      running = start()
      await world.until('again held back', () => world.reports.get(one.uid)?.targets[0]?.rowsHeldBack === 1)
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      const report = running.stream.report()
      assert.ok((report.resumed?.transactionsRedone ?? 1e9) < 200, JSON.stringify(report.resumed))
      assert.equal(report.targets[0]?.controlMarker, 0)
      const other = world.start(two, { shares })
      await world.drain(one.uid, two.uid)
      await world.untilRunning(one.uid, two.uid)
      assert.equal(await world.assertEqual(), 1_001)
      assert.equal(await kept(), '0')
      await running.stop()
      await other.stop()
    })
  },
  3,
)
