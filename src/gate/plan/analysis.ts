/**
 * Reads out of a statement what routing needs: its tables, what each shard key column is equal to, and the edits that any
 * shard's copy of the text needs (names of the keyspace cut off, the session's own values put in).
 */
import type { Assignment, Delete, Expr, Insert, Name, Query, Select, SelectItem, Span, Statement, TableRef } from '../../sql/ast.ts'
import { Kind, type Lexed, tokenEnd, tokenKind, tokenStart } from '../../sql/lexer.ts'
import { literalValue } from '../../sql/literal.ts'
import { walkExpr } from '../../sql/walk.ts'
import { alternativesOf } from './alternatives.ts'
import type { Catalog } from './catalog.ts'
import { choosesRows } from './chosen-rows.ts'
import { type Ctes, meaningOf, namesBehind, namesWithin, noCtes } from './ctes.ts'
import { boundAssignment, boundBy, type ConnectionBound } from './connection-bound.ts'
import { isAggregate, isClock, isConnectionBound, isInstant, isRandom, isSeeded, sessionFunction, sessionVariable } from './functions.ts'
import { Groups } from './groups.ts'
import { boundsOf } from './ranges.ts'
import { Binder, type BoundColumn, type BoundTable, Context, isOfOuter, isSharded, isSystemSchema, Scope } from './scope.ts'
import { bare, slotOf } from './slots.ts'
import type { PlanEdit } from './text.ts'

type ColumnExpr = Extract<Expr, { kind: 'column' }>

export class Analysis {
  readonly binder: Binder
  readonly groups = new Groups()
  readonly edits: PlanEdit[] = []
  /** Labels written out where an edit would change them. Apart, as copies of an expression must not have them. */
  readonly labels: PlanEdit[] = []
  /** Of the statement itself, or of its only SELECT. */
  readonly scope: Scope
  /** Derived tables, CTEs, UNIONs. */
  opaque: string | null = null
  /** A function or form that is bound to one server connection. */
  connectionBound: ConnectionBound | null = null
  /** A function that gives another value at each call; one that tells the time of the call. */
  random: string | null = null
  clock: string | null = null
  /** RAND(N). */
  seeded = false
  /** A query within it has a LIMIT: of equal rows a server chooses. */
  limited = false
  readonly #existing = new WeakSet<Query>()
  /** NOW() and its like. */
  instant = false
  /** An outer join keeps all rows of tables that every shard has, so each shard would answer them. */
  replicatedOuter = false
  /** An aggregate within a subquery that is over the rows of the query around it. */
  outerAggregate: string | null = null
  systemSchema = false
  /** A name of WITH that some servers take for a table's (ctes.ts). */
  unclear: string | null = null
  /** Names of functions, in lower case. */
  readonly calls = new Set<string>()
  /** What must hold for a row: the parts of WHERE and ON that AND puts together, with where they were said. */
  readonly conjuncts: { readonly expr: Expr; readonly scope: Scope; readonly context: Context }[] = []
  /** Of every SELECT inside, in order. */
  readonly items: SelectItem[] = []
  /** Names of columns that the statement mentions, of whichever table, in lower case. */
  readonly mentioned = new Set<string>()
  /** Aliases of tables of which all columns are meant; null: of all tables. */
  readonly stars: (string | null)[] = []
  /** MATCH … AGAINST, wherever it stands. */
  readonly matches: { readonly match: Extract<Expr, { kind: 'other' }>; readonly scope: Scope }[] = []
  readonly #scopes = new Map<Query, Scope>()
  /** What needs the tables' columns: done when all tables are known. */
  #pending: (() => void)[] = []
  /** Tokens of literals whose values the plan depends on (ORDER BY 1): it serves only statements that have the same there. */
  readonly fixedLiterals: number[] = []
  readonly #lexed: Lexed

