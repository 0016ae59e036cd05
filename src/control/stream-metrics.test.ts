/** Each metric of streams by name, with its labels; what is unknown has no sample. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import type { StreamView } from '../api/stream-schemas.ts'
import { stream, workflow } from '../../test/kit/console-status.ts'
import { streamFigures, StreamMetrics } from './stream-metrics.ts'

const nowMs = 1_000_000

/** Samples without comments, sorted. */
async function samples(view: StreamView): Promise<string[]> {
  const registry = new Registry()
  new StreamMetrics(registry).set([workflow({ streams: [view] })], nowMs)
  return (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

const labels = 'keyspace="app",workflow="split",source="-",direction="forward"'
const wait = { what: 'x', sinceMs: nowMs - 3_000, ends: 'y' }

const all = stream({
  stateSinceMs: nowMs - 12_000,
  waiting: { ...wait, reason: 'keys' },
  throttled: { ...wait, reason: 'pressure' },
  lag: { ageMs: 250, transactions: 12, bytes: 3400, etaMs: 9_000 },
  rowsDone: 100,
  rowsEstimated: 400,
  rowsPerSecond: 50,
  bytesPerSecond: 5_000,
  etaMs: 6_000,
  chunksDone: 3,
  chunksLeft: 9,
  rowChangesApplied: 321,
  rowChangesPerSecond: 7,
  appliedBytesPerSecond: 700,
  sourceBytesPerSecond: 600,
  rowsHeldBack: 12,
  positionAgeMs: 34_000,
  lanes: 4,
  retries: 2,
  headroom: { retentionMs: 86_400_000, leftMs: 3_600_000, warning: null },
})

const expected: Record<string, number> = {
  lag_seconds: 0.25,
  lag_transactions: 12,
  lag_bytes: 3400,
  catch_up_eta_seconds: 9,
  copied_rows: 100,
  copy_rows_estimated: 400,
  copied_rows_per_second: 50,
  copied_bytes_per_second: 5000,
  copy_eta_seconds: 6,
  chunks_done: 3,
  chunks_left: 9,
  applied_row_changes: 321,
  applied_row_changes_per_second: 7,
  applied_bytes_per_second: 700,
  source_bytes_per_second: 600,
  rows_held_back: 12,
  position_age_seconds: 34,
  lanes: 4,
  retries: 2,
  binlog_headroom_seconds: 3600,
}

test('each metric of a stream has its name, its labels and its value', async () => {
  const found = await samples(all)
  for (const [name, value] of Object.entries(expected)) assert.ok(found.includes(`shardwright_stream_${name}{${labels}} ${value}`), name)
  assert.ok(found.includes(`shardwright_stream_state{${labels},state="copying"} 1`))
  assert.ok(found.includes(`shardwright_stream_state_seconds{${labels}} 12`))
  assert.ok(found.includes(`shardwright_stream_waiting{${labels},reason="keys"} 1`))
  assert.ok(found.includes(`shardwright_stream_waiting_seconds{${labels},reason="keys"} 3`))
  assert.ok(found.includes(`shardwright_stream_throttled{${labels},reason="pressure"} 1`))
  assert.deepEqual(streamFigures.map(({ name }) => name).toSorted(), Object.keys(expected).toSorted())
  assert.equal(found.length, Object.keys(expected).length + 5)
})

test('one that waits for nothing says so', async () => {
  const found = await samples({ ...all, waiting: null, throttled: null })
  assert.ok(found.includes(`shardwright_stream_waiting{${labels},reason="none"} 0`))
  assert.ok(found.includes(`shardwright_stream_throttled{${labels},reason="none"} 0`))
  assert.ok(!found.some((line) => line.includes('waiting_seconds')))
})

test('promise 6: what is unknown has no sample, each part of lag by itself; of one that nobody reports its state alone', async () => {
  const found = await samples({ ...all, lag: { ageMs: null, transactions: null, bytes: 1, etaMs: null }, rowsPerSecond: null, lanes: null })
  const names = found.map((line) => line.slice('shardwright_stream_'.length, line.indexOf('{')))
  assert.ok(names.includes('lag_bytes'))
  for (const name of ['lag_seconds', 'lag_transactions', 'catch_up_eta_seconds', 'copied_rows_per_second', 'lanes'])
    assert.ok(!names.includes(name), name)
  const unheard = stream({ ...all, state: 'unknown', reportAgeMs: null, waiting: null, throttled: null })
  assert.deepEqual(await samples(unheard), [`shardwright_stream_state{${labels},state="unknown"} 1`])
})
