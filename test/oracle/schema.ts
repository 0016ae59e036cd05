/**
 * Tables of every kind of column, sharded in several ways, with rows that make collations, NULLs, padding and rounding matter. Ids are unique
 * in their table, so that any answer can be put in a full order.
 */
import { stampedTables } from './moments.ts'
import { type Placed, placedTables } from './placed.ts'
import { probeTables, probeVschema } from './probe-tables.ts'
import type { Dice } from './random.ts'

export type Kind =
  | 'int'
  | 'decimal'
  | 'float'
  | 'double'
  | 'text'
  | 'binary'
  | 'date'
  | 'datetime'
  | 'time'
  | 'enum'
  | 'set'
  | 'bit'
  | 'year'
  | 'json'
export type ColumnSpec = {
  readonly name: string
  readonly kind: Kind
  readonly sql: string
  readonly collation?: string
  readonly nullable: boolean
}
export type TableSpec = {
  readonly name: string
  readonly columns: readonly ColumnSpec[]
  /** `key`: by INT `k`; `other`: by INT `k` under another vindex; `text`: by `s`; `reference`: on all shards. */
  readonly sharding: 'key' | 'other' | 'text' | 'reference'
  readonly create: string
}
export type SchemaSpec = {
  readonly tables: readonly TableSpec[]
  /** Tables that nothing asks for: a lookup's, and those of `probes.ts`. */
  readonly also: readonly string[]
  /** What comes before the names of all its tables. */
  readonly prefix: string
  /** Tables by other vindexes (placed.ts). */
  readonly placed: Placed
  readonly vschema: object
}

export const texts = [
  'a',
  'A',
  'a ',
  'á',
  'ae',
  'æ',
  'ß',
  'ss',
  's',
  'S',
  '',
  'b',
  'B ',
  'ñ',
  'n',
  '10',
  '9',
  'é',
  'z',
  'Zz',
  'a\t',
  'ab',
  'aB',
  ' ',
  '日',
]
/** Texts that every collation used here holds apart, so that they may be a shard key. */
const keyTexts = ['ann', 'bob', 'cleo', 'dora', 'Emil', 'fritz', 'Greta', 'hugo', 'ida', 'jens', 'k9', 'lena', 'max', 'nora', 'otto']

export function makeSchema(dice: Dice, flavour: 'mariadb' | 'mysql', prefix: string): SchemaSpec {
  const u = flavour === 'mysql' ? 'utf8mb4_0900_ai_ci' : 'utf8mb4_unicode_ci'
  const pool: ColumnSpec[] = [
    { name: 'n', kind: 'int', sql: 'INT', nullable: true },
    { name: 'm', kind: 'int', sql: 'BIGINT UNSIGNED', nullable: true },
    { name: 'q', kind: 'int', sql: 'SMALLINT NOT NULL DEFAULT 0', nullable: false },
    { name: 'd', kind: 'decimal', sql: 'DECIMAL(10,3)', nullable: true },
    { name: 'c', kind: 'decimal', sql: 'DECIMAL(6,2) NOT NULL DEFAULT 1.25', nullable: false },
    { name: 'f', kind: 'float', sql: 'FLOAT', nullable: true },
    { name: 'g', kind: 'double', sql: 'DOUBLE', nullable: true },
    { name: 's', kind: 'text', sql: 'VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', collation: 'general', nullable: true },
    { name: 'u', kind: 'text', sql: `VARCHAR(20) CHARACTER SET utf8mb4 COLLATE ${u}`, collation: 'unicode', nullable: true },
    { name: 'v', kind: 'text', sql: 'VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', collation: 'bin', nullable: true },
    { name: 'l', kind: 'text', sql: 'CHAR(6) CHARACTER SET latin1 COLLATE latin1_swedish_ci', collation: 'latin1', nullable: true },
    { name: 'x', kind: 'text', sql: 'TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', collation: 'general', nullable: true },
    { name: 'b', kind: 'binary', sql: 'VARBINARY(8)', nullable: true },
    { name: 'dt', kind: 'date', sql: 'DATE', nullable: true },
    { name: 'ts', kind: 'datetime', sql: 'DATETIME(3)', nullable: true },
    { name: 'tp', kind: 'datetime', sql: 'TIMESTAMP NULL', nullable: true },
    { name: 'tm', kind: 'time', sql: 'TIME', nullable: true },
    { name: 'e', kind: 'enum', sql: "ENUM('z','m','a')", nullable: true },
    { name: 'st', kind: 'set', sql: "SET('x','y','w')", nullable: true },
    { name: 'bt', kind: 'bit', sql: 'BIT(6)', nullable: true },
    { name: 'y', kind: 'year', sql: 'YEAR', nullable: true },
    { name: 'js', kind: 'json', sql: 'JSON', nullable: true },
  ]
  const k: ColumnSpec = { name: 'k', kind: 'int', sql: 'INT NOT NULL', nullable: false }
  const id: ColumnSpec = { name: 'id', kind: 'int', sql: 'INT NOT NULL', nullable: false }
  const vtables: Record<string, object> = {}
  const table = (name: string, sharding: TableSpec['sharding']): TableSpec => {
    const always = pool.filter((column) => column.name === 'n' || column.name === 's')
    const others = dice.some(
      pool.filter((column) => !always.includes(column)),
      dice.between(4, 9),
    )
    const key: ColumnSpec =
      sharding === 'text'
        ? { name: 'w', kind: 'text', sql: `VARCHAR(20) CHARACTER SET utf8mb4 COLLATE ${u} NOT NULL`, collation: 'unicode', nullable: false }
        : k
    const columns = sharding === 'reference' ? [id, ...always, ...others] : [key, id, ...always, ...others]
    const full = prefix + name
    const primary = sharding === 'reference' ? 'id' : dice.pick([`${key.name}, id`, `id, ${key.name}`, 'id'])
    const create = `CREATE TABLE ${full} (${columns.map((column) => `${column.name} ${column.sql}`).join(', ')}, PRIMARY KEY (${primary})${dice.chance(0.5) ? ', KEY (n)' : ''}) DEFAULT CHARSET utf8mb4`
    vtables[full] =
      sharding === 'reference'
        ? { type: 'reference' }
        : { column_vindexes: [{ column: key.name, name: sharding === 'text' ? 'loose' : sharding === 'other' ? 'xx' : 'hash' }] }
    return { name: full, columns, sharding, create }
  }
  const tables = [table('a', 'key'), table('b', 'key'), table('c', 'key'), table('o', 'other'), table('t', 'text'), table('r', 'reference')]
  // c is found by n as well, through a table that is sharded by it.
  const index = `${prefix}c_idx`
  const byN = { type: 'consistent_lookup', params: { table: index, from: 'n,id', to: 'keyspace_id' }, owner: `${prefix}c` }
  const c = vtables[`${prefix}c`] as { column_vindexes: object[] }
  c.column_vindexes.push({ columns: ['n', 'id'], name: `${prefix}by_n` })
  vtables[index] = { column_vindexes: [{ column: 'n', name: 'hash' }] }
  const placed = placedTables(prefix, dice)
  const [stamped, stampedVschema] = stampedTables(prefix)
  Object.assign(vtables, probeVschema(prefix), placed.vschema, stampedVschema)
  return {
    tables,
    prefix,
    also: [
      `CREATE TABLE ${index} (n INT NOT NULL, id INT NOT NULL, keyspace_id VARBINARY(16) NOT NULL, PRIMARY KEY (n, id, keyspace_id))`,
      ...probeTables(prefix),
      ...placed.creates,
      ...stamped,
    ],
    placed,
    vschema: {
      sharded: true,
      vindexes: {
        hash: { type: 'hash' },
        xx: { type: 'xxhash' },
        loose: { type: 'unicode_loose_xxhash' },
        [`${prefix}by_n`]: byN,
        ...placed.vindexes,
      },
      tables: vtables,
    },
  }
}

