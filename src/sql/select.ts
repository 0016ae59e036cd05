/** SELECT, UNION, WITH and table references. */
import type { Clause, Expr, Limit, Name, OrderItem, Query, Select, SelectItem, Span, TableRef, WindowSpec, With } from './ast.ts'
import { orderItems, parseExpression, windowSpec } from './expression.ts'
import { Kind } from './lexer.ts'
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

/** A whole query: WITH, SELECTs joined by UNION, in parentheses or not. `first`: its first part has been read, in parentheses that began at `from`. */
export const parseQuery: Reader['query'] = (r, first) => {
  return r.deeper(() => {
    const from = first?.from ?? r.at
    const withClause = first === undefined ? parseWith(r) : null
    const parts = [first?.query ?? queryPart(r)]
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
  if (kind === Kind.QuotedName || (kind === Kind.Word && (explicit || canBeAlias(r.word()) || isOffsetName(r)))) return r.name('an alias')
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

/** MySQL has OFFSET for a name too; behind it stands a number where it is none. */
function isOffsetName(r: Reader): boolean {
  return r.isWord('OFFSET') && r.kind(1) !== Kind.Integer && r.kind(1) !== Kind.Parameter
}

export function parseOrderBy(r: Reader): Clause<OrderItem> | null {
  const from = r.at
  if (!r.takeWords('ORDER', 'BY')) return null
  const items = orderItems(r)
  return { items, span: r.span(from) }
}

export function parseLimit(r: Reader): Limit | null {
  const from = r.at
  if (r.isWord('OFFSET') || r.isWord('FETCH')) r.refuse('OFFSET … FETCH')
  if (!r.takeWords('LIMIT')) return null
  if (r.isWord('ROWS')) r.refuse('LIMIT ROWS EXAMINED')
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

type Condition = { readonly on: Expr | null; readonly using: Name[]; readonly to: number }
/** `last`: the factor that was read last before its condition was. */
type Joined = Pick<TableRef & { kind: 'join' }, 'join' | 'natural'> & { condition: Condition | null; last: number }
/** With the parentheses around it. */
type Factor = { readonly table: TableRef; readonly span: Span }

/**
 * From the left: `a JOIN b ON x JOIN c ON y` joins c to what stands before it. In `a JOIN b JOIN c ON x ON y` the second condition is of the nearest join that has none yet: a JOIN (b JOIN c ON x) ON y.
 * Where a join finds none at all it is from the left as well (MySQL's grammar moves it there).
 */
function joined(r: Reader): TableRef {
  const around = r.grown
  r.grown = 0
  const ref = joinsOf(r)
  r.grown = Math.max(around, r.grown)
  return ref
}

function joinsOf(r: Reader): TableRef {
  const factors = [factor(r)]
  // By the factor to their right.
  const joins: Joined[] = []
  const waiting: Joined[] = []
  for (;;) {
    const words = joinWords(r)
    if (words !== null) {
      const join: Joined = { ...words, condition: null, last: factors.length }
      factors.push(factor(r))
      joins[join.last] = join
      if (!join.natural) waiting.push(join)
      r.grow()
      continue
    }
    const condition = waiting.length > 0 ? joinCondition(r) : null
    if (condition === null) return nested(factors, joins, 0, factors.length - 1)
    Object.assign(waiting.pop() as Joined, { condition, last: factors.length - 1 })
  }
}

function factor(r: Reader): Factor {
  const from = r.at
  const table = r.deeper(() => tableFactor(r))
  return { table, span: r.span(from) }
}

/** Of the factors `first` to `last`. */
function nested(factors: readonly Factor[], joins: readonly Joined[], first: number, last: number): TableRef {
  const { table, span } = factors[first] as Factor
  let left = table
  for (let at = first + 1; at <= last;) {
    const { join, natural, condition, last: end } = joins[at] as Joined
    const right = nested(factors, joins, at, end)
    const { on, using, to } = condition ?? { on: null, using: [], to: (factors[at] as Factor).span.to }
    left = { kind: 'join', join, natural, left, right, on, using, span: { from: span.from, to } }
    at = end + 1
  }
  return left
}

function joinWords(r: Reader): Pick<Joined, 'join' | 'natural'> | null {
  const natural = r.takeWords('NATURAL')
  if (r.takeOneOf('JOIN', 'STRAIGHT_JOIN') !== null || r.takeWords('INNER', 'JOIN') || r.takeWords('CROSS', 'JOIN'))
    return { join: 'inner', natural }
  if (r.takeWords('LEFT', 'JOIN') || r.takeWords('LEFT', 'OUTER', 'JOIN')) return { join: 'left', natural }
  if (r.takeWords('RIGHT', 'JOIN') || r.takeWords('RIGHT', 'OUTER', 'JOIN')) return { join: 'right', natural }
  return natural ? r.fail('JOIN') : null
}

function joinCondition(r: Reader): Condition | null {
  if (r.takeWords('ON')) return { on: parseExpression(r), using: [], to: r.at }
  if (!r.isWord('USING')) return null
  r.at++
  r.expectOperator('(')
  const using = nameList(r)
  r.expectOperator(')')
  return { on: null, using, to: r.at }
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
    for (let i = 1; i < tables.length; i++) r.grow()
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
  // ODBC's outer join
  if (r.isOperator('{') && r.isWord('OJ', 1)) {
    r.at += 2
    const inner = joined(r)
    r.expectOperator('}')
    return inner
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
