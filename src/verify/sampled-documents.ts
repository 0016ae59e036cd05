/** Shapes of a table's documents, from its first rows: what they are told by at half the cost (`move/document-shapes.ts`). A guess: digests are the same whatever it is. */
import { canonicalExpression } from '../binlog/canonical-select.ts'
import type { ColumnDefinition } from '../binlog/source.ts'
import { commonShape, isOfShape } from '../move/document-shapes.ts'
import { asBytes } from '../move/statements.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier, quoteQualified } from '../sql/quote.ts'

const rows = 16
const bytesMax = 64 * 1024

/** By column name: the condition under which a document surely has only values that text tells. */
export async function plainDocuments(
  conn: Connection,
  schema: string,
  table: string,
  columns: readonly ColumnDefinition[],
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>()
  const documents = columns.filter(({ dataType }) => dataType === 'json')
  if (documents.length === 0) return found
  const cells = documents.map(
    (column) => `IF(JSON_STORAGE_SIZE(${quoteIdentifier(column.name)})<${bytesMax},${canonicalExpression(column)},NULL)`,
  )
  const sql = `SELECT ${cells.join(',')} FROM ${quoteQualified(schema, table)} LIMIT ${rows}`
  const result = await conn.query(Buffer.from(asBytes(sql), 'latin1'))
  if (result.kind !== 'rows') return found
  for (const [i, { name }] of documents.entries()) {
    const shape = commonShape(result.rows.flatMap((row) => row[i] ?? []))
    if (shape !== null) found.set(name, isOfShape(shape, quoteIdentifier(name)))
  }
  return found
}
