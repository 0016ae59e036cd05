/**
 * A round as statements. All deletes come before all upserts, everywhere: keys that differ in bytes may be equal to the target's
 * collation (PROTOCOLS 1.5).
 *
 * One source: deletes by key, REPLACE of full images (unique values may wander between rows of one round: REPLACE removes the row that
 * still holds one, and that row, changed in the same round, comes back by its own REPLACE).
 * Several sources (1.6): every key of the round is deleted, but only where the row's shard key is one of this key's own images, so
 * another stream's row stays; then plain INSERTs, whose 1062 says that another stream is not so far yet.
 *
 * Whose a row is, is asked of the bytes of its shard key, never of their collation. A row stands on the source that its keyspace id says, which most vindexes make of
 * bytes: 'bob' and 'Bob' may be rows of two sources, and are one to a collation. Equal bytes are one keyspace id, so a stream's statement matches no other's row; and the
 * target has a source's bytes unchanged, so it matches its own: the row at X has the first image's, or, after a crash, any later one's. The key needs no such care: rows
 * of one source that its collation equates can't both be, and those of two are told apart by the shard key.
 */
import { quoteQualified } from '../sql/quote.ts'
import { fieldsIn, fieldsMax } from './json-literal.ts'
import { imagesBytes, type Change, type Round, type RowLiteral } from './pending.ts'
import type { StatementBytes } from '../mysql/statement.ts'
import { LiteralKind, type TablePlan } from './table-plan.ts'

export type WriteMode = 'one-source' | 'several-sources'

export const statementBytesMax = 1 << 20
const deleteKeysMax = 500
const rowsMax = 2000

/** `rows`: of each of the upserts, what it writes. */
export type LaneStatements = { deletes: Buffer[]; upserts: StatementBytes[]; rows: (readonly Change[])[] }

/** The statements of a round, split among lanes by key. */
export function roundStatements(round: Round, mode: WriteMode, schema: string, lanes: number): LaneStatements[] {
  const perLane = Array.from({ length: lanes }, (): LaneStatements => ({ deletes: [], upserts: [], rows: [] }))
  for (const [table, changes] of round.changes) {
    const split = Array.from({ length: lanes }, () => ({ deletes: [] as Change[], upserts: [] as Change[] }))
    for (const change of changes.values()) {
      const lane = split[lanes === 1 ? 0 : hashKey(change.key) % lanes]
      if (lane === undefined) continue
      if (change.row !== null) lane.upserts.push(change)
      // Another source's row of a merged table is no obstacle: rows meet in the upsert.
      if (change.row === null || (mode === 'several-sources' && table.merged === null)) lane.deletes.push(change)
    }
    for (const [i, { deletes, upserts }] of split.entries()) {
      const lane = perLane[i]
      if (lane === undefined) continue
      if (deletes.length > 0) lane.deletes.push(...deleteStatements(table, deletes, mode, schema))
      for (const { statement, changes } of upsertStatements(table, upserts, mode, schema)) {
        lane.upserts.push(statement)
        lane.rows.push(changes)
      }
    }
  }
  return perLane
}

/** `INSERT INTO … (…) VALUES ` or the same with REPLACE, as latin1 text of its utf8 bytes. */
export function insertHead(table: TablePlan, verb: 'INSERT' | 'REPLACE', schema: string): string {
  return asBytes(`${table.merged === null ? verb : 'INSERT'} INTO ${quoteQualified(schema, table.name)} (${table.columnList}) VALUES `)
}

/** What follows the rows. */
export function insertTail(table: TablePlan): string[] {
  return table.merged === null ? [] : [asBytes(table.merged.onDuplicate)]
}

