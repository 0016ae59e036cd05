// long: one grammar, whose functions call each other
/** Expressions, by precedence climbing over MySQL's own table of operators. */
import type { Expr, Name, OrderItem, WindowSpec } from './ast.ts'
import { Kind } from './lexer.ts'
import { bareFunctions, bitPower, comparePower, concatPower, introducers, notPower, powers, unitFunctions } from './operators.ts'
import { depthMax, nameText, type Reader, variableName } from './reader.ts'
import { isReserved } from './words.ts'

export function parseExpression(r: Reader): Expr {
  return r.deeper(() => binary(r, 1))
}

function operatorAt(r: Reader): string {
  return r.kind() === Kind.Operator ? r.text() : r.word()
}

/** `first`: what was read of it already. */
function binary(r: Reader, powerMin: number, first: Expr | null = null): Expr {
  const around = r.grown
  r.grown = first === null ? 0 : around
  const expr = chain(r, powerMin, first)
  r.grown = Math.max(around, r.grown)
  return expr
}

function chain(r: Reader, powerMin: number, first: Expr | null): Expr {
  const from = first?.span.from ?? r.at
  let left: Expr
  if (first !== null) left = first
  else if (powerMin <= notPower && r.isWord('NOT')) {
    r.at++
    left = { kind: 'unary', operator: 'NOT', operand: r.deeper(() => binary(r, notPower)), span: r.span(from) }
  } else left = unary(r)

  for (;;) {
    const operator = operatorAt(r)
    const joins = operator === '||' && r.lexed.mode.pipesAsConcat === true
    const power = joins ? concatPower : Object.hasOwn(powers, operator) ? (powers[operator] as number) : 0
    if (power < powerMin || power === 0) return left
    r.grow()
    if (power === comparePower) {
      const compared = comparison(r, left, from)
      if (compared === null) return left
      left = compared
      continue
    }
    r.at++
    const right = r.deeper(() => binary(r, power + 1))
    if (joins) left = { kind: 'other', construct: '||', children: [left, right], span: r.span(from) }
    else if (operator === 'AND' || operator === '&&' || operator === 'OR') {
      // Flat lists: a thousand ORs must not become a thousand levels.
      const items = [left, right]
      while (operatorAt(r) === operator) {
        r.at++
        items.push(r.deeper(() => binary(r, power + 1)))
      }
      left = { kind: operator === 'OR' ? 'or' : 'and', items, span: r.span(from) }
    } else left = { kind: 'binary', operator, left, right, span: r.span(from) }
  }
}

/** What follows a value at the level of comparisons; null when the word at hand is no operator here. */
function comparison(r: Reader, left: Expr, from: number): Expr | null {
  const start = r.at
  if (r.kind() === Kind.Operator) {
    const operator = r.text()
    r.at++
    const quantifier = r.takeOneOf('ANY', 'SOME', 'ALL')
    const right = r.deeper(() => binary(r, bitPower))
    if (quantifier !== null) return { kind: 'other', construct: quantifier, children: [left, right], span: r.span(from) }
    return { kind: 'binary', operator: operator === '!=' ? '<>' : operator, left, right, span: r.span(from) }
  }
  if (r.takeWords('IS')) {
    const not = r.takeWords('NOT')
    const what = r.takeOneOf('NULL', 'TRUE', 'FALSE', 'UNKNOWN')
    if (what === null) r.refuse('IS ' + r.word())
    return { kind: 'is', not, operand: left, what: what.toLowerCase() as 'null', span: r.span(from) }
  }
  const not = r.takeWords('NOT')
  const word = operatorWord(r)
  switch (word) {
    case 'IN': {
      if (!r.isOperator('(')) {
        // MATCH … AGAINST (x IN BOOLEAN MODE), POSITION(a IN b): not an operator here.
        r.at = start
        return null
      }
      r.at++
      const list = queryOrValues(r)
      r.expectOperator(')')
      return { kind: 'in', not, operand: left, list, span: r.span(from) }
    }
    case 'BETWEEN': {
      const low = r.deeper(() => binary(r, bitPower))
      r.expectWord('AND')
      const high = r.deeper(() => binary(r, bitPower))
      return { kind: 'other', construct: not ? 'NOT BETWEEN' : 'BETWEEN', children: [left, low, high], span: r.span(from) }
    }
    case 'LIKE': {
      const children = [left, r.deeper(() => binary(r, bitPower))]
      if (r.takeWords('ESCAPE')) children.push(unary(r))
      return { kind: 'other', construct: 'LIKE', children, span: r.span(from) }
    }
    case 'REGEXP':
    case 'RLIKE':
      return { kind: 'other', construct: 'REGEXP', children: [left, r.deeper(() => binary(r, bitPower))], span: r.span(from) }
    case 'SOUNDS':
      r.expectWord('LIKE')
      return { kind: 'other', construct: 'SOUNDS LIKE', children: [left, r.deeper(() => binary(r, bitPower))], span: r.span(from) }
    case 'MEMBER': {
      r.takeWords('OF')
      r.expectOperator('(')
      const inner = parseExpression(r)
      r.expectOperator(')')
      return { kind: 'other', construct: 'MEMBER OF', children: [left, inner], span: r.span(from) }
    }
    default:
      r.at = start
      return null
  }
}

