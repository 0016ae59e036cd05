/**
 * Documents of a column are mostly of one shape. Whether one is of a known shape a server tells for half of what the list of its types costs (`binlog/json-types.ts`; measured, ten members in three containers: 3.8 µs, not
 * 7.4), and one that is has no list:
 *
 *     CASE WHEN CONCAT_WS(',', JSON_LENGTH(j), JSON_TYPE(j->'$."id"'), JSON_LENGTH(j, '$."tags"'), JSON_TYPE(j->'$."tags"[0]')) = '2,INTEGER,1,STRING' THEN j ELSE (with its list) END
 *
 * Right for any document and any shape, which is a guess from rows read before. Equal texts have equally many items, so none is NULL, so each is what the shape has: each container has as many entries as are named, all of them exist, and
 * each that is no container has a type that text tells. So there is no other value. (`[0]` of what is no array is that itself: a scalar there is still a value whose type was looked at, and an object's is
 * no type of a scalar.) Items are compared as bytes. Pure.
 */
import { canonicalExpression } from '../binlog/canonical-select.ts'
import { documentTextEnd, typedDocument } from '../binlog/json-types.ts'
import type { ColumnDefinition } from '../binlog/source.ts'
import type { RowBatch } from '../mysql/connection.ts'
import { quoteIdentifier, quoteString } from '../sql/quote.ts'
import { documentTree, type Container } from './json-literal.ts'
import type { RowEncoder } from './row-encoder.ts'
import { LiteralKind, type TablePlan } from './table-plan.ts'

const sampledMax = 16
/** Fewer say little: a small table is read whole before. */
const sampledMin = 8
/** Of the documents looked at: where more are of other shapes the question costs more than it saves. */
const shareMin = 0.8
const itemsMax = 40
/** Others are not worth the risk that a path is not taken for what it is. */
const plainKey = /^\."[A-Za-z0-9_ -]{1,64}"$/

export type DocumentShape = { readonly items: readonly Item[] }
type Item = { readonly path: string; readonly is: string; readonly of: 'length' | 'type' }

/** What is selected of a table's rows, by the shapes of the rows before. The cells are the same whatever the shapes. */
export class ShapedSelect {
  readonly #table: TablePlan
  /** Of the columns that hold MySQL's documents. */
  readonly #shapes = new Map<number, DocumentShape | null>()
  list: string

  constructor(table: TablePlan) {
    this.#table = table
    this.list = table.selectList
    for (const [i, { kind }] of table.columns.entries()) if (kind === LiteralKind.mysqlJson) this.#shapes.set(i, null)
  }

  /** Looks at a few rows. */
  learn(encoder: RowEncoder, batch: RowBatch): void {
    if (this.#shapes.size === 0 || batch.length < sampledMin) return
    const step = Math.ceil(batch.length / sampledMax)
    for (const column of this.#shapes.keys()) {
      const cells: Buffer[] = []
      for (let row = 0; row < batch.length; row += step) {
        const cell = encoder.cell(batch, row, column)
        if (cell !== null) cells.push(cell)
      }
      this.#shapes.set(column, commonShape(cells))
    }
    const { columns, selectList } = this.#table
    if ([...this.#shapes.values()].every((shape) => shape === null)) this.list = selectList
    else this.list = columns.map(({ definition }, i) => this.#expression(i, definition)).join(',')
  }

  #expression(column: number, definition: ColumnDefinition): string {
    const shape = this.#shapes.get(column) ?? null
    if (shape === null) return canonicalExpression(definition)
    const name = quoteIdentifier(definition.name)
    return typedDocument(name, isOfShape(shape, name))
  }
}

/** The shape that most of these cells have; null: there is none, or none that is worth to be asked for. */
export function commonShape(cells: readonly Buffer[]): DocumentShape | null {
  if (cells.length < sampledMin) return null
  const counts = new Map<string, { shape: DocumentShape; count: number }>()
  for (const cell of cells) {
    const shape = shapeOf(cell)
    if (shape === null) continue
    const key = JSON.stringify(shape.items)
    const known = counts.get(key)
    if (known === undefined) counts.set(key, { shape, count: 1 })
    else known.count++
  }
  for (const { shape, count } of counts.values()) if (count >= shareMin * cells.length) return shape
  return null
}

/** Null: a scalar, one with a list, too large, or with keys that are not plain. */
export function shapeOf(cell: Buffer): DocumentShape | null {
  if (documentTextEnd(cell, 0, cell.length) !== cell.length || cell.length > 64 * 1024) return null
  const text = cell.toString('utf8')
  const root = documentTree(text)
  if (root === null) return null
  const items: Item[] = []
  const walk = ({ entries }: Container, path: string): boolean => {
    items.push({ path, is: String(entries.length), of: 'length' })
    for (const { key, from, end, container } of entries) {
      if (items.length >= itemsMax || (key.startsWith('.') && !plainKey.test(key))) return false
      if (container === null) items.push({ path: path + key, is: typeOf(text.slice(from, end)), of: 'type' })
      else if (!walk(container, path + key)) return false
    }
    return true
  }
  return walk(root, '$') ? { items } : null
}

function typeOf(value: string): string {
  if (value.startsWith('"')) return 'STRING'
  if (value === 'null') return 'NULL'
  if (value === 'true' || value === 'false') return 'BOOLEAN'
  return /[.e]/i.test(value) ? 'DOUBLE' : 'INTEGER'
}

/** The condition under which a document of this column, by its quoted name, has no list. */
export function isOfShape({ items }: DocumentShape, name: string): string {
  const text = (literal: string): string => `_utf8mb4${quoteString(literal)}`
  const asked = items.map(({ path, of }) =>
    of === 'length' ? `JSON_LENGTH(${name},${text(path)})` : `JSON_TYPE(JSON_EXTRACT(${name},${text(path)}))`,
  )
  return `CONCAT_WS(${text(',')},${asked.join(',')})=CAST(${text(items.map(({ is }) => is).join(','))} AS BINARY)`
}
