import assert from 'node:assert/strict'
import { test } from 'node:test'
import { atInstant, readsOtherwise, SessionSettings, statementsBetween, withoutInstant } from './settings.ts'

const signatureOf = (...sets: readonly (readonly [string, string])[]): string => {
  const settings = new SessionSettings()
  for (const [name, sql] of sets) settings.set(name, sql)
  return settings.signature
}

test('a switch that a later SET does not name stays as it was', () => {
  const twice = signatureOf(['optimizer_switch', "'mrr=off,index_merge=on'"], ['optimizer_switch', "'index_merge=off'"])
  assert.equal(twice, "optimizer_switch='mrr=off,index_merge=off'")
  assert.equal(signatureOf(['optimizer_switch', "'mrr=off'"], ['optimizer_switch', 'DEFAULT']), '')
  assert.equal(signatureOf(['optimizer_switch', "'mrr=off'"], ['optimizer_switch', "'default'"]), "optimizer_switch='default'")
  assert.equal(signatureOf(['lc_time_names', "'de_DE'"], ['lc_time_names', "'fr_FR'"]), "lc_time_names='fr_FR'")
})

test('every setting may make prepared statements others, but those that a server reads at each execution', () => {
  for (const name of ['sql_mode', 'names', 'time_zone', 'default_week_format', 'some_setting', '@`a`'])
    for (const [from, to] of [
      ['', signatureOf([name, '1'])],
      [signatureOf([name, '1'], ['autocommit', '0']), signatureOf(['autocommit', '0'])],
      [signatureOf([name, '1']), signatureOf([name, '2'])],
    ] as const)
      assert.ok(readsOtherwise(from, to), `${from} → ${to}`)
  for (const name of ['autocommit', 'isolation', 'access', 'sql_select_limit', 'character_set_results', 'wait_timeout'])
    assert.ok(!readsOtherwise(signatureOf(['sql_mode', '1']), signatureOf(['sql_mode', '1'], [name, '0'])), name)
})

test('an instant of a statement is a setting: it goes with whatever is set next, and prepared statements stay', () => {
  const own = signatureOf(['sql_mode', "''"], ['time_zone', "'+01:00'"])
  const at = atInstant(own, '17.250')
  assert.equal(atInstant(own, null), own)
  assert.equal(withoutInstant(at), own)
  assert.equal(atInstant(at, '17.250'), at)
  assert.deepEqual(statementsBetween(own, at), ['SET timestamp=17.250'])
  assert.deepEqual(statementsBetween(at, atInstant(own, '18.000')), ['SET timestamp=18.000'])
  assert.deepEqual(statementsBetween(at, own), ['SET timestamp=DEFAULT'])
  // A session's own comes behind what is taken back.
  assert.deepEqual(statementsBetween(atInstant('', '17.250'), signatureOf(['timestamp', '5'])), ['SET timestamp=DEFAULT,timestamp=5'])
  assert.deepEqual(statementsBetween(signatureOf(['timestamp', '5']), atInstant('', '17.250')), ['SET timestamp=DEFAULT,timestamp=17.250'])
  assert.ok(!readsOtherwise(own, at) && !readsOtherwise(at, own))
})

test('max_join_size sets sql_big_selects: both are set in this order, and statements of our own run without', () => {
  const limited = signatureOf(['sql_big_selects', '1'], ['max_join_size', '5'])
  assert.equal(limited, 'max_join_size=5')
  const big = signatureOf(['max_join_size', '5'], ['sql_big_selects', 'DEFAULT'])
  assert.equal(big, 'max_join_size=5\x1fsql_big_selects=1')
  assert.equal(signatureOf(['max_join_size', '5'], ['sql_big_selects', '0'], ['max_join_size', 'DEFAULT']), '')
  assert.deepEqual(statementsBetween(signatureOf(['sql_big_selects', '1']), big), ['SET max_join_size=5,sql_big_selects=1'])
  assert.deepEqual(statementsBetween(big, limited), ['SET max_join_size=5'])
  assert.deepEqual(statementsBetween(limited, ''), ['SET max_join_size=DEFAULT'])
  const settings = new SessionSettings()
  settings.set('max_join_size', '5')
  settings.set('time_zone', "'+01:00'")
  assert.equal(settings.own, "time_zone='+01:00'")
  assert.equal(settings.joinLimit, 5n)
  settings.set('sql_big_selects', 'ON')
  assert.equal(settings.joinLimit, null)
})
