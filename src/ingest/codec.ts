/**
 * A column's values: what a definition gives, to the form in which they merge, to the literal that is sent. Everything that the server would
 * round, cut or refuse is refused here, by column, so that a bad value is told by its record and not by a batch.
 *
 * Forms: integers are `number` while exact, else `bigint`; decimals the bigint of all digits at the column's scale; instants Unix ms, cut (never
 * rounded) to what the column keeps; text and binary as they are.
 */
import type { VindexValue, VindexValueType } from '../keyspace/vindex.ts'
import type { TableColumn } from '../mysql/table-info.ts'
import { quoteIdentifier, quoteString } from '../sql/quote.ts'
import { parseDecimal, printDecimal, type Int } from './decimal.ts'
import type { Bucket, Value } from './definition.ts'
import { ingestErrors } from './errors.ts'

export type ColumnKind = 'integer' | 'decimal' | 'float' | 'instant' | 'text' | 'binary' | 'json' | 'other'

/** A value in the form in which it merges. */
export type Cell = Int | string | Buffer | null

export type ColumnCodec = {
  readonly name: string
  readonly quoted: string
  readonly kind: ColumnKind
  readonly nullable: boolean
  /** @throws SW-INGEST-011 */
  cell(value: Value): Cell
  /** Of a key whose rows merge: the one spelling of values that are equal, so that what is stored does not depend on which came first. */
  keyCell(cell: Cell): Cell
  /** What the server printed, in its bytes (UTF-8 for text). */
  read(bytes: Buffer | null): Cell
  literal(cell: Cell): string
  /** Equal for values that the server takes for equal, for columns that `keyProblem` accepts. */
  identity(cell: Cell): string
  vindexValue(cell: Cell): VindexValue
}

const integerBits: Readonly<Record<string, number>> = { tinyint: 8, smallint: 16, mediumint: 24, int: 32, bigint: 64 }
const textTypes = new Set(['char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext', 'enum'])
const binaryTypes = new Set(['binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob'])

export function columnKind(column: TableColumn): ColumnKind {
  const type = column.dataType
  if (type in integerBits) return 'integer'
  if (type === 'decimal') return 'decimal'
  if (type === 'float' || type === 'double') return 'float'
  if (type === 'datetime' || type === 'timestamp') return 'instant'
  // MariaDB's JSON is a longtext with a check.
  if (textTypes.has(type)) return 'text'
  if (binaryTypes.has(type)) return 'binary'
  if (type === 'json') return 'json'
  return 'other'
}

/** Why this column cannot be part of a key whose rows merge; null when it can. */
export function keyProblem(column: TableColumn): string | null {
  const kind = columnKind(column)
  if (column.nullable) return 'it is nullable, and NULL equals nothing'
  if (kind === 'float' || kind === 'json' || kind === 'other') return `its type ${column.columnType} has no exact equality`
  if (kind === 'text' && !/(_bin$|^binary$)/.test(column.collation ?? ''))
    return `its collation ${column.collation} takes different texts for equal: give it a _bin collation`
  return null
}

export function columnCodec(table: string, column: TableColumn, bucketAs: Bucket['as'] | null = null): ColumnCodec {
  const kind = columnKind(column)
  const bad = (reason: string): Error => ingestErrors.badRow({ table, column: column.name, reason })
  const forms = formOf(kind, column, bad, bucketAs)
  const padSpace = kind === 'text' && !/nopad|0900/.test(column.collation ?? '')
  return {
    name: column.name,
    quoted: quoteIdentifier(column.name),
    kind,
    nullable: column.nullable,
    cell(value) {
      if (value === null || value === undefined) {
        if (!column.nullable) throw bad('NULL, and the column is NOT NULL')
        return null
      }
      return forms.cell(value)
    },
    keyCell: (cell) => (padSpace && typeof cell === 'string' ? cell.replace(/ +$/, '') : cell),
    read: (bytes) => (bytes === null ? null : (forms.read ?? forms.cell)(kind === 'binary' ? Buffer.from(bytes) : bytes.toString())),
    literal: (cell) => (cell === null ? 'NULL' : forms.literal(cell)),
    identity: (cell) => (cell === null ? 'NULL' : padSpace ? forms.literal((cell as string).replace(/ +$/, '')) : forms.literal(cell)),
    vindexValue(cell) {
      if (cell === null) return { type: 'NULL', bytes: empty }
      return { type: vindexType(column), bytes: vindexBytes(kind, column, cell, forms) }
    },
  }
}

