/**
 * A table map joined with the definition the caller gave: the consumer's view of the table and one decoder per column. Made once per
 * distinct table map; where binlog and definition disagree, it stops: rows read by a wrong definition would be silently wrong.
 */
import { type ColumnDecoder, columnDecoder } from './column-decoder.ts'
import { columnType } from './event-types.ts'
import { binlogErrors } from './errors.ts'
import type { ColumnDefinition, TailColumn, TailTable } from './source.ts'
import { isNumeric, type MappedColumn, type TableMap } from './table-map.ts'

export type DecodedTable = {
  readonly table: TailTable
  readonly decoders: readonly ColumnDecoder[]
}

const binaryCollation = 63
const blobTypes = [columnType.blob, columnType.mariadbBlobCompressed]
const varcharTypes = [columnType.varchar, columnType.mariadbVarcharCompressed]

/** Type bytes that a column of each DATA_TYPE can have. Geometry subtypes and what is missing here are checked by neither name. */
const typesOfDataType: Record<string, readonly number[]> = {
  tinyint: [columnType.tiny],
  smallint: [columnType.short],
  mediumint: [columnType.int24],
  int: [columnType.long],
  bigint: [columnType.longlong],
  float: [columnType.float],
  double: [columnType.double],
  decimal: [columnType.newdecimal],
  bit: [columnType.bit],
  year: [columnType.year],
  date: [columnType.date, columnType.newdate],
  time: [columnType.time2, columnType.time],
  datetime: [columnType.datetime2, columnType.datetime],
  timestamp: [columnType.timestamp2, columnType.timestamp],
  char: [columnType.string],
  binary: [columnType.string],
  varchar: varcharTypes,
  varbinary: varcharTypes,
  tinytext: blobTypes,
  text: blobTypes,
  mediumtext: blobTypes,
  longtext: blobTypes,
  tinyblob: blobTypes,
  blob: blobTypes,
  mediumblob: blobTypes,
  longblob: blobTypes,
  enum: [columnType.enum],
  set: [columnType.set],
  json: [columnType.json],
  uuid: [columnType.string],
  inet4: [columnType.string],
  inet6: [columnType.string],
}

/**
 * @param needDefinition true where the server's metadata can't be enough (MariaDB)
 * @throws definitionNeeded, definitionMismatch, unknownColumnType (coordinates filled by the caller)
 */
export function decodedTable(map: TableMap, definition: readonly ColumnDefinition[] | undefined, needDefinition: boolean): DecodedTable {
  const table = `${map.schema}.${map.name}`
  if (definition === undefined && needDefinition) {
    throw binlogErrors.definitionNeeded({ table, column: map.columns[0]?.name ?? 1, lacking: 'the type' })
  }
  if (definition !== undefined && definition.length !== map.columns.length) {
    throw binlogErrors.definitionMismatch({
      table,
      difference: `${map.columns.length} columns in the binlog, ${definition.length} in the definition`,
    })
  }
  const columns: TailColumn[] = []
  const decoders: ColumnDecoder[] = []
  map.columns.forEach((mapped, i) => {
    const defined = definition?.[i]
    const name = defined?.name ?? mapped.name ?? `@${i + 1}`
    if (defined !== undefined) checkDefinition(table, mapped, defined)
    const unsigned = unsignedOf(table, name, mapped, defined)
    const collation = collationOf(table, name, mapped, defined)
    const binary = defined === undefined ? collation === binaryCollation : defined.dataType === 'binary'
    const dataType = defined?.dataType
    const decoder = columnDecoder(mapped, {
      unsigned,
      binaryLength: mapped.type === columnType.string && binary ? mapped.meta : 0,
      mariadbText:
        dataType === 'uuid'
          ? /old/i.test(defined?.columnType ?? '')
            ? 'uuidOld'
            : 'uuid'
          : dataType === 'inet4' || dataType === 'inet6'
            ? dataType
            : null,
    })
    if (decoder === null) {
      throw binlogErrors.unknownColumnType({
        table,
        column: name,
        type: mapped.type,
        definition: defined?.columnType ?? `meta ${mapped.meta}`,
      })
    }
    columns.push({ name, type: mapped.type, unsigned, collation, nullable: mapped.nullable, members: mapped.members ?? null })
    decoders.push(decoder)
  })
  return { table: { schema: map.schema, name: map.name, columns }, decoders }
}

function checkDefinition(table: string, mapped: MappedColumn, defined: ColumnDefinition): void {
  const difference = (text: string): never => {
    throw binlogErrors.definitionMismatch({ table, difference: text })
  }
  if (mapped.name !== undefined && mapped.name !== defined.name) {
    difference(`a column is ${mapped.name} in the binlog and ${defined.name} in the definition`)
  }
  const types = typesOfDataType[defined.dataType]
  if (types !== undefined && !types.includes(mapped.type)) {
    difference(`column ${defined.name} has type byte ${mapped.type} in the binlog and is ${defined.columnType} in the definition`)
  }
  // MariaDB's fractional times of before 10.1 (mysql56_temporal_format=OFF) have other lengths under the old type bytes.
  const old = mapped.type === columnType.timestamp || mapped.type === columnType.datetime || mapped.type === columnType.time
  if (old && /\([1-6]\)/.test(defined.columnType)) {
    throw binlogErrors.unknownColumnType({
      table,
      column: defined.name,
      type: mapped.type,
      definition: `${defined.columnType}, old storage`,
    })
  }
}

function unsignedOf(table: string, name: string, mapped: MappedColumn, defined: ColumnDefinition | undefined): boolean {
  if (!isNumeric(mapped.type)) return false
  if (defined !== undefined) {
    const unsigned = /\bunsigned\b/i.test(defined.columnType)
    if (mapped.unsigned !== undefined && mapped.unsigned !== unsigned) {
      throw binlogErrors.definitionMismatch({
        table,
        difference: `column ${name} is ${mapped.unsigned ? '' : 'not '}unsigned in the binlog and ${defined.columnType} in the definition`,
      })
    }
    return unsigned
  }
  if (mapped.unsigned === undefined) throw binlogErrors.definitionNeeded({ table, column: name, lacking: 'the sign' })
  return mapped.unsigned
}

function collationOf(table: string, name: string, mapped: MappedColumn, defined: ColumnDefinition | undefined): number {
  if (mapped.collation !== undefined) return mapped.collation
  if (mapped.type === columnType.string && defined === undefined) {
    throw binlogErrors.definitionNeeded({ table, column: name, lacking: 'the character set' })
  }
  const character = mapped.type === columnType.string || mapped.type === columnType.varchar || mapped.type === columnType.blob
  return character && defined !== undefined && defined.charset === null ? binaryCollation : 0
}
