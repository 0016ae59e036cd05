import assert from 'node:assert/strict'
import { test } from 'node:test'
import { switchReportText } from './report.ts'
import type { SwitchReport } from './report.ts'

const report: SwitchReport = {
  keyspace: 'app',
  workflow: 'w',
  outcome: 'switched',
  from: ['-'],
  to: ['-80', '80-'],
  startedAtMs: 0,
  stallMs: 41.7,
  steps: [{ name: 'drain', startMs: 3, ms: 9.46 }],
  holds: null,
  killed: [],
  notes: [],
  blockers: [],
  error: null,
  undo: null,
}
const session = { server: 's', user: 'app', host: 'h', query: null, transaction: true, sinceMs: Date.UTC(2026, 10, 28, 20) }

test('promise 7: who was ended is told with since when, idle sessions are counted', () => {
  const idle = { ...session, transaction: false, sinceMs: null }
  const lines = switchReportText({ ...report, killed: [{ ...session, query: 'UPDATE t' }, session, idle, idle] }).split('\n')
  assert.deepEqual(lines.slice(3), [
    '  killed on s: transaction of app@h, open since 2026-11-28T20:00:00Z: UPDATE t',
    '  killed on s: transaction of app@h, open since 2026-11-28T20:00:00Z',
    '  idle sessions ended on the side that no longer serves: 2',
  ])
})

test('refused: what stands in the way is listed, unless its caller lists it; nothing was touched', () => {
  const blockers = [{ code: 'SW-SWITCH-020', what: 'an event', why: '', fix: 'DISABLE it' }]
  const refused = { ...report, outcome: 'refused', stallMs: null, blockers } as const
  const head = 'app.w: refused, - → -80,80-'
  assert.equal(switchReportText(refused), `${head}\n  SW-SWITCH-020  an event\n      DISABLE it\n  nothing was touched`)
  assert.equal(switchReportText(refused, 'blockers told elsewhere'), `${head}\n  nothing was touched`)
})
