/** Statement → plan, with a cache keyed by the literal-normalised text. Pure; all it knows comes from the catalog. */
import type { Statement } from '../../sql/ast.ts'
import { type Lexed, tokenEnd, tokenStart } from '../../sql/lexer.ts'
import { parse } from '../../sql/parse.ts'
import { isBuiltin } from '../pure-functions.ts'
import { Analysis } from './analysis.ts'
import { ServerError } from '../../mysql/errors.ts'
import type { Catalog, KeyspaceInfo } from './catalog.ts'
import { planChange } from './change-plan.ts'
import { planErrors } from './errors.ts'
import { planInsert } from './insert-plan.ts'
import type { Plan, RoutedPlan, Text } from './plan.ts'
import { NeedsSchema } from './scope.ts'
import { lockingIn, planSelect } from './select-plan.ts'
import { planLocal, planSet, planShow, planSystem, refuseExecutableComments } from './session-plan.ts'
import { slotOf } from './slots.ts'
import { compileText } from './text.ts'

export type PlanContext = {
  /** The keyspace that the session has chosen. */
  readonly keyspace: string | null
}

type Fixed = { readonly tokens: readonly number[]; readonly plans: Map<string, Plan> }
type Entry = {
  readonly plan: Plan | null
  /** When the plan depends on the values of some literals (ORDER BY 1): their tokens, and a plan for each set of values. */
  readonly fixed: Fixed | null
}

/** Longer statements are planned each time: as keys they would crowd out thousands of short ones. */
const keyLengthMax = 16_384
const fixedPlansMax = 64

export class Planner {
  readonly #catalog: Catalog
  readonly #entriesMax: number
  #entries = new Map<string, Map<string, Entry>>()
  #count = 0
  #generation = -1

  constructor(catalog: Catalog, entriesMax = 5_000) {
    this.#catalog = catalog
    this.#entriesMax = entriesMax
  }

  /** Errors: SW-SQL-004 to 007 and SW-GATE-100 to 132. */
  plan(lexed: Lexed, context: PlanContext): Plan {
    if (this.#generation !== this.#catalog.generation || this.#count >= this.#entriesMax) this.#clear()
    // The same text is another statement.
    const name = (context.keyspace ?? '') + (lexed.mode.pipesAsConcat === true ? ' ||' : '')
    const entries = this.#entries.get(name)
    const entry = entries?.get(lexed.key)
    if (entry !== undefined) {
      const plan = entry.fixed === null ? entry.plan : entry.fixed.plans.get(valuesAt(lexed, entry.fixed.tokens))
      if (plan != null) return plan
    }
    const made = makePlan(lexed, this.#catalog, context.keyspace)
    if (made.plan.kind === 'needs-schema' || lexed.key.length > keyLengthMax) return made.plan
    this.#remember(name, lexed, made, entry)
    return made.plan
  }

  #remember(name: string, lexed: Lexed, made: { plan: Plan; fixed: readonly number[] }, there: Entry | undefined): void {
    if (made.fixed.length === 0 && there?.fixed == null) this.#put(name, lexed.key, { plan: made.plan, fixed: null })
    else {
      const fixed = fixedWith(there?.fixed ?? null, made.fixed)
      if (fixed.plans.size >= fixedPlansMax) fixed.plans.clear()
      fixed.plans.set(valuesAt(lexed, fixed.tokens), made.plan)
      this.#put(name, lexed.key, { plan: null, fixed })
    }
  }

  #put(name: string, key: string, entry: Entry): void {
    let entries = this.#entries.get(name)
    if (entries === undefined) this.#entries.set(name, (entries = new Map()))
    if (!entries.has(key)) this.#count++
    entries.set(key, entry)
  }

  /** All at once: what is in use is back within as many executions, and nothing must be kept in order of use. */
  #clear(): void {
    this.#entries = new Map()
    this.#count = 0
    this.#generation = this.#catalog.generation
  }
}

