/** Statements about the session, and SELECTs that the session answers itself. */
import type { Expr, SetItem, Statement } from '../../sql/ast.ts'
import { Kind, type Lexed, tokenEnd, tokenKind, tokenStart } from '../../sql/lexer.ts'
import { literalValue } from '../../sql/literal.ts'
import { isTold } from '../schemata.ts'
import type { Catalog } from './catalog.ts'
import { planErrors } from './errors.ts'
import type { LocalPlan, Piece, Plan, RoutedPlan, SetAssignment, SetValue, ShowPlan, Slot, Text } from './plan.ts'
import { isSystemSchema } from './scope.ts'
import { limitOf } from './select-parts.ts'
import { bare, slotOf } from './slots.ts'

export function planSet(statement: Extract<Statement, { kind: 'set' }>): Plan {
  return { kind: 'set', assignments: statement.items.map(assignmentOf) }
}

function assignmentOf(item: SetItem): SetAssignment {
  switch (item.kind) {
    case 'user-variable':
      return { ...item, value: setValue(item.value) }
    case 'system-variable':
      return { ...item, scope: item.scope === 'next' ? 'transaction' : item.scope, value: setValue(item.value) }
    default:
      return item
  }
}

function setValue(expr: Expr): SetValue {
  const slot = slotOf(expr)
  if (slot !== null) return slot.kind === 'default' ? { kind: 'word', word: 'DEFAULT' } : { kind: 'slot', slot }
  const inner = bare(expr)
  if (inner.kind === 'column' && inner.table === null) return { kind: 'word', word: inner.name.text }
  if (inner.kind === 'system-variable') return { kind: 'slot', slot: { kind: 'session', ref: inner } }
  return { kind: 'expression', text: [{ kind: 'span', span: expr.span }] }
}

/**
 * SELECT of session functions, variables and literals without tables: `SELECT DATABASE()`, `SELECT @@version_comment LIMIT 1`, `SELECT 1`.
 * @param otherwise how a shard would answer it; null: no shard is chosen
 */
export function planLocal(statement: Extract<Statement, { kind: 'query' }>, otherwise: RoutedPlan | null): LocalPlan | null {
  const { query } = statement
  if (query.kind !== 'select' || query.from.length > 0 || query.where !== null || query.groupBy !== null || query.having !== null)
    return null
  if (query.orderBy !== null || query.distinct || query.into !== null || query.lock !== null || query.with !== null) return null
  const items: LocalPlan['items'][number][] = []
  let known = false
  for (const item of query.items) {
    const inner = bare(item.expr)
    const value: Slot | null = slotOf(item.expr) ?? (inner.kind === 'system-variable' ? { kind: 'session', ref: inner } : null)
    if (value === null || value.kind === 'default') return null
    known ||= value.kind === 'session'
    items.push({ label: item.alias?.text ?? item.span, value })
  }
  // Literals alone are typed by the server; `SELECT 1` is what pools ask to see that it lives, and comes from there.
  return known ? { kind: 'local', items, otherwise, ...limitOf(query) } : null
}

export function planShow(statement: Extract<Statement, { kind: 'show' }>, current: string | null, catalog: Catalog): ShowPlan {
  // Of a server's own tables any shard tells.
  const keyspace = statement.schema === null || isSystemSchema(statement.schema.text) ? current : statement.schema.text
  const pieces: Piece[] = []
  const schema = statement.schema
  // The database has another name on the shard: `SHOW … FROM app` and `SHOW CREATE TABLE app.t` name it.
  let text: Text = null
  if (schema !== null && catalog.keyspace(schema.text)?.schemaNamesEqual === false) {
    if (schema.span.from > 0) pieces.push({ kind: 'span', span: { from: 0, to: schema.span.from } })
    pieces.push({ kind: 'schema', as: 'name' })
    if (schema.span.to < statement.span.to) pieces.push({ kind: 'span', span: { from: schema.span.to, to: statement.span.to } })
    text = pieces
  }
  return {
    kind: 'show',
    what: statement.what,
    full: statement.full,
    scope: statement.scope,
    keyspace,
    table: statement.table?.name.text ?? null,
    like: statement.like === null ? null : slotOf(statement.like),
    hasWhere: statement.where !== null,
    text,
  }
}

/**
 * A query of information_schema and the like: any shard answers for all, as they have the same tables. Literals that are the keyspace's name
 * become the name of the shard's own database, unless the statement has been told so already (schemata.ts).
 */
export function planSystem(
  lexed: Lexed,
  keyspace: string,
  sharded: boolean,
  catalog: Catalog,
): { readonly plan: RoutedPlan; readonly fixed: readonly number[] } {
  const renamed = catalog.keyspace(keyspace)?.schemaNamesEqual === false && !isTold(lexed)
  const pieces: Piece[] = []
  let at = 0
  // Another literal in the same place is another plan.
  const fixed: number[] = []
  for (let token = 0; renamed && token < lexed.count; token++) {
    const kind = tokenKind(lexed, token)
    if (kind !== Kind.String) continue
    fixed.push(token)
    const value = literalValue(lexed, { from: token, to: token + 1 })
    if (value?.type !== 'text' || value.bytes.toString('utf8') !== keyspace) continue
    if (token > at) pieces.push({ kind: 'span', span: { from: at, to: token } })
    pieces.push({ kind: 'schema', as: 'string' })
    at = token + 1
  }
  if (at > 0 && at < lexed.count) pieces.push({ kind: 'span', span: { from: at, to: lexed.count } })
  const plan: RoutedPlan = {
    kind: 'routed',
    keyspace,
    sharded,
    verb: 'other',
    effect: 'read',
    destinations: [{ kind: 'any' }],
    whole: at > 0 ? pieces : null,
    scatter: { kind: 'refused', refusal: { construct: 'a system table', reason: 'one shard answers', instead: '' } },
    limit: null,
    offset: null,
    insert: null,
    unchanged: [],
    system: renamed,
    tables: [],
  }
  return { plan, fixed }
}

/** Words that may stand in an executable comment without changing what is read or written. */
const harmless = new Set([
  'SQL_NO_CACHE',
  'SQL_CACHE',
  'HIGH_PRIORITY',
  'SQL_BUFFER_RESULT',
  'SQL_SMALL_RESULT',
  'SQL_BIG_RESULT',
  'STRAIGHT_JOIN',
  'LOW_PRIORITY',
])

/** Whether the statement means the same to servers that run its executable comments and to those that skip them. */
export function hasHarmlessComments(lexed: Lexed): boolean {
  for (let i = 0; i < lexed.versioned.length; i += 2) {
    const from = lexed.versioned[i] ?? 0
    const to = lexed.versioned[i + 1] ?? 0
    if (from === 0 || to >= lexed.count) return false
    for (let token = from; token < to; token++)
      if (!harmless.has(lexed.bytes.toString('latin1', tokenStart(lexed, token), tokenEnd(lexed, token)).toUpperCase())) return false
  }
  return true
}

/** @throws SW-GATE-132 */
export function refuseExecutableComments(lexed: Lexed): void {
  if (!hasHarmlessComments(lexed)) throw planErrors.executableComment()
}
