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

test('what a server reads when it prepares makes prepared statements others', () => {
  for (const name of ['sql_mode', 'lc_time_names', 'div_precision_increment', 'group_concat_max_len'])
    assert.ok(readsOtherwise('', signatureOf([name, '1'])), name)
  assert.ok(!readsOtherwise('', signatureOf(['time_zone', "'+02:00'"])))
})
