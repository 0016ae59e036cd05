/** SELECT, UNION, WITH and table references. */
import type { Clause, Expr, Limit, Name, OrderItem, Query, Select, SelectItem, Span, TableRef, WindowSpec, With } from './ast.ts'
import { orderItems, parseExpression, windowSpec } from './expression.ts'
import { Kind } from './lexer.ts'
import { sqlErrors } from './errors.ts'
import { unescape } from './literal.ts'
import { depthMax, type Reader } from './reader.ts'
import { canBeAlias } from './words.ts'

const options = [
  'ALL',
  'DISTINCT',
  'DISTINCTROW',
  'HIGH_PRIORITY',
  'STRAIGHT_JOIN',
  'SQL_SMALL_RESULT',
  'SQL_BIG_RESULT',
  'SQL_BUFFER_RESULT',
  'SQL_NO_CACHE',
  'SQL_CACHE',
  'SQL_CALC_FOUND_ROWS',
]

/** A whole query: WITH, SELECTs joined by UNION, in parentheses or not. */
export function parseQuery(r: Reader): Query {
  return r.deeper(() => {
    const from = r.at
    const withClause = parseWith(r)
    const parts = [queryPart(r)]
    let united = false
    while (r.takeOneOf('UNION', 'EXCEPT', 'INTERSECT') !== null) {
      united = true
      r.takeOneOf('ALL', 'DISTINCT')
      parts.push(queryPart(r))
    }
    const only = parts[0] as Query
    if (!united) {
      // (SELECT …) ORDER BY … LIMIT …: what stands behind the parenthesis is one more level.
      if (r.isWord('ORDER') || r.isWord('LIMIT'))
        return { kind: 'union', parts, orderBy: parseOrderBy(r), limit: parseLimit(r), with: withClause, span: r.span(from) }
      if (withClause === null) return only
      // WITH … (WITH … SELECT …): two levels, each with queries of its own.
      if (only.with !== null) return { kind: 'union', parts, orderBy: null, limit: null, with: withClause, span: r.span(from) }
      return { ...only, with: withClause, span: r.span(from) }
    }
    // The last SELECT has read what belongs to the union as a whole.
    const last = parts[parts.length - 1] as Query
    const orderBy = parseOrderBy(r) ?? (last.kind === 'select' ? last.orderBy : null)
    const limit = parseLimit(r) ?? (last.kind === 'select' ? last.limit : null)
    return { kind: 'union', parts, orderBy, limit, with: withClause, span: r.span(from) }
  })
}

function queryPart(r: Reader): Query {
  if (r.takeOperator('(')) {
    const inner = parseQuery(r)
    r.expectOperator(')')
    return inner
  }
  return parseSelect(r)
}

export function parseWith(r: Reader): With | null {
  const from = r.at
  if (!r.takeWords('WITH')) return null
  const recursive = r.takeWords('RECURSIVE')
  const tables: { name: Name; query: Query }[] = []
  do {
    const name = r.name('a name for the query')
    if (r.takeOperator('(')) r.skipParentheses()
    r.expectWord('AS')
    r.expectOperator('(')
    const query = parseQuery(r)
    r.expectOperator(')')
    tables.push({ name, query })
  } while (r.takeOperator(','))
  return { recursive, tables, span: r.span(from) }
}

function parseSelect(r: Reader): Select {
  const from = r.at
  r.expectWord('SELECT')
  const given: string[] = []
  for (let option = r.takeOneOf(...options); option !== null; option = r.takeOneOf(...options)) given.push(option)
  const itemsFrom = r.at
  const items = selectItems(r)
  const itemsSpan = r.span(itemsFrom)
  let into = parseInto(r)
  let tables: TableRef[] = []
  if (r.takeWords('FROM') && !r.takeWords('DUAL')) tables = parseTables(r)
  const where = r.takeWords('WHERE') ? parseExpression(r) : null
  const groupFrom = r.at
  let groupBy: Clause<OrderItem> | null = null
  let rollup = false
  if (r.takeWords('GROUP', 'BY')) {
    const grouped = orderItems(r)
    rollup = r.takeWords('WITH', 'ROLLUP')
    groupBy = { items: grouped, span: r.span(groupFrom) }
  }
  const havingFrom = r.at
  const having = r.takeWords('HAVING') ? { expr: parseExpression(r), span: { from: havingFrom, to: r.at } } : null
  let window: Span | null = null
  const windows: WindowSpec[] = []
  if (r.isWord('WINDOW')) {
    const windowFrom = r.at++
    do {
      r.name('a window')
      r.expectWord('AS')
      r.expectOperator('(')
      windows.push(windowSpec(r))
    } while (r.takeOperator(','))
    window = r.span(windowFrom)
  }
  const orderBy = parseOrderBy(r)
  const limit = parseLimit(r)
  if (r.isWord('PROCEDURE')) r.refuse('PROCEDURE')
  into ??= parseInto(r)
  const lock = parseLock(r)
  into ??= parseInto(r)
  return {
    kind: 'select',
    span: r.span(from),
    distinct: given.includes('DISTINCT') || given.includes('DISTINCTROW'),
    options: given,
    items,
    itemsSpan,
    from: tables,
    where,
    groupBy,
    rollup,
    having,
    window,
    windows,
    orderBy,
    limit,
    lock,
    into,
    with: null,
  }
}

