import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pausedFleet } from '../topology/fleet-pause.ts'
import { readSlots } from '../topology/dualwrite-records.ts'
import type { FleetRecord, FleetReport, ReadRule } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRecord } from '../topology/records.ts'
import { initialRouting } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import { put, readRecord, updateRecord } from '../topology/typed.ts'
import type { Evidence, Rung } from '../verify/ladder/evidence.ts'
import { controllerName } from '../workflow/context.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { leftOut } from './dualwrite.ts'
import { isSwError } from '../base/errors.ts'
import type { ActionContext } from '../workflow/context.ts'
import { completeVerb } from './dualwrite-end.ts'
import { removeShardPlaces } from './removals.ts'
import { readersLeft } from './dualwrite-quiet.ts'
import { fleetTrouble, gathered, noReads, overBudget } from './dualwrite-figures.ts'
import { leftMs } from './dualwrite-headroom.ts'
import { emergency, giveUpLeftOver, moveReads } from './dualwrite-ramp.ts'
import { baselineOf, lastRungs, whyNotReady } from './dualwrite-ready.ts'
import { refreshPlan } from './dualwrite-record.ts'
import { noPool, evidence, standing } from './testkit/standing-run.ts'
import { finishRun } from './dualwrite-finish.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { dataOf } from './dualwrite-spec.ts'
import { setFleet } from './fleets.ts'

test('a fleet that was stopped, or for which nobody works, is trouble for whoever reads its branch; one that begins again is none', () => {
  const fleet = { name: 'insights@wide', wanted: 'running', generation: 2 } as FleetRecord
  const report = (atMs: number, generation = 2): FleetReport =>
    ({ fleet: fleet.name, atMs, generation, state: 'running', partitions: [] }) as unknown as FleetReport
  const silence = new Map()
  const trouble = (nowMs: number, ...reports: FleetReport[]): string | null => fleetTrouble([fleet], reports, silence, nowMs)
  assert.equal(trouble(0, report(0)), null)
  assert.equal(trouble(12_000, report(0)), null, 'silent since now')
  assert.equal(trouble(26_000), null)
  assert.match(trouble(27_000, report(26_900, 1)) ?? '', /no consumer of insights@wide has said anything for 15 s/)
  assert.equal(trouble(28_000, report(27_900)), null)
  assert.equal(trouble(40_000), null, 'counted anew')
  assert.match(fleetTrouble([{ ...fleet, wanted: 'stopped' }], [report(0)], silence, 0) ?? '', /is stopped/)
})

test('promise 6: a fleet that its topic does not answer is trouble, however well it was when it last did', () => {
  const fleet = { name: 'insights@wide', wanted: 'running', generation: 2 } as FleetRecord
  const told = (topicSilentMs: number | undefined, atMs = 50_000): string | null => {
    const partition = { partition: 3, state: 'running', error: null, ...(topicSilentMs === undefined ? {} : { topicSilentMs }) }
    const report = {
      fleet: fleet.name,
      atMs,
      generation: 2,
      state: 'running',
      error: null,
      partitions: [partition],
    } as unknown as FleetReport
    return fleetTrouble([fleet], [report], new Map(), 50_000)
  }
  assert.equal(told(undefined), null)
  assert.equal(told(14_000), null)
  assert.match(told(15_400) ?? '', /insights@wide: the topic has not answered for partition 3 for 15 s/)
  assert.equal(told(15_400, 39_000), null, 'what a consumer said that is gone')
})

