/**
 * Unique keys of both sides (PROTOCOLS 1.5). With one source a target is written by REPLACE, which removes, in silence, whatever row holds a value of any of its
 * unique keys. Where the source has the key too, that row was changed by the same round or chunk's tail and comes back by its own REPLACE. Under a key that only the target has, two
 * rows of the source may be one, and one of them is gone for good; where other streams write beside (1.6), it would never be written.
 *
 * A key over values that the server makes by itself (a generated column, a key's part that is an expression) is another one where they are made otherwise: of `g AS (a)` rows are apart
 * that are one of `g AS (a % 10)`. Whether the one side stores what the other computes is all the same. Expressions are compared as a server prints them; where two print otherwise (of
 * two flavours, or versions), the target is asked to print the source's.
 *
 * A target may lack keys: they are built when the rows are there, or were left out by whoever made the table.
 */
import type { SwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'
import { moveErrors } from './errors.ts'
import { expressionsOf, madeOf, printedThere, type Made } from './made-values.ts'

/**
 * `of`: a column in small letters, or an expression in parentheses. `prefix`: of how many characters or bytes; null: the whole value. `made`: where the server makes its values, of what;
 * not in what earlier versions stored.
 */
export type UniquePart = { readonly of: string; readonly prefix: number | null; readonly made?: Made }
export type UniqueKey = { readonly name: string; readonly parts: readonly UniquePart[] }

/** By table, the primary key among them. */
export async function uniqueKeys(conn: Connection, schema: string): Promise<ReadonlyMap<string, readonly UniqueKey[]>> {
  const rows = await conn.allText(
    `SELECT TABLE_NAME AS t, INDEX_NAME AS name, COLUMN_NAME AS column_name, ${flavourOf(conn).keyPartExpression} AS expression, SUB_PART AS prefix
    FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ${quoteString(schema)} AND NON_UNIQUE = 0 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`,
  )
  const generated = await generatedColumns(conn, schema)
  const tables = new Map<string, UniqueKey[]>()
  for (const [table, parts] of Map.groupBy(rows, (row) => row.t ?? '')) {
    const own = generated.get(table)
    const keys = Map.groupBy(parts.map(partOf), (_, i) => parts[i]?.name ?? '')
    const isMade = parts.some(({ column_name: column }) => column === null || own?.has(column?.toLowerCase() ?? '') === true)
    const expressions = own !== undefined && isMade ? await expressionsOf(conn, schema, table, own) : new Map<string, string>()
    tables.set(
      table,
      [...keys].map(([name, key]) => ({ name, parts: key.map((part) => withMade(part, expressions)) })),
    )
  }
  return tables
}

/** In small letters. */
async function generatedColumns(conn: Connection, schema: string): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const rows = await conn.allText(
    `SELECT TABLE_NAME AS t, COLUMN_NAME AS c FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ${quoteString(schema)} AND EXTRA LIKE '% GENERATED%'`,
  )
  return new Map(
    [...Map.groupBy(rows, ({ t }) => t ?? '')].map(([table, own]) => [table, new Set(own.map(({ c }) => (c ?? '').toLowerCase()))]),
  )
}

function partOf(row: Readonly<Record<string, string | null>>): UniquePart {
  const prefix = row.prefix === null || row.prefix === undefined ? null : Number(row.prefix)
  return { of: row.column_name === null ? `(${row.expression ?? ''})` : (row.column_name ?? '').toLowerCase(), prefix }
}

function withMade(part: UniquePart, expressions: ReadonlyMap<string, string>): UniquePart {
  const made = madeOf(part.of, expressions)
  return made === null ? part : { ...part, made }
}

/** Keys of the target under which rows may meet that no key of the source holds apart. */
export function keysOfTargetOnly(source: readonly UniqueKey[], target: readonly UniqueKey[]): UniqueKey[] {
  return target.filter((key) => !source.some((own) => held(own, key, madeAlike)))
}