/** An SQL literal for the column, NULL included where it may be. */
export function valueFor(column: ColumnSpec, dice: Dice): string {
  if (column.nullable && dice.chance(0.13)) return 'NULL'
  const two = (n: number): string => String(n).padStart(2, '0')
  switch (column.kind) {
    case 'int':
      return column.name === 'm'
        ? String(dice.pick([0, 1, 2, 3, 7, '18446744073709551615', '9007199254740993']))
        : String(dice.below(10) - (column.name === 'q' ? 3 : 0))
    case 'decimal':
      return `${dice.chance(0.3) ? '-' : ''}${dice.below(60)}.${column.name === 'c' ? two(dice.below(100)) : String(dice.below(1000)).padStart(3, '0')}`
    case 'float':
      // The last two are one text of six digits.
      return String(dice.pick([0, 1.1, -2.7, 3.14159, 1e-3, 65536.25, 0.1, 0.2, 1234561, 1234562]))
    case 'double':
      return String(dice.below(400) / 4 - 20)
    case 'text':
      if (column.name === 'w') return `'${dice.pick(keyTexts)}'`
      if (column.collation === 'latin1') return `'${dice.pick(['a', 'A', 'é', 'e', 'ü', 'y', 'z', ''])}'`
      return `'${dice.pick(texts)}'`
    case 'binary':
      return `x'${dice.pick(['', '00', '0000', '61', '6100', 'ff', '20', '7a41'])}'`
    case 'date':
      return `'20${two(10 + dice.below(6))}-0${1 + dice.below(9)}-1${dice.below(10)}'`
    case 'datetime':
      return `'2021-0${1 + dice.below(9)}-1${dice.below(10)} ${two(dice.below(24))}:00:0${dice.below(10)}${column.name === 'ts' ? '.' + String(dice.below(1000)).padStart(3, '0') : ''}'`
    case 'time':
      return `'${dice.chance(0.3) ? '-' : ''}${dice.below(120)}:${two(dice.below(60))}:00'`
    case 'enum':
      return `'${dice.pick(['z', 'm', 'a'])}'`
    case 'set':
      return `'${dice.pick(['', 'x', 'y', 'x,y', 'w', 'x,w'])}'`
    case 'bit':
      return `b'${dice.below(64).toString(2)}'`
    case 'json':
      return `'${dice.pick(documents)}'`
    case 'year':
      return String(1990 + dice.below(20))
  }
}

const documents = [
  '{"a": 1, "b": [1, 2.5, "x"], "c": {"d": null}}',
  '{"a": 5000000000, "b": []}',
  '{"a": -3.0, "c": {"d": true}}',
  '[]',
  'true',
  '"s"',
  '[1, {"a": "ß"}]',
]

export const keysMax = 24
/** The value of a row's shard key. */
export function keyFor(table: TableSpec, dice: Dice): string {
  const column = table.columns[0] as ColumnSpec
  return table.sharding === 'text' ? valueFor(column, dice) : String(dice.below(keysMax))
}
