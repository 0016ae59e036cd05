import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DualWriteView } from '../api/dualwrite-schemas.ts'
import type { WorkflowView } from '../api/schemas.ts'
import type { CliContext } from './context.ts'
import { details, writersLines } from './dualwrite.ts'
import { buildProgram } from './program.ts'

test('create takes the budget of a ramp and what is compared meanwhile', async () => {
  const sent: { spec: { ramp: object } }[] = []
  const cli = {
    client: () => ({ call: async (_name: string, _params: object, body: { spec: { ramp: object } }) => (sent.push(body), { id: 'r' }) }),
    out: () => undefined,
    newId: () => 'r',
    actor: 'a',
  } as unknown as CliContext
  const create = (...more: string[]): Promise<unknown> =>
    buildProgram(cli, '0').parseAsync(
      ['node', 's', 'DualWrite', 'create', '--keyspace', 'k', '--workflow', 'w', '--to-branch', 'wide', '--wait', 'false'].concat(more),
    )
  await create('--p95-floor', '20ms', '--errors-most', '0.02', '--watch-rungs', 'L1,l3')
  await create('--watch-rungs', 'none')
  assert.deepEqual(
    sent.map(({ spec }) => spec.ramp),
    [{ p95FloorMs: 20, errorsMost: 0.02, watchRungs: ['L1', 'L3'] }, { watchRungs: [] }],
  )
  await assert.rejects(create('--watch-rungs', 'L9'), /--watch-rungs/)
})

test('show has the numbers of each rung, and what differed; what is not known is told as unknown', () => {
  const evidence: DualWriteView['evidence'] = [
    {
      rung: 'L6',
      title: 'capacity',
      atMs: 0,
      tookMs: 5,
      verdict: 'fail',
      counts: true,
      because: 'too slow',
      numbers: { rowsPerSecond: 12345.6789, efficiency: null, scaling: 'at least' },
      findings: [{ what: 'calls', where: 'stat (1, 2)', old: '3', new: '4' }],
      earlier: [{ atMs: 0, tookMs: 5, verdict: 'pass', because: 'fast enough', planVersion: 1 }],
    },
  ]
  const lines = details({ journal: [] } as unknown as WorkflowView, { evidence, fleets: [] } as unknown as DualWriteView)
  assert.ok(lines.includes('  L6: rowsPerSecond 12,345.679, efficiency unknown, scaling at least'), lines.join('\n'))
  assert.ok(lines.includes('    calls at stat (1, 2): old 3, new 4'), lines.join('\n'))
  assert.ok(
    lines.some((line) => /^    before, [\d:.]+: pass: fast enough$/.test(line)),
    lines.join('\n'),
  )
})

test('promise 6: status tells who else writes the old branch, and that it is unknown where it can not be seen', () => {
  const line = (writers: DualWriteView['writers']): string => writersLines(writers).join('\n')
  const none = { sinceMs: 0, lookedAtMs: 0, fresh: true, transactions: 0, found: [], lastMs: null, trouble: null }
  assert.match(line(null), /unknown/)
  assert.match(line({ ...none, fresh: false, trouble: 'no REPLICATION SLAVE' }), /unknown \(looked at from .*; no REPLICATION SLAVE\)/)
  assert.match(line(none), /none, looked at from .* to /)
  assert.match(
    line({ ...none, fresh: false, transactions: 2, found: ['s1: 2 transactions of app.t'], lastMs: 0 }),
    /unknown [^]*FOUND.*\n +s1: 2 transactions of app\.t/,
  )
})