test('over budget only when it lasts and is no noise; failures count by share', () => {
  const budget = { baselineP95Ms: 10, p95TimesMost: 1.2, p95FloorMs: 5, errorsMost: 0.01 }
  const silent = { reads: 0, errors: 0, p95Ms: 0 }
  const second = (p95Ms: number, reads = 100, errors = 0, old = silent) => ({ old, new: { reads, errors, p95Ms } })
  assert.equal(overBudget([second(50), second(11), second(50)], budget), null)
  assert.match(overBudget([second(50), second(13), second(50)], budget) ?? '', /p95 .* 12\.0 ms at most/)
  assert.equal(overBudget([second(50, 1), second(50, 1), second(50, 1)], budget), null)
  const few = Array.from({ length: 9 }, () => second(50, 1))
  assert.match(overBudget(few, budget) ?? '', /p95/, 'a branch so slow that a second sees one read')
  assert.equal(overBudget(few.with(4, second(11, 1)), budget), null)
  assert.match(overBudget([second(50), second(0, 0), second(50), second(50)], budget) ?? '', /p95/, 'a second without figures')
  assert.equal(overBudget([second(4), second(4), second(4)], { ...budget, baselineP95Ms: 1 }), null)
  assert.equal(overBudget([second(1, 1000, 2)], budget), null)
  assert.match(overBudget([second(1, 100, 4)], budget) ?? '', /4 of 100 reads on the new branch failed within 1 s \(1 % at most\)/)
  const rare = Array.from({ length: 12 }, (_, i) => second(1, 10, i % 4 === 0 ? 1 : 0))
  assert.match(
    overBudget(rare, budget) ?? '',
    /3 of 120 reads on the new branch failed within 12 s/,
    'one now and then is seen by all that are kept',
  )
  assert.equal(overBudget(rare.slice(0, 8), budget), null, 'two are no share')
  const alike = { reads: 1000, errors: 40, p95Ms: 1 }
  assert.equal(
    overBudget([second(1, 100, 4, alike)], budget),
    null,
    'as many of the old branch’s reads fail: clients, or what both stand on',
  )
  assert.match(overBudget([second(1, 100, 6, alike)], budget) ?? '', /6 of 100 reads .* 40 of 1000 on the old one/)
  assert.match(
    overBudget([second(1, 100, 4, { reads: 4, errors: 2, p95Ms: 1 })], budget) ?? '',
    /4 of 100/,
    'two errors are no share of the old one either',
  )
  assert.equal(overBudget([second(5000), second(5000), second(5000)], { ...budget, baselineP95Ms: null }), null)
  const beside = Array.from({ length: 3 }, () => second(50, 100, 0, { reads: 100, errors: 0, p95Ms: 10 }))
  assert.match(overBudget(beside, { ...budget, baselineP95Ms: null }) ?? '', /12\.0 ms at most \(on the old one 10\.0 ms now\)/)
  const both = (p95Ms: number, oldP95Ms: number, oldReads = 100) =>
    Array.from({ length: 3 }, () => second(p95Ms, 100, 0, { reads: oldReads, errors: 0, p95Ms: oldP95Ms }))
  assert.equal(overBudget(both(100, 90), budget), null, 'what slows both is no fault of the new one')
  assert.match(overBudget(both(120, 90), budget) ?? '', /120\.0 ms; 108\.0 ms at most \(on the old one 90\.0 ms now, 10\.0 ms before\)/)
  assert.match(overBudget(both(100, 90, 4), budget) ?? '', /12\.0 ms at most \(on the old one 10\.0 ms before\)/, 'too few reads to say')
  assert.equal(overBudget(both(11, 2), budget), null, 'an old branch that has less to do now is no stricter measure')
})

test('what reads of the old branch take is gathered over as many seconds as it needs; where it is not known, what L5 measured counts', async () => {
  let open = noReads
  const told: (number | null)[] = []
  for (const [reads, p95Ms] of [
    [2, 3],
    [0, 0],
    [2, 9],
    [7, 4],
    [1, 2],
    [5, 6],
  ] as const) {
    const found = gathered(open, { reads, errors: 0, p95Ms })
    open = found.open
    told.push(found.p95Ms)
  }
  assert.deepEqual(told, [null, null, null, 4, 9, 6])
  const { run } = await standing()
  const l5 = { ...evidence('L5', 1), numbers: { p95OldMs: 7 } }
  assert.equal(baselineOf(run, new Map()), null)
  assert.equal(baselineOf(run, new Map([['L5', l5]])), 7)
  assert.equal(baselineOf({ ...run, data: { baselineP95Ms: 3 } }, new Map([['L5', l5]])), 3)
})

