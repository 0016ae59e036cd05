/**
 * Query statistics, first topic: every few seconds one summary per query pattern of a database. They become two roll-ups, per minute and
 * per hour, with the latencies as a DDSketch. Key of a message: hash of (database, fingerprint), so that a pattern stays in one
 * partition and one consumer merges its messages in memory.
 */
import { defineTopic, json } from 'shardwright/topics'

/** How long a minute, an hour and eight days are: the demonstration's days are shorter, and the mechanism does not know. */
export type Time = { readonly minuteMs: number; readonly hourMs: number; readonly keptMs: number }
export const realTime: Time = { minuteMs: 60_000, hourMs: 3_600_000, keptMs: 8 * 86_400_000 }
export const demoTime: Time = { minuteMs: 1_000, hourMs: 5_000, keptMs: 8 * 12_000 }

const columns = {
  database_id: { merge: 'key' },
  fingerprint: { merge: 'key' },
  bucket: { merge: 'key' },
  queries: { merge: 'sum' },
  rows_read: { merge: 'sum' },
  total_us: { merge: 'sum' },
  summaries: { merge: 'count' },
  slowest_ms: { merge: 'max' },
  latency: { merge: 'sketch' },
} as const

type Summary = {
  readonly database_id: number | bigint
  readonly fingerprint: string
  readonly queries: number | bigint
  readonly rows_read: number | bigint
  readonly total_us: number | bigint
  readonly latencies_ms: unknown
}

function row(event: Summary) {
  const latencies = event.latencies_ms
  if (!Array.isArray(latencies) || !latencies.every((one): one is number => typeof one === 'number'))
    throw new TypeError('latencies_ms is no list of numbers')
  return {
    database_id: event.database_id,
    fingerprint: event.fingerprint,
    queries: event.queries,
    rows_read: event.rows_read,
    total_us: event.total_us,
    slowest_ms: Math.ceil(Math.max(0, ...latencies)),
    latency: latencies,
  }
}

export const summaries = (time: Time) =>
  defineTopic({
    topic: 'summaries',
    version: 1,
    decode: json({
      database_id: 'integer',
      fingerprint: 'text',
      at: 'integer',
      queries: 'integer',
      rows_read: 'integer',
      total_us: 'integer',
      latencies_ms: 'any',
    }),
    eventTime: (event) => Number(event.at),
    tables: {
      query_minute: {
        kind: 'coalesced',
        shardKey: ['database_id'],
        key: ['database_id', 'fingerprint', 'bucket'],
        bucket: { column: 'bucket', everyMs: time.minuteMs },
        retentionMs: time.keptMs,
        columns,
        map: row,
      },
      query_hour: {
        kind: 'coalesced',
        shardKey: ['database_id'],
        key: ['database_id', 'fingerprint', 'bucket'],
        bucket: { column: 'bucket', everyMs: time.hourMs },
        retentionMs: time.keptMs,
        columns,
        map: row,
      },
    },
  })

export default summaries(realTime)
