/** DES under zeros equals OpenSSL's triple DES with three keys of zeros, and undoes itself. */
import assert from 'node:assert/strict'
import { createCipheriv, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { desZeroKey } from './des-zero.ts'

test('blocks are what OpenSSL makes of them, whatever they hold', () => {
  const bits = Buffer.alloc(64 * 8)
  for (let bit = 0; bit < 64; bit++) bits[bit * 8 + (bit >> 3)] = 0x80 >> (bit & 7)
  const blocks = Buffer.concat([Buffer.alloc(8), Buffer.alloc(8, 0xff), bits, randomBytes(8 * 20_000)])
  const own = Buffer.from(blocks)
  desZeroKey(own)
  const theirs = createCipheriv('des-ede3-ecb', Buffer.alloc(24), null).setAutoPadding(false).update(blocks)
  assert.ok(own.equals(theirs))
  desZeroKey(own)
  assert.ok(own.equals(blocks), 'twice is not at all')
})
