/** Tables partitioned by time, and a topic whose partitions become more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours, sharedServer } from '../../test/kit/servers.ts'
import { addPartitions as addTopicPartitions, openProducer } from '../topic/open.ts'
import { boundsAhead } from './partitions-ahead.ts'
import { IngestWorld } from './testkit/ingest-world.ts'
import { hourMs, queryStats, type QueryEvent } from './testkit/query-stats.ts'

const dayMs = 24 * hourMs
const midnight = Math.floor(Date.now() / dayMs) * dayMs

/** One a day and hour, from `fromDay` on, counted from today. */
function events(fromDay: number, days: number): QueryEvent[] {
  return Array.from({ length: days * 8 }, (_, i) => ({
    db: i % 13,
    fp: `q${i % 7}`,
    at: midnight + fromDay * dayMs + (i % 8) * 2 * hourMs + Math.floor(i / 8) * dayMs,
    n: 1,
    ms: i,
    text: 't',
    slow: i % 3 === 0,
  }))
}

const text = (day: number): string => new Date(midnight + day * dayMs).toISOString().slice(0, 10)

async function partitioned(
  world: IngestWorld,
  branch: string,
  shard: string,
  by: { by: (column: string) => string; to: (day: number) => string; open: boolean },
): Promise<void> {
  for (const [table, column] of [
    ['query_hour', 'hour'],
    ['slow_query', 'at'],
  ] as const) {
    const parts = [-12, -11, -10].map((day, i) => `PARTITION p${i} VALUES LESS THAN (${by.to(day)})`)
    if (by.open) parts.push('PARTITION rest VALUES LESS THAN (MAXVALUE)')
    await world.admin.query(`ALTER TABLE ${world.schema(branch, shard)}.${table} PARTITION BY RANGE ${by.by(column)} (${parts.join(', ')})`)
  }
}

async function bounds(world: IngestWorld, branch: string, shard: string): Promise<string> {
  const rows = await world.admin.allText(
    `SELECT TABLE_NAME AS t, PARTITION_DESCRIPTION AS b FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA='${world.schema(branch, shard)}' AND PARTITION_NAME IS NOT NULL ORDER BY TABLE_NAME, PARTITION_ORDINAL_POSITION`,
  )
  return rows.map(({ t, b }) => `${t} ${b}`).join('\n')
}

test('partitions are made ahead in the width that there is, and none for what has expired', () => {
  const of = { nowMs: 100 * dayMs, ahead: 2, retentionMs: 8 * dayMs }
  const inDays = (list: readonly number[], change: Partial<typeof of> = {}): number[] =>
    boundsAhead(
      list.map((day) => day * dayMs),
      { ...of, ...change },
    ).map((ms) => ms / dayMs)
  assert.deepEqual(inDays([98, 99]), [100, 101, 102])
  assert.deepEqual(inDays([101, 102]), [])
  assert.deepEqual(inDays([93, 100]), [107, 114])
  assert.deepEqual(inDays([100]), [101, 102], 'a day where there is but one')
  assert.deepEqual(inDays([9, 10]), [93, 94, 95, 96, 97, 98, 99, 100, 101, 102])
  assert.deepEqual(inDays([]), [], 'nothing to go by')
  assert.equal(boundsAhead([0, 1], { ...of, nowMs: 10_000, retentionMs: 9_999 }).length, 200, 'so many at once, and again')
})

