import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeColumnDefinition, type ColumnDefinition } from '../wire/column-definition.ts'
import { writePrepareOk } from '../wire/stmt-prepare.ts'
import { Writer } from '../wire/writer.ts'
import { ChangedDefinitions, changedPrepared, fromOrigins, ofInformationSchema, type DefinitionChange } from './column-definitions.ts'
import { integerColumn, writeColumns } from './replies.ts'

const given: ColumnDefinition[] = [
  { ...integerColumn('n'), table: 't', orgTable: '', orgName: 'n' },
  { ...integerColumn('ä'), table: 'ü', orgTable: '', orgName: 'x' },
  { ...integerColumn('e'), table: '', orgTable: '', orgName: 'e' },
]
const columnsOf = (frames: Buffer, first: number): ColumnDefinition[] => {
  const out: ColumnDefinition[] = []
  for (let at = 0, i = 0; at < frames.length; i++) {
    const end = at + 4 + frames.readUIntLE(at, 3)
    if (i >= first && frames[at + 4] === 3 && end - at > 20) out.push(decodeColumnDefinition(frames, at + 4, end))
    at = end
  }
  return out
}
const answered = (change: DefinitionChange): ColumnDefinition[] => {
  const w = new Writer(256)
  writeColumns(w, given, 2, 1, false)
  return columnsOf(new ChangedDefinitions(change).rewrite(w.take()), 1)
}

test('columns are from where a server says of the statement as it was given; what is none of a table stays', () => {
  const origins = [
    { schema: 'information_schema', orgTable: 'TABLES', orgName: 'TABLE_NAME' },
    { schema: 'information_schema', orgTable: 'TABLES', orgName: 'Ä' },
    { schema: '', orgTable: 'x', orgName: 'y' },
  ]
  // What a server calls the client's own table's.
  const own = [{ schema: 'app_phys', orgTable: 't', orgName: 'n' }]
  const [n, ...others] = given
  assert.deepEqual(answered(fromOrigins(origins)), [{ ...n, ...origins[0] }, ...others])
  assert.deepEqual(answered(fromOrigins([])), given)
  assert.deepEqual(answered(fromOrigins(own)), given)
})

test('a column of a table without a schema is of information_schema', () => {
  assert.deepEqual(
    answered(ofInformationSchema),
    given.map((column) => (column.table === '' ? column : { ...column, schema: 'information_schema' })),
  )
})

test('the answer to a PREPARE: its columns are counted behind its parameters, whether or not an EOF stands between', () => {
  for (const deprecateEof of [true, false]) {
    const w = new Writer(256)
    writePrepareOk(w, { id: 7, columns: given, paramCount: 2, warnings: 0, status: 2 }, 1, deprecateEof)
    const answer = w.take()
    const numbers: number[] = []
    const unchanged = changedPrepared(answer, (_frames, _at, _end, number) => {
      numbers.push(number)
      return null
    })
    assert.equal(unchanged, answer)
    assert.deepEqual(numbers, [-2, -1, 0, 1, 2])
    const schemas = columnsOf(changedPrepared(answer, ofInformationSchema), 1).map(({ schema }) => schema)
    assert.deepEqual(schemas.slice(2), ['information_schema', 'information_schema', ''])
  }
})
