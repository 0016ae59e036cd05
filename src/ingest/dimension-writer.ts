/**
 * Rows of dimension tables that the movement engine brings, merged as a fleet merges records (PROTOCOLS 4.9, 4.13): the same upsert, made of the same parts.
 *
 * Two things are the copier's alone. An image of the version that stands is taken: it is the same record's row, and where somebody besides the fleets has
 * changed it since, the newer image of the two, as one source's images come in order. And columns that the definition does not name are set: only the
 * source's writers write those. The fleet's own upsert keeps a version that stands, so a record that it reads later never takes such a change back.
 */
import type { FlavourName } from '../mysql/connection.ts'
import { flavourNamed } from '../mysql/flavour/flavour.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import type { TableMerge } from '../topology/records.ts'
import { parseDecimal } from './decimal.ts'
import { assignment } from './upsert.ts'

type CellOf = (column: number) => Buffer | null
type WrittenTable = {
  readonly name: string
  readonly columns: readonly { readonly name: string; readonly dataType: string; readonly key: boolean }[]
  readonly merge: TableMerge
}

/** The `MergeWriter` of `move/`. */
export function dimensionWriter(
  { name, columns, merge }: WrittenTable,
  flavour: FlavourName,
): { onDuplicate: string; refuses: (before: CellOf, after: CellOf) => string | null } {
  const server = flavourNamed(flavour)
  const ways = new Map(Object.entries(merge.columns).map(([column, way]) => [column.toLowerCase(), way]))
  const version = merge.lastVersion?.toLowerCase() ?? null
  const wayOf = (column: string): 'last' | 'min' | 'max' | 'version' | 'set' => {
    const lower = column.toLowerCase()
    return lower === version ? 'version' : (ways.get(lower) ?? 'set')
  }
  const places = columns.map((column, place) => ({ ...column, place, way: wayOf(column.name), quoted: quoteIdentifier(column.name) }))
  const merged = places.filter(({ key }) => !key)
  const versions = { last: places.find(({ way }) => way === 'version')?.quoted ?? '', first: '' }
  const assignments = merged
    .toSorted((a, b) => Number(a.way === 'version') - Number(b.way === 'version'))
    .map(({ quoted, way }) =>
      way === 'set'
        ? `${quoted}=${server.upsertValue(quoted)}`
        : assignment({ table: name, quoted, merge: way === 'version' ? 'lastVersion' : way, versions, sameVersion: 'taken' }, server),
    )
  // A table of keys alone: the row is there, that is all.
  const [key = ''] = places.map(({ quoted }) => quoted)
  if (assignments.length === 0) assignments.push(`${key}=${quoteIdentifier(name)}.${key}`)
  return {
    onDuplicate: `${server.upsertAlias} ON DUPLICATE KEY UPDATE ${assignments.join(',')}`,
    refuses(before, after) {
      for (const { place, way, name: column, dataType } of merged) {
        if (way === 'last' || way === 'set') continue
        const [was, is] = [before(place), after(place)]
        if (was === null) continue
        if (is === null) return `${column} was set to NULL`
        const order = compareCells(dataType, was, is)
        if (way === 'min' ? order < 0 : order > 0)
          return `${column} went ${way === 'min' ? 'up' : 'back'}${way === 'version' ? ', to an older version' : ` from ${was.toString()} to ${is.toString()}, and merges by ${way}`}`
      }
      return null
    },
  }
}

const integers = /^(?:tiny|small|medium|big)?int(?:eger)?$|^year$/

/** Canonical values in their column's order: numbers by value; instants and bytes by their bytes. */
function compareCells(dataType: string, a: Buffer, b: Buffer): number {
  if (integers.test(dataType)) return sign(BigInt(a.toString()) - BigInt(b.toString()))
  if (dataType === 'decimal' || dataType === 'numeric') {
    const [x, y] = [a, b].map((text) => parseDecimal(text.toString(), decimalPlaces))
    return x == null || y == null ? Buffer.compare(a, b) : sign(BigInt(x) - BigInt(y))
  }
  if (dataType === 'float' || dataType === 'double') return Number(a.toString()) - Number(b.toString())
  return Buffer.compare(a, b)
}

/** The most that a DECIMAL has. */
const decimalPlaces = 38

function sign(difference: bigint): number {
  return difference === 0n ? 0 : difference < 0n ? -1 : 1
}
