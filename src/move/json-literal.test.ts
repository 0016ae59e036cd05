/** A document is made anew with the types of its values (json-literal.ts). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonExpression } from './json-literal.ts'

const expression = (text: string, list?: readonly string[]): string | null => {
  const bytes = Buffer.from(list === undefined ? text : `${text}\0${JSON.stringify(list)}\0`)
  const found = jsonExpression(bytes, 0, bytes.length)
  return found === null ? null : Buffer.from(found, 'latin1').toString()
}

test('a document without a list is a plain literal', () => {
  for (const text of ['[1, -2, 0.1, 1.5e20]', '{"a": "12.340", "12.340": null}', '"x\\"1.50"', 'true', ''])
    assert.equal(expression(text), null, text)
})

test('listed values are set where they stand, whatever their keys are', () => {
  assert.equal(expression('12.340', ['r DECIMAL 8']), "JSON_REPLACE(_utf8mb4'12.340',_utf8mb4'$',12.340)")
  assert.equal(
    expression('{"it\'s": [true, {"x\\"y": "2024-02-29"}, 7], "b": false, "c": {}}', ['m4 DATE', 'e3 UNSIGNED INTEGER']),
    'JSON_REPLACE(_utf8mb4\'{"it\\\'s": [true, {"x\\\\"y": "2024-02-29"}, 7], "b": false, "c": {}}\',' +
      "_utf8mb4'$.\"it\\'s\"[2]',CAST(7 AS UNSIGNED),_utf8mb4'$.\"it\\'s\"[1].\"x\\\\\"y\"',CAST('2024-02-29' AS DATE))",
  )
})

test('a container is counted before those in it', () => {
  const text = '{"a": {"b": 1, "c": [2, [3]]}, "d": 4}'
  const paths = { m1: null, m2: '$."d"', m3: '$."a"."b"', m4: null, e1: '$."a"."c"[0]', e2: null, e3: '$."a"."c"[1][0]' }
  for (const [entry, path] of Object.entries(paths))
    if (path !== null)
      assert.match(expression(text, [`${entry} UNSIGNED INTEGER`]) ?? '', new RegExp(`'${path.replaceAll(/[$.[\]]/g, '\\$&')}',`))
})

test('a list that names what the text has not is not passed over', () => {
  assert.throws(() => expression('{"a": 1}', ['m2 DATE']), /without 1 of its listed values/)
  assert.throws(() => expression('[1]', ['m1 DATE']), /without 1 of its listed values/)
})

test('decimals take as many bytes as they took', () => {
  const of = (text: string, bytes: number): string =>
    (expression(text, [`r DECIMAL ${bytes + 5}`]) ?? '').replace(/^.*?'\$',/, '').slice(0, -1)
  assert.equal(of('1.50', 2), '1.50')
  assert.equal(of('7', 1), '7.')
  assert.equal(of('7', 4), "CAST('7' AS DECIMAL(65,0))")
  assert.equal(of('-0.50', 5), "CAST('-0.50' AS DECIMAL(65,2))")
  assert.equal(of('-0.50', 1), '-.50')
  assert.match(of('1.50', 3), /COLUMNS\(v DECIMAL\(5,2\)/)
  assert.equal(of('1.50', 90), '1.50', 'none that we know: its value and type')
})

test('what no expression makes stays what its text is', () => {
  assert.equal(expression('["base64:type249:YQ=="]', ['e1 BLOB']), '_utf8mb4\'["base64:type249:YQ=="]\'')
  assert.equal(expression('[18446744073709551615]', ['e1 UNSIGNED INTEGER']), "_utf8mb4'[18446744073709551615]'")
  assert.match(
    expression('["2038-01-20 00:00:00.000000"]', ['e1 TIMESTAMP']) ?? '',
    /CAST\('2038-01-20 00:00:00.000000' AS DATETIME\(6\)\)/,
  )
})
