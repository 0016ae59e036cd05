/**
 * Values as a vindex takes them: what the column holds (an INSERT), or what it must hold to be equal (a condition).
 *
 * For a condition, doubt is `unknown`: the statement goes to all shards. For an INSERT, doubt is an error: the server might store
 * something else than what was routed by, and the row would never be found again.
 */
import { isUtf8 } from 'node:buffer'
import type { Vindex, VindexValue, VindexValueType } from '../../keyspace/vindex.ts'
import { oneByteCharacters } from '../../sql/one-byte-charsets.ts'
import type { KeptText, Value } from '../../sql/value.ts'
import type { ColumnInfo } from './catalog.ts'
import { exactness, familyOf, isPlainAscii } from './equality.ts'
import { planErrors } from './errors.ts'
import type { TextWay } from './plan.ts'

/** `unknown`: may be equal to rows of any id. `nothing`: equal to no row, where it stands alone. */
type Compared = VindexValue | 'unknown' | 'nothing'

/**
 * What a column is compared with at once: one value, those of an IN (also of tuples), or both bounds of a BETWEEN. A value that equals nothing is left out.
 *
 * Of what type several are compared is the matter of all of them, and of the flavour: an integer beyond 2^53 among numbers of another type equals its neighbours, and MySQL
 * takes one below an unsigned column's for the number of its bits (`k IN (1.5, -1)` finds 18446744073709551615).
 */
export function comparedValues(
  column: ColumnInfo,
  vindex: Pick<Vindex, 'type'>,
  given: readonly Value[],
  way: TextWay,
): VindexValue[] | 'unknown' {
  const alone = given.length === 1
  const mixed = !alone && familyOf(column) === 'integer' && areOfSeveralTypes(given)
  const values: VindexValue[] = []
  for (const one of given) {
    const value = comparedValue(column, vindex, one, way)
    if (value === 'unknown') return value
    if (value !== 'nothing') {
      if (mixed && !Number.isSafeInteger(Number(Buffer.from(value.bytes).toString('latin1')))) return 'unknown'
      values.push(value)
    } else if (!alone && one.type !== 'null') return 'unknown'
  }
  return values
}

/** NULL is of any. */
export function areOfSeveralTypes(values: readonly Value[]): boolean {
  const first = values.find(({ type }) => type !== 'null')
  return values.some(({ type }) => type !== 'null' && type !== first?.type)
}

function comparedValue(column: ColumnInfo, vindex: Pick<Vindex, 'type'>, given: Value, wayGiven: TextWay): Compared {
  const value = comparableOf(column, given, wayGiven)
  const way = value === given ? wayGiven : 'utf8mb4'
  if (value.type === 'null') return 'nothing'
  // A parameter of such a type is no text to servers: '2020-1-1' and '20200101' equal it.
  if (value.type === 'text' && value.time !== undefined) return 'unknown'
  switch (familyOf(column)) {
    case 'integer': {
      // A fraction equals no integer, but finds what it is rounded to where MariaDB looks in an index that is not unique to its columns, or for the inner side of an outer join; on MySQL in tuples.
      const integer = exactInteger(value)
      if (integer === null) return 'unknown'
      return inRange(column, integer) ? integerOf(column, integer) : 'nothing'
    }
    case 'binary': {
      if ((value.type !== 'text' && value.type !== 'binary') || !keepsBytes(value, way)) return 'unknown'
      if (column.dataType === 'binary' && value.bytes.length !== column.lengthMax) return 'unknown'
      return { type: typeOf(column), bytes: value.bytes }
    }
    case 'text': {
      // A number is compared as a number ('5a' = 5 holds), a binary string bytewise.
      if (value.type !== 'text' || !isRead(value.bytes, way)) return 'unknown'
      const exact = exactness(column, vindex)
      // Beyond the BMP, older collations hold all characters equal.
      if (!(column.collation ?? '').endsWith('_bin') && value.bytes.some((byte) => byte >= 0xf0)) return 'unknown'
      if (exact === 'never' || (exact === 'plain-ascii' && !isPlainAscii(value.bytes))) return 'unknown'
      return { type: typeOf(column), bytes: column.dataType === 'char' ? withoutTrailingSpaces(value.bytes) : value.bytes }
    }
    default:
      return 'unknown'
  }
}

/**
 * A variable's text (in UTF-8) as one that the client writes, where the column's collation compares them: of two of one character set
 * `_bin` does, of two character sets it may be the variable's; of the connection's collation it is where the column has another character set.
 */
