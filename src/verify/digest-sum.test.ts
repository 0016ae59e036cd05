/** Digests in a cell sum to what they sum to one by one, modulo 2^64; a cell that was cut is told. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { sumMask, sumOfDigests } from './digest-sum.ts'

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

const sum = (digests: readonly string[]): bigint => digests.reduce((total, digest) => (total + BigInt(`0x${digest}`)) & sumMask, 0n)
