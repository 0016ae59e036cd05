/**
 * The expression whose text protocol bytes equal the tail's cells for a column, read with character_set_results=NULL,
 * time_zone='+00:00' and a sql_mode without PAD_CHAR_TO_FULL_LENGTH. The copy path selects exactly these; the two paths meet in landing and
 * vdiff only if they agree (`column-values.db.test.ts` holds them together).
 */
import { quoteIdentifier } from '../sql/quote.ts'
import { binlogErrors } from './errors.ts'
import { typedDocument } from './json-types.ts'
import type { ColumnDefinition } from './source.ts'

/**
 * @param prefix put before the quoted name, such as `t.`
 * @throws unsupportedColumn for YEAR(2), whose text loses the century
 */
export function canonicalExpression(column: ColumnDefinition, prefix = ''): string {
  const name = prefix + quoteIdentifier(column.name)
  switch (column.dataType) {
    case 'tinyint':
    case 'smallint':
    case 'mediumint':
    case 'int':
    case 'bigint':
    case 'decimal':
      return /\bzerofill\b/i.test(column.columnType) ? `${name} + 0` : name
    case 'float':
    case 'double':
      // FLOAT prints six digits and FLOAT(m,d) rounds; as a double every bit shows.
      return `CAST(${name} AS DOUBLE)`
    case 'enum':
    case 'set':
      // Not `c + 0`: MariaDB takes the 64th member of a SET for a sign.
      return `CAST(${name} AS UNSIGNED)`
    case 'json':
      return typedDocument(name)
    case 'year':
      if (!/\(2\)/.test(column.columnType)) return name
      throw binlogErrors.unsupportedColumn({ column: column.name, definition: column.columnType, hint: 'to YEAR' })
    default:
      return name
  }
}
