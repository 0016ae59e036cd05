import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readsOtherwise, SessionSettings } from './settings.ts'

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
