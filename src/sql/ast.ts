/**
 * What a statement is, as far as the gate must know it. Every node has its tokens as a span (first token, and the one
 * behind the last), so that whoever rewrites cuts the client's own text and never prints an expression anew.
 */
import type { Kind } from './lexer.ts'

export type Span = { readonly from: number; readonly to: number }

/** A name without its quotes, as UTF-8 text. */
export type Name = { readonly text: string; readonly span: Span }
export type TableName = { readonly schema: Name | null; readonly name: Name; readonly span: Span }

export type Expr =
  | { readonly kind: 'literal'; readonly literal: Kind; readonly introducer: string | null; readonly span: Span }
  | { readonly kind: 'constant'; readonly value: 'null' | 'true' | 'false'; readonly span: Span }
  | { readonly kind: 'parameter'; readonly index: number; readonly span: Span }
  | { readonly kind: 'column'; readonly schema: Name | null; readonly table: Name | null; readonly name: Name; readonly span: Span }
  /** `*` or `t.*`: in a select list or COUNT(*). */
  | { readonly kind: 'star'; readonly schema: Name | null; readonly table: Name | null; readonly span: Span }
  | { readonly kind: 'user-variable'; readonly name: string; readonly span: Span }
  | { readonly kind: 'system-variable'; readonly scope: 'session' | 'global' | 'default'; readonly name: string; readonly span: Span }
  | { readonly kind: 'and' | 'or'; readonly items: readonly Expr[]; readonly span: Span }
  | { readonly kind: 'unary'; readonly operator: string; readonly operand: Expr; readonly span: Span }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expr; readonly right: Expr; readonly span: Span }
  | { readonly kind: 'in'; readonly not: boolean; readonly operand: Expr; readonly list: readonly Expr[]; readonly span: Span }
  | {
      readonly kind: 'is'
      readonly not: boolean
      readonly operand: Expr
      readonly what: 'null' | 'true' | 'false' | 'unknown'
      readonly span: Span
    }
  | { readonly kind: 'row'; readonly items: readonly Expr[]; readonly span: Span }
  /** In parentheses. */
  | { readonly kind: 'group'; readonly inner: Expr; readonly span: Span }
  | CallExpr
  | { readonly kind: 'subquery'; readonly query: Query; readonly span: Span }
  | { readonly kind: 'exists'; readonly query: Query; readonly span: Span }
  | { readonly kind: 'default'; readonly span: Span }
  /** Forms whose parts are all that matters: BETWEEN, LIKE, CASE, INTERVAL, COLLATE, … */
  | { readonly kind: 'other'; readonly construct: string; readonly children: readonly Expr[]; readonly span: Span }

export type CallExpr = {
  readonly kind: 'call'
  /** Upper case. */
  readonly name: string
  readonly schema: Name | null
  readonly args: readonly Expr[]
  readonly distinct: boolean
  /** Has an OVER clause. */
  readonly window: boolean
  /** What OVER ( … ) says, where it is not a name. */
  readonly over: WindowSpec | null
  /** Anything inside beyond a plain list of arguments: ORDER BY, SEPARATOR, USING … */
  readonly extended: boolean
  readonly span: Span
}

export type WindowSpec = { readonly partition: readonly Expr[]; readonly order: readonly Expr[] }

export type Query = Select | Union

export type SelectItem = { readonly expr: Expr; readonly alias: Name | null; readonly span: Span }
export type OrderItem = { readonly expr: Expr; readonly descending: boolean; readonly span: Span }
/** `span` covers the keyword. `count` null: OFFSET alone (MariaDB) is not read. */
export type Limit = { readonly count: Expr; readonly offset: Expr | null; readonly span: Span }
export type Clause<T> = { readonly items: readonly T[]; readonly span: Span }

export type Select = {
  readonly kind: 'select'
  readonly span: Span
  readonly distinct: boolean
  /** SQL_NO_CACHE, STRAIGHT_JOIN, SQL_CALC_FOUND_ROWS … in upper case. */
  readonly options: readonly string[]
  readonly items: readonly SelectItem[]
  readonly itemsSpan: Span
  readonly from: readonly TableRef[]
  /** FROM DUAL counts as none. */
  readonly where: Expr | null
  readonly groupBy: Clause<OrderItem> | null
  readonly rollup: boolean
  readonly having: { readonly expr: Expr; readonly span: Span } | null
  readonly window: Span | null
  readonly windows: readonly WindowSpec[]
  readonly orderBy: Clause<OrderItem> | null
  readonly limit: Limit | null
  /** FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE; `skips`: rows that others have locked. */
  readonly lock: { readonly kind: 'update' | 'share'; readonly skips: boolean; readonly span: Span } | null
  /** INTO OUTFILE, DUMPFILE or variables. */
  readonly into: Span | null
  readonly with: With | null
}

export type Union = {
  readonly kind: 'union'
  readonly span: Span
  readonly parts: readonly Query[]
  readonly orderBy: Clause<OrderItem> | null
  readonly limit: Limit | null
  readonly with: With | null
}

export type With = {
  readonly span: Span
  readonly recursive: boolean
  readonly tables: readonly { readonly name: Name; readonly query: Query }[]
}

