/** PROTOCOLS 4.9, in memory: what a batch merges to does not depend on how records are cut and ordered. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MergedTable } from './coalesce.ts'
import { DDSketch } from './ddsketch.ts'
import { addInts, parseDecimal, printDecimal } from './decimal.ts'
import { defineTopic, type TopicDefinition } from './definition.ts'
import { json } from './json.ts'
import { makeRows, type MadeRow } from './made-row.ts'
import { compareVersions, encodeVersion, type OrderVersion } from './order-version.ts'
import { column, tableOf } from './testkit/table-info.ts'
import { planTable, type TablePlan } from './table-plan.ts'
import { rowLiteral } from './upsert.ts'

const hourMs = 3_600_000
const definition: TopicDefinition = defineTopic({
  topic: 't',
  version: 1,
  decode: json({ k: 'text', at: 'integer', n: 'integer', d: 'decimal', x: 'integer?' }),
  eventTime: (event) => Number(event.at),
  tables: {
    c: {
      kind: 'coalesced',
      shardKey: ['k'],
      key: ['k', 'hour'],
      bucket: { column: 'hour', everyMs: hourMs },
      lastVersion: 'lv',
      firstVersion: 'fv',
      columns: {
        k: { merge: 'key' },
        hour: { merge: 'key' },
        n: { merge: 'sum' },
        d: { merge: 'sum' },
        count: { merge: 'count' },
        lo: { merge: 'min' },
        hi: { merge: 'max' },
        newest: { merge: 'last' },
        oldest: { merge: 'first' },
        s: { merge: 'sketch' },
      },
      map: (event) => ({
        k: event.k,
        n: event.n,
        d: event.d,
        lo: event.x,
        hi: event.x,
        newest: event.n,
        oldest: event.n,
        s: Number(event.n),
      }),
    },
  },
})
const columns = [
  column('k', 'varchar(20)'),
  column('hour', 'datetime'),
  column('n', 'bigint'),
  column('d', 'decimal(30,4)'),
  column('count', 'bigint'),
  column('lo', 'int', { nullable: true }),
  column('hi', 'int', { nullable: true }),
  column('newest', 'bigint'),
  column('oldest', 'bigint'),
  column('s', 'blob'),
  column('lv', 'varbinary(100)', { defaultText: "''" }),
  column('fv', 'varbinary(100)', { defaultText: "''" }),
]
const made = planTable({
  definition: definition.tables[0]!,
  topicId: 't',
  info: tableOf('c', columns, ['k', 'hour']),
  vschema: null,
  sharded: false,
})
assert.deepEqual(made.problems, [])
const plan = made.plan as TablePlan

function rowsOf(events: readonly { k: string; at: number; n: number; d: number; x: number | null }[]): MadeRow[] {
  return events.flatMap(({ d, ...event }, i) => {
    const value = Buffer.from(JSON.stringify({ ...event, d: printDecimal(BigInt(d), 4) }))
    const record = { partition: i % 3, offset: BigInt(i), timestampMs: 0, key: null, value }
    return makeRows({ definition, plans: [plan] }, record, 't').rows
  })
}

const merged = (rows: readonly MadeRow[]): string[] => {
  const table = new MergedTable(plan)
  for (const row of rows) table.add(row)
  return table.sorted().map((row) => rowLiteral(plan, row))
}

const event = fc.record({
  k: fc.constantFrom('a', 'b', 'a '),
  at: fc.integer({ min: 0, max: 3 * hourMs }),
  n: fc.integer({ min: -1000, max: 1000 }),
  d: fc.integer({ min: -(10 ** 9), max: 10 ** 9 }),
  x: fc.option(fc.integer({ min: -5, max: 5 })),
})

test('merging is commutative: any order of the records gives the same rows, byte for byte', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30, size: 'max' }), fc.integer(), (events, seed) => {
      const rows = rowsOf(events)
      const mixed = [...rows].sort(
        (a, b) => (Math.imul(a.cells.length + rows.indexOf(a), seed | 1) | 0) - (Math.imul(b.cells.length + rows.indexOf(b), seed | 1) | 0),
      )
      assert.deepEqual(merged(mixed), merged(rows))
    }),
  )
})

test('keys that the server takes for equal merge: trailing spaces of a PAD SPACE collation', () => {
  assert.equal(
    merged(
      rowsOf([
        { k: 'a', at: 1, n: 1, d: 0, x: null },
        { k: 'a ', at: 1, n: 2, d: 0, x: null },
      ]),
    ).length,
    1,
  )
})

test('the bytes of a version are in the order of its parts', () => {
  const version = fc.record({
    timeMs: fc.integer({ min: -(10 ** 12), max: 10 ** 13 }),
    topicId: fc.constantFrom('a', 'ab', 'b'),
    partition: fc.integer({ min: 0, max: 300 }),
    offset: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    place: fc.integer({ min: 0, max: 3 }),
  })
  const sign = (n: number): number => Math.sign(n)
  fc.assert(
    fc.property(version, version, (a: OrderVersion, b: OrderVersion) => {
      assert.equal(sign(compareVersions(a, b)), sign(Buffer.compare(encodeVersion(a), encodeVersion(b))))
    }),
  )
})

test('a sketch: quantiles within one per cent, merging exact and canonical, bytes read back', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 200, size: 'max' }),
      fc.nat(),
      (values, cut) => {
        const whole = DDSketch.of(values)
        const [left, right] = [values.slice(0, cut % values.length), values.slice(cut % values.length)].map((part) => DDSketch.of(part))
        right!.merge(left!)
        assert.deepEqual(right!.encode(), whole.encode())
        assert.deepEqual(DDSketch.decode(whole.encode()).encode(), whole.encode())
        assert.equal(whole.count, values.length)
        const sorted = [...values].sort((a, b) => a - b)
        for (const q of [0, 0.5, 0.9, 0.99, 1]) {
          const exact = sorted[Math.max(0, Math.ceil(q * values.length) - 1)]!
          const found = whole.quantile(q)!
          assert.ok(Math.abs(found - exact) <= 0.0101 * Math.abs(exact) + 1e-9, `${q}: ${found} for ${exact}`)
        }
      },
    ),
  )
  assert.throws(() => DDSketch.of(1, 0.01).merge(DDSketch.of(1, 0.02)), /relative error/)
  assert.throws(() => DDSketch.decode(Buffer.from('zzzzzzzzzzzzzz')), /SW-INGEST|sketch/)
})

test('exact numbers: sums leave the range of doubles without loss; more digits than the column keeps are refused', () => {
  assert.equal(addInts(Number.MAX_SAFE_INTEGER, 1), 2n ** 53n)
  assert.equal(parseDecimal('12.5', 2), 1250n)
  assert.equal(parseDecimal('12.505', 2), null)
  assert.equal(printDecimal(-5n, 3), '-0.005')
  const decode = json({ big: 'integer', cost: 'decimal' })
  const record = {
    partition: 0,
    offset: 0n,
    timestampMs: 0,
    key: null,
    value: Buffer.from('{"big": 12345678901234567890, "cost": 0.1000000000000000055}'),
  }
  assert.deepEqual(decode(record), { big: 12345678901234567890n, cost: '0.1000000000000000055' })
})

test('a sketch of many buckets is written whole, though none before was as long', () => {
  for (const many of [300, 700, 3000]) {
    const sketch = new DDSketch(0.001)
    for (let i = 0; i < many; i++) sketch.add((i % 2 === 0 ? 1 : -1) * 1.003 ** i, 1 + i * 1000)
    const hex = sketch.hex()
    const again = new DDSketch(0.001)
    for (let i = many - 1; i >= 0; i--) again.add((i % 2 === 0 ? 1 : -1) * 1.003 ** i, 1 + i * 1000)
    assert.equal(again.encode().toString('hex'), hex)
    const decoded = DDSketch.decode(Buffer.from(hex, 'hex'))
    assert.deepEqual([decoded.count, decoded.encode().toString('hex')], [sketch.count, hex])
  }
})
