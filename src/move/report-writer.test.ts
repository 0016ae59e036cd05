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
  writer.write({ v: 1, state: 'stopped' } as StreamReport, true)
  await writer.flush()
  assert.equal(await state(), 'stopped')
  failures = 1
  writer.write({ v: 1, state: 'copying' } as StreamReport, true)
  writer.write({ v: 1, state: 'running' } as StreamReport, false)
  await writer.flush()
  assert.equal(await state(), 'running')
})
