/** What a branch that was deleted leaves on servers goes, whoever dies meanwhile; what a shard stands on does not. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { KeyspaceRecord, Removal, ServerRecord, ShardRecord } from '../topology/records.ts'
import { initialRouting } from '../topology/routing.ts'
import { put } from '../topology/typed.ts'
import type { Leadership } from '../workflow/context.ts'
import { deleteBranch } from './branches.ts'
import { deleteKeyspace } from './keyspaces.ts'
import { finishRemoval, removalPut, removeShardPlaces, scratchPut, watchRemovals } from './removals.ts'
import { removeServer } from './servers.ts'
import type { World } from './servers.ts'

const shard = (keyspace: string, serverId: string): ShardRecord => ({
  v: 1,
  keyspace,
  name: '-',
  uid: `${keyspace} on ${serverId}`,
  serverId,
  schema: 'rows',
  madeBy: null,
  provisioned: true,
})

const stores: MemoryStore[] = []
after(() => Promise.all(stores.map((store) => store[Symbol.asyncDispose]())))

/** Keyspace `insights` with a branch, each on a server of our making. `dies`: so many removals of a server fail, as when their process ends. */
async function world(dies: number): Promise<{ world: World; store: MemoryStore; servers: Set<string> }> {
  const store = new MemoryStore()
  stores.push(store)
  const servers = new Set(['s-main', 's-wide', 's-other'])
  for (const [name, serverId] of [
    ['insights', 's-main'],
    ['insights@wide', 's-wide'],
  ] as const)
    await store.commit(
      [],
      [
        put<KeyspaceRecord>(keys.keyspace(name), {
          v: 1,
          name,
          uid: name,
          sharded: true,
          allowUnfenced: [],
          transactionMode: 'multi',
          ...(name === 'insights' ? {} : { branchOf: 'insights', branch: 'wide' }),
        }),
        put(keys.routing(name), initialRouting(['-'])),
        put(keys.shard(name, '-'), shard(name, serverId)),
        put(keys.server(serverId), { v: 1, id: serverId, provisioned: true } as unknown as ServerRecord),
      ],
    )
  const provisioner = {
    list: async () => [...servers].map((id) => ({ id })),
    async remove(id: string) {
      if (dies-- > 0) throw new Error('the process ended here')
      servers.delete(id)
    },
  }
  return { world: { store, provisioner, clock: systemClock, log: silentLog, flavour: 'mariadb' } as unknown as World, store, servers }
}

/** A leader, until its first look has ended. */
async function leads(w: World, store: MemoryStore, done: () => Promise<boolean>): Promise<void> {
  const end = new AbortController()
  const watching = watchRemovals(w, { signal: end.signal } as unknown as Leadership)
  for (let i = 0; i < 200 && !(await done()); i++) await systemClock.sleep(5)
  end.abort()
  await watching
  assert.ok(await done(), JSON.stringify([...(await store.list(keys.removals)).entries.keys()]))
}

const left = (store: MemoryStore): Promise<number> => store.list(keys.removals).then(({ entries }) => entries.size)

test('who deletes a branch dies when the topology does not name it any more: the next leader removes its servers', async () => {
  const { world: w, store, servers } = await world(1)
  await assert.rejects(deleteBranch(w, 'insights', 'wide', { yes: true, dryRun: false }), /the process ended here/)
  assert.equal(await store.get(keys.keyspace('insights@wide')), null)
  assert.ok(servers.has('s-wide'))
  await leads(w, store, async () => (await left(store)) === 0)
  assert.deepEqual([...servers], ['s-main', 's-other'])
  assert.equal(await store.get(keys.server('s-wide')), null)
})

test('a keyspace likewise; nothing is left to do where nobody died', async () => {
  const { world: w, store, servers } = await world(0)
  await deleteBranch(w, 'insights', 'wide', { yes: true, dryRun: false })
  assert.equal(await left(store), 0)
  const dying = await world(1)
  await deleteBranch(dying.world, 'insights', 'wide', { yes: true, dryRun: false }).catch(() => undefined)
  await deleteKeyspace(dying.world, 'insights', { yes: true, dryRun: false })
  await leads(dying.world, dying.store, async () => (await left(dying.store)) === 0)
  assert.deepEqual([...dying.servers], ['s-other'])
  assert.deepEqual([...servers], ['s-main', 's-other'])
})

