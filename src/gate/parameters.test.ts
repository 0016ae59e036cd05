import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cpuMsOf } from '../../test/kit/cpu-time.ts'
import { Lexer } from '../sql/lexer.ts'
import { columnType } from '../wire/column-types.ts'
import { inlineParameters, valueOf } from './parameters.ts'

const decimal = (text: string): ReturnType<typeof valueOf> =>
  valueOf({ type: columnType.newdecimal, unsigned: false, value: Buffer.from(text) })

test('a DECIMAL parameter is a number, or a text: whatever a client says is one can not become another statement', () => {
  assert.deepEqual(decimal('-12'), { type: 'integer', value: -12n })
  for (const text of ['1.50', '.5', '7.', '+3', '1e5', '9'.repeat(70)]) assert.deepEqual(decimal(text), { type: 'decimal', text })
  for (const text of ['1) OR (1 = 1', '(SELECT 1)', '1--', '', '-', '1e', '0x41', 'NULL', '1\n']) {
    assert.equal(decimal(text).type, 'text', text)
    const sql = inlineParameters(new Lexer().lex(Buffer.from('SELECT * FROM t WHERE (id = ?)')), null, [decimal(text)]).toString()
    assert.match(sql, /^SELECT \* FROM t WHERE \(id = +'[^']*'\)$/)
  }
})

test('a DECIMAL parameter of millions of digits is read at once', () => {
  assert.ok(cpuMsOf(() => assert.equal(decimal('9'.repeat(4_000_000)).type, 'decimal')) < 500)
})
