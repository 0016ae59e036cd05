// Random statements: a plan or an error of ours, never anything else; what is passed on untouched is the client's bytes.
import assert from 'node:assert/strict'
import { Rendering } from './render.ts'
import { test } from 'node:test'
import fc from 'fast-check'
import { isSwError } from '../../base/errors.ts'
import { integerValue, nullValue, type Value } from '../../sql/value.ts'
import { column as columnOf, inputsOf, planOf, route, shards } from './testkit.ts'
import { comparableOf, heldValue, storedValue } from './convert.ts'

const oneOf = (...words: string[]) => fc.constantFrom(...words)
const column = oneOf(
  'id',
  'u.id',
  'name',
  'age',
  'u.age',
  'bio',
  'score',
  'o.user_id',
  'user_id',
  'o.total',
  'state',
  'app.users.id',
  'nope',
  'x',
)
const value = oneOf('1', '5', "'a'", 'NULL', '?', '-3', '1.5', 'LAST_INSERT_ID()', '@v', 'NOW()', "x'61'")
const expr: fc.Arbitrary<string> = fc.letrec<{ expr: string }>((tie) => ({
  expr: fc.oneof(
    { maxDepth: 3 },
    column,
    value,
    fc.tuple(tie('expr'), oneOf('=', '<', '+', 'AND', 'OR', '<=>', 'LIKE', '*'), tie('expr')).map((parts) => parts.join(' ')),
    fc.tuple(column, fc.array(value, { minLength: 1, maxLength: 4 })).map(([name, list]) => `${name} IN (${list.join(', ')})`),
    tie('expr').map((inner) => `(${inner})`),
    fc.tuple(oneOf('COUNT', 'SUM', 'AVG', 'MIN', 'MAX', 'LOWER', 'GROUP_CONCAT'), column).map(([name, of]) => `${name}(${of})`),
    oneOf(
      'EXISTS (SELECT 1 FROM orders z WHERE z.user_id = u.id)',
      'id IN (SELECT user_id FROM orders)',
      'COUNT(*)',
      '(SELECT title FROM countries LIMIT 1)',
      'CASE WHEN id = 1 THEN 2 END',
    ),
  ),
})).expr
const from = oneOf(
  'users',
  'users u',
  'app.users',
  'users u JOIN orders o ON o.user_id = u.id',
  'users u LEFT JOIN orders o ON o.user_id = u.id',
  'countries',
  'users u, orders o',
  '(SELECT * FROM users) u',
  'tenants',
  'countries c LEFT JOIN users u ON u.name = c.code',
)
const list = (of: fc.Arbitrary<string>, max: number) => fc.array(of, { minLength: 1, maxLength: max }).map((items) => items.join(', '))
const maybe = (prefix: string, of: fc.Arbitrary<string>) =>
  fc.oneof(
    fc.constant(''),
    of.map((text) => ` ${prefix} ${text}`),
  )
const item = fc.oneof(
  expr,
  expr.map((e) => `${e} AS x`),
  oneOf('*', 'u.*', '1'),
)
const select = fc
  .tuple(
    oneOf('SELECT ', 'SELECT DISTINCT '),
    list(item, 3),
    from,
    maybe('WHERE', expr),
    maybe('GROUP BY', list(fc.oneof(column, oneOf('1', '2')), 2)),
    maybe('HAVING', expr),
    maybe('ORDER BY', list(fc.oneof(expr, oneOf('1', 'x', '3 DESC')), 2)),
    maybe('LIMIT', oneOf('1', '2, 3', '?', '5 OFFSET 1')),
    oneOf('', ' FOR UPDATE'),
  )
  .map(([verb, items, tables, ...clauses]) => `${verb}${items} FROM ${tables}${clauses.join('')}`)
