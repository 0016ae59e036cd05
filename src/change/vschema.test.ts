import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import type { Provisioner } from '../mysql/provisioning.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { KeyspaceRecord, RoutingRecord, VSchemaRecord } from '../topology/records.ts'
import { attachWorkflow, initialRouting } from '../topology/routing.ts'
import { put } from '../topology/typed.ts'
import type { World } from './servers.ts'
import { applyVSchema } from './vschema.ts'

type Tables = Record<string, unknown>

const byUser = { column_vindexes: [{ column: 'user_id', name: 'h' }] }
const vschema = (tables: Tables, type = 'hash'): Record<string, unknown> => ({ sharded: true, vindexes: { h: { type } }, tables })

async function world(routing: RoutingRecord): Promise<World> {
  const store = new MemoryStore()
  const keyspace: KeyspaceRecord = { v: 1, name: 'k', uid: 'u', sharded: true, allowUnfenced: [], transactionMode: 'multi' }
  await store.commit(
    [],
    [
      put(keys.keyspace('k'), keyspace),
      put(keys.routing('k'), routing),
      put<VSchemaRecord>(keys.vschema('k'), { v: 1, vschema: vschema({ t: byUser }) }),
    ],
  )
  return { store, provisioner: {} as Provisioner, flavour: 'mariadb', clock: systemClock, log: silentLog }
}

test('over several shards a table keeps what places its rows; new tables and other settings may come', async () => {
  const k = await world(initialRouting(['-80', '80-']))
  await applyVSchema(k, 'k', vschema({ t: { ...byUser, columns: [{ name: 'user_id', type: 'INT64' }] }, n: byUser }), false)
  const refused: [string, Tables, string?][] = [
    ['another column', { t: { column_vindexes: [{ column: 'id', name: 'h' }] }, n: byUser }],
    ['another vindex', { t: byUser, n: byUser }, 'xxhash'],
    ['a reference table', { t: { type: 'reference' }, n: byUser }],
    ['no place at all', { n: byUser }],
  ]
  for (const [name, tables, type] of refused) {
    await assert.rejects(applyVSchema(k, 'k', vschema(tables, type), false), { code: 'SW-CHANGE-039' }, name)
    await assert.rejects(applyVSchema(k, 'k', vschema(tables, type), true), { code: 'SW-CHANGE-039' }, `${name}, dry run`)
  }
})

test('with one shard, where every row stands there, placement is free', async () => {
  const k = await world(initialRouting(['-']))
  await applyVSchema(k, 'k', vschema({ t: { column_vindexes: [{ column: 'id', name: 'h' }] } }), false)
})

test('nothing changes while a workflow holds shards, also when it claims them in between', async () => {
  const attached = attachWorkflow(initialRouting(['-']), { workflow: 'w', sources: ['-'], targets: ['-80', '80-'], token: 0 })
  assert.ok(attached.ok)
  const k = await world(attached.record)
  await assert.rejects(applyVSchema(k, 'k', vschema({ t: byUser, n: byUser }), false), { code: 'SW-CHANGE-038' })
  await applyVSchema(k, 'k', vschema({ t: byUser }), false)

  const free = await world(initialRouting(['-']))
  const { store } = free
  let claimed = false
  const racing = new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown
      if (name !== 'commit') return typeof value === 'function' ? (value as (...given: unknown[]) => unknown).bind(target) : value
      return async (...args: Parameters<typeof store.commit>) => {
        if (!claimed) {
          claimed = true
          await store.commit([], [put(keys.routing('k'), attached.record)])
        }
        return store.commit(...args)
      }
    },
  })
  await assert.rejects(applyVSchema({ ...free, store: racing }, 'k', vschema({ t: byUser, n: byUser }), false), { code: 'SW-CHANGE-038' })
})
