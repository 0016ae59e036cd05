/**
 * Merged rows as the statements that merge them into what stands on the shard (PROTOCOLS 4.9). All merging is the server's, in one upsert, except that
 * of sketches, which no SQL can do: these are read FOR UPDATE in the same transaction, merged here and written back. That is a value read *under*
 * the row's lock, not before it: from the read to the commit nobody else changes the row. A row that is not there yet cannot be locked: it goes in by a plain
 * INSERT, and should another consumer have inserted it in between, that one is refused, and the transaction is rolled back and taken again. (Counts of affected rows
 * would not tell: a row that is left as it was counts 1, like a new one.)
 */
import type { Flavour } from '../mysql/flavour/flavour.ts'
import { quoteIdentifier, quoteQualified } from '../sql/quote.ts'
import type { Cell } from './codec.ts'
import type { MergedRow } from './coalesce.ts'
import { DDSketch } from './ddsketch.ts'
import { encodeVersion, type OrderVersion } from './order-version.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'
import { fleetMark } from './tables.ts'

export type TableStatements = {
  readonly plan: TablePlan
  readonly head: string
  readonly tail: string
}

type UpsertFlavour = Pick<Flavour, 'upsertAlias' | 'upsertValue'>

/** The fixed parts of a table's INSERT on one shard. */
export function tableStatements(plan: TablePlan, schema: string, flavour: UpsertFlavour): TableStatements {
  const head = `${fleetMark} INSERT INTO ${quoteQualified(schema, plan.name)} (${plan.columns.map(({ codec }) => codec.quoted).join(',')}) VALUES `
  if (plan.definition.kind === 'row') return { plan, head, tail: '' }
  const versions = { last: versionColumn(plan, 'lastVersion'), first: versionColumn(plan, 'firstVersion') }
  const assignments = plan.columns
    .slice(plan.keyWidth)
    .map(({ codec, merge }) => assignment({ table: plan.name, quoted: codec.quoted, merge, versions }, flavour))
  // A table of keys alone: the row is there, that is all.
  const key = plan.columns[0]?.codec.quoted ?? ''
  const list = assignments.length > 0 ? assignments.join(',') : `${key}=${quoteIdentifier(plan.name)}.${key}`
  return { plan, head, tail: `${flavour.upsertAlias} ON DUPLICATE KEY UPDATE ${list}` }
}

export type Assigned = {
  readonly table: string
  readonly quoted: string
  readonly merge: PlannedColumn['merge']
  /** Quoted columns that keep the order of `last` and `first`; '' where the table has none. */
  readonly versions: { readonly last: string; readonly first: string }
  /** Of `last`: whether a row of the same version is taken too. A record never is; whoever copies rows may bring a newer image of one (4.13). */
  readonly sameVersion?: 'kept' | 'taken'
}

/** What an INSERT that meets a row does to one of its columns. Versions come after all columns that they decide on: servers assign from left to right. */
export function assignment({ table, quoted, merge, versions, sameVersion = 'kept' }: Assigned, flavour: UpsertFlavour): string {
  const stands = (column: string): string => `${quoteIdentifier(table)}.${column}`
  const old = stands(quoted)
  const next = flavour.upsertValue(quoted)
  switch (merge) {
    case 'sum':
    case 'count':
      return `${quoted}=${old}+${next}`
    case 'min':
      return `${quoted}=IF(${next} IS NULL OR ${old}<=${next},${old},${next})`
    case 'max':
      return `${quoted}=IF(${next} IS NULL OR ${old}>=${next},${old},${next})`
    case 'last':
      // An empty version is a row that no record has written.
      return `${quoted}=IF(${flavour.upsertValue(versions.last)}${sameVersion === 'taken' ? '>=' : '>'}${stands(versions.last)},${next},${old})`
    case 'first':
      return `${quoted}=IF(${stands(versions.first)}='' OR ${flavour.upsertValue(versions.first)}<${stands(versions.first)},${next},${old})`
    case 'lastVersion':
      return `${quoted}=GREATEST(${old},${next})`
    case 'firstVersion':
      return `${quoted}=IF(${old}='',${next},LEAST(${old},${next}))`
    case 'sketch':
      return `${quoted}=${next}`
    case 'key':
    case 'value':
      return `${quoted}=${old}`
  }
}