/** Of SELECT, or of RETURNING. */
export function selectItems(r: Reader): SelectItem[] {
  const items: SelectItem[] = []
  do {
    const from = r.at
    const expr = parseExpression(r)
    const alias = parseAlias(r, true)
    items.push({ expr, alias: alias && { ...alias, text: alias.text.replace(notShownBefore, '') }, span: r.span(from) })
  } while (r.takeOperator(','))
  return items
}

/** Servers leave these out where a label begins with them. */
const notShownBefore = /^[\x00-\x20\x7f]+/

function parseAlias(r: Reader, strings: boolean): Name | null {
  const explicit = r.takeWords('AS')
  const kind = r.kind()
  if (kind === Kind.QuotedName || (kind === Kind.Word && (explicit || canBeAlias(r.word())))) return r.name('an alias')
  if (strings && kind === Kind.String) {
    const from = r.at
    const { tokens, bytes, mode } = r.lexed
    const text = unescape(bytes, tokens[from * 3 + 1] as number, tokens[from * 3 + 2] as number, mode).toString('utf8')
    r.at++
    return { text, span: r.span(from) }
  }
  if (explicit) r.fail('an alias')
  return null
}

export function parseOrderBy(r: Reader): Clause<OrderItem> | null {
  const from = r.at
  if (!r.takeWords('ORDER', 'BY')) return null
  const items = orderItems(r)
  return { items, span: r.span(from) }
}

export function parseLimit(r: Reader): Limit | null {
  const from = r.at
  if (!r.takeWords('LIMIT')) return null
  const first = limitValue(r)
  if (r.takeOperator(',')) return { offset: first, count: limitValue(r), span: r.span(from) }
  if (r.takeWords('OFFSET')) return { count: first, offset: limitValue(r), span: r.span(from) }
  if (r.isWord('ROWS')) r.refuse('LIMIT ROWS EXAMINED')
  return { count: first, offset: null, span: r.span(from) }
}

function limitValue(r: Reader): Expr {
  // Only within a stored program may it be a name, and those are not read here.
  if (r.kind() !== Kind.Integer && r.kind() !== Kind.Parameter) r.fail('a whole number')
  return parseExpression(r)
}

function parseInto(r: Reader): Span | null {
  const from = r.at
  if (!r.takeWords('INTO')) return null
  if (r.takeOneOf('OUTFILE', 'DUMPFILE') !== null) {
    // Its options (FIELDS …, LINES …) end where the next clause begins.
    while (!r.atEnd() && !r.isWord('FROM') && !r.isWord('FOR') && !r.isWord('LOCK') && !r.isOperator(')')) r.at++
  } else {
    do {
      if (r.kind() !== Kind.UserVariable && !r.isName()) r.fail('a variable')
      r.at++
    } while (r.takeOperator(','))
  }
  return r.span(from)
}

function parseLock(r: Reader): Select['lock'] {
  let start = -1
  let strongest: 'update' | 'share' = 'share'
  let skips = false
  for (;;) {
    const from = r.at
    let kind: 'update' | 'share'
    if (r.takeWords('FOR', 'UPDATE')) kind = 'update'
    else if (r.takeWords('FOR', 'SHARE') || r.takeWords('LOCK', 'IN', 'SHARE', 'MODE')) kind = 'share'
    else return start < 0 ? null : { kind: strongest, skips, span: r.span(start) }
    if (r.takeWords('OF')) {
      do r.tableName()
      while (r.takeOperator(','))
    }
    if (r.takeWords('SKIP', 'LOCKED')) skips = true
    else if (!r.takeWords('NOWAIT') && r.takeWords('WAIT')) r.at++
    if (start < 0) start = from
    if (kind === 'update') strongest = 'update'
  }
}

