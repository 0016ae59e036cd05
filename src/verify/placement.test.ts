/** Rows on a wrong shard are counted from the aggregated cell exactly as they are routed one by one. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { keyRangeContains, parseKeyRange } from '../keyspace/key-range.ts'
import { createVindex } from '../keyspace/vindexes/create.ts'
import type { VindexValueType } from '../keyspace/vindex.ts'
import type { TablePlan } from '../move/table-plan.ts'
import { columnOf, planOf } from '../move/testkit/samples.ts'
import { countMisplaced } from './placement.ts'

function plan(vindex: string, params: Record<string, string>, columns: [string, string][]): TablePlan {
  const definitions = [['id', 'bigint'] as const, ...columns].map(([name, type]) => columnOf(name, type, { nullable: true }))
  return planOf(definitions, ['id'], { vindex: createVindex(vindex, vindex, params), vindexColumns: columns.map(([name]) => name) })
}

const cases: [
  string,
  ReturnType<typeof plan>,
  fc.Arbitrary<(string | null)[]>,
  (value: string | null, i: number) => string,
  VindexValueType[],
][] = [
  [
    'integers',
    plan('hash', {}, [['a', 'bigint']]),
    fc.tuple(fc.bigInt({ min: 0n, max: 1n << 40n }).map(String)),
    (value) => value ?? 'N',
    ['INT64'],
  ],
  [
    'bytes, commas and NULL among them',
    plan('xxhash', {}, [['a', 'varbinary']]),
    fc.tuple(fc.oneof(fc.constantFrom(',', ':', 'N', '4e', '\0'), fc.string({ minLength: 1 }))),
    (value) => (value === null ? 'N' : Buffer.from(value).toString('hex').toUpperCase()),
    ['VARBINARY'],
  ],
  [
    'two columns',
    plan('multicol', { column_count: '2', column_vindex: 'hash,xxhash' }, [
      ['a', 'bigint'],
      ['b', 'varbinary'],
    ]),
    fc.tuple(fc.nat().map(String), fc.string({ minLength: 1 })),
    (value, i) =>
      i === 0
        ? (value ?? 'N')
        : Buffer.from(value ?? '')
            .toString('hex')
            .toUpperCase(),
    ['INT64', 'VARBINARY'],
  ],
]

for (const [name, table, rows, print, types] of cases) {
  test(`shard keys of ${name}`, () => {
    fc.assert(
      fc.property(fc.array(rows, { minLength: 1, maxLength: 30 }), fc.constantFrom('-', '-80', '80-', '40-c0'), (list, shard) => {
        const cell = Buffer.from(list.map((row) => row.map(print).join(':')).join(','), 'latin1')
        const wrong = list.filter((row) => {
          const id = table.vindex!.map(row.map((value, i) => ({ type: types[i]!, bytes: Buffer.from(value ?? '') })))
          return id === null || !keyRangeContains(parseKeyRange(shard), id)
        })
        assert.equal(countMisplaced(table, shard, cell, list.length, 1 << 20), wrong.length)
        assert.equal(countMisplaced(table, shard, cell, list.length + 1, 1 << 20), 'incomplete', 'a cell that the server cut')
      }),
    )
  })
}

test('a row without a shard key belongs nowhere', () => {
  assert.equal(countMisplaced(cases[0]![1], '-', Buffer.from('N,1'), 2, 64), 1)
})

test('a cell that may have been cut within its last key is not judged by what is left of it', () => {
  for (const [, table, , print] of cases) {
    const row = table.shardKey.map((_, i) => print('12345', i)).join(':')
    const cell = Buffer.from(`${row},${row}`)
    assert.equal(countMisplaced(table, '-', cell, 2, cell.length), 'incomplete')
    assert.equal(countMisplaced(table, '-', cell, 2, cell.length + 1), 0)
  }
})
