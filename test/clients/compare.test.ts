import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differencesOf } from './compare.ts'

const line = (outcome: object): string =>
  JSON.stringify({ id: 'insert id', form: 'text', affected: 1, insertId: '7', rows: [['number 1']], ...outcome })
const ran = (...told: string[]) => ({ told, problem: null })

test('every kind of difference between server and gate is told, and no other', () => {
  assert.deepEqual(differencesOf(ran(line({})), ran(line({}))), [])
  for (const other of [{ affected: 2 }, { insertId: '8' }, { rows: [['string 1']] }, { rows: [] }, { errno: 1064 }, { columns: ['a'] }])
    assert.equal(differencesOf(ran(line({})), ran(line(other))).length, 1, JSON.stringify(other))
  assert.equal(differencesOf(ran(line({}), line({})), ran(line({}))).length, 1, 'one is missing')
  assert.equal(differencesOf(ran('Field 1: `a`\nType: LONG'), ran('Field 1: `a`\nType: LONGLONG')).length, 1)
  assert.equal(differencesOf(ran(line({})), { told: [line({})], problem: 'it broke' }).length, 1)
  assert.equal(differencesOf(ran(), ran()).length, 1, 'a client that told nothing shows nothing')
  // Of the moment: how many rows, not which.
  const loose = (rows: unknown[]): string => line({ id: 'status', rows })
  assert.deepEqual(differencesOf(ran(loose([['1']])), ran(loose([['2']]))), [])
  assert.equal(differencesOf(ran(loose([['1']])), ran(loose([]))).length, 1)
})