test('what was found some time ago is not known any more: coverage and dimension tables have to be looked at anew', async () => {
  const { desk, run } = await standing()
  const first = await refreshPlan(desk, run)
  const shown = new Map([evidence('L0', 1), evidence('L1', 1)].map((one) => [one.rung, one]))
  // Of the writers as well, which are looked at elsewhere.
  const quiet = { ...first, spec: { ...(first.spec as object), allow: ['writers'] } } as WorkflowRecord
  assert.equal(whyNotReady(quiet, shown, 15_005), null)
  assert.equal(whyNotReady(quiet, shown, 16_005), 'how full the branch is was last looked at 16 s ago')
  const dimensions = { atMs: 5, state: 'following', because: '', rowsDone: 1, rowsEstimated: 1, landedAtMs: 1 } as const
  const coverage = { ...dataOf(first).coverage, atMs: 16_000 }
  const hybrid = {
    ...quiet,
    spec: { ...(quiet.spec as object), bootstrap: 'hybrid' },
    data: { ...(first.data as object), dimensions, coverage },
  } as WorkflowRecord
  assert.equal(whyNotReady(hybrid, shown, 15_005), null)
  assert.equal(whyNotReady(hybrid, shown, 16_005), 'whether dimension tables are in step was last looked at 16 s ago')
})

test('lore: readiness of an older plan is not ready: other shards or another definition raise the plan’s version, and evidence of before does not count', async () => {
  const { store, desk, run } = await standing()
  const first = await refreshPlan(desk, run)
  assert.equal(dataOf(first).planVersion, 1)
  const shown = new Map([evidence('L0', 1), evidence('L1', 1)].map((one) => [one.rung, one]))
  assert.equal(whyNotReady(first, shown, 0), null)
  assert.equal((await refreshPlan(desk, first)).journal.length, first.journal.length, 'nothing changed, nothing is written')
  await store.commit([], [put(keys.routing('insights@wide'), initialRouting(['-80']))])
  const second = await refreshPlan(desk, first)
  assert.equal(dataOf(second).planVersion, 2)
  assert.equal(second.state, 'validating')
  assert.match(whyNotReady(second, shown, 0) ?? '', /L0 was shown under plan version 1, and 2 stands; L1 was/)
  await updateRecord<FleetRecord>(store, keys.fleet('insights@wide'), (one) => (one === null ? null : { ...one, definitionDigest: 'd2' }))
  const third = await refreshPlan(desk, second)
  const later = new Map([evidence('L0', 3), evidence('L1', 3)].map((one) => [one.rung, one]))
  assert.match(whyNotReady(third, later, 0) ?? '', /L0 was shown for another definition/)
})

test('only `pass` lets anything proceed: a rung that is missing, failed or unknown is named', async () => {
  const { desk, run } = await standing()
  const first = await refreshPlan(desk, run)
  const shown = new Map<Rung, Evidence>([['L0', { ...evidence('L0', 1), verdict: 'unknown', because: 'no bucket is closed yet' }]])
  assert.equal(whyNotReady(first, shown, 0), 'L0 is unknown: no bucket is closed yet; L1 was not shown')
})

test('an emergency step back is one commit, over a step that is under way, and says that reads may have gone back in time', async () => {
  const { store, desk, run } = await standing()
  await updateRecord<ReadRule>(store, keys.reads('insights'), (rule) =>
    rule === null ? null : { ...rule, closing: { lo: 2500, hi: 5000, toward: 'wide' } },
  )
  await emergency(desk, run, 'guard', 'reads hang')
  const rule = await readRecord<ReadRule>(store, keys.reads('insights'))
  assert.deepEqual([rule?.value.moved, rule?.value.closing], [0, null])
  const after = await readRecord<WorkflowRecord>(store, keys.workflow('insights', 'grow'))
  assert.match(after?.value.journal.at(-1)?.text ?? '', /^emergency \(guard\): .* tenants may have gone back in time: reads hang$/)
})

