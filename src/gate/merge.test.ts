import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { columnType } from '../wire/column-types.ts'
import { BinaryRows } from '../mysql/binary-rows.ts'
import type { Column, RawRow, RowBatch, RowStream } from '../mysql/connection.ts'
import { scanBinaryRow, writeBinaryRow } from '../wire/binary-row.ts'
import { Writer } from '../wire/writer.ts'
import { Aggregator, truth } from './aggregate.ts'
import { groupKey, rowCompare } from './compare.ts'
import { addDecimals, compareDecimals, divideDecimal, parseDecimal, printDecimal } from './decimal.ts'
import { StaleColumns } from './execution-errors.ts'
import { HeldMemory } from './memory.ts'
import { mergeStreams } from './merge.ts'
import type { AggregateMerge, Merge } from './plan/plan.ts'

const column = (name: string, type: number, more: Partial<Column> = {}): Column => ({
  schema: '',
  table: '',
  orgTable: '',
  name,
  orgName: name,
  charset: 63,
  length: 20,
  type,
  flags: 0,
  decimals: 0,
  ...more,
})
const cells = (...values: (string | null)[]): RawRow => values.map((v) => (v === null ? null : Buffer.from(v)))
const texts = (rows: readonly RawRow[]): (string | null)[][] =>
  rows.map((row) => row.map((cell) => (cell === null ? null : cell.toString())))

function stream(columns: Column[], batches: RawRow[][]): RowStream {
  return {
    columns,
    bufferedBytes: 0,
    warnings: 0,
    ended: false,
    async *[Symbol.asyncIterator]() {
      for (const rows of batches) {
        yield {
          data: Buffer.alloc(0),
          spans: new Int32Array(0),
          length: rows.length,
          width: columns.length,
          cell: (r: number, c: number) => rows[r]?.[c] ?? null,
          row: (r: number) => rows[r] ?? [],
          rows: () => rows,
        } as RowBatch
      }
    },
  }
}

/** The same rows as a server answers an execution. */
function executed(columns: Column[], batches: RawRow[][]): RowStream {
  const { [Symbol.asyncIterator]: rowsOf, ...rest } = stream(columns, batches)
  return {
    ...rest,
    async *[Symbol.asyncIterator]() {
      for await (const batch of { [Symbol.asyncIterator]: rowsOf }) {
        const w = new Writer()
        const ends = batch.rows().map((row) => writeBinaryRow(w, columns, row).length)
        const packets = ends.flatMap((end, i) => [ends[i - 1] ?? 0, end])
        const data = w.take()
        const values = new Int32Array(2 * columns.length * ends.length)
        for (const [i, end] of ends.entries()) scanBinaryRow(data, ends[i - 1] ?? 0, end, columns, values, 2 * columns.length * i)
        yield new BinaryRows(data, Int32Array.from(packets), values, columns)
      }
    },
  }
}

test('promise 10: rows of executions are passed on as they were sent, in order and without what is hidden; of other types on one shard, they are decoded', async () => {
  const weight = column('w', columnType.varString, { charset: 63 })
  const shown = [column('a', columnType.long), column('b', columnType.varString)]
  const shards = [
    [[cells(null, 'x', 'k4'), cells('1', 'x', 'k1')], [cells('9', null, null)]],
    [[cells('-2', 'yy', 'k3')], [cells('3', '', 'k2')]],
  ]
  for (const [types, asSent] of [
    [[columnType.long, columnType.long], true],
    [[columnType.long, columnType.longlong], false],
    [[columnType.long, columnType.short], false],
  ] as const) {
    const streams = shards.map((batches, i) => executed([column('a', types[i] as number), shown[1] as Column, weight], batches))
    const out = { packets: [] as Buffer[], rows: [] as (string | null)[][] }
    await mergeStreams(
      streams,
      { kind: 'sort', hiddenColumns: 1, keys: [{ column: -1, compare: 'bytes', descending: true }], limit: 4n, offset: 0n },
      {
        columns() {},
        row(row) {
          out.rows.push(...texts([row.slice(0, 2)]))
          return undefined
        },
        packet(rows, row) {
          const w = new Writer()
          rows.writeTo(w, row, 2)
          out.packets.push(w.take())
          return undefined
        },
      },
      { held: new HeldMemory(1 << 20, 1 << 20).open(), form: 'binary', resolve: () => null },
    )
    const wanted = [cells(null, 'x'), cells('-2', 'yy'), cells('3', ''), cells('1', 'x')]
    const expected = asSent
      ? { packets: wanted.map((row) => writeBinaryRow(new Writer(), shown, row).take()), rows: [] }
      : { packets: [], rows: texts(wanted) }
    assert.deepEqual(out, expected)
  }
})

