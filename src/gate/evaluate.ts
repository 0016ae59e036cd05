/** The one value of `SELECT expression`, typed by its column, so that it can stand in texts as a literal. */
import type { Column, RawRow, Result } from '../mysql/connection.ts'
import { collation, columnType } from '../wire/column-types.ts'
import type { Value } from '../sql/value.ts'

type Rows = { readonly kind: 'rows'; readonly columns: readonly Column[]; readonly rows: readonly RawRow[] }

export function valueOfAnswer(result: Rows | Exclude<Result, { kind: 'rows' }>): Value {
  if (result.kind !== 'rows') return { type: 'null' }
  const column = result.columns[0]
  const cell = result.rows[0]?.[0]
  if (column === undefined || cell === null || cell === undefined) return { type: 'null' }
  const text = cell.toString('latin1')
  switch (column.type) {
    case columnType.tiny:
    case columnType.short:
    case columnType.int24:
    case columnType.long:
    case columnType.longlong:
    case columnType.year:
      return { type: 'integer', value: BigInt(text) }
    case columnType.decimal:
    case columnType.newdecimal:
      return { type: 'decimal', text }
    case columnType.float:
    case columnType.double:
      return { type: 'double', value: Number(text) }
    default:
      // Times and dates have the binary charset too, and are text to whoever reads them.
      return column.charset === collation.binary && column.type >= columnType.tinyBlob && column.type <= columnType.string
        ? { type: 'binary', bytes: Buffer.from(cell) }
        : { type: 'text', bytes: Buffer.from(cell) }
  }
}
