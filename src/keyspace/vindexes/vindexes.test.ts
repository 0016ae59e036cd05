/** What Vitess's vectors don't say of vindexes: inverses, ranges, batches, and what is refused. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { primaryWeights } from '../collation/primary-weights.ts'
import { keyRangeContains } from '../key-range.ts'
import { toHex } from '../keyspace-id.ts'
import { vectors } from '../testdata/vectors.ts'
import type { VindexValue, VindexValueType } from '../vindex.ts'
import { createCfc } from './cfc.ts'
import { createVindex, functionalVindexTypes } from './create.ts'
import { writeInteger } from './integers.ts'

const value = (type: VindexValueType, text: string): VindexValue => ({ type, bytes: Buffer.from(text) })
const uint64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
const int64 = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n })

test('property: hash and reverse_bits are bijections: unmap gives back what was mapped', () => {
  for (const type of ['hash', 'reverse_bits']) {
    const vindex = createVindex(type, 'v')
    fc.assert(
      fc.property(uint64, (number) => {
        const id = vindex.map([value('UINT64', String(number))])!
        assert.equal(id.length, 8)
        assert.equal(Buffer.from(vindex.unmap!(id).bytes).toString(), String(number))
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), (id) => {
        assert.equal(toHex(vindex.map([vindex.unmap!(id)])!), toHex(id))
      }),
    )
    assert.throws(() => vindex.unmap!(Buffer.of(1)), { code: 'SW-KEYSPACE-016' })
  }
})

test('property: integers are read as BigInt reads them, of any length', () => {
  const out = Buffer.alloc(8)
  const padded = fc
    .tuple(fc.nat(3), fc.oneof(uint64, fc.bigInt({ min: 0n, max: 10n ** 22n })))
    .map(([zeros, number]) => '0'.repeat(zeros) + String(number))
  fc.assert(
    fc.property(padded, (text) => {
      const number = BigInt(text)
      assert.equal(writeInteger(Buffer.from(text), false, out, 0), number < 1n << 64n)
      if (number < 1n << 64n) assert.equal(out.readBigUInt64BE(0), number)
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(fc.oneof(int64, fc.bigInt({ min: -(10n ** 21n), max: 10n ** 21n })), (number) => {
      const fits = number >= -(1n << 63n) && number < 1n << 63n
      assert.equal(writeInteger(Buffer.from(String(number)), true, out, 0), fits)
      if (fits) assert.equal(out.readBigInt64BE(0), number)
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(
      fc.string(),
      (text) => writeInteger(Buffer.from(text), false, out, 0) === /^[ \t]*\d+[ \t]*$/.test(text) || /\d{20}/.test(text),
    ),
  )
})

test('property: a batch gives what single calls give, NULLs and misfits between', () => {
  const column = fc.array(fc.oneof(int64.map(String), fc.constantFrom(null, '', 'x', '007', '18446744073709551616')))
  for (const type of [
    'hash',
    'xxhash',
    'binary',
    'binary_md5',
    'numeric',
    'reverse_bits',
    'null',
    'unicode_loose_md5',
    'unicode_loose_xxhash',
  ]) {
    const vindex = createVindex(type, 'v')
    fc.assert(
      fc.property(column, fc.constantFrom<VindexValueType>('INT64', 'UINT64', 'VARCHAR'), (texts, valueType) => {
        const many = vindex.mapMany!(
          valueType,
          texts.map((text) => (text === null ? null : Buffer.from(text))),
        )
        const one = texts.map((text) => vindex.map([text === null ? { type: 'NULL', bytes: Buffer.of() } : value(valueType, text)]))
        assert.deepEqual(
          many.map((id) => id && toHex(id)),
          one.map((id) => id && toHex(id)),
        )
      }),
      { numRuns: 40 },
    )
  }
})

test('property: many texts of one buffer hash as each by itself, of every length', () => {
  const vindex = createVindex('xxhash', 'v')
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 110 }), { minLength: 1, maxLength: 12 }), fc.nat(7), (texts, before) => {
      const data = Buffer.concat([Buffer.alloc(before), ...texts])
      const spans = new Int32Array(2 * texts.length)
      let at = before
      for (const [i, { length }] of texts.entries()) {
        spans[2 * i] = at
        at += length
        spans[2 * i + 1] = at
      }
      const ids = vindex.mapTexts!({ data, spans, first: 0, step: 2 }, 'VARBINARY', texts.length)
      assert.equal(ids?.toString('hex'), texts.map((bytes) => toHex(vindex.map([{ type: 'VARBINARY', bytes }])!)).join(''))
    }),
    { numRuns: 2000 },
  )
})

test('property: mapBetween holds every value between its bounds', () => {
  const numeric = createVindex('numeric', 'v')
  const number = fc.oneof(uint64, fc.bigInt({ min: 0n, max: 300n }))
  fc.assert(
    fc.property(fc.option(number), fc.option(number), number, (low, high, one) => {
      const range = numeric.mapBetween!(
        low === null ? null : value('UINT64', String(low)),
        high === null ? null : value('UINT64', String(high)),
      )
      const between = (low === null || one >= low) && (high === null || one <= high)
      assert.equal(range !== null && keyRangeContains(range, numeric.map([value('UINT64', String(one))])!), between)
    }),
    { numRuns: 1000 },
  )
  const binary = createVindex('binary', 'v')
  const bytes = fc.uint8Array({ maxLength: 3, max: 2 })
  fc.assert(
    fc.property(fc.option(bytes), fc.option(bytes), bytes, (low, high, one) => {
      const range = binary.mapBetween!(low && { type: 'VARBINARY', bytes: low }, high && { type: 'VARBINARY', bytes: high })
      const between = (low === null || Buffer.compare(one, low) >= 0) && (high === null || Buffer.compare(one, high) <= 0)
      if (between) assert.ok(range !== null && keyRangeContains(range, one))
    }),
    { numRuns: 1000 },
  )
})

test('property: rows found by leading columns lie in the range that those columns map to', () => {
  for (const vindex of [
    createVindex('multicol', 'v', { column_count: '3' }),
    createVindex('multicol', 'v', { column_count: '2', column_bytes: '1', column_vindex: 'xxhash' }),
    createVindex('region_experimental', 'v', { region_bytes: '2' }),
  ]) {
    fc.assert(
      fc.property(fc.array(uint64, { minLength: vindex.columns, maxLength: vindex.columns }), (numbers) => {
        const values = numbers.map((number) => value('UINT64', String(number)))
        assert.ok(keyRangeContains(vindex.mapPrefix!(values.slice(0, 1))!, vindex.map(values)!))
      }),
    )
  }
  const cfc = createCfc({ name: 'v', type: 'cfc', params: { hash: 'xxhash64', offsets: '[2,4]' }, files: null })
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 12 }), fc.nat(12), (key, length) => {
      assert.ok(keyRangeContains(cfc.mapKeyPrefix(key.subarray(0, length)), cfc.map([{ type: 'VARBINARY', bytes: key }])!))
    }),
  )
})

test("primary weights equal Vitess's, byte by byte", () => {
  for (const { hex, weights } of vectors.unicode_normalization_primary_weights) {
    assert.equal(toHex(primaryWeights(Buffer.from(Buffer.from(hex, 'hex').toString().replace(/ +$/, '')))), weights)
  }
})

test("unicode_loose_* of long texts in many scripts equal Vitess's golden values", () => {
  const md5 = createVindex('unicode_loose_md5', 'v')
  const xxhash = createVindex('unicode_loose_xxhash', 'v')
  assert.ok(vectors.unicode_hash_golden.length > 20)
  for (const golden of vectors.unicode_hash_golden) {
    const text: VindexValue[] = [{ type: 'VARCHAR', bytes: Buffer.from(golden['input_hex']!, 'hex') }]
    assert.equal(toHex(md5.map(text)!), golden['md5'])
    assert.equal(toHex(xxhash.map(text)!), golden['xxhash'])
  }
})

test('unicode_loose_md5 equals what Vitess 24 computes for contractions, marks out of order, Hangul, ideographs, code points of every plane', () => {
  const vindex = createVindex('unicode_loose_md5', 'v')
  const lines = readFileSync(new URL('../testdata/vitess-24-unicode-loose-md5.txt', import.meta.url), 'utf8')
    .trim()
    .split('\n')
  assert.ok(lines.length > 4000)
  for (const line of lines) {
    const [hex, want] = line.split(' ') as [string, string]
    const bytes = Buffer.from(hex, 'hex')
    if (want === 'error') assert.throws(() => vindex.map([{ type: 'VARCHAR', bytes }]), { code: 'SW-KEYSPACE-013' })
    else assert.equal(toHex(vindex.map([{ type: 'VARCHAR', bytes }])!), want, hex)
  }
})

test('what a vindex can not do is refused', () => {
  const refused = (code: number, type: string, params: Record<string, string> = {}) =>
    assert.throws(() => createVindex(type, 'v', params), { code: `SW-KEYSPACE-0${code}` }, `${type} ${JSON.stringify(params)}`)
  refused(10, 'toString')
  refused(12, 'lookup_unique', { table: 't', from: 'a', to: 'b' })
  refused(11, 'numeric_static_map')
  refused(11, 'numeric_static_map', { json: '{}', json_path: 'x' })
  refused(11, 'numeric_static_map', { json_path: 'x' })
  refused(11, 'numeric_static_map', { json: '{"1": -1}' })
  refused(11, 'numeric_static_map', { json: '{"1": 18446744073709551616}' })
  refused(11, 'numeric_static_map', { json: '{"x": 1}' })
  refused(11, 'multicol')
  refused(11, 'multicol', { column_count: '9' })
  refused(11, 'multicol', { column_count: '2', column_bytes: '8' })
  refused(11, 'multicol', { column_count: '2', column_bytes: '5,4' })
  refused(11, 'multicol', { column_count: '1', column_vindex: 'hash,hash' })
  refused(11, 'multicol', { column_count: '1', column_vindex: 'region_experimental', region_bytes: '1' })
  refused(12, 'multicol', { column_count: '1', column_vindex: 'lookup' })
  refused(11, 'region_experimental', { region_bytes: '3' })
  refused(11, 'region_json', { region_bytes: '1' })
  refused(11, 'cfc', { hash: 'md5' })
  refused(11, 'cfc', { hash: 'sha1', offsets: '[1]' })
  refused(11, 'cfc', { hash: 'md5', offsets: '[2,2]' })
  refused(11, 'hash', { param: 'x' })
  assert.throws(() => createVindex('cfc', 'v', { hash: 'md5', offsets: '[4]' }).map([value('VARBINARY', 'abc')]), {
    code: 'SW-KEYSPACE-014',
  })
  for (const type of functionalVindexTypes.slice(0, 7)) assert.throws(() => createVindex(type, 'v').map([]), { code: 'SW-KEYSPACE-015' })
})
