/** Making a fleet: one topic has one fleet a branch, and what a deleted branch leaves behind keeps no later one from beginning. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { silentLog } from '../base/log.ts'
import { decideVersion, versionAt } from '../ingest/decide.ts'
import { PartitionLeases } from '../ingest/partition-leases.ts'
import { queryStats } from '../ingest/testkit/query-stats.ts'
import { createTopic } from '../topic/open.ts'
import type { Retention, Topic, TopicBatch, TopicPosition } from '../topic/topic.ts'
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import type { FleetRecord, PartitionEpoch } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { KeyspaceRecord, RoutingRecord } from '../topology/records.ts'
import { listRecords, put, readRecord } from '../topology/typed.ts'
import { deleteBranch } from './branches.ts'
import { createFleet, deleteFleet, setFleet, startOffsets } from './fleets.ts'
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
async function world(definition = queryStats()): Promise<FleetWorld> {
  const store = new MemoryStore()
  for (const branch of ['main', 'wide']) await store.commit([], branchPuts(branch))
  return {
    store,
    clock: systemClock,
    log: silentLog,
    flavour: 'mariadb',
    loadDefinition: async () => definition,
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

const versionsOf = (w: FleetWorld, name: string): Promise<PartitionEpoch['versions'][]> =>
  Promise.all(
    [0, 1].map(async (partition) => (await readRecord<PartitionEpoch>(w.store, keys.partitionEpoch(name, partition)))?.value.versions),
  )

test('4.12: a second branch decodes each record by the version that the first one decoded it by, from its own start on', async () => {
  const w = await world(queryStats({ version: 2, factor: 100, previous: [queryStats()] }))
  const { store } = w
  await fleet(w, 'main', 'queries')
  await fleet(w, 'main', 'errors', 'errors')
  const theirs = async (partition: number, versions: PartitionEpoch['versions']): Promise<void> => {
    const key = keys.partitionEpoch('insights', partition)
    await store.commit([], [put<PartitionEpoch>(key, { v: 1, epoch: 3, start: '5', ...(versions === undefined ? {} : { versions }) })])
  }
  // Partition 0 goes by version 2 from offset 7 on; who holds partition 1 has yet to fix from where on it does.
  await theirs(0, [
    { version: 1, from: '5' },
    { version: 2, from: '7' },
  ])
  await theirs(1, [{ version: 1, from: '5' }])
  await assert.rejects(fleet(w, 'wide', 'queries'), (error) => {
    assert.ok(isSwError(error, 'SW-DUALWRITE-028'), String(error))
    assert.match(error.message, /fleet insights has not taken up version 2 .* in partitions 1 of/)
    return true
  })
  assert.equal(await readRecord(store, keys.fleet('insights@wide')), null)
  // Not begun at all: both branches decode all of it by version 2.
  await theirs(1, undefined)
  const { startOffsets } = await fleet(w, 'wide', 'queries')
  assert.deepEqual(startOffsets, { '0': '0', '1': '0' })
  assert.deepEqual(await versionsOf(w, 'insights@wide'), [
    [
      { version: 1, from: '0' },
      { version: 2, from: '7' },
    ],
    undefined,
  ])
  // As the consumer that takes it finds it: nothing is left for it to fix.
  const lease = await store.grantLease(10_000)
  const acquired = await new PartitionLeases(store, 'insights@wide', 'me').acquire(0, 0n, lease.id)
  assert.deepEqual(decideVersion(acquired?.versions ?? [], 2), { kind: 'as it is' })
  assert.deepEqual(
    [0n, 6n, 7n].map((offset) => versionAt(acquired?.versions ?? [], offset)),
    [1, 1, 2],
  )
  // Another topic of it has versions of its own.
  await fleet(w, 'wide', 'errors', 'errors')
  assert.deepEqual(await versionsOf(w, 'insights@wide+errors'), [undefined, undefined])
})

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

test('the margin keeps from a log start that moves by bytes as well as by time, in each partition that has lost records, by their own times', async () => {
  // A record each second: partition 0 from 100 s on (it has lost 50), partition 1 from 400 s on (it has lost 7), partition 2 has lost none.
  const held = new Map<number, { start: bigint; fromMs: number }>([
    [0, { start: 50n, fromMs: 100_000 }],
    [1, { start: 7n, fromMs: 400_000 }],
    [2, { start: 0n, fromMs: 300_000 }],
  ])
  const nowMs = 500_000
  const topic = (retention: Pick<Retention, 'ms' | 'bytes'>): Parameters<typeof startOffsets>[0] => ({
    startOffsets: async () => new Map([...held].map(([partition, { start }]) => [partition, start])),
    endOffsets: async () => assert.fail('the end is not asked for'),
    retention: async () => ({ ...retention, msFrom: 'topic' }),
    offsetsAt: async (ms) =>
      new Map([...held].map(([partition, { start, fromMs }]) => [partition, start + BigInt(Math.max(0, Math.ceil((ms - fromMs) / 1000)))])),
    async *read(positions: ReadonlyMap<number, TopicPosition>): ReturnType<Topic['read']> {
      const records = [...positions].map(([partition, { offset }]) => {
        const { start, fromMs } = held.get(partition)!
        return { partition, offset, timestampMs: fromMs + Number(offset - start) * 1000, key: null, value: null }
      })
      yield { records, next: new Map(), logStart: new Map(), highWatermark: new Map() } satisfies TopicBatch
    },
  })
  const from = (ms: bigint | null, bytes: bigint | null): Promise<unknown> =>
    startOffsets(topic({ ms, bytes }), { at: 'oldest', marginMs: 60_000 }, nowMs)
  assert.deepEqual(await from(null, null), { '0': '50', '1': '7', '2': '0' }, 'nothing is ever removed')
  assert.deepEqual(await from(400_000n, null), { '0': '110', '1': '7', '2': '0' }, 'by time')
  assert.deepEqual(await from(null, 1000n), { '0': '110', '1': '67', '2': '0' }, 'by bytes')
  assert.deepEqual(await from(350_000n, 1000n), { '0': '160', '1': '67', '2': '0' }, 'by whichever is first')
})
