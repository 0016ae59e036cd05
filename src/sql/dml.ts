/** INSERT, REPLACE, UPDATE, DELETE. */
import type { Assignment, Clause, Delete, Expr, Insert, Name, Query, SelectItem, Span, TableName, Update } from './ast.ts'
import { parseExpression } from './expression.ts'
import type { Reader } from './reader.ts'
import { parseLimit, parseOrderBy, parseQuery, parseTables, parseWith, selectItems } from './select.ts'

export function parseInsert(r: Reader): Insert {
  const from = r.at
  const verb = r.takeWords('REPLACE') ? 'replace' : 'insert'
  if (verb === 'insert') r.expectWord('INSERT')
  let ignore = false
  for (let word = r.takeOneOf(...modifiers); word !== null; word = r.takeOneOf(...modifiers)) ignore ||= word === 'IGNORE'
  r.takeWords('INTO')
  const table = r.tableName()
  if (r.takeWords('PARTITION')) {
    r.expectOperator('(')
    r.skipParentheses()
  }
  let columns: Name[] | null = null
  let columnsSpan: Span | null = null
  if (r.isOperator('(') && !r.isWord('SELECT', 1) && !r.isWord('WITH', 1) && !r.isOperator('(', 1)) {
    const columnsFrom = r.at++
    columns = []
    while (!r.takeOperator(')')) {
      columns.push(columnName(r))
      if (!r.isOperator(')')) r.expectOperator(',')
    }
    columnsSpan = r.span(columnsFrom)
  }
  const rows: { values: Expr[]; span: Span }[] = []
  let rowsSpan: Span | null = null
  let query: Query | null = null
  let setForm = false
  const rowsFrom = r.at
  if (r.takeOneOf('VALUES', 'VALUE') !== null) {
    const first = r.at
    do rows.push(parseRow(r))
    while (r.takeOperator(','))
    rowsSpan = r.span(first)
  } else if (columns === null && r.takeWords('SET')) {
    setForm = true
    const assignments = parseAssignments(r)
    columns = assignments.map((assignment) => assignment.column.name)
    rowsSpan = r.span(rowsFrom + 1)
    rows.push({ values: assignments.map((assignment) => assignment.value), span: rowsSpan })
  } else if (r.isWord('SELECT') || r.isWord('WITH') || r.isOperator('(')) query = parseQuery(r)
  else r.fail('VALUES, SET or SELECT')
  let rowAlias: Span | null = null
  if (r.isWord('AS')) {
    const aliasFrom = r.at++
    r.name('an alias for the row')
    if (r.takeOperator('(')) r.skipParentheses()
    rowAlias = r.span(aliasFrom)
  }
  let onDuplicate: Insert['onDuplicate'] = null
  const duplicateFrom = r.at
  if (r.takeWords('ON', 'DUPLICATE', 'KEY', 'UPDATE')) {
    const assignments = parseAssignments(r)
    onDuplicate = { assignments, span: r.span(duplicateFrom) }
  }
  const returning = parseReturning(r)
  return {
    kind: 'insert',
    verb,
    ignore,
    table,
    columns,
    columnsSpan,
    rows,
    rowsSpan,
    setForm,
    query,
    rowAlias,
    onDuplicate,
    returning,
    span: r.span(from),
  }
}

const modifiers = ['LOW_PRIORITY', 'DELAYED', 'HIGH_PRIORITY', 'IGNORE', 'QUICK']

function columnName(r: Reader): Name {
  let name = r.name('a column')
  while (r.takeOperator('.')) name = r.name('a column')
  return name
}

function parseRow(r: Reader): { values: Expr[]; span: Span } {
  r.takeWords('ROW')
  const from = r.at
  r.expectOperator('(')
  const values: Expr[] = []
  while (!r.takeOperator(')')) {
    values.push(parseExpression(r))
    if (!r.isOperator(')')) r.expectOperator(',')
  }
  return { values, span: r.span(from) }
}

function parseAssignments(r: Reader): Assignment[] {
  const assignments: Assignment[] = []
  do {
    const from = r.at
    const names = [r.name('a column')]
    while (r.takeOperator('.')) names.push(r.name('a column'))
    const column: Assignment['column'] = {
      kind: 'column',
      schema: names.length > 2 ? (names[0] ?? null) : null,
      table: names.length > 1 ? (names[names.length - 2] ?? null) : null,
      name: names[names.length - 1] as Name,
      span: r.span(from),
    }
    if (!r.takeOperator('=')) r.expectOperator(':=')
    const value = parseExpression(r)
    assignments.push({ column, value, span: r.span(from) })
  } while (r.takeOperator(','))
  return assignments
}

function parseReturning(r: Reader): Clause<SelectItem> | null {
  const from = r.at
  if (!r.takeWords('RETURNING')) return null
  const items = selectItems(r)
  return { items, span: r.span(from) }
}

export function parseUpdate(r: Reader): Update {
  const from = r.at
  const withClause = parseWith(r)
  r.expectWord('UPDATE')
  let ignore = false
  for (let word = r.takeOneOf(...modifiers); word !== null; word = r.takeOneOf(...modifiers)) ignore ||= word === 'IGNORE'
  const tables = parseTables(r)
  r.expectWord('SET')
  const assignments = parseAssignments(r)
  const where = r.takeWords('WHERE') ? parseExpression(r) : null
  const orderBy = parseOrderBy(r)
  const limit = parseLimit(r)
  return { kind: 'update', ignore, tables, assignments, where, orderBy, limit, with: withClause, span: r.span(from) }
}

export function parseDelete(r: Reader): Delete {
  const from = r.at
  const withClause = parseWith(r)
  r.expectWord('DELETE')
  let ignore = false
  for (let word = r.takeOneOf(...modifiers); word !== null; word = r.takeOneOf(...modifiers)) ignore ||= word === 'IGNORE'
  let targets: TableName[] | null = null
  let tables
  if (r.takeWords('FROM')) {
    const start = r.at
    const listed = deleteTargets(r)
    if (r.takeWords('USING')) {
      targets = listed
      tables = parseTables(r)
    } else {
      r.at = start
      tables = parseTables(r)
    }
  } else {
    targets = deleteTargets(r)
    r.expectWord('FROM')
    tables = parseTables(r)
  }
  const where = r.takeWords('WHERE') ? parseExpression(r) : null
  const orderBy = parseOrderBy(r)
  const limit = parseLimit(r)
  const returning = parseReturning(r)
  return { kind: 'delete', ignore, targets, from: tables, where, orderBy, limit, returning, with: withClause, span: r.span(from) }
}

/** `a, b.*, db.c` */
function deleteTargets(r: Reader): TableName[] {
  const targets: TableName[] = []
  do {
    const from = r.at
    const names = [r.name('a table')]
    while (r.takeOperator('.')) if (!r.takeOperator('*')) names.push(r.name('a table'))
    targets.push({ schema: names.length > 1 ? (names[0] ?? null) : null, name: names[names.length - 1] as Name, span: r.span(from) })
  } while (r.takeOperator(','))
  return targets
}
