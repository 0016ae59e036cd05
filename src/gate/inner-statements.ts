/** Statements of the gate's own on tables of a keyspace, routed as a client's would be: one text a shard, each run by the caller. */
import type { Connection } from '../mysql/connection.ts'
import type { Backend, Holder } from './backend.ts'
import { bringTo } from './backend-settings.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import type { RouteInputs } from './plan/plan.ts'
import { routePlan } from './plan/route.ts'
import { plainly } from './pools.ts'
import type { Scatter } from './scatter.ts'
import { lexStrictly } from './statement-text.ts'
import { defaultMode } from '../sql/lexer.ts'
import { nullValue } from '../sql/value.ts'
import { isConnectionLost, ServerError } from '../mysql/errors.ts'
import { isSwError } from '../base/errors.ts'
import type { KeyspaceView, ShardView } from './view.ts'

export type InnerPart = { readonly keyspace: KeyspaceView; readonly shard: ShardView; readonly text: Buffer }

/** What such statements run with: a lock that is not had within seconds is given up, as no server sees a cycle over two of them. */
const signature = 'innodb_lock_wait_timeout=10'
const plansMax = 20

/** @throws what planning throws; SW-GATE-004 */
export async function routeInner(core: Core, name: string, sql: Buffer, signal: AbortSignal): Promise<InnerPart[]> {
  const keyspace = await core.ready(name, signal)
  for (let i = 0; i < plansMax; i++) {
    const lexed = lexStrictly(sql, defaultMode)
    const plan = core.planner.plan(lexed, { keyspace: name })
    if (plan.kind === 'needs-schema') {
      await core.catalog.load(plan.keyspace, plan.tables, signal)
      continue
    }
    if (plan.kind !== 'routed') break
    if (core.catalog.refreshOld(plan.keyspace, plan.tables)) {
      await core.catalog.load(plan.keyspace, plan.tables, signal)
      continue
    }
    const first = keyspace.shards[0] as ShardView
    const inputs: RouteInputs<ShardView> = {
      lexed,
      parameters: [],
      text: 'utf8mb4',
      shards: keyspace.shards,
      sequenceIds: [],
      shardOf(id) {
        const shard = keyspace.index.find(id)
        if (shard === undefined)
          throw gateErrors.notReady({ keyspace: name, reason: `no shard serves keyspace id ${Buffer.from(id).toString('hex')}` })
        return shard
      },
      schemaOf: (shard) => shard.schema,
      anyShard: () => first,
      session: () => nullValue,
    }
    const { sends, gather } = routePlan(plan, inputs)
    if (gather !== undefined) break
    return sends.map(({ shard, text }) => ({ keyspace, shard, text: Buffer.from(text) }))
  }
  throw gateErrors.notReady({ keyspace: name, reason: `a statement on it can not be routed: ${sql.toString('utf8', 0, 80)}` })
}

/**
 * A connection with the settings of such statements, or those given; give it back to its pool. Errors are those of connecting; the reason of `signal`.
 * @param holder the session for whose statement it is
 */
export async function innerConnection(
  core: Core,
  shard: ShardView,
  settings = signature,
  signal: AbortSignal | null = null,
  holder: Holder | null = null,
): Promise<Backend> {
  const backend = await core.pools.take(shard, plainly, settings, signal, holder)
  if (backend.signature === settings) return backend
  // Nobody has it yet who could cut it off.
  const late = setTimeout(() => backend.connection.destroy(), core.config.abandonedMs)
  try {
    await bringTo(backend, settings, ({ errno, message }) =>
      core.log.warn({ errno, message }, "a server refused a setting of the gate's own"),
    )
  } finally {
    clearTimeout(late)
  }
  return backend
}

/** What a client's statement waits for beside its own: a KILL QUERY or a limit of time ends that too. */
export type Marks = Pick<Scatter, 'mark' | 'unmark' | 'holder'>

export async function marked<T>(marks: Marks, connection: Connection, effect: 'read' | 'write', act: () => Promise<T>): Promise<T> {
  const mark = { connection, effect }
  marks.mark(mark)
  try {
    return await act()
  } finally {
    marks.unmark(mark)
  }
}

/** A plain read in autocommit: the rows of all its shards. What a server could not answer is asked again when routing allows. */
export async function readInner(
  core: Core,
  name: string,
  sql: Buffer,
  signal: AbortSignal,
  marks: Marks,
): Promise<(readonly (Buffer | null)[])[]> {
  for (let attempt = 0; ; attempt++) {
    const rows: (readonly (Buffer | null)[])[] = []
    let at: InnerPart | null = null
    try {
      for (const part of await routeInner(core, name, sql, signal)) {
        at = part
        const backend = await innerConnection(core, part.shard, signature, signal, marks.holder)
        try {
          signal.throwIfAborted()
          const { connection } = backend
          const answer = await marked(marks, connection, 'read', () => connection.query(part.text))
          if (answer.kind === 'rows') rows.push(...answer.rows)
        } finally {
          backend.pool.give(backend)
        }
      }
      return rows
    } catch (error) {
      signal.throwIfAborted()
      if (at === null || !isElsewhere(error as Error)) throw error
      await core.afterRefusal(at.shard, at.keyspace.version, attempt, sql.length, signal, error as Error)
      signal.throwIfAborted()
    }
  }
}

/** It may be tried again: the server is not there, or does not serve (any more). */
export function isElsewhere(error: Error): boolean {
  if (error instanceof ServerError) return ['readOnly', 'accountLocked', 'access', 'killed', 'interrupted'].includes(error.kind)
  return isConnectionLost(error) || (isSwError(error) && error.code.startsWith('SW-MYSQL'))
}
