/** Rows of before, on real servers: an adopted keyspace and a topic that was made anew are not covered though every mark is; both flavours. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { allTables } from '../ingest/definition.ts'
import { ensureIngestTables, table } from '../ingest/tables.ts'
import { IngestWorld } from '../ingest/testkit/ingest-world.ts'
import { hourMs, queryStats, queryTables } from '../ingest/testkit/query-stats.ts'
import type { LocalFlavour } from '../local/installs.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { flavours, sharedServer } from '../../test/kit/servers.ts'
import { branchShards } from './branches.ts'
import { isFilled, judgeCoverage, readWindows } from './dualwrite-coverage.ts'
import type { Coverage } from './dualwrite-spec.ts'
import { OldRowsLooks, holdRows } from './dualwrite-old-rows.ts'

const dayMs = 24 * hourMs
const nowMs = Date.UTC(2026, 0, 20, 12)
const definition = queryStats()
const bucketMs = new Map([
  ['query_hour', hourMs],
  ['slow_query', hourMs],
])
const tables = allTables(definition)
/** By days, as production has it; the other one has neither partitions nor an index that begins with its hour. */
const parts = Array.from({ length: 12 }, (_, i) => {
  const day = new Date(nowMs - (10 - i) * dayMs).toISOString().slice(0, 10)
  return `PARTITION p${i} VALUES LESS THAN (TO_DAYS('${day}'))`
})
const partitioned = queryTables.map((ddl) =>
  ddl.includes('slow_query')
    ? `${ddl} PARTITION BY RANGE (TO_DAYS(at)) (${parts.join(', ')}, PARTITION open VALUES LESS THAN MAXVALUE)`
    : ddl,
)

for (const flavour of flavours())
  describe(flavour, () => {
    test('eight days of rows without marks are not covered, whatever the marks say; nor is the hour in which their fleet began', async () => {
      await using old = await oldSide(flavour)
      await old.rows(8 * 24)
      // The fleet was made six hours ago, at the topic's end, and has marked all hours since.
      const adopted = await old.fleet({ startOffsets: { 0: '1000' } })
      for (let hour = 6; hour >= 0; hour--) await old.mark(adopted, hour, 1000 + (6 - hour) * 500)
      const found = await old.coverage(adopted)
      assert.equal(isFilled(found), false)
      assert.ok((found.percent ?? 100) < 5, `${found.percent}`)
      assert.deepEqual(
        found.tables.map((one) => one.fullFromMs),
        [hourAt(5), hourAt(5)],
      )
      assert.match(found.because, /that its fleet did not write from this topic/)
      assert.equal(await holdRows(old.world.store, await old.shards(), tables), true)
    })

    test('late records of the new fleet in old hours make these no whole ones', async () => {
      await using old = await oldSide(flavour)
      await old.rows(48)
      const adopted = await old.fleet({ startOffsets: { 0: '1000' } })
      await old.mark(adopted, 6, 1000)
      for (let hour = 47; hour >= 0; hour--) if (hour !== 6) await old.mark(adopted, hour, 50_000 - hour)
      assert.deepEqual(
        (await old.coverage(adopted)).tables.map((one) => one.fullFromMs),
        [hourAt(5), hourAt(5)],
      )
      assert.ok(isFilled(await old.coverage({ ...adopted, tablesWereEmpty: true })), 'all that they hold it wrote')
    })

    test('marks of a topic that was made anew tell nothing of the topic that is read now', async () => {
      await using old = await oldSide(flavour)
      await old.rows(48)
      const now = await old.fleet({ startOffsets: { 0: '0' } })
      for (let hour = 47; hour >= 3; hour--) await old.mark({ ...now, topicId: 'the one before' }, hour, hour)
      for (let hour = 3; hour >= 0; hour--) await old.mark(now, hour, 10 - hour)
      const found = await old.coverage(now)
      assert.deepEqual(
        found.tables.map((one) => one.fullFromMs),
        [hourAt(2), hourAt(2)],
      )
      await old.floor(hourAt(2))
      assert.equal(isFilled(await old.coverage(now)), true, 'they have expired')
    })

    test('all rows are marked: nothing is found, with gaps between them too, and it is asked once', async () => {
      await using old = await oldSide(flavour)
      const now = await old.fleet({ startOffsets: { 0: '0' } })
      assert.equal(await holdRows(old.world.store, await old.shards(), tables), false)
      for (const hour of [40, 39, 20, 3, 2]) {
        await old.row(hour)
        await old.mark(now, hour, 100 - hour)
      }
      assert.ok(isFilled(await old.coverage(now)))
      await old.row(30)
      assert.ok(isFilled(await old.coverage(now)), 'who else writes is seen in the binlogs')
      assert.deepEqual(
        (await old.coverage(now, new OldRowsLooks())).tables.map((one) => one.fullFromMs),
        [hourAt(29), hourAt(29)],
      )
    })
  })