for (const flavour of flavours())
  for (const [kind, by] of [
    ['RANGE COLUMNS, no MAXVALUE', { by: (column: string) => `COLUMNS (${column})`, to: (day: number) => `'${text(day)}'`, open: false }],
    ['TO_DAYS, MAXVALUE', { by: (column: string) => `(TO_DAYS(${column}))`, to: (day: number) => `TO_DAYS('${text(day)}')`, open: true }],
  ] as const)
    test(`${flavour}, ${kind}: a table that runs out of partitions gets more, its records are no poison, and two branches purge at one boundary`, async () => {
      await using world = await IngestWorld.create(await sharedServer(flavour), 2)
      const sides = [
        ['main', '-'],
        ['wide', '-80'],
        ['wide', '80-'],
      ] as const
      await world.branch('main', ['-'])
      await world.branch('wide', ['-80', '80-'])
      for (const [branch, shard] of sides) await partitioned(world, branch, shard, by)
      await world.fleet('main')
      await world.fleet('wide')
      // Through the second of these the purge does its work, which is none as yet; the lanes have met rows without a partition by then.
      await world.send(events(-9, 3))
      const consumers = ['main', 'wide'].map((branch) => world.consumer(branch, { config: { purgeMs: 1e9 } }))
      await world.caughtUp('main')
      await world.caughtUp('wide')
      await world.assertExact('main')
      await world.assertExact('wide')
      for (const consumer of consumers) await consumer.stop()
      for (const branch of ['main', 'wide']) world.consumer(branch, { config: { purgeMs: 30 } })
      await world.send(events(-1, 1))
      await world.caughtUp('main')
      await world.caughtUp('wide')
      // Eight days before the newest, which is of yesterday: what lies before is dropped, on both alike, and the days to come are there.
      const oldest = by.open ? `${Math.floor(midnight / dayMs) - 7 + 719_528}` : text(-7)
      await world.until('one boundary', async () => {
        const all = await Promise.all(sides.map(([branch, shard]) => bounds(world, branch, shard)))
        return (
          all.every((one) => one === all[0] && one.includes(oldest)) &&
          !all[0]!.includes(by.open ? `${Math.floor(midnight / dayMs) - 10 + 719_528}` : text(-10))
        )
      })
      const there = await bounds(world, 'main', '-')
      assert.ok(there.includes(by.open ? `${Math.floor(midnight / dayMs) + 2 + 719_528}` : text(2)), there)
    })

test('lore, partition count changed: the fleet stops by name and writes nothing; made again it goes on where it stood, with the new partition', async () => {
  await using world = await IngestWorld.create(await sharedServer('mariadb'), 2)
  await world.branch('main', ['-80', '80-'])
  const record = await world.fleet('main')
  world.consumer('main')
  await world.send(events(-3, 3))
  await world.caughtUp('main')
  await addTopicPartitions(world.url, 3)
  await using producer = await openProducer(world.url)
  const late = { ...events(0, 1)[0]!, fp: 'late' }
  await producer.send([{ partition: 2, key: null, value: Buffer.from(JSON.stringify(late)) }])
  await world.until('the stop', async () => (await world.reports('main')).some(({ error }) => error?.code === 'SW-INGEST-021'))
  const [report] = await world.reports('main')
  assert.equal(report?.state, 'failed')
  assert.match(report?.error?.what ?? '', /has 3 partitions, and the fleet was made for 2/)
  await world.assertExact('main')
  await world.change('main', { startOffsets: { ...record.startOffsets, 2: '0' } })
  await world.until('the record of the new partition', async () => {
    const found = await Promise.all(
      ['-80', '80-'].map((shard) => world.rows('main', shard, "SELECT 1 AS n FROM {}.query_hour WHERE fingerprint = 'late'")),
    )
    return found.flat().length === 1
  })
})

test('a time that no partition is due for is the record’s own trouble: its partition of the topic stops there', async () => {
  await using world = await IngestWorld.create(await sharedServer('mariadb'), 1)
  await world.branch('main', ['-'])
  await partitioned(world, 'main', '-', { by: (column) => `COLUMNS (${column})`, to: (day) => `'${text(day)}'`, open: false })
  await world.fleet('main', {}, queryStats())
  await world.send(events(-5, 2))
  await world.producer.send([{ key: null, value: Buffer.from(JSON.stringify({ ...events(0, 1)[0]!, at: midnight + 400 * dayMs })) }])
  world.consumer('main', { config: { purgeMs: 1e9 } })
  await world.until('the stop', async () =>
    (await world.reports('main')).some(({ partitions }) => partitions[0]?.error?.code === 'SW-INGEST-005'),
  )
  await world.until('all before it', async () => [...(await world.positions('main')).values()].every(({ next }) => next === 16n))
  await world.assertExact('main')
})