/** @param atOnceMax rows of a statement */
export function upsertStatements(
  table: TablePlan,
  changes: readonly Change[],
  mode: WriteMode,
  schema: string,
  atOnceMax = rowsMax,
): { readonly statement: StatementBytes; readonly changes: readonly Change[] }[] {
  const head = insertHead(table, mode === 'one-source' ? 'REPLACE' : 'INSERT', schema)
  const tail = insertTail(table)
  const documents = table.columns.some(({ kind }) => kind === LiteralKind.mysqlJson)
  const weightOf = ({ row }: Change): number =>
    row === null ? 0 : row.length + (documents ? fieldsIn(row) * Math.ceil(statementBytesMax / fieldsMax) : 0)
  return batches(changes, atOnceMax, weightOf, (batch) => ({
    statement: statementOf([head, ...batch.flatMap(({ row }, i) => (i === 0 ? [row ?? ''] : [',', row ?? ''])), ...tail]),
    changes: batch,
  }))
}

function deleteStatements(table: TablePlan, changes: readonly Change[], mode: WriteMode, schema: string): Buffer[] {
  const owned = mode === 'several-sources' && !table.reference && table.shardKeyColumns.length > 0
  const from = quoteQualified(schema, table.name)
  // Of a table that it takes for small a server reads every row, and waits for those that other streams are writing (rounds of merges stood for 14 s).
  // Only this form of DELETE takes an index.
  const head = asBytes(
    owned && table.keyIsPrimary ? `DELETE ${from} FROM ${from} FORCE INDEX (PRIMARY) WHERE ` : `DELETE FROM ${from} WHERE `,
  )
  const columns = table.keyCompared.map(asBytes)
  // MySQL compares an ENUM by its text, not its index, when two or more row constructors are given: nothing is found (*tried*, 9.7.4).
  const indexed = [...table.columns.slice(0, table.keyWidth), ...table.shardKey.map(({ index }) => table.columns[index])].some((column) =>
    /^(enum|set)$/.test(column?.definition.dataType ?? ''),
  )
  return batches(changes.flatMap(inPieces), deleteKeysMax, deleteBytes, (batch) => {
    const ownedColumns = asBytes(table.ownerColumns.join(','))
    if (columns.length === 1 && !(owned && indexed)) {
      const among = `${columns[0]} IN (${batch.map((change) => change.key).join(',')})`
      if (!owned) return bytesOfTexts([head, among])
      const pairs = batch.flatMap((change) => (change.images ?? []).map((image) => `(${change.key},${image})`))
      return bytesOfTexts([`${head}${among} AND (${columns[0]},${ownedColumns}) IN (${pairs.join(',')})`])
    }
    // Row constructors are not used for ranges by every version: spelled out, they are.
    const conditions = batch.map((change) => {
      const key = keyCondition(columns, splitLiterals(change.key))
      if (!owned) return `(${key})`
      return `(${key} AND ${ownImage(table, change.images ?? [])})`
    })
    return bytesOfTexts([head, conditions.join(' OR ')])
  })
}

function deleteBytes({ key, images }: Change): number {
  return key.length * (2 + (images?.length ?? 0)) + imagesBytes(images)
}

/** A key whose row had so many shard keys that they are more than one statement may take is deleted by several, each for some of them. */
function inPieces(change: Change): Change[] {
  const { images } = change
  if (images === null || deleteBytes(change) <= statementBytesMax) return [change]
  const length = Math.max(1, Math.floor((images.length * statementBytesMax) / deleteBytes(change)))
  return Array.from({ length: Math.ceil(images.length / length) }, (_, i) => ({
    ...change,
    images: images.slice(i * length, (i + 1) * length),
  }))
}

/** Whether the row's shard key is one of these, without row constructors. */
function ownImage(table: TablePlan, images: readonly string[]): string {
  const columns = table.ownerColumns.map(asBytes)
  if (columns.length === 1) return `${columns[0]} IN (${images.join(',')})`
  return `(${images.map((image) => `(${keyCondition(columns, splitLiterals(image))})`).join(' OR ')})`
}

function keyCondition(columns: readonly string[], literals: readonly string[]): string {
  return columns.map((column, i) => `${column} = ${literals[i] ?? 'NULL'}`).join(' AND ')
}

