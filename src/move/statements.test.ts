/** Deletes of a merge (PROTOCOLS 1.6) where MySQL would compare an ENUM by its text: no row constructors. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVindex } from '../keyspace/vindexes/create.ts'
import { columnOf, intColumn, planOf, stampOf } from './testkit/samples.ts'
import { Pending } from './pending.ts'
import { statementText } from '../mysql/statement.ts'
import { fieldsIn, fieldsMax, jsonExpression } from './json-literal.ts'
import { roundStatements, splitLiterals, upsertStatements } from './statements.ts'

function deletes(keyType: string, changes: readonly (readonly [string, readonly string[]])[]): string[] {
  const sharded = { vindex: createVindex('hash', 'hash'), vindexColumns: ['owner'] }
  const table = planOf([columnOf('k', keyType), columnOf('owner', 'bigint')], ['k'], sharded)
  const pending = new Pending()
  for (const [key, images] of changes) pending.add({ table, key, row: null, images })
  return roundStatements(pending.take(stampOf()), 'several-sources', 't', 1)[0]!.deletes.map((statement) => statement.toString('latin1'))
}

const few = [
  ['1', ['7', '8']],
  ['2', ['9']],
] as const

test('promise 1: a merge deletes rows with an ENUM key by comparing column by column', () => {
  assert.equal(deletes('enum', few)[0], 'DELETE FROM `t`.`t` WHERE (`k` = 1 AND `owner` IN (7,8)) OR (`k` = 2 AND `owner` IN (9))')
  assert.match(deletes('bigint', few)[0]!, /\(`k`,`owner`\) IN \(\(1,7\),\(1,8\),\(2,9\)\)$/)
})

test('promise 1, 1.6: no DELETE grows with the shard keys that one row has had: several of them have them all', () => {
  const owners = Array.from({ length: 100_000 }, (_, i) => `${10_000_000 + i}`)
  for (const keyType of ['bigint', 'enum']) {
    const statements = deletes(keyType, [['12345', owners], ...few])
    assert.ok(
      statements.every(({ length }) => length <= 1 << 20),
      `${keyType}: ${statements.map(({ length }) => length).join()}`,
    )
    assert.deepEqual(
      statements.flatMap((text) => text.match(/\b\d{8}\b/g) ?? []),
      owners,
    )
    assert.match(statements.at(-1) ?? '', /\b9\b/)
  }
})

test('no statement has more columns of JSON_TABLE than a server should make tables for at once', () => {
  const table = planOf([intColumn('k'), columnOf('j', 'json')], ['k'])
  const cell = Buffer.from('["base64:type16:BQ==", "base64:type16:BQ=="]\0["e1 BIT", "e2 BIT"]\0')
  const document = jsonExpression(cell, 0, cell.length)
  for (const large of [false, true]) {
    const row = (k: number): string | Buffer => (large ? Buffer.from(`(${k},${document})`) : `(${k},${document})`)
    const changes = Array.from({ length: 1000 }, (_, k) => ({ table, key: String(k), row: row(k), images: null }))
    const counts = upsertStatements(table, changes, 'one-source', 't').map(({ statement }) => fieldsIn(statementText(statement)))
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      2000,
    )
    assert.ok(Math.max(...counts) <= fieldsMax && counts.length <= 5, counts.join())
  }
})

test('literals are cut outside of quotes and parentheses', () => {
  assert.deepEqual(splitLiterals("1,f('a,)',2),'b'"), ['1', "f('a,)',2)", "'b'"])
})
