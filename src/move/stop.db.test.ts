/** What `stopped` says of a stream, and that it is come to whatever stands in the way; what a mover goes on with while the topology does not answer. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { StreamReport } from '../topology/records.ts'
import type { CommitResult, Condition, Entry, Put, Store } from '../topology/store.ts'
import { put } from '../topology/typed.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { addressesOf } from './access.ts'
import { atWorkOnTarget } from './testkit/at-work.ts'
import { putServers, reported, startMover, want } from './testkit/mover-kit.ts'
import { execOf } from './testkit/samples.ts'
import { fill, World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

/** One shard on each side with a few rows, its servers as records of the store. */
async function filledIn(store: Store, flavour = flavours()[0]!): Promise<World> {
  const pair = await servers.of(flavour)
  const world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, pair)
  await fill(world, 0, 10, 100)
  await putServers(store, pair)
  return world
}

/** A statement of the source that the target can't end as long as the reader reads. Returns how many there are there. */
async function keepBusy(world: World, reader: Connection): Promise<() => Promise<number>> {
  const { schema } = world.targetRefs[0]!
  await reader.query('BEGIN')
  await reader.query('SELECT * FROM item')
  await world.s.query('ALTER TABLE item ADD INDEX (name)')
  const atWork = await atWorkOnTarget(world, /^ALTER TABLE item/, schema)
  assert.equal(await atWork(), 1)
  return atWork
}

/** Answers no question about keys that begin so. */
class FlakyStore extends MemoryStore {
  silentOn: string | null = null
  refused = 0

  override async get(key: string): Promise<Entry | null> {
    this.#answer(key)
    return await super.get(key)
  }

  override async commit(conditions: readonly Condition[], puts: readonly Put[]): Promise<CommitResult> {
    for (const { key } of puts) this.#answer(key)
    return await super.commit(conditions, puts)
  }

  #answer(key: string): void {
    if (this.silentOn === null || !key.startsWith(this.silentOn)) return
    this.refused++
    throw new Error('no answer')
  }
}

