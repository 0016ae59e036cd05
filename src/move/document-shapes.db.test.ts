/** Proves: whatever shape is guessed, a document with a list is never taken for one without (document-shapes.ts). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours, sharedServer, uniqueName } from '../../test/kit/servers.ts'
import { typedDocument } from '../binlog/json-types.ts'
import { copySession } from '../binlog/testkit/collect.ts'
import { isOfShape, shapeOf } from './document-shapes.ts'

/** Values as SQL, and as the JSON that a shape is guessed from. */
const values = [
  ['7', '7'],
  ['CAST(7 AS UNSIGNED)', '7'],
  ['0.5', '0.5'],
  ['0.5e0', '0.5'],
  ["CAST('2024-02-29' AS DATE)", '"2024-02-29"'],
  ["'2024-02-29'", '"2024-02-29"'],
  ['NULL', 'null'],
] as const
const wraps: readonly (readonly [sql: (one: string) => string, text: (one: string) => string])[] = [
  [(one) => one, (one) => one],
  [(one) => `JSON_ARRAY(${one})`, (one) => `[${one}]`],
  [(one) => `JSON_OBJECT('a', ${one})`, (one) => `{"a": ${one}}`],
  [(one) => `JSON_ARRAY(${one}, 1)`, (one) => `[${one}, 1]`],
  [(one) => `JSON_ARRAY(1, ${one})`, (one) => `[1, ${one}]`],
  [(one) => `JSON_OBJECT('a', 1, 'b', ${one})`, (one) => `{"a": 1, "b": ${one}}`],
  [() => 'JSON_ARRAY()', () => '[]'],
  [() => 'JSON_OBJECT()', () => '{}'],
]

for (const flavour of flavours().filter((name) => name === 'mysql')) {
  test(`1.1 on ${flavour}: each document under each guessed shape gives the cell that it gives without one`, async () => {
    const server = await sharedServer(flavour)
    await using connection = await copySession(server.config)
    const schema = uniqueName('shapes')
    await connection.query(`CREATE DATABASE ${schema}`)
    await connection.query('SET NAMES utf8mb4')
    await connection.query(`CREATE TABLE ${schema}.t (id INT NOT NULL PRIMARY KEY AUTO_INCREMENT, j JSON)`)
    const shapes = new Map<string, string>()
    for (const [sql, text] of values) {
      for (const [outer, outerText] of wraps) {
        const rows: string[] = []
        for (const [inner, innerText] of wraps) {
          rows.push(`(JSON_EXTRACT(JSON_ARRAY(${outer(inner(sql))}), '$[0]'))`)
          const shape = shapeOf(Buffer.from(outerText(innerText(text))))
          if (shape !== null) shapes.set(JSON.stringify(shape), isOfShape(shape, '`j`'))
        }
        await connection.query(`INSERT INTO ${schema}.t (j) VALUES ${rows.join(', ')}`)
      }
    }
    await connection.query('SET NAMES binary')
    let taken = 0
    for (const [shape, condition] of shapes) {
      const rows = await connection.allText(
        `SELECT COALESCE(${condition}, 0) AS taken, COUNT(*) AS n, COALESCE(SUM(SHA2(${typedDocument('`j`')}, 256) <> SHA2(${typedDocument('`j`', condition)}, 256)), 0) AS different FROM ${schema}.t GROUP BY taken`,
      )
      for (const row of rows) {
        assert.equal(row.different, '0', shape)
        if (row.taken === '1') taken += Number(row.n)
      }
    }
    assert.ok(taken >= shapes.size, `${taken} documents for ${shapes.size} shapes`)
    await connection.query(`DROP DATABASE ${schema}`)
  })
}