/** SOUNDS and MEMBER are names where no more of the operator follows. */
function operatorWord(r: Reader): string | null {
  if (r.isWord('SOUNDS') && !r.isWord('LIKE', 1)) return null
  if (r.isWord('MEMBER') && !r.isWord('OF', 1) && !r.isOperator('(', 1)) return null
  return r.takeOneOf('IN', 'LIKE', 'BETWEEN', 'REGEXP', 'RLIKE', 'SOUNDS', 'MEMBER')
}

/**
 * After `(`: one query, or values, which may begin with a query in parentheses: `(SELECT …) UNION …` is a query, `(SELECT …) + 1, 2` are values. Nothing is
 * read twice, which nested ones would make 2^n times.
 */
function queryOrValues(r: Reader): Expr[] {
  const from = r.at
  if (r.isWord('SELECT') || r.isWord('WITH')) return [subquery(r)]
  if (r.isWord('TABLE')) r.refuse('TABLE as a query')
  if (!startsQuery(r)) return expressionList(r)
  r.at++
  const inner = r.deeper(() => parenthesised(r, from))
  const first = withSuffixes(r, from, inner)
  if (first.kind === 'subquery') {
    if (r.isOperator(')')) return [first]
    if (queryGoesOn.has(r.word())) return [{ kind: 'subquery', query: r.query(r, { query: first.query, from }), span: r.span(from) }]
  }
  const items = [r.deeper(() => binary(r, 1, first))]
  while (r.takeOperator(',')) items.push(parseExpression(r))
  return items
}

const queryGoesOn = new Set(['UNION', 'EXCEPT', 'INTERSECT', 'ORDER', 'LIMIT'])

function unary(r: Reader): Expr {
  const from = r.at
  if (r.kind() === Kind.Operator) {
    const operator = r.text()
    if (operator === '-' || operator === '+' || operator === '~' || operator === '!') {
      r.at++
      return { kind: 'unary', operator, operand: r.deeper(() => unary(r)), span: r.span(from) }
    }
  } else if (r.isWord('BINARY') && !r.isOperator('(', 1) && !r.isOperator('.', 1)) {
    r.at++
    return { kind: 'other', construct: 'BINARY', children: [r.deeper(() => unary(r))], span: r.span(from) }
  }
  return withSuffixes(
    r,
    from,
    r.deeper(() => primary(r)),
  )
}

function withSuffixes(r: Reader, from: number, first: Expr): Expr {
  let value = first
  for (;;) {
    if (r.takeWords('COLLATE')) {
      r.name('a collation')
      r.grow()
      value = { kind: 'other', construct: 'COLLATE', children: [value], span: r.span(from) }
    } else if (r.isOperator('->') || r.isOperator('->>')) {
      r.at += 2
      r.grow()
      value = { kind: 'other', construct: '->', children: [value], span: r.span(from) }
    } else return value
  }
}

