/**
 * Column definition (protocol 41): lenenc catalog ("def") · lenenc schema · lenenc table · lenenc original table · lenenc
 * name · lenenc original name · [lenenc extended, where MariaDB's extended metadata was agreed upon] · lenenc 0x0c · 2 collation · 4 length · 1 type · 2 flags · 1 decimals · 2 zeros ·
 * (COM_FIELD_LIST only) lenenc default value.
 *
 * Extended: any number of 1 what it is (0 the type's name, 1 the format) · lenenc text. Kept as it came: who decodes one writes the same again.
 */
import { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

export type ColumnDefinition = {
  schema: string
  table: string
  orgTable: string
  name: string
  orgName: string
  charset: number
  length: number
  type: number
  flags: number
  decimals: number
  /** Absent: nothing beyond the type. */
  extended?: Buffer
}

const nothing = Buffer.alloc(0)

export function decodeColumnDefinition(data: Buffer, start: number, end: number, extendedMetadata = false): ColumnDefinition {
  const r = new Reader(data, start, end)
  r.skip(r.lenenc())
  const schema = r.lenencText()
  const table = r.lenencText()
  const orgTable = r.lenencText()
  const name = r.lenencText()
  const orgName = r.lenencText()
  const extended = extendedMetadata ? r.lenencBytes() : null
  r.lenenc()
  const charset = r.u16()
  const length = r.u32()
  const type = r.u8()
  const flags = r.u16()
  const decimals = r.u8()
  const column: ColumnDefinition = { schema, table, orgTable, name, orgName, charset, length, type, flags, decimals }
  if (extended !== null && extended.length > 0) column.extended = Buffer.from(extended)
  return column
}

export function writeColumnDefinition(w: Writer, column: ColumnDefinition, extendedMetadata = false): Writer {
  w.lenencText('def').lenencText(column.schema).lenencText(column.table).lenencText(column.orgTable)
  w.lenencText(column.name).lenencText(column.orgName)
  if (extendedMetadata) w.lenencBytes(column.extended ?? nothing)
  w.u8(0x0c)
  return w.u16(column.charset).u32(column.length).u8(column.type).u16(column.flags).u8(column.decimals).u16(0)
}
