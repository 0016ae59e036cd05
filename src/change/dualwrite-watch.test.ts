import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import type { FleetRecord, GateReads, ReadRule } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { put, readRecord, updateRecord } from '../topology/typed.ts'
import type { MemoryStore } from '../topology/memory.ts'
import type { Json } from '../topology/store.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { until } from '../../test/kit/until.ts'
import { watchDualWrites } from './dualwrite-watch.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { dataOf } from './dualwrite-spec.ts'
import { evidence, noPool, standing } from './testkit/standing-run.ts'

// Each with a store of its own: they wait for what the guard looks at by the second.
describe('the guard', { concurrency: 5 }, () => {
  test('reads that fail on the new branch beyond the share allowed take the ramp back by itself', () => goesBack({}))

  test('so they do when tenants were moved by name alone', () =>
    goesBack({ moved: 0, overrides: { '0102': { branch: 'wide' }, '0304': { branch: 'main' } } }))

  test('a new fleet that stops takes the reads back', async () => {
    const { moved, journal } = await fleetsStop(['insights@wide'], /stepping back/)
    assert.equal(moved, 0)
    assert.match(journal, /the new branch’s fleet has stopped: insights@wide: SW-INGEST-001 a record that can not be read/)
  })

  test('what stops both fleets alike takes no reads back: on the old branch they would be no better off', async () => {
    const { moved, journal } = await fleetsStop(['insights@wide', 'insights'], /both fleets have stopped, reads stay where they are/)
    assert.equal(moved, 2500)
    assert.doesNotMatch(journal, /stepping back/)
  })

  test('an automatic ramp begins only when it is known what reads of the old branch take: few reads a second are gathered', async () => {
    await watched({ moved: 0 }, async ({ store }) => {
      const key = keys.workflow('insights', 'grow')
      const data = async () => dataOf((await readRecord<WorkflowRecord>(store, key))!.value)
      await store.commit([], [put(keys.evidence('u', 'L0'), evidence('L0', 1)), put(keys.evidence('u', 'L1'), evidence('L1', 1))])
      const fresh = {
        coverage: { ...(await data()).coverage, atMs: systemClock.nowMs() },
        auto: { state: 'running', sinceMs: 0, nextStepAtMs: 0, why: null },
      }
      await updateRecord<WorkflowRecord>(store, key, (now) =>
        now === null
          ? null
          : {
              ...now,
              spec: { ...(now.spec as object), allow: ['writers'] },
              data: { ...(now.data as object), ...fresh } as unknown as Json,
            },
      )
      const why = async (): Promise<string> => (await data()).auto?.why ?? ''
      await until(
        'it to wait',
        async () => (await why()).startsWith('what reads take on the old branch is not known: fewer than 5'),
        20_000,
      )
      let told = 0
      await until(
        'enough reads',
        async () => {
          const reads = { reads: 2, errors: 0, p50Ms: 1, p95Ms: ++told, p99Ms: 1, slowestMs: 1 }
          const report = { v: 1, gate: 'g', atMs: systemClock.nowMs(), branches: { insights: reads } } as const
          await store.commit([], [put<GateReads>(keys.gateReads('g'), report)])
          return (await data()).baselineP95Ms !== undefined
        },
        20_000,
      )
      await until('it to go on', async () => !/is not known/.test(await why()), 20_000)
    })
  })
})

async function fleetsStop(names: readonly string[], until_: RegExp): Promise<{ moved: number; journal: string }> {
  return watched({}, async ({ store, journal, rule }) => {
    const error = { code: 'SW-INGEST-001', what: 'a record that can not be read', why: '', fix: '' }
    const partition = { partition: 0, state: 'stopped', next: {}, logStart: null, highWatermark: null, lag: null, newestMs: null }
    const report = (fleet: string): object => ({
      v: 1,
      fleet,
      consumer: 'c',
      generation: 1,
      atMs: systemClock.nowMs(),
      state: 'running',
      partitions: [{ ...partition, error: names.includes(fleet) ? error : null }],
    })
    await store.commit(
      [],
      [
        ...['insights', 'insights@wide'].map((fleet) => ({ key: `${keys.fleetReportsOf(fleet)}c`, value: report(fleet) as Json })),
        put<GateReads>(keys.gateReads('g'), { v: 1, gate: 'g', atMs: systemClock.nowMs(), branches: {} }),
      ],
    )
    await until('the guard', async () => until_.test(await journal()), 30_000)
    // It says what it will do, and does it.
    if (names.length === 1) await until('the reads to be back', async () => (await rule()).moved === 0)
    return { moved: (await rule()).moved, journal: await journal() }
  })
}

async function goesBack(change: Partial<ReadRule>): Promise<void> {
  await watched(change, async ({ store, journal, rule }) => {
    const isBack = async (): Promise<boolean> => {
      const { moved, overrides } = await rule()
      return moved === 0 && !Object.values(overrides).some(({ branch }) => branch === 'wide')
    }
    const reads = { reads: 500, errors: 50, p50Ms: 1, p95Ms: 1, p99Ms: 1, slowestMs: 1 }
    await store.commit(
      [],
      [put<GateReads>(keys.gateReads('g'), { v: 1, gate: 'g', atMs: systemClock.nowMs(), branches: { 'insights@wide': reads } })],
    )
    await until('the step back', isBack, 30_000)
    assert.match(await journal(), /stepping back: 50 of 500 reads on the new branch failed within 1 s \(1 % at most\)/)
  })
}

type Watched = { readonly store: MemoryStore; readonly journal: () => Promise<string>; readonly rule: () => Promise<ReadRule> }

/** A run that is ramping and watched, by a rule changed so. */
async function watched<T>(rule: Partial<ReadRule>, work: (world: Watched) => Promise<T>): Promise<T> {
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
  const journal = async (): Promise<string> => (await stored()).journal.map((entry) => entry.text).join('\n')
  try {
    return await work({ store, journal, rule: reading })
  } finally {
    stop.abort(new Error('the test ends'))
    await watching
  }
}
