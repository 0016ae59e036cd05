import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isSwError } from '../base/errors.ts'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { queryStats } from '../ingest/testkit/query-stats.ts'
import { createTopic, openProducer, openTopic } from '../topic/open.ts'
import type { Retention, Topic } from '../topic/topic.ts'
import type { FleetRecord, FleetReport } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { put, readRecord, updateRecord } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { keepHeadroom } from './dualwrite-headroom.ts'
import { ownRetentionMs, putRetentionBack, raiseRetention, renew } from './dualwrite-retention.ts'
import { dataOf } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { fleet, standing } from './testkit/standing-run.ts'

async function world(spec: { retentionMs?: bigint; retentionBytes?: bigint }) {
  const dir = mkdtempSync(join(tmpdir(), 'sw-retention-'))
  const url = `log://${dir}/t`
  await createTopic(url, { partitions: 1, ...spec })
  const retention = async (): Promise<Retention> => {
    const topic = await openTopic(url)
    try {
      return await topic.retention()
    } finally {
      await topic.close()
    }
  }
  const { store, desk, run } = await standing()
  const said: string[] = []
  const context = { ...desk, workflow: run, say: async (...lines: string[]) => void said.push(...lines) }
  const fleets = [{ fleet: { ...fleet('insights', 'main', 'd1'), topicUrl: url }, definition: queryStats() }]
  const stored = async (): Promise<WorkflowRecord> => (await readRecord<WorkflowRecord>(store, keys.workflow('insights', 'grow')))!.value
  return { dir, url, retention, store, desk, run, said, context, fleets, stored, [Symbol.dispose]: () => rmSync(dir, { recursive: true }) }
}

const pin = { bootstrap: 'pin', marginMs: 1000 } as const

test('the retention is raised to twice the rows’ window, noted before, and put back as it was, unless somebody else has set it since', async () => {
  using w = await world({ retentionMs: 60_000n })
  await raiseRetention(w.context, w.fleets, pin)
  const [lease] = dataOf(await w.stored()).retention ?? []
  assert.deepEqual([lease?.wasMs, lease?.from], ['60000', 'topic'])
  assert.equal(String((await w.retention()).ms), lease?.raisedToMs)
  assert.ok(Number(lease?.raisedToMs) > 60_000)
  // Again, as after a crash: what stood before is what was noted first.
  await raiseRetention({ ...w.context, workflow: await w.stored() }, w.fleets, pin)
  assert.equal(dataOf(await w.stored()).retention?.length, 1)
  // What complete holds the old side for by default: not twice the window, which is ours.
  const own = async (): Promise<bigint | null> => ownRetentionMs(dataOf(await w.stored()).retention ?? [], w.url, (await w.retention()).ms)
  assert.equal(await own(), 60_000n)
  await putRetentionBack({ workflow: await w.stored() }, async () => undefined)
  assert.equal((await w.retention()).ms, 60_000n)
  assert.equal(await own(), 60_000n)
  const topic = await openTopic(w.url)
  await topic.setRetentionMs(77n)
  await topic.close()
  assert.equal(await own(), 77n)
  await putRetentionBack({ workflow: await w.stored() }, async () => undefined)
  assert.equal((await w.retention()).ms, 77n)
})

test('a broker that refuses: `pin` stops and says what to do, `pin+wait` goes on with what is held', async () => {
  using w = await world({ retentionMs: 60_000n })
  const refuses = async (url: string): Promise<Topic> => {
    const topic = await openTopic(url)
    topic.setRetentionMs = () => Promise.reject(new Error('not authorised'))
    return topic
  }
  await assert.rejects(
    raiseRetention(w.context, w.fleets, pin, refuses),
    (error) => isSwError(error) && error.code === 'SW-DUALWRITE-024' && /not authorised/.test(error.message),
  )
  assert.deepEqual(w.said, [])
  await raiseRetention(w.context, w.fleets, { ...pin, bootstrap: 'pin+wait' }, refuses)
  assert.match(w.said.join(), /stays 60000 ms: not authorised/)
  await putRetentionBack({ workflow: await w.stored() }, async () => assert.fail('nothing was raised'))
  assert.equal((await w.retention()).ms, 60_000n)
})

test('renewing doubles what stands and keeps what was noted first', async () => {
  using w = await world({ retentionMs: 60_000n })
  await raiseRetention(w.context, w.fleets, pin)
  const before = (await w.retention()).ms!
  assert.match((await renew(w.desk, await w.stored(), { url: w.url, ms: before, from: 'topic' })) ?? '', /raised to/)
  assert.equal((await w.retention()).ms, before * 2n)
  const leases = dataOf(await w.stored()).retention ?? []
  assert.deepEqual([leases.length, leases[0]?.wasMs, leases[0]?.raisedToMs], [1, '60000', String(before * 2n)])
})

