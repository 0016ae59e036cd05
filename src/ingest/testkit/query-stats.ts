/** The published example, small: roll-ups per query pattern with a sketch, 1:1 slow queries, the pattern's text as a dimension. */
import { defineTopic, type TopicDefinition } from '../definition.ts'
import { json } from '../json.ts'

export const hourMs = 3_600_000
const dayMs = 24 * hourMs

export type QueryEvent = { db: number; fp: string; at: number; n: number; ms: number; text: string; slow?: boolean; id?: string }

/** Each on every shard. */
export const queryTables = [
  `CREATE TABLE query_hour (database_id INT UNSIGNED NOT NULL, fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, hour DATETIME NOT NULL,
    queries BIGINT UNSIGNED NOT NULL, cost DECIMAL(30,6) NOT NULL, records BIGINT UNSIGNED NOT NULL, fastest INT NULL, slowest INT NULL, latency BLOB NOT NULL,
    PRIMARY KEY (database_id, fingerprint, hour))`,
  `CREATE TABLE slow_query (database_id INT UNSIGNED NOT NULL, at DATETIME(3) NOT NULL, from_partition INT UNSIGNED NOT NULL, from_offset BIGINT UNSIGNED NOT NULL,
    ms INT NOT NULL, text VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL, PRIMARY KEY (database_id, at, from_partition, from_offset))`,
  `CREATE TABLE pattern (database_id INT UNSIGNED NOT NULL, fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    text VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL, slowest INT NOT NULL, seen VARBINARY(200) NOT NULL DEFAULT '', PRIMARY KEY (database_id, fingerprint))`,
]

export const queryVschema = {
  sharded: true,
  vindexes: { hash: { type: 'hash' } },
  tables: Object.fromEntries(
    ['query_hour', 'slow_query', 'pattern'].map((name) => [name, { column_vindexes: [{ column: 'database_id', name: 'hash' }] }]),
  ),
}

export function queryStats(
  change: { poison?: 'stop' | 'dead-letter'; version?: number; factor?: number; previous?: TopicDefinition[] } = {},
): TopicDefinition {
  const factor = change.factor ?? 1
  return defineTopic({
    topic: 'queries',
    version: change.version ?? 1,
    poison: change.poison ?? 'stop',
    previous: change.previous ?? [],
    decode: json({ db: 'integer', fp: 'text', at: 'integer', n: 'integer', ms: 'integer', text: 'text', slow: 'boolean?' }),
    eventTime: (event) => Number(event.at),
    tables: {
      query_hour: {
        kind: 'coalesced',
        shardKey: ['database_id'],
        key: ['database_id', 'fingerprint', 'hour'],
        bucket: { column: 'hour', everyMs: hourMs },
        retentionMs: 8 * dayMs,
        columns: {
          database_id: { merge: 'key' },
          fingerprint: { merge: 'key' },
          hour: { merge: 'key' },
          queries: { merge: 'sum' },
          cost: { merge: 'sum' },
          records: { merge: 'count' },
          fastest: { merge: 'min' },
          slowest: { merge: 'max' },
          latency: { merge: 'sketch' },
        },
        map: (event) => ({
          database_id: event.db,
          fingerprint: event.fp,
          queries: Number(event.n) * factor,
          cost: `${event.ms}.000001`,
          fastest: event.ms,
          slowest: event.ms,
          latency: Number(event.ms),
        }),
      },
      slow_query: {
        kind: 'row',
        shardKey: ['database_id'],
        key: ['database_id', 'at', 'from_partition', 'from_offset'],
        bucket: { column: 'at', everyMs: hourMs },
        retentionMs: 8 * dayMs,
        columns: {
          database_id: { merge: 'key' },
          at: { merge: 'key' },
          from_partition: { merge: 'key', from: 'partition' },
          from_offset: { merge: 'key', from: 'offset' },
          ms: { merge: 'value' },
          text: { merge: 'value' },
        },
        map: (event) => (event.slow === true ? { database_id: event.db, ms: event.ms, text: event.text } : null),
      },
      pattern: {
        kind: 'dimension',
        shardKey: ['database_id'],
        key: ['database_id', 'fingerprint'],
        lastVersion: 'seen',
        columns: { database_id: { merge: 'key' }, fingerprint: { merge: 'key' }, text: { merge: 'last' }, slowest: { merge: 'max' } },
        map: (event) => ({ database_id: event.db, fingerprint: event.fp, text: event.text, slowest: event.ms }),
      },
    },
  })
}
