/**
 * A roll-up that expires, and a dimension that does not: its `label` is the last one's, `first_seen` and `last_seen` merge by minimum and maximum. The table has a
 * column beside (`note`) that only clients write, and the keyspace another table (`setting`) that no definition fills.
 */
import { defineTopic } from '../../src/ingest/definition.ts'
import { json } from '../../src/ingest/json.ts'
import { bucketMs } from './dualwrite-definition.ts'

export const hybridTables = [
  'CREATE TABLE stat (tenant BIGINT UNSIGNED NOT NULL, bucket BIGINT NOT NULL, calls BIGINT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (tenant, bucket))',
  `CREATE TABLE pattern (tenant BIGINT UNSIGNED NOT NULL, id INT NOT NULL, label BIGINT NOT NULL, first_seen BIGINT NOT NULL, last_seen BIGINT NOT NULL,
    ver VARBINARY(128) NOT NULL DEFAULT '', note VARCHAR(40) NULL, PRIMARY KEY (tenant, id), KEY by_label (label))`,
  'CREATE TABLE setting (tenant BIGINT UNSIGNED NOT NULL, name VARCHAR(20) NOT NULL, value BIGINT NOT NULL, PRIMARY KEY (tenant, name))',
]

export const patternsOfTenant = 5

export default defineTopic({
  topic: 'events',
  version: 1,
  decode: json({ tenant: 'integer', at: 'integer', seq: 'integer', n: 'integer' }),
  eventTime: (event) => Number(event.at),
  tables: {
    stat: {
      kind: 'coalesced',
      shardKey: ['tenant'],
      key: ['tenant', 'bucket'],
      bucket: { column: 'bucket', everyMs: bucketMs, as: 'ms' },
      retentionMs: 3_600_000,
      columns: { tenant: { merge: 'key' }, bucket: { merge: 'key' }, calls: { merge: 'sum' }, seq: { merge: 'max' } },
      map: (event) => ({ tenant: event.tenant, calls: Number(event.n), seq: event.seq }),
    },
    pattern: {
      kind: 'dimension',
      shardKey: ['tenant'],
      key: ['tenant', 'id'],
      lastVersion: 'ver',
      columns: {
        tenant: { merge: 'key' },
        id: { merge: 'key' },
        label: { merge: 'last' },
        first_seen: { merge: 'min' },
        last_seen: { merge: 'max' },
      },
      map: (event) => ({
        tenant: event.tenant,
        id: Math.floor(Number(event.seq) / 5) % patternsOfTenant,
        label: event.seq,
        first_seen: event.at,
        last_seen: event.at,
      }),
    },
  },
})
