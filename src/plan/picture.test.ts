/** What a person sees of a plan and of a simulation: whole, well-formed, and with every way in it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { picture } from './picture.ts'
import { plan } from './plan.ts'
import { planLines } from './report.ts'
import { ways } from './result.ts'
import { scenarioDefaults, simulate } from './simulate.ts'
import { coarseness, simulationRows } from './simulation-table.ts'
import { sample } from './testkit/sample.ts'
import { day } from './text.ts'

test('the picture names every way, when it is ready, and is well-formed whatever stands in the title', () => {
  const input = sample({ topicRetentionSeconds: 9 * day })
  const simulations = (['replicate', 'wait', 'pin'] as const).map((way) => simulate(input, way, scenarioDefaults))
  const svg = picture('a < b & "c"', simulations)
  assert.match(svg, /^<svg xmlns/)
  assert.ok(svg.trimEnd().endsWith('</svg>'))
  for (const { way } of simulations) assert.ok(svg.includes(`>${way}<`))
  assert.ok(svg.includes('ready 8 d') && svg.includes('ready 4 d'))
  assert.ok(svg.includes('a &lt; b &amp; &quot;c&quot;'))
  assert.doesNotMatch(svg, /NaN|Infinity|undefined/)
  // Every element is closed.
  let depth = 0
  for (const [tag] of svg.matchAll(/<\/?[a-z]+[^>]*>/g)) depth += tag.startsWith('</') ? -1 : tag.endsWith('/>') ? 0 : 1
  assert.equal(depth, 0)
})

test('the table of 90 days is short enough to read, and has what happened; hour by hour on demand', () => {
  const simulated = simulate(sample({ storeRetentionSeconds: 90 * day }), 'wait', scenarioDefaults)
  const rows = simulationRows(simulated, coarseness(simulated))
  assert.ok(rows.length <= 110, `${rows.length} rows`)
  assert.ok(rows.some((row) => (row.at(-1) ?? '').includes('ready')))
  assert.ok(simulationRows(simulated, 3600).length > 90 * 24)
})

test('a plan in text has the advice, each way, each figure with its source, and a fix behind each thing in the way', () => {
  const lines = planLines(plan(sample()))
  assert.match(lines[0] ?? '', /insights, 4 → 8 shards: wait/)
  for (const way of ways) assert.ok(lines.some((line) => line.startsWith(`${way}: `)))
  assert.ok(lines.some((line) => /Rk, topicRetentionSeconds +3 d +given/.test(line)))
  for (const line of lines.filter((candidate) => /^ {2}[✗!?] /.test(candidate))) assert.match(line, / → /)
})
