/**
 * Whether a target's column holds every value of the source's exactly as it is written: numbers and bytes, as rows are moved (PROTOCOLS 1.1). Pure.
 *
 * - Text is bytes of its character set, so the sets must be one, or the target's must read the same bytes as the same characters.
 * - ENUM and SET are written by index and bit mask: the source's members must stand first on the target, in their order.
 * - Collations must be equal, of keys and of all else: a target that takes two values of a unique key for one, which the source holds apart, would have REPLACE remove a row in
 *   silence (1.12), and which columns are in a unique key changes by DDL on either side.
 * - Generated ones are made up by each server, of what was moved; of another type, a unique key may take two of them for one (what they are made of: `unique-keys.ts`).
 * - Wider is well: more bytes, digits before the point, fractions of a second. Narrower is not, whatever rows there are now.
 */
import type { ColumnDefinition } from '../binlog/source.ts'

/** In what the target's column does not fit; null: it does. */
export function columnMisfit(source: ColumnDefinition, target: ColumnDefinition): string | null {
  if (source.generated !== target.generated) return target.generated ? 'it is generated there' : 'it is generated on the source only'
  if (source.nullable && !target.nullable) return 'it takes no NULL there'
  if (!holdsCharset(source.charset, target.charset))
    return `its character set there is ${target.charset ?? 'none'}, not ${source.charset ?? 'none'}`
  if (comparison(source) !== comparison(target))
    return `its collation there is ${target.collation ?? 'none'}, not ${source.collation ?? 'none'}`
  return holdsType(source, target) ? null : `it is ${target.columnType} there, not ${source.columnType}`
}

const sizes: readonly (readonly string[])[] = [
  ['tinyint', 'smallint', 'mediumint', 'int', 'bigint'],
  ['tinytext', 'text', 'mediumtext', 'longtext'],
  ['tinyblob', 'blob', 'mediumblob', 'longblob'],
]
/** MySQL's and MariaDB's names of one type. */
const synonyms: Readonly<Record<string, string>> = { geomcollection: 'geometrycollection', integer: 'int', numeric: 'decimal' }

function holdsType(source: ColumnDefinition, target: ColumnDefinition): boolean {
  const [from, to] = [typeOf(source), typeOf(target)]
  if (from.unsigned !== to.unsigned) return false
  const family = sizes.find((names) => names.includes(from.name))
  if (family !== undefined) return family.indexOf(to.name) >= family.indexOf(from.name)
  if (from.name !== to.name) return false
  switch (from.name) {
    case 'enum':
    case 'set':
      return to.inside === from.inside || to.inside.startsWith(`${from.inside},`)
    case 'decimal': {
      const [digits = 10, scale = 0] = from.numbers
      const [digitsThere = 10, scaleThere = 0] = to.numbers
      return scale === scaleThere && digitsThere >= digits
    }
    case 'varchar':
    case 'char':
    case 'varbinary':
    case 'datetime':
    case 'timestamp':
    case 'time':
      return (to.numbers[0] ?? 0) >= (from.numbers[0] ?? 0)
    case 'binary':
    case 'bit':
    case 'vector':
    case 'float':
    case 'double':
      return to.inside === from.inside
    default:
      // The rest have no sizes, or such that only say how a value is shown.
      return true
  }
}

function typeOf({ dataType, columnType }: ColumnDefinition): { name: string; inside: string; numbers: number[]; unsigned: boolean } {
  const open = columnType.indexOf('(')
  const close = columnType.lastIndexOf(')')
  const inside = open < 0 ? '' : columnType.slice(open + 1, close)
  return {
    name: synonyms[dataType] ?? dataType,
    inside,
    numbers: /^[\d,]+$/.test(inside) ? inside.split(',').map(Number) : [],
    unsigned: /\bunsigned\b/i.test(open < 0 ? columnType : columnType.slice(close + 1)),
  }
}

/** A collation's name without that of its set. */
function comparison({ charset, collation }: ColumnDefinition): string | null {
  return collation === null || charset === null || !collation.startsWith(`${charset}_`) ? collation : collation.slice(charset.length)
}

/** Whether bytes of the one are the same text in the other. */
function holdsCharset(from: string | null, to: string | null): boolean {
  if (from === to) return true
  if (from === 'ascii') return to === 'utf8mb3' || to === 'utf8mb4' || to === 'latin1'
  return from === 'utf8mb3' && to === 'utf8mb4'
}

/** Whether values of a column, their order or what it takes for equal may be others since it was altered. Wider is the same. */
export function valuesMoved(was: ColumnDefinition | undefined, now: ColumnDefinition | undefined): boolean {
  if (was === undefined || now === undefined) return true
  return was.charset !== now.charset || was.generated !== now.generated || columnMisfit({ ...was, nullable: now.nullable }, now) !== null
}
