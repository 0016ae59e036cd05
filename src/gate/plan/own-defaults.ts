/**
 * Defaults that a server makes anew for each row. Copies of a reference table would each have their own; and shards that draw from a sequence (MariaDB's NEXTVAL) draw from one that each of them has, and give numbers that
 * others gave.
 */
import type { Expr, Insert, Update } from '../../sql/ast.ts'
import { walkStatement } from '../../sql/walk.ts'
import { planErrors } from './errors.ts'
import type { BoundTable } from './scope.ts'
import { bare } from './slots.ts'

/**
 * Errors: SW-GATE-100.
 * @param names columns that an INSERT gives values, in lower case
 * @param filled the column that a sequence of the vschema fills
 */
export function refuseOwnDefaults(
  table: BoundTable,
  statement: Insert | Update,
  names: readonly string[] | null = null,
  filled: string | null = null,
): void {
  const { rows, assignments } =
    statement.kind === 'insert'
      ? { rows: statement.rows, assignments: statement.onDuplicate?.assignments ?? [] }
      : { rows: [], assignments: statement.assignments }
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
      rows.some(({ values }) => isDefault(values[place])) ||
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
function namedDefaults(statement: Insert | Update): string[] {
  const names: string[] = []
  walkStatement(statement, {
    expr(node) {
      const [column] = node.kind === 'other' && node.construct === 'DEFAULT()' ? node.children : []
      if (column?.kind === 'column') names.push(column.name.text.toLowerCase())
    },
  })
  return names
}
