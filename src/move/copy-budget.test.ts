import assert from 'node:assert/strict'
import { test } from 'node:test'
import { moverDefaults, readersOf } from './config.ts'
import { chunksInFlight, copyBudget } from './copy-budget.ts'

test('a kill costs a share of the copy: at most 2 % of two million rows and more is on its way, with a chunk for each reader', () => {
  for (const targets of [1, 4, 8, 16]) {
    const readers = readersOf(moverDefaults, targets)
    for (const rows of [2e6, 3e6, 1e7, 1e9, 1e11]) {
      const { chunkRows, copyRowsMax } = copyBudget(moverDefaults, rows, readers)
      assert.ok(copyRowsMax + readers * chunkRows <= 0.02 * rows, `${rows} rows, ${targets} targets`)
    }
    assert.deepEqual(copyBudget(moverDefaults, 0, readers), copyBudget(moverDefaults, 2e6, readers))
  }
})

test('of several streams together: at most 2 % of what they copy, however they share it; a few rows beside many are not copied one by one', () => {
  const even = (streams: number): number[] => Array.from({ length: streams }, () => 2e6 / streams)
  const copies = [even(8), even(4), even(2), [1.5e6, 5e5 / 3, 5e5 / 3, 5e5 / 3], [2e6, 0, 0, 0, 0, 0, 0, 0], [1e9, 1e6], even(100)]
  for (const rows of copies) {
    const all = { streams: rows.length, rowsEstimated: rows.reduce((sum, each) => sum + each, 0) }
    for (const readers of [1, 2]) {
      const budgets = rows.map((each) => copyBudget(moverDefaults, each, readers, all))
      const onTheirWay = budgets.reduce((sum, { copyRowsMax, chunkRows }) => sum + copyRowsMax + readers * chunkRows, 0)
      assert.ok(onTheirWay <= 0.02 * all.rowsEstimated + 2 * readers * rows.length, `${rows.join()}: ${onTheirWay}`)
      for (const { copyRowsMax } of budgets) assert.ok(copyRowsMax >= Math.floor(2e6 / 160 / rows.length), `${rows.join()}: ${copyRowsMax}`)
    }
  }
  // Eight of a small copy, which do not all know their rows yet.
  const early = copyBudget(moverDefaults, 1e3, 2, { streams: 8, rowsEstimated: 3e3 })
  assert.ok(8 * (early.copyRowsMax + 2 * early.chunkRows) <= 0.02 * 2e6 + 16)
  assert.equal(
    copyBudget(moverDefaults, 2e6, 2).copyRowsMax,
    copyBudget(moverDefaults, 2e6, 2, { streams: 1, rowsEstimated: 2e6 }).copyRowsMax,
  )
})

test('promise 8: never more bytes than are configured', () => {
  for (const rows of [0, 1e12]) {
    const { chunkBytes, copyBytesMax } = copyBudget(moverDefaults, rows, 2)
    assert.equal(copyBytesMax, moverDefaults.copyBytesMax)
    assert.ok(chunkBytes <= moverDefaults.chunkBytes && chunksInFlight * chunkBytes <= copyBytesMax + chunksInFlight)
  }
  assert.equal(copyBudget({ chunkBytes: 3000, copyBytesMax: 1000 }, 0, 2).chunkBytes, 84)
})
