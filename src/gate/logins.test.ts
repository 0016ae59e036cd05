import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Logins } from './logins.ts'

test('wrong passwords are tried ever more slowly, by user and address; the right one ends that', () => {
  const logins = new Logins()
  const tries = Array.from({ length: 30 }, () => logins.pauseMs('app', '10.0.0.1', 1_000))
  assert.deepEqual(tries.slice(0, 20), Array(20).fill(0))
  assert.deepEqual(tries.slice(20), [200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 5000])
  assert.equal(logins.pauseMs('app', '10.0.0.2', 1_000), 0, 'another address')
  assert.equal(logins.pauseMs('other', '10.0.0.1', 1_000), 0, 'another user')
  logins.succeeded('app', '10.0.0.1')
  assert.equal(logins.pauseMs('app', '10.0.0.1', 1_000), 0)
})

test('attempts are forgotten after a minute of silence, and not before', () => {
  const logins = new Logins()
  for (let i = 0; i < 25; i++) logins.pauseMs('app', 'here', i)
  assert.ok(logins.pauseMs('app', 'here', 60_000) > 0)
  assert.equal(logins.pauseMs('app', 'here', 120_001), 0)
})

test('what was refused is counted, and the latest are told by user and address', () => {
  const logins = new Logins()
  for (let i = 0; i < 15; i++) logins.refused(`user ${i}`, 'here', i)
  logins.refused('user 9', 'here', 20)
  const { total, latest } = logins.refusals
  assert.equal(total, 16)
  assert.equal(latest.length, 10)
  assert.deepEqual(latest[0], { user: 'user 9', address: 'here', count: 2, lastAtMs: 20 })
  assert.deepEqual(latest.at(-1)?.user, 'user 5')
})

test('promise 8: strangers who try ever new names take no more memory than 10,000 of them', () => {
  const logins = new Logins()
  for (let i = 0; i < 21; i++) logins.pauseMs('old', 'here', 0)
  for (let i = 0; i < 10_000; i++) logins.pauseMs(`user ${i}`, 'here', 0)
  assert.equal(logins.pauseMs('old', 'here', 0), 0, 'the oldest was dropped')
})
