/**
 * Values of one key that stand on two sources of a merge (merge-checks.ts). Whole numbers are the same on every server, so they are compared here:
 * each source is read once, however many it meets (docs/performance.md has what that saves).
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import type { SchemaInfo, TableInfo, TableKey } from '../mysql/table-info.ts'
import { quoteIdentifier, quoteQualified } from '../sql/quote.ts'
import { literalSql, shownSql, shownTogetherSql } from './key-parts.ts'

export type MergeSource = { readonly shard: string; readonly schema: SchemaInfo; readonly connection: Connection }
export type Pair = readonly [MergeSource, MergeSource]
export type Until = { readonly clock: Clock; readonly atMs: number }
export type Collision = { readonly one: MergeSource; readonly other: MergeSource; readonly shown: string[]; readonly more: boolean }
export type Found = { readonly collisions: Collision[]; readonly unseen: { one: MergeSource; other: MergeSource }[] }

/** One value of a key: a literal for each of its columns. */
type Tuple = readonly string[]

const lookedUpRows = 500
const pageRows = 5_000
export const samplesMax = 20
/** Of a pair, values that were met once and are to be looked at again. */
const suspectsMax = 1_000
const looksAgain = 4
export const lookAgainMs = 150

/** How values of a key are read and looked up. */
export class KeyValues {
  readonly #table: string
  readonly #key: TableKey
  readonly #columns: readonly string[]
  readonly #list: string
  readonly #notNull: string
  readonly #selected: string
  readonly #shown: string

  constructor(table: TableInfo, key: TableKey) {
    const names = key.parts.flatMap((part) => (part.column === null ? [] : [part.column]))
    const columns = names.map(quoteIdentifier)
    this.#table = table.name
    this.#key = key
    this.#columns = columns
    this.#list = columns.join(', ')
    this.#notNull = columns.map((column) => `${column} IS NOT NULL`).join(' AND ')
    this.#selected = names.map((name, i) => `${literalSql(table, name)} AS c${i}`).join(', ')
    this.#shown = `${shownTogetherSql(names.map((name) => shownSql(table, name)))} AS v`
  }

  /** The next values of a source in key order. */
  async page(source: MergeSource, after: Tuple | null, rowsMax: number): Promise<Tuple[]> {
    const where = after === null ? this.#notNull : `${this.#notNull} AND ${behindSql(this.#columns, after)}`
    const rows = await source.connection.allText(
      `SELECT ${this.#selected} FROM ${this.#from(source)}${this.#byIndex(source)} WHERE ${where} ORDER BY ${this.#list} LIMIT ${rowsMax}`,
    )
    return rows.map((row) => this.#tuple(row))
  }

  /** Those of the values that stand on both, looked at several times; as they are shown. */
  async met(one: MergeSource, other: MergeSource, values: readonly Tuple[], clock: Clock): Promise<string[]> {
    let hits = await this.#among(other, values)
    for (let look = 0; look < looksAgain && hits.length > 0; look++) {
      await clock.sleep(lookAgainMs)
      hits = await this.#among(
        other,
        (
          await this.#among(
            one,
            hits.map(({ tuple }) => tuple),
          )
        ).map(({ tuple }) => tuple),
      )
    }
    return hits.map(({ shown }) => shown)
  }

  async #among(source: MergeSource, values: readonly Tuple[]): Promise<{ tuple: Tuple; shown: string }[]> {
    if (values.length === 0) return []
    const rows = await source.connection.allText(
      `SELECT ${this.#selected}, ${this.#shown} FROM ${this.#from(source)} WHERE ${this.#isOneOf(values)} LIMIT ${samplesMax}`,
    )
    return rows.map((row) => ({ tuple: this.#tuple(row), shown: row['v'] ?? '' }))
  }

  /** Column by column: in a list of rows MySQL takes texts of times for no times, and finds none. */
  #isOneOf(values: readonly Tuple[]): string {
    const [only, ...more] = this.#columns
    if (more.length === 0) return `${only} IN (${values.join(', ')})`
    return values.map((tuple) => `(${this.#columns.map((column, i) => `${column} = ${tuple[i]}`).join(' AND ')})`).join(' OR ')
  }

  #from(source: MergeSource): string {
    return quoteQualified(source.schema.name, this.#table)
  }

  /** Sorted by anything else long texts would be compared by their beginnings, and every page would be a scan. */
  #byIndex({ schema }: MergeSource): string {
    const same = (a: TableKey): boolean =>
      a.name === this.#key.name &&
      a.visible &&
      a.parts.map((part) => part.column).join('\0') === this.#key.parts.map((part) => part.column).join('\0')
    const there = schema.tables.find((info) => info.name === this.#table)?.keys.some(same) === true
    return there ? ` FORCE INDEX (${quoteIdentifier(this.#key.name)})` : ''
  }

  #tuple(row: Readonly<Record<string, string | null>>): Tuple {
    return this.#columns.map((_, i) => row[`c${i}`] ?? 'NULL')
  }
}

