/** PROTOCOLS 1.5: each target resumes from its own position, also where another server has the groups in another order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commonPosition, groupsWithin } from './within.ts'

const uuid = '3e11fa47-71ca-11e1-9e33-c80aa9429562'

test('1.5: which groups a later position has, by GTID, in whichever order they come: MySQL', () => {
  const has = groupsWithin(`mysql;b.1:4;${uuid}:1-3`, `mysql;b.2:9;${uuid}:1-7:9,${uuid}:tag:1-2`)
  assert.ok(has !== null)
  const order = [`${uuid}:8`, `${uuid}:9`, `${uuid}:4`, `${uuid}:10`, `${uuid}:7`, `${uuid}:tag:2`, `${uuid}:tag:3`]
  assert.deepEqual(order.map(has), [false, true, true, false, true, true, false])
})

test('1.5: which groups a later position has: MariaDB, each domain in its order, none for ever', () => {
  const has = groupsWithin('mariadb;b.1:4;0-1-10,3-1-5,4-1-1', 'mariadb;b.1:90;0-1-12,3-1-5,5-2-2')
  assert.ok(has !== null)
  const order = ['3-1-6', '0-1-11', '5-2-1', '0-1-12', '0-1-13', '5-2-3', '5-2-2', '4-1-2']
  assert.deepEqual(order.map(has), [false, true, true, true, false, false, false, false])
})

test('1.5: a server without GTIDs has its own order', () => assert.equal(groupsWithin('file;b.1:4;u', 'file;b.1:9;u'), null))

test('1.5: a tail for several targets begins where all have everything before, also if none is before the other', () => {
  const mysql = (set: string): string => `mysql;b.1:4;${set}`
  assert.equal(commonPosition(mysql(`${uuid}:1-3`), mysql(`${uuid}:1-7`)), mysql(`${uuid}:1-3`))
  assert.equal(commonPosition(mysql(`${uuid}:1-3:9-12,${uuid}:tag:1-2`), mysql(`${uuid}:1-2:5-10`)), mysql(`${uuid}:1-2:9-10`))
  const mariadb = (state: string): string => `mariadb;b.1:4;${state}`
  assert.equal(commonPosition(mariadb('0-1-10,3-1-5'), mariadb('0-2-12,3-1-4,7-1-1')), mariadb('0-1-10,3-1-4'))
  assert.equal(commonPosition(mariadb('0-1-10,3-1-5'), mariadb('0-1-12')), mariadb('0-1-10'))
  assert.equal(commonPosition('file;b.1:4;u', 'file;b.1:9;u'), 'file;b.1:4;u')
})