const empty = new Uint8Array(0)

type Form = {
  cell(value: Exclude<Value, null>): Exclude<Cell, null>
  literal(cell: Exclude<Cell, null>): string
  /** Of what the server prints, where that is not what a definition gives. */
  read?: (value: Exclude<Value, null>) => Exclude<Cell, null>
}

function formOf(kind: ColumnKind, column: TableColumn, bad: (reason: string) => Error, bucketAs: Bucket['as'] | null): Form {
  switch (kind) {
    case 'integer':
      return integerForm(column, bad, bucketAs)
    case 'decimal': {
      const [precision = 10, scale = 0] = (/\((\d+)(?:,(\d+))?\)/.exec(column.columnType)?.slice(1) ?? []).map((n) => Number(n ?? 0))
      const max = 10n ** BigInt(precision)
      return {
        cell(value) {
          const text = typeof value === 'number' ? plainNumber(value) : value instanceof Uint8Array ? '' : String(value)
          const parsed = parseDecimal(text, scale)
          if (parsed === null) throw bad(`${text.slice(0, 40)} is no decimal of at most ${scale} digits behind the point`)
          if (parsed >= max || parsed <= -max || (column.unsigned && parsed < 0n)) throw bad(`${text.slice(0, 40)} is out of range`)
          return parsed
        },
        literal: (cell) => printDecimal(BigInt(cell as Int), scale),
      }
    }
    case 'float':
      return {
        cell(value) {
          const number =
            typeof value === 'bigint' || typeof value === 'number' ? Number(value) : typeof value === 'string' ? Number(value) : NaN
          if (!Number.isFinite(number)) throw bad('not a finite number')
          return number
        },
        // As a floating point literal: 1.5 alone would be a decimal.
        literal: (cell) => (String(cell).includes('e') ? String(cell) : `${cell as number}e0`),
      }
    case 'instant': {
      const digits = Math.min(3, Number(/\((\d)\)/.exec(column.columnType)?.[1] ?? 0))
      const grain = 10 ** (3 - digits)
      return {
        cell(value) {
          const ms =
            typeof value === 'number'
              ? value
              : typeof value === 'bigint'
                ? Number(value)
                : typeof value === 'string'
                  ? parseInstant(value)
                  : NaN
          if (!(ms >= yearOne && ms < yearTenThousand)) throw bad('not an instant (Unix milliseconds, or ISO 8601 text)')
          return Math.floor(ms / grain) * grain
        },
        literal: (cell) => instantLiteral(cell as number, digits),
      }
    }
    case 'text':
    case 'json': {
      const max = column.lengthMax ?? Infinity
      return {
        cell(value) {
          const text = typeof value === 'string' ? value : value instanceof Uint8Array ? decodeUtf8(value, bad) : String(value)
          // Code units are never fewer than code points: the exact count is only taken when it could matter.
          if (text.length > max && [...text].length > max) throw bad(`${[...text].length} characters; the column holds ${max}`)
          return text
        },
        literal: (cell) => quoteString(cell as string),
      }
    }
    case 'binary': {
      const max = column.lengthMax ?? Infinity
      return {
        cell(value) {
          if (typeof value !== 'string' && !(value instanceof Uint8Array)) throw bad('not bytes')
          const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
          if (bytes.length > max) throw bad(`${bytes.length} bytes; the column holds ${max}`)
          return column.dataType === 'binary' && bytes.length < max ? Buffer.concat([bytes], max) : bytes
        },
        literal: (cell) => ((cell as Buffer).length === 0 ? "''" : `x'${(cell as Buffer).toString('hex')}'`),
      }
    }
    case 'other':
      return {
        cell(value) {
          if (value instanceof Uint8Array) throw bad(`bytes for a column of type ${column.columnType}`)
          return String(value)
        },
        literal: (cell) => quoteString(String(cell)),
      }
  }
}