/** Which literals decide may depend on their values (after ORDER BY 9 the next was not looked at): all that ever did are compared. */
function fixedWith(there: Fixed | null, made: readonly number[]): Fixed {
  if (there !== null && made.every((token) => there.tokens.includes(token))) return there
  return { tokens: [...new Set([...(there?.tokens ?? []), ...made])], plans: new Map() }
}

function valuesAt(lexed: Lexed, tokens: readonly number[]): string {
  return tokens.map((token) => lexed.bytes.toString('latin1', tokenStart(lexed, token), tokenEnd(lexed, token))).join(' ')
}

function makePlan(lexed: Lexed, catalog: Catalog, current: string | null): { plan: Plan; fixed: readonly number[] } {
  const statement = parse(lexed)
  try {
    return planStatement(statement, lexed, catalog, current)
  } catch (error) {
    if (error instanceof NeedsSchema) return { plan: { kind: 'needs-schema', keyspace: error.keyspace, tables: error.tables }, fixed: [] }
    throw error
  }
}

function planStatement(
  statement: Statement,
  lexed: Lexed,
  catalog: Catalog,
  current: string | null,
): { plan: Plan; fixed: readonly number[] } {
  const only = (plan: Plan): { plan: Plan; fixed: readonly number[] } => ({ plan, fixed: [] })
  switch (statement.kind) {
    case 'query':
    case 'insert':
    case 'update':
    case 'delete':
      return planRows(statement, lexed, catalog, current)
    case 'transaction': {
      const { span: _, ...plan } = statement
      return only(plan)
    }
    case 'set':
      return only(planSet(statement))
    case 'show':
      return only(planShow(statement, current, catalog))
    case 'use':
      return only({ kind: 'use', keyspace: statement.schema.text })
    case 'kill': {
      const id = slotOf(statement.id)
      if (id === null)
        throw planErrors.refused({ construct: 'KILL of an expression', reason: "sessions are the gate's own", instead: 'give the number' })
      return only({ kind: 'kill', what: statement.what, id })
    }
    case 'explain': {
      const { plan: inner, fixed } = planStatement(statement.inner, lexed, catalog, current)
      if (inner.kind === 'local' && inner.otherwise !== null)
        return { plan: { kind: 'explain', inner: inner.otherwise, text: inner.otherwise.whole }, fixed }
      if (inner.kind !== 'routed')
        return inner.kind === 'needs-schema' ? { plan: inner, fixed } : only(whole(lexed, catalog, current, 'EXPLAIN of this'))
      return { plan: { kind: 'explain', inner, text: inner.insert === null ? inner.whole : null }, fixed }
    }
    case 'ddl': {
      const first = statement.names[0]
      const keyspace = keyspaceOf(first?.schema?.text ?? current, catalog)
      return only({
        kind: 'ddl',
        keyspace: keyspace.name,
        verb: statement.verb,
        object: statement.object,
        names: statement.names.map((name) => name.name.text),
        temporary: statement.temporary,
        filled: statement.filled,
        text: withoutQualifiers(statement.names, lexed, catalog),
      })
    }
    case 'lock-tables': {
      const keyspace = keyspaceOf(statement.tables[0]?.schema?.text ?? current, catalog)
      if (keyspace.vschema.sharded) {
        throw planErrors.refused({
          construct: 'LOCK TABLES',
          reason: 'it belongs to one server connection, and the tables stand on many',
          instead: 'use a transaction with SELECT … FOR UPDATE',
        })
      }
      return only({ kind: 'lock-tables', keyspace: keyspace.name, text: withoutQualifiers(statement.tables, lexed, catalog) })
    }
    case 'unlock-tables':
      return only({ kind: 'unlock-tables' })
    case 'prepare': {
      const source = slotOf(statement.source)
      if (source === null)
        throw planErrors.refused({
          construct: 'PREPARE of an expression',
          reason: 'the gate keeps prepared statements itself',
          instead: 'give the text as a string or a user variable',
        })
      return only({ kind: 'prepare', name: statement.name, source })
    }
    case 'execute':
    case 'deallocate': {
      const { span: _, ...plan } = statement
      return only(plan)
    }
    case 'load-data':
      return only(
        whole(
          lexed,
          catalog,
          statement.table.schema?.text ?? current,
          'LOAD DATA',
          'load-data',
          'insert rows by INSERT: several rows in a statement are split by shard',
        ),
      )
    case 'call':
      return only(
        whole(
          lexed,
          catalog,
          statement.procedure.schema?.text ?? current,
          'CALL',
          'call',
          'a procedure sees the rows of one shard only: send its statements',
        ),
      )
    case 'other':
      return only(
        whole(
          lexed,
          catalog,
          statement.names[0]?.schema?.text ?? current,
          statement.word,
          'other',
          statement.word === 'DO' ? 'SELECT what it computes' : undefined,
        ),
      )
  }
}

