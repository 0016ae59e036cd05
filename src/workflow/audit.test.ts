import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import { AuditTrail, auditPut, readAudit } from './audit.ts'
import type { AuditEntry } from './audit.ts'
import { requestAction, requestCreate } from './requests.ts'

const entry: AuditEntry = { atMs: 5, actor: 'me', kind: 'note', verb: null, action: null, what: 'x', inputs: null, outcome: '', ms: null }

test('the log only grows: entries of one instant have keys of their own, in the order in which they were written', async () => {
  const store = new MemoryStore()
  for (let i = 0; i < 30; i++) await store.commit([], [auditPut('k', 'w', { ...entry, what: `entry ${i}` })])
  assert.deepEqual(
    (await readAudit(store, 'k', 'w')).map(({ what }) => what),
    Array.from({ length: 30 }, (_, i) => `entry ${i}`),
  )
  assert.deepEqual(await readAudit(store, 'k', 'other'), [])
  assert.equal((await store.list('', keys.audits)).entries.size, 0)
})

test('what goes beside an action is written in order, also over a store that fails for a while, and flush waits for it', async () => {
  const store = new MemoryStore()
  let failures = 2
  const flaky = Object.assign(Object.create(store) as MemoryStore, {
    commit: (...args: Parameters<MemoryStore['commit']>) =>
      failures-- > 0 ? Promise.reject(new Error('no answer')) : store.commit(...args),
  })
  const trail = new AuditTrail({
    store: flaky,
    clock: { ...systemClock, sleep: async () => undefined },
    log: silentLog,
    keyspace: 'k',
    workflow: 'w',
    actor: 'controller 3',
    verb: 'switchtraffic',
    action: 'a-1',
  })
  for (const step of ['preflight', 'prepare', 'drain']) trail.append('step', step, { outcome: 'begun' })
  trail.append('kill', 'transaction of app@h on s', { inputs: { query: 'UPDATE t' }, outcome: 'killed' })
  await trail.flush()
  const log = await readAudit(store, 'k', 'w')
  assert.deepEqual(
    log.map(({ kind, what, actor, action }) => [kind, what, actor, action]),
    [
      ['step', 'preflight', 'controller 3', 'a-1'],
      ['step', 'prepare', 'controller 3', 'a-1'],
      ['step', 'drain', 'controller 3', 'a-1'],
      ['kill', 'transaction of app@h on s', 'controller 3', 'a-1'],
    ],
  )
})

test('a request stands in the log with who asked and what for, once however often it is sent', async () => {
  const store = new MemoryStore()
  const common = { keyspace: 'k', name: 'w', nowMs: 7, actor: 'ann@desk' }
  const creation = { ...common, id: 'create-1', kind: 'test', spec: { shards: 2 }, data: {}, args: {} }
  await requestCreate(store, creation)
  await requestCreate(store, creation)
  await requestAction(store, { ...common, id: 'switch-1', verb: 'switchtraffic', args: { dryRun: false } })
  await requestAction(store, { ...common, id: 'switch-1', verb: 'switchtraffic', args: { dryRun: false } })
  assert.deepEqual(
    (await readAudit(store, 'k', 'w')).map(({ v: _v, ...one }) => one),
    [
      { atMs: 7, actor: 'ann@desk', kind: 'request', verb: 'create', action: 'create-1', what: 'create', inputs: { shards: 2 }, outcome: 'taken', ms: null },
      { atMs: 7, actor: 'ann@desk', kind: 'request', verb: 'switchtraffic', action: 'switch-1', what: 'switchtraffic', inputs: { dryRun: false }, outcome: 'taken', ms: null },
    ], // prettier-ignore
  )
})
