import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  escapeBinaryLiteral,
  escapeLiteral,
  literalLength,
  quoteHex,
  quoteIdentifier,
  quoteQualified,
  quoteString,
  writeLiteral,
} from './quote.ts'

/** What the server reads out of '…' (its own rules, written again, so that a wrong escape shows). */
function readLiteral(bytes: Buffer): Buffer {
  assert.equal(bytes[0], 0x27)
  const out: number[] = []
  let at = 1
  for (; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (byte === 0x27) {
      if (bytes[at + 1] !== 0x27) break
      out.push(0x27)
      at++
    } else if (byte === 0x5c) {
      const next = String.fromCharCode(bytes[++at] as number)
      const known: Record<string, number> = { 0: 0, n: 10, r: 13, t: 9, b: 8, Z: 26 }
      out.push(known[next] ?? next.charCodeAt(0))
    } else out.push(byte)
  }
  assert.equal(at, bytes.length - 1, 'the literal ends at its last byte')
  return Buffer.from(out)
}

test('a literal reads back as the bytes it was made of, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const value = Buffer.from(bytes)
      assert.deepEqual(readLiteral(escapeLiteral(value)), value)
      const binary = escapeBinaryLiteral(value)
      assert.equal(binary.subarray(0, 7).toString(), '_binary')
      assert.deepEqual(readLiteral(binary.subarray(7)), value)
    }),
  )
})

test('every single byte reads back', () => {
  for (let byte = 0; byte < 256; byte++) assert.deepEqual(readLiteral(escapeLiteral(Buffer.of(byte))), Buffer.of(byte))
})

test('a string literal reads back as its text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.equal(readLiteral(Buffer.from(quoteString(text))).toString(), Buffer.from(text).toString())
    }),
  )
})

test('writeLiteral writes as many bytes as literalLength says, and only those', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const target = Buffer.alloc(300, 0xee)
      const end = writeLiteral(target, 7, bytes)
      assert.equal(end - 7, literalLength(bytes))
      assert.equal(target[6], 0xee)
      assert.equal(target[end], 0xee)
    }),
  )
})

test('names', () => {
  assert.equal(quoteIdentifier('a`b'), '`a``b`')
  assert.equal(quoteQualified('app', 'select'), '`app`.`select`')
})

test('bytes, and text in UTF-8, as digits', () => {
  assert.equal(quoteHex(Buffer.of(0, 0xff)), "X'00ff'")
  assert.equal(quoteHex("é'"), "X'c3a927'")
  assert.equal(quoteHex(''), "X''")
})