const write = fc.oneof(
  fc
    .tuple(
      list(
        fc.tuple(oneOf('users.age', 'age', 'name', 'id'), expr).map((parts) => parts.join(' = ')),
        2,
      ),
      maybe('WHERE', expr),
      maybe('LIMIT', oneOf('1')),
    )
    .map(([set, ...rest]) => `UPDATE users SET ${set}${rest.join('')}`),
  fc.tuple(maybe('WHERE', expr), maybe('ORDER BY', column)).map((rest) => `DELETE FROM users${rest.join('')}`),
  fc
    .tuple(
      oneOf('log (user_id, name)', 'log (log_id, user_id)', 'users (id, name)', 'app.orders (user_id, id)', 'countries'),
      list(
        fc.tuple(fc.oneof(value, expr), value).map((pair) => `(${pair.join(', ')})`),
        4,
      ),
    )
    .map(([into, rows]) => `INSERT INTO ${into} VALUES ${rows}`),
)

test('promise 10: any statement gets a plan whose texts are whole, or an error of ours', () => {
  let planned = 0
  fc.assert(
    fc.property(fc.oneof(select, write), (sql) => {
      const parameters = Array.from({ length: 30 }, () => integerValue(3n))
      try {
        const { sends, merge, gather } = route(sql, parameters)
        planned++
        if (gather !== undefined) {
          const inputs = inputsOf(sql, parameters)
          const names = gather.steps.map((_, i) => `_sw_${i}`)
          const rendering = new Rendering(inputs, 'any', null, [], names).add(gather.text ?? [])
          const text = rendering.text().toString()
          assert.equal(rendering.parameters.length, inputsOf(text).lexed.parameters, `${sql} → ${text}`)
          planOf(text.replaceAll('app_', 'app'), 'plain')
          return
        }
        assert.ok(sends.length >= 1 && sends.length <= shards.length, sql)
        assert.equal(new Set(sends.map((send) => send.shard)).size, sends.length, 'each shard once')
        for (const send of sends) {
          if (send.parameters === null) assert.equal(send.text.toString(), sql)
          else assert.equal(send.parameters.length, inputsOf(send.text.toString()).lexed.parameters, `${sql} → ${send.text.toString()}`)
          // What we send can be read again: nothing was cut in two.
          planOf(send.text.toString().replaceAll('app_', 'app'), 'plain')
        }
        if (sends.length > 1 && sql.startsWith('SELECT')) assert.ok(merge !== null, sql)
      } catch (error) {
        if (!isSwError(error)) throw error
      }
    }),
    { numRuns: 4000 },
  )
  assert.ok(planned > 400, `only ${planned} statements were planned`)
})

test('promise 2 and 10: a row is looked for where it was put, whatever integer its key is', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), (id) => {
      const put = route('INSERT INTO users (id) VALUES (?)', [integerValue(id)]).sends.map((send) => send.shard)
      const literal = route(`INSERT INTO users (id) VALUES (${id})`).sends.map((send) => send.shard)
      const sought = route(`SELECT * FROM users WHERE id = ${id}`).sends.map((send) => send.shard)
      assert.deepEqual([literal, sought], [put, put])
    }),
  )
})