function primary(r: Reader): Expr {
  const from = r.at
  const kind = r.kind()
  switch (kind) {
    case Kind.Integer:
    case Kind.Decimal:
    case Kind.Float:
    case Kind.Hex:
    case Kind.Bit:
      r.at++
      return { kind: 'literal', literal: kind, introducer: null, span: r.span(from) }
    case Kind.String:
    case Kind.NationalString:
      while (r.kind() === Kind.String || r.at === from) r.at++
      return { kind: 'literal', literal: kind, introducer: null, span: r.span(from) }
    case Kind.Parameter:
      r.at++
      return { kind: 'parameter', index: r.parameter++, span: r.span(from) }
    case Kind.UserVariable: {
      const name = variableName(r.text().slice(1))
      r.at++
      if (!r.takeOperator(':=')) return { kind: 'user-variable', name, span: r.span(from) }
      return { kind: 'other', construct: ':=', children: [parseExpression(r)], span: r.span(from) }
    }
    case Kind.SystemVariable:
      return systemVariable(r)
    case Kind.Operator:
      if (r.takeOperator('(')) return parenthesised(r, from)
      if (r.takeOperator('*')) return { kind: 'star', schema: null, table: null, span: r.span(from) }
      if (r.takeOperator('{')) {
        // ODBC escapes {d '…'}, {fn f(x)}
        r.name()
        const inner = parseExpression(r)
        r.expectOperator('}')
        return { kind: 'other', construct: '{', children: [inner], span: r.span(from) }
      }
      return r.fail('an expression')
    case Kind.QuotedName:
      return nameOrCall(r)
    case Kind.Word:
      return wordExpression(r)
    default:
      return r.fail('an expression')
  }
}

function parenthesised(r: Reader, from: number): Expr {
  const items = queryOrValues(r)
  r.expectOperator(')')
  const only = items.length === 1 ? items[0] : undefined
  if (only === undefined) return { kind: 'row', items, span: r.span(from) }
  if (only.kind === 'subquery') return { ...only, span: r.span(from) }
  return { kind: 'group', inner: only, span: r.span(from) }
}

function startsQuery(r: Reader): boolean {
  let ahead = 0
  while (ahead <= depthMax && r.isOperator('(', ahead)) ahead++
  return ahead > 0 && r.isWord('SELECT', ahead)
}

function subquery(r: Reader): Expr {
  const from = r.at
  const query = r.query(r)
  return { kind: 'subquery', query, span: r.span(from) }
}

function systemVariable(r: Reader): Expr {
  const from = r.at
  const parts = r.text().slice(2).split('.')
  r.at++
  const scopeWord = (parts[0] ?? '').toLowerCase()
  const scoped = parts.length > 1 && ['session', 'local', 'global', 'persist', 'persist_only'].includes(scopeWord)
  const name = nameText((scoped ? parts.slice(1) : parts).join('.'))
    .replaceAll('`', '')
    .toLowerCase()
  const scope = !scoped ? 'default' : scopeWord === 'global' || scopeWord.startsWith('persist') ? 'global' : 'session'
  return { kind: 'system-variable', scope, name, span: r.span(from) }
}