  constructor(statement: Statement, lexed: Lexed, catalog: Catalog, current: string | null) {
    this.#lexed = lexed
    this.binder = new Binder(catalog, current)
    this.scope = new Scope(null, new Context(null))
    this.#visitStatement(statement)
    this.binder.requireColumns()
    for (const task of this.#pending) task()
  }

  get tables(): readonly BoundTable[] {
    return this.binder.tables
  }

  /** Expression of the statement's own level, as text of its own (hidden columns). */
  resolve(expr: ColumnExpr): BoundColumn | null {
    return this.scope.resolve(expr)
  }

  #visitStatement(statement: Statement): void {
    const { scope } = this
    switch (statement.kind) {
      case 'query':
        this.#query(statement.query, null, scope.context, noCtes, scope)
        return
      case 'insert':
        this.#table(statement.table, null, scope, scope.context)
        for (const row of statement.rows) for (const value of row.values) this.#expr(value, scope, noCtes)
        this.#assignments(statement.onDuplicate?.assignments ?? [], scope, noCtes)
        if (statement.query !== null) this.#query(statement.query, null, new Context(scope.context), noCtes, null)
        this.#returning(statement, scope, noCtes)
        return
      case 'update':
      case 'delete': {
        const ctes = this.#with(statement, scope, noCtes)
        for (const ref of statement.kind === 'update' ? statement.tables : statement.from) this.#from(ref, scope, scope.context, ctes)
        if (statement.kind === 'update') this.#assignments(statement.assignments, scope, ctes)
        else for (const target of statement.targets ?? []) this.#qualifier(target.schema, target.name)
        if (statement.where !== null) this.#where(statement.where, scope, scope.context, ctes)
        for (const item of statement.orderBy?.items ?? []) this.#position(item.expr, scope, ctes)
        if (statement.kind === 'delete') this.#returning(statement, scope, ctes)
        return
      }
      default:
    }
  }