export function parseTables(r: Reader): TableRef[] {
  const tables = [joined(r)]
  while (r.takeOperator(',')) tables.push(joined(r))
  return tables
}

function joined(r: Reader): TableRef {
  const from = r.at
  let left = r.deeper(() => tableFactor(r))
  let joins = 0
  for (;;) {
    const natural = r.takeWords('NATURAL')
    let join: 'inner' | 'left' | 'right'
    if (r.takeOneOf('JOIN', 'STRAIGHT_JOIN') !== null || r.takeWords('INNER', 'JOIN') || r.takeWords('CROSS', 'JOIN')) join = 'inner'
    else if (r.takeWords('LEFT', 'JOIN') || r.takeWords('LEFT', 'OUTER', 'JOIN')) join = 'left'
    else if (r.takeWords('RIGHT', 'JOIN') || r.takeWords('RIGHT', 'OUTER', 'JOIN')) join = 'right'
    else if (natural) return r.fail('JOIN')
    else return left
    // `a JOIN b JOIN c ON … ON …` nests to the right; joining left to right reads all but that rare form.
    const right = r.deeper(() => tableFactor(r))
    let on: Expr | null = null
    let using: Name[] = []
    if (r.takeWords('ON')) on = parseExpression(r)
    else if (r.takeWords('USING')) {
      r.expectOperator('(')
      using = nameList(r)
      r.expectOperator(')')
    }
    // Each join nests the one before, and who walks the tree recurs.
    if (++joins > depthMax) throw sqlErrors.tooDeep({ limit: depthMax })
    left = { kind: 'join', join, natural, left, right, on, using, span: r.span(from) }
  }
}

function nameList(r: Reader): Name[] {
  const names = [r.name('a column')]
  while (r.takeOperator(',')) names.push(r.name('a column'))
  return names
}

function tableFactor(r: Reader): TableRef {
  const from = r.at
  const lateral = r.takeWords('LATERAL')
  if (r.takeOperator('(')) {
    let ahead = 0
    while (ahead <= depthMax && r.isOperator('(', ahead)) ahead++
    if (r.isWord('SELECT', ahead) || r.isWord('WITH', ahead)) {
      const start = r.at
      const query = parseQuery(r)
      if (r.takeOperator(')')) {
        const alias = parseAlias(r, false)
        if (alias !== null && r.takeOperator('(')) r.skipParentheses()
        return { kind: 'derived', query, alias, lateral, span: r.span(from) }
      }
      r.at = start
      r.refuse('a parenthesised join that begins with a subquery')
    }
    const tables = parseTables(r)
    r.expectOperator(')')
    if (tables.length > depthMax) throw sqlErrors.tooDeep({ limit: depthMax })
    return tables.reduce((left, right) => ({
      kind: 'join',
      join: 'inner',
      natural: false,
      left,
      right,
      on: null,
      using: [],
      span: r.span(from),
    }))
  }
  if (r.kind() === Kind.Word && r.isOperator('(', 1)) {
    const name = r.word()
    if (name !== 'JSON_TABLE') r.refuse(`${name}() as a table`)
    r.at += 2
    const args = [parseExpression(r)]
    // Its path and columns, which are constants.
    r.skipParentheses()
    const alias = parseAlias(r, false)
    return { kind: 'function', name, args, alias, span: r.span(from) }
  }
  const table = r.tableName()
  if (r.isWord('PARTITION') && r.isOperator('(', 1)) {
    r.at += 2
    r.skipParentheses()
  }
  if (r.takeWords('FOR', 'SYSTEM_TIME')) r.refuse('FOR SYSTEM_TIME')
  const alias = parseAlias(r, false)
  while ((r.isWord('USE') || r.isWord('FORCE') || r.isWord('IGNORE')) && (r.isWord('INDEX', 1) || r.isWord('KEY', 1))) {
    r.at += 2
    if (r.takeWords('FOR')) {
      if (!r.takeWords('JOIN') && !r.takeWords('ORDER', 'BY')) r.takeWords('GROUP', 'BY')
    }
    r.expectOperator('(')
    r.skipParentheses()
  }
  return { kind: 'table', table, alias, span: r.span(from) }
}
