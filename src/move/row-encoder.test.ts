import { mock, test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { RowEncoder } from './row-encoder.ts'
import { splitLiterals } from './statements.ts'
import { batchOf } from './testkit/batches.ts'
import { columnOf, planOf } from './testkit/samples.ts'

const column = (name: string, dataType: string) => columnOf(name, dataType, { nullable: true })
const columns = [column('v', 'varchar'), column('n', 'int'), column('b', 'bit'), column('j', 'json')]
const plan = planOf(columns, ['n', 'v'], { targetFlavour: 'mariadb' })

function bitsOf(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(16, '0'), 'hex')
}

function unquote(literal: string): string | null {
  if (literal === 'NULL') return null
  return literal
    .replace(/^(_utf8mb4)?'/, '')
    .slice(0, -1)
    .replace(/\\(.)/gs, '$1')
}

function withoutZeros(bytes: Buffer): Buffer {
  return bytes.filter((byte) => byte !== 0) as Buffer
}

test('promise 1: any bytes become a literal that reads back as the same bytes, and a key literal that is its beginning', () => {
  const bytes = fc
    .array(fc.constantFrom(0x27, 0x5c, 0x00, 0x0a, 0x2c, 0x41, 0xe9, 0xff), { maxLength: 60 })
    .map((list) => Buffer.from(list))
  const row = fc.tuple(
    fc.integer().map((n) => Buffer.from(String(n))),
    bytes,
    fc.option(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(bitsOf)),
    // Where JSON is text its list of types is left out.
    fc.option(fc.tuple(bytes.map(withoutZeros), fc.constantFrom(Buffer.alloc(0), Buffer.from('\0["e1 DATE"]\0')))),
  )
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 8 }), (rows) => {
      const batch = batchOf(rows.map(([n, v, b, j]) => [n, v, b, j === null ? null : Buffer.concat(j)]))
      const encoder = new RowEncoder(plan, 'selected')
      for (const [i, cells] of rows.entries()) {
        const out = Buffer.alloc(encoder.bytesMax(batch, i))
        const end = encoder.encode(batch, i, out, 0)
        const text = out.toString('latin1', 1, end - 2)
        assert.equal(out.toString('latin1', end - 2, end), '),')
        const [n, v, b, j] = splitLiterals(text)
        assert.equal(n, cells[0].toString('latin1'))
        assert.equal(unquote(v!), cells[1].toString('latin1'))
        assert.equal(b, cells[2] === null ? 'NULL' : String(BigInt(`0x${cells[2].toString('hex')}`)))
        assert.equal(unquote(j!), cells[3]?.[0].toString('latin1') ?? null)
        assert.equal(out.toString('latin1', 1, encoder.keyEnd), `${n},${v}`)
      }
    }),
  )
})

test('promise 8: quotes and backslashes that follow one another are not looked up by a call each', () => {
  for (const byte of [0x27, 0x5c]) {
    const batch = batchOf([[Buffer.from('1'), Buffer.alloc(1 << 20, byte), null, null]])
    const encoder = new RowEncoder(plan, 'selected')
    const out = Buffer.alloc(encoder.bytesMax(batch, 0))
    const lookups = mock.method(Buffer.prototype, 'indexOf')
    try {
      const end = encoder.encode(batch, 0, out, 0)
      assert.equal(splitLiterals(out.toString('latin1', 1, end - 2))[1]?.length, 2 + (2 << 20))
      assert.ok(lookups.mock.callCount() < 100, `${lookups.mock.callCount()} calls`)
    } finally {
      lookups.mock.restore()
    }
  }
})