export type TableRef =
  | { readonly kind: 'table'; readonly table: TableName; readonly alias: Name | null; readonly span: Span }
  | { readonly kind: 'derived'; readonly query: Query; readonly alias: Name | null; readonly lateral: boolean; readonly span: Span }
  | {
      readonly kind: 'join'
      readonly join: 'inner' | 'left' | 'right'
      readonly natural: boolean
      readonly left: TableRef
      readonly right: TableRef
      readonly on: Expr | null
      readonly using: readonly Name[]
      readonly span: Span
    }
  /** JSON_TABLE. `args`: what it makes rows of; the rest of it are constants. */
  | { readonly kind: 'function'; readonly name: string; readonly args: readonly Expr[]; readonly alias: Name | null; readonly span: Span }

export type Assignment = { readonly column: Extract<Expr, { kind: 'column' }>; readonly value: Expr; readonly span: Span }

export type Insert = {
  readonly kind: 'insert'
  readonly verb: 'insert' | 'replace'
  readonly ignore: boolean
  readonly table: TableName
  /** Null: no column list. For the SET form, the columns set. */
  readonly columns: readonly Name[] | null
  /** Span of `(a, b)`, when there is one. */
  readonly columnsSpan: Span | null
  readonly rows: readonly { readonly values: readonly Expr[]; readonly span: Span }[]
  /** From the first row to behind the last. */
  readonly rowsSpan: Span | null
  readonly setForm: boolean
  readonly query: Query | null
  /** `AS new(a, b)` of MySQL. */
  readonly rowAlias: Span | null
  readonly onDuplicate: { readonly assignments: readonly Assignment[]; readonly span: Span } | null
  readonly returning: Clause<SelectItem> | null
  readonly span: Span
}

export type Update = {
  readonly kind: 'update'
  readonly ignore: boolean
  readonly tables: readonly TableRef[]
  readonly assignments: readonly Assignment[]
  readonly where: Expr | null
  readonly orderBy: Clause<OrderItem> | null
  readonly limit: Limit | null
  readonly with: With | null
  readonly span: Span
}

export type Delete = {
  readonly kind: 'delete'
  readonly ignore: boolean
  /** The tables that lose rows, in the multi-table forms; null: the only table of `from`. */
  readonly targets: readonly TableName[] | null
  readonly from: readonly TableRef[]
  readonly where: Expr | null
  readonly orderBy: Clause<OrderItem> | null
  readonly limit: Limit | null
  readonly returning: Clause<SelectItem> | null
  readonly with: With | null
  readonly span: Span
}

export type SetItem =
  | { readonly kind: 'user-variable'; readonly name: string; readonly value: Expr }
  | {
      readonly kind: 'system-variable'
      readonly scope: 'session' | 'global' | 'persist' | 'next'
      readonly name: string
      readonly value: Expr
    }
  | { readonly kind: 'names'; readonly charset: string | null; readonly collation: string | null }
  | { readonly kind: 'character-set'; readonly charset: string | null }
  | {
      readonly kind: 'transaction'
      readonly scope: 'next' | 'session' | 'global'
      readonly isolation: string | null
      readonly readOnly: boolean | null
    }

export type Statement =
  | { readonly kind: 'query'; readonly query: Query; readonly span: Span }
  | Insert
  | Update
  | Delete
  | {
      readonly kind: 'transaction'
      readonly verb: 'begin' | 'commit' | 'rollback' | 'savepoint' | 'rollback-to' | 'release-savepoint'
      readonly readOnly: boolean | null
      readonly consistentSnapshot: boolean
      readonly chain: boolean
      readonly release: boolean
      readonly savepoint: string | null
      readonly span: Span
    }
  | { readonly kind: 'set'; readonly items: readonly SetItem[]; readonly span: Span }
  | {
      readonly kind: 'show'
      readonly what: string
      readonly full: boolean
      readonly scope: 'session' | 'global' | null
      readonly schema: Name | null
      readonly table: TableName | null
      readonly like: Expr | null
      readonly where: Expr | null
      readonly span: Span
    }
  | { readonly kind: 'use'; readonly schema: Name; readonly span: Span }
  | { readonly kind: 'explain'; readonly inner: Statement; readonly span: Span }
  | {
      readonly kind: 'ddl'
      readonly verb: 'create' | 'alter' | 'drop' | 'truncate' | 'rename' | 'other'
      readonly object: string
      readonly names: readonly TableName[]
      readonly temporary: boolean
      /** CREATE TABLE with a query for its rows. */
      readonly filled: boolean
      readonly span: Span
    }
  | { readonly kind: 'lock-tables'; readonly tables: readonly TableName[]; readonly span: Span }
  | { readonly kind: 'unlock-tables'; readonly span: Span }
  | { readonly kind: 'kill'; readonly what: 'connection' | 'query'; readonly id: Expr; readonly span: Span }
  | { readonly kind: 'load-data'; readonly local: boolean; readonly file: Span; readonly table: TableName; readonly span: Span }
  | { readonly kind: 'call'; readonly procedure: TableName; readonly span: Span }
  | { readonly kind: 'prepare'; readonly name: string; readonly source: Expr; readonly span: Span }
  | { readonly kind: 'execute'; readonly name: string; readonly using: readonly string[]; readonly span: Span }
  | { readonly kind: 'deallocate'; readonly name: string; readonly span: Span }
  /** Known by its first word only: FLUSH, ANALYZE, CHECK, OPTIMIZE, GRANT, DO, HANDLER, XA, … `word` in upper case. */
  | { readonly kind: 'other'; readonly word: string; readonly names: readonly TableName[]; readonly span: Span }
