import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { binaryText, decodeBinaryRow, scanBinaryRow, writeBinaryRow, writeFirstColumns } from './binary-row.ts'
import { capability } from './capabilities.ts'
import { columnFlag, columnType } from './column-types.ts'
import { Reader } from './reader.ts'
import { decodeExecute, encodeExecute, type ParamInput } from './stmt-execute.ts'
import { Writer } from './writer.ts'

const column = (type: number, more: { flags?: number; decimals?: number; length?: number } = {}) => ({
  type,
  flags: 0,
  decimals: 0,
  length: 0,
  ...more,
})
const unsigned = columnFlag.unsigned

const cases: [string, ReturnType<typeof column>, string[]][] = [
  ['tiny', column(columnType.tiny), ['-128', '127', '0']],
  ['tiny unsigned', column(columnType.tiny, { flags: unsigned }), ['255']],
  ['short', column(columnType.short), ['-32768', '32767']],
  ['short unsigned', column(columnType.short, { flags: unsigned }), ['65535']],
  ['int', column(columnType.long), ['-2147483648', '2147483647']],
  ['int unsigned', column(columnType.long, { flags: unsigned }), ['4294967295']],
  ['mediumint', column(columnType.int24), ['-8388608', '8388607']],
  ['bigint', column(columnType.longlong), ['-9223372036854775808', '9223372036854775807']],
  ['bigint unsigned', column(columnType.longlong, { flags: unsigned }), ['18446744073709551615', '0']],
  ['zerofill', column(columnType.long, { flags: unsigned | columnFlag.zerofill, length: 6 }), ['000042']],
  ['year', column(columnType.year), ['0000', '2026']],
  ['double', column(columnType.double, { decimals: 31 }), ['1.5', '-0.1', '1e300', '3.141592653589793']],
  ['float', column(columnType.float, { decimals: 31 }), ['1.5', '0.1', '16777216', '1.1754944e-38']],
  ['double(10,2)', column(columnType.double, { decimals: 2 }), ['1.50']],
  ['date', column(columnType.date), ['2026-11-22', '0000-00-00', '9999-12-31']],
  ['datetime', column(columnType.datetime), ['2026-11-22 10:11:12', '2026-11-22 00:00:00', '0000-00-00 00:00:00']],
  ['datetime(6)', column(columnType.datetime, { decimals: 6 }), ['2026-11-22 10:11:12.000001', '2026-11-22 00:00:00.000000']],
  ['timestamp(3)', column(columnType.timestamp, { decimals: 3 }), ['2026-11-22 10:11:12.123']],
  ['time', column(columnType.time), ['-838:59:59', '00:00:00', '25:00:01']],
  ['time(2)', column(columnType.time, { decimals: 2 }), ['-00:00:00.50', '100:00:00.00']],
  ['decimal', column(columnType.newdecimal), ['-12345678901234567890.12']],
  ['varchar', column(columnType.varString), ['', 'é']],
]

for (const [name, type, texts] of cases) {
  test(`binary ${name} gives the text it was made of`, () => {
    const columns = texts.flatMap(() => [type, type])
    const row = texts.flatMap((text) => [Buffer.from(text), null])
    const bytes = writeBinaryRow(new Writer(1), columns, row).take()
    assert.deepEqual(
      decodeBinaryRow(bytes, 0, bytes.length, columns).map((cell) => cell?.toString() ?? null),
      texts.flatMap((text) => [text, null]),
    )
  })
}

test('where values are is found without decoding them, and the first columns of a row are those of a shorter row', () => {
  const values = cases.flatMap(([, type, texts]) => texts.map((text) => ({ type, text })))
  const anyCell = fc.record({ value: fc.constantFrom(...values), isNull: fc.boolean() })
  fc.assert(
    fc.property(fc.array(anyCell, { minLength: 1, maxLength: 20 }), fc.nat(20), fc.nat(9), (cells, nat, before) => {
      const columns = cells.map(({ value }) => value.type)
      const row = cells.map(({ value, isNull }) => (isNull ? null : Buffer.from(value.text)))
      const kept = nat % (cells.length + 1)
      const data = writeBinaryRow(new Writer().zeros(before), columns, row).take()
      const spans = new Int32Array(2 * cells.length + 2)
      scanBinaryRow(data, before, data.length, columns, spans, 2)
      const texts = columns.map((one, i) => {
        const from = spans[2 + 2 * i] as number
        return from < 0 ? null : binaryText(data, from, spans[3 + 2 * i] as number, one)
      })
      assert.deepEqual(texts, row)
      const first = writeFirstColumns(new Writer(), data, before, data.length, spans, 2, kept, cells.length).take()
      assert.deepEqual(first, writeBinaryRow(new Writer(), columns.slice(0, kept), row.slice(0, kept)).take())
    }),
  )
})