/** Rows that differ under `own` differ under `key`: it has all of its parts, as long or longer. */
function held(own: UniqueKey, key: UniqueKey, alike: (own: UniquePart, part: UniquePart) => boolean): boolean {
  return own.parts.every((mine) =>
    key.parts.some(
      (part) => part.of === mine.of && alike(mine, part) && (part.prefix === null || (mine.prefix !== null && part.prefix >= mine.prefix)),
    ),
  )
}

function madeAlike(own: UniquePart, part: UniquePart): boolean {
  return JSON.stringify(own.made) === JSON.stringify(part.made)
}

export type KeysOn = { readonly conn: Connection; readonly schema: string; readonly keys: readonly UniqueKey[] }

/** As `keysOfTargetOnly`, of two servers, which may print one expression otherwise. */
export async function keysLacking(table: string, source: KeysOn, target: KeysOn): Promise<UniqueKey[]> {
  const lacking = keysOfTargetOnly(source.keys, target.keys)
  if (!lacking.some(({ parts }) => parts.some(({ made }) => made !== undefined))) return lacking
  const printed = await printedThere(source, table, target)
  const there = source.keys.map((key) => ({
    ...key,
    parts: key.parts.map((part) => (part.made === undefined ? part : { ...part, made: printed(part.made) })),
  }))
  return keysOfTargetOnly([...source.keys, ...there], lacking)
}

export async function uniqueKeyFindings(table: string, source: KeysOn, target: KeysOn & { readonly name: string }): Promise<SwError[]> {
  const keys = [...target.keys, ...(await keysToCome(table, source, target))]
  return (await keysLacking(table, source, { ...target, keys })).map((key) => {
    const other = source.keys.flatMap((own) => (held(own, key, () => true) ? otherwiseMade(own, key) : []))[0]
    return other === undefined
      ? moveErrors.targetHasUniqueKey({ table, target: target.name, key: key.name, columns: key.parts.map(printPart).join(', ') })
      : moveErrors.targetColumnDiffers({
          column: other.column,
          table,
          target: target.name,
          reason: `it is made of ${other.there} there and of ${other.here} on the source, and rows are told apart by it in the unique key ${key.name}`,
        })
  })
}

/**
 * Keys of the source that the target lacks, as they would be there, of what its columns are made of: most wait for the end of the copy, and nobody looks again when they are built. Of columns
 * that it lacks, too, none.
 */
async function keysToCome(table: string, source: KeysOn, target: KeysOn): Promise<UniqueKey[]> {
  const there = new Set(target.keys.map(({ name }) => name))
  const absent = source.keys.filter(({ name, parts }) => !there.has(name) && parts.some(({ made }) => made !== undefined))
  if (absent.length === 0) return []
  const columns = absent.flatMap(({ parts }) => parts.flatMap(({ made }) => Object.keys(made ?? {})))
  const expressions = await expressionsOf(target.conn, target.schema, table, new Set(columns))
  return absent
    .map((key) => ({ ...key, parts: key.parts.map(({ of, prefix }) => withMade({ of, prefix }, expressions)) }))
    .filter(({ parts }, i) => parts.every(({ made }, n) => made !== undefined || absent[i]?.parts[n]?.made === undefined))
}

/** Columns by which two keys of one look are not one. */
function otherwiseMade(own: UniqueKey, key: UniqueKey): { column: string; here: string; there: string }[] {
  return own.parts.flatMap((mine) => {
    const part = key.parts.find(({ of }) => of === mine.of)
    if (part === undefined || madeAlike(mine, part)) return []
    return [...new Set([...Object.keys(mine.made ?? {}), ...Object.keys(part.made ?? {})])]
      .map((column) => ({ column, here: mine.made?.[column] ?? 'what is written', there: part.made?.[column] ?? 'what is written' }))
      .filter(({ here, there }) => here !== there)
  })
}

function printPart({ of, prefix }: UniquePart): string {
  return prefix === null ? of : `${of}(${prefix})`
}
