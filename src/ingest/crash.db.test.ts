/**
 * A consumer is killed (SIGKILL, a process of its own) at every crash point in turn; another one goes on. In the end every event stands in the branch exactly
 * once: roll-ups, sketches, 1:1 rows, dimensions (PROTOCOLS 4.3–4.5, promise 1).
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { sharedServer } from '../../test/kit/servers.ts'
import { ingestCrashPoints, type IngestCrashPoint } from './crash-points.ts'
import { IngestWorld } from './testkit/ingest-world.ts'
import { hourMs, queryStats, type QueryEvent } from './testkit/query-stats.ts'

const base = Date.UTC(2026, 0, 5)
const shards = ['-80', '80-']

function events(count: number, from: number, hours = 5): QueryEvent[] {
  return Array.from({ length: count }, (_, i) => {
    const k = from + i
    return {
      db: k % 13,
      fp: `q${k % 7}`,
      at: base + (k % hours) * hourMs,
      n: 1 + (k % 3),
      ms: (k * 31) % 997,
      text: `select ${k % 11}`,
      slow: k % 10 === 0,
    }
  })
}

/** Reached while purging, which has a test of its own below. */
const ofPurge = (point: IngestCrashPoint): boolean => point.startsWith('purge.')

async function killedAt(world: IngestWorld, point: IngestCrashPoint, skip: number, version = '1'): Promise<void> {
  const { port, flavour } = world.server
  const args = [join(world.dir, 'topology.sqlite'), world.keyspace, String(port), flavour, point, String(skip), version]
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'testkit', 'consumer-process.ts'), ...args],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  // Points of giving back are met when it is told to end.
  const end = point === 'lease.releasing' ? world.caughtUp('main').then(() => child.kill('SIGTERM')) : null
  const limit = setTimeout(() => child.kill('SIGTERM'), 60_000)
  const [, signal] = await new Promise<[number | null, string | null]>((resolve) => child.once('exit', (code, by) => resolve([code, by])))
  clearTimeout(limit)
  await end?.catch(() => undefined)
  assert.equal(signal, 'SIGKILL', `${point} was reached`)
  // As `up` does for a child that has ended (release-dead.ts). One is left to run out by itself.
  if (point === 'write.sent') return
  const held = [...(await world.store.list('ingest/')).entries.keys(), ...(await world.store.list('consumers/')).entries.keys()]
  await world.store.commit(
    [],
    held.map((key) => ({ key, value: undefined })),
  )
}

test('killed at every crash point, the branch is exact', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 2)
  await world.branch('main', shards)
  await world.fleet('main')
  let sent = 0
  for (const point of ingestCrashPoints.filter((name) => !ofPurge(name))) {
    // A change of definition is fixed once a partition: it needs a partition that has none.
    if (point === 'version.fixed') {
      await using other = await IngestWorld.create(server, 1)
      await other.branch('main', shards)
      await other.fleet('main')
      await other.send(events(200, 0))
      await killedAt(other, point, 0)
      other.consumer('main')
      await other.caughtUp('main')
      await other.assertExact('main')
      continue
    }
    if (point === 'advance.committed') {
      // Offsets without rows for the other shard, and nothing else to write.
      const first = world.consumer('main')
      await world.caughtUp('main')
      await first.stop()
      await world.send(Array.from({ length: 40 }, () => ({ db: 1, fp: 'one', at: base, n: 1, ms: 5, text: 'x' })))
    } else await world.send(events(300, sent))
    sent += 300
    await killedAt(world, point, point.startsWith('write.') ? 2 : 0)
  }
  world.consumer('main')
  await world.caughtUp('main')
  await world.assertExact('main')
  for (const { start, taken, next } of (await world.positions('main')).values()) assert.equal(start + taken, next)
})

test('killed while purging: the floor stands before partitions go, and the next purge finishes', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 1)
  await world.branch('main', ['-'])
  const parts = Array.from(
    { length: 20 },
    (_, day) => `PARTITION p${day} VALUES LESS THAN ('${new Date(base + day * 86_400_000).toISOString().slice(0, 10)} 00:00:00')`,
  )
  for (const table of ['query_hour', 'slow_query'])
    await world.admin.query(
      `ALTER TABLE ${world.schema('main', '-')}.${table} PARTITION BY RANGE COLUMNS (${table === 'query_hour' ? 'hour' : 'at'}) (${parts.join(', ')}, PARTITION rest VALUES LESS THAN (MAXVALUE))`,
    )
  await world.fleet('main')
  const days = Array.from({ length: 14 }, (_, day) =>
    events(10, day * 10, 1).map((event) => ({ ...event, at: event.at + day * 86_400_000 })),
  )
  for (const day of days) await world.send(day)
  for (const point of ingestCrashPoints.filter(ofPurge)) await killedAt(world, point, point === 'purge.somePartitions' ? 2 : 0)
  world.consumer('main', { config: { purgeMs: 50 } })
  await world.caughtUp('main')
  // Newest event on day 13, eight days kept: what lies before day 5 is gone, by whole partitions.
  await world.until('the purge', async () => (await partitions(world)).every((names) => names[0] === 'p6'))
  assert.deepEqual(
    (await partitions(world)).map((names) => names.at(-1)),
    ['rest', 'rest'],
  )
  // A late event is dropped and counted, and does not land in the oldest partition that is left.
  const before = world.sent.length
  await world.send(events(5, 0, 1))
  await world.caughtUp('main')
  const late = [...(await world.positions('main')).values()].reduce((sum, row) => sum + row.late, 0n)
  assert.equal(late, BigInt(5 + world.sent.slice(before).filter(({ slow }) => slow).length))
  const floor = base + 5 * 86_400_000
  const hours = await world.rows('main', '-', 'SELECT SUM(records) AS n, MIN(hour) AS first FROM {}.query_hour')
  assert.equal(Number(hours[0]?.['n']), world.sent.filter(({ at }) => at >= floor).length)
  assert.ok(queryStats().tables.length === 3)
})

async function partitions(world: IngestWorld): Promise<string[][]> {
  return Promise.all(
    ['query_hour', 'slow_query'].map(async (table) =>
      (
        await world.admin.allText(
          `SELECT PARTITION_NAME AS p FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA='${world.schema('main', '-')}' AND TABLE_NAME='${table}' ORDER BY PARTITION_ORDINAL_POSITION`,
        )
      ).map((row) => row['p'] ?? ''),
    ),
  )
}