export function comparableOf(column: ColumnInfo, value: Value, way: TextWay): Value {
  if (value.type === 'text' && value.variable === true && familyOf(column) === 'text' && charsetOf(column) !== way)
    return { type: 'kept', sql: null, shown: value, text: null }
  if (value.type !== 'kept' || value.text === null) return exactly(value)
  const { collation } = value.text
  const columns = column.collation ?? ''
  const isBinary = columns.endsWith('_bin') && !collation.endsWith('_bin') && columns.split('_')[0] === collation.split('_')[0]
  const isColumns = collation === columns || isBinary
  return familyOf(column) !== 'text' || isColumns ? asGiven(column, value.text) : value
}

/** A kept integer or DECIMAL is the one that it is shown as, whatever servers make of its variable. */
function exactly(value: Value): Value {
  return value.type === 'kept' && (value.shown.type === 'integer' || value.shown.type === 'decimal') ? value.shown : value
}

function asGiven(column: ColumnInfo, text: KeptText): Value {
  return familyOf(column) === 'binary' ? { type: 'binary', bytes: text.bytes } : { type: 'text', bytes: text.utf8 }
}

/** Of what a row has already. @throws SW-GATE-122 */
export function heldValue(table: string, column: ColumnInfo, value: Value): VindexValue {
  return checkedValue(table, column, value, 'utf8mb4', true)
}

/** Of what is to be stored. @throws SW-GATE-122 */
export function storedValue(table: string, column: ColumnInfo, value: Value, way: TextWay): VindexValue {
  // Its characters are stored, whatever it is compared by.
  if (value.type === 'kept' && value.text !== null) return checkedValue(table, column, asGiven(column, value.text), 'utf8mb4', false)
  return checkedValue(table, column, exactly(value), way, false)
}

function checkedValue(table: string, column: ColumnInfo, value: Value, way: TextWay, held: boolean): VindexValue {
  const refuse = (reason: string): never => {
    throw planErrors.shardKeyValue({ table, column: column.name, reason })
  }
  if (value.type === 'null') return column.nullable ? { type: 'NULL', bytes: Buffer.alloc(0) } : refuse('NULL in a column that is NOT NULL')
  switch (familyOf(column)) {
    case 'integer': {
      const integer = exactInteger(value)
      if (integer === null) return refuse('it is no integer')
      return inRange(column, integer) ? integerOf(column, integer) : refuse(`${integer} is out of range for ${column.dataType}`)
    }
    case 'binary': {
      if (value.type !== 'text' && value.type !== 'binary') return refuse('a number in a binary column')
      if (!keepsBytes(value, way)) return refuse("its bytes become others on their way from the client's character set to the connection's")
      const max = column.lengthMax
      if (max !== null && value.bytes.length > max) return refuse(`it is longer than ${max} bytes`)
      if (column.dataType !== 'binary' || max === null) return { type: typeOf(column), bytes: value.bytes }
      const padded = Buffer.alloc(max)
      value.bytes.copy(padded)
      return { type: 'BINARY', bytes: padded }
    }
    case 'text': {
      if (value.type === 'integer') return { type: typeOf(column), bytes: Buffer.from(value.value.toString()) }
      if (value.type !== 'text') return refuse('it is neither text nor an integer')
      if (!held && !isAscii(value.bytes)) {
        if (!isRead(value.bytes, way))
          return refuse(
            way === 'utf8mb3'
              ? "the connection's character set, utf8mb3, does not have all of its characters"
              : "the connection's character set is not UTF-8 and the text not ASCII",
          )
        // A server that is not strict would store something else.
        if (!isUtf8(value.bytes)) return refuse('it is no UTF-8')
        if (!holds(column, value.bytes)) return refuse(`a character that ${column.collation ?? 'its character set'} does not have`)
      }
      const bytes = column.dataType === 'char' ? withoutTrailingSpaces(value.bytes) : value.bytes
      if (column.lengthMax !== null && bytes.length > column.lengthMax && characters(bytes) > column.lengthMax)
        return refuse(`it is longer than ${column.lengthMax} characters`)
      return { type: typeOf(column), bytes }
    }
    default:
      return refuse(`columns of type ${column.dataType} are not routed by`)
  }
}

/** Whether text in the client's bytes is these characters in UTF-8, and comes to the server as them. */
export function isRead(bytes: Uint8Array, way: TextWay): boolean {
  return isAscii(bytes) || way === 'utf8mb4' || (way === 'utf8mb3' && !bytes.some((byte) => byte >= 0xf0))
}

