/** Deletes of a merge (PROTOCOLS 1.6) where MySQL would compare an ENUM by its text: no row constructors. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVindex } from '../keyspace/vindexes/create.ts'
import { stampOf } from './testkit/samples.ts'
import { Pending } from './pending.ts'
import { roundStatements, splitLiterals } from './statements.ts'
import { planTable } from './table-plan.ts'

const column = (name: string, dataType: string) => ({
  name,
  dataType,
  columnType: dataType,
  charset: null,
  collation: null,
  nullable: false,
  generated: false,
})

function deletes(keyType: string): string {
  const table = planTable({
    schema: 's',
    name: 't',
    reference: false,
    definitions: [column('k', keyType), column('owner', 'bigint')],
    key: ['k'],
    vindex: createVindex('hash', 'hash'),
    vindexColumns: ['owner'],
    toUtf8: () => null,
  })
  const pending = new Pending()
  for (const [key, images] of [
    ['1', ['7', '8']],
    ['2', ['9']],
  ] as const)
    pending.add({ table, key, row: null, images })
  const stamp = stampOf()
  return roundStatements(pending.take(stamp), 'several-sources', 't', 1)[0]!.deletes[0]!.toString('latin1')
}

test('promise 1: a merge deletes rows with an ENUM key by comparing column by column', () => {
  assert.equal(deletes('enum'), 'DELETE FROM `t`.`t` WHERE (`k` = 1 AND `owner` IN (7,8)) OR (`k` = 2 AND `owner` IN (9))')
  assert.match(deletes('bigint'), /\(`k`,`owner`\) IN \(\(1,7\),\(1,8\),\(2,9\)\)$/)
})

test('literals are cut outside of quotes and parentheses', () => {
  assert.deepEqual(splitLiterals("1,f('a,)',2),'b'"), ['1', "f('a,)',2)", "'b'"])
})
