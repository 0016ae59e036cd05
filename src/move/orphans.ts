/**
 * Foreign keys of a target, verified when its copy is done (PROTOCOLS 1.11; those of rows written since: `verify/orphan-rows.ts`): appliers write with foreign key checks off, so a server says nothing when a row arrives whose
 * other row does not. That happens where the two have shard keys that lie in different shards; a server would refuse the next such row once it takes clients' writes.
 *
 * Asked while all writers of the target stand at a boundary, and each stream asks for its own rows: those count whose row and whose other row both stand on its source. So rows
 * that refer to nothing there either (written with checks off) pass, being no fault of the move. A stream that was killed in a round, or holds a row back for another's,
 * may be between the two; so a row that is found counts only when it is found again after all streams have passed fresh markers, several times.
 */
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { moveErrors } from './errors.ts'

export type ForeignKey = { name: string; table: string; referenced: string; columns: string[]; referencedColumns: string[] }
export type Side = { conn: Connection; schema: string }

export type Orphans = { key: ForeignKey; rows: readonly string[]; more: boolean }

const pageRows = 1_000
const rowsNamedMax = 5
const timesMax = 3

/**
 * Looks once; what it returns says what was found and that it is looked at again. It throws when the same rows were found three times in a row. Sources whose sessions check no foreign keys
 * write rows that refer to nothing yet, so that others are found each time, for as long as they do: what lasts stood in the first look, and what was written since is vdiff's.
 */
export class OrphanCheck {
  readonly #find: typeof findOrphans
  #times = 0
  /** Found each time. */
  #standing: readonly Orphans[] = []
  /** The first look did not see all. */
  #isCut = false

  constructor(find: typeof findOrphans = findOrphans) {
    this.#find = find
  }

  /** @param keys columns of each moved table's key, by table @throws orphans */
  async look(target: Side & { name: string }, source: Side, keys: ReadonlyMap<string, readonly string[]>): Promise<string | null> {
    const found = await this.#find(target, source, keys)
    const again = this.#standing.flatMap((before) => againFound(before, found))
    const isFirst = this.#times === 0 || (again.length === 0 && this.#isCut)
    if (isFirst) this.#isCut = found.some(({ more }) => more)
    this.#times = isFirst ? 1 : this.#times + 1
    this.#standing = isFirst ? found : again
    const [first] = this.#standing
    if (first === undefined) {
      this.#times = 0
      return null
    }
    const { key, rows, more } = first
    const named = rows.slice(0, rowsNamedMax).join(', ') + (rows.length > rowsNamedMax || more ? ', …' : '')
    const said = { table: key.table, key: key.name, referenced: key.referenced, target: target.name, rows: named }
    if (this.#times >= timesMax) throw moveErrors.orphans(said)
    return `rows of ${said.table} on ${said.target} refer by ${said.key} to rows of ${said.referenced} that are not there: ${named}`
  }
}

function againFound(before: Orphans, found: readonly Orphans[]): Orphans[] {
  const now = found.find(({ key }) => key.table === before.key.table && key.name === before.key.name)
  const rows = before.rows.filter((row) => now?.rows.includes(row))
  return rows.length === 0 ? [] : [{ ...before, rows }]
}

/** By each foreign key between moved tables: rows of the target that do not meet it, though they do on the source. */
export async function findOrphans(target: Side, source: Side, keys: ReadonlyMap<string, readonly string[]>): Promise<Orphans[]> {
  const all: Orphans[] = []
  for (const key of await foreignKeys(target)) {
    const columns = keys.get(key.table)
    const found = columns === undefined || !keys.has(key.referenced) ? null : await orphansBy(key, columns, target, source)
    if (found !== null) all.push({ key, ...found })
  }
  return all
}

/** Rows of the target that have no other row by this key, though they do on the source: a thousand of them at most. */
export async function orphansBy(
  key: ForeignKey,
  columns: readonly string[],
  target: Side,
  source: Side,
): Promise<Omit<Orphans, 'key'> | null> {
  for (let after: string | null = null; ;) {
    const here = await referring(target, key, columns, 'IS NULL', after === null ? '' : `AND ${place(columns)} > ${quoteString(after)}`)
    if (here.length === 0) return null
    const rows = await referring(source, key, columns, 'IS NOT NULL', `AND ${place(columns)} IN (${here.map(quoteString).join()})`)
    if (rows.length > 0) return { rows: rows.map(readable), more: here.length === pageRows }
    if (here.length < pageRows) return null
    after = here.at(-1) ?? null
  }
}

/** Those within the schema. */
export async function foreignKeys({ conn, schema }: Side): Promise<ForeignKey[]> {
  const rows = await conn.allText(
    `SELECT TABLE_NAME AS t, CONSTRAINT_NAME AS name, COLUMN_NAME AS c, REFERENCED_TABLE_NAME AS rt, REFERENCED_COLUMN_NAME AS rc FROM information_schema.KEY_COLUMN_USAGE
    WHERE TABLE_SCHEMA = ${quoteString(schema)} AND REFERENCED_TABLE_SCHEMA = ${quoteString(schema)} ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION`,
  )
  const keys = new Map<string, ForeignKey>()
  for (const row of rows) {
    const [table, name] = [row.t ?? '', row.name ?? '']
    const key = keys.get(`${table}.${name}`) ?? { name, table, referenced: row.rt ?? '', columns: [], referencedColumns: [] }
    keys.set(`${table}.${name}`, key)
    key.columns.push(row.c ?? '')
    key.referencedColumns.push(row.rc ?? '')
  }
  return [...keys.values()]
}

/** Keys of rows whose other row is there or not, as `place` prints them, in its order. A NULL among the columns refers to nothing by right. */
async function referring(
  { conn, schema }: Side,
  key: ForeignKey,
  columns: readonly string[],
  other: 'IS NULL' | 'IS NOT NULL',
  and: string,
): Promise<string[]> {
  const on = key.columns.map((column, i) => `p.${quoteIdentifier(key.referencedColumns[i] ?? '')} = c.${quoteIdentifier(column)}`)
  const set = key.columns.map((column) => `c.${quoteIdentifier(column)} IS NOT NULL`)
  const rows = await conn.allText(
    `SELECT ${place(columns)} AS place FROM ${quoteQualified(schema, key.table)} c LEFT JOIN ${quoteQualified(schema, key.referenced)} p ON ${on.join(' AND ')}
    WHERE ${set.join(' AND ')} AND p.${quoteIdentifier(key.referencedColumns[0] ?? '')} ${other} ${and} ORDER BY place LIMIT ${pageRows}`,
  )
  return rows.map((row) => row.place ?? '')
}

/** A row's key as text that is the same on both sides, whatever its bytes are. */
function place(columns: readonly string[]): string {
  return `CONCAT_WS(',', ${columns.map((column) => `HEX(CAST(c.${quoteIdentifier(column)} AS CHAR))`).join(', ')})`
}

function readable(text: string): string {
  return text
    .split(',')
    .map((hex) => Buffer.from(hex, 'hex').toString('utf8'))
    .join('/')
}
