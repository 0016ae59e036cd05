/** A document's numbers print on the target as on the source (json-literal.ts). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonExpression } from './json-literal.ts'

const expression = (text: string): string | null => {
  const bytes = Buffer.from(text)
  const found = jsonExpression(bytes, 0, bytes.length)
  return found === null ? null : Buffer.from(found, 'latin1').toString()
}

test('what a DOUBLE or an integer prints alike is a plain literal', () => {
  for (const text of [
    '[1, -2, 0.1, 1.5e20, 1e-7, 2.0, -0.0, 18446744073709551615, -9223372036854775808]',
    '{"a": "12.340", "12.340": null}',
    '"x\\"1.50"',
    'true',
  ])
    assert.equal(expression(text), null, text)
})

test('decimals are set where they stand', () => {
  assert.equal(expression('12.340'), "JSON_REPLACE(_utf8mb4'12.340',_utf8mb4'$',12.340)")
  assert.equal(
    expression('{"it\'s": [true, {"x\\"y": -0.50}, 18446744073709551616], "b": false, "c": {}}'),
    'JSON_REPLACE(_utf8mb4\'{"it\\\'s": [true, {"x\\\\"y": -0.50}, 18446744073709551616], "b": false, "c": {}}\',' +
      '_utf8mb4\'$."it\\\'s"[1]."x\\\\"y"\',-0.50,_utf8mb4\'$."it\\\'s"[2]\',18446744073709551616)',
  )
})