function hourAt(back: number): number {
  return nowMs - back * hourMs
}

async function oldSide(flavour: LocalFlavour) {
  const server = await sharedServer(flavour)
  const world = await IngestWorld.create(server, 1)
  await world.branch('main', ['-80', '80-'], partitioned)
  await world.addServer()
  await ensureIngestTables(world.admin)
  const shards = () => branchShards({ store: world.store }, world.keyspace, 'main')
  const looks = new OldRowsLooks()
  const row = async (hour: number): Promise<void> => {
    const at = new Date(hourAt(hour)).toISOString().slice(0, 19).replace('T', ' ')
    for (const { schema } of await shards()) {
      await world.admin.query(`INSERT INTO ${schema}.query_hour VALUES (1, 'f${hour}', '${at}', 1, 1, 1, 1, 1, '')`)
      await world.admin.query(`INSERT INTO ${schema}.slow_query VALUES (1, '${at}', 0, ${hour}, 1, 'x')`)
    }
  }
  return {
    world,
    shards,
    row,
    fleet: (change: Partial<FleetRecord>) => world.fleet('main', change, definition),
    async rows(hours: number): Promise<void> {
      for (let hour = hours - 1; hour >= 0; hour--) await row(hour)
    },
    async mark(fleet: FleetRecord, hour: number, first: number): Promise<void> {
      const values = (await shards()).flatMap(({ uid }) =>
        [...bucketMs.keys()].map(
          (name) => `('${uid}', '${fleet.branchId}', '${name}', ${hourAt(hour)}, '${fleet.topicId}', 0, ${first}, ${first}, 1)`,
        ),
      )
      await world.admin.query(`INSERT INTO ${table.mark} VALUES ${values.join(', ')}`)
    },
    async floor(ms: number): Promise<void> {
      const values = (await shards()).flatMap(({ uid }) =>
        [...bucketMs.keys()].map((name) => `('${uid}', 'branch-main', '${name}', ${ms})`),
      )
      await world.admin.query(`INSERT INTO ${table.floor} VALUES ${values.join(', ')}`)
    },
    /** As a run whose new fleet reads from the topic's beginning, and has caught up. */
    async coverage(old: FleetRecord, from = looks): Promise<Coverage> {
      const all = await shards()
      // Ten seconds on: what was found is looked at again.
      later += 10_001
      await from.look(world.store, all, tables, [old], { nowMs: () => systemClock.nowMs() + later }, new AbortController().signal)
      const windows = await readWindows(world, all, [{ old, new: { ...old, startOffsets: { 0: '0' } } }], bucketMs)
      return judgeCoverage({
        nowMs,
        windows,
        oldRows: from.found(all, tables, [old]),
        unpaired: [],
        bucketMs,
        retentionMs: new Map([...bucketMs.keys()].map((name) => [name, 8 * dayMs])),
        boundsMs: new Map(),
        lag: 0n,
        lagMost: 1000n,
        gainPerSecond: null,
        eventTimeRate: 1,
      })
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  }
}

let later = 0