function versionColumn(plan: TablePlan, merge: 'lastVersion' | 'firstVersion'): string {
  return plan.columns.find((column) => column.merge === merge)?.codec.quoted ?? ''
}

/** Statements of at most `rowsMax` rows and about `charsMax` characters each. */
export function insertStatements(
  { plan, head, tail }: TableStatements,
  rows: readonly MergedRow[],
  limits = { rowsMax: 1000, charsMax: 1 << 20 },
): { sql: string; rows: MergedRow[] }[] {
  const out: { sql: string; rows: MergedRow[] }[] = []
  let parts: string[] = []
  let chars = 0
  let from = 0
  const end = (to: number): void => {
    if (parts.length > 0) out.push({ sql: head + parts.join(',') + tail, rows: rows.slice(from, to) })
    parts = []
    chars = 0
    from = to
  }
  for (let at = 0; at < rows.length; at++) {
    const text = rowLiteral(plan, rows[at] as MergedRow)
    if (parts.length >= limits.rowsMax || (chars > 0 && chars + text.length > limits.charsMax)) end(at)
    parts.push(text)
    chars += text.length
  }
  end(rows.length)
  return out
}

export function rowLiteral(plan: TablePlan, { cells }: MergedRow): string {
  let text = '('
  for (let i = 0; i < plan.columns.length; i++) {
    const cell = cells[i]
    const { codec, merge } = plan.columns[i] as PlannedColumn
    if (i > 0) text += ','
    if (merge === 'sketch') text += `x'${(cell as DDSketch).hex()}'`
    else if (merge === 'lastVersion' || merge === 'firstVersion') text += `x'${encodeVersion(cell as OrderVersion).toString('hex')}'`
    else text += codec.literal(cell as Cell)
  }
  return text + ')'
}

/** Locks the rows that are there and reads their sketches. Keys as ORs of equalities: both flavours make ranges of the key of them. */
export function selectSketches(plan: TablePlan, schema: string, rows: readonly MergedRow[]): string {
  const keys = plan.columns.slice(0, plan.keyWidth).map(({ codec }) => codec)
  const conditions = rows.map(
    ({ cells }) => `(${keys.map((codec, i) => `${codec.quoted}=${codec.literal(cells[i] as Cell)}`).join(' AND ')})`,
  )
  const columns = [...keys.map(({ quoted }) => quoted), ...plan.sketches.map((i) => plan.columns[i]?.codec.quoted)]
  return `SELECT ${columns.join(',')} FROM ${quoteQualified(schema, plan.name)} WHERE ${conditions.join(' OR ')} FOR UPDATE`
}

/**
 * The rows as they are to be written: with what `selectSketches` read merged in. The rows given stay as they are: after a rollback
 * they are merged anew with what stands then.
 *
 * @returns `there`: rows that stand, and are locked; `fresh`: rows that did not
 */
export function mergeSketches(
  plan: TablePlan,
  rows: readonly MergedRow[],
  found: readonly (Buffer | null)[][],
): { there: MergedRow[]; fresh: MergedRow[] } {
  const stored = new Map<string, (Buffer | null)[]>()
  for (const cells of found) {
    let identity = ''
    for (let i = 0; i < plan.keyWidth; i++) {
      const { codec } = plan.columns[i] as PlannedColumn
      identity += (i === 0 ? '' : ',') + codec.identity(codec.read(cells[i] ?? null))
    }
    stored.set(identity, cells)
  }
  const there: MergedRow[] = []
  const fresh: MergedRow[] = []
  for (const row of rows) {
    const before = stored.get(row.identity)
    if (before === undefined) {
      fresh.push(row)
      continue
    }
    const cells = row.cells.slice()
    for (const [n, i] of plan.sketches.entries()) {
      const bytes = before[plan.keyWidth + n] ?? null
      if (bytes === null || bytes.length === 0) continue
      const sketch = DDSketch.decode(bytes)
      sketch.merge(row.cells[i] as DDSketch)
      cells[i] = sketch
    }
    there.push({ identity: row.identity, cells })
  }
  return { there, fresh }
}
