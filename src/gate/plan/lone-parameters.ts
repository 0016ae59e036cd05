/**
 * Expressions in which other parameters of a statement matter. MySQL takes a parameter for what stands around it, and all for what their values are as soon as one does not fit where it stands: `? / ?` of 5 and 3 is
 * 1.6666666666666667, beside `n > ?` with '0.5' it is 1.6667. So it is of parameters alone, and where it shows how many digits one is taken to have: in what is divided, and in what is made text. Beside a column, or a literal
 * without a point, a number comes to the same (*tried* on 9.7, prepared-types.db.test.ts).
 */
import type { Expr, Statement } from '../../sql/ast.ts'
import { Kind } from '../../sql/lexer.ts'
import { walkExpr, walkStatement } from '../../sql/walk.ts'
import { bare } from './slots.ts'

export function computesOfParametersAlone(statement: Statement): boolean {
  let found = false
  walkStatement(statement, {
    expr(node) {
      found ||=
        isDivided(node) ||
        isShown(node) ||
        (computes(node) && ofParametersAlone(node)) ||
        (node.kind === 'call' && doubles.has(node.name) && takesBare(node.args))
      return !found
    },
  })
  return found
}
const casts = new Set(['CAST', 'CONVERT'])
const doubles = new Set(['ABS', 'CEIL', 'CEILING', 'FLOOR', 'ROUND', 'TRUNCATE', 'MOD', 'SUM', 'AVG'])
/** Of what these are computed, only the number matters. */
const numbers = new Set([
  ...doubles,
  'COALESCE',
  'IFNULL',
  'IF',
  'NULLIF',
  'GREATEST',
  'LEAST',
  'MIN',
  'MAX',
  'COUNT',
  'POW',
  'POWER',
  'SQRT',
  'SIGN',
])

/** Something else than parameters as they are. */
export function computesOfParameters(values: readonly Expr[]): boolean {
  return values.some((value) => {
    let found = false
    if (bare(value).kind === 'parameter') return false
    walkExpr(value, {
      expr(node) {
        found ||= node.kind === 'parameter'
        return !found
      },
    })
    return found
  })
}

function hasParameter(value: Expr): boolean {
  return leaves(value).includes('parameter')
}

/** Digits as text: how many there are shows. */
function isShown(node: Expr): boolean {
  if (node.kind === 'other' && node.construct === '||')
    return node.children.some((one) => bare(one).kind !== 'parameter' && hasParameter(one))
  return (
    node.kind === 'call' &&
    !numbers.has(node.name) &&
    !casts.has(node.name) &&
    node.args.some((arg) => bare(arg).kind !== 'parameter' && hasParameter(arg))
  )
}

function computes({ kind }: Expr): boolean {
  return kind === 'binary' || kind === 'unary'
}

/** How many digits come of it depends on how many it is taken to have. */
function isDivided(node: Expr): boolean {
  if (node.kind === 'call' && node.name === 'AVG') return node.args.some(hasParameter)
  if (node.kind !== 'binary' || node.operator !== '/' || !hasParameter(node.left)) return false
  const by = bare(node.right)
  return bare(node.left).kind !== 'parameter' || by.kind !== 'literal' || by.literal !== Kind.Integer
}

function takesBare(args: readonly Expr[]): boolean {
  return args.some((arg) => bare(arg).kind === 'parameter')
}

function ofParametersAlone(node: Expr): boolean {
  const kinds = leaves(node)
  return kinds.length > 0 && kinds.every((kind) => kind === 'parameter')
}

/** The kinds of what an expression is made of in the end. */
function leaves(expr: Expr): Expr['kind'][] {
  const kinds: Expr['kind'][] = []
  walkExpr(expr, {
    expr(node) {
      const isCast = node.kind === 'call' && casts.has(node.name)
      if (isCast) kinds.push('call')
      // Beside such a literal a parameter is a DECIMAL of many digits, or an integer.
      else if (ends.has(node.kind) && !(node.kind === 'literal' && node.literal === Kind.Decimal)) kinds.push(node.kind)
      return !isCast
    },
  })
  return kinds
}
const ends: ReadonlySet<Expr['kind']> = new Set([
  'literal',
  'constant',
  'parameter',
  'column',
  'star',
  'user-variable',
  'system-variable',
  'subquery',
  'exists',
  'default',
])
