/** Key ranges: Vitess's vectors, and the laws of the algebra on random ranges. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { evenShards, generateShardRanges } from './even-shards.ts'
import { KeyRangeIndex } from './key-range-index.ts'
import {
  components,
  chooseComponents,
  coveredRange,
  differenceOf,
  parseKeyRanges,
  parseShardingSpec,
  planReshard,
  printKeyRanges,
  requireWholeCoverage,
  sortKeyRanges,
} from './key-range-sets.ts'
import {
  compareKeyRanges,
  isKeyRangeText,
  isWholeKeyRange,
  keyRange,
  keyRangeContains,
  keyRangeContainsRange,
  keyRangeIntersection,
  keyRangesContiguous,
  keyRangesEqual,
  keyRangesIntersect,
  parseKeyRange,
  printKeyRange,
  unionOfAdjacent,
  wholeKeyRange,
  type KeyRange,
} from './key-range.ts'
import { afterPrefix, compareKeyspaceIds, normaliseKeyspaceId } from './keyspace-id.ts'

type Vectors = {
  shard_name_regex: string
  generate_shard_ranges: Record<string, { want: string[]; error: boolean }>
  generate_shard_ranges_hex_width: { shards: number; hexWidth: number; want: string[] | null; error: string | null }[]
  is_valid_key_range: { in: string; valid: boolean }[]
  parse_sharding_spec_ok: string[]
  parse_sharding_spec_error: string[]
  contains: [string, string, string, boolean][]
  validate_for_reshard: { sources: string[]; targets: string[]; error: string }[]
}
const vectors = (
  JSON.parse(readFileSync(new URL('testdata/vitess-vindexes-keyranges.json', import.meta.url), 'utf8')) as { key_ranges: Vectors }
).key_ranges

const bytes = fc.uint8Array({ maxLength: 4 })
const range: fc.Arbitrary<KeyRange> = fc
  .tuple(bytes, bytes)
  .map(([a, b]) => (compareKeyspaceIds(a, b) <= 0 ? [a, b] : [b, a]) as [Uint8Array, Uint8Array])
  .map(([a, b]) => (compareKeyspaceIds(a, b) === 0 ? keyRange(a, Buffer.of()) : keyRange(a, b)))
/** A whole keyspace cut at random points. */
const shards: fc.Arbitrary<KeyRange[]> = fc.array(bytes, { maxLength: 8 }).map((cuts) => {
  const texts = [...new Set(cuts.map((cut) => Buffer.from(normaliseKeyspaceId(cut)).toString('hex')))].filter((text) => text !== '').sort()
  return ['', ...texts].map((start, i) => parseKeyRange(`${start}-${texts[i] ?? ''}`))
})

test("the form of shard names equals Vitess's", () => {
  for (const { in: text, valid } of vectors.is_valid_key_range) {
    assert.equal(isKeyRangeText(text), valid, text)
    if (valid) parseKeyRange(text)
    else assert.throws(() => parseKeyRange(text), { code: 'SW-KEYSPACE-001' })
  }
})

test("even shards are Vitess's, text by text", () => {
  for (const [count, { want, error }] of Object.entries(vectors.generate_shard_ranges)) {
    if (error) assert.throws(() => generateShardRanges(Number(count)), { code: 'SW-KEYSPACE-003' })
    else assert.deepEqual(generateShardRanges(Number(count)), want)
  }
  for (const { shards: count, hexWidth, want, error } of vectors.generate_shard_ranges_hex_width) {
    if (error !== null) assert.throws(() => generateShardRanges(count, hexWidth), { code: 'SW-KEYSPACE-003' })
    else assert.deepEqual(generateShardRanges(count, hexWidth), want)
  }
})

test("sharding specs and containment equal Vitess's", () => {
  assert.deepEqual(parseShardingSpec('-4000000000000000-8000000000000000-').map(printKeyRange), ['-40', '40-80', '80-'])
  for (const spec of vectors.parse_sharding_spec_ok) requireWholeCoverage(parseShardingSpec(spec))
  for (const spec of vectors.parse_sharding_spec_error) assert.throws(() => parseShardingSpec(spec), /SW|range|limit/)
  for (const [id, start, end, want] of vectors.contains)
    assert.equal(keyRangeContains(parseKeyRange(`${start}-${end}`), Buffer.from(id, 'hex')), want)
})

test("which reshards make sense equals Vitess's answers", () => {
  for (const { sources, targets, error } of vectors.validate_for_reshard) {
    const plan = () => planReshard(sources.map(parseKeyRange), targets.map(parseKeyRange))
    if (error === '') plan()
    else
      assert.throws(plan, {
        code: error.startsWith('same') ? 'SW-KEYSPACE-008' : error.startsWith('source') ? 'SW-KEYSPACE-007' : /SW-KEYSPACE-00[56]/,
      })
  }
})