/** Whether a binary column gets, or is compared with, the bytes that the client sent. */
function keepsBytes(value: Extract<Value, { type: 'text' | 'binary' }>, way: TextWay): boolean {
  return value.type === 'binary' || isRead(value.bytes, way) || (way === 'same' && value.national !== true)
}

/** utf8 is another name of utf8mb3. */
function charsetOf(column: ColumnInfo): string {
  const charset = (column.collation ?? '').split('_')[0] ?? ''
  return charset === 'utf8' ? 'utf8mb3' : charset
}

/** Whether the column's character set has all characters of a text in UTF-8; where that is not known only ASCII. */
function holds(column: ColumnInfo, bytes: Buffer): boolean {
  const charset = (column.collation ?? 'utf8mb4').split('_')[0] ?? ''
  switch (charset) {
    case 'utf8mb4':
    case 'utf16':
    case 'utf16le':
    case 'utf32':
    case 'gb18030':
      return true
    case 'utf8':
    case 'utf8mb3':
    case 'ucs2':
      return !bytes.some((byte) => byte >= 0xf0)
    default: {
      const characters = charactersOf(charset)
      return characters !== null && [...bytes.toString('utf8')].every((character) => characters.has(character))
    }
  }
}

const known = new Map<string, ReadonlySet<string> | null>()

function charactersOf(charset: string): ReadonlySet<string> | null {
  let characters = known.get(charset)
  if (characters === undefined) {
    const table = oneByteCharacters(charset)
    known.set(charset, (characters = table === null ? null : new Set(table)))
  }
  return characters
}

function exactInteger(value: Value): bigint | null {
  switch (value.type) {
    case 'integer':
      return value.value
    case 'decimal':
      return integerOfDecimal(value.text)
    case 'double':
      return Number.isSafeInteger(value.value) ? BigInt(value.value) : null
    case 'text': {
      // Beyond 2^53 the server may compare text with an integer as doubles.
      const text = value.bytes.toString('latin1')
      return /^[+-]?\d{1,15}$/.test(text) ? BigInt(text) : null
    }
    default:
      return null
  }
}

/**
 * Null: it is none, or has more digits than any column holds.
 *
 * No two parts of these expressions take the same digits: a literal has as many as its statement has room for, and each way to share them out would be tried, for
 * minutes in which the gate does nothing else.
 */
function integerOfDecimal(text: string): bigint | null {
  const [, sign = '', digits = ''] = /^([+-]?)0*(\d{1,30})(?:\.0*)?$/.exec(text) ?? []
  return digits === '' ? null : sign === '-' ? -BigInt(digits) : BigInt(digits)
}

const bits: Readonly<Record<string, bigint>> = { tinyint: 8n, smallint: 16n, mediumint: 24n, int: 32n, integer: 32n, bigint: 64n }

function inRange(column: ColumnInfo, value: bigint): boolean {
  const size = bits[column.dataType] ?? 64n
  return column.unsigned ? value >= 0n && value < 1n << size : value >= -(1n << (size - 1n)) && value < 1n << (size - 1n)
}

function integerOf(column: ColumnInfo, value: bigint): VindexValue {
  return { type: typeOf(column), bytes: Buffer.from(value.toString(), 'latin1') }
}

const types: Readonly<Record<string, VindexValueType>> = {
  char: 'CHAR',
  varchar: 'VARCHAR',
  tinytext: 'TEXT',
  text: 'TEXT',
  mediumtext: 'TEXT',
  longtext: 'TEXT',
  binary: 'BINARY',
  varbinary: 'VARBINARY',
  tinyblob: 'BLOB',
  blob: 'BLOB',
  mediumblob: 'BLOB',
  longblob: 'BLOB',
}

function typeOf(column: ColumnInfo): VindexValueType {
  const size = bits[column.dataType]
  if (size === undefined) return types[column.dataType] ?? 'VARCHAR'
  return `${column.unsigned ? 'UINT' : 'INT'}${size}` as VindexValueType
}

function isAscii(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte >= 0x80) return false
  return true
}

function withoutTrailingSpaces(bytes: Buffer): Buffer {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0x20) end--
  return end === bytes.length ? bytes : bytes.subarray(0, end)
}

function characters(bytes: Uint8Array): number {
  let count = 0
  for (const byte of bytes) if ((byte & 0xc0) !== 0x80) count++
  return count
}
