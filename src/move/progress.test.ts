/** What is told of a copy: rows as they are counted on the source, and nothing that falls when a run ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../base/clock.ts'
import { CopyProgress } from './progress.ts'
import type { SourceTable } from './source-tables.ts'

function clockAt(): Clock & { pass: (ms: number) => void } {
  let nowMs = 1_000
  return { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => undefined, pass: (ms) => void (nowMs += ms) }
}

const table = (name: string, rowsEstimated: number, reference = false): SourceTable =>
  ({ plan: { name, reference }, rowsEstimated, bytesEstimated: 10 * rowsEstimated }) as unknown as SourceTable

test('rows of a reference table, which land on every target, are counted once, as they are estimated', () => {
  const clock = clockAt()
  const progress = new CopyProgress(clock, [table('country', 1_000, true)], 4)
  progress.start('country')
  progress.view()
  for (let tenth = 1; tenth <= 10; tenth++) {
    clock.pass(1_000)
    for (let target = 0; target < 4; target++) progress.landed('country', 100, 1_000)
    progress.chunk(100)
    if (tenth === 10) progress.done('country')
    const { rowsDone, rowsEstimated, bytesDone, etaMs, chunksDone, chunksLeft } = progress.view()
    assert.deepEqual([rowsDone, rowsEstimated, bytesDone], [100 * tenth, 1_000, 1_000 * tenth])
    assert.deepEqual([etaMs, chunksDone, chunksLeft], [1_000 * (10 - tenth), tenth, 10 - tenth])
  }
})

test('promise 6: past an estimate that was too low what is left is unknown, and not nothing', () => {
  const clock = clockAt()
  const progress = new CopyProgress(clock, [table('a', 100), table('b', 0)], 2)
  assert.equal(progress.view().etaMs, null)
  progress.start('a')
  clock.pass(1_000)
  progress.landed('a', 150, 1_500)
  progress.chunk(150)
  assert.deepEqual([progress.view().etaMs, progress.view().chunksLeft, progress.view().rowsEstimated], [null, null, 150])
  progress.done('a')
  assert.equal(progress.view().etaMs, null, 'the other has not begun')
  progress.done('b')
  assert.deepEqual([progress.view().etaMs, progress.view().chunksLeft], [0, 0])
})

test('what earlier runs landed is there from the first look', () => {
  const progress = new CopyProgress(clockAt(), [table('a', 100), table('b', 50), table('country', 100, true)], 2)
  progress.landedBefore('a', { rows: 60, bytes: 600, chunks: 5, chunkRows: 50, complete: false })
  progress.landedBefore('b', { rows: 70, bytes: 700, chunks: 7, chunkRows: 70, complete: true })
  progress.landedBefore('country', { rows: 80, bytes: 800, chunks: 4, chunkRows: 80, complete: false })
  const { rowsDone, rowsEstimated, bytesDone, chunksDone, chunksLeft, tables } = progress.view()
  assert.deepEqual([rowsDone, rowsEstimated, bytesDone, chunksDone], [170, 270, 1_700, 16])
  assert.equal(chunksLeft, 10, 'of ten rows each')
  assert.deepEqual(
    tables.map(({ state }) => state),
    ['copying', 'done', 'copying'],
  )
})