function wordExpression(r: Reader): Expr {
  const from = r.at
  const word = r.word()
  switch (word) {
    case 'NULL':
    case 'TRUE':
    case 'FALSE':
      r.at++
      return { kind: 'constant', value: word.toLowerCase() as 'null', span: r.span(from) }
    case 'EXISTS': {
      r.at++
      r.expectOperator('(')
      const query = r.query(r)
      r.expectOperator(')')
      return { kind: 'exists', query, span: r.span(from) }
    }
    case 'CASE':
      return caseExpression(r)
    case 'DEFAULT':
      r.at++
      if (r.takeOperator('(')) {
        const column = parseExpression(r)
        r.expectOperator(')')
        return { kind: 'other', construct: 'DEFAULT()', children: [column], span: r.span(from) }
      }
      return { kind: 'default', span: r.span(from) }
    case 'INTERVAL':
      if (r.isOperator('(', 1) && looksLikeIntervalFunction(r)) break
      r.at++
      {
        const value = parseExpression(r)
        r.name('a unit of time')
        return { kind: 'other', construct: 'INTERVAL', children: [value], span: r.span(from) }
      }
    case 'DATE':
    case 'TIME':
    case 'TIMESTAMP':
      if (r.kind(1) === Kind.String) {
        r.at += 2
        return { kind: 'other', construct: word + ' literal', children: [], span: r.span(from) }
      }
      break
    case 'MATCH':
      if (r.isOperator('(', 1)) return matchAgainst(r)
      break
    case 'ROW':
      if (r.isOperator('(', 1)) {
        r.at += 2
        const items = expressionList(r)
        r.expectOperator(')')
        return { kind: 'row', items, span: r.span(from) }
      }
      break
    default:
      break
  }
  if (introducers.has(word) && (r.kind(1) === Kind.String || r.kind(1) === Kind.Hex || r.kind(1) === Kind.Bit)) {
    const literal = r.kind(1)
    r.at += 2
    if (literal === Kind.String) while (r.kind() === Kind.String) r.at++
    return { kind: 'literal', literal, introducer: word.slice(1).toLowerCase(), span: r.span(from) }
  }
  if (isReserved(word) && !r.isOperator('(', 1)) r.fail('an expression')
  return nameOrCall(r)
}

/** INTERVAL(a, b, …) is a function, INTERVAL (a) DAY is not: what stands behind the parenthesis tells. */
function looksLikeIntervalFunction(r: Reader): boolean {
  const closing = r.closes(1)
  return closing !== null && r.kind(closing + 1) !== Kind.Word
}

function caseExpression(r: Reader): Expr {
  const from = r.at++
  const children: Expr[] = []
  if (!r.isWord('WHEN')) children.push(parseExpression(r))
  while (r.takeWords('WHEN')) {
    children.push(parseExpression(r))
    r.expectWord('THEN')
    children.push(parseExpression(r))
  }
  if (r.takeWords('ELSE')) children.push(parseExpression(r))
  r.expectWord('END')
  return { kind: 'other', construct: 'CASE', children, span: r.span(from) }
}

function matchAgainst(r: Reader): Expr {
  const from = r.at
  r.at += 2
  const children = expressionList(r)
  r.expectOperator(')')
  r.expectWord('AGAINST')
  r.expectOperator('(')
  children.push(binary(r, bitPower))
  // IN BOOLEAN MODE, IN NATURAL LANGUAGE MODE (which is what none means), either of the last two WITH QUERY EXPANSION.
  const mode = r.isOperator(')')
    ? ''
    : r.isWord('BOOLEAN', 1)
      ? ' BOOLEAN'
      : r.isWord('QUERY', 1) || r.isWord('QUERY', 5)
        ? ' EXPANSION'
        : ''
  r.skipParentheses()
  return { kind: 'other', construct: 'MATCH' + mode, children, span: r.span(from) }
}

function nameOrCall(r: Reader): Expr {
  const from = r.at
  const names: Name[] = [r.name()]
  while (names.length < 3 && r.isOperator('.')) {
    r.at++
    if (r.takeOperator('*')) {
      const table = names[names.length - 1] ?? null
      return { kind: 'star', schema: names.length > 1 ? (names[0] ?? null) : null, table, span: r.span(from) }
    }
    names.push(r.name('a column'))
  }
  const last = names[names.length - 1] as Name
  if (r.isOperator('(') && names.length < 3) return call(r, from, names.length === 2 ? (names[0] ?? null) : null, last)
  const bare = last.text.toUpperCase()
  if (names.length === 1 && r.kind(-1) === Kind.Word && bareFunctions.has(bare)) {
    return {
      kind: 'call',
      name: bare,
      schema: null,
      args: [],
      distinct: false,
      window: false,
      over: null,
      extended: false,
      span: r.span(from),
    }
  }
  return {
    kind: 'column',
    schema: names.length === 3 ? (names[0] ?? null) : null,
    table: names.length >= 2 ? (names[names.length - 2] ?? null) : null,
    name: last,
    span: r.span(from),
  }
}

