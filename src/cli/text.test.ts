import assert from 'node:assert/strict'
import { test } from 'node:test'
import { duration, resumedText } from './text.ts'

for (const [ms, expected] of [
  [null, 'unknown'],
  [999.4, '999 ms'],
  [1000, '1.0 s'],
  [59_990, '59.9 s'],
  [60_000, '1 min 0 s'],
  [3_599_999, '59 min 59 s'],
  [3_600_000, '1 h 0 min'],
  [7 * 86_400_000 - 1, '6 d 23 h'],
  [48 * 3_600_000 - 10_000, '47 h 59 min'],
] as const) {
  test(`${ms} ms are told as ${expected}: never 60 of a unit`, () => assert.equal(duration(ms), expected))
}

test('what a resume did again is told in rows, their share, and transactions beside the round that they are of', () => {
  assert.equal(
    resumedText({ rowsRedone: 31_000, transactionsRedone: 12, changesRedone: 40, round: { transactions: 15 } }, 2_000_000),
    'taken up again where it stood: 31000 rows (1.55 % of the copy) and 12 transactions (40 row changes) done again, of a round of 15',
  )
  assert.match(
    resumedText({ rowsRedone: 0, transactionsRedone: 0, changesRedone: null, round: null }, 0),
    /: 0 rows and 0 transactions done again$/,
  )
})
