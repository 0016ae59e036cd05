/** Proves the writers of text against exact arithmetic. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decimalBytes, decimalDecoder } from './decimal.ts'
import { doubleText } from './double-text.ts'
import { putI32, putI64, putPadded, putU32, putU64 } from './integer-text.ts'
import { inet6Text } from './mariadb-types.ts'
import { RowSink } from './row-sink.ts'

const out = Buffer.alloc(100)
const edges = [
  0n,
  1n,
  9n,
  10n,
  99n,
  100n,
  999_999_999n,
  10n ** 9n,
  2n ** 32n - 1n,
  2n ** 32n,
  10n ** 18n - 1n,
  10n ** 18n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
]

test('64-bit integers as text equal BigInt', () => {
  const check = (value: bigint): void => {
    const high = Number(value >> 32n)
    const low = Number(value & 0xffffffffn)
    assert.equal(out.toString('latin1', 5, putU64(out, 5, high, low)), String(value))
    assert.equal(out.toString('latin1', 5, putI64(out, 5, high, low)), String(BigInt.asIntN(64, value)))
  }
  edges.forEach(check)
  fc.assert(fc.property(fc.bigInt(0n, 2n ** 64n - 1n), check), { numRuns: 2_000 })
})

test('32-bit integers and padding', () => {
  fc.assert(fc.property(fc.nat(0xffffffff), (value) => assert.equal(out.toString('latin1', 0, putU32(out, 0, value)), String(value))))
  fc.assert(fc.property(fc.integer(), (value) => assert.equal(out.toString('latin1', 0, putI32(out, 0, value)), String(value))))
  fc.assert(
    fc.property(fc.nat(999_999_999), fc.integer({ min: 1, max: 9 }), (value, digits) => {
      const cut = value % 10 ** digits
      assert.equal(out.toString('latin1', 0, putPadded(out, 0, cut, digits)), String(cut).padStart(digits, '0'))
    }),
  )
})

test('doubles read back as the same bits', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) =>
      assert.ok(Object.is(Number(doubleText(value)), value), doubleText(value)),
    ),
    { numRuns: 2_000 },
  )
})

/** decimal2bin, written for the test over decimal text. */
function encodeDecimal(text: string, precision: number, scale: number): Buffer {
  const bytesOf = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4]
  const negative = text.startsWith('-')
  const [whole = '', fraction = ''] = text.replace('-', '').split('.')
  const chunks: Buffer[] = []
  const put = (digits: string): void => {
    if (digits === '') return
    const bytes = bytesOf[digits.length] as number
    const chunk = Buffer.alloc(bytes)
    chunk.writeUIntBE(Number(digits), 0, bytes)
    chunks.push(chunk)
  }
  const integer = whole.padStart(precision - scale, '0').slice(whole.length > precision - scale ? whole.length - (precision - scale) : 0)
  const lead = integer.length % 9
  put(integer.slice(0, lead))
  for (let i = lead; i < integer.length; i += 9) put(integer.slice(i, i + 9))
  const padded = fraction.padEnd(scale, '0')
  for (let i = 0; i < padded.length; i += 9) put(padded.slice(i, i + 9))
  const bytes = Buffer.concat(chunks)
  if (negative) for (let i = 0; i < bytes.length; i++) bytes[i] = ~(bytes[i] as number) & 0xff
  bytes[0] = (bytes[0] as number) ^ 0x80
  return bytes
}

test('decimals of every precision and scale', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 65 }),
      fc.nat(30),
      fc.boolean(),
      fc.bigInt(0n, 10n ** 65n),
      (precision, wantedScale, negative, digits) => {
        const scale = Math.min(wantedScale, precision)
        const all = String(digits % 10n ** BigInt(precision)).padStart(scale + 1, '0')
        const zero = /^0*$/.test(all)
        const text = `${negative && !zero ? '-' : ''}${all.slice(0, all.length - scale)}${scale > 0 ? `.${all.slice(all.length - scale)}` : ''}`
        const bytes = encodeDecimal(text, precision, scale)
        assert.equal(bytes.length, decimalBytes(precision, scale))
        const sink = new RowSink()
        sink.spans = new Int32Array(2)
        sink.begin(bytes, 0, bytes.length, bytes.length, 0)
        decimalDecoder(precision, scale)(sink)
        assert.equal(sink.out.toString('latin1', sink.spans[0], sink.spans[1]), text)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('INET6 as text', () => {
  for (const [hex, text] of [
    ['0'.repeat(32), '::'],
    [`${'0'.repeat(31)}1`, '::1'],
    [`${'0'.repeat(20)}ffffc0000201`, '::ffff:192.0.2.1'],
    ['20010db8000000000000ff0000428329', '2001:db8::ff00:42:8329'],
  ] as const) {
    assert.equal(inet6Text(Buffer.from(hex, 'hex')), text)
  }
})
