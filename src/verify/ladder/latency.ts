/**
 * L5: latency of real reads by query shape, in pairs (old, new, new, old) so that whatever else the machine does falls on both alike; and each
 * shape's plan on one shard of either side: an index that is used on the old branch and not on the new fails, however fast it still is.
 */
import { ServerError } from '../../mysql/errors.ts'
import { quoteIdentifier } from '../../sql/quote.ts'
import type { LadderFinding } from './evidence.ts'
import { judged } from './judged.ts'
import type { Judged } from './judged.ts'
import { ask, branchSession, readSamples, shapeOf } from './replay.ts'
import type { Sample } from './replay.ts'
import type { BranchSide, GateAccess, LadderWorld } from './world.ts'

/** Below this a difference is the machine's. */
const noiseMs = 5
const perShapeMax = 20
const shapesMax = 50
const perShapeLeast = 100
const shapeMsMax = 3_000
const attemptsMax = 3
/** Optimisers read small tables whole, and rightly. */
const scanRowsLeast = 1_000

export type ShapeTimes = {
  readonly shape: string
  readonly old: readonly number[]
  readonly fresh: readonly number[]
  /** Reads that the new branch did not answer: they have no time, and are not fast. */
  readonly freshFailed?: number
}

export async function judgeLatency(world: LadderWorld): Promise<Judged> {
  const { gate } = world
  if (gate === null) return judged('unknown', 'no gate is there to read through')
  const { samples } = await readSamples(world)
  const byShape = new Map<string, Sample[]>()
  for (const sample of samples) {
    const shape = shapeOf(sample.sql)
    const known = byShape.get(shape)
    if (known === undefined) byShape.set(shape, [sample])
    else if (known.length < perShapeMax) known.push(sample)
  }
  if (byShape.size === 0) return judged('unknown', `gates have sampled no reads of ${world.old.keyspace} that can be replayed`)
  const findings: LadderFinding[] = []
  let compared = 0
  const shapes = [...byShape].slice(0, shapesMax)
  for (const [shape] of shapes) {
    const sample = byShape.get(shape)?.[0]
    if (sample === undefined) continue
    const [old, fresh] = [await explainOn(world, world.old, sample.sql), await explainOn(world, world.new, sample.sql)]
    if (old === null || fresh === null) continue
    compared++
    const lost = old.filter(
      (access) =>
        access.key !== null && fresh.some((other) => other.table === access.table && other.key === null && other.rows >= scanRowsLeast),
    )
    for (const access of lost)
      findings.push({
        what: 'an index is no longer used',
        where: shape.slice(0, 300),
        old: `${access.table}: ${access.type}, ${access.key}`,
        new: `${access.table}: whole table`,
      })
  }
  for (let attempt = 1; ; attempt++) {
    const found = withPlans(
      judgeTimes(await measure(world, gate, shapes), findings, world.options.latencyTimesMost),
      compared,
      shapes.length,
    )
    const answer = { ...found, numbers: { ...found.numbers, attempts: attempt } }
    // A branch that is slow is slow each time; a moment of the machine's is over by then. An index that is lost is lost at once.
    if (found.verdict !== 'fail' || findings.length > 0 || attempt >= attemptsMax) return answer
  }
}

async function measure(
  world: LadderWorld,
  gate: GateAccess,
  shapes: readonly (readonly [string, readonly Sample[]])[],
): Promise<ShapeTimes[]> {
  const now = (): number => world.clock.monotonicMs()
  const times: ShapeTimes[] = []
  const before = await branchSession(gate, world.old.keyspace, 'main', world.signal)
  try {
    const after = await branchSession(gate, world.old.keyspace, world.new.branch, world.signal)
    try {
      for (const [shape, list] of shapes) {
        const old: number[] = []
        const fresh: number[] = []
        let freshFailed = 0
        // Once unmeasured: plans and pages are as cold on one side as the other is warm.
        for (const sample of list) {
          await ask(before, sample.sql, now)
          await ask(after, sample.sql, now)
        }
        const endMs = now() + shapeMsMax
        // Few samples are asked several times: a p95 of twenty values is one value.
        for (let round = 0; round === 0 || (fresh.length < perShapeLeast && now() < endMs); round++)
          for (const sample of list) {
            world.signal.throwIfAborted()
            for (const side of [old, fresh, fresh, old]) {
              const answer = await ask(side === old ? before : after, sample.sql, now)
              if (answer.ok) side.push(answer.ms)
              else if (side === fresh) freshFailed++
            }
          }
        times.push({ shape, old, fresh, freshFailed })
      }
    } finally {
      after.destroy()
    }
  } finally {
    before.destroy()
  }
  return times
}