test('what a shard stands on now stays; of a scratch, which is its maker’s for as long as it was told, the schemas go and nothing else', async () => {
  const { world: w, store, servers } = await world(0)
  const scratch = scratchPut('scratch-1', [shard('scratch0', 's-other')], [], systemClock.nowMs() + 60_000)
  await store.commit([], [removalPut('was', [shard('was', 's-wide')]), scratch])
  await leads(w, store, async () => (await store.get(keys.removal('was'))) === null)
  assert.ok(servers.has('s-wide') && servers.has('s-other'))
  assert.notEqual(await store.get(scratch.key), null)
  // No shard is on its server any more, since somebody ended its keyspace and kept the data there.
  const due = put<Removal>(scratch.key, { ...(scratch.value as unknown as Removal), notBeforeMs: 1 })
  await store.commit([], [due, put(keys.server('s-other'), { v: 1, id: 's-other', provisioned: true } as unknown as ServerRecord)])
  await assert.rejects(finishRemoval(w, 'scratch-1'), { code: 'SW-CHANGE-012' }, 'it would reach it for its schemas')
  assert.ok(servers.has('s-other'))
  assert.notEqual(await store.get(keys.server('s-other')), null)
})

test('one at a time removes: whoever makes the name anew waits for the other, and what it has made then stays', async () => {
  const { world: w, store, servers } = await world(0)
  await store.commit([], [removalPut('insights@gone', [shard('insights@gone', 's-other')])])
  let begun = (): void => undefined
  const begins = new Promise<void>((resolve) => (begun = resolve))
  let go = (): void => undefined
  const going = new Promise<void>((resolve) => (go = resolve))
  let removed = 0
  const provisioner = {
    ...w.provisioner,
    async remove(id: string) {
      assert.equal(++removed, 1)
      begun()
      await going
      servers.delete(id)
    },
  }
  const slow = { ...w, provisioner } as unknown as World
  const watching = finishRemoval(slow, 'insights@gone', 'goes on')
  await begins
  const making = finishRemoval(slow, 'insights@gone').then(() => {
    assert.ok(!servers.has('s-other'))
    servers.add('s-other')
    return store.commit([], [put(keys.server('s-other'), { v: 1, id: 's-other', provisioned: true } as unknown as ServerRecord)])
  })
  // A leader has other things to do meanwhile.
  await finishRemoval(slow, 'insights@gone', 'goes on').finally(go)
  await watching
  assert.equal((await making).ok, true)
  assert.ok(servers.has('s-other'))
  assert.notEqual(await store.get(keys.server('s-other')), null)
})

test('who has lost its lease, or finds a shard or another server of the name there, removes nothing', async () => {
  const { world: w, store, servers } = await world(0)
  const places = [shard('insights@gone', 's-other')]
  await assert.rejects(removeShardPlaces(w, places, { ours: async () => false }), { code: 'SW-CHANGE-063' })
  assert.ok(servers.has('s-other'))
  // Made while it asked what provisioned servers there are.
  const provisioner = {
    ...w.provisioner,
    async list() {
      await store.commit([], [put(keys.shard('new', '-'), shard('new', 's-other'))])
      return [...servers].map((id) => ({ id }))
    },
  }
  assert.deepEqual(await removeShardPlaces({ ...w, provisioner } as unknown as World, places), [])
  assert.ok(servers.has('s-other'))
  const another = {
    ...w.provisioner,
    remove: () =>
      store.commit(
        [],
        [put(keys.server('s-wide'), { v: 1, id: 's-wide', provisioned: true, identity: 'other' } as unknown as ServerRecord)],
      ),
  }
  await removeServer({ ...w, provisioner: another } as unknown as World, 's-wide')
  assert.notEqual(await store.get(keys.server('s-wide')), null)
})

test('who is paused between its last look and the removal of a server does not meet another one that was made under its name since', async () => {
  const { world: w, store, servers } = await world(0)
  let which = 'first'
  const provisioner = {
    list: async () => [...servers].map((id) => ({ id, which })),
    remove: async (id: string, only: string | null) => (only === which ? (servers.delete(id), 'removed') : 'another'),
  }
  const pausing = { ...w, provisioner } as unknown as World
  const made = async (): Promise<boolean> => {
    which = 'second'
    return false
  }
  assert.equal(await removeServer(pausing, 's-other', made), false)
  assert.equal(await removeServer(pausing, 's-wide', async () => ((which = 'third'), false)), false)
  assert.deepEqual([servers.has('s-other'), servers.has('s-wide')], [true, true])
  assert.notEqual(await store.get(keys.server('s-wide')), null)
  assert.equal(await removeServer(pausing, 's-wide'), true)
  assert.equal(await store.get(keys.server('s-wide')), null)
})
