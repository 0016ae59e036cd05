import { test } from 'node:test'
import assert from 'node:assert/strict'
import { moverDefaults } from './config.ts'
import { MemoryShares } from './memory-shares.ts'

test('promise 8: a budget is the mover’s: streams have equal parts of it, those of the copy as long as they copy', () => {
  const memory = new MemoryShares(moverDefaults)
  const streams = Array.from({ length: 8 }, () => memory.join())
  const copies = Array.from({ length: 4 }, () => memory.joinCopy('flow'))
  assert.equal(memory.pendingBytesMax * 8, moverDefaults.pendingBytesMax)
  assert.equal(memory.partBytesMax * 8, moverDefaults.partBytesMax)
  assert.equal(memory.tailBufferBytes * 8, moverDefaults.tailBufferBytes)
  assert.equal(memory.copyBytesMax * 4, moverDefaults.copyBytesMax)
  assert.equal(memory.touchedBytesMax * 4, moverDefaults.touchedBytesMax)
  assert.equal(memory.readBufferBytes * 4, moverDefaults.readBufferBytes)
  for (const { end } of copies.slice(1)) end()
  for (const { end } of copies.slice(1)) end()
  assert.equal(memory.copyBytesMax, moverDefaults.copyBytesMax)
  for (const end of streams) end()
  assert.equal(memory.pendingBytesMax, moverDefaults.pendingBytesMax)
})

test('a part is never so small that a stream only waits, nor larger than a budget that was meant to be small', () => {
  const memory = new MemoryShares({ ...moverDefaults, copyBytesMax: 1 << 20, touchedBytesMax: 1_000 })
  for (let n = 0; n < 500; n++) memory.joinCopy('flow')
  assert.equal(memory.copyBytesMax, 64 << 10)
  assert.equal(memory.touchedBytesMax, 1_000)
})

test('streams of a workflow know what they copy together, and nothing of another workflow’s', () => {
  const memory = new MemoryShares(moverDefaults)
  const [a, b] = [memory.joinCopy('one'), memory.joinCopy('one')]
  const other = memory.joinCopy('two')
  a.rowsEstimated = 5
  b.rowsEstimated = 7
  other.rowsEstimated = 1e9
  assert.deepEqual(a.together(), { streams: 2, rowsEstimated: 12 })
  b.end()
  b.end()
  assert.deepEqual(a.together(), { streams: 1, rowsEstimated: 5 })
  a.end()
  assert.deepEqual(memory.joinCopy('one').together(), { streams: 1, rowsEstimated: 0 })
})