function planRows(
  statement: Extract<Statement, { kind: 'query' | 'insert' | 'update' | 'delete' }>,
  lexed: Lexed,
  catalog: Catalog,
  current: string | null,
): { plan: Plan; fixed: readonly number[] } {
  const analysis = new Analysis(statement, lexed, catalog, current)
  const bound = analysis.tables[0]
  if ((bound?.keyspace ?? catalog.keyspace(current ?? ''))?.vschema.sharded === true) refuseUnclear(analysis)
  if (bound === undefined) {
    const keyspace = current === null ? undefined : catalog.keyspace(current)
    if (keyspace?.vschema.sharded === true) refuseReadingFunctions(analysis, keyspace)
    if (analysis.systemSchema && keyspace !== undefined) return planSystem(lexed, keyspace.name, keyspace.vschema.sharded, catalog)
    const routed =
      keyspace === undefined || statement.kind !== 'query'
        ? null
        : keyspace.vschema.sharded
          ? planSelect(statement.query, analysis, keyspace.name, lexed.count)
          : null
    const otherwise = routed ?? (keyspace === undefined ? null : whole(lexed, catalog, current, 'SELECT'))
    const local = statement.kind === 'query' ? planLocal(statement, otherwise) : null
    if (local !== null) return { plan: local, fixed: analysis.fixedLiterals }
    if (otherwise === null) throw planErrors.noKeyspace()
    return { plan: otherwise, fixed: analysis.fixedLiterals }
  }
  const { keyspace } = bound
  if (!keyspace.vschema.sharded) return { plan: unsharded(statement, analysis, keyspace.name, lexed), fixed: [] }
  if (analysis.systemSchema) throw planErrors.crossKeyspace({ keyspaces: `${keyspace.name} and the server's own` })
  refuseExecutableComments(lexed)
  refuseReadingFunctions(analysis, keyspace)
  if (statement.kind !== 'query') requireTables(analysis)
  const plan =
    statement.kind === 'query'
      ? planSelect(statement.query, analysis, keyspace.name, lexed.count)
      : statement.kind === 'insert'
        ? planInsert(statement, analysis, keyspace.name, lexed.count)
        : planChange(statement, analysis, keyspace.name, lexed.count)
  // Why it can't be put together is no answer where a server would miss a table.
  if (plan.scatter.kind === 'refused' && plan.destinations.some(({ kind }) => kind !== 'any')) requireTables(analysis)
  return { plan, fixed: analysis.fixedLiterals }
}

/**
 * On which shard rows of a table stand that is not there, nobody can say: what reads it is refused by a server, but a write must meet no shard on which it stands by the time that it comes there.
 * @throws as a server would
 */
function requireTables({ tables }: Analysis): void {
  const absent = tables.find(({ columns }) => columns === null)
  if (absent !== undefined) throw new ServerError(1146, '42S02', `Table '${absent.keyspace.name}.${absent.name}' doesn't exist`)
}

function refuseUnclear({ unclear }: Analysis): void {
  if (unclear === null) return
  throw planErrors.refused({
    construct: `${unclear} in a query of WITH, as the name of one that an outer WITH has, or that follows under RECURSIVE`,
    reason: 'MySQL and MariaDB differ in whether that query or a table is meant',
    instead: 'name each query once, in one WITH, before it is used',
  })
}