test('what is wrong with a reshard is named', () => {
  const plan = (sources: string, targets: string) => () => planReshard(parseKeyRanges(sources), parseKeyRanges(targets))
  assert.throws(plan('-60,40-', '-'), { message: 'the source shards overlap: -60 and 40- both hold 40-60' })
  assert.throws(plan('-', '-40,60-'), { message: 'the target shards leave out 40-60' })
  assert.throws(plan('-', '-40,40-80'), { message: 'sources cover - but targets cover -80; 80- has no target' })
  assert.throws(plan('40-80', '-60,60-'), /-40 has no source, 80- has no source/)
  assert.throws(plan('-40,40-80', '-40,40-60,60-80'), { message: 'shard -40 is both a source and a target' })
  assert.throws(plan('0', '-'), { code: 'SW-KEYSPACE-008' })
  assert.throws(() => planReshard([], [wholeKeyRange]), { code: 'SW-KEYSPACE-004' })
  assert.throws(() => parseKeyRange('80-40'), { code: 'SW-KEYSPACE-001' })
  assert.throws(() => parseKeyRange('80-8000'), { code: 'SW-KEYSPACE-001' })
  assert.throws(() => parseKeyRange('-00'), { code: 'SW-KEYSPACE-001' })
  assert.throws(() => requireWholeCoverage(parseKeyRanges('40-80')), { message: 'the keyspace shards leave out -40 and 80-' })
})

test('a reshard falls into components; only whole ones can switch', () => {
  const plan = planReshard(parseKeyRanges('-40,40-80,80-c0,c0-'), parseKeyRanges('-80,80-a0,a0-c0,c0-e0,e0-'))
  assert.deepEqual(
    plan.map((one) => `${printKeyRanges(one.sources)}>${printKeyRanges(one.targets)}`),
    ['-40,40-80>-80', '80-c0>80-a0,a0-c0', 'c0->c0-e0,e0-'],
  )
  const uneven = planReshard(parseKeyRanges('-40,40-80,80-'), parseKeyRanges('-60,60-c0,c0-'))
  assert.equal(uneven.length, 1)
  const choose = (text: string) => chooseComponents(plan, parseKeyRanges(text)).map((one) => printKeyRange(one.range))
  assert.deepEqual(choose('80-c0'), ['80-c0'])
  assert.deepEqual(choose('-80,c0-'), ['-80', 'c0-'])
  assert.deepEqual(choose('-40,40-80'), ['-80'])
  assert.throws(() => choose('-40'), { code: 'SW-KEYSPACE-009', fix: 'the smallest set that would do: -40,40-80 → -80' })
  assert.throws(() => choose('80-a0,c0-'), /80-a0,c0- can not/)
  assert.throws(() => choose('50-60'), { fix: /-40,40-80 → -80/ })
})

test('property: reading what is printed gives the same range', () => {
  fc.assert(
    fc.property(
      range,
      (one) =>
        keyRangesEqual(parseKeyRange(printKeyRange(one)), one) && printKeyRange(parseKeyRange(printKeyRange(one))) === printKeyRange(one),
    ),
  )
})

test('property: trailing zero bytes change neither order nor containment', () => {
  fc.assert(
    fc.property(range, bytes, fc.nat(3), (one, id, zeros) => {
      const padded = (plain: Uint8Array) => (plain.length === 0 ? plain : Buffer.concat([plain, Buffer.alloc(zeros)]))
      const longer = keyRange(padded(one.start), padded(one.end))
      assert.ok(keyRangesEqual(one, longer))
      assert.equal(printKeyRange(one), printKeyRange(longer))
      assert.equal(keyRangeContains(one, id), keyRangeContains(longer, padded(id)))
      assert.equal(compareKeyspaceIds(id, padded(id)), 0)
    }),
  )
})

test('property: comparing ids is a total order that agrees with their padded bytes', () => {
  const pad = (id: Uint8Array) => Buffer.concat([id, Buffer.alloc(8 - id.length)])
  fc.assert(fc.property(bytes, bytes, (a, b) => compareKeyspaceIds(a, b) === Buffer.compare(pad(a), pad(b))))
})

test('property: intersection, inclusion, difference and union agree with membership', () => {
  fc.assert(
    fc.property(range, range, bytes, (a, b, id) => {
      const both = keyRangeIntersection(a, b)
      assert.equal(both !== null, keyRangesIntersect(a, b))
      const inA = keyRangeContains(a, id)
      const inB = keyRangeContains(b, id)
      assert.equal(both !== null && keyRangeContains(both, id), inA && inB)
      assert.equal(
        differenceOf(a, b).some((piece) => keyRangeContains(piece, id)),
        inA && !inB,
      )
      if (keyRangeContainsRange(a, b)) assert.ok(!inB || inA)
      assert.equal(keyRangeContainsRange(a, b), differenceOf(b, a).length === 0)
      const union = unionOfAdjacent(a, b)
      assert.equal(union !== null, keyRangesContiguous(a, b) || keyRangesContiguous(b, a))
      if (union !== null) assert.equal(keyRangeContains(union, id), inA || inB)
      assert.equal(compareKeyRanges(a, b), -compareKeyRanges(b, a) + 0)
    }),
    { numRuns: 1000 },
  )
})