async function merged(columns: Column[], shards: RawRow[][][], merge: Merge): Promise<(string | null)[][]> {
  const out: RawRow[] = []
  let hidden = 0
  await mergeStreams(
    shards.map((batches) => stream(columns, batches)),
    merge,
    {
      columns: (_c, h) => {
        hidden = h
      },
      row(row) {
        out.push(row.slice(0, row.length - hidden))
        return undefined
      },
    },
    { held: new HeldMemory(1 << 20, 1 << 20).open(), form: 'text', resolve: () => null },
  )
  return texts(out)
}

test('decimals: sums, order and averages are exact, rounded half away from zero', () => {
  for (const [a, b, sum] of [
    ['1.10', '2.205', '3.305'],
    ['-0.05', '0.05', '0.00'],
    ['99999999999999999999.99', '0.01', '100000000000000000000.00'],
  ] as const) {
    assert.equal(printDecimal(addDecimals(parseDecimal(a), parseDecimal(b))), sum)
  }
  for (const [a, n, scale, quotient] of [
    ['1', 3n, 4, '0.3333'],
    ['2', 3n, 4, '0.6667'],
    ['-1', 2n, 0, '-1'],
    ['1', 8n, 2, '0.13'],
    ['-0.125', 1n, 2, '-0.13'],
    ['5', 5n, 4, '1.0000'],
  ] as const) {
    assert.equal(printDecimal(divideDecimal(parseDecimal(a), n, scale)), quotient, `${a} / ${n}`)
  }
  assert.equal(compareDecimals(parseDecimal('1.0'), parseDecimal('1.00')), 0)
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.nat(10), (unscaled, scale) => {
      assert.deepEqual(parseDecimal(printDecimal({ unscaled, scale })), { unscaled, scale })
    }),
  )
})

test('order by type: as the server has it for integers of any size, decimals, doubles, times, dates, bytes; NULL first', () => {
  const ordered: [number, string[]][] = [
    [
      columnType.longlong,
      ['-9223372036854775808', '-10', '-9', '0', '9', '10', '9007199254740993', '9007199254740994', '18446744073709551615'],
    ],
    [columnType.newdecimal, ['-2.50', '-2.4', '0.00', '0.01', '10', '9999999999999999999.1']],
    [columnType.double, ['-1e300', '-5', '0.25', '3', '1e20']],
    [columnType.time, ['-838:59:59', '-00:00:01.5', '00:00:00', '00:00:00.000001', '09:00:00', '100:00:00']],
    [columnType.datetime, ['0000-00-00 00:00:00', '1999-12-31 23:59:59', '2024-01-01 00:00:00']],
    [columnType.varString, ['', 'A', 'B', 'a', 'a\0', 'aa']],
  ]
  for (const [type, values] of ordered) {
    const compare = rowCompare([{ column: 0, compare: 'byType', descending: false }], [column('c', type, { decimals: 31 })])
    const rows = [cells(null), ...values.map((v) => cells(v))]
    const shuffled = [...rows].reverse().sort(compare)
    assert.deepEqual(texts(shuffled), texts(rows), String(type))
    const descending = rowCompare([{ column: -1, compare: 'byType', descending: true }], [column('c', type, { decimals: 31 })])
    assert.deepEqual(texts([...rows].sort(descending)), texts([...rows].reverse()))
  }
})

test('promise 10: text in a collation is refused where its weights are not at hand', () => {
  assert.throws(
    () => rowCompare([{ column: 0, compare: 'byType', descending: false }], [column('c', columnType.varString, { charset: 45 })]),
    { code: 'SW-GATE-130' },
  )
  assert.throws(() => groupKey([{ column: 0, compare: 'byType' }], [column('c', columnType.varString, { charset: 45 })]), {
    code: 'SW-GATE-130',
  })
})

