/** Making a fleet: one topic has one fleet a branch, and what a deleted branch leaves behind keeps no later one from beginning. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { silentLog } from '../base/log.ts'
import { PartitionLeases } from '../ingest/partition-leases.ts'
import { queryStats } from '../ingest/testkit/query-stats.ts'
import { createTopic } from '../topic/open.ts'
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { KeyspaceRecord, RoutingRecord } from '../topology/records.ts'
import { listRecords, put, readRecord } from '../topology/typed.ts'
import { deleteBranch } from './branches.ts'
import { createFleet, deleteFleet, setFleet } from './fleets.ts'
import type { FleetWorld } from './fleets.ts'
import { deleteKeyspace } from './keyspaces.ts'

let dir = ''
const url = (topic: string): string => `log://${join(dir, topic)}`
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sw-fleets-'))
  for (const topic of ['queries', 'errors']) await createTopic(url(topic), { partitions: 2 })
})
after(() => rmSync(dir, { recursive: true }))

/** Keyspace `insights` with a branch `wide`, neither with a shard: nothing stands on servers. */
async function world(): Promise<FleetWorld> {
  const store = new MemoryStore()
  for (const branch of ['main', 'wide']) await store.commit([], branchPuts(branch))
  return {
    store,
    clock: systemClock,
    log: silentLog,
    flavour: 'mariadb',
    loadDefinition: async () => queryStats(),
  } as unknown as FleetWorld
}

function branchPuts(branch: string) {
  const name = branchKeyspace('insights', branch)
  const of = branch === 'main' ? {} : { branchOf: 'insights', branch }
  return [
    put<KeyspaceRecord>(keys.keyspace(name), {
      v: 1,
      name,
      uid: `uid of ${name}`,
      sharded: true,
      allowUnfenced: [],
      transactionMode: 'multi',
      ...of,
    }),
    put<RoutingRecord>(keys.routing(name), { v: 1, token: 0, components: [] } as unknown as RoutingRecord),
  ]
}

const fleet = (w: FleetWorld, branch: string, topic: string, suffix?: string): Promise<FleetRecord> =>
  createFleet(w, {
    keyspace: 'insights',
    branch,
    definitionPath: 'd.ts',
    topicUrl: url(topic),
    suffix,
    start: { at: 'oldest', marginMs: 0 },
  })

const refused = (code: string) => (error: unknown) => isSwError(error, code)

test('a topic has one fleet a branch: another name for the same topic is refused, by whose it is; other branches and other topics are not', async () => {
  const w = await world()
  await fleet(w, 'main', 'queries')
  await assert.rejects(fleet(w, 'main', 'queries', 'again'), (error) => {
    assert.ok(isSwError(error, 'SW-DUALWRITE-027'))
    assert.match(error.message, /fleet insights reads topic queries/)
    return true
  })
  assert.equal((await fleet(w, 'main', 'queries')).name, 'insights', 'the same request again is what was done')
  await fleet(w, 'main', 'errors', 'errors')
  await assert.rejects(fleet(w, 'main', 'errors', 'more'), refused('SW-DUALWRITE-027'))
  await fleet(w, 'wide', 'queries')
})

test('two fleets of one topic that are made at once: one of them is', async () => {
  const w = await world()
  const made = await Promise.allSettled(['a', 'b', 'c'].map((suffix) => fleet(w, 'main', 'queries', suffix)))
  assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const one of made) if (one.status === 'rejected') assert.ok(isSwError(one.reason, 'SW-DUALWRITE-027'), String(one.reason))
  assert.equal((await listRecords<FleetRecord>(w.store, keys.fleets)).length, 1)
})

/** As a consumer takes partition 0 of it. */
async function acquire(w: FleetWorld, name: string, start: bigint): Promise<void> {
  const lease = await w.store.grantLease(10_000)
  const leases = new PartitionLeases(w.store, name, 'me')
  assert.notEqual(await leases.acquire(0, start, lease.id), null)
  await leases.release(0)
}

test('a branch that is deleted and made anew begins anew: epochs go with it, those of named fleets too, and nobody else’s', async () => {
  const w = await world()
  const { store } = w
  for (const name of ['insights', 'insights@wide', 'insights@wide+slow', 'insights@wider']) await acquire(w, name, 5n)
  await fleet(w, 'wide', 'queries')
  await setFleet(w, 'insights@wide', 'stopped')
  await deleteFleet(w, 'insights@wide', 'kept')
  await deleteBranch(w, 'insights', 'wide', { yes: true, dryRun: false })
  await store.commit([], branchPuts('wide'))
  // Another start than the first one's: as when offsets were pinned a day later.
  for (const name of ['insights@wide', 'insights@wide+slow']) await acquire(w, name, 77n)
  for (const name of ['insights', 'insights@wider']) {
    const epoch = await readRecord<{ v: 1; start?: string }>(store, keys.partitionEpoch(name, 0))
    assert.equal(epoch?.value.start, '5', name)
  }
})

test('a keyspace goes when no fleet fills it, and its epochs with it', async () => {
  const w = await world()
  await deleteBranch(w, 'insights', 'wide', { yes: true, dryRun: false })
  await acquire(w, 'insights', 5n)
  await fleet(w, 'main', 'queries')
  await assert.rejects(deleteKeyspace(w, 'insights', { yes: true, dryRun: false }), refused('SW-DUALWRITE-004'))
  await setFleet(w, 'insights', 'stopped')
  await deleteFleet(w, 'insights', 'kept')
  await deleteKeyspace(w, 'insights', { yes: true, dryRun: false })
  assert.equal((await w.store.list('ingest-epochs/')).entries.size, 0)
})