/** A stored function runs on one shard, and sees its rows: without a table beside it, on whichever is asked, and would write there. @throws NeedsSchema */
function refuseReadingFunctions(analysis: Analysis, keyspace: KeyspaceInfo): void {
  const unknown = [...analysis.calls].filter((call) => !isBuiltin(call))
  if (unknown.length === 0) return
  const { functions } = keyspace
  if (functions === undefined) throw new NeedsSchema(keyspace.name, [])
  const name = unknown.find((call) => functions.reading.has(call))
  if (name === undefined) return
  throw planErrors.refused({
    construct: `stored function ${name}(), which may read tables`,
    reason: 'on each shard it would see the rows of that shard alone',
    instead: `write what it asks for into the statement; if it reads nothing: ALTER FUNCTION ${name} NO SQL`,
  })
}

/** Whatever the one server of an unsharded keyspace answers, as it stands. The text is for VEXPLAIN: names of the keyspace are cut off, and what the session knows is put in. */
function unsharded(statement: Statement, analysis: Analysis, keyspace: string, lexed: Lexed): RoutedPlan {
  const labels = statement.kind === 'query' ? analysis.labels : []
  const query = statement.kind === 'query' ? statement.query : null
  const lock = query !== null && lockingIn(query).length > 0
  return {
    kind: 'routed',
    keyspace,
    sharded: false,
    verb: statement.kind === 'query' ? 'select' : statement.kind === 'insert' ? statement.verb : (statement.kind as 'update'),
    effect: query === null ? 'write' : lock ? 'lock' : 'read',
    destinations: [{ kind: 'any' }],
    whole: compileText(lexed.count, [...analysis.edits, ...labels]),
    scatter: { kind: 'refused', refusal: { construct: 'an unsharded keyspace', reason: 'it has one shard', instead: '' } },
    limit: null,
    offset: null,
    insert: null,
    unchanged: [],
    tables: analysis.tables.map((table) => table.name),
  }
}

/** A statement that is not taken apart: for the one server of an unsharded keyspace only. */
function whole(
  lexed: Lexed,
  catalog: Catalog,
  name: string | null,
  construct: string,
  verb: RoutedPlan['verb'] = 'other',
  instead = "run it on the shards' servers",
): RoutedPlan {
  const keyspace = keyspaceOf(name, catalog)
  if (keyspace.vschema.sharded)
    throw planErrors.refused({ construct, reason: 'the gate does not take it apart, so it can not know which shards it concerns', instead })
  return {
    kind: 'routed',
    keyspace: keyspace.name,
    sharded: false,
    verb,
    effect: 'write',
    destinations: [{ kind: 'any' }],
    whole: null,
    scatter: { kind: 'refused', refusal: { construct, reason: 'the keyspace has one shard', instead } },
    limit: null,
    offset: null,
    insert: null,
    unchanged: [],
    tables: [],
  }
}

function keyspaceOf(name: string | null, catalog: Catalog) {
  if (name === null) throw planErrors.noKeyspace()
  const keyspace = catalog.keyspace(name)
  if (keyspace === undefined) throw planErrors.unknownKeyspace({ keyspace: name })
  return keyspace
}

function withoutQualifiers(
  names: readonly { schema: { text: string; span: { from: number } } | null; name: { span: { from: number } } }[],
  lexed: Lexed,
  catalog: Catalog,
): Text {
  const cut = names.flatMap(({ schema, name }) =>
    schema !== null && catalog.keyspace(schema.text)?.schemaNamesEqual === false ? [{ from: schema.span.from, to: name.span.from }] : [],
  )
  return cut.length === 0 ? null : textWithout(cut, lexed)
}

function textWithout(spans: readonly { from: number; to: number }[], lexed: Lexed): Text {
  const pieces: { kind: 'span'; span: { from: number; to: number } }[] = []
  let at = 0
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    if (span.from > at) pieces.push({ kind: 'span', span: { from: at, to: span.from } })
    at = span.to
  }
  if (at < lexed.count) pieces.push({ kind: 'span', span: { from: at, to: lexed.count } })
  return pieces
}