test('what a controller that died left half done is given up by the next: the rule goes back, held fleets go on', async () => {
  const { store, desk, run } = await standing()
  await updateRecord<ReadRule>(store, keys.reads('insights'), (rule) =>
    rule === null ? null : { ...rule, closing: { lo: 2500, hi: 5000, toward: 'wide' } },
  )
  await updateRecord<FleetRecord>(store, keys.fleet('insights'), (one) => (one === null ? null : { ...one, wanted: 'held' }))
  await updateRecord<FleetRecord>(store, keys.fleet('insights@wide'), (one) => (one === null ? null : { ...one, wanted: 'stopped' }))
  await updateRecord<WorkflowRecord>(store, keys.workflow('insights', 'grow'), (one) =>
    one === null ? null : { ...one, data: { ...(one.data as object), heldForStep: ['insights', 'insights@wide'] } },
  )
  await giveUpLeftOver(desk, run)
  const rule = await readRecord<ReadRule>(store, keys.reads('insights'))
  assert.deepEqual([rule?.value.moved, rule?.value.closing], [2500, null])
  assert.equal((await readRecord<FleetRecord>(store, keys.fleet('insights')))?.value.wanted, 'running')
  assert.equal((await readRecord<FleetRecord>(store, keys.fleet('insights@wide')))?.value.wanted, 'stopped', 'somebody stopped it since')
})

test('a rung of a controller that died holds no fleet for ever; one of ours that is under way is left alone, and so is what an operator decided', async () => {
  const { store, desk, run } = await standing()
  const fleet = async (name: string): Promise<FleetRecord> => {
    const found = await readRecord<FleetRecord>(store, keys.fleet(name))
    assert.ok(found !== null)
    return found.value
  }
  const pause = (name: string, by: string, change: Parameters<typeof pausedFleet>[2]) =>
    updateRecord<FleetRecord>(store, keys.fleet(name), (one) => (one === null ? null : pausedFleet(one, by, change)))
  const me = controllerName(desk.leadership)
  await pause('insights', 'controller of before', { holdAt: { 0: '10' } })
  await pause('insights@wide', 'controller of before', { wanted: 'held' })
  await giveUpLeftOver(desk, run)
  for (const name of ['insights', 'insights@wide']) {
    const { wanted, holdAt, paused } = await fleet(name)
    assert.deepEqual([wanted, holdAt, paused], ['running', null, undefined], name)
  }
  await pause('insights', me, { wanted: 'held' })
  await pause('insights@wide', 'controller of before', { wanted: 'held' })
  await setFleet({ store }, 'insights@wide', 'held')
  await giveUpLeftOver(desk, run)
  assert.equal((await fleet('insights')).wanted, 'held', 'our own rung goes on')
  assert.equal((await fleet('insights@wide')).wanted, 'held', 'an operator said so meanwhile')
})

test('an automatic step that was stopped while it waited closes nothing: what it would go towards is being stepped back from', async () => {
  const { store, desk, run } = await standing()
  const asked: string[] = []
  const step = {
    move: { percent: 50 },
    by: 'auto',
    why: null,
    warmMs: 60_000,
    notWanted: async () => (asked.push('asked'), 'the automatic ramp was stopped'),
  } as const
  const { outcome, reason } = await moveReads(desk, run, step)
  assert.deepEqual([outcome, reason], ['refused', 'the automatic ramp was stopped'])
  assert.ok(asked.length > 0)
  const rule = await readRecord<ReadRule>(store, keys.reads('insights'))
  assert.deepEqual([rule?.value.moved, rule?.value.closing], [2500, null])
})

test('the old side is removed only while the run holds: a rollback that came sooner keeps everything', async () => {
  const { store, desk, run } = await standing()
  const seen = { ...run, state: 'holding', data: { removeAtMs: 1 } } as WorkflowRecord
  const text = async (): Promise<string> =>
    JSON.stringify([...(await store.list('')).entries], (_, v) => (typeof v === 'bigint' ? String(v) : v))
  const before = await text()
  await finishRun({ store } as unknown as DualWriteWorld, { ...desk, pool: noPool }, seen)
  assert.equal(await text(), before, 'it was rolled back since the watch looked')
})

test('the end may be begun again when some of the old servers are gone: they are neither asked nor removed once more', async () => {
  const { store, desk, run } = await standing()
  const gone = (await readRecord<ShardRecord>(store, keys.shard('insights', '-')))!.value
  const provisioner = { list: async () => [], remove: async () => undefined }
  const world = { store, provisioner } as unknown as DualWriteWorld
  const { signal } = desk.leadership
  assert.deepEqual(await readersLeft(world, desk, run, { shards: [{ ...gone, serverId: 'gone' }], attempts: 1, signal }), [])
  assert.deepEqual(await removeShardPlaces(world, [{ ...gone, serverId: 'gone', provisioned: true }]), [])
})

