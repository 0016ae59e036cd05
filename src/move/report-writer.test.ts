import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { topologyErrors } from '../topology/errors.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { StreamReport } from '../topology/records.ts'
import { readRecord } from '../topology/typed.ts'
import { ReportWriter } from './report-writer.ts'

test('promise 7: a last report that the store did not take is put again; a newer one takes its place', async () => {
  let failures = 2
  class Failing extends MemoryStore {
    override async commit(...given: Parameters<MemoryStore['commit']>): ReturnType<MemoryStore['commit']> {
      if (failures-- > 0) throw topologyErrors.outcomeUnknown({ keys: 'a report' })
      return super.commit(...given)
    }
  }
  const store = new Failing()
  const writer = new ReportWriter({ store, workflowUid: 'w', streamUid: 's', clock: systemClock, everyMs: 10_000, log: silentLog })
  const state = async (): Promise<string | undefined> => (await readRecord<StreamReport>(store, keys.report('w', 's')))?.value.state
  writer.write(() => ({ v: 1, state: 'stopped' }) as StreamReport, true)
  await writer.flush()
  assert.equal(await state(), 'stopped')
  failures = 1
  writer.write(() => ({ v: 1, state: 'copying' }) as StreamReport, true)
  writer.write(() => ({ v: 1, state: 'running' }) as StreamReport, false)
  await writer.flush()
  assert.equal(await state(), 'running')
})

test('reports of progress keep to their interval; one that is told to goes at once, and whatever comes while it is written goes as one', async () => {
  const written: number[] = []
  const gates: (() => void)[] = []
  class Slow extends MemoryStore {
    override async commit(...given: Parameters<MemoryStore['commit']>): ReturnType<MemoryStore['commit']> {
      written.push((given[1][0]!.value as unknown as StreamReport).atMs)
      await new Promise<void>((resolve) => gates.push(resolve))
      return super.commit(...given)
    }
  }
  const passed = async (): Promise<void> => {
    gates.shift()?.()
    await systemClock.sleep(5)
  }
  const store = new Slow()
  const writer = new ReportWriter({ store, workflowUid: 'w', streamUid: 's', clock: systemClock, everyMs: 60_000, log: silentLog })
  let made = 0
  const report = (atMs: number, now: boolean): void =>
    writer.write(() => {
      made++
      return { v: 1, atMs } as StreamReport
    }, now)
  report(1, false)
  await passed()
  report(2, false)
  report(3, false)
  await passed()
  assert.deepEqual(written, [1], 'within the interval nothing more')
  report(4, true)
  for (const atMs of [5, 6, 7]) report(atMs, true)
  assert.deepEqual(written, [1, 4], 'at once')
  await passed()
  assert.deepEqual(written, [1, 4, 7], 'one under way, the newest behind it')
  await passed()
  report(8, false)
  await passed()
  assert.deepEqual(written, [1, 4, 7])
  assert.equal(made, written.length, 'none is made that is not written')
  writer.discard()
})
