/**
 * The last word: every record of the topics, read here once more by itself, against the rows on the final shards, read directly.
 * No code that routes, merges or writes takes part: sums are made anew, the home of a row is computed from the published
 * definition of the vindex. Every acknowledged event must be in the topic, every event of the topic in the rows, once.
 */
import { readFileSync } from 'node:fs'
import mysql from 'mysql2/promise'
import type { Topic } from '../../topic/topic.ts'
import { homesOf, type ShardAddress } from '../final-check.ts'
import type { SlowQuery, Summary } from './events.ts'

export type Account = {
  readonly acknowledged: number
  readonly inTopics: number
  readonly slowRows: number
  readonly rollUpRows: number
  /** Roll-up rows and slow queries that their topics make and that have gone, with their buckets, by the floor of their shard. */
  readonly expired: number
  /** Summaries that the roll-ups say they hold: per minute, per hour. */
  readonly counted: readonly [number, number]
  readonly wrong: readonly string[]
}

type Sums = { queries: bigint; rows_read: bigint; total_us: bigint; summaries: bigint }
export type Kept = {
  readonly rollUps: readonly [
    minute: { readonly table: string; readonly everyMs: number },
    hour: { readonly table: string; readonly everyMs: number },
  ]
  /** The bucket of slow queries. */
  readonly slowEveryMs: number
  readonly keptMs: number
}

