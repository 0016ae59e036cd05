/** Which documents are taken to be of one shape (document-shapes.ts). That a wrong guess changes nothing: `document-shapes.db.test.ts`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commonShape, isOfShape, shapeOf } from './document-shapes.ts'

const of = (text: string): string[] | null => shapeOf(Buffer.from(text))?.items.map(({ path, is }) => `${path} ${is}`) ?? null

test('a shape names each container with its entries, and the type of each value', () => {
  assert.deepEqual(of('{"a": [1, -2.5, "x"], "b": {}, "c": {"d k": null, "e": true}}'), [
    '$ 3',
    '$."a" 3',
    '$."a"[0] INTEGER',
    '$."a"[1] DOUBLE',
    '$."a"[2] STRING',
    '$."b" 0',
    '$."c" 2',
    '$."c"."d k" NULL',
    '$."c"."e" BOOLEAN',
  ])
  assert.deepEqual(of('[]'), ['$ 0'])
})

test('no shape: scalars, documents with a list, keys that need an escape, too many values', () => {
  for (const text of ['5', '"x"', '[1.50]\0["e1 DECIMAL 7"]\0', '{"a\\"": 1}', '{"ü": 1}', '{"": 1}', `[${'1,'.repeat(40)}1]`])
    assert.equal(of(text), null, text)
})

test('only where most documents are of it', () => {
  const cells = (same: number, others: number): Buffer[] =>
    Array.from({ length: same + others }, (_, i) => Buffer.from(i < same ? '{"a": 1}' : `{"a": 1, "b${i}": 2}`))
  assert.equal(commonShape(cells(13, 3))?.items.length, 2)
  assert.equal(commonShape(cells(12, 4)), null)
  assert.equal(commonShape(cells(5, 0)), null)
})

test('its condition compares bytes', () => {
  const shape = shapeOf(Buffer.from('{"a": 1}'))
  assert.equal(
    shape === null ? null : isOfShape(shape, '`j`'),
    "CONCAT_WS(_utf8mb4',',JSON_LENGTH(`j`,_utf8mb4'$'),JSON_TYPE(JSON_EXTRACT(`j`,_utf8mb4'$.\"a\"')))=CAST(_utf8mb4'1,INTEGER' AS BINARY)",
  )
})
