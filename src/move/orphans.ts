/**
 * Foreign keys of a target, verified when its copy is done (PROTOCOLS 1.11; those of rows written since: `verify/orphan-rows.ts`): appliers write with foreign key checks off, so a server says nothing when a row arrives whose
 * other row does not. That happens where the two have shard keys that lie in different shards; a server would refuse the next such row once it takes clients' writes.
 *
 * Each stream asks for its own rows: those count whose row and whose other row both stand on its source. So rows that refer to nothing there either (written with checks off) pass,
 * being no fault of the move. Looking through a large table takes minutes, so it is done while rounds go on, which may just have one row of a pair; such rows are few, and they are
 * looked at again, by their keys, while all writers of the target stand at a boundary. A stream that was killed in a round, or holds a row back for another's, may be between the two
 * even then: so a row counts only when it is found several times, and between two times all streams pass fresh markers.
 *
 * A pair that was whole when it was looked at and is torn later is as one that is written later: a comparison finds it.
 */
import { canonicalExpression } from '../binlog/canonical-select.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { moveErrors } from './errors.ts'
import { keyText } from './key-text.ts'
import { RowEncoder } from './row-encoder.ts'
import { asBytes, orderBy, rangeCondition, splitLiterals } from './statements.ts'
import { comparedColumn, type TablePlan } from './table-plan.ts'

export type ForeignKey = { name: string; table: string; referenced: string; columns: string[]; referencedColumns: string[] }
/** The connection reads bytes. */
export type Side = { conn: Connection; schema: string }

/** Rows by one foreign key: their keys, as literals. */
export type Orphans = { readonly by: ForeignKey; readonly plan: TablePlan; readonly keys: readonly string[]; readonly more: boolean }

const pageRows = 1_000
const rowsNamedMax = 5
const timesMax = 3

/**
 * Looks at rows that were found, again. `look` returns what stands in the way, or null; it throws when the same rows were found three times. Sources whose sessions check no foreign
 * keys write rows that refer to nothing yet: those are looked at until they do, and others that come meanwhile are not.
 */
export class OrphanCheck {
  readonly #target: string
  readonly #still: (found: Orphans) => Promise<Orphans>
  #standing: Orphans
  #times = 0

  constructor(found: Orphans, target: string, still: (found: Orphans) => Promise<Orphans>) {
    this.#standing = found
    this.#target = target
    this.#still = still
  }

  /** @throws orphans */
  async look(): Promise<string | null> {
    this.#standing = await this.#still(this.#standing)
    const { by, keys, more } = this.#standing
    if (keys.length === 0) return null
    const named = keys.slice(0, rowsNamedMax).map(keyText).join(', ') + (keys.length > rowsNamedMax || more ? ', …' : '')
    if (++this.#times >= timesMax)
      throw moveErrors.orphans({ table: by.table, key: by.name, referenced: by.referenced, target: this.#target, rows: named })
    return `rows of ${by.table} on ${this.#target} refer by ${by.name} to rows of ${by.referenced} that are not there: ${named}`
  }
}

/**
 * All foreign keys between moved tables.
 *
 * @param untilWell does something while all writers of the target stand, until it returns null; between two times they pass fresh markers
 * @throws orphans
 */
export async function verifyForeignKeys(
  target: Side & { name: string },
  source: Side,
  plans: readonly TablePlan[],
  untilWell: (look: () => Promise<string | null>) => Promise<void>,
): Promise<void> {
  for (const key of await foreignKeys(target)) {
    const plan = plans.find(({ name }) => name === key.table)
    if (plan === undefined || !plans.some(({ name }) => name === key.referenced)) continue
    for await (const found of orphansBy(key, plan, target, source)) {
      const check = new OrphanCheck(found, target.name, (standing) => stillOrphans(standing, target, source))
      await untilWell(() => check.look())
    }
  }
}

/** Rows of the target that have no other row by this key, though they do on the source: some at a time, in the order of their keys. */
export async function* orphansBy(by: ForeignKey, plan: TablePlan, target: Side, source: Side): AsyncGenerator<Orphans> {
  for (let after: string | null = null; ;) {
    const here = await referring(target, by, plan, 'IS NULL', after === null ? null : { after })
    const more = here.length === pageRows
    const keys = await metOn(source, by, plan, here)
    if (keys.length > 0) yield { by, plan, keys, more }
    if (!more) return
    after = here.at(-1) ?? null
  }
}

/** Those of them that are so still. */
async function stillOrphans(found: Orphans, target: Side, source: Side): Promise<Orphans> {
  const here = found.keys.length === 0 ? [] : await referring(target, found.by, found.plan, 'IS NULL', { among: found.keys })
  return { ...found, keys: await metOn(source, found.by, found.plan, here) }
}

/** Those whose other row stands on the source. */
async function metOn(source: Side, by: ForeignKey, plan: TablePlan, keys: readonly string[]): Promise<readonly string[]> {
  return keys.length === 0 ? [] : referring(source, by, plan, 'IS NOT NULL', { among: keys })
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

/** Keys of rows whose other row is there or not. A NULL among the columns refers to nothing by right. In the order of the key, which needs no sorting and ends with the page. */
async function referring(
  { conn, schema }: Side,
  key: ForeignKey,
  plan: TablePlan,
  other: 'IS NULL' | 'IS NOT NULL',
  which: { readonly after: string } | { readonly among: readonly string[] } | null,
): Promise<string[]> {
  const walked = {
    keyColumns: plan.keyColumns.map((column) => `c.${column}`),
    keyCompared: plan.columns.slice(0, plan.keyWidth).map(({ definition }) => comparedColumn(definition, 'c.')),
    keyDescending: plan.keyDescending,
  }
  const list = plan.columns.slice(0, plan.keyWidth).map(({ definition }) => canonicalExpression(definition, 'c.'))
  const on = key.columns.map((column, i) => `p.${quoteIdentifier(key.referencedColumns[i] ?? '')} = c.${quoteIdentifier(column)}`)
  const conditions = key.columns.map((column) => asBytes(`c.${quoteIdentifier(column)} IS NOT NULL`))
  conditions.push(asBytes(`p.${quoteIdentifier(key.referencedColumns[0] ?? '')} ${other}`))
  if (which !== null && 'after' in which) conditions.push(rangeCondition(walked, splitLiterals(which.after), null))
  else if (which !== null) conditions.push(`(${which.among.map((literals) => equals(walked.keyCompared, literals)).join(' OR ')})`)
  const from = `${quoteQualified(schema, key.table)} c LEFT JOIN ${quoteQualified(schema, key.referenced)} p ON ${on.join(' AND ')}`
  const sql = `SELECT ${asBytes(list.join())} FROM ${asBytes(from)} WHERE ${conditions.join(' AND ')} ORDER BY ${orderBy(walked)} LIMIT ${pageRows}`
  const encoder = new RowEncoder(plan, 'selected')
  const columns = [...list.keys()]
  const keys: string[] = []
  for await (const batch of await conn.rows(Buffer.from(sql, 'latin1'))) {
    for (let row = 0; row < batch.length; row++) {
      const out = Buffer.allocUnsafe(encoder.bytesMaxOf(batch, row, columns) + columns.length)
      keys.push(out.toString('latin1', 0, encoder.encodeSome(batch, row, columns, out, 0)))
    }
  }
  return keys
}

/** Spelled out: row constructors are not used for ranges by every version. */
function equals(columns: readonly string[], literals: string): string {
  return `(${splitLiterals(literals)
    .map((literal, i) => `${asBytes(columns[i] ?? '')} = ${literal}`)
    .join(' AND ')})`
}
