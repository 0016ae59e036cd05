/** Promise 6 of what a vdiff says: an old, partial or unfinished comparison clears no table; a found difference blocks at once. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { VdiffReport, VdiffTable } from '../topology/records.ts'
import { vdiffVerdict } from './vdiff-verdict.ts'

function table(name: string, found: number, more: Partial<VdiffTable> = {}): VdiffTable {
  return { name, state: 'done', rowsCompared: 10, missing: 0, extra: 0, misplaced: 0, different: found, samples: [], ...more }
}

function report(uid: string, startedAtMs: number, tables: VdiffTable[], more: Partial<VdiffReport> = {}): VdiffReport {
  return {
    v: 1,
    uid,
    atMs: startedAtMs,
    startedAtMs,
    endedAtMs: startedAtMs + 5,
    state: tables.some(({ different }) => different > 0) ? 'different' : 'clean',
    error: null,
    rowsCompared: 0,
    rowsEstimated: 0,
    rowsPerSecond: null,
    etaMs: null,
    tables,
    repairedRows: 0,
    cursors: {},
    waiting: null,
    serves: '-@1 x@1',
    ...more,
  }
}

const continuous = (passStartedAtMs: number, tables: VdiffTable[], more: Partial<VdiffReport> = {}): VdiffReport =>
  report('always', 1, tables, {
    state: 'running',
    endedAtMs: null,
    pass: { number: 3, startedAtMs: passStartedAtMs },
    ...more,
  })
const last = (startedAtMs: number, found: number): NonNullable<VdiffTable['last']> => ({ startedAtMs, rowsCompared: 10, found })

const cases: [string, VdiffReport[], { uncompared: string[]; differing: [string, string][] }][] = [
  ['none', [], { uncompared: ['a', 'b'], differing: [] }],
  ['the later one counts', [report('1', 10, [table('a', 1)]), report('2', 20, [table('a', 0)])], { uncompared: ['b'], differing: [] }],
  [
    'a clean one of some shards clears nothing',
    [report('1', 10, [table('a', 1), table('b', 0)]), report('2', 20, [table('a', 0)], { restricted: true })],
    { uncompared: [], differing: [['a', '1']] },
  ],
  [
    'a difference on some shards is one',
    [report('1', 10, [table('a', 0), table('b', 0)]), report('2', 20, [table('a', 1)], { restricted: true })],
    { uncompared: [], differing: [['a', '2']] },
  ],
  ['a failed one says nothing', [report('1', 10, [table('a', 1)], { state: 'failed' })], { uncompared: ['a', 'b'], differing: [] }],
  [
    'continuous: what the pass before found',
    [continuous(50, [table('a', 0, { state: 'pending', last: last(30, 2) }), table('b', 0, { state: 'running', last: last(30, 0) })])],
    { uncompared: [], differing: [['a', 'always']] },
  ],
  [
    'rows that a foreign key does not meet block like any difference',
    [report('1', 10, [table('a', 0, { orphans: 2 }), table('b', 0)])],
    { uncompared: [], differing: [['a', '1']] },
  ],
  [
    'continuous: found in mid-pass blocks at once',
    [continuous(50, [table('a', 1, { state: 'running', last: last(30, 0) }), table('b', 0)])],
    { uncompared: [], differing: [['a', 'always']] },
  ],
  [
    'continuous: first pass not through says nothing',
    [continuous(50, [table('a', 0, { state: 'running' }), table('b', 0, { state: 'pending' })])],
    { uncompared: ['a', 'b'], differing: [] },
  ],
  [
    'continuous: a clean pass after it clears',
    [continuous(50, [table('a', 0, { last: last(30, 2) }), table('b', 0)])],
    { uncompared: [], differing: [] },
  ],
  [
    'continuous: a single one that began later counts',
    [continuous(50, [table('a', 1, { state: 'running', last: last(30, 0) })]), report('2', 60, [table('a', 0), table('b', 0)])],
    { uncompared: [], differing: [] },
  ],
  [
    'continuous: and one that began before does not',
    [continuous(50, [table('a', 1, { state: 'running' })]), report('2', 40, [table('a', 0), table('b', 0)])],
    { uncompared: [], differing: [['a', 'always']] },
  ],
  [
    'continuous: ended by the switch, it still says what it found',
    [continuous(50, [table('a', 1), table('b', 0)], { state: 'stopped', endedAtMs: 55 })],
    { uncompared: [], differing: [['a', 'always']] },
  ],
  [
    'a clean one of before a switch and back clears nothing, one of other components neither',
    [
      report('1', 10, [table('a', 0), table('b', 0)], { serves: '-@0 x@1' }),
      report('2', 20, [table('a', 0)], { serves: '-80@2 80-@2' }),
      report('3', 30, [table('a', 0), table('b', 0)], { serves: null }),
    ],
    { uncompared: ['a', 'b'], differing: [] },
  ],
  [
    'a difference that was found before the switch is none once a later comparison clears it, of whichever side',
    [
      report('1', 10, [table('a', 1), table('b', 1)], { serves: '-80@2 80-@2' }),
      report('2', 20, [table('a', 0), table('b', 0)], { serves: '-80@2 80-@2' }),
      report('3', 30, [table('b', 0)]),
    ],
    { uncompared: ['a'], differing: [] },
  ],
  [
    'and blocks meanwhile',
    [report('1', 10, [table('a', 1), table('b', 1)], { serves: '-80@2 80-@2' }), report('3', 30, [table('b', 0)])],
    { uncompared: ['a'], differing: [['a', '1']] },
  ],
]

for (const [name, reports, wanted] of cases) {
  test(`verdict of vdiffs: ${name}`, () => {
    const verdict = vdiffVerdict(reports, ['a', 'b'], ['-@1'])
    assert.deepEqual(
      { uncompared: verdict.uncompared, differing: verdict.differing.map(({ table: name, vdiff }) => [name, vdiff]) },
      wanted,
    )
  })
}