export async function account(
  topics: { readonly summaries: Topic; readonly slowQueries: Topic },
  shards: readonly ShardAddress[],
  ledgerFile: string,
  { rollUps, slowEveryMs, keptMs }: Kept,
): Promise<Account> {
  const wrong: string[] = []
  const places = new Set<string>()
  const expected = rollUps.map(() => new Map<string, Sums>())
  const slow = new Map<string, SlowQuery>()
  const databases = new Set<number>()
  for await (const { place, value } of wholeTopic(topics.summaries)) {
    places.add(`summaries ${place}`)
    const event = JSON.parse(value) as Summary
    databases.add(event.database_id)
    for (const [at, { everyMs }] of rollUps.entries()) {
      const key = `${event.database_id}/${event.fingerprint}/${bucketOf(event.at, everyMs)}`
      const sums = expected[at]?.get(key) ?? { queries: 0n, rows_read: 0n, total_us: 0n, summaries: 0n }
      sums.queries += BigInt(event.queries)
      sums.rows_read += BigInt(event.rows_read)
      sums.total_us += BigInt(event.total_us)
      sums.summaries += 1n
      expected[at]?.set(key, sums)
    }
  }
  for await (const { place, value } of wholeTopic(topics.slowQueries)) {
    places.add(`slow_queries ${place}`)
    const event = JSON.parse(value) as SlowQuery
    databases.add(event.database_id)
    slow.set(place, event)
  }
  const acknowledged = readFileSync(ledgerFile, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
  for (const line of acknowledged) {
    const [topic, partition, offset, eventId] = line.split(' ')
    if (!places.has(`${topic} ${partition} ${offset}`)) wrong.push(`lost: ${line} was acknowledged and is not in the topic`)
    else if (eventId !== undefined && slow.get(`${partition} ${offset}`)?.event_id !== eventId)
      wrong.push(`lost: another event stands at ${line}`)
  }
  const home = homesOf(
    databases,
    shards.map(({ name }) => name),
  )
  const found = rollUps.map(() => new Set<string>())
  const floors = new Map<string, Map<string, number>>()
  /** Below it rows are gone, or about to. */
  const floorOf = (database: number, table: string): number => floors.get(home.get(database) ?? '')?.get(table) ?? -Infinity
  const counted = [0n, 0n]
  let slowRows = 0
  for (const shard of shards) {
    const connection = await mysql.createConnection({
      host: shard.host,
      port: shard.port,
      user: shard.user,
      password: shard.password,
      database: shard.schema,
      timezone: 'Z',
      supportBigNumbers: true,
      bigNumberStrings: true,
    })
    try {
      await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
      await connection.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
      const [floorRows] = await connection.query<mysql.RowDataPacket[]>(
        'SELECT table_name, floor_ms FROM _shardwright.ingest_floor WHERE shard_uid = ?',
        [shard.uid],
      )
      floors.set(shard.name, new Map(floorRows.map((row) => [String(row['table_name']), Number(row['floor_ms'])])))
      for (const [table, floorMs] of floors.get(shard.name) ?? [])
        if (floorMs > Date.now() - keptMs) wrong.push(`lost: ${table} on ${shard.name} gave rows up before their time, below ${floorMs}`)
      for (const [at, { table }] of rollUps.entries()) {
        const [rows] = await connection.query<mysql.RowDataPacket[]>(
          `SELECT database_id, fingerprint, DATE_FORMAT(bucket, '%Y-%m-%dT%H:%i:%sZ') AS bucket, queries, rows_read, total_us, summaries FROM ${table}`,
        )
        for (const row of rows) {
          const database = Number(row['database_id'])
          const bucket = Date.parse(String(row['bucket']))
          if (bucket < (floors.get(shard.name)?.get(table) ?? -Infinity)) continue
          const key = `${database}/${String(row['fingerprint'])}/${bucket}`
          const want = expected[at]?.get(key)
          if (home.get(database) !== shard.name) wrong.push(`wrong shard: ${table} ${key} stands on ${shard.name}`)
          if (found[at]?.has(key) === true) wrong.push(`doubled: ${table} ${key} stands twice`)
          found[at]?.add(key)
          counted[at] = (counted[at] ?? 0n) + BigInt(row['summaries'] as string)
          for (const column of ['queries', 'rows_read', 'total_us', 'summaries'] as const) {
            const has = BigInt(row[column] as string)
            if (has !== want?.[column])
              wrong.push(
                `${has > (want?.[column] ?? 0n) ? 'doubled' : 'lost'}: ${table} ${key} ${column} is ${has}, the events say ${want?.[column] ?? 'nothing'}`,
              )
          }
        }
      }
      const [rows] = await connection.query<mysql.RowDataPacket[]>(
        "SELECT database_id, from_partition, from_offset, event_id, ms, query, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', at) DIV 1000 AS at FROM slow_query",
      )
      for (const row of rows) {
        if (bucketOf(Number(row['at']), slowEveryMs) < (floors.get(shard.name)?.get('slow_query') ?? -Infinity)) continue
        slowRows++
        const place = `${String(row['from_partition'])} ${String(row['from_offset'])}`
        const want = slow.get(place)
        slow.delete(place)
        if (want === undefined) wrong.push(`doubled: slow_query ${place} stands twice, or no record made it`)
        else if (want.event_id !== row['event_id'] || want.ms !== Number(row['ms']) || want.query !== row['query'])
          wrong.push(`changed: slow_query ${place} is not as its event`)
        if (home.get(Number(row['database_id'])) !== shard.name) wrong.push(`wrong shard: slow_query ${place} stands on ${shard.name}`)
      }
    } finally {
      await connection.end()
    }
  }
  let expired = 0
  for (const [at, { table }] of rollUps.entries())
    for (const key of expected[at]?.keys() ?? []) {
      const [database = '', , bucket] = key.split('/')
      if (found[at]?.has(key) === true) continue
      if (Number(bucket) < floorOf(Number(database), table)) expired++
      else wrong.push(`lost: ${table} ${key} is not there`)
    }
  for (const [place, event] of slow)
    if (bucketOf(event.at, slowEveryMs) < floorOf(event.database_id, 'slow_query')) expired++
    else wrong.push(`lost: slow_query ${place} is not there`)
  return {
    acknowledged: acknowledged.length,
    inTopics: places.size,
    slowRows,
    expired,
    rollUpRows: found.reduce((sum, keys) => sum + keys.size, 0),
    counted: [Number(counted[0]), Number(counted[1])],
    wrong,
  }
}

function bucketOf(atMs: number, everyMs: number): number {
  return Math.floor(atMs / everyMs) * everyMs
}

async function* wholeTopic(topic: Topic): AsyncGenerator<{ place: string; value: string }> {
  const starts = await topic.startOffsets()
  const ends = await topic.endOffsets()
  const open = new Set([...ends].filter(([partition, end]) => end > (starts.get(partition) ?? 0n)).map(([partition]) => partition))
  if (open.size === 0) return
  const positions = new Map([...starts].map(([partition, offset]) => [partition, { offset }]))
  for await (const batch of topic.read(positions, { bytesMax: 4 << 20, signal: AbortSignal.timeout(300_000) })) {
    for (const record of batch.records)
      if (record.offset < (ends.get(record.partition) ?? 0n))
        yield { place: `${record.partition} ${record.offset}`, value: String(record.value) }
    for (const [partition, { offset }] of batch.next) if (offset >= (ends.get(partition) ?? 0n)) open.delete(partition)
    if (open.size === 0) return
  }
  throw new Error(`the topic ${topic.name} could not be read to its end`)
}
