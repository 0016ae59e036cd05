/** What the planner knows of functions by name. */
import type { CallExpr, Expr } from '../../sql/ast.ts'
import { walkExpr } from '../../sql/walk.ts'
import type { SessionRef } from './plan.ts'

/** Aggregates that can be merged from each shard's own. */
const mergeable = new Set(['COUNT', 'SUM', 'MIN', 'MAX', 'AVG', 'BIT_AND', 'BIT_OR', 'BIT_XOR'])
const aggregates = new Set([
  ...mergeable,
  'GROUP_CONCAT',
  'JSON_ARRAYAGG',
  'JSON_OBJECTAGG',
  'STD',
  'STDDEV',
  'STDDEV_POP',
  'STDDEV_SAMP',
  'VARIANCE',
  'VAR_POP',
  'VAR_SAMP',
  'ANY_VALUE',
  'MEDIAN',
  'ST_COLLECT',
])

export function isAggregate(call: CallExpr): boolean {
  return !call.window && call.schema === null && aggregates.has(call.name)
}

export function isMergeable(call: CallExpr): boolean {
  return isAggregate(call) && mergeable.has(call.name) && !call.extended
}

const sessionFunctions: Readonly<Record<string, SessionRef>> = {
  DATABASE: { kind: 'database' },
  SCHEMA: { kind: 'database' },
  FOUND_ROWS: { kind: 'found-rows' },
  ROW_COUNT: { kind: 'row-count' },
  CONNECTION_ID: { kind: 'connection-id' },
  USER: { kind: 'user' },
  SESSION_USER: { kind: 'user' },
  SYSTEM_USER: { kind: 'user' },
  CURRENT_USER: { kind: 'current-user' },
  LAST_INSERT_ID: { kind: 'last-insert-id' },
  VERSION: { kind: 'version' },
}

/** A function without arguments whose answer is the session's, whichever server runs the statement. */
export function sessionFunction(call: CallExpr): SessionRef | null {
  if (call.args.length > 0 || call.schema !== null) return null
  return Object.hasOwn(sessionFunctions, call.name) ? (sessionFunctions[call.name] ?? null) : null
}

/** @@identity and @@last_insert_id: a connection's own, where the session's is asked for. */
export function sessionVariable(expr: Extract<Expr, { kind: 'system-variable' }>): SessionRef | null {
  return expr.scope !== 'global' && /^(identity|last_insert_id)$/i.test(expr.name) ? { kind: 'last-insert-id' } : null
}

/** Functions with an effect on, or a meaning of, one server or connection: refused over a sharded keyspace. */
const connectionBound = new Set([
  'GET_LOCK',
  'RELEASE_LOCK',
  'RELEASE_ALL_LOCKS',
  'IS_FREE_LOCK',
  'IS_USED_LOCK',
  'MASTER_POS_WAIT',
  'SOURCE_POS_WAIT',
  'MASTER_GTID_WAIT',
  'WAIT_FOR_EXECUTED_GTID_SET',
  'NEXTVAL',
  'LASTVAL',
  'SETVAL',
  'LOAD_FILE',
])

export function isConnectionBound(call: CallExpr): boolean {
  return connectionBound.has(call.name) || (call.name === 'LAST_INSERT_ID' && call.args.length > 0)
}

/** Differ at each call: an order or a group by them can't be put together from several shards. */
const random = new Set(['RAND', 'UUID', 'UUID_SHORT', 'UUID_V4', 'UUID_V7', 'SYS_GUID', 'RANDOM_BYTES', 'SLEEP', 'BENCHMARK'])

/** The instant of the call, and not of the statement. */
export function isClock(call: CallExpr): boolean {
  return call.name === 'SYSDATE'
}

export function isRandom(call: CallExpr): boolean {
  return random.has(call.name)
}

/** RAND(N): the same numbers in their order each time, over the rows of a whole statement, and each shard would begin them anew. Of a column it is told by each row. */
export function isSeeded(call: CallExpr): boolean {
  const [seed] = call.args
  let constant = call.name === 'RAND' && seed !== undefined
  if (seed !== undefined && constant) walkExpr(seed, { expr: (node) => void (constant &&= node.kind !== 'column') })
  return constant
}

/** The statement's own instant, which all shards must take from one clock. */
const instants = new Set([
  'NOW',
  'CURRENT_TIMESTAMP',
  'LOCALTIME',
  'LOCALTIMESTAMP',
  'CURDATE',
  'CURRENT_DATE',
  'CURTIME',
  'CURRENT_TIME',
  'UTC_DATE',
  'UTC_TIME',
  'UTC_TIMESTAMP',
])

export function isInstant(call: CallExpr): boolean {
  return instants.has(call.name) || (call.name === 'UNIX_TIMESTAMP' && call.args.length === 0)
}
