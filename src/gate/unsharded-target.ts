/**
 * Which keyspace a statement goes to that is not planned, and its text there: its names may say another than the session's, and named locks have one home.
 *
 * - *Locks*: GET_LOCK and its like exclude each other on one server only. All sessions of all keyspaces ask the same one, the first unsharded keyspace by name.
 * - *User variables* live on a connection to one keyspace's server. In another one they would be NULL: refused.
 */
import { Kind, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import { literalValue } from '../sql/literal.ts'
import { escapeLiteral } from '../sql/quote.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { needsOf } from './needs.ts'
import type { Relay } from './passthrough.ts'
import type { Plan } from './plan/plan.ts'
import { qualify, type Qualified } from './qualified.ts'
import { isTold } from './schemata.ts'
import type { SessionConnections } from './session-connections.ts'
import type { View } from './view.ts'

/** Null: there is no unsharded keyspace. */
export function homeOfLocks(view: View): string | null {
  let home: string | null = null
  for (const { name, role, record } of view.keyspaces.values())
    if (role === 'primary' && !record.sharded && (home === null || name < home)) home = name
  return home
}

/** The home of named locks for a statement that asks for nothing else; null: it goes where it would without. */
export function lockHome(view: View, session: string, relay: Relay, lex: () => Lexed): string | null {
  const home = relay.locks ? homeOfLocks(view) : null
  if (home === null || home === session) return null
  const needs = needsOf(lex, relay)
  if (needs.bare === false && needs.schemas.length === 0 && !relay.readsVariables) return home
  throw gateErrors.notForwarded({
    construct: 'a named lock in a statement that asks for more',
    reason: `locks are those of keyspace ${home}, whichever keyspace a session is in`,
    fix: 'ask for the lock in a statement of its own, with constants',
  })
}

/** The planner has found the keyspace that a statement of a sharded session is for, and its text can not be told to that one's server. */
export function notNamed(keyspace: string): Error {
  return gateErrors.notForwarded({
    construct: `this form of a statement on keyspace ${keyspace}`,
    reason: "which names in it are that keyspace's can not be told",
    fix: `USE ${keyspace} and leave its name out`,
  })
}

/** Null: to the session's own keyspace, as it is. */
export function targetOf(
  core: Core,
  session: string,
  connections: SessionConnections,
  relay: Relay,
  lex: () => Lexed,
  sql: Buffer,
): Qualified | null {
  const { view } = core.watch
  const home = lockHome(view, session, relay, lex)
  const target = home === null ? qualify(view, session, relay, lex, sql) : { keyspace: home, sql }
  if (relay.readsVariables) connections.requireVariables(target?.keyspace ?? session)
  return target ?? asDatabase(view, session, relay, lex, sql)
}

/** Of a server's own tables a keyspace is asked for by the name of its database. */
function asDatabase(view: View, session: string, relay: Relay, lex: () => Lexed, sql: Buffer): Qualified | null {
  const schema = view.keyspaces.get(session)?.shards[0]?.schema ?? session
  if (schema === session || !namesSystem(relay, lex())) return null
  const lexed = lex()
  if (isTold(lexed)) return null
  const parts: Buffer[] = []
  let from = 0
  for (let token = 0; token < lexed.count; token++) {
    if (tokenKind(lexed, token) !== Kind.String) continue
    const value = literalValue(lexed, { from: token, to: token + 1 })
    if (value?.type !== 'text' || value.bytes.toString('utf8') !== session) continue
    parts.push(sql.subarray(from, tokenStart(lexed, token)), escapeLiteral(Buffer.from(schema)))
    from = tokenEnd(lexed, token)
  }
  return from === 0 ? null : { keyspace: session, sql: Buffer.concat([...parts, sql.subarray(from)]) }
}

const systemSchemas = /^[`"]?(information_schema|performance_schema|mysql|sys)[`"]?$/i

/** Whether tables of a server's own are named: there DATABASE() and the keyspace's name mean its database. */
export function namesSystem(relay: Relay, lexed: Lexed): boolean {
  return relay.qualifiers.some((token) =>
    systemSchemas.test(lexed.bytes.toString('latin1', tokenStart(lexed, token), tokenEnd(lexed, token))),
  )
}

/** The unsharded keyspace that a planned statement is for; null: it is for the shards of one. */
export function onOneServer(plan: Plan): string | null {
  const routed = plan.kind === 'explain' ? plan.inner : plan
  return routed.kind === 'routed' && !routed.sharded ? routed.keyspace : null
}
