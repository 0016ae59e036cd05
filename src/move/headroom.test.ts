/** When the source is asked how long it keeps its binlog. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import type { Connection } from '../mysql/connection.ts'
import { Headroom } from './headroom.ts'

/** Of a source that keeps its binlog for so long. */
function headroomOf(retentionS: number) {
  const state = { nowMs: 0, asked: 0, behindMs: null as number | null }
  const clock = { ...systemClock, nowMs: () => state.nowMs, monotonicMs: () => state.nowMs }
  const conn = {
    flavour: 'mysql',
    value: () => Promise.resolve(String(state.nowMs)),
    allText: () => {
      state.asked++
      return Promise.resolve([
        { Variable_name: 'binlog_expire_logs_seconds', Value: String(retentionS) },
        { Variable_name: 'log_replica_updates', Value: 'ON' },
      ])
    },
  }
  const headroom = new Headroom({ conn: conn as unknown as Connection, clock, log: silentLog, behindMs: () => state.behindMs })
  const after = (ms: number): Promise<void> => {
    state.nowMs += ms
    return headroom.refresh()
  }
  return { state, headroom, after }
}

test('1.14: how much of the binlog is left is asked again a second later while it is unknown, every ten seconds then', async () => {
  const { state, headroom, after } = headroomOf(3600)
  await after(0)
  assert.deepEqual([state.asked, headroom.view()], [1, null], 'nothing has come yet')
  await after(500)
  assert.equal(state.asked, 1)
  await after(500)
  assert.equal(state.asked, 2)
  state.behindMs = 60_000
  await after(1_000)
  assert.deepEqual([state.asked, headroom.view()?.leftMs], [3, 3_540_000])
  await after(9_000)
  assert.equal(state.asked, 3)
  await after(1_000)
  assert.equal(state.asked, 4)
})

test('1.14: of a source that purges nothing by age no more is asked for', async () => {
  const { state, after } = headroomOf(0)
  await after(0)
  await after(1_000)
  assert.equal(state.asked, 1)
  await after(9_000)
  assert.equal(state.asked, 2)
})
