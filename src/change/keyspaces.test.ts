import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { silentLog } from '../base/log.ts'
import type { Provisioner } from '../mysql/provisioning.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { KeyspaceRecord, RoutingRecord, ServerRecord, ShardRecord } from '../topology/records.ts'
import { initialRouting } from '../topology/routing.ts'
import { listRecords, put, readRecord } from '../topology/typed.ts'
import { deleteBranch } from './branches.ts'
import { deleteKeyspace } from './keyspaces.ts'
import type { World } from './servers.ts'

/** `own` has a server of our making for each shard, one of them shared with `other`; `theirs` stands on an attached one. */
async function world(): Promise<{ world: World; removed: string[] }> {
  const store = new MemoryStore()
  const removed: string[] = []
  const server = (id: string, provisioned: boolean) =>
    put<ServerRecord>(keys.server(id), {
      v: 1,
      id,
      flavour: 'mariadb',
      version: '10.11.19',
      host: '127.0.0.1',
      port: 3306,
      socketPath: null,
      provisioned,
      dataDir: null,
    })
  const keyspace = (name: string, shards: readonly (readonly [string, string])[]) => [
    put<KeyspaceRecord>(keys.keyspace(name), {
      v: 1,
      name,
      uid: name,
      sharded: shards.length > 1,
      allowUnfenced: [],
      transactionMode: 'multi',
    }),
    put<RoutingRecord>(keys.routing(name), initialRouting(shards.map(([shard]) => shard))),
    ...shards.map(([shard, serverId]) =>
      put<ShardRecord>(keys.shard(name, shard), {
        v: 1,
        keyspace: name,
        name: shard,
        uid: `${name}${shard}`,
        serverId,
        schema: name,
        madeBy: null,
        provisioned: serverId !== 'attached',
      }),
    ),
  ]
  await store.commit(
    [],
    [
      server('made-1', true),
      server('made-2', true),
      server('attached', false),
      ...keyspace('own', [
        ['-80', 'made-1'],
        ['80-', 'made-2'],
      ]),
      ...keyspace('other', [['-', 'made-2']]),
      ...keyspace('theirs', [['-', 'attached']]),
    ],
  )
  const provisioner = { list: async () => [], remove: async (id: string) => void removed.push(id) } as unknown as Provisioner
  return { world: { store, provisioner, flavour: 'mariadb', clock: systemClock, log: silentLog }, removed }
}

test('promise 12: rows on servers that we made go with their keyspace only when that was said', async () => {
  const { world: w, removed } = await world()
  const goes = { servers: ['made-1'], kept: ['own on 127.0.0.1:3306'] }
  assert.deepEqual(await deleteKeyspace(w, 'own', { yes: true, dryRun: true }), { removed: false, ...goes })
  await assert.rejects(deleteKeyspace(w, 'own', { yes: false, dryRun: false }), (error) => isSwError(error, 'SW-CHANGE-049'))
  assert.deepEqual(removed, [])
  assert.notEqual(await w.store.get(keys.keyspace('own')), null)
  assert.deepEqual(await deleteKeyspace(w, 'own', { yes: true, dryRun: false }), { removed: true, ...goes })
  assert.deepEqual(removed, ['made-1'], 'the server that another keyspace is on stays')
  assert.equal(await w.store.get(keys.server('made-1')), null)
})

test('promise 12: a keyspace on an attached server is forgotten without more words: nothing of it goes', async () => {
  const { world: w, removed } = await world()
  const done = await deleteKeyspace(w, 'theirs', { yes: false, dryRun: false })
  assert.deepEqual([done, removed], [{ removed: true, servers: [], kept: ['theirs on 127.0.0.1:3306'] }, []])
  assert.notEqual(await w.store.get(keys.server('attached')), null)
})

test('promise 12: a branch goes with its data only when that was said; what is its own to remove is named before', async () => {
  const { world: w, removed } = await world()
  const record = (await readRecord<KeyspaceRecord>(w.store, keys.keyspace('own')))!
  const shards = (await listRecords<ShardRecord>(w.store, keys.shards('own'))).map(({ value }) => value)
  await w.store.commit(
    [],
    [
      put(keys.keyspace('own@wide'), { ...record.value, name: 'own@wide', branchOf: 'own', branch: 'wide' }),
      put(keys.routing('own@wide'), initialRouting(['-80', '80-'])),
      put(keys.server('made-3'), (await readRecord<ServerRecord>(w.store, keys.server('made-1')))!.value),
      put(keys.shard('own@wide', '-80'), { ...shards[0]!, keyspace: 'own@wide', serverId: 'made-3' }),
      put(keys.shard('own@wide', '80-'), { ...shards[1]!, keyspace: 'own@wide', serverId: 'attached', schema: 'x', provisioned: false }),
    ],
  )
  const goes = { servers: ['made-3'], schemas: [], kept: ['x on attached'] }
  assert.deepEqual(await deleteBranch(w, 'own', 'wide', { yes: false, dryRun: true }), { removed: false, ...goes })
  await assert.rejects(deleteBranch(w, 'own', 'wide', { yes: false, dryRun: false }), (error) => isSwError(error, 'SW-DUALWRITE-023'))
  assert.deepEqual(removed, [])
  assert.notEqual(await w.store.get(keys.keyspace('own@wide')), null)
  assert.deepEqual(await deleteBranch(w, 'own', 'wide', { yes: true, dryRun: false }), { removed: true, ...goes })
  assert.deepEqual([removed, await w.store.get(keys.keyspace('own@wide'))], [['made-3'], null])
})
