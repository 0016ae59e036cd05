/** Which shard a row goes to does not depend on which rows came before it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseKeyRange } from '../keyspace/key-range.ts'
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { readVschema } from '../keyspace/vschema.ts'
import { resolveVschema } from '../keyspace/vschema-resolve.ts'
import { defineTopic } from './definition.ts'
import { json } from './json.ts'
import { RecordRouter } from './record-router.ts'
import { planTable } from './table-plan.ts'
import { column, tableOf } from './testkit/table-info.ts'

test('a text shard key of a 1:1 table is routed by its own bytes: one that differs by trailing spaces goes where its own keyspace id is, whichever came first', () => {
  const definition = defineTopic({
    topic: 't',
    version: 1,
    decode: json({ owner: 'text' }),
    eventTime: () => 0,
    tables: {
      seen: {
        kind: 'row',
        shardKey: ['owner'],
        key: ['owner', 'at', 'at_partition', 'at_offset'],
        bucket: { column: 'at', everyMs: 3_600_000 },
        retentionMs: 86_400_000,
        columns: {
          owner: { merge: 'key' },
          at: { merge: 'key' },
          at_partition: { merge: 'key', from: 'partition' },
          at_offset: { merge: 'key', from: 'offset' },
        },
        map: ({ owner }) => ({ owner }),
      },
    },
  })
  const columns = [
    column('owner', 'varchar(32)'),
    column('at', 'datetime(3)'),
    column('at_partition', 'int'),
    column('at_offset', 'bigint'),
  ]
  const tables = { seen: { column_vindexes: [{ column: 'owner', name: 'text' }] } }
  const vschema = resolveVschema(readVschema({ sharded: true, vindexes: { text: { type: 'xxhash' } }, tables })).tables.get('seen')!
  const info = tableOf('seen', columns, ['owner', 'at', 'at_partition', 'at_offset'])
  const planned = planTable({ definition: definition.tables[0]!, topicId: 't', info, vschema, sharded: true })
  assert.deepEqual(planned.problems, [])
  const index = new KeyRangeIndex(['-80', '80-'].map((name, value) => ({ range: parseKeyRange(name), value })))
  const router = (): RecordRouter =>
    new RecordRouter({ makers: new Map([[1, { definition, plans: [planned.plan!] }]]), index, shards: 2, topicId: 't' })
  const shardOf = (by: RecordRouter, owner: string): number | undefined =>
    [
      ...by
        .route({ partition: 0, offset: 0n, timestampMs: 0, key: null, value: Buffer.from(JSON.stringify({ owner })) }, [
          { version: 1, from: '0' },
        ])
        .keys(),
    ][0]
  const names = Array.from({ length: 32 }, (_, i) => `owner ${i}`)
  const differ = names.filter((name) => shardOf(router(), name) !== shardOf(router(), `${name} `))
  assert.ok(differ.length > 4, 'the spaces count')
  const [ahead, behind] = [router(), router()]
  for (const name of differ) {
    assert.equal(shardOf(ahead, name), shardOf(router(), name))
    assert.equal(shardOf(ahead, `${name} `), shardOf(router(), `${name} `), 'the shorter one came first')
    assert.equal(shardOf(behind, `${name} `), shardOf(router(), `${name} `))
    assert.equal(shardOf(behind, name), shardOf(router(), name), 'the longer one came first')
  }
})
