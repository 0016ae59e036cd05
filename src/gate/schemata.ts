/**
 * Questions to information_schema, told to a server so that keyspaces are its databases: each of its tables that has names of schemas is read through a query that calls the shard's schema by
 * the keyspace's name, and leaves out the other schemas of that server. So whatever the statement makes of these names (compares, joins, groups, computes) is right, and what the
 * user may not see is not there. Pure.
 *
 * Rows are those of one keyspace: the one that the statement names, else the session's. SCHEMATA lists all that the user may see.
 */
import type { Expr, Name, Statement, TableName } from '../sql/ast.ts'
import { Kind, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import { literalValue } from '../sql/literal.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { splice, type Edit } from '../sql/splice.ts'
import { walkExpr, walkStatement, type Visitor } from '../sql/walk.ts'
import { gateErrors } from './errors.ts'
import type { Relay } from './passthrough.ts'
import { ofSessions, type ListedSession } from './listed-sessions.ts'
import { literal } from './session-calls.ts'

/** The columns of information_schema's tables, in order; tables in upper case. */
export type ServerColumns = ReadonlyMap<string, readonly string[]>

/** What a server's own table is called within the query that stands for it: such a text is told already. */
const told = 'of_server'

/** Columns that name schemas: by the first of them a row is the keyspace's or another's. */
const ofRow = new Set([
  'TABLE_SCHEMA',
  'CONSTRAINT_SCHEMA',
  'INDEX_SCHEMA',
  'TRIGGER_SCHEMA',
  'EVENT_OBJECT_SCHEMA',
  'EVENT_SCHEMA',
  'ROUTINE_SCHEMA',
  'SPECIFIC_SCHEMA',
  'SEQUENCE_SCHEMA',
  'VIEW_SCHEMA',
  'SCHEMA_NAME',
  'F_TABLE_SCHEMA',
])
/** What a row refers to may stand in another. */
const referred = new Set(['REFERENCED_TABLE_SCHEMA', 'UNIQUE_CONSTRAINT_SCHEMA', 'G_TABLE_SCHEMA'])
const isSchemaColumn = (name: string): boolean => ofRow.has(name) || referred.has(name)
/** Text of the server's own making, which names the schema before each table. */
const texts = new Set(['VIEW_DEFINITION'])

const asking = new WeakMap<Relay, boolean>()

/** Whether it names information_schema. Errors: SW-GATE-012 a client's own text looks as if it was told already: it would be answered by all that stands on the server. */
export function asksSchemata(relay: Relay, lex: () => Lexed): boolean {
  if (relay.qualifiers.length === 0) return false
  let asks = asking.get(relay)
  if (asks === undefined) {
    const lexed = lex()
    asks = relay.qualifiers.some((token) => isInformationSchema(textOf(lexed, token)))
    asking.set(relay, asks)
  }
  if (asks && isTold(lex()))
    throw gateErrors.notForwarded({
      construct: `${told} in a question to information_schema`,
      reason: "it is the gate's own name for a server's table",
      fix: 'choose another alias',
    })
  return asks
}

export function isTold(lexed: Lexed): boolean {
  for (let token = 0; token < lexed.count; token++) if (tokenKind(lexed, token) === Kind.Word && textOf(lexed, token) === told) return true
  return false
}

function textOf(lexed: Lexed, token: number): string {
  return lexed.bytes.toString('latin1', tokenStart(lexed, token), tokenEnd(lexed, token))
}

function isInformationSchema(name: string): boolean {
  return /^[`"]?information_schema[`"]?$/i.test(name)
}

/** Its rows are read as they stand; of others (SHOW, DDL) nothing is told. */
export function readsRows(statement: Statement): boolean {
  if (statement.kind === 'explain') return readsRows(statement.inner)
  return ['query', 'insert', 'update', 'delete'].includes(statement.kind)
}

function walk(statement: Statement, visitor: Visitor): void {
  walkStatement(statement.kind === 'explain' ? statement.inner : statement, visitor)
}

function isProcesslist(schema: string, table: string): boolean {
  return /^information_schema\.processlist$/i.test(`${schema}.${table}`)
}

/** Its rows are the gate's sessions. */
export function readsProcesslist(statement: Statement): boolean {
  let reads = false
  walk(statement, {
    table({ table: { schema, name } }) {
      reads ||= schema !== null && isProcesslist(schema.text, name.text)
    },
  })
  return reads
}

export type Named = {
  /** Texts that may be names of schemas: all but those that are compared with a column of another kind. */
  readonly texts: ReadonlySet<string>
  /** Parameters that may be, by number. */
  readonly parameters: readonly number[]
  /** It reads rows of one keyspace, not only the list of all. */
  readonly ofOne: boolean
}

export function namedIn(statement: Statement, lexed: Lexed): Named {
  const aside = new Set<number>()
  let ofOne = false
  walk(statement, {
    table({ table }) {
      if (table.schema === null || !isInformationSchema(table.schema.text) || !/^schemata(_extensions)?$/i.test(table.name.text))
        ofOne = true
    },
    expr(expr) {
      for (const operands of comparedIn(expr)) {
        const columns = operands.flatMap(columnsIn)
        if (columns.length === 0 || columns.some((name) => isSchemaColumn(name.toUpperCase()))) continue
        for (const operand of operands)
          if (operand.kind === 'literal' || operand.kind === 'parameter')
            for (let token = operand.span.from; token < operand.span.to; token++) aside.add(token)
      }
    },
  })
  const texts = new Set<string>()
  const parameters: number[] = []
  let parameter = 0
  for (let token = 0; token < lexed.count; token++) {
    const kind = tokenKind(lexed, token)
    if (kind === Kind.Parameter) {
      if (!aside.has(token)) parameters.push(parameter)
      parameter++
    } else if ((kind === Kind.String || kind === Kind.NationalString || kind === Kind.Hex) && !aside.has(token)) {
      const value = literalValue(lexed, { from: token, to: token + 1 })
      if (value?.type === 'text' || value?.type === 'binary') texts.add(Buffer.from(value.bytes).toString('utf8'))
    }
  }
  return ofOne ? { texts, parameters, ofOne } : { texts: new Set(), parameters: [], ofOne }
}

/** What is compared with one another: of rows, their first items, their second ones. */
function comparedIn(expr: Expr): readonly (readonly Expr[])[] {
  const operands =
    expr.kind === 'binary' && comparisons.has(expr.operator)
      ? [expr.left, expr.right]
      : expr.kind === 'in'
        ? [expr.operand, ...expr.list]
        : expr.kind === 'other' && ['LIKE', 'REGEXP', 'BETWEEN', 'NOT BETWEEN'].includes(expr.construct)
          ? expr.children
          : []
  const [first] = operands
  if (first?.kind !== 'row') return [operands]
  return first.items.map((_, i) => operands.flatMap((operand) => (operand.kind === 'row' ? (operand.items[i] ?? []) : [])))
}
const comparisons = new Set(['=', '<=>', '<>', '<', '>', '<=', '>='])

/** `LOWER(TABLE_NAME)`, `BINARY TABLE_NAME`: of those too. */
function columnsIn(operand: Expr): string[] {
  const names: string[] = []
  walkExpr(operand, {
    expr(expr) {
      if (expr.kind === 'column') names.push(expr.name.text)
      return expr.kind !== 'subquery' && expr.kind !== 'exists'
    },
  })
  return names
}

export type Keyspaces = {
  /** Whose rows are shown, by its name as a database: the connection's own schema is its. Null: of none. */
  readonly shown: string | null
  /** All that the user may see. */
  readonly all: readonly string[]
  /** MariaDB names a result's columns as the statement does, and those of a query within it as that one does; MySQL always as information_schema does. */
  readonly mariadb: boolean
  /** The rows of PROCESSLIST. */
  readonly sessions: readonly ListedSession[]
}

/** The statement as it is told to the server; null: as it stands. */
export function toldSchemata(statement: Statement, lexed: Lexed, columns: ServerColumns, keyspaces: Keyspaces): Buffer | null {
  const edits: Edit[] = []
  const labels: Edit[] = []
  walk(statement, {
    select({ items }) {
      for (const { expr, alias } of items)
        if (keyspaces.mariadb && expr.kind === 'column' && alias === null)
          labels.push({ span: { from: expr.span.to, to: expr.span.to }, text: `AS ${quoteIdentifier(expr.name.text)}` })
    },
    table({ table, alias }) {
      const query = toldOf(table, columns, keyspaces)
      if (query !== null) edits.push({ span: table.span, text: alias === null ? `${query} AS ${quoteIdentifier(table.name.text)}` : query })
    },
    expr(expr) {
      if ((expr.kind !== 'column' && expr.kind !== 'star') || expr.schema === null || expr.table === null) return
      const [schema, table] = [expr.schema.text, expr.table.text]
      if (!isProcesslist(schema, table) && !(isInformationSchema(schema) && hasSchemas(table, columns))) return
      edits.push({ span: { from: expr.schema.span.from, to: expr.table.span.from }, text: '' })
    },
  })
  return edits.length === 0 ? null : splice(lexed, [...edits, ...labels])
}

function hasSchemas(table: string, columns: ServerColumns): boolean {
  return columns.get(table.toUpperCase())?.some((column) => ofRow.has(column.toUpperCase())) === true
}

/** The query that stands for it; null: it is read as it is. */
function toldOf({ schema, name }: TableName, columns: ServerColumns, keyspaces: Keyspaces): string | null {
  if (schema === null) return null
  if (isProcesslist(schema.text, name.text)) return ofSessions(columns, keyspaces.sessions)
  return isInformationSchema(schema.text) && hasSchemas(name.text, columns) ? ofServer(name, columns, keyspaces) : null
}

function ofServer(name: Name, columns: ServerColumns, { shown, all }: Keyspaces): string {
  const list = columns.get(name.text.toUpperCase()) as readonly string[]
  const from = `FROM information_schema.${name.text.toUpperCase()} AS ${told}`
  const named = list.find((column) => column.toUpperCase() === 'SCHEMA_NAME')
  if (named !== undefined) return listOf(list, named, from, keyspacesIn(shown, all))
  const known = shown === null ? "('information_schema')" : "(DATABASE(), 'information_schema')"
  const selected = list.map((column) => {
    const c = quoteIdentifier(column)
    if (shown === null) return c
    if (isSchemaColumn(column.toUpperCase())) return `IF(${c} = DATABASE(), ${literal(shown)}, ${c}) AS ${c}`
    if (!texts.has(column.toUpperCase())) return c
    return `REPLACE(${c}, CONCAT('\`', DATABASE(), '\`.'), ${/^\w+$/.test(shown) ? `'\`${shown}\`.'` : literal(`${quoteIdentifier(shown)}.`)}) AS ${c}`
  })
  // Of all columns: by which of them a server finds its rows without opening every table differs.
  const conditions = list.filter((column) => ofRow.has(column.toUpperCase())).map((column) => `${quoteIdentifier(column)} IN ${known}`)
  return `(SELECT ${selected.join(', ')} ${from} WHERE ${conditions.join(' AND ')})`
}

function keyspacesIn(shown: string | null, all: readonly string[]): readonly [string | null, ...string[]] {
  return [shown, ...all.filter((name) => name !== shown)]
}

/**
 * SCHEMATA: a row for each keyspace. Others than the one shown stand on servers that are not asked: what is told of them beside their name is what the server says of the one shown.
 */
function listOf(list: readonly string[], named: string, from: string, [shown, ...others]: readonly [string | null, ...string[]]): string {
  const name = quoteIdentifier(named)
  const names = [shown, ...others].flatMap((one, i) => (one === null ? [] : [`WHEN ${i + 1} THEN ${literal(one)}`]))
  const numbers = [0, ...(shown === null ? [] : [1]), ...others.map((_, i) => i + 2)]
  const rows = numbers.map((n, i) => (i === 0 ? `SELECT ${n} AS n` : `SELECT ${n}`)).join(' UNION ALL ')
  const selected = list.map((column) =>
    column === named && names.length > 0
      ? `CASE keyspaces.n ${names.join(' ')} ELSE ${told}.${name} END AS ${name}`
      : `${told}.${quoteIdentifier(column)}`,
  )
  const model = shown === null ? "'information_schema'" : 'DATABASE()'
  return `(SELECT ${selected.join(', ')} ${from} JOIN (${rows}) AS keyspaces ON ${told}.${name} = IF(keyspaces.n = 0, 'information_schema', ${model}))`
}