test('a raise that was noted and not made (the broker refused, the controller died) does not hide the one before: it is put back', async () => {
  using w = await world({ retentionMs: 60_000n })
  await raiseRetention(w.context, w.fleets, pin)
  const raised = (await w.retention()).ms!
  await renew(w.desk, await w.stored(), { url: w.url, ms: raised, from: 'topic' })
  await using topic = await openTopic(w.url)
  await topic.setRetentionMs(raised)
  await putRetentionBack({ workflow: await w.stored() }, async () => undefined)
  assert.equal((await w.retention()).ms, 60_000n)
  await topic.setRetentionMs(7_000n)
  await putRetentionBack({ workflow: await w.stored() }, async () => assert.fail('it is somebody else’s'))
})

test('a topic that is limited by bytes alone warns by its growth, and says which setting helps', async () => {
  using w = await world({ retentionBytes: 40_000n })
  const producer = await openProducer(w.url)
  await updateRecord<FleetRecord>(w.store, keys.fleet('insights@wide'), (one) => (one === null ? null : { ...one, topicUrl: w.url }))
  const report = { v: 1, partitions: [{ partition: 0, next: { a: '10' } }], atMs: 0 } as unknown as FleetReport
  await w.store.commit([], [put(`${keys.fleetReportsOf('insights@wide')}c1`, report)])
  let nowMs = 1_000_000
  const clock = { ...systemClock, nowMs: () => nowMs }
  const send = (n: number) => producer.send(Array.from({ length: n }, () => ({ key: null, value: Buffer.alloc(100) })))
  const looks = new Map()
  const look = () => keepHeadroom({ store: w.store, clock, log: silentLog } as unknown as DualWriteWorld, w.desk, w.run, looks)
  try {
    await send(100)
    await look()
    assert.equal(dataOf(await w.stored()).headroom, undefined, 'one look tells no growth')
    await send(100)
    nowMs += 10_000
    await look()
    // 10 a second of 400 that fit: room for 200, and 10 behind the position.
    assert.deepEqual([dataOf(await w.stored()).headroom?.leftMs, dataOf(await w.stored()).headroom?.low], [21_000, false])
    await send(190)
    nowMs += 10_000
    await look()
    const after = await w.stored()
    assert.equal(dataOf(after).headroom?.low, true)
    assert.match(after.journal.at(-1)?.text ?? '', /insights@wide partition 0 .*raise retention\.bytes/)
  } finally {
    await producer.close()
  }
})

test('a raise that the broker refused is asked for again while time is short, and told once', async () => {
  using w = await world({ retentionMs: 100_000n })
  const producer = await openProducer(w.url)
  await updateRecord<FleetRecord>(w.store, keys.fleet('insights@wide'), (one) => (one === null ? null : { ...one, topicUrl: w.url }))
  const raise = { ...w.run, spec: { ...(w.run.spec as object), raiseRetention: true } }
  await w.store.commit([], [put(keys.workflow('insights', 'grow'), raise)])
  const report = { v: 1, partitions: [{ partition: 0, next: { a: '0' } }], atMs: 0 } as unknown as FleetReport
  await w.store.commit([], [put(`${keys.fleetReportsOf('insights@wide')}c1`, report)])
  const sentMs = Date.now()
  await producer.send([{ key: null, value: Buffer.alloc(10), timestampMs: sentMs }])
  let nowMs = 0
  const clock = { ...systemClock, nowMs: () => nowMs }
  const asked: number[] = []
  let answer: string | null = null
  const at = async (ms: number): Promise<string[]> => {
    nowMs = sentMs + ms
    const renewing = async (): Promise<string | null> => (asked.push(ms), answer)
    await keepHeadroom(
      { store: w.store, clock, log: silentLog } as unknown as DualWriteWorld,
      w.desk,
      await w.stored(),
      new Map(),
      renewing,
    )
    return (await w.stored()).journal.map(({ text }) => text)
  }
  try {
    assert.deepEqual(await at(1_000), [])
    assert.match((await at(95_000)).join(), /^retention reaches .* raise retention\.ms/)
    assert.equal((await at(100_000)).length, 1)
    assert.equal((await at(156_000)).length, 1, 'refused once more')
    answer = 'it is raised'
    assert.match((await at(217_000)).slice(1).join(), /^retention reaches .*; it is raised$/)
    assert.equal((await at(300_000)).length, 2)
    assert.deepEqual(asked, [95_000, 156_000, 217_000])
  } finally {
    await producer.close()
  }
})