// Each with a store, schemas and streams of its own.
describe('streams that are to stop', { concurrency: 3 }, () => {
  for (const flavour of flavours()) {
    test(`1.7 on ${flavour}: a stream is not reported to be stopped while a target still executes its statement, which is ended`, async () => {
      await using store = new MemoryStore(systemClock)
      await using world = await filledIn(store, flavour)
      await using _mover = startMover(store, 'mover-1')
      const record = execOf(world.record(0))
      await want(store, record)
      await reported(store, record, 'running', ({ state }) => state === 'running')
      await using reader = await connect({ ...world.target.config, database: world.targetRefs[0]!.schema })
      const atWork = await keepBusy(world, reader)
      await want(store, { ...record, wanted: 'stopped' })
      await reported(store, record, 'stopped', ({ state }) => state === 'stopped')
      assert.equal(await atWork(), 0)
      await reader.query('COMMIT')
      await want(store, { ...record, generation: 2 })
      const number = await bumpControlMarker(world.s)
      await reported(store, record, `marker ${number}`, ({ targets }) => targets.every(({ controlMarker }) => controlMarker >= number))
      const [shown] = await world.t.allText(`SHOW CREATE TABLE ${world.targetRefs[0]!.schema}.item`)
      assert.match(shown?.['Create Table'] ?? '', /KEY `name`/, 'it is made when the stream goes on')
    })
  }

  test('1.7: of a stream that has failed, what a target still executes for it is ended when it is to be stopped, and why it failed stays told', async () => {
    await using store = new MemoryStore(systemClock)
    await using world = await filledIn(store)
    const record = execOf(world.record(0))
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await using reader = await connect({ ...world.target.config, database: world.targetRefs[0]!.schema })
    const atWork = await keepBusy(world, reader)
    await running.stop()
    assert.equal(await atWork(), 1)
    const error = { code: 'SW-MOVE-002', what: 'a', why: 'b', fix: 'c' }
    const report = { ...running.stream.report(), state: 'failed' as const, error, mover: 'gone' }
    await store.commit([], [put(keys.report(record.workflowUid, record.uid), report)])
    await want(store, { ...record, wanted: 'stopped' })
    await using _mover = startMover(store, 'mover-1')
    const ended = await reported(store, { ...record, wanted: 'stopped' }, 'an end', (one) => one.ended === true)
    assert.deepEqual([ended.state, ended.error, ended.waiting], ['failed', error, null])
    assert.equal(await atWork(), 0)
  })

  test('1.7, promise 7: a stop that a target does not answer is tried until it does, which is told; then what whoever ran the stream had is gone', async () => {
    await using store = new MemoryStore(systemClock)
    await using world = await filledIn(store)
    const record = world.record(0)
    const left = world.start(record)
    await world.untilRunning(record.uid)
    await store.commit([], [put(keys.report(record.workflowUid, record.uid), { ...left.stream.report(), mover: 'gone' })])
    const addresses = addressesOf(store)
    let refuses = true
    const refusing = async (id: string) => {
      const address = await addresses(id)
      return refuses ? { ...address, connect: { ...address.connect, port: 1 } } : address
    }
    await using _mover = startMover(store, 'mover-1', { addresses: refusing })
    await want(store, { ...record, wanted: 'stopped' })
    const waits = await reported(store, record, 'a wait', ({ waiting }) => /on which it is to be ended/.test(waiting?.what ?? ''))
    assert.equal(waits.state, 'starting')
    assert.equal(left.stream.report().state, 'running')
    refuses = false
    const stopped = await reported(store, record, 'stopped', ({ state }) => state === 'stopped')
    assert.deepEqual([stopped.waiting, stopped.mover], [null, 'mover-1'])
    await world.until('a run that has ended', () => world.restarts.length > 0)
  })

  test('1.7: a mover whose workflow another one holds by now says nothing more of it', async () => {
    await using store = new MemoryStore(systemClock)
    await using world = await filledIn(store)
    const record = world.record(0)
    const key = keys.report(record.workflowUid, record.uid)
    {
      await using _mover = startMover(store, 'mover-1')
      await want(store, record)
      const report = await reported(store, record, 'running', ({ state }) => state === 'running')
      await store.commit([], [put(keys.streamOwner(record.workflowUid), { v: 1, mover: 'other' }), put(key, { ...report, mover: 'other' })])
      const running = `SELECT COUNT(*) FROM _shardwright.move_applier WHERE stream_uid = '${record.uid}' AND state = 'running'`
      for (let look = 0; look < 500 && (await world.t.value(running)) !== '0'; look++) await systemClock.sleep(10)
      assert.equal(await world.t.value(running), '0')
    }
    const last = (await store.get(key))?.value as unknown as StreamReport
    assert.equal(last.state, 'running', 'as that one says')
  })

  test('promise 1: a topology that does not answer a question about one workflow stops no stream of another; what was to be given back is, later', async () => {
    await using store = new FlakyStore(systemClock)
    await using world = await filledIn(store)
    await using _mover = startMover(store, 'mover-1')
    const record = world.record(0)
    await want(store, record)
    const before = await reported(store, record, 'running', ({ state }) => state === 'running')
    const other = { ...record, workflowUid: 'other', uid: 'other-stream', wanted: 'stopped' as const }
    const report = keys.report(other.workflowUid, other.uid)
    const untilRefused = async (): Promise<void> => {
      store.refused = 0
      for (let look = 0; look < 500 && store.refused === 0; look++) await systemClock.sleep(10)
      assert.ok(store.refused > 0)
    }
    store.silentOn = report
    await want(store, other)
    await untilRefused()
    store.silentOn = null
    await store.commit([], [put(report, { ...before, streamUid: other.uid, state: 'running', mover: 'gone' })])
    await reported(store, other, 'stopped', ({ state }) => state === 'stopped')
    store.silentOn = keys.streamOwner(other.workflowUid)
    await store.commit([], [{ key: keys.stream(other.workflowUid, other.uid), value: undefined }])
    await untilRefused()
    store.silentOn = null
    for (let look = 0; look < 500 && (await store.get(keys.streamOwner(other.workflowUid))) !== null; look++) await systemClock.sleep(10)
    assert.equal(await store.get(keys.streamOwner(other.workflowUid)), null)
    const now = (await store.get(keys.report(record.workflowUid, record.uid)))?.value as unknown as StreamReport
    assert.deepEqual([now.state, now.stateSinceMs], ['running', before.stateSinceMs])
  })
})
