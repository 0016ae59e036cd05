import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bulkTextAt, bulkTextRestBytes, writeBulkText } from '../wire/stmt-bulk.ts'
import { Segment, type Chunk } from './chunk.ts'
import { landingStatements, type LandingTarget } from './landing-statements.ts'
import { keyTextOf, takesParameters } from './parameter-rows.ts'
import { RowEncoder } from './row-encoder.ts'
import { batchOf } from './testkit/batches.ts'
import { columnOf, planOf } from './testkit/samples.ts'

const column = (name: string, dataType: string) => columnOf(name, dataType, { nullable: true })

test('property: rows as parameters are the bytes given, and their keys are called as those of literals are', () => {
  const text = fc
    .array(fc.constantFrom('a', "'", '\\', ',', '\0', 'é', 'e'), { maxLength: 300 })
    .map((parts) => Buffer.from(parts.join('')))
  const number = fc.bigInt({ min: -(1n << 63n), max: (1n << 64n) - 1n }).map((n) => Buffer.from(String(n)))
  const double = fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => Buffer.from(String(n)))
  const columns = ['t', 'n', 'd', 'v'].map((name, i) => column(name, ['varchar', 'bigint', 'double', 'varbinary'][i] ?? ''))
  const plan = planOf(columns, ['t', 'n', 'd'])
  assert.ok(takesParameters(plan))
  const encoder = new RowEncoder(plan, 'selected')
  const row = fc.tuple(text, number, double, fc.option(text))
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 20 }), fc.boolean(), (rows, dropped) => {
      const batch = batchOf(rows)
      const [literals, parameters] = [new Segment(Buffer.alloc(1 << 16), 'HEAD'), new Segment(Buffer.alloc(1 << 16), '', keyTextOf(plan))]
      for (let i = 0; i < rows.length; i++) {
        for (const segment of [literals, parameters]) {
          const { buffer, used } = segment
          segment.used = segment === literals ? encoder.encode(batch, i, buffer, used) : encoder.encodeParameters(batch, i, buffer, used)
          segment.keyEnds.push(encoder.keyEnd)
          segment.rowEnds.push(segment.used)
        }
      }
      const keys = rows.map((_, i) => literals.key(i))
      assert.deepEqual(rows.map((_, i) => parameters.key(i)), keys) // prettier-ignore
      const left = dropped ? parameters.without((key) => key === keys[0]) : parameters
      const kept = dropped ? rows.filter((_, i) => keys[i] !== keys[0]) : rows
      assert.deepEqual(left === null ? [] : valuesIn(left.rowsAlone(), columns.length), kept.flat())
    }),
    { numRuns: 300 },
  )
})

test('texts of every length that has another form are read back where they stand', () => {
  for (const length of [0, 1, 23, 24, 0xfa, 0xfb, 0xffff, 0x10000, 0xffffff, 0x1000000]) {
    const data = Buffer.alloc(length + 3, 'x')
    const out = Buffer.alloc(length + 2 + bulkTextRestBytes)
    const end = writeBulkText(data, 1, 1 + length, out, 2)
    assert.ok(end - 2 <= length + bulkTextRestBytes)
    const [from, to] = bulkTextAt(out, 2)
    assert.deepEqual([to, to - from], [end, length])
    assert.ok(out.subarray(from, to).every((byte) => byte === 0x78))
  }
})

test('tables with columns that are written as expressions, or as numbers that stand for names, are not sent so', () => {
  for (const type of ['json', 'bit', 'enum', 'set', 'geometry', 'uuid']) {
    assert.equal(takesParameters(planOf([column('n', 'int'), column('v', type)], ['n'])), false, type)
  }
})

test('what a lane sends at once is no more than the server takes in one packet', () => {
  const table = planOf([column('n', 'int'), column('v', 'longtext')], ['n'])
  const segments = [30_000, 5_000, 50_000, 1_000, 1_000].map((bytes, n) => {
    const segment = new Segment(Buffer.alloc(bytes + 100), '', keyTextOf(table))
    const batch = batchOf([[Buffer.from(String(n)), Buffer.alloc(bytes)]])
    segment.used = new RowEncoder(table, 'selected').encodeParameters(batch, 0, segment.buffer, 0)
    segment.rowEnds.push(segment.used)
    return segment
  })
  const part = { segments, rows: 5, bytes: 0 }
  const chunk = { table, completes: null, parts: [part] } as unknown as Chunk
  const target = { number: 0, streamUid: '', targetUid: '', workflowUid: '', schema: 's', mode: 'one-source', bulkLoad: true, packetMax: 49_000, work: () => ({}) } as unknown as LandingTarget // prettier-ignore
  const statements = landingStatements([{ chunk, part, drop: null }], target)
  assert.deepEqual(
    statements.map((statement) =>
      typeof statement === 'object' && 'prepare' in statement ? [statement.rowsOf.length, statement.rows] : null,
    ),
    [[2, 2], [1, 1], [2, 2]], // prettier-ignore
  )
})

function valuesIn(rows: Buffer, width: number): (Buffer | null)[] {
  const values: (Buffer | null)[] = []
  for (let at = 0; at < rows.length;) {
    if (rows[at] === 1) {
      values.push(null)
      at++
      continue
    }
    const [start, end] = bulkTextAt(rows, at)
    values.push(rows.subarray(start, end))
    at = end
  }
  assert.equal(values.length % width, 0)
  return values
}
