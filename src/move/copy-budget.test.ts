import assert from 'node:assert/strict'
import { test } from 'node:test'
import { moverDefaults } from './config.ts'
import { copyBudget } from './copy-budget.ts'

test('a kill costs a share of the copy: at most 2 % of two million rows and more is on its way, with a chunk for each reader', () => {
  for (const rows of [2e6, 3e6, 1e7, 1e9, 1e11]) {
    const { chunkRows, copyRowsMax } = copyBudget(moverDefaults, rows)
    assert.ok(copyRowsMax + moverDefaults.readers * chunkRows <= 0.02 * rows, String(rows))
  }
  assert.deepEqual(copyBudget(moverDefaults, 0), copyBudget(moverDefaults, 2e6))
})

test('promise 8: never more bytes than are configured', () => {
  for (const rows of [0, 1e12]) {
    const { chunkBytes, copyBytesMax } = copyBudget(moverDefaults, rows)
    assert.deepEqual({ chunkBytes, copyBytesMax }, { chunkBytes: moverDefaults.chunkBytes, copyBytesMax: moverDefaults.copyBytesMax })
  }
  assert.equal(copyBudget({ chunkBytes: 3000, copyBytesMax: 1000 }, 0).chunkBytes, 167)
})
