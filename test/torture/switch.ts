/** `npm run torture:switch`: see README.md. */
import { parseArgs } from 'node:util'
import { systemClock as clock } from '../../src/base/clock.ts'
import { fenceKinds } from '../../src/switch/fence-kinds.ts'
import { etcdMissing } from '../kit/etcd.ts'
import { seeded } from './seeded.ts'
import { allCases, caseName, matching, runCase, unexplained } from './switch-cases.ts'
import type { Case, CaseResult } from './switch-cases.ts'
import { startTorture } from './switch-setup.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    flavour: { type: 'string', default: 'mariadb' },
    /** i/n: the whole matrix in n parts, this one. */
    part: { type: 'string' },
    only: { type: 'string' },
    /** etcd where there is one. */
    topology: { type: 'string' },
    /** locks (usual), kill, persist (MySQL) or triggers. */
    fence: { type: 'string' },
    cases: { type: 'string', default: '60' },
    /** For one wait: a case that is slow is told as such, one that comes to nothing fails. */
    'patience-s': { type: 'string', default: '60' },
    'limit-ms': { type: 'string', default: '8000' },
    /** Longer where other work keeps processes from running: a lease lost by all of them is a fault that nobody asked for. */
    'lease-ms': { type: 'string', default: '2000' },
    /** Goes on after a case that failed, on a new cluster. */
    /** What the processes logged, for cases past the limit. */
    verbose: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
  },
})
const topology = values.topology === 'sqlite' || etcdMissing() !== null ? 'sqlite' : 'etcd'
const seed = Number(values.seed)
const flavour = values.flavour === 'mysql' ? 'mysql' : 'mariadb'
const fence = fenceKinds.find((kind) => kind === values.fence)
if (values.fence !== undefined && fence === undefined) throw new Error(`--fence ${values.fence}: one of ${fenceKinds.join(', ')}`)
const leaseMs = Number(values['lease-ms'])
const limitMs = Number(values['limit-ms'])
const startedMs = clock.monotonicMs()
const say = (line: string): void =>
  void process.stdout.write(`${((clock.monotonicMs() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${line}\n`)
const again = (one: Case): string =>
  `npm run torture:switch -- --seed ${seed} --flavour ${flavour} --topology ${topology}${fence === undefined ? '' : ` --fence ${fence}`} --only ${caseName(one)}`

const chosen = choose().filter(({ victim }) => topology === 'etcd' || victim !== 'etcd')
say(`seed ${seed}, ${flavour}, topology in ${topology}, ${fence ?? 'the strongest'} fence, ${chosen.length} of ${allCases.length} cases`)
const results: CaseResult[] = []
const failed: string[] = []
const strange: string[] = []
let torture = await startTorture({ flavour, seed, say, topology, fence, leaseMs, patienceMs: Number(values['patience-s']) * 1000 })
let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    interrupted = true
    void Promise.resolve(torture[Symbol.asyncDispose]()).finally(() => process.exit(130))
  })
for (const [index, one] of chosen.entries()) {
  if (interrupted) break
  const beganAtMs = clock.nowMs()
  try {
    const result = await runCase(torture, one)
    results.push(result)
    strange.push(...unexplained(one, result.clientErrors).map((error) => `${result.name}: ${error}`))
    const slow = result.ms > limitMs ? `  SLOW (limit ${limitMs}): ${result.parts.join(' + ')}` : ''
    const errors =
      result.clientErrors.length === 0
        ? ''
        : `  ${result.clientErrors.length} client errors, first: ${result.clientErrors[0]?.slice(0, 160)}`
    say(
      `${String(index + 1).padStart(4)}/${chosen.length}  ${result.name.padEnd(36)} ${String(Math.round(result.ms)).padStart(6)} ms  ${result.outcome.padEnd(10)} ${result.acknowledged} acknowledged${errors}${slow}`,
    )
    if (values.verbose && result.ms > limitMs) for (const line of torture.cluster.logsSince(beganAtMs)) say(`        ${line}`)
  } catch (error) {
    if (interrupted) break
    failed.push(caseName(one))
    process.stdout.write(`${torture.cluster.describe(error).message}\nFAILED ${caseName(one)}; again: ${again(one)}\n`)
    if (!values['keep-going']) break
    await torture[Symbol.asyncDispose]()
    torture = await startTorture({ flavour, seed, say, topology, fence, leaseMs, patienceMs: Number(values['patience-s']) * 1000 })
  }
}
if (!interrupted) {
  const slow = results.filter((result) => result.ms > limitMs)
  const times = results.map((result) => result.ms).toSorted((a, b) => a - b)
  const at = (part: number): number => Math.round(times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0)
  const outcomes = Object.entries(Object.groupBy(results, (result) => result.outcome)).map(([name, list]) => `${list?.length} ${name}`)
  say(
    `${results.length} cases right (${outcomes.join(', ')}), ${failed.length} failed${failed.length > 0 ? ` (${failed.join(', ')})` : ''}; ` +
      `${results.reduce((sum, result) => sum + result.acknowledged, 0)} writes acknowledged, nothing lost or doubled in them; ` +
      `${strange.length} errors at clients that the fault does not explain${strange.length > 0 ? ` (first: ${strange[0]})` : ''}; ` +
      `a case took ${at(0.5)} ms (median), ${at(0.95)} (95 %), ${at(1)} at most; ${slow.length} over ${limitMs} ms`,
  )
  await torture[Symbol.asyncDispose]()
  process.exit(failed.length > 0 ? 1 : 0)
}

/** One part of the matrix, one pattern, or some by seed. */
function choose(): Case[] {
  if (values.only !== undefined) {
    const cases = matching(values.only)
    if (cases.length === 0) throw new Error(`no case ${values.only}: step/fault/victim, as ${caseName(allCases[0]!)}`)
    return cases
  }
  if (values.part !== undefined) {
    const [i, n] = values.part.split('/').map(Number)
    if (i === undefined || n === undefined || !(i >= 1 && i <= n)) throw new Error(`--part ${values.part}: i/n, from 1/n to n/n`)
    return allCases.filter((_, index) => index % n === i - 1)
  }
  const random = seeded(seed)
  const drawn = allCases.map((one) => ({ one, at: random() })).toSorted((a, b) => a.at - b.at)
  return drawn.slice(0, Number(values.cases)).map(({ one }) => one)
}
