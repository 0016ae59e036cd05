/** Visits every expression and every table of a tree, subqueries included. */
import type { Expr, Query, Select, Statement, TableRef } from './ast.ts'

export type Visitor = {
  /** Before its parts; false: leave them out. */
  expr?(expr: Expr): boolean | void
  /** Each query of the tree, before its parts. */
  query?(query: Query): void
  /** Each SELECT of the tree, before its parts. */
  select?(select: Select): void
  table?(table: Extract<TableRef, { kind: 'table' }>): void
  ref?(ref: TableRef): void
  /** What WITH names. */
  cte?(name: string): void
}

export function walkExpr(expr: Expr, v: Visitor): void {
  if (v.expr?.(expr) === false) return
  switch (expr.kind) {
    case 'and':
    case 'or':
    case 'row':
      for (const item of expr.items) walkExpr(item, v)
      return
    case 'unary':
    case 'is':
      walkExpr(expr.operand, v)
      return
    case 'binary':
      walkExpr(expr.left, v)
      walkExpr(expr.right, v)
      return
    case 'in':
      walkExpr(expr.operand, v)
      for (const item of expr.list) walkExpr(item, v)
      return
    case 'group':
      walkExpr(expr.inner, v)
      return
    case 'call':
      for (const arg of expr.args) walkExpr(arg, v)
      if (expr.over !== null) for (const part of [...expr.over.partition, ...expr.over.order]) walkExpr(part, v)
      return
    case 'other':
      for (const child of expr.children) walkExpr(child, v)
      return
    case 'subquery':
    case 'exists':
      walkQuery(expr.query, v)
      return
    default:
  }
}

export function walkQuery(query: Query, v: Visitor): void {
  v.query?.(query)
  for (const table of query.with?.tables ?? []) walkCte(table, v)
  if (query.kind === 'union') for (const part of query.parts) walkQuery(part, v)
  else {
    v.select?.(query)
    for (const item of query.items) walkExpr(item.expr, v)
    for (const ref of query.from) walkTable(ref, v)
    if (query.where !== null) walkExpr(query.where, v)
    for (const item of query.groupBy?.items ?? []) walkExpr(item.expr, v)
    if (query.having !== null) walkExpr(query.having.expr, v)
    for (const window of query.windows) for (const part of [...window.partition, ...window.order]) walkExpr(part, v)
  }
  for (const item of query.orderBy?.items ?? []) walkExpr(item.expr, v)
}

function walkCte(table: { readonly name: { readonly text: string }; readonly query: Query }, v: Visitor): void {
  v.cte?.(table.name.text)
  walkQuery(table.query, v)
}

export function walkTable(ref: TableRef, v: Visitor): void {
  v.ref?.(ref)
  switch (ref.kind) {
    case 'table':
      v.table?.(ref)
      return
    case 'derived':
      walkQuery(ref.query, v)
      return
    case 'join':
      walkTable(ref.left, v)
      walkTable(ref.right, v)
      if (ref.on !== null) walkExpr(ref.on, v)
      return
    case 'function':
      for (const arg of ref.args) walkExpr(arg, v)
      return
    default:
  }
}

/** The parts of a statement that reads or writes rows; nothing for the others. */
export function walkStatement(statement: Statement, v: Visitor): void {
  switch (statement.kind) {
    case 'query':
      walkQuery(statement.query, v)
      return
    case 'insert':
      v.table?.({ kind: 'table', table: statement.table, alias: null, span: statement.table.span })
      for (const row of statement.rows) for (const value of row.values) walkExpr(value, v)
      if (statement.query !== null) walkQuery(statement.query, v)
      for (const assignment of statement.onDuplicate?.assignments ?? []) {
        walkExpr(assignment.column, v)
        walkExpr(assignment.value, v)
      }
      for (const item of statement.returning?.items ?? []) walkExpr(item.expr, v)
      return
    case 'update':
      for (const table of statement.with?.tables ?? []) walkCte(table, v)
      for (const ref of statement.tables) walkTable(ref, v)
      for (const assignment of statement.assignments) {
        walkExpr(assignment.column, v)
        walkExpr(assignment.value, v)
      }
      break
    case 'delete':
      for (const table of statement.with?.tables ?? []) walkCte(table, v)
      for (const ref of statement.from) walkTable(ref, v)
      for (const item of statement.returning?.items ?? []) walkExpr(item.expr, v)
      break
    default:
      return
  }
  if (statement.where !== null) walkExpr(statement.where, v)
  for (const item of statement.orderBy?.items ?? []) walkExpr(item.expr, v)
}