/** Cuts `1,'a,b',f(2,3)` at the commas outside quotes and parentheses. */
export function splitLiterals(text: string): string[] {
  const parts: string[] = []
  let from = 0
  let quoted = false
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (char === 0x5c && quoted) i++
    else if (char === 0x27) quoted = !quoted
    else if (char === 0x28 && !quoted) depth++
    else if (char === 0x29 && !quoted) depth--
    else if (char === 0x2c && !quoted && depth === 0) {
      parts.push(text.slice(from, i))
      from = i + 1
    }
  }
  parts.push(text.slice(from))
  return parts
}

/** The key by which a table is walked (table-plan.ts). */
type WalkedKey = Pick<TablePlan, 'keyColumns' | 'keyCompared' | 'keyDescending'>

/**
 * Rows after a key in the key's own order: `lo < key <= hi`, either side open when null. Spelled out because servers do not use row
 * constructors for ranges; the leading `a >= x` lets the key be used. Where columns of the index lie in both directions, "after" is so too: in one direction
 * each chunk would sort the rest of the table.
 */
export function rangeCondition(key: Omit<WalkedKey, 'keyColumns'>, lo: readonly string[] | null, hi: readonly string[] | null): string {
  const conditions: string[] = []
  if (lo !== null) conditions.push(beyond(key, lo, 'after'))
  if (hi !== null) conditions.push(beyond(key, hi, 'upTo'))
  return conditions.join(' AND ')
}

function beyond({ keyCompared, keyDescending }: Omit<WalkedKey, 'keyColumns'>, bound: readonly string[], side: 'after' | 'upTo'): string {
  const names = keyCompared.map(asBytes)
  const operators = names.map((_, i) => ((side === 'after') === (keyDescending[i] === true) ? '<' : '>'))
  const orEqual = side === 'upTo'
  const last = names.length - 1
  if (last === 0) return `${names[0]} ${operators[0]}${orEqual ? '=' : ''} ${bound[0]}`
  const alternatives = names.map((name, i) => {
    const equal = names
      .slice(0, i)
      .map((before, j) => `${before} = ${bound[j]} AND `)
      .join('')
    return `(${equal}${name} ${operators[i]}${orEqual && i === last ? '=' : ''} ${bound[i]})`
  })
  return `${names[0]} ${operators[0]}= ${bound[0]} AND (${alternatives.join(' OR ')})`
}

/** latin1 view of a text's utf8 bytes: what statements for a binary session are put together from. */
export function asBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

export function orderBy({ keyColumns, keyDescending }: Omit<WalkedKey, 'keyCompared'>): string {
  return keyColumns.map((column, i) => `${asBytes(column)}${keyDescending[i] === true ? ' DESC' : ''}`).join(',')
}

function batches<Printed>(
  changes: readonly Change[],
  countMax: number,
  bytesOf: (change: Change) => number,
  print: (batch: Change[]) => Printed,
): Printed[] {
  const statements: Printed[] = []
  let batch: Change[] = []
  let bytes = 0
  const flush = (): void => {
    if (batch.length > 0) statements.push(print(batch))
    batch = []
    bytes = 0
  }
  for (const change of changes) {
    const size = bytesOf(change)
    if (batch.length >= countMax || (bytes > 0 && bytes + size > statementBytesMax)) flush()
    batch.push(change)
    bytes += size
  }
  flush()
  return statements
}

/** A row of bytes goes as it is, between what stands around it. */
function statementOf(parts: readonly RowLiteral[]): StatementBytes {
  if (parts.every((part) => typeof part === 'string')) return bytesOfTexts(parts)
  return parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part))
}

/** Texts that are views of bytes, put together as bytes: as one text a row of 16 MiB would be in memory once more. */
function bytesOfTexts(texts: readonly string[]): Buffer {
  const out = Buffer.allocUnsafe(texts.reduce((bytes, text) => bytes + text.length, 0))
  let at = 0
  for (const text of texts) at += out.write(text, at, 'latin1')
  return out
}

/** Which lane a key belongs to: the end of its text varies most. */
function hashKey(key: string): number {
  let hash = 0x811c9dc5
  for (let i = Math.max(0, key.length - 24); i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
