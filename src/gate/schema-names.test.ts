import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeColumnDefinition } from '../wire/column-definition.ts'
import { writePrepareOk } from '../wire/stmt-prepare.ts'
import { writeTextRow } from '../wire/text-row.ts'
import { Writer } from '../wire/writer.ts'
import { integerColumn, okFrame, writeColumns } from './replies.ts'
import { columnNames, renamedPrepared } from './schema-names.ts'
import type { ShardView } from './view.ts'

const shard = { keyspace: 'shop@replica', schema: 'shop_40_80' } as ShardView
const column = (name: string, schema: string) => ({ ...integerColumn(name), schema, table: 't', orgTable: 't', orgName: name })
const columns = [column('a', 'shop_40_80'), column('b', 'other'), column('c', 'shop_40_80'), column('d', '')]

/** Every frame: its number and its bytes. */
function framesOf(bytes: Buffer): { sequence: number; payload: Buffer }[] {
  const out = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + bytes.readUIntLE(at, 3)
    out.push({ sequence: bytes[at + 3] as number, payload: bytes.subarray(at + 4, end) })
    at = end
  }
  return out
}

function answer(): Buffer {
  const w = new Writer(256)
  let sequence = writeColumns(w, columns, 2, 1, false)
  // A row that looks like a definition.
  for (let i = 0; i < 3; i++) {
    writeTextRow(w.beginFrame(), [Buffer.from('def'), Buffer.from('shop_40_80'), null, Buffer.from('x')])
    sequence = w.endFrame(sequence)
  }
  return w.take()
}

test('columns of the shard are named by the keyspace, wherever the answer is cut; nothing else of it changes', () => {
  const whole = answer()
  const ends = framesOf(whole).map(({ payload }) => payload.byteOffset - whole.byteOffset + payload.length)
  for (const cut of ends) {
    const names = columnNames(shard)
    assert.ok(names !== null)
    const rewritten = framesOf(Buffer.concat([names.rewrite(whole.subarray(0, cut)), names.rewrite(whole.subarray(cut))]))
    const expected = framesOf(whole)
    assert.equal(rewritten.length, expected.length)
    for (const [i, { sequence, payload }] of rewritten.entries()) {
      assert.equal(sequence, expected[i]?.sequence)
      const given = columns[i - 1]
      if (i === 0 || given === undefined) assert.deepEqual(payload, expected[i]?.payload)
      else
        assert.deepEqual(decodeColumnDefinition(payload, 0, payload.length), {
          ...given,
          schema: given.schema === 'shop_40_80' ? 'shop' : given.schema,
        })
    }
  }
})

test('answers without rows stay as they are, and so do those of a shard whose schema has the name of the keyspace', () => {
  const ok = okFrame(2, { info: 'shop_40_80' })
  assert.equal(columnNames(shard)?.rewrite(ok), ok)
  assert.equal(columnNames({ keyspace: 'app', schema: 'app' } as ShardView), null)
})

test('the answer to a PREPARE', () => {
  const w = new Writer(256)
  writePrepareOk(w, { id: 1, columns, paramCount: 2, warnings: 0, status: 2 }, 1, false)
  const bytes = w.take()
  const schemas = framesOf(renamedPrepared(bytes, shard))
    .filter(({ payload }) => payload.toString('latin1', 1, 4) === 'def')
    .map(({ payload }) => decodeColumnDefinition(payload, 0, payload.length).schema)
  assert.deepEqual(schemas, ['', '', 'shop', 'other', 'shop', ''])
})
