/** A read on a keyspace with a read rule: takes its branch, waits while none serves, and is counted while it runs. */
import type { Lexed } from '../sql/lexer.ts'
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import type { ReadToken } from './branch-reads.ts'
import { gateErrors } from './errors.ts'
import type { Execution, SessionContext } from './execution.ts'
import { inlineParameters } from './parameters.ts'
import type { RoutedPlan } from './plan/plan.ts'
import { routePlan } from './plan/route.ts'
import type { ReadOutcome } from './read-outcome.ts'
import type { KeyspaceView } from './view.ts'

export type BranchRead = {
  readonly keyspace: KeyspaceView
  readonly token: ReadToken
  /** Nothing of it is on its way any more. */
  release(): void
  /** After that: what its branch is to be judged by. */
  count(outcome: ReadOutcome): void
}

/** No branch serves the tenant now: wait, then plan anew. */
export class ReadWaits extends Error {
  readonly keyspace: string
  readonly version: number

  constructor(keyspace: string, version: number) {
    super()
    this.keyspace = keyspace
    this.version = version
  }
}

/**
 * Null: the keyspace has no branches to choose between, and nothing changes. Not a promise on purpose: tokens of a statement are a buffer that all
 * sessions share, so between routing by them and rendering nobody else may run (a read went to another statement's shard).
 * @throws ReadWaits
 */
export function readByBranch(
  context: SessionContext,
  plan: RoutedPlan,
  lexed: Lexed,
  e: Execution,
  keyspace: KeyspaceView,
): BranchRead | null {
  const { reads } = keyspace
  if (reads === null || reads.rule.to === null || plan.effect === 'write') return null
  const { core } = context
  const id = keyspaceIdOf(context, plan, lexed, e, keyspace)
  const chosen = core.reads.choose(keyspace, reads, id)
  if (chosen === 'wait') {
    core.stats.held++
    throw new ReadWaits(keyspace.name, reads.version)
  }
  const name = branchKeyspace(keyspace.name, chosen.branch)
  const { startMs } = chosen.token
  const sampled = core.reads.sampler.wants
  // Texts are views of buffers that others may reuse.
  const text = sampled ? textOf(context, e) : null
  let ms = 0
  const release = (): void => {
    core.reads.end(chosen.token)
    ms = core.clock.monotonicMs() - startMs
  }
  const count = (outcome: ReadOutcome): void => {
    if (outcome === 'again') return
    core.reads.figures.record(name, ms, outcome === 'failed')
    if (text !== null && outcome === 'answered') {
      const keyspaceId = id === null ? null : Buffer.from(id).toString('hex')
      core.reads.sampler.add(keyspace.name, { atMs: core.clock.nowMs(), sql: text, keyspaceId, ms: Math.round(ms * 100) / 100 })
    }
  }
  const branch = name === keyspace.name ? keyspace : core.watch.view.keyspaces.get(name)
  if (branch === undefined || branch.notReady !== null) {
    // The client has an error: whoever watches the branch has to see it.
    release()
    count('failed')
    throw gateErrors.notReady({ keyspace: name, reason: branch?.notReady ?? 'the branch is not there' })
  }
  return { keyspace: branch, token: chosen.token, release, count }
}

/** Client writes on a keyspace under dual-write would be on one branch only. */
export function refuseWrite(plan: RoutedPlan, keyspace: KeyspaceView): void {
  const { writes } = keyspace
  if (writes === null || plan.effect !== 'write') return
  if (plan.tables.length > 0 && plan.tables.every((table) => writes.except.has(table))) return
  throw gateErrors.dualWriteWrites({ keyspace: keyspace.name, tables: plan.tables.join(', ') })
}

/** The one keyspace id that a statement addresses, or null: several, none, or not known before it runs. */
function keyspaceIdOf(context: SessionContext, plan: RoutedPlan, lexed: Lexed, e: Execution, keyspace: KeyspaceView): Uint8Array | null {
  const first = keyspace.shards[0]
  if (first === undefined) return null
  let id: Uint8Array | null = null
  let several = false
  try {
    routePlan(plan, {
      ...context.inputs(lexed, e, keyspace),
      // Two, so that a keyspace of one shard is routed by value as well.
      shards: [first, first],
      shardOf(found) {
        if (id === null) id = Uint8Array.from(found)
        else if (Buffer.compare(id, found) !== 0) several = true
        return first
      },
    })
  } catch {
    // What can't be routed is told by the routing proper.
    return null
  }
  return several ? null : id
}

function textOf(context: SessionContext, e: Execution): string {
  const text = e.values.length === 0 ? e.sql : inlineParameters(context.lex(e.sql), null, e.values)
  return text.toString('utf8')
}
