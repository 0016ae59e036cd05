/** What a settled key means: every way in which the two sides can stand to each other. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { judgePlace, type SettledRow } from './judge.ts'

const columns = ['id', 'v']
const row = (home: number | null, v: string | null = 'x', key = '1'): SettledRow => ({ key, home, values: [key, v] })
const told = (sources: SettledRow[], targets: SettledRow[][]): string[] =>
  judgePlace(sources, targets, columns).findings.map(
    ({ kind, target, columns: names }) => `${kind} ${target}${names.length === 0 ? '' : ` ${names.join('+')}`}`,
  )

test('one row: right, missing, different, extra, moved, doubled, stale', () => {
  assert.deepEqual(told([row(1)], [[], [row(1)]]), [])
  assert.deepEqual(told([row(1)], [[], []]), ['missing 1'])
  assert.deepEqual(told([row(1)], [[], [row(1, null)]]), ['different 1 v'])
  assert.deepEqual(told([], [[], [row(1)]]), ['extra 1'])
  assert.deepEqual(told([row(1)], [[row(1)], []]), ['misplaced 0'], 'one harm, one finding')
  assert.deepEqual(told([row(1)], [[row(1, 'y')], []]), ['misplaced 0 v'])
  assert.deepEqual(told([row(1)], [[row(1)], [row(1)]]), ['misplaced 0'])
  assert.deepEqual(told([row(1)], [[row(0, 'old')], [row(1)]]), ['extra 0'], 'a copy left behind when the shard key changed')
  assert.deepEqual(told([row(1)], [[row(0, 'old')], []]), ['extra 0', 'missing 1'])
  assert.deepEqual(told([row(1, 'x', "'a'")], [[], [row(1, 'x', "'A'")]]), ['different 1 id'], 'keys that a collation calls equal')
})

test('only what rests on a row that some source does not have needs the gap locked', () => {
  assert.equal(judgePlace([], [[row(0)]], columns).needsAbsence, true)
  assert.equal(judgePlace([], [[]], columns).needsAbsence, false)
  assert.equal(judgePlace([row(1)], [[row(0, 'old')], []], columns).needsAbsence, true, 'another source may have it')
  assert.equal(judgePlace([row(1)], [[], [row(1, 'y')]], columns).needsAbsence, false)
  assert.equal(judgePlace([row(1)], [[], []], columns).needsAbsence, false)
})

test('a reference table: each copy by itself', () => {
  assert.deepEqual(told([row(null)], [[row(null)], [], [row(null, 'y')]]), ['different 2 v', 'missing 1'])
  assert.deepEqual(told([], [[row(null)], []]), ['extra 0'])
})

test('what repair does makes every place right', () => {
  const anyRow = fc
    .record({ home: fc.integer({ min: 0, max: 2 }), v: fc.constantFrom('x', 'y', null), key: fc.constantFrom("'a'", "'A'") })
    .map(({ home, v, key }) => row(home, v, key))
  fc.assert(
    fc.property(
      fc.option(anyRow, { nil: undefined }),
      fc.array(fc.option(anyRow, { nil: undefined }), { minLength: 3, maxLength: 3 }),
      (source, found) => {
        const sources = source === undefined ? [] : [source]
        const targets = found.map((one) => (one === undefined ? [] : [one]))
        const { amends, findings } = judgePlace(sources, targets, columns)
        assert.equal(amends.length === 0, findings.length === 0)
        const mended = targets.map((rows) => [...rows])
        for (const { target, remove, put } of amends) {
          mended[target] = mended[target]!.filter(({ key }) => !remove.includes(key))
          if (put !== null) mended[target]!.push(put)
        }
        assert.deepEqual(judgePlace(sources, mended, columns).findings, [])
      },
    ),
  )
})
