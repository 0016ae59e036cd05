import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rereadable } from './pure-functions.ts'
import { lexStatement, modeOf } from './statement-text.ts'
import { SessionSettings } from './settings.ts'

test("promise 11: a read may be read again where all that it calls is a server's own and without effect", () => {
  for (const [sql, again] of [
    ['SELECT ABS(1), COUNT(*) FROM t WHERE a IN (1)', true],
    ['SELECT JSON_PRETTY(d), ST_AsText(p), inet6_aton(a) FROM t', true],
    ['SELECT GET_LOCK(1, 1)', false],
    ['SELECT mine(1)', false],
    ['SELECT `abs`(1)', false],
    // Functions of a schema may be called as those are.
    ['SELECT app.abs(1)', false],
    ['SELECT app . JSON_PRETTY(1)', false],
    ['SELECT a FROM app.t WHERE b IN (1)', true],
  ] as const)
    assert.equal(rereadable(lexStatement(Buffer.from(sql), modeOf(new SessionSettings()))), again, sql)
})
