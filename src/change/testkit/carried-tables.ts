/** What a fleet fills while its shards are moved: the kit's tables; events that count once by their id; rows that expire meanwhile. */
import { defineTopic } from '../../ingest/definition.ts'
import { json } from '../../ingest/json.ts'
import standard, { bucketMs, dualwriteTables } from '../../../test/kit/dualwrite-definition.ts'

export const carriedTables = [
  ...dualwriteTables,
  'CREATE TABLE once (tenant BIGINT UNSIGNED NOT NULL, bucket BIGINT NOT NULL, calls BIGINT NOT NULL, PRIMARY KEY (tenant, bucket))',
  'CREATE TABLE passing (tenant BIGINT UNSIGNED NOT NULL, bucket BIGINT NOT NULL, calls BIGINT NOT NULL, PRIMARY KEY (tenant, bucket))',
]
const rollUp = {
  kind: 'coalesced',
  shardKey: ['tenant'],
  key: ['tenant', 'bucket'],
  bucket: { column: 'bucket', everyMs: bucketMs, as: 'ms' },
  columns: { tenant: { merge: 'key' }, bucket: { merge: 'key' }, calls: { merge: 'sum' } },
} as const
const beside = defineTopic({
  topic: 'events',
  version: 1,
  decode: json({ id: 'text', tenant: 'integer', at: 'integer', seq: 'integer', n: 'integer' }),
  eventTime: (event) => Number(event.at),
  tables: {
    once: { ...rollUp, retentionMs: 3_600_000, eventId: (event) => event.id, map: (event) => ({ tenant: event.tenant, calls: 1 }) },
    passing: { ...rollUp, retentionMs: 1500, map: (event) => ({ tenant: event.tenant, calls: 1 }) },
  },
})
export const carriedDefinition = { ...beside, tables: [...standard.tables, ...beside.tables] }
