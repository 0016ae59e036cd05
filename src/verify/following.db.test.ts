/** Promise 1 of this room: what is still being copied is not compared, however long the copy takes, or has been asked to be compared. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { besideEachOther } from '../../test/kit/beside.ts'
import { systemClock, type Clock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { keys } from '../topology/keys.ts'
import type { StreamReport, VdiffRecord, VdiffReport } from '../topology/records.ts'
import { put, readRecord } from '../topology/typed.ts'
import { VerifyWorld } from './testkit/world.ts'
import { runVdiff } from './vdiff-run.ts'

besideEachOther('comparisons before the copy is done', (flavour) => {
  test(`vdiff on ${flavour}: one that began days ago waits for a stream that copies again, and says so`, async () => {
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-'] })
    const rows = Array.from({ length: 50 }, (_, id) => `(${id},${id},'a',NULL,${id})`)
    await world.s.query(`INSERT INTO ${world.on(world.sources, '-', 'item')} VALUES ${rows.join()}`)
    await world.start()
    await world.stopMovers()
    const stream = keys.report('flow', 'flow-0')
    const reported = (await readRecord<StreamReport>(world.store, stream))?.value
    assert.ok(reported !== undefined)
    await world.store.commit([], [put(stream, { ...reported, state: 'copying' })])
    await world.t.query(`DELETE FROM ${world.on(world.targets, '-', 'item')} WHERE id > 9`)

    const began = Date.now() - 3 * 24 * 3600_000
    const record: VdiffRecord = {
      v: 1,
      uid: 'old',
      workflowUid: 'flow',
      wanted: 'running',
      tables: null,
      requestedAtMs: began,
      repair: false,
    }
    const report = { ...emptyReport, uid: 'old', atMs: began, startedAtMs: began }
    await world.store.commit([], [put(keys.vdiffReport('flow', 'old'), report)])
    let looks = 0
    // Seconds that pass at once: each is a look at the streams, or a report.
    const clock: Clock = {
      nowMs: () => systemClock.nowMs(),
      monotonicMs: () => systemClock.monotonicMs() + looks * 1_000,
      sleep: async (ms, signal) => {
        if (ms > 900) looks++
        await systemClock.sleep(Math.min(ms, 5), signal)
      },
    }
    const abort = new AbortController()
    const { store, addresses } = world
    const done = runVdiff({ store, record, addresses, clock, log: silentLog, conditions: [] }, abort.signal)
    try {
      await world.until('a minute of waiting', () => Promise.resolve(looks > 60))
      const waiting = await world.report('old')
      assert.deepEqual([waiting?.waiting, waiting?.rowsCompared, waiting?.endedAtMs], ['the copy: stream - is copying', 0, null])
    } catch (error) {
      abort.abort()
      await done
      throw error
    }

    for (let id = 10; id < 50; id++)
      await world.t.query(`INSERT INTO ${world.on(world.targets, '-', 'item')} VALUES (${id},${id},'a',NULL,${id})`)
    await world.store.commit([], [put(stream, { ...reported, state: 'running' })])
    const ended = await done
    assert.deepEqual([ended.state, ended.error, ended.rowsCompared], ['clean', null, 50])
  })
})

const emptyReport: VdiffReport = {
  v: 1,
  uid: '',
  atMs: 0,
  startedAtMs: 0,
  endedAtMs: null,
  state: 'running',
  error: null,
  rowsCompared: 0,
  rowsEstimated: 0,
  rowsPerSecond: null,
  etaMs: null,
  tables: [],
  repairedRows: 0,
  cursors: {},
  waiting: null,
  serves: null,
}
