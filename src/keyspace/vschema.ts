/**
 * A keyspace's vschema as Vitess's JSON: which vindexes there are and which columns of which table they act on. What is
 * read is kept in the same form, so that what is printed is what was applied. `resolveVschema` (vschema-resolve.ts) turns it into
 * something that routes.
 *
 * Unlike Vitess, an unknown key is refused by its path: a misspelt one that is dropped in silence has routed rows wrongly.
 */
import { keyspaceErrors } from './errors.ts'
import { readJson, type Shape } from './json-shape.ts'

export type Vschema = {
  readonly sharded?: boolean
  readonly vindexes?: Readonly<Record<string, VindexDefinition>>
  readonly tables?: Readonly<Record<string, TableDefinition>>
  readonly require_explicit_routing?: boolean
  readonly foreign_key_mode?: 'unspecified' | 'disallow' | 'unmanaged' | 'managed'
  readonly multi_tenant_spec?: { readonly tenant_id_column_name?: string; readonly tenant_id_column_type?: string }
}

export type VindexDefinition = {
  readonly type: string
  readonly params?: Readonly<Record<string, string>>
  /** The table whose rows a lookup's rows follow. */
  readonly owner?: string
}

export type TableDefinition = {
  readonly type?: '' | 'sequence' | 'reference'
  readonly column_vindexes?: readonly ColumnVindexDefinition[]
  readonly auto_increment?: { readonly column: string; readonly sequence: string }
  readonly columns?: readonly ColumnDefinition[]
  /** The keyspace id, in hexadecimal, of the one shard that holds the whole table. */
  readonly pinned?: string
  readonly column_list_authoritative?: boolean
  /** Of a reference table: `keyspace.table` that it copies. */
  readonly source?: string
}

export type ColumnVindexDefinition = { readonly column?: string; readonly columns?: readonly string[]; readonly name: string }

export type ColumnDefinition = {
  readonly name: string
  readonly type?: string
  readonly invisible?: boolean
  readonly default?: string
  readonly collation_name?: string
  readonly size?: number
  readonly scale?: number
  readonly nullable?: boolean
  readonly values?: readonly string[]
}

/** Vitess's names of column types (`query.Type`). */
const columnTypes = (
  'NULL_TYPE INT8 UINT8 INT16 UINT16 INT24 UINT24 INT32 UINT32 INT64 UINT64 FLOAT32 FLOAT64 TIMESTAMP DATE TIME DATETIME YEAR DECIMAL ' +
  'TEXT BLOB VARCHAR VARBINARY CHAR BINARY BIT ENUM SET TUPLE GEOMETRY JSON EXPRESSION HEXNUM HEXVAL BITNUM VECTOR RAW ROW_TUPLE'
).split(' ')

const columnType: Shape = { kind: 'choice', of: columnTypes, anyCase: true }

const shape: Shape = {
  kind: 'object',
  fields: {
    sharded: { kind: 'boolean' },
    vindexes: {
      kind: 'map',
      of: {
        kind: 'object',
        fields: { type: { kind: 'string', required: true }, params: { kind: 'map', of: { kind: 'string' } }, owner: { kind: 'string' } },
      },
    },
    tables: {
      kind: 'map',
      of: {
        kind: 'object',
        fields: {
          type: { kind: 'choice', of: ['', 'sequence', 'reference'] },
          column_vindexes: {
            kind: 'list',
            of: {
              kind: 'object',
              fields: {
                column: { kind: 'string' },
                columns: { kind: 'list', of: { kind: 'string' } },
                name: { kind: 'string', required: true },
              },
            },
          },
          auto_increment: {
            kind: 'object',
            fields: { column: { kind: 'string', required: true }, sequence: { kind: 'string', required: true } },
          },
          columns: {
            kind: 'list',
            of: {
              kind: 'object',
              fields: {
                name: { kind: 'string', required: true },
                type: columnType,
                invisible: { kind: 'boolean' },
                default: { kind: 'string' },
                collation_name: { kind: 'string' },
                size: { kind: 'integer' },
                scale: { kind: 'integer' },
                nullable: { kind: 'boolean' },
                values: { kind: 'list', of: { kind: 'string' } },
              },
            },
          },
          pinned: { kind: 'string' },
          column_list_authoritative: { kind: 'boolean' },
          source: { kind: 'string' },
        },
      },
    },
    require_explicit_routing: { kind: 'boolean' },
    foreign_key_mode: { kind: 'choice', of: ['unspecified', 'disallow', 'unmanaged', 'managed'] },
    multi_tenant_spec: { kind: 'object', fields: { tenant_id_column_name: { kind: 'string' }, tenant_id_column_type: columnType } },
  },
}

/**
 * Reads a vschema's JSON text: its form only (017, 018, 019). Whether it makes sense is `resolveVschema`'s to say. Keys may be
 * written as Vitess prints or as protobuf's JSON does (`column_vindexes`, `columnVindexes`).
 */
export function parseVschema(text: string): Vschema {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw keyspaceErrors.vschemaNotJson({ reason: error instanceof Error ? error.message : String(error) }, error)
  }
  return readVschema(value)
}

/** As `parseVschema`, of a JSON value that was parsed already. */
export function readVschema(value: unknown): Vschema {
  return readJson(shape, value, '') as Vschema
}

/** The JSON text: keys in Vitess's order, two blanks of indentation. Reading it gives an equal vschema. */
export function printVschema(vschema: Vschema): string {
  return JSON.stringify(vschema, null, 2)
}
