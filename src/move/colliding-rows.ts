/**
 * Which two rows stand in each other's way on a target (PROTOCOLS 1.6): the server names the value and the key alone, and whoever is to change one of the two needs to know
 * where each is. Asked only of a collision that lasts.
 */
import { canonicalExpression } from '../binlog/canonical-select.ts'
import { keyRangeContains, parseKeyRange } from '../keyspace/key-range.ts'
import type { VindexValue } from '../keyspace/vindex.ts'
import { isServerError, type ServerError } from '../mysql/errors.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { keyText } from './key-text.ts'
import type { Lane } from './lane.ts'
import { rowText, type Change } from './pending.ts'
import { asBytes, splitLiterals } from './statements.ts'
import { LiteralKind, type TablePlan } from './table-plan.ts'

export type CollidingSides = {
  readonly schema: string
  /** The shard that this stream reads. */
  readonly source: string
  /** Shards whose streams write to the target. */
  readonly sources: readonly string[]
}

/** By the beginning of a column no index gives it, and the whole table is read: the lane has rounds to write. */
const lookMs = 500

/** Null: the row in the way was not found: it has gone, it took too long, or the key is of a kind that is not looked by. */
export async function rowsThatCollide(
  lane: Pick<Lane, 'read' | 'readWithin'>,
  sides: CollidingSides,
  change: Change,
  why: ServerError,
): Promise<string | null> {
  try {
    return await bothRows(lane, sides, change, why)
  } catch (error) {
    if (!isServerError(error)) throw error
    return null
  }
}

async function bothRows(
  lane: Pick<Lane, 'read' | 'readWithin'>,
  { schema, source, sources }: CollidingSides,
  change: Change,
  why: ServerError,
): Promise<string | null> {
  const { table } = change
  const condition = await equalTo(lane, schema, change, /for key '(?:[^']*\.)?([^'.]+)'$/.exec(why.serverMessage)?.[1] ?? '')
  if (condition === null) return null
  const shown = table.columns.slice(0, table.keyWidth).map(({ definition }, i) => `${asBytes(canonicalExpression(definition))} AS k${i}`)
  const owner = table.shardKey.map(({ index }, i) => {
    const definition = table.columns[index]?.definition
    return `${definition === undefined ? 'NULL' : asBytes(canonicalExpression(definition))} AS s${i}`
  })
  const [row] = await lane.readWithin(
    Buffer.from(
      `SELECT ${[...shown, ...owner].join(', ')} FROM ${asBytes(quoteQualified(schema, table.name))} WHERE ${condition} LIMIT 1`,
      'latin1',
    ),
    lookMs,
  )
  if (row === undefined) return null
  const key = table.columns.slice(0, table.keyWidth).map(({ kind }, i) => {
    const text = row[`k${i}`]?.toString('latin1') ?? 'NULL'
    return kind === LiteralKind.text ? `'${text}'` : text
  })
  return `row ${keyText(change.key)} of ${source} and row ${keyText(key.join(','))} of ${ownerOf(table, row, sources) ?? 'another source'}`
}

/** What the row in the way has in the key that the server names; null: a part of it is no column that is moved. */
async function equalTo(
  lane: Pick<Lane, 'read' | 'readWithin'>,
  schema: string,
  { table, row }: Change,
  key: string,
): Promise<string | null> {
  const literals = splitLiterals(rowText(row ?? '()').slice(1, -1))
  const parts = await lane.read(
    `SELECT s.COLUMN_NAME AS c, s.SUB_PART AS p, k.CHARACTER_SET_NAME AS charset, k.COLLATION_NAME AS collation FROM information_schema.STATISTICS s
      LEFT JOIN information_schema.COLUMNS k ON k.TABLE_SCHEMA = s.TABLE_SCHEMA AND k.TABLE_NAME = s.TABLE_NAME AND k.COLUMN_NAME = s.COLUMN_NAME
      WHERE s.TABLE_SCHEMA = ${quoteString(schema)} AND s.TABLE_NAME = ${quoteString(table.name)} AND s.INDEX_NAME = ${quoteString(key)} ORDER BY s.SEQ_IN_INDEX`,
  )
  const conditions: string[] = []
  for (const { c, p, charset, collation } of parts) {
    const name = c?.toString('utf8') ?? ''
    const index = table.columns.findIndex(({ definition }) => definition.name.toLowerCase() === name.toLowerCase())
    const literal = literals[index]
    if (literal === undefined) return null
    // Bytes, which are compared as the key does only where they are said to be of its charset and collation.
    const isText = table.columns[index]?.kind === LiteralKind.text && charset != null && charset.toString() !== 'binary'
    const value = isText ? `CONVERT(${literal} USING ${charset}) COLLATE ${collation}` : literal
    const quoted = asBytes(quoteIdentifier(name))
    conditions.push(p == null ? `${quoted} = ${value}` : `LEFT(${quoted}, ${p}) = LEFT(${value}, ${p})`)
  }
  return conditions.length === 0 ? null : conditions.join(' AND ')
}

/** By its keyspace id. Unknown where it is in several: streams of another workflow may write here too, and their shards are of another keyspace. */
function ownerOf(table: TablePlan, row: Readonly<Record<string, Buffer | null>>, sources: readonly string[]): string | undefined {
  if (table.vindex === null) return undefined
  const values = table.shardKey.map(({ type, toUtf8 }, i): VindexValue => {
    const bytes = row[`s${i}`]
    if (bytes == null) return { type: 'NULL', bytes: new Uint8Array() }
    return { type, bytes: toUtf8 === null ? bytes : toUtf8(bytes) }
  })
  const id = table.vindex.map(values)
  const [owner, ...more] = id === null ? [] : sources.filter((source) => keyRangeContains(parseKeyRange(source), id))
  return more.length === 0 ? owner : undefined
}