test('property: an id stands in exactly one shard of a whole keyspace, and the index finds it', () => {
  fc.assert(
    fc.property(shards, fc.uint8Array({ maxLength: 9 }), (all, id) => {
      requireWholeCoverage(all)
      const holders = all.filter((shard) => keyRangeContains(shard, id))
      assert.equal(holders.length, 1)
      const index = new KeyRangeIndex(all.map((shard) => ({ range: shard, value: printKeyRange(shard) })))
      assert.equal(index.find(id), printKeyRange(holders[0]!))
      const holey = new KeyRangeIndex(all.slice(1).map((shard) => ({ range: shard, value: shard })))
      assert.equal(holey.find(id), holders[0] === all[0] ? undefined : holders[0])
    }),
    { numRuns: 1000 },
  )
})

test('property: ids of eight bytes, one after another, are found as each by itself', () => {
  fc.assert(
    fc.property(shards, fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.nat(8), (all, random, kept) => {
      for (const part of [all, all.slice(1), all.slice(0, -1)]) {
        const index = new KeyRangeIndex(part.map((shard) => ({ range: shard, value: shard })))
        // Bounds themselves, and ids that begin like one.
        const ids = Buffer.concat([
          random,
          ...all.map(({ start }) => Buffer.concat([start.subarray(0, 8), random.subarray(0, kept), Buffer.alloc(8)]).subarray(0, 8)),
        ])
        for (let at = 0; at < ids.length; at += 8) assert.equal(index.findEight(ids, at), index.find(ids.subarray(at, at + 8)))
      }
    }),
    { numRuns: 1000 },
  )
})

test('property: the index finds the shards of a range: those that hold an id of it, and no others', () => {
  fc.assert(
    fc.property(shards, range, fc.uint8Array({ maxLength: 6 }), (all, part, id) => {
      const found = new KeyRangeIndex(all.map((shard) => ({ range: shard, value: shard }))).findAll(part)
      assert.deepEqual(
        found,
        all.filter((shard) => keyRangeIntersection(shard, part) !== null),
      )
      if (keyRangeContains(part, id)) assert.ok(found.some((shard) => keyRangeContains(shard, id)))
    }),
  )
})

test('property: even shards cover the keyspace, in order, of nearly equal size', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 700 }), (count) => {
      const all = evenShards(count)
      assert.equal(all.length, count)
      assert.ok(isWholeKeyRange(coveredRange(all, 'keyspace')))
      assert.deepEqual(all, sortKeyRanges(all))
      const at = (bound: Uint8Array, empty: number) =>
        bound.length === 0 ? empty : Buffer.concat([bound, Buffer.alloc(2)]).readUInt16BE(0)
      const sizes = all.map((one) => at(one.end, 65_536) - at(one.start, 0))
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= (count <= 256 ? 256 : 1))
    }),
    { numRuns: 60 },
  )
})

test('property: components partition sources and targets, each covers one range, and none can be cut further', () => {
  fc.assert(
    fc.property(shards, shards, (sources, targets) => {
      const found = components(sources, targets)
      assert.deepEqual(
        found.flatMap((one) => one.sources),
        sources,
      )
      assert.deepEqual(
        found.flatMap((one) => one.targets),
        targets,
      )
      assert.equal(
        isWholeKeyRange(
          coveredRange(
            found.map((one) => one.range),
            'keyspace',
          ),
        ),
        true,
      )
      for (const one of found) {
        assert.ok(keyRangesEqual(coveredRange(one.sources, 'source'), one.range))
        assert.ok(keyRangesEqual(coveredRange(one.targets, 'target'), one.range))
        const inner = (ranges: readonly KeyRange[]) => ranges.slice(1).map((next) => Buffer.from(next.start).toString('hex'))
        assert.ok(!inner(one.sources).some((cut) => inner(one.targets).includes(cut)), 'a common bound inside a component')
      }
    }),
    { numRuns: 1000 },
  )
})

test('the point after a prefix', () => {
  assert.deepEqual(afterPrefix(Buffer.from('16ff', 'hex')), Uint8Array.of(0x17, 0))
  assert.equal(afterPrefix(Buffer.from('ffff', 'hex')), null)
  assert.equal(afterPrefix(Buffer.of()), null)
})
