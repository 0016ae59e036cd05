/** Digests in a cell sum to what they sum to one by one, modulo 2^64; a cell that was cut is told. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { digestsAndKeys, sumMask, sumOfDigests } from './digest-sum.ts'

test('digests of a cell are summed modulo 2^64', () => {
  for (const digests of [[], ['0000000000000000'], ['ffffffffffffffff'], Array.from({ length: 5 }, () => 'ffffffffffffffff')]) {
    assert.equal(sumOfDigests(Buffer.from(digests.join('')), digests.length), sum(digests))
  }
  const many = Array.from({ length: 20_000 }, () => randomBytes(8).toString('hex'))
  assert.equal(sumOfDigests(Buffer.from(many.join('')), many.length), sum(many))
  assert.equal(sumOfDigests(Buffer.from(many.join('').toUpperCase()), many.length), sum(many))
  // More than are summed at once.
  const same = Buffer.alloc((1 << 20) * 16 + 48, 'fedcba9876543210')
  assert.equal(sumOfDigests(same, same.length / 16), (0xfedcba9876543210n * BigInt(same.length / 16)) & sumMask)
})

test('a cell that holds fewer digests than rows gives no sum', () => {
  assert.equal(sumOfDigests(null, 0), 0n)
  assert.equal(sumOfDigests(null, 3), null)
  assert.equal(sumOfDigests(Buffer.from('0123456789abcdef'), 2), null)
  assert.equal(sumOfDigests(Buffer.from('0123456789abcde'), 1), null)
})

test('digests with shard keys behind them are told apart, and so is a cell that was cut', () => {
  const digests = Array.from({ length: 3000 }, () => randomBytes(8).toString('hex'))
  const keys = digests.map((_, i) => ['N', '17', '00FF:N', String(i)][i % 4] ?? '')
  const cell = Buffer.from(digests.map((digest, i) => digest + keys[i]).join(','))
  const both = digestsAndKeys(cell, 3000, 1 << 20)
  assert.equal(both?.sum, sum(digests))
  assert.equal(both?.keys.toString(), keys.join(','))
  assert.equal(digestsAndKeys(cell, 3000, cell.length), null, 'it is as long as it may be')
  for (const rows of [2999, 3001]) assert.equal(digestsAndKeys(cell, rows, 1 << 20), null)
  for (const length of [15, 16, 20, 5000]) assert.equal(digestsAndKeys(cell.subarray(0, length), 3000, 1 << 20), null)
  assert.deepEqual(digestsAndKeys(null, 0, 1 << 20), { sum: 0n, keys: Buffer.alloc(0) })
  assert.equal(digestsAndKeys(null, 1, 1 << 20), null)
})

const sum = (digests: readonly string[]): bigint => digests.reduce((total, digest) => (total + BigInt(`0x${digest}`)) & sumMask, 0n)
