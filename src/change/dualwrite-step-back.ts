/** A ramp that steps back by itself. */
import { tenantsOn } from '../topology/read-rule.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { fleetsOf } from './branch-positions.ts'
import { emergency, moveReads, percentOf } from './dualwrite-ramp.ts'
import { settleState } from './dualwrite-ready.ts'
import { changeRun, readRule } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'

/** Tenants wait a little longer rather than go back in time. */
const guardLimits = { holdMs: 1000, nearMs: 500, refuseBehind: false, gatesMs: 1500, reachMs: 3000 }

/**
 * By the rule of closing where that works within moments; else at once, and it is said. To nothing: tenants who were moved by name too, who would stay on a
 * branch that was just found wrong.
 */
export async function stepBack(world: DualWriteWorld, desk: Desk, run: WorkflowRecord, toPercent: number, why: string): Promise<void> {
  const old = await fleetsOf(world.store, run.keyspace, 'main')
  if (old.some((fleet) => fleet.wanted === 'stopped')) return stays(world, desk, run, why)
  await changeRun(desk, run, (now) => {
    const { auto } = dataOf(now)
    const data = auto === undefined ? {} : { auto: { ...auto, state: 'stepped back' as const, why } }
    return { data, journal: `stepping back: ${why}` }
  })
  try {
    await inOrder(world, desk, run, toPercent, why)
  } catch (error) {
    desk.leadership.signal.throwIfAborted()
    await atOnce(world, desk, run, `${why}; an orderly step failed: ${error instanceof Error ? error.message : String(error)}`)
  }
  await settleState(world, desk, run)
}

async function atOnce(world: DualWriteWorld, desk: Desk, run: WorkflowRecord, why: string): Promise<void> {
  if ((await emergency(desk, run, 'guard', why)) === null) await stays(world, desk, run, why)
}

/** An old fleet that is stopped does not keep up with the topic: reads there would be of another time. Whoever wants that says `rollback`, which starts it first. */
async function stays(world: DualWriteWorld, desk: Desk, run: WorkflowRecord, why: string): Promise<void> {
  world.log.error({ run: run.name, why }, 'the old fleet is stopped: reads are not taken back by themselves')
  await sayOnce(desk, run, `reads are not taken back by themselves, as the old fleet is stopped (rollback starts it): ${why}`)
}

export async function sayOnce(desk: Desk, run: WorkflowRecord, text: string): Promise<void> {
  await changeRun(desk, run, (now) => (now.journal.at(-1)?.text === text ? null : { journal: text }))
}

async function inOrder(world: DualWriteWorld, desk: Desk, run: WorkflowRecord, toPercent: number, why: string): Promise<void> {
  const { value: rule } = await readRule(desk.store, run)
  const named = toPercent === 0 ? tenantsOn(rule, specOf(run).toBranch) : []
  const moves = [
    ...named.map((keyspaceId) => ({ keyspaceId, branch: rule.from })),
    ...(percentOf(rule.moved) > toPercent ? [{ percent: toPercent }] : []),
    // With its share there too it is no exception any more.
    ...named.map((keyspaceId) => ({ keyspaceId, branch: null })),
  ]
  for (const move of moves) {
    const { outcome } = await moveReads(desk, run, { move, by: 'guard', why, limits: guardLimits, warmMs: 0, gatesMs: 2000 })
    if (outcome === 'moved') continue
    if (outcome !== 'lost') await atOnce(world, desk, run, `${why}; an orderly step was not possible`)
    return
  }
}
