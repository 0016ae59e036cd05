import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSwError } from '../base/errors.ts'
import { textValue } from '../sql/value.ts'
import { keptText } from './kept-values.ts'

const cells = (...texts: (string | null)[]): (Buffer | null)[] => texts.map((text) => (text === null ? null : Buffer.from(text)))

test('promise 10: a text of which a server does not tell the bytes is refused, not taken for NULL', () => {
  const kept = keptText(cells('latin1_bin', 'E9', 'C3A9'), textValue('é'))
  assert.equal(kept.type === 'kept' && kept.sql, "_latin1 x'E9' COLLATE latin1_bin")
  assert.equal(kept.type === 'kept' && kept.text?.utf8.toString(), 'é')
  for (const row of [cells('latin1_bin', null, null), cells('latin1_bin', '61'.repeat(65_537), '61')])
    assert.throws(
      () => keptText(row, textValue('a')),
      (error) => isSwError(error, 'SW-GATE-100'),
    )
})
