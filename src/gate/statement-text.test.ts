import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cpuMsOf } from '../../test/kit/cpu-time.ts'
import { isSwError } from '../base/errors.ts'
import { defaultMode, type LexerMode } from '../sql/lexer.ts'
import { lexStatement } from './statement-text.ts'

/** Of servers of which some have a mode by default. */
const differingIn = (mode: string): LexerMode => ({ ...defaultMode, undecided: { modes: [mode], why: 's1 and s2 differ' } }) as LexerMode

function isRefused(sql: string, mode: string): boolean {
  try {
    lexStatement(Buffer.from(sql), differingIn(mode))
    return false
  } catch (error) {
    assert.ok(isSwError(error, 'SW-GATE-048'))
    return true
  }
}

test('promise 10: what IGNORE_SPACE takes for a function and others for a name is refused where servers differ, whatever stands between, and nothing else is', () => {
  for (const sql of [
    'SELECT COUNT (id) FROM t',
    'SELECT count\n(id) FROM t',
    'SELECT COUNT/* one *//* two */(id) FROM t',
    'SELECT COUNT -- so\n # and so\n (id) FROM t',
    'SELECT 1; SELECT MAX (id) FROM t',
    "SELECT 'COUNT #', SUM (id) FROM t",
  ])
    assert.equal(isRefused(sql, 'IGNORE_SPACE'), true, sql)
  for (const sql of [
    'SELECT COUNT(id) FROM t',
    'SELECT f (id), `count` (1) FROM t',
    "SELECT 'COUNT (', 1 FROM t",
    'SELECT COUNT FROM t',
    "SELECT 'unread",
  ])
    assert.equal(isRefused(sql, 'IGNORE_SPACE'), false, sql)
  assert.equal(isRefused('SELECT COUNT (id) FROM t', 'STRICT_TRANS_TABLES'), false)
})

test('comments behind the name of a function are read once, however many there are', () => {
  const ms = cpuMsOf(() => {
    for (const comment of ['/**/', ' ', '--\n', '/* COUNT */', '#\t\n'])
      assert.equal(isRefused(`SELECT COUNT${comment.repeat(20_000)} x`, 'IGNORE_SPACE'), false)
    assert.equal(isRefused(`SELECT ${'COUNT '.repeat(20_000)} x`, 'IGNORE_SPACE'), false)
  })
  assert.ok(ms < 2_000)
})