test('grouping: equal values have equal keys, whatever they are printed as; no two different rows share one', () => {
  const key = groupKey(
    [
      { column: 0, compare: 'byType' },
      { column: 1, compare: 'bytes' },
    ],
    [column('n', columnType.newdecimal), column('s', columnType.varString)],
  )
  assert.equal(key(cells('1.50', 'a')), key(cells('1.5', 'a')))
  assert.notEqual(key(cells(null, 'a')), key(cells('0', 'a')))
  const bytes = groupKey(
    [
      { column: 0, compare: 'bytes' },
      { column: 1, compare: 'bytes' },
    ],
    [column('a', columnType.varString), column('b', columnType.varString)],
  )
  fc.assert(
    fc.property(fc.tuple(fc.string(), fc.string()), fc.tuple(fc.string(), fc.string()), (x, y) => {
      assert.equal(bytes(cells(...x)) === bytes(cells(...y)), x[0] === y[0] && x[1] === y[1])
    }),
  )
})

test('sorted streams become one sorted stream, with offset and limit; hidden columns are cut off', async () => {
  const columns = [column('v', columnType.varString, { charset: 45 }), column('w', columnType.varString)]
  const merge: Merge = {
    kind: 'sort',
    hiddenColumns: 1,
    keys: [{ column: -1, compare: 'bytes', descending: false }],
    limit: 4n,
    offset: 1n,
  }
  const shards = [[[cells('a', '1'), cells('d', '4')], [cells('f', '6')]], [[cells('b', '2')]], [[], [cells('c', '3'), cells('e', '5')]]]
  assert.deepEqual(await merged(columns, shards, merge), [['b'], ['c'], ['d'], ['e']])
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.array(fc.integer(), { maxLength: 5 }), { maxLength: 4 }), { minLength: 1, maxLength: 5 }),
      fc.nat(20),
      fc.nat(20),
      async (data, offset, limit) => {
        const sorted = data.map((batches) => {
          const all = batches.flat().sort((a, b) => a - b)
          return batches.map((batch) => all.splice(0, batch.length).map((n) => cells(String(n), '')))
        })
        const got = await merged([column('n', columnType.long), column('h', columnType.varString)], sorted, {
          kind: 'sort',
          hiddenColumns: 1,
          keys: [{ column: 0, compare: 'byType', descending: false }],
          limit: BigInt(limit),
          offset: BigInt(offset),
        })
        assert.deepEqual(
          got,
          data
            .flat(2)
            .sort((a, b) => a - b)
            .slice(offset, offset + limit)
            .map((n) => [String(n)]),
        )
      },
    ),
  )
})

test('aggregates over shards: sums, counts, averages, extremes, HAVING', async () => {
  const columns = [
    column('g', columnType.long),
    column('c', columnType.longlong),
    column('s', columnType.newdecimal, { decimals: 2 }),
    column('avg', columnType.newdecimal, { decimals: 6 }),
    column('m', columnType.long),
    column('hs', columnType.newdecimal, { decimals: 2 }),
    column('hc', columnType.longlong),
  ]
  const merge: AggregateMerge = {
    kind: 'aggregate',
    hiddenColumns: 2,
    groupBy: [{ column: 0, compare: 'byType' }],
    columns: [
      { function: 'count', column: 1 },
      { function: 'sum', column: 2 },
      { function: 'avg', column: 3, sum: -2, count: -1 },
      { function: 'max', column: 4, by: 4, compare: 'byType' },
    ],
    having: { kind: 'compare', operator: '>', column: 1, value: { kind: 'constant', value: { type: 'integer', value: 1n } } },
    keys: [{ column: 2, compare: 'byType', descending: true }],
    limit: null,
    offset: 0n,
  }
  const shards = [
    [[cells('1', '2', '10.00', '5.000000', '7', '10.00', '2'), cells('2', '1', null, null, null, null, '0')]],
    [
      [cells('1', '1', '0.50', '0.500000', '9', '0.50', '1'), cells('3', '1', '1.00', '1.000000', '1', '1.00', '1')],
      [cells('2', '4', '8.00', '2.666667', '3', '8.00', '3')],
    ],
  ]
  const aggregator = new Aggregator(merge, columns)
  for (const shard of shards) for (const batch of shard) for (const row of batch) aggregator.add(row)
  const rows = texts(aggregator.finish(() => '1'))
    .map((row) => row.slice(0, 5))
    .sort()
  assert.deepEqual(rows, [
    ['1', '3', '10.50', '3.500000', '9'],
    ['2', '5', '8.00', '2.666667', '3'],
  ])
  assert.deepEqual(await merged(columns, shards, { ...merge, having: null, limit: 1n }), [['1', '3', '10.50', '3.500000', '9']])
})

