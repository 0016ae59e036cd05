import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shownOn } from './seen.ts'

const uuid = '3e11fa47-71ca-11e1-9e33-c80aa9429562'

test('1.10: what shows on a target is its position, and all that was read beyond it', () => {
  const mysql = (set: string): string => `mysql;b.1:4;${uuid}:${set}`
  assert.equal(shownOn({ position: mysql('1-5'), seen: [] }), mysql('1-5'))
  assert.equal(shownOn({ position: mysql('1-5'), seen: [mysql('1-3'), mysql('1-5')] }), mysql('1-5'))
  assert.equal(shownOn({ position: mysql('1-5'), seen: [mysql('1-7'), mysql('1-6:9')] }), mysql('1-7:9'))
  // Of two servers that were the source one after another.
  const mariadb = (state: string): string => `mariadb;b.1:4;${state}`
  assert.equal(shownOn({ position: mariadb('0-1-5,3-1-4'), seen: [mariadb('0-1-4,3-1-6'), mariadb('0-2-7')] }), mariadb('0-2-7,3-1-6'))
})
