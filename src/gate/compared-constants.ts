/**
 * Constants of a statement that are compared and nothing else (`n = 'a'`, `'A' < 2`, `n IN ('a', 'b')`). A server converts such a one once, whatever rows there are, and warns of it
 * once: each shard would do the same. Of one that stands in an expression or in BETWEEN, of a list with numbers in it, and on MySQL of a parameter, servers warn for each row.
 */
import type { Expr } from '../sql/ast.ts'
import { Lexer, type LexerMode } from '../sql/lexer.ts'
import { literalValue } from '../sql/literal.ts'
import { parse } from '../sql/parse.ts'
import type { Value } from '../sql/value.ts'
import { walkStatement } from '../sql/walk.ts'
import { valueOf } from './parameters.ts'
import { bare } from './plan/slots.ts'
import type { Part, ReadOptions } from './scatter-parts.ts'
import type { SessionSettings } from './settings.ts'
import { modeOf } from './statement-text.ts'

const lexer = new Lexer()
const comparisons = new Set(['=', '<', '>', '<=', '>=', '<>', '!=', '<=>'])

/**
 * @param parameter its value, by its number in the text
 * @returns how often each stands there, as servers print it; empty when the text is not read
 */
export function comparedConstants(text: Buffer, mode: LexerMode, parameter: (index: number) => Value | null): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  const compared = new Set<Expr>()
  const elsewhere = new Set<string>()
  try {
    const lexed = lexer.lex(text, 0, mode)
    const valueIn = (expr: Expr): Value | null =>
      expr.kind === 'literal' ? literalValue(lexed, expr.span) : expr.kind === 'parameter' ? parameter(expr.index) : null
    walkStatement(parse(lexed), {
      expr(node) {
        if (node.kind === 'binary' && comparisons.has(node.operator)) for (const side of [node.left, node.right]) compared.add(bare(side))
        if (node.kind === 'in' && node.list.every((item) => valueIn(bare(item))?.type === 'text'))
          for (const item of node.list) compared.add(bare(item))
        const value = valueIn(node)
        const shown = value === null ? null : printedValue(value)
        if (shown === null) return
        if (compared.has(node)) counts.set(shown, (counts.get(shown) ?? 0) + 1)
        else elsewhere.add(shown)
      },
    })
  } catch {
    return new Map()
  }
  for (const shown of elsewhere) counts.delete(shown)
  return counts
}

/** Of a text that all shards got. */
export function comparedIn(part: Part | undefined, params: ReadOptions['params'], settings: SessionSettings): ReadonlyMap<string, number> {
  if (part === undefined) return new Map()
  return comparedConstants(part.text, modeOf(settings), (index) => {
    const param = params[part.parameters?.[index] ?? index]
    return param === undefined ? null : valueOf(param)
  })
}

function printedValue(value: Value): string | null {
  switch (value.type) {
    case 'text':
      return value.bytes.toString('utf8')
    case 'integer':
      return String(value.value)
    case 'decimal':
      return value.text
    case 'binary':
      return value.bytes
        .toString('latin1')
        .replace(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
    default:
      return null
  }
}
