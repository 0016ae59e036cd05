/** What tests of the parser look at. */
import assert from 'node:assert/strict'
import type { Expr, Select, Statement } from '../ast.ts'
import { type Lexed, Lexer } from '../lexer.ts'
import { parse } from '../parse.ts'

const lexer = new Lexer()
export function read(text: string): { lexed: Lexed; statement: Statement } {
  const lexed = lexer.lex(Buffer.from(text))
  return { lexed, statement: parse(lexed) }
}
export function select(text: string): Select {
  const { statement } = read(text)
  assert.ok(statement.kind === 'query' && statement.query.kind === 'select')
  return statement.query
}

/** The tree in brackets: precedence and association show. */
export function shape(expr: Expr): string {
  switch (expr.kind) {
    case 'literal':
    case 'parameter':
      return 'v'
    case 'constant':
      return expr.value
    case 'column':
      return (expr.table ? expr.table.text + '.' : '') + expr.name.text
    case 'and':
    case 'or':
      return `(${expr.items.map(shape).join(` ${expr.kind} `)})`
    case 'binary':
      return `(${shape(expr.left)} ${expr.operator} ${shape(expr.right)})`
    case 'unary':
      return `(${expr.operator} ${shape(expr.operand)})`
    case 'in':
      return `(${shape(expr.operand)} ${expr.not ? 'not ' : ''}in ${expr.list.map(shape).join(' ')})`
    case 'is':
      return `(${shape(expr.operand)} is ${expr.not ? 'not ' : ''}${expr.what})`
    case 'group':
      return shape(expr.inner)
    case 'row':
      return `<${expr.items.map(shape).join(' ')}>`
    case 'call':
      return `${expr.name}[${expr.distinct ? 'distinct ' : ''}${expr.args.map(shape).join(' ')}]`
    case 'subquery':
      return 'subquery'
    case 'exists':
      return 'exists'
    case 'star':
      return '*'
    case 'other':
      return `${expr.construct}{${expr.children.map(shape).join(' ')}}`
    default:
      return expr.kind
  }
}
