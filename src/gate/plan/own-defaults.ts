/**
 * Defaults that a server makes anew for each row. Copies of a reference table would each have their own; and shards that draw from a sequence (MariaDB's NEXTVAL) draw from one that each of them has, and give numbers that
 * others gave.
 */
import type { Assignment, Expr, Statement } from '../../sql/ast.ts'
import { walkStatement } from '../../sql/walk.ts'
import { planErrors } from './errors.ts'
import type { BoundTable } from './scope.ts'
import { bare } from './slots.ts'

type Given = {
  /** Columns that an INSERT gives values, in lower case. */
  readonly names?: readonly string[]
  readonly rows?: readonly { readonly values: readonly Expr[] }[]
  readonly assignments?: readonly Assignment[]
  /** The column that a sequence of the vschema fills. */
  readonly filled?: string | null
}

/** Errors: SW-GATE-100. */
export function refuseOwnDefaults(table: BoundTable, statement: Statement, given: Given): void {
  const { names, rows = [], assignments = [], filled = null } = given
  const own = (table.columns?.columns ?? []).filter(
    (column) => column.name !== filled && (table.entry?.kind === 'reference' ? column.randomDefault : column.drawnDefault) === true,
  )
  if (own.length === 0 || (table.entry?.kind !== 'reference' && table.entry?.kind !== 'sharded')) return
  const named = new Set(namedDefaults(statement))
  const left = own.find(({ name }) => {
    const lower = name.toLowerCase()
    const place = names?.indexOf(lower) ?? 0
    return (
      place < 0 ||
      named.has(lower) ||
      (names !== undefined && rows.some(({ values }) => isDefault(values[place]))) ||
      assignments.some(({ column, value }) => column.name.text.toLowerCase() === lower && isDefault(value))
    )
  })
  if (left === undefined) return
  const reference = table.entry.kind === 'reference'
  throw planErrors.refused({
    construct: `leaving ${left.name} of ${reference ? 'reference ' : ''}table ${table.name} to its default`,
    reason: reference
      ? 'each copy would make a value of its own'
      : 'each shard would draw from a sequence of its own and give numbers that others gave',
    instead: reference
      ? 'give the value'
      : `give the value, or: shardwright sequence create ${table.keyspace.name}.${table.name}.${left.name}`,
  })
}

function isDefault(value: Expr | undefined): boolean {
  return value !== undefined && bare(value).kind === 'default'
}

/** `DEFAULT(c)`, anywhere. */
function namedDefaults(statement: Statement): string[] {
  const names: string[] = []
  walkStatement(statement, {
    expr(node) {
      const [column] = node.kind === 'other' && node.construct === 'DEFAULT()' ? node.children : []
      if (column?.kind === 'column') names.push(column.name.text.toLowerCase())
    },
  })
  return names
}
