/** The progress of a comparison by itself, on a clock of ours: it only rises, ends at what was there, and says when it will. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../base/clock.ts'
import { random } from '../move/testkit/world.ts'
import type { VdiffReport } from '../topology/records.ts'
import { nextPass, VdiffProgress } from './progress.ts'
import { newTally, type Tally } from './tally.ts'

function clockAt(): Clock & { pass: (ms: number) => void } {
  let nowMs = 1_000
  return { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => undefined, pass: (ms) => void (nowMs += ms) }
}

const once = { continuous: false, restricted: false }
const rows = (rowsCompared: number): Tally => ({ ...newTally(), rowsCompared })
const share = ({ rowsCompared, rowsEstimated }: VdiffReport): number => (rowsEstimated === 0 ? 0 : rowsCompared / rowsEstimated)

test('at an even pace, and by a right estimate, the time left is what it will take, and 0 at the end', () => {
  const clock = clockAt()
  const progress = new VdiffProgress(clock, 'v', null, once)
  progress.expect('a', '-80', 600)
  progress.expect('a', '80-', 400)
  assert.deepEqual([progress.report().etaMs, progress.report().rowsEstimated], [null, 1_000])
  progress.begin('a')
  for (let step = 1; step <= 10; step++) {
    clock.pass(1_000)
    progress.passed('a', step <= 6 ? '-80' : '80-', rows(100), step === 6 || step === 10 ? null : [`${step}`])
    const { rowsCompared, rowsEstimated, rowsPerSecond, etaMs } = progress.report()
    assert.deepEqual([rowsCompared, rowsEstimated, rowsPerSecond, etaMs], [100 * step, 1_000, 100, 1_000 * (10 - step)])
  }
  progress.complete()
  const { state, rowsPerSecond, etaMs, groups } = progress.report()
  assert.deepEqual([state, rowsPerSecond, etaMs], ['clean', 100, 0])
  assert.deepEqual(
    groups?.map((group) => [group.name, group.rowsCompared, group.rowsEstimated]),
    [
      ['-80', 600, 600],
      ['80-', 400, 400],
    ],
  )
})

test('promise 6: past an estimate that was too low the time left is unknown, and not nothing', () => {
  const clock = clockAt()
  const progress = new VdiffProgress(clock, 'v', null, once)
  assert.equal(progress.report().etaMs, null, 'nothing is known to be compared yet')
  progress.expect('a', '-', 100)
  progress.expect('b', '-', 0)
  for (const table of ['a', 'b']) {
    progress.begin(table)
    clock.pass(1_000)
    progress.passed(table, '-', rows(250), ['1'])
    assert.equal(progress.report().etaMs, null, table)
    progress.passed(table, '-', rows(0), null)
  }
  assert.deepEqual([progress.report().etaMs, progress.report().rowsEstimated], [0, 500])
})

test('whatever the estimates, the rows compared and their share only rise, taken up again too, and end at the true count; the time left is within reason', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const pick = random(seed)
    const clock = clockAt()
    const tables = Array.from({ length: 1 + pick(4) }, (_, i) => {
      const all = 1 + pick(5_000)
      // As InnoDB's statistics are: half of it, or twice.
      return { name: `t${i}`, all, estimated: Math.floor((all * (50 + pick(150))) / 100), done: 0 }
    })
    const count = tables.reduce((sum, { all }) => sum + all, 0)
    const expect = (progress: VdiffProgress): void => {
      for (const { name, estimated } of tables) progress.expect(name, '-', estimated)
    }
    let progress = new VdiffProgress(clock, 'v', null, once)
    expect(progress)
    let before = progress.report()
    for (let looks = 0; tables.some(({ done, all }) => done < all);) {
      if (pick(20) === 0) {
        // Another mover goes on.
        progress = new VdiffProgress(clock, 'v', progress.report(), once)
        expect(progress)
        looks = 0
      }
      const open = tables.filter(({ done, all }) => done < all)
      const table = open[pick(open.length)]!
      progress.begin(table.name)
      const some = Math.min(table.all - table.done, 50 + pick(100))
      clock.pass(10 * some)
      table.done += some
      progress.passed(table.name, '-', rows(some), table.done === table.all ? null : [`${table.done}`])
      const report = progress.report()
      looks++
      assert.ok(report.rowsCompared >= before.rowsCompared && share(report) >= share(before), `seed ${seed}: the share fell`)
      assert.ok(report.rowsEstimated >= report.rowsCompared && share(report) <= 1, `seed ${seed}`)
      const left = count - report.rowsCompared
      if (left === 0) assert.equal(report.etaMs, 0, `seed ${seed}`)
      else {
        assert.notEqual(report.etaMs, 0, `seed ${seed}: ${left} rows left`)
        // 100 rows a second; by estimates of half to twice what there is.
        if (looks > 3 && report.etaMs !== null)
          assert.ok(report.etaMs <= 1.1 * (20 * count), `seed ${seed}: ${report.etaMs} ms for ${left} rows`)
        if (looks > 3 && report.etaMs !== null) assert.equal(report.rowsPerSecond, 100, `seed ${seed}`)
      }
      before = report
    }
    progress.complete()
    const { rowsCompared, rowsEstimated, etaMs, tables: told } = progress.report()
    assert.deepEqual([rowsCompared, rowsEstimated, etaMs], [count, count, 0], `seed ${seed}`)
    assert.ok(told.every(({ state }) => state === 'done'))
  }
})

test('the next pass begins at nothing, with what the one before found', () => {
  const clock = clockAt()
  const continuous = { continuous: true, restricted: false }
  const first = new VdiffProgress(clock, 'v', null, continuous)
  first.expect('a', '-', 100)
  first.passed('a', '-', { ...rows(120), missing: 1 }, null)
  const next = new VdiffProgress(clock, 'v', nextPass(first.report(), clock.nowMs()), continuous)
  next.expect('a', '-', 100)
  const { rowsCompared, rowsEstimated, etaMs, pass, tables } = next.report()
  assert.deepEqual([rowsCompared, rowsEstimated, etaMs, pass?.number], [0, 100, null, 2])
  assert.deepEqual(tables[0]?.last, { startedAtMs: 1_000, rowsCompared: 120, found: 1 })
})

test('promise 6: a continuous comparison does not say of a table that was altered between two passes what the first found; a difference stays one', () => {
  const clock = clockAt()
  const continuous = { continuous: true, restricted: false }
  const first = new VdiffProgress(clock, 'v', null, continuous)
  for (const table of ['same', 'altered', 'differing']) {
    first.expect(table, '-', 10, 'old', ['-'])
    first.begin(table)
    first.passed(table, '-', { ...rows(10), missing: table === 'differing' ? 1 : 0 }, null)
  }
  const next = new VdiffProgress(clock, 'v', nextPass(first.report(), clock.nowMs()), continuous)
  for (const table of ['same', 'altered', 'differing']) next.expect(table, '-', 10, table === 'same' ? 'old' : 'new', ['-'])
  assert.deepEqual(
    next.report().tables.map(({ name, last, rowsCompared }) => [name, last?.found, rowsCompared]),
    [
      ['same', 0, 0],
      ['altered', undefined, 0],
      ['differing', 1, 0],
    ],
  )
})

test('promise 6: of a table that was altered all that was compared is taken back, by the group that has it, also by a mover that takes over', () => {
  const clock = clockAt()
  const progress = new VdiffProgress(clock, 'v', null, once)
  const expect = (on: VdiffProgress, definition: string): void => {
    on.expect('a', '-80', 100, definition, ['-40', '40-80'])
    on.expect('a', '80-', 100, 'same', ['80-c0', 'c0-'])
  }
  expect(progress, 'old')
  progress.begin('a')
  const found = (shard: string): Tally => ({
    ...rows(50),
    missing: 2,
    orphans: 1,
    repaired: 2,
    samples: [{ kind: 'missing', key: '1', shard, columns: [] }],
  })
  progress.passed('a', '-80', found('40-80'), ['50'])
  progress.passed('a', '-80', rows(50), null)
  progress.passed('a', '80-', found('c0-'), null)
  const before = progress.report()
  assert.deepEqual([before.tables[0]?.state, before.rowsCompared, before.repairedRows], ['done', 150, 4])

  const same = new VdiffProgress(clock, 'v', before, once)
  expect(same, 'old')
  assert.deepEqual([same.cursor('a', '-80'), same.report().rowsCompared], ['done', 150], 'what is as it was stays compared')

  const next = new VdiffProgress(clock, 'v', before, once)
  expect(next, 'new')
  assert.deepEqual([next.cursor('a', '-80'), next.cursor('a', '80-')], ['start', 'done'])
  const { tables, groups, rowsCompared, repairedRows } = next.report()
  const { missing, orphans, samples, state } = tables[0]!
  assert.deepEqual([rowsCompared, repairedRows, missing, orphans, state], [50, 2, 2, 1, 'running'])
  assert.deepEqual(
    samples.map(({ shard }) => shard),
    ['c0-'],
  )
  assert.deepEqual(
    groups?.map((group) => [group.name, group.rowsCompared, group.found]),
    [
      ['-80', 0, 0],
      ['80-', 50, 3],
    ],
  )
  next.passed('a', '-80', rows(100), null)
  next.complete()
  assert.deepEqual([next.report().tables[0]?.state, next.report().rowsCompared, next.report().state], ['done', 150, 'different'])
})