export function judgeTimes(times: readonly ShapeTimes[], plans: readonly LadderFinding[], timesMost: number): Judged {
  const all = { old: times.flatMap((t) => t.old), fresh: times.flatMap((t) => t.fresh) }
  const findings: LadderFinding[] = [...plans]
  const numbers: { [name: string]: number | string | null } = { shapes: times.length, reads: all.fresh.length }
  for (const [name, q] of [
    ['p50', 0.5],
    ['p95', 0.95],
    ['p99', 0.99],
  ] as const) {
    numbers[`${name}OldMs`] = quantile(all.old, q)
    numbers[`${name}NewMs`] = quantile(all.fresh, q)
  }
  if (all.old.length === 0 || all.fresh.length === 0) return judged('unknown', 'no read was answered on both branches', numbers, findings)
  const slow = (old: readonly number[], fresh: readonly number[]): boolean => {
    const [a, b] = [quantile(old, 0.95) ?? 0, quantile(fresh, 0.95) ?? 0]
    return b > a * timesMost && b > a + noiseMs
  }
  for (const { shape, old, freshFailed = 0 } of times)
    if (old.length > 0 && freshFailed > 0)
      findings.push({ what: 'reads fail', where: shape.slice(0, 300), old: `${old.length} answered`, new: `${freshFailed} failed` })
  for (const { shape, old, fresh } of times)
    if (old.length >= 20 && slow(old, fresh))
      findings.push({
        what: 'p95 by shape',
        where: shape.slice(0, 300),
        old: `${quantile(old, 0.95)} ms`,
        new: `${quantile(fresh, 0.95)} ms`,
      })
  if (slow(all.old, all.fresh))
    findings.push({ what: 'p95 of all', where: 'all shapes', old: `${numbers['p95OldMs']} ms`, new: `${numbers['p95NewMs']} ms` })
  numbers['findings'] = findings.length
  const text = `p95 ${numbers['p95NewMs']} ms on the new branch, ${numbers['p95OldMs']} ms on the old, over ${times.length} shapes and ${all.fresh.length} reads`
  return findings.length > 0 ? judged('fail', `${text}; ${findings[0]?.what}`, numbers, findings) : judged('pass', text, numbers)
}

/** Says of how many shapes plans were not compared: whether the new branch uses the indexes that the old one does is not known of those. */
export function withPlans(found: Judged, compared: number, shapes: number): Judged {
  const numbers = { ...found.numbers, plansCompared: compared, plansNotCompared: shapes - compared }
  const left = `; plans of ${shapes - compared} of ${shapes} shapes could not be compared: a shard can not explain them as they stand`
  return { ...found, numbers, because: compared === shapes ? found.because : `${found.because}${left}` }
}

type Access = { table: string; type: string; key: string | null; rows: number }

/** Null: the statement is not one that a shard can explain as it stands (a gate rewrites it). */
async function explainOn(world: LadderWorld, side: BranchSide, sql: string): Promise<Access[] | null> {
  const shard = side.shards[0]
  if (shard === undefined) return null
  const connection = await world.sessions.plain(shard.serverId)
  try {
    await connection.query(`USE ${quoteIdentifier(shard.schema)}`)
    const rows = await connection.allText(`EXPLAIN ${connection.flavour === 'mysql' ? 'FORMAT=TRADITIONAL ' : ''}${sql}`)
    return rows.map((row) => ({
      table: row['table'] ?? '',
      type: row['type'] ?? '',
      key: row['key'] ?? null,
      rows: Number(row['rows'] ?? 0),
    }))
  } catch (error) {
    if (!(error instanceof ServerError)) throw error
    return null
  } finally {
    connection.destroy()
  }
}

export function quantile(values: readonly number[], q: number): number | null {
  if (values.length === 0) return null
  const sorted = values.toSorted((a, b) => a - b)
  return Number((sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0).toFixed(3))
}
