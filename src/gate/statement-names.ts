/** What a statement names: schemas, and whether anything without one. Where the parser has not looked, what may be named counts as named. Pure. */
import type { Span, Statement, TableName } from '../sql/ast.ts'
import { Kind, Lexer, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import { parse } from '../sql/parse.ts'
import { walkExpr, walkStatement, type Visitor } from '../sql/walk.ts'
import { callsStored, isBuiltin } from './pure-functions.ts'

export type Names = {
  schemas: string[]
  bare: boolean | null
  understood: Set<number>
  schemaTokens: Set<number>
  table: string
  serverOnly: boolean
}

/** @param words of the statement, in upper case; '' for what is none */
export function namesIn(statement: Statement, lexed: Lexed, words: readonly string[]): Names {
  const names = namesOf(statement)
  if (statement.kind === 'ddl' && (statement.filled || hasViewQuery(statement, words))) addQuery(names, lexed, words)
  if (names.bare === false && namesUnseen(statement, lexed, words)) names.bare = true
  return names
}

export function hasViewQuery(statement: Extract<Statement, { kind: 'ddl' }>, words: readonly string[]): boolean {
  return statement.verb === 'create' && words.includes('VIEW')
}

function namesOf(statement: Statement): Names {
  const names: Names = { schemas: [], bare: false, understood: new Set(), schemaTokens: new Set(), table: '', serverOnly: false }
  const bare = new Set<string>()
  const ctes = new Set<string>()
  const understand = (span: Span): void => {
    for (let token = span.from; token < span.to; token++) names.understood.add(token)
  }
  const understandSchema = (span: Span): void => {
    understand(span)
    names.schemaTokens.add(span.from)
  }
  const add = ({ schema, name }: TableName): void => {
    if (names.table === '') names.table = name.text
    if (schema === null) {
      bare.add(name.text.toLowerCase())
      return
    }
    understandSchema(schema.span)
    if (schema.text.toLowerCase() !== 'information_schema') names.schemas.push(schema.text)
    else if (ofOneServer.test(name.text)) names.serverOnly = true
  }
  const visitor: Visitor = {
    cte: (name) => ctes.add(name.toLowerCase()),
    table: (ref) => add(ref.table),
    expr: (expr) => {
      if (expr.kind === 'column' || expr.kind === 'star') {
        if (expr.schema !== null) {
          understandSchema(expr.schema.span)
          if (expr.schema.text.toLowerCase() !== 'information_schema') names.schemas.push(expr.schema.text)
        }
        if (expr.table !== null) understand(expr.table.span)
        // sql_mode ORACLE: `s.nextval`.
        if (expr.kind === 'column' && expr.table !== null && expr.schema === null && /^(next|curr)val$/i.test(expr.name.text)) bare.add('')
      } else if (expr.kind === 'call') {
        const sequence = ofSequences.has(expr.name.toUpperCase()) ? expr.args[0] : undefined
        if (sequence?.kind === 'column' && sequence.table !== null) {
          understandSchema(sequence.table.span)
          names.schemas.push(sequence.table.text)
        } else if (sequence !== undefined || (expr.schema === null && !isBuiltin(expr.name))) bare.add('')
        if (expr.schema === null) return
        understandSchema(expr.schema.span)
        names.schemas.push(expr.schema.text)
      }
    },
  }
  const visit = (one: Statement): void => {
    walkStatement(one, visitor)
    switch (one.kind) {
      case 'delete':
        for (const target of one.targets ?? []) if (target.schema !== null) understandSchema(target.schema.span)
        return
      case 'set':
        for (const item of one.items) if ('value' in item) walkExpr(item.value, visitor)
        return
      case 'explain':
        visit(one.inner)
        return
      case 'show':
        if (one.table !== null) {
          names.table = one.table.name.text
          if (one.table.schema !== null) understandSchema(one.table.schema.span)
        }
        if (one.schema === null && ofTables.test(one.what)) bare.add('')
        else if (one.schema === null) return
        else if (one.schema.text.toLowerCase() !== 'information_schema') names.schemas.push(one.schema.text)
        if (one.schema !== null) understandSchema(one.schema.span)
        if (one.where !== null) walkExpr(one.where, visitor)
        return
      case 'ddl':
        for (const name of one.names) if (one.object !== 'DATABASE') add(name)
        return
      case 'lock-tables':
        for (const name of one.tables) add(name)
        return
      case 'load-data':
        add(one.table)
        return
      case 'call':
        add(one.procedure)
        return
      case 'other':
        for (const name of one.names) add(name)
        if (one.names.length === 0) names.bare = null
        return
    }
  }
  visit(statement)
  if (names.bare !== null) names.bare = [...bare].some((name) => !ctes.has(name))
  return names
}

/** CREATE is parsed no further than its name: the query of a view or for a table's rows is looked at by itself. */
function addQuery(names: Names, lexed: Lexed, words: readonly string[]): void {
  const isQuery = (at: number): boolean => ['SELECT', 'WITH', 'TABLE', 'VALUES', '('].includes(words[at] ?? '')
  const as = words.findIndex((word, i) => word === 'AS' && isQuery(i + 1))
  const select = words.indexOf('SELECT')
  const from = as >= 0 ? as + 1 : select > 0 && words[select - 1] === '(' ? select - 1 : select
  if (from < 0) return
  const check = words.lastIndexOf('CHECK')
  const last = check > from && words.includes('VIEW') ? words.lastIndexOf('WITH') : lexed.count
  const query = parsed(new Lexer().lex(lexed.bytes.subarray(tokenStart(lexed, from), tokenEnd(lexed, last - 1)), 0, lexed.mode))
  if (query === null || query.kind === 'other') {
    names.bare = true
    return
  }
  const its = namesOf(query)
  for (const token of its.understood) names.understood.add(token + from)
  for (const token of its.schemaTokens) names.schemaTokens.add(token + from)
  if (its.bare !== false) names.bare = true
  names.schemas.push(...its.schemas)
  names.serverOnly ||= its.serverOnly
}

/** What may be named without a schema where the parser has not looked: it counts as named. */
function namesUnseen(statement: Statement, lexed: Lexed, words: readonly string[]): boolean {
  switch (statement.kind) {
    case 'insert':
    case 'update':
    case 'delete': {
      const behind = words.indexOf('RETURNING')
      return behind > 0 && (words.includes('SELECT', behind) || callsStored(lexed))
    }
    case 'load-data':
    case 'call':
      return words.includes('SELECT') || words.includes('TABLE', words.indexOf('TABLE') + 1) || callsAnother(statement, lexed)
    case 'ddl': {
      const bareAt = (token: number): boolean => words[token + 1] !== '.'
      if (statement.verb === 'create' && statement.object === 'TABLE' && words.includes('LIKE')) return bareAt(words.indexOf('LIKE') + 1)
      if (statement.verb !== 'alter') return false
      // The new name is one of the session's database.
      const renamed = words.findIndex((word, i) => word === 'RENAME' && !['COLUMN', 'INDEX', 'KEY'].includes(words[i + 1] ?? ''))
      if (renamed > 0) return bareAt(['TO', 'AS', '='].includes(words[renamed + 1] ?? '') ? renamed + 2 : renamed + 1)
      const exchanged = words.indexOf('EXCHANGE')
      return exchanged > 0 && bareAt(words.indexOf('TABLE', exchanged) + 1)
    }
    default:
      return false
  }
}

/** A function besides the procedure itself. */
function callsAnother(statement: Statement, lexed: Lexed): boolean {
  if (statement.kind !== 'call') return callsStored(lexed)
  const behind = lexed.count > statement.procedure.span.to + 1 ? tokenStart(lexed, statement.procedure.span.to) : -1
  return behind >= 0 && callsStored(new Lexer().lex(lexed.bytes.subarray(behind), 0, lexed.mode))
}

const ofOneServer = /^(innodb_.*|.*_statistics|user_privileges|applicable_roles|enabled_roles|files|thread_pool_.*)$/i
const ofSequences = new Set(['NEXTVAL', 'LASTVAL', 'SETVAL'])
const ofTables = /TABLE|COLUMNS|FIELDS|INDEX|KEYS|TRIGGERS|EVENTS|VIEW/

export function parsed(lexed: Lexed): Statement | null {
  try {
    return parse(lexed)
  } catch {
    return null
  }
}

export function wordAt(lexed: Lexed, token: number): string {
  const kind = tokenKind(lexed, token)
  return kind === Kind.Word || kind === Kind.Operator
    ? lexed.bytes.toString('latin1', tokenStart(lexed, token), tokenEnd(lexed, token)).toUpperCase()
    : ''
}