function call(r: Reader, from: number, schema: Name | null, name: Name): Expr {
  const upper = name.text.toUpperCase()
  r.expectOperator('(')
  const args: Expr[] = []
  let extended = false
  const distinct = r.takeWords('DISTINCT')
  if (upper === 'EXTRACT') {
    r.name('a unit of time')
    r.expectWord('FROM')
  } else if (unitFunctions.has(upper)) {
    r.name('a unit of time')
    r.expectOperator(',')
  } else if (upper === 'TRIM' && r.takeOneOf('LEADING', 'TRAILING', 'BOTH') !== null) {
    extended = true
    r.takeWords('FROM')
  } else r.takeWords('ALL')
  while (!r.takeOperator(')')) {
    if (upper === 'POSITION' && args.length === 0) {
      args.push(r.deeper(() => binary(r, bitPower)))
      r.expectWord('IN')
      continue
    }
    args.push(r.isWord('SELECT') ? subquery(r) : parseExpression(r))
    if (r.takeOperator(',') || r.isOperator(')')) continue
    extended = true
    if (r.takeWords('ORDER', 'BY')) for (const item of orderItems(r)) args.push(item.expr)
    if (r.takeWords('SEPARATOR')) args.push(primary(r))
    if (r.takeOneOf('FROM', 'FOR') !== null) continue
    if (r.isOperator(')')) continue
    if (r.takeOneOf('AS', 'USING', 'RETURNING', 'NULL', 'ERROR', 'AT', 'LIMIT') === null) r.fail(', or )')
    r.skipParentheses()
    break
  }
  let window = false
  let over: WindowSpec | null = null
  // PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY x) OVER (…), LAG(x) RESPECT NULLS OVER (…)
  if (r.takeWords('WITHIN', 'GROUP')) {
    extended = true
    r.expectOperator('(')
    if (!r.takeWords('ORDER', 'BY')) r.fail('ORDER BY')
    for (const item of orderItems(r)) args.push(item.expr)
    r.expectOperator(')')
  }
  if (r.takeWords('FROM', 'FIRST') || r.takeWords('RESPECT', 'NULLS')) {
    extended = true
    r.takeWords('RESPECT', 'NULLS')
  }
  if (r.takeWords('OVER')) {
    window = true
    if (r.takeOperator('(')) over = windowSpec(r)
    else r.name('a window')
  }
  return { kind: 'call', name: upper, schema, args, distinct, window, over, extended, span: r.span(from) }
}

/** After `(`, to behind `)`. The frame's bounds are constants: nothing of the tree. */
export function windowSpec(r: Reader): WindowSpec {
  if (!r.isOperator(')') && !['PARTITION', 'ORDER', 'ROWS', 'RANGE', 'GROUPS'].some((word) => r.isWord(word))) r.name('a window')
  const partition = r.takeWords('PARTITION', 'BY') ? expressionList(r) : []
  const order = r.takeWords('ORDER', 'BY') ? orderItems(r).map((item) => item.expr) : []
  r.skipParentheses()
  return { partition, order }
}

export function expressionList(r: Reader): Expr[] {
  const items = [parseExpression(r)]
  while (r.takeOperator(',')) items.push(parseExpression(r))
  return items
}

export function orderItems(r: Reader): OrderItem[] {
  const items: OrderItem[] = []
  do {
    const from = r.at
    const expr = parseExpression(r)
    const direction = r.takeOneOf('ASC', 'DESC')
    items.push({ expr, descending: direction === 'DESC', span: r.span(from) })
  } while (r.takeOperator(','))
  return items
}
