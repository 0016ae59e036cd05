import assert from 'node:assert/strict'
import { test } from 'node:test'
import { moverDefaults } from './config.ts'
import { copyBudget } from './copy-budget.ts'

const mb = 1 << 20

test('a kill costs a share of the copy: at most 2 % is on its way, with a chunk for each reader', () => {
  for (const bytes of [300 * mb, 500 * mb, 2_000 * mb, 1_000_000 * mb]) {
    const { chunkBytes, copyBytesMax } = copyBudget(moverDefaults, bytes)
    assert.ok(copyBytesMax + moverDefaults.readers * chunkBytes <= 0.02 * bytes, String(bytes))
  }
})

test('never more than is configured, and for small tables enough to keep readers and writers busy', () => {
  assert.deepEqual(copyBudget(moverDefaults, 1e12), { chunkBytes: moverDefaults.chunkBytes, copyBytesMax: moverDefaults.copyBytesMax })
  assert.equal(copyBudget(moverDefaults, 0).copyBytesMax, 3 * mb)
  assert.deepEqual(copyBudget({ chunkBytes: 3000, copyBytesMax: 1000 }, 0), { chunkBytes: 167, copyBytesMax: 1000 })
})
