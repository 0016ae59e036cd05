/** Promise 8: what waits for a shard holds no more memory than is counted, and what it needs of a record is still there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { parseKeyRange } from '../keyspace/key-range.ts'
import { readVschema } from '../keyspace/vschema.ts'
import { resolveVschema } from '../keyspace/vschema-resolve.ts'
import type { TopicRecord } from '../topic/topic.ts'
import type { Item } from './batch.ts'
import { defineTopic } from './definition.ts'
import { json } from './json.ts'
import { keep } from './kept.ts'
import type { MadeRow } from './made-row.ts'
import { RecordRouter } from './record-router.ts'
import type { TablePlan } from './table-plan.ts'
import { planTable } from './table-plan.ts'
import { column, tableOf } from './testkit/table-info.ts'

const fetched = 2 << 20
const plan = { name: 't' } as TablePlan

/** Of an answer as a broker gives it: small records, views into what came with them. */
function fetchedRecords(count: number): { memory: Buffer; records: TopicRecord[] } {
  const memory = Buffer.alloc(fetched, 'x')
  const records = Array.from({ length: count }, (_, i): TopicRecord => {
    const at = i * 1000
    memory.write(`key-${i}`, at)
    memory.write(`value-${i}`, at + 100)
    return {
      partition: 0,
      offset: BigInt(i),
      timestampMs: i,
      key: memory.subarray(at, at + 20),
      value: memory.subarray(at + 100, at + 400),
      headers: [[memory.subarray(0, 5), memory]],
    }
  })
  return { memory, records }
}

const item = (record: TopicRecord, rows: readonly MadeRow[] = [], dead: string | null = null): Item => ({
  record,
  eventTimeMs: 1,
  rows,
  dead,
})
const row = (...cells: MadeRow['cells']): MadeRow => ({ plan, identity: 'i', cells, bucketMs: null, eventId: null })

/** Bytes of all memory that these hold. */
function held(items: readonly Item[]): number {
  const all = new Set<ArrayBufferLike>()
  for (const { record, rows } of items)
    for (const bytes of [record.key, record.value, ...(record.headers ?? []).flat(), ...rows.flatMap(({ cells }) => cells)])
      if (Buffer.isBuffer(bytes)) all.add(bytes.buffer)
  return [...all].reduce((sum, { byteLength }) => sum + byteLength, 0)
}

test('promise 8: a small record that waits does not keep the batch that brought it; a dead letter has all of it still', () => {
  const { memory, records } = fetchedRecords(3)
  const [one, two, three] = records as [TopicRecord, TopicRecord, TopicRecord]
  const items = [item(one, [row('a', memory.subarray(500, 540))]), item(two, [row('b', null)]), item(three, [], 'no rows')]
  for (const letters of [false, true]) {
    const { items: kept, bytes } = keep(items, letters)
    assert.ok(held(kept) <= bytes && bytes < 10_000, `${held(kept)} held, ${bytes} counted`)
    assert.ok(held([kept[1]!]) <= bytes)
    const before = Buffer.from(memory)
    memory.fill(0)
    const texts = kept.map(({ record }) => [record.key?.toString().slice(0, 5), record.value?.toString().slice(0, 7)])
    assert.deepEqual(texts[2], ['key-2', 'value-2'], 'one that is dead already')
    // Whatever a server refuses, too, where that goes on as a dead letter; else only where it stood.
    assert.deepEqual(texts[0], letters ? ['key-0', 'value-0'] : [undefined, undefined])
    assert.deepEqual([kept[0]!.record.offset, kept[0]!.record.partition], [0n, 0])
    assert.equal(kept[0]!.rows[0]!.cells[1]!.toString(), 'x'.repeat(40))
    before.copy(memory)
  }
})

test('promise 8: long texts and bytes of rows are counted, once for each shard that gets them', () => {
  const { memory, records } = fetchedRecords(1)
  const [record] = records as [TopicRecord]
  const everywhere = row('k', memory.subarray(0, 50_000), 'y'.repeat(70_000), [1, 2, 3])
  const a = keep([item(record, [everywhere])], false)
  const b = keep([item(record, [everywhere])], false)
  assert.ok(a.bytes >= 120_000 && a.bytes < 130_000, String(a.bytes))
  const bufferOf = ({ items }: typeof a): unknown => (items[0]!.rows[0]!.cells[1] as Buffer).buffer
  assert.notEqual(bufferOf(a), bufferOf(b), 'each has its own')
  assert.equal((everywhere.cells[1] as Buffer).buffer, memory.buffer, 'what all share is left as it was')
  // A text of a cell may be a slice of the whole value as text.
  const sliced = keep([item({ ...record, value: memory.subarray(0, 90_000) }, [row('abc')])], false)
  assert.ok(sliced.bytes >= 90_000)
})

test('a record says how many shards have rows of it', () => {
  const definition = defineTopic({
    topic: 't',
    version: 1,
    decode: json({ k: 'integer', other: 'integer?' }),
    eventTime: () => 0,
    tables: {
      c: {
        kind: 'dimension',
        shardKey: ['k'],
        key: ['k'],
        columns: { k: { merge: 'key' }, n: { merge: 'max' } },
        map: (event) => [event.k, event.other ?? event.k].map((k) => ({ k, n: 1 })),
      },
    },
  })
  const info = tableOf('c', [column('k', 'bigint'), column('n', 'bigint')], ['k'])
  const vindexes = { hash: { type: 'hash' } }
  const tables = { c: { column_vindexes: [{ column: 'k', name: 'hash' }] } }
  const vschema = resolveVschema(readVschema({ sharded: true, vindexes, tables })).tables.get('c')!
  const planned = planTable({ definition: definition.tables[0]!, topicId: 't', info, vschema, sharded: true })
  assert.deepEqual(planned.problems, [])
  const index = new KeyRangeIndex(['-80', '80-'].map((name, value) => ({ range: parseKeyRange(name), value })))
  const router = new RecordRouter({ makers: new Map([[1, { definition, plans: [planned.plan!] }]]), index, shards: 2, topicId: 't' })
  const shards = (event: object): unknown[] => {
    const record: TopicRecord = { partition: 0, offset: 0n, timestampMs: 0, key: null, value: Buffer.from(JSON.stringify(event)) }
    return [...router.route(record, [{ version: 1, from: '0' }]).values()].map((one) => one.shards ?? 1)
  }
  assert.deepEqual(shards({ k: 1 }), [1])
  // Of so many keys some are on each.
  const all = Array.from({ length: 20 }, (_, other) => shards({ k: 1, other }))
  assert.deepEqual(new Set(all.map((list) => list.join())), new Set(['1', '2,2']))
})