function integerForm(column: TableColumn, bad: (reason: string) => Error, bucketAs: Bucket['as'] | null): Form {
  const bits = BigInt(integerBits[column.dataType] ?? 64)
  const max = column.unsigned ? 2n ** bits - 1n : 2n ** (bits - 1n) - 1n
  const min = column.unsigned ? 0n : -(2n ** (bits - 1n))
  const maxNumber = Number(max)
  const minNumber = Number(min)
  const cell = (value: Exclude<Value, null>): Int => {
    if (typeof value === 'number' && Number.isSafeInteger(value)) {
      if (value > maxNumber || value < minNumber) throw bad(`${value} is out of range`)
      return value
    }
    let big: bigint
    if (typeof value === 'bigint') big = value
    else if (typeof value === 'string' && /^[+-]?\d+$/.test(value)) big = BigInt(value)
    else throw bad(`${value instanceof Uint8Array ? 'bytes' : value} is no whole number that is known exactly`)
    if (big > max || big < min) throw bad(`${big} is out of range`)
    const number = Number(big)
    return Number.isSafeInteger(number) ? number : big
  }
  // A bucket column of type integer gets milliseconds, and holds seconds if so declared.
  if (bucketAs === 's') return { cell: (value) => cell(Math.floor(Number(value) / 1000)), literal: String, read: cell }
  return { cell, literal: String }
}

function plainNumber(value: number): string {
  // 1e21 and 1e-7 print with exponents: nobody who wants exact decimals gives such numbers.
  return Number.isFinite(value) && !/e/i.test(String(value)) ? String(value) : ''
}

function parseInstant(text: string): number {
  return Date.parse(/(?:Z|[+-]\d\d:?\d\d)$/i.test(text) ? text : `${text.replace(' ', 'T')}Z`)
}

const yearOne = Date.UTC(1000, 0)
const yearTenThousand = Date.UTC(10_000, 0)

let lastInstant = { ms: NaN, digits: -1, literal: '' }
/** Buckets repeat: the last one is kept. */
function instantLiteral(ms: number, digits: number): string {
  if (lastInstant.ms === ms && lastInstant.digits === digits) return lastInstant.literal
  const text = new Date(ms).toISOString()
  const literal = `'${text.slice(0, 10)} ${text.slice(11, digits === 0 ? 19 : 20 + digits)}'`
  lastInstant = { ms, digits, literal }
  return literal
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
function decodeUtf8(bytes: Uint8Array, bad: (reason: string) => Error): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw bad('its bytes are no UTF-8')
  }
}

const integerTypes: Readonly<Record<string, readonly [VindexValueType, VindexValueType]>> = {
  tinyint: ['INT8', 'UINT8'],
  smallint: ['INT16', 'UINT16'],
  mediumint: ['INT24', 'UINT24'],
  int: ['INT32', 'UINT32'],
  bigint: ['INT64', 'UINT64'],
}
const otherTypes: Readonly<Record<string, VindexValueType>> = {
  decimal: 'DECIMAL',
  float: 'FLOAT32',
  double: 'FLOAT64',
  datetime: 'DATETIME',
  timestamp: 'TIMESTAMP',
  date: 'DATE',
  time: 'TIME',
  year: 'YEAR',
  char: 'CHAR',
  varchar: 'VARCHAR',
  enum: 'ENUM',
  set: 'SET',
  json: 'JSON',
  binary: 'BINARY',
  varbinary: 'VARBINARY',
  bit: 'BIT',
  uuid: 'UUID',
}

function vindexType(column: TableColumn): VindexValueType {
  const integer = integerTypes[column.dataType]
  if (integer !== undefined) return integer[column.unsigned ? 1 : 0]
  return otherTypes[column.dataType] ?? (binaryTypes.has(column.dataType) ? 'BLOB' : 'TEXT')
}

/** As the server prints it (keyspace/vindex.ts). */
function vindexBytes(kind: ColumnKind, column: TableColumn, cell: Exclude<Cell, null>, forms: Form): Uint8Array {
  if (Buffer.isBuffer(cell)) return cell
  if (kind === 'instant') return Buffer.from(forms.literal(cell).slice(1, -1))
  if (kind === 'decimal') return Buffer.from(forms.literal(cell))
  const text = String(cell)
  return Buffer.from(column.dataType === 'char' ? text.replace(/ +$/, '') : text)
}
