/** Every functional vindex equals Vitess's: inputs and results from its own tests (testdata/), each recomputed independently. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { printKeyRange } from '../key-range.ts'
import { toHex } from '../keyspace-id.ts'
import { vectors, type Case, type JsonValue } from '../testdata/vectors.ts'
import type { Vindex, VindexParams, VindexValue, VindexValueType } from '../vindex.ts'
import { createVindex } from './create.ts'

function valueOf(given: JsonValue | string): VindexValue {
  if (typeof given === 'string') {
    const [type, text] = given.split(' ') as [VindexValueType, string]
    return { type, bytes: Buffer.from(text) }
  }
  return { type: given.type, bytes: given.hex !== undefined ? Buffer.from(given.hex, 'hex') : Buffer.from(given.value ?? '') }
}

/** Runs the cases one by one and, where there is one, through the batch form; says how many there were. */
function check(vindex: Vindex, cases: readonly Case[]): void {
  assert.ok(cases.length > 0)
  for (const one of cases) {
    const values = (Array.isArray(one.in) ? one.in : [one.in]).map(valueOf)
    const label = `${vindex.type} ${JSON.stringify(one.in)}`
    if (one.keyrange !== undefined) {
      assert.equal(printKeyRange(vindex.mapPrefix!(values)!), one.keyrange.join('-'), label)
      assert.throws(() => vindex.map(values), { code: 'SW-KEYSPACE-015' })
      continue
    }
    const want = one.destination === 'none' ? null : one.ksid!
    const id = vindex.map(values)
    assert.equal(id === null ? null : toHex(id), want, label)
    if (vindex.mapMany !== undefined) {
      const { type, bytes } = values[0]!
      const many = vindex.mapMany(type, [type === 'NULL' ? null : bytes, null, type === 'NULL' ? null : bytes])
      assert.deepEqual(
        many.map((found) => (found === null ? null : toHex(found))),
        [want, hexOrNull(vindex.map([{ type: 'NULL', bytes: Buffer.of() }])), want],
        `${label} in a batch`,
      )
      if (vindex.mapTexts === undefined || type === 'NULL') continue
      const data = Buffer.concat([Buffer.from('12'), bytes, Buffer.from('7')])
      const texts = { data, spans: Int32Array.of(-1, 2, 2 + bytes.length, -1, 0, 2, 2 + bytes.length), first: 1, step: 4 }
      const [found, two] = [vindex.mapTexts(texts, type, 1), vindex.mapTexts({ ...texts, step: 2 }, type, 2)]
      assert.equal(found === null ? null : toHex(found), want, `${label} within other bytes`)
      assert.equal(two, null, `${label} beside a NULL`)
      const more = vindex.mapTexts({ ...texts, spans: Int32Array.of(2, 2 + bytes.length, 0, 2), first: 0, step: 2 }, type, 2)
      const other = vindex.map([{ type, bytes: Buffer.from('12') }])
      assert.equal(
        more === null ? null : toHex(more),
        want === null || other === null ? null : want + toHex(other),
        `${label} before another`,
      )
    }
  }
}

const hexOrNull = (id: Uint8Array | null): string | null => (id === null ? null : toHex(id))

for (const type of [
  'hash',
  'numeric',
  'reverse_bits',
  'null',
  'xxhash',
  'binary_md5',
  'binary',
  'unicode_loose_md5',
  'unicode_loose_xxhash',
]) {
  test(`${type} equals Vitess's vectors`, () => check(createVindex(type, 'v'), vectors[type]!))
}

test("numeric_static_map equals Vitess's vectors, from a file and with a fallback", () => {
  const { params, cases } = vectors.numeric_static_map
  const files = { readText: (path: string) => (assert.equal(path, params.json_path), JSON.stringify(params.file)) }
  check(createVindex('numeric_static_map', 'v', { json_path: params.json_path! }, files), cases)
  const fallback = vectors.numeric_static_map_fallback_xxhash
  // The largest integer stands as text in the vectors; in a vschema it is a number, which must be read exactly.
  const json = JSON.stringify(fallback.params.json).replace('"18446744073709551615"', '18446744073709551615')
  check(createVindex('numeric_static_map', 'v', { json, fallback_type: 'xxhash' }), fallback.cases)
})

test("multicol and region_experimental equal Vitess's vectors, ranges by leading columns included", () => {
  check(createVindex('multicol', 'v', { column_count: vectors.multicol.params.column_count! }), vectors.multicol.cases)
  check(createVindex('region_experimental', 'v', { region_bytes: '1' }), vectors.region_experimental['region_bytes=1']!)
  check(createVindex('region_experimental', 'v', { region_bytes: '2' }), vectors.region_experimental['region_bytes=2']!)
})

/** Computed once with Vitess 24.0.0's own package: what its test vectors leave out. */
type Extra = {
  type: string
  params: VindexParams
  files?: string
  cases: { in: [VindexValueType, string][]; ksid: string | null; range?: string }[]
}
const extras = JSON.parse(readFileSync(new URL('../testdata/vitess-24-computed.json', import.meta.url), 'utf8')) as Extra[]

for (const { type, params, files, cases } of extras) {
  test(`${type} ${JSON.stringify(params).slice(0, 60)} equals what Vitess 24 computes (${cases.length} values)`, () => {
    const vindex = createVindex(type, 'v', params, { readText: () => files! })
    for (const one of cases) {
      const values = one.in.map(([valueType, hex]): VindexValue => ({ type: valueType, bytes: Buffer.from(hex, 'hex') }))
      const got = (): string | null => {
        if (values.length < vindex.columns) {
          const range = vindex.mapPrefix!(values)
          return range === null ? null : printKeyRange(range)
        }
        try {
          return hexOrNull(vindex.map(values))
        } catch {
          return 'error'
        }
      }
      assert.equal(got(), one.ksid, `${type} ${JSON.stringify(params)} ${JSON.stringify(one.in)}`)
    }
  })
}
