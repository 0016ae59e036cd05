/**
 * TABLE_MAP_EVENT: what the rows events that follow mean by a table id.
 *
 *     table id (6) flags (2) | schema length (1) schema 0 | name length (1) name 0 | columns (lenenc) | type bytes |
 *     metadata length (lenenc) metadata | null bits | optional metadata: (kind (1) length (lenenc) value)*
 */
import { Buffer } from 'node:buffer'
import { ByteReader } from './byte-reader.ts'
import { columnType } from './event-types.ts'
import { BadValue } from './row-sink.ts'

export type MappedColumn = {
  /** Type byte; ENUM and SET told apart from CHAR, which they travel as. */
  readonly type: number
  /** Meaning depends on the type: length, fractional digits, bytes of the length prefix, precision << 8 | scale. */
  readonly meta: number
  readonly nullable: boolean
  /** Undefined when the server did not log it. */
  readonly unsigned: boolean | undefined
  readonly collation: number | undefined
  readonly name: string | undefined
  readonly members: readonly Buffer[] | undefined
}

export type TableMap = {
  readonly tableId: number
  readonly schema: string
  readonly name: string
  readonly columns: readonly MappedColumn[]
}

const optionalField = {
  signedness: 1,
  defaultCharset: 2,
  columnCharset: 3,
  columnName: 4,
  setStrings: 5,
  enumStrings: 6,
  enumAndSetDefaultCharset: 10,
  enumAndSetColumnCharset: 11,
} as const

export function tableIdOf(body: Buffer): number {
  return new ByteReader(body).u48()
}

/** @param body the event without header and checksum */
export function parseTableMap(body: Buffer): TableMap {
  const reader = new ByteReader(body)
  const tableId = reader.u48()
  reader.skip(2)
  const schema = reader.bytes(reader.u8()).toString('utf8')
  reader.skip(1)
  const name = reader.bytes(reader.u8()).toString('utf8')
  reader.skip(1)
  const count = reader.lenenc()
  const types = reader.bytes(count)
  const metadata = new ByteReader(reader.bytes(reader.lenenc()))
  const columns: { -readonly [K in keyof MappedColumn]: MappedColumn[K] }[] = []
  for (const type of types) {
    const real = readMeta(type, metadata)
    columns.push({ ...real, nullable: false, unsigned: undefined, collation: undefined, name: undefined, members: undefined })
  }
  if (metadata.left > 0) throw new BadValue(`${metadata.left} bytes of column metadata left over`)
  const nullBits = reader.bytes((count + 7) >> 3)
  columns.forEach((column, i) => {
    column.nullable = ((nullBits[i >> 3] as number) & (1 << (i & 7))) !== 0
  })

  while (reader.left > 0) {
    const kind = reader.u8()
    const field = new ByteReader(reader.bytes(reader.lenenc()))
    switch (kind) {
      case optionalField.signedness: {
        // YEAR has a bit of its own here, on both flavours (tried).
        const numeric = columns.filter((column) => isNumeric(column.type) || column.type === columnType.year)
        numeric.forEach((column, i) => {
          if (i >> 3 < field.end) column.unsigned = ((field.buffer[i >> 3] as number) & (0x80 >> (i & 7))) !== 0
        })
        break
      }
      case optionalField.defaultCharset:
      case optionalField.enumAndSetDefaultCharset: {
        const chosen = columns.filter(kind === optionalField.defaultCharset ? isCharacter : isEnumOrSet)
        const fallback = field.lenenc()
        for (const column of chosen) column.collation = fallback
        while (field.left > 0) {
          const column = chosen[field.lenenc()]
          const collation = field.lenenc()
          if (column !== undefined) column.collation = collation
        }
        break
      }
      case optionalField.columnCharset:
      case optionalField.enumAndSetColumnCharset: {
        const chosen = columns.filter(kind === optionalField.columnCharset ? isCharacter : isEnumOrSet)
        for (const column of chosen) if (field.left > 0) column.collation = field.lenenc()
        break
      }
      case optionalField.columnName:
        for (const column of columns) if (field.left > 0) column.name = field.bytes(field.lenenc()).toString('utf8')
        break
      case optionalField.setStrings:
      case optionalField.enumStrings: {
        const wanted = kind === optionalField.setStrings ? columnType.set : columnType.enum
        for (const column of columns) {
          if (column.type !== wanted || field.left === 0) continue
          const members: Buffer[] = []
          for (let left = field.lenenc(); left > 0; left--) members.push(Buffer.from(field.bytes(field.lenenc())))
          column.members = members
        }
        break
      }
      default:
        // Keys, geometry types, visibility, dimensions and what later versions add: descriptive, no value is read by them.
        break
    }
  }
  return { tableId, schema, name, columns }
}

export function isNumeric(type: number): boolean {
  switch (type) {
    case columnType.tiny:
    case columnType.short:
    case columnType.int24:
    case columnType.long:
    case columnType.longlong:
    case columnType.newdecimal:
    case columnType.float:
    case columnType.double:
      return true
    default:
      return false
  }
}

function isCharacter(column: { type: number }): boolean {
  const { type } = column
  return type === columnType.string || type === columnType.varString || type === columnType.varchar || type === columnType.blob
}

function isEnumOrSet(column: { type: number }): boolean {
  return column.type === columnType.enum || column.type === columnType.set
}

function readMeta(type: number, metadata: ByteReader): { type: number; meta: number } {
  switch (type) {
    case columnType.float:
    case columnType.double:
    case columnType.tinyBlob:
    case columnType.mediumBlob:
    case columnType.longBlob:
    case columnType.blob:
    case columnType.mariadbBlobCompressed:
    case columnType.json:
    case columnType.geometry:
    case columnType.vector:
    case columnType.timestamp2:
    case columnType.datetime2:
    case columnType.time2:
      return { type, meta: metadata.u8() }
    case columnType.varchar:
    case columnType.varString:
    case columnType.mariadbVarcharCompressed:
    case columnType.bit:
      return { type, meta: metadata.u16() }
    case columnType.newdecimal: {
      const precision = metadata.u8()
      return { type, meta: (precision << 8) | metadata.u8() }
    }
    case columnType.string:
    case columnType.enum:
    case columnType.set: {
      const first = metadata.u8()
      const second = metadata.u8()
      if (first === columnType.enum || first === columnType.set) return { type: first, meta: second }
      // Lengths above 255 hide two bits, inverted, in the type byte (Field_string::do_save_field_metadata).
      return { type: columnType.string, meta: second | (((first & 0x30) ^ 0x30) << 4) }
    }
    case columnType.tiny:
    case columnType.short:
    case columnType.int24:
    case columnType.long:
    case columnType.longlong:
    case columnType.null:
    case columnType.timestamp:
    case columnType.date:
    case columnType.newdate:
    case columnType.time:
    case columnType.datetime:
    case columnType.year:
      return { type, meta: 0 }
    default:
      throw new BadValue(`column type ${type}, whose metadata can not be told from its neighbours'`)
  }
}
