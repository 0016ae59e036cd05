/**
 * Our rows on the shards of a branch that is filled from topics, in `_shardwright`. Keyed by shard uid, since several shards may share a
 * server, and by branch id, which never changes though the branch become `main`.
 *
 * - `ingest_position`  per topic partition: the holder's epoch, the next offset this shard takes, and an account of what it took:
 *                      `start_offset + taken = next` by construction (L0), counted by the same UPDATE that moves `next`.
 * - `ingest_floor`     per table: rows of buckets below `floor_ms` are purged and dropped (PROTOCOLS 4.10).
 * - `ingest_mark`      per table, topic partition and bucket: first and last offset that contributed (4.11).
 * - `ingest_dead`      records that make no rows, where the definition says so; on the branch's first shard.
 * - `ingest_event`     per table and bucket: ids of events that were counted, and by which record (4, Promised).
 *
 * A shard's rows go with its key range (carry.ts).
 */
import { controlSchemaName as schema } from './schema-name.ts'
import type { Connection } from '../mysql/connection.ts'

const name = (bytes: number): string => `VARBINARY(${bytes}) NOT NULL`
const offset = 'BIGINT UNSIGNED NOT NULL'

const definitions: Readonly<Record<string, string>> = {
  ingest_position: `(shard_uid ${name(64)}, branch_id ${name(64)}, topic_id ${name(128)}, partition_no INT UNSIGNED NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL, next_offset ${offset}, leader_epoch INT NOT NULL,
    start_offset ${offset}, taken ${offset}, ranges BIGINT UNSIGNED NOT NULL,
    records BIGINT UNSIGNED NOT NULL, late_rows BIGINT UNSIGNED NOT NULL, dead_records BIGINT UNSIGNED NOT NULL, newest_ms BIGINT NOT NULL,
    PRIMARY KEY (shard_uid, branch_id, topic_id, partition_no))`,
  ingest_floor: `(shard_uid ${name(64)}, branch_id ${name(64)}, table_name ${name(256)}, floor_ms BIGINT NOT NULL,
    PRIMARY KEY (shard_uid, branch_id, table_name))`,
  ingest_mark: `(shard_uid ${name(64)}, branch_id ${name(64)}, table_name ${name(256)}, bucket_ms BIGINT NOT NULL, topic_id ${name(128)},
    partition_no INT UNSIGNED NOT NULL, first_offset ${offset}, last_offset ${offset}, row_count BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (shard_uid, branch_id, table_name, bucket_ms, topic_id, partition_no))`,
  ingest_dead: `(shard_uid ${name(64)}, branch_id ${name(64)}, topic_id ${name(128)}, partition_no INT UNSIGNED NOT NULL, at_offset ${offset},
    timestamp_ms BIGINT NOT NULL, record_key LONGBLOB NULL, record_value LONGBLOB NULL, reason VARCHAR(1000) CHARACTER SET utf8mb4 NOT NULL,
    PRIMARY KEY (shard_uid, branch_id, topic_id, partition_no, at_offset))`,
  ingest_event: `(shard_uid ${name(64)}, branch_id ${name(64)}, table_name ${name(256)}, bucket_ms BIGINT NOT NULL, event_id ${name(255)},
    topic_id ${name(128)}, partition_no INT UNSIGNED NOT NULL, at_offset ${offset},
    PRIMARY KEY (shard_uid, branch_id, table_name, bucket_ms, event_id),
    KEY by_offset (shard_uid, branch_id, topic_id, partition_no, at_offset))`,
}

export const ingestTables = Object.keys(definitions)

/** At the beginning of every statement of a fleet that writes a table of the user's: lists of sessions tell it from somebody else's. */
export const fleetMark = '/* shardwright fleet */'

/** Qualified names. */
export const table = {
  position: `${schema}.ingest_position`,
  floor: `${schema}.ingest_floor`,
  mark: `${schema}.ingest_mark`,
  dead: `${schema}.ingest_dead`,
  event: `${schema}.ingest_event`,
} as const

/** Makes what is missing; repeatable. */
export async function ensureIngestTables(connection: Connection): Promise<void> {
  await connection.query(`CREATE DATABASE IF NOT EXISTS ${schema} DEFAULT CHARACTER SET utf8mb4`)
  for (const [made, definition] of Object.entries(definitions)) {
    await connection.query(`CREATE TABLE IF NOT EXISTS ${schema}.${made} ${definition} ENGINE=InnoDB`)
  }
}
