/** PROTOCOLS 1.5: each target resumes from its own position, also where another server has the groups in another order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commonPosition, groupsWithin, positionContains, positionOfBoth, positionWithin } from './within.ts'

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

test('1.10: a position that has all of two, whichever of them is further in what', () => {
  const mysql = (set: string): string => `mysql;b.1:4;${set}`
  const [a, b] = [mysql(`${uuid}:1-3:9`), mysql(`${uuid}:1-5,${uuid}:tag:1`)]
  assert.equal(positionOfBoth(a, b), mysql(`${uuid}:1-5:9,${uuid}:tag:1`))
  assert.deepEqual(
    [positionContains(a, b), positionContains(positionOfBoth(a, b), b), positionContains(positionOfBoth(b, a), a)],
    [false, true, true],
  )
  const mariadb = (state: string): string => `mariadb;b.1:4;${state}`
  const [c, d] = [mariadb('0-1-10,3-1-5'), mariadb('0-2-12,3-1-4,7-1-1')]
  assert.equal(positionOfBoth(c, d), mariadb('0-2-12,3-1-5,7-1-1'))
  assert.deepEqual([positionContains(c, d), positionContains(d, c), positionContains(positionOfBoth(c, d), c)], [false, false, true])
  const file = (at: string): string => `file;${at};u`
  assert.equal(positionOfBoth(file('b.999999:9'), file('b.1000000:4')), file('b.1000000:4'))
  assert.equal(positionOfBoth(file('b.000002:9'), file('b.000002:4')), file('b.000002:9'))
  assert.deepEqual([positionContains(file('b.2:9'), file('b.2:9')), positionContains(file('b.2:9'), 'file;b.1:4;other')], [true, false])
})

test('1.10: a position with a group that is being read', () => {
  assert.equal(positionWithin(`mysql;b.1:4;${uuid}:1-3`, `${uuid}:4`), `mysql;b.1:4;${uuid}:1-4`)
  assert.equal(positionWithin(`mysql;b.1:4;${uuid}:1-3`, `${uuid}:tag:7`), `mysql;b.1:4;${uuid}:1-3,${uuid}:tag:7`)
  assert.equal(positionWithin('mariadb;b.1:4;0-1-10,3-1-5', '3-2-6'), 'mariadb;b.1:4;0-1-10,3-2-6')
  assert.equal(positionWithin('file;b.1:4;u', 'b.1:90'), 'file;b.1:91;u')
})