test('a row that ends elsewhere than its columns say is refused', () => {
  const columns = [column(columnType.long), column(columnType.varString)]
  const data = writeBinaryRow(new Writer(), columns, [Buffer.from('1'), Buffer.from('abc')]).take()
  const scan = (end: number): void => scanBinaryRow(data, 0, end, columns, new Int32Array(4), 0)
  scan(data.length)
  assert.throws(() => scan(data.length - 1), /reaches past its row/)
  assert.throws(
    () => scanBinaryRow(Buffer.concat([data, data]), 0, 2 * data.length, columns, new Int32Array(4), 0),
    /after the last of 2 columns/,
  )
  for (const [length, refused] of [
    [[0xfd, 1], '3 bytes wanted'],
    [[0xfe, 1, 0], '8 bytes wanted'],
    [[0xfb, 0, 0, 0, 0, 0, 0, 0, 0], 'begins with 0xfb'],
    [[0xff, 0, 0, 0, 0, 0, 0, 0, 0], 'begins with 0xff'],
  ] as const)
    assert.throws(() => scanBinaryRow(Buffer.from([0, 0, ...length]), 0, 2 + length.length, columns.slice(1), new Int32Array(2), 0), {
      code: 'SW-WIRE-001',
      message: new RegExp(refused),
    })
})

test('every double and float survives', () => {
  fc.assert(
    fc.property(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.float({ noNaN: true, noDefaultInfinity: true }),
      (double, float) => {
        const columns = [column(columnType.double, { decimals: 31 }), column(columnType.float, { decimals: 31 })]
        const bytes = new Writer().u8(0).u8(0).f64(double).f32(float).take()
        const row = decodeBinaryRow(bytes, 0, bytes.length, columns)
        assert.equal(Number(row[0]?.toString()), double === 0 ? Number(row[0]?.toString()) : double)
        assert.equal(Math.fround(Number(row[1]?.toString())), float === 0 ? Math.fround(Number(row[1]?.toString())) : float)
      },
    ),
  )
})

const anyParam: fc.Arbitrary<ParamInput> = fc.oneof(
  fc.constant(null),
  fc.bigInt({ min: -(1n << 63n), max: (1n << 64n) - 1n }),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true, noInteger: true }),
  fc.string(),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
)

for (const capabilities of [0, capability.queryAttributes]) {
  test(`parameters of an execute arrive as they were given${capabilities === 0 ? '' : ', under query attributes'}`, () => {
    fc.assert(
      fc.property(fc.array(anyParam, { maxLength: 20 }), (params) => {
        const message = encodeExecute(77, params, capabilities)
        const decoded = decodeExecute(message, { paramCount: params.length, types: [], longData: new Map(), capabilities })
        assert.equal(decoded.id, 77)
        const expected = params.map((param) =>
          typeof param === 'number' && Number.isInteger(param) ? BigInt(param) : typeof param === 'string' ? Buffer.from(param) : param,
        )
        assert.deepEqual(
          decoded.params.map((param) => param.value),
          expected,
        )
      }),
    )
  })
}

test('an execute without types uses those of the one before; long data stands for its parameter', () => {
  const first = decodeExecute(encodeExecute(1, [5n, 'x'], 0), { paramCount: 2, types: [], longData: new Map(), capabilities: 0 })
  const again = new Writer().u8(0x17).u32(1).u8(0).u32(1).u8(0).u8(0).u64(9n).take()
  const decoded = decodeExecute(again, {
    paramCount: 2,
    types: first.types,
    longData: new Map([[1, Buffer.from('long')]]),
    capabilities: 0,
  })
  assert.deepEqual(
    decoded.params.map((param) => param.value),
    [9n, Buffer.from('long')],
  )
  assert.throws(() => decodeExecute(again, { paramCount: 2, types: [], longData: new Map(), capabilities: 0 }), { code: 'SW-WIRE-001' })
  // Nothing but NULL needs none: Connector/J sends it so.
  const nulls = new Writer().u8(0x17).u32(1).u8(0).u32(1).u8(3).u8(0).take()
  const given = decodeExecute(nulls, { paramCount: 2, types: [], longData: new Map(), capabilities: 0 }).params
  assert.deepEqual(
    given.map(({ type, value }) => [type, value]),
    [
      [columnType.null, null],
      [columnType.null, null],
    ],
  )
})

test('temporal parameters as text', () => {
  const w = new Writer().u8(0x17).u32(1).u8(0).u32(1).u8(0).u8(1)
  w.u8(columnType.datetime).u8(0).u8(columnType.time).u8(0).u8(columnType.date).u8(0)
  w.u8(11).u16(2026).u8(1).u8(2).u8(3).u8(4).u8(5).u32(678).u8(8).u8(1).u32(1).u8(2).u8(3).u8(4).u8(4).u16(2026).u8(9).u8(8)
  const decoded = decodeExecute(w.take(), { paramCount: 3, types: [], longData: new Map(), capabilities: 0 })
  assert.deepEqual(
    decoded.params.map((param) => param.value),
    ['2026-01-02 03:04:05.000678', '-26:03:04', '2026-09-08'],
  )
})

test('a damaged binary row is an error', () => {
  assert.throws(() => decodeBinaryRow(Buffer.from([0, 0, 5, 1]), 0, 4, [column(columnType.varString)]), { code: 'SW-WIRE-001' })
  assert.throws(() => new Reader(Buffer.from([1])).u16(), { code: 'SW-WIRE-001' })
})
