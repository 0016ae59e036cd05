/** A small roll-up and its 1:1 rows, in half-second buckets: `seq` only grows per tenant, so a read that went back in time is seen. */
import { defineTopic, type TopicDefinition } from '../../src/ingest/definition.ts'
import { json } from '../../src/ingest/json.ts'

export const bucketMs = 500

export const dualwriteTables = [
  'CREATE TABLE stat (tenant BIGINT UNSIGNED NOT NULL, bucket BIGINT NOT NULL, calls BIGINT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (tenant, bucket))',
  'CREATE TABLE detail (tenant BIGINT UNSIGNED NOT NULL, at BIGINT NOT NULL, from_partition INT UNSIGNED NOT NULL, from_offset BIGINT UNSIGNED NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (tenant, at, from_partition, from_offset))',
]

export const dualwriteTopic = (retentionMs: number): TopicDefinition =>
  defineTopic({
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
        retentionMs,
        columns: { tenant: { merge: 'key' }, bucket: { merge: 'key' }, calls: { merge: 'sum' }, seq: { merge: 'max' } },
        map: (event) => ({ tenant: event.tenant, calls: Number(event.n), seq: event.seq }),
      },
      detail: {
        kind: 'row',
        shardKey: ['tenant'],
        key: ['tenant', 'at', 'from_partition', 'from_offset'],
        bucket: { column: 'at', everyMs: bucketMs, as: 'ms' },
        retentionMs,
        columns: {
          tenant: { merge: 'key' },
          at: { merge: 'key' },
          from_partition: { merge: 'key', from: 'partition' },
          from_offset: { merge: 'key', from: 'offset' },
          n: { merge: 'value' },
        },
        map: (event) => ({ tenant: event.tenant, n: event.n }),
      },
    },
  })

export default dualwriteTopic(3_600_000)