  #assignments(assignments: readonly Assignment[], scope: Scope, ctes: Ctes): void {
    for (const { column, value } of assignments) for (const expr of [column, value]) this.#expr(expr, scope, ctes)
  }

  #returning({ returning }: Insert | Delete, scope: Scope, ctes: Ctes): void {
    for (const item of returning?.items ?? []) this.#item(item, scope, ctes, this.edits)
  }

  #with({ with: clause }: { with: Query['with'] }, scope: Scope, outer: Ctes): Ctes {
    if (clause === null) return outer
    this.opaque ??= 'WITH'
    for (const [i, { query }] of clause.tables.entries())
      this.#query(query, scope.parent, new Context(scope.context), namesWithin(clause, i, outer), null)
    return namesBehind(clause, outer)
  }

  #query(query: Query, parent: Scope | null, context: Context, outerCtes: Ctes, given: Scope | null): void {
    const scope = given ?? new Scope(parent, context)
    this.#scopes.set(query, scope)
    this.limited ||= query.limit !== null && !this.#existing.has(query) && choosesRows(query)
    const ctes = this.#with(query, scope, outerCtes)
    if (query.kind === 'union') {
      this.opaque ??= 'UNION'
      for (const part of query.parts) this.#query(part, parent, new Context(context), ctes, null)
      // What stands behind the last SELECT was read as that one's.
      const last = query.parts.at(-1)
      if (last?.kind !== 'select' || last.orderBy !== query.orderBy)
        for (const item of query.orderBy?.items ?? []) this.#position(item.expr, new Scope(parent, context), ctes)
      return
    }
    for (const ref of query.from) this.#from(ref, scope, context, ctes)
    for (const item of query.items) this.#item(item, scope, ctes)
    if (query.where !== null) this.#where(query.where, scope, context, ctes)
    this.#clauses(query, scope, ctes)
  }

  #clauses(query: Select, scope: Scope, ctes: Ctes): void {
    for (const item of query.groupBy?.items ?? []) this.#position(item.expr, scope, ctes)
    if (query.having !== null) this.#expr(query.having.expr, scope, ctes)
    for (const window of query.windows) for (const part of [...window.partition, ...window.order]) this.#position(part, scope, ctes)
    for (const item of query.orderBy?.items ?? []) this.#position(item.expr, scope, ctes)
    this.connectionBound ??= boundBy(query)
  }

  /** What is put in place of a function would change the column's label: the label is written out. */
  #item(item: SelectItem, scope: Scope, ctes: Ctes, labels = this.labels): void {
    const before = this.edits.length
    this.items.push(item)
    // AS 'x': a name that the key of plans has no more than any other literal.
    if (item.alias !== null && tokenKind(this.#lexed, item.alias.span.from) === Kind.String) this.fixedLiterals.push(item.alias.span.from)
    if (item.expr.kind === 'star') this.stars.push(item.expr.table?.text.toLowerCase() ?? null)
    this.#expr(item.expr, scope, ctes)
    if (this.edits.length > before && item.alias === null && item.expr.kind !== 'star' && item.expr.kind !== 'column') {
      const end = item.expr.span.to
      labels.push({
        span: { from: end, to: end },
        pieces: [
          { kind: 'text', text: ' AS ' },
          { kind: 'label', span: item.expr.span },
        ],
      })
    }
  }

  /** The tables, in the order in which a column of USING is looked for; null: one whose columns are not known here. */
  #from(ref: TableRef, scope: Scope, context: Context, ctes: Ctes): (BoundTable | null)[] {
    switch (ref.kind) {
      case 'table':
        const meaning = ref.table.schema === null ? meaningOf(ref.table.name.text, ctes) : 'table'
        if (meaning === 'unclear') this.unclear ??= ref.table.name.text
        if (meaning !== 'table') {
          scope.opaque.push((ref.alias ?? ref.table.name).text.toLowerCase())
          return [null]
        }
        return this.#table(ref.table, ref.alias, scope, context)
      case 'derived':
        this.opaque ??= 'a derived table'
        if (ref.alias !== null) scope.opaque.push(ref.alias.text.toLowerCase())
        this.#query(ref.query, ref.lateral ? scope : scope.parent, new Context(context), ctes, null)
        return [null]
      case 'function':
        this.opaque ??= ref.name
        this.stars.push(null)
        // It sees the tables before it.
        for (const arg of ref.args) this.#expr(arg, scope, ctes)
        scope.opaque.push(ref.alias?.text.toLowerCase() ?? '')
        return [null]
      case 'join': {
        const inner = ref.join === 'inner'
        const leftContext = ref.join === 'right' ? new Context(context) : context
        const rightContext = ref.join === 'left' ? new Context(context) : context
        const left = this.#from(ref.left, scope, leftContext, ctes)
        const right = this.#from(ref.right, scope, rightContext, ctes)
        const [kept, absent] = ref.join === 'right' ? [right, left] : [left, right]
        const sharded = (table: BoundTable | null): boolean => table !== null && isSharded(table)
        if (!inner && !kept.some(sharded) && absent.some(sharded)) this.replicatedOuter = true
        const holds = inner ? context : ref.join === 'left' ? rightContext : leftContext
        if (ref.on !== null) this.#where(ref.on, scope, holds, ctes)
        for (const name of ref.using) this.mentioned.add(name.text.toLowerCase())
        if (ref.natural) this.stars.push(null)
        if (ref.using.length > 0 || ref.natural) this.#pending.push(() => this.#using(ref.using, ref.natural, left, right, holds))
        // The column that a RIGHT JOIN's USING makes is the right side's: the left one may be absent.
        return [...kept, ...absent]
      }
    }
  }

  #table(name: { schema: Name | null; name: Name; span: Span }, alias: Name | null, scope: Scope, context: Context): (BoundTable | null)[] {
    if (name.schema !== null && isSystemSchema(name.schema.text)) {
      this.systemSchema = true
      scope.opaque.push((alias ?? name.name).text.toLowerCase())
      return [null]
    }
    this.#qualifier(name.schema, name.name)
    const bound = this.binder.bind(name, alias?.text ?? null, context)
    scope.tables.push(bound)
    this.groups.addTable(bound)
    return [bound]
  }

  /** `app.t` → `t`: a shard's database has a name of its own. */
  #qualifier(schema: Name | null, next: Name): void {
    if (schema === null || isSystemSchema(schema.text)) return
    if (this.binder.catalog.keyspace(schema.text)?.schemaNamesEqual !== false) return
    this.edits.push({ span: { from: schema.span.from, to: next.span.from }, pieces: [] })
  }

  /** Of ORDER BY and GROUP BY: there the number that a variable or function of the session is would be read as a place in the list (`-2` as well). */
  #position(expr: Expr, scope: Scope, ctes: Ctes): void {
    let inner = bare(expr)
    while (inner.kind === 'unary') inner = bare(inner.operand)
    const slot = slotOf(inner)
    if (slot?.kind === 'session') this.edits.push({ span: inner.span, pieces: [{ kind: 'session', ref: slot.ref, constant: true }] })
    else this.#expr(expr, scope, ctes)
  }

  #expr(expr: Expr, scope: Scope, ctes: Ctes): void {
    walkExpr(expr, {
      expr: (node) => {
        switch (node.kind) {
          case 'subquery':
          case 'exists':
            if (node.kind === 'exists') this.#existing.add(node.query)
            this.#query(node.query, scope, new Context(scope.context), ctes, null)
            return false
          case 'column':
          case 'star':
            if (node.kind === 'column') this.mentioned.add(node.name.text.toLowerCase())
            if (node.schema !== null && node.table !== null) this.#qualifier(node.schema, node.table)
            return
          case 'call': {
            // What the parser does not read into the tree may name any column.
            if (node.extended) this.stars.push(null)
            this.calls.add(node.name.toLowerCase())
            this.seeded ||= isSeeded(node)
            if (scope !== this.scope && isAggregate(node))
              this.#pending.push(() => isOfOuter(node, scope) && (this.outerAggregate ??= node.name + '()'))
            const ref = sessionFunction(node)
            if (ref !== null) this.edits.push({ span: node.span, pieces: [{ kind: 'session', ref }] })
            else if (isInstant(node)) this.instant = true
            else if (isRandom(node)) this.random ??= node.name + '()'
            else if (isClock(node)) this.clock ??= node.name + '()'
            else if (isConnectionBound(node)) this.connectionBound ??= { construct: node.name + '()' }
            if (!node.extended && node.over === null) return
            // GROUP_CONCAT(… ORDER BY 1) names its first argument, and MySQL refuses a number in a window.
            for (const arg of [...node.args, ...(node.over?.partition ?? []), ...(node.over?.order ?? [])]) this.#position(arg, scope, ctes)
            return false
          }
          case 'system-variable': {
            const ref = sessionVariable(node)
            if (ref !== null) this.edits.push({ span: node.span, pieces: [{ kind: 'session', ref }] })
            return
          }
          case 'user-variable':
            this.edits.push({ span: node.span, pieces: [{ kind: 'session', ref: { kind: 'user-variable', name: node.name } }] })
            return
          case 'other':
            if (node.construct === ':=') this.connectionBound ??= boundAssignment
            if (node.construct.startsWith('MATCH')) this.matches.push({ match: node, scope })
            return
          default:
        }
      },
    })
  }

  #where(expr: Expr, scope: Scope, context: Context, ctes: Ctes): void {
    this.#expr(expr, scope, ctes)
    this.#pending.push(() => this.#condition(expr, scope, context))
  }

  #condition(given: Expr, scope: Scope, context: Context): void {
    const expr = bare(given)
    if (expr.kind === 'and') {
      for (const item of expr.items) this.#condition(item, scope, context)
      return
    }
    this.conjuncts.push({ expr, scope, context })
    if (expr.kind === 'binary' && expr.operator === '=') {
      const [left, right] = [bare(expr.left), bare(expr.right)]
      if (left.kind === 'column' && right.kind === 'column') {
        const [a, b] = [scope.resolve(left), scope.resolve(right)]
        if (a !== null && b !== null) this.groups.equate(a, b, context)
        return
      }
    }
    if (expr.kind === 'in' && !expr.not) this.#membership(expr, scope)
    for (const { operand, low, high } of boundsOf(expr)) {
      const inner = bare(operand)
      const bound = inner.kind === 'column' ? scope.resolve(inner) : null
      if (bound !== null) this.groups.bound(bound, low, high, context)
    }
    for (const { bound, slots } of alternativesOf(expr, scope).values()) this.groups.restrict(bound, slots, context)
  }

  /** `k IN (SELECT k FROM b …)`: only rows of b with the same k matter. */
  #membership(expr: Extract<Expr, { kind: 'in' }>, scope: Scope): void {
    const only = expr.list.length === 1 ? expr.list[0] : undefined
    if (only?.kind !== 'subquery' || only.query.kind !== 'select') return
    const { query } = only
    const inner = this.#scopes.get(query)
    if (inner === undefined || query.items.length !== 1 || query.groupBy !== null || query.having !== null || query.limit !== null) return
    const [item, operand] = [query.items[0] && bare(query.items[0].expr), bare(expr.operand)]
    if (item?.kind !== 'column' || operand.kind !== 'column') return
    const [a, b] = [inner.resolve(item), scope.resolve(operand)]
    if (a !== null && b !== null) this.groups.equate(a, b, inner.context)
  }

  #using(
    names: readonly Name[],
    natural: boolean,
    left: readonly (BoundTable | null)[],
    right: readonly (BoundTable | null)[],
    context: Context,
  ): void {
    const find = (tables: readonly (BoundTable | null)[], name: string): BoundColumn | null => {
      for (const table of tables) {
        // It may be this one's.
        if (table === null) return null
        const column = table.columns?.columns.find((c) => c.name.toLowerCase() === name)
        if (column !== undefined) return { table, column }
      }
      return null
    }
    const common = natural
      ? left.flatMap((table) => table?.columns?.columns ?? []).map((column) => column.name)
      : names.map((name) => name.text)
    for (const name of common) {
      const [a, b] = [find(left, name.toLowerCase()), find(right, name.toLowerCase())]
      if (a !== null && b !== null) this.groups.equate(a, b, context)
    }
  }

  scopeOf(query: Query): Scope | undefined {
    return this.#scopes.get(query)
  }

  /** The value of an integer literal, from now on fixed for the plan. */
  fixedInteger(literal: Extract<Expr, { kind: 'literal' }>): number | null {
    const value = literalValue(this.#lexed, literal.span)
    if (value?.type !== 'integer') return null
    this.fixedLiterals.push(literal.span.from)
    return Number(value.value)
  }

  /** How many `?` stand there. */
  parametersIn({ from, to }: Span): number {
    let count = 0
    for (let token = from; token < to; token++) if (tokenKind(this.#lexed, token) === Kind.Parameter) count++
    return count
  }

  /** The tokens of a span, for telling whether two expressions are one: null when a literal's or parameter's value would decide. */
  wordsOf(span: Span): string | null {
    const words: string[] = []
    for (let token = span.from; token < span.to; token++) {
      const kind = tokenKind(this.#lexed, token)
      if ((kind >= Kind.Integer && kind <= Kind.Parameter) || kind === Kind.NationalString) return null
      const word = this.#lexed.bytes.toString('latin1', tokenStart(this.#lexed, token), tokenEnd(this.#lexed, token))
      words.push(kind === Kind.Word ? word.toLowerCase() : word)
    }
    return words.join(' ')
  }
}