test('an emergency of the guard and a complete that stops the old fleet: whichever commits first, no reads are on a fleet that is stopped', async () => {
  const { store, desk, run } = await standing()
  const rule = (): Promise<{ value: ReadRule } | null> => readRecord<ReadRule>(store, keys.reads('insights'))
  // The fleet is stopped between the emergency's look at it and its commit.
  const commit: Store['commit'] = async (conditions, puts) => {
    if (puts.some(({ key }) => key === keys.reads('insights'))) await setFleet({ store }, 'insights', 'stopped')
    return store.commit(conditions, puts)
  }
  const between = {
    ...desk,
    store: { get: (key: string) => store.get(key), list: (prefix: string) => store.list(prefix), commit } as Store,
  }
  assert.equal(await emergency(between, run, 'guard', 'a gate hangs'), null)
  assert.equal((await rule())?.value.moved, 2500)
  await setFleet({ store }, 'insights', 'running')
  assert.equal((await emergency(desk, run, 'guard', 'a gate hangs'))?.outcome, 'emergency')
  assert.equal((await rule())?.value.moved, 0)
})

test('complete looks for replicas of the old shards once more: those that were attached since are read past every rule', async () => {
  const { store, desk, run } = await standing()
  const rule = (await readRecord<ReadRule>(store, keys.reads('insights')))!.value
  const shard = (await readRecord<ShardRecord>(store, keys.shard('insights', '-')))!.value
  await store.commit(
    [],
    [put(keys.reads('insights'), { ...rule, moved: readSlots }), put(keys.shard('insights', '-'), { ...shard, replicas: ['r1'] })],
  )
  const workflow = { ...run, state: 'switched' }
  const context = { ...desk, workflow, action: { args: { dryRun: true, yes: true, keepData: false } } } as unknown as ActionContext
  await assert.rejects(
    completeVerb({ store } as unknown as DualWriteWorld, context),
    (error) => isSwError(error) && error.code === 'SW-DUALWRITE-014' && /replicas of the old shards - \(r1\)/.test(error.message),
  )
})

test('a controller that no longer leads moves nothing: its commit carries the leader’s condition', async () => {
  const { store, desk, run } = await standing()
  await store.commit([], [{ key: keys.leader, value: { v: 1, other: true } }])
  await assert.rejects(async () => {
    const end = new AbortController()
    end.abort(new Error('not the leader'))
    await emergency({ ...desk, leadership: { ...desk.leadership, signal: end.signal } }, run, 'operator', 'late')
  }, /not the leader/)
  assert.equal((await readRecord<ReadRule>(store, keys.reads('insights')))?.value.moved, 2500)
})

test('lore: offsets expire before they are read: the time left is the part of what the topic holds that lies before the slowest position', () => {
  assert.equal(leftMs(1000, 0n, 100n, 100n), 1000)
  assert.equal(leftMs(1000, 100n, 200n, 125n), 250)
  assert.equal(leftMs(1000, 100n, 200n, 100n), 0)
  assert.equal(leftMs(1000, 100n, 200n, 90n), 0)
  assert.equal(leftMs(1000, 100n, 100n, 100n), 1000, 'all of it was read, and all of it has expired')
})

test('the last comparison has L0 to L2 whatever the run asks for', () => {
  assert.deepEqual(lastRungs(['L4', 'L5']), ['L0', 'L1', 'L2'])
  assert.deepEqual(lastRungs(['L3', 'L1', 'L6']), ['L0', 'L1', 'L2', 'L3'])
})

test('validate says which rungs it left out, and why; one that was asked for by name leaves out nothing', () => {
  const [text, ...more] = leftOut(['L0', 'L1', 'L2', 'L3', 'L4', 'L5'], [], { keyspace: 'insights', name: 'grow' })
  assert.deepEqual(more, [])
  assert.match(text ?? '', /^L6 \(capacity by pause and drain\) was left out: it holds the fleets of both branches in turn.* --rung L6$/)
  assert.deepEqual(leftOut(['L1'], ['L1'], { keyspace: 'insights', name: 'grow' }), [])
})