test("values outside of a column's range are never stored by what they are not", () => {
  const info = columnOf('k', 'tinyint')
  assert.equal(storedValue('t', info, integerValue(127n), 'utf8mb4').bytes.toString(), '127')
  const text = { ...info, dataType: 'varchar', lengthMax: 9, padSpace: true }
  const stored = (collation: string, bytes: Buffer): string | null => {
    try {
      return storedValue('t', { ...text, collation }, { type: 'text', bytes }, 'utf8mb4').bytes.toString()
    } catch (error) {
      assert.ok(isSwError(error, 'SW-GATE-122'))
      return null
    }
  }
  assert.equal(stored('latin1_swedish_ci', Buffer.from('é€')), 'é€')
  assert.equal(stored('latin1_swedish_ci', Buffer.from('Łódź')), null, 'a server that is not strict stores ?')
  assert.equal(stored('utf8mb3_general_ci', Buffer.from('Łódź')), 'Łódź')
  assert.equal(stored('utf8mb3_general_ci', Buffer.from('😀')), null)
  assert.equal(stored('utf8mb4_bin', Buffer.from('😀')), '😀')
  assert.equal(stored('utf8mb4_bin', Buffer.from([0x61, 0xff])), null, 'a server that is not strict stores a')
  assert.equal(stored('koi8r_general_ci', Buffer.from('Иван')), 'Иван')
  assert.equal(stored('cp1251_general_ci', Buffer.from('Łódź')), null)
  assert.equal(stored('gb18030_chinese_ci', Buffer.from('中')), '中')
  assert.equal(stored('sjis_japanese_ci', Buffer.from('中')), null, 'which characters it has is not known here')
  const held = { ...text, collation: 'sjis_japanese_ci' }
  assert.equal(heldValue('t', held, { type: 'text', bytes: Buffer.from('中') }).bytes.toString(), '中', 'a row has it already')
  // A variable's text: its characters are stored, in whatever character set it came.
  const bytes = Buffer.from([0x6e, 0xe9])
  const kept: Value = { type: 'kept', sql: '', shown: nullValue, text: { collation: 'latin1_swedish_ci', bytes, utf8: Buffer.from('né') } }
  assert.equal(storedValue('t', { ...text, collation: 'utf8mb4_bin' }, kept, 'converted').bytes.toString(), 'né')
  assert.deepEqual(storedValue('t', { ...text, dataType: 'varbinary', collation: null }, kept, 'converted').bytes, bytes)
  assert.throws(
    () => storedValue('t', { ...text, collation: 'koi8r_general_ci' }, kept, 'utf8mb4'),
    (error) => isSwError(error, 'SW-GATE-122'),
  )
  const compares = (columns: string, variables: string): boolean =>
    comparableOf({ ...text, collation: columns }, { ...kept, text: { collation: variables, bytes, utf8: bytes } }, 'utf8mb4').type ===
    'text'
  assert.ok(compares('utf8mb4_0900_ai_ci', 'utf8mb4_0900_ai_ci') && compares('utf8mb4_bin', 'utf8mb4_general_ci'))
  assert.ok(!compares('utf8mb4_general_ci', 'utf8mb4_bin'), "the variable's compares")
  assert.ok(!compares('utf8mb4_bin', 'utf8mb4_0900_bin'), 'one pads')
  assert.ok(!compares('latin1_bin', 'utf8mb4_general_ci'), 'latin1 is converted')
  for (const value of [128n, -129n])
    assert.throws(
      () => storedValue('t', info, integerValue(value), 'utf8mb4'),
      (error) => isSwError(error, 'SW-GATE-122'),
    )
})

test('promise 10: a decimal is the id that it equals; one that equals none may be rounded to any', () => {
  const at = (value: string): string[] => route(`SELECT name FROM users WHERE id = ${value}`).sends.map(({ shard }) => shard)
  assert.deepEqual(at('4.'), at('4'))
  assert.deepEqual(at('4.000'), at('4'))
  assert.deepEqual(at(`${'0'.repeat(40)}4.0`), at('4'))
  assert.deepEqual(at(`${'0'.repeat(40)}4`), at('4'))
  assert.deepEqual(at(`${'9'.repeat(30)}.0`), ['any'])
  for (const equalsNone of ['4.5', '.5']) assert.equal(at(equalsNone).length, 4, equalsNone)
})

test('promise 8: a number of many digits takes no longer to route than to read', () => {
  const startMs = performance.now()
  for (const text of [`${'1'.repeat(200_000)}.5`, `${'0'.repeat(200_000)}.1`, '1'.repeat(200_000)])
    assert.equal(route(`SELECT name FROM users WHERE id = ${text}`).sends.length, 4)
  assert.ok(performance.now() - startMs < 500)
})
