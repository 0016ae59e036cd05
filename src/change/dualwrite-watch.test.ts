import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import type { FleetRecord, GateReads, ReadRule } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { put, readRecord, updateRecord } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { until } from '../../test/kit/until.ts'
import { watchDualWrites } from './dualwrite-watch.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { noPool, standing } from './testkit/standing-run.ts'

test('reads that fail on the new branch beyond the share allowed take the ramp back by itself', () => goesBack({}))

test('so they do when tenants were moved by name alone', () =>
  goesBack({ moved: 0, overrides: { '0102': { branch: 'wide' }, '0304': { branch: 'main' } } }))

async function goesBack(rule: Partial<ReadRule>): Promise<void> {
  const { store, desk, run } = await standing()
  await updateRecord<ReadRule>(store, keys.reads('insights'), (now) => (now === null ? null : { ...now, ...rule }))
  const ramp = {
    steps: [10, 25, 50],
    dwellMs: 60_000,
    p95TimesMost: 1.2,
    p95FloorMs: 5,
    errorsMost: 0.01,
    watchEveryMs: 60_000,
    watchRungs: [],
  }
  const state = { state: 'ramping', spec: { ...(run.spec as object), ramp } } as unknown as Partial<WorkflowRecord>
  const key = keys.workflow('insights', 'grow')
  await updateRecord<WorkflowRecord>(store, key, (now) => (now === null ? null : { ...now, ...state }))
  // Nobody behind any address: an orderly step is not possible, and the guard takes all reads back at once.
  for (const name of ['insights', 'insights@wide'])
    await updateRecord<FleetRecord>(store, keys.fleet(name), (one) => (one === null ? null : { ...one, wanted: 'held' }))
  const stop = new AbortController()
  const leadership = { ...desk.leadership, signal: stop.signal }
  const world = { store, clock: systemClock, log: silentLog, loadDefinition: () => Promise.reject(new Error('none')) }
  const watching = watchDualWrites(world as unknown as DualWriteWorld, noPool, leadership)
  const stored = async (): Promise<WorkflowRecord> => (await readRecord<WorkflowRecord>(store, key))!.value
  const reading = async (): Promise<ReadRule> => (await readRecord<ReadRule>(store, keys.reads('insights')))!.value
  const isBack = async (): Promise<boolean> => {
    const { moved, overrides } = await reading()
    return moved === 0 && !Object.values(overrides).some(({ branch }) => branch === 'wide')
  }
  const reads = { reads: 500, errors: 50, p50Ms: 1, p95Ms: 1, p99Ms: 1, slowestMs: 1 }
  try {
    await store.commit(
      [],
      [put<GateReads>(keys.gateReads('g'), { v: 1, gate: 'g', atMs: systemClock.nowMs(), branches: { 'insights@wide': reads } })],
    )
    await until('the step back', isBack, 30_000)
    assert.match(
      (await stored()).journal.map((entry) => entry.text).join('\n'),
      /stepping back: 50 of 500 reads on the new branch failed \(1 % at most\)/,
    )
  } finally {
    stop.abort(new Error('the test ends'))
    await watching
  }
}
