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

test('promise 8: never more bytes than are configured', () => {
  for (const rows of [0, 1e12]) {
    const { chunkBytes, copyBytesMax } = copyBudget(moverDefaults, rows, 2)
    assert.equal(copyBytesMax, moverDefaults.copyBytesMax)
    assert.ok(chunkBytes <= moverDefaults.chunkBytes && chunksInFlight * chunkBytes <= copyBytesMax + chunksInFlight)
  }
  assert.equal(copyBudget({ chunkBytes: 3000, copyBytesMax: 1000 }, 0, 2).chunkBytes, 84)
})