/** Column by column: of a comparison of rows servers make no range of an index. */
function behindSql(columns: readonly string[], after: Tuple): string {
  const [column, ...more] = columns
  const [literal, ...rest] = after
  if (column === undefined || literal === undefined) return 'FALSE'
  if (more.length === 0) return `${column} > ${literal}`
  return `${column} >= ${literal} AND (${column} > ${literal} OR (${column} = ${literal} AND ${behindSql(more, rest)}))`
}

/** Of each pair, the values of one looked up on the other, which compares by its own collation. */
export async function collisionsOfPairs(pairs: readonly Pair[], values: KeyValues, until: Until): Promise<Found> {
  const found: Found = { collisions: [], unseen: [] }
  for (const [one, other] of pairs) {
    const shown: string[] = []
    let after: Tuple | null = null
    for (;;) {
      if (until.clock.monotonicMs() >= until.atMs) {
        found.unseen.push({ one, other })
        break
      }
      const page: Tuple[] = await values.page(one, after, lookedUpRows)
      shown.push(...(await values.met(one, other, page, until.clock)))
      after = page.at(-1) ?? null
      if (page.length < lookedUpRows || shown.length >= samplesMax) break
    }
    if (shown.length > 0) found.collisions.push({ one, other, shown: shown.slice(0, samplesMax), more: shown.length >= samplesMax })
  }
  return found
}

type Cursor = { readonly source: MergeSource; page: { tuple: Tuple; numbers: readonly bigint[] }[]; at: number }

/** All sources at once, each read once: their sorted values are merged, and equal ones of a pair are its collisions. */
export async function collisionsOfNumbers(pairs: readonly Pair[], values: KeyValues, until: Until): Promise<Found> {
  const unseen = pairs.map(([one, other]) => ({ one, other }))
  if (until.clock.monotonicMs() >= until.atMs) return { collisions: [], unseen }
  const suspects = new Map<Pair, Tuple[]>(pairs.map((pair) => [pair, []]))
  const turn = async (cursor: Cursor, after: Tuple | null): Promise<void> => {
    const page = await values.page(cursor.source, after, pageRows)
    cursor.page = page.map((tuple) => ({ tuple, numbers: tuple.map(BigInt) }))
    cursor.at = 0
  }
  const cursors = [...new Set(pairs.flat())].map((source): Cursor => ({ source, page: [], at: 0 }))
  await Promise.all(cursors.map((cursor) => turn(cursor, null)))
  let open = cursors.filter((cursor) => cursor.page.length > 0)
  let seen = true
  while (open.length > 1) {
    let least = [open[0] as Cursor]
    for (const cursor of open.slice(1)) {
      const order = compare(cursor, least[0] as Cursor)
      if (order < 0) least = [cursor]
      else if (order === 0) least.push(cursor)
    }
    const tuple = least[0]?.page[least[0].at]?.tuple
    if (least.length > 1 && tuple !== undefined) note(suspects, least, tuple)
    for (const cursor of least) {
      const last = cursor.page[cursor.at++]?.tuple ?? null
      if (cursor.at < cursor.page.length) continue
      if (until.clock.monotonicMs() >= until.atMs) seen = false
      else if (cursor.page.length === pageRows) await turn(cursor, last)
      else cursor.page = []
    }
    if (!seen) break
    if (least.some((cursor) => cursor.page.length === 0)) open = open.filter((cursor) => cursor.page.length > 0)
  }
  const found: Found = { collisions: [], unseen: seen ? [] : unseen }
  for (const [[one, other], tuples] of suspects) {
    const shown = await values.met(one, other, tuples, until.clock)
    if (shown.length > 0) found.collisions.push({ one, other, shown, more: shown.length >= samplesMax || tuples.length >= suspectsMax })
  }
  return found
}

/** By their values at hand. */
function compare(a: Cursor, b: Cursor): number {
  const [x, y] = [a.page[a.at]?.numbers ?? [], b.page[b.at]?.numbers ?? []]
  for (let i = 0; i < x.length; i++) {
    const [left, right] = [x[i] as bigint, y[i] as bigint]
    if (left !== right) return left < right ? -1 : 1
  }
  return 0
}

/** Of each pair both of which have the value at hand. */
export function note<T>(suspects: ReadonlyMap<Pair, T[]>, equal: readonly { readonly source: MergeSource }[], value: T): void {
  const sources = new Set(equal.map(({ source }) => source))
  for (const [[one, other], values] of suspects)
    if (values.length < suspectsMax && sources.has(one) && sources.has(other)) values.push(value)
}