test('HAVING has three values', () => {
  const is = (operator: '=' | '<>', value: string) => ({
    kind: 'compare' as const,
    operator,
    column: 0,
    value: { kind: 'constant' as const, value: { type: 'decimal' as const, text: value } },
  })
  const resolve = (slot: { kind: string; value?: unknown }): string | null => (slot.value as { text: string }).text
  const nothing = cells(null)
  const one = cells('1')
  assert.equal(truth(is('=', '1'), nothing, 1, resolve as never), null)
  assert.equal(truth({ kind: 'not', operand: is('=', '1') }, nothing, 1, resolve as never), null)
  assert.equal(truth({ kind: 'or', items: [is('=', '1'), { kind: 'is-null', column: 0 }] }, nothing, 1, resolve as never), true)
  assert.equal(
    truth({ kind: 'and', items: [is('=', '1'), { kind: 'not', operand: { kind: 'is-null', column: 0 } }] }, nothing, 1, resolve as never),
    false,
  )
  assert.equal(truth(is('<>', '1.0'), one, 1, resolve as never), false)
  // As long as a statement may be: no level of the stack for each.
  const items = Array.from({ length: 50_000 }, () => is('=', '1'))
  assert.equal(truth({ kind: 'and', items }, one, 1, resolve as never), true)
  assert.equal(truth({ kind: 'and', items }, nothing, 1, resolve as never), null)
  assert.equal(truth({ kind: 'or', items: [...items, { kind: 'is-null', column: 0 }] }, nothing, 1, resolve as never), true)
})

test('promise 8: what MIN and MAX keep is counted when a longer value takes the place of a shorter', () => {
  const merge: AggregateMerge = {
    kind: 'aggregate',
    hiddenColumns: 0,
    groupBy: [{ column: 0, compare: 'byType' }],
    columns: [{ function: 'max', column: 1, by: 1, compare: 'bytes' }],
    having: null,
    keys: [],
    limit: null,
    offset: 0n,
  }
  const aggregator = new Aggregator(merge, [column('n', columnType.long), column('x', columnType.blob)])
  aggregator.add(cells('1', 'a'))
  const before = aggregator.bytes
  aggregator.add(cells('1', 'b'.repeat(100_000)))
  assert.ok(aggregator.bytes >= before + 99_999, `${aggregator.bytes} bytes`)
})

test('promise 10: rows whose columns differ from shard to shard are not put under one head', async () => {
  const of = (...names: string[]): Column[] => names.map((name) => column(name, columnType.long, { orgTable: 't', table: 't' }))
  const heads: string[] = []
  const put = (...shards: Column[][]): Promise<void> =>
    mergeStreams(
      shards.map((columns) => stream(columns, [[cells(...columns.map(() => '1'))]])),
      { kind: 'concat', hiddenColumns: 0, limit: null, offset: 0n },
      { columns: (columns) => void heads.push(columns.map(({ name }) => name).join()), row: () => undefined },
      { held: new HeldMemory(1 << 20, 1 << 20).open(), form: 'text', resolve: () => null },
    )
  for (const [a, b] of [
    [of('id', 'n'), of('id', 'n', 'more')],
    [of('id', 'n', 'more'), of('id', 'n')],
    [of('id', 'n'), of('n', 'id')],
  ] as const)
    await assert.rejects(put(a, b), StaleColumns)
  assert.deepEqual(heads, [])
  // An expression is called by its text, in which a shard's schema may stand.
  await put([...of('id'), column('a.f(1)', columnType.long)], [...of('id'), column('b.f(1)', columnType.long)])
  assert.deepEqual(heads, ['id,a.f(1)'])
})
