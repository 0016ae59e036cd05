/** A table for each type that a key can be of, and for mixes of them: `key(i)` is the ith value of its key columns as SQL, another for each i below 100, to the key's collation too. */
import type { FlavourName } from '../../mysql/connection.ts'
import type { WorldTable } from './world.ts'

export type KeyTable = WorldTable & {
  readonly keyColumns: readonly string[]
  key(i: number): readonly string[]
  /** The same key to its collation in other bytes: of the text column of that name. */
  readonly loose?: { readonly column: string; readonly spellings: readonly ((quoted: string) => string)[] }
}

const digits = (i: number, length: number): string => String(i).padStart(length, '0')
const sign = (i: number): string => (i % 2 === 0 ? '' : '-')
const hex = (i: number): string => i.toString(16).padStart(2, '0')

const decimal = (i: number): string => `${sign(i)}${i % 5 === 4 ? '9'.repeat(30) + digits(i, 4) : i * 7919}.${digits(i, 30)}`
// With a day that no month has, and none at all.
const day = (i: number): string => (i === 1 ? "'0000-00-00'" : i === 2 ? "'2024-02-31'" : `ADDDATE('1999-02-27', ${i * 37})`)
const instant = (i: number): string => (i === 1 ? "'0000-00-00 00:00:00'" : `'2024-03-31 0${i % 4}:59:59.${digits(i * 9_973, 6)}'`)
const time = (i: number): string => `'${sign(i)}${i * 8}:00:59.${digits(i, 6)}'`
const bits = (i: number): string => `b'${(i * 10_007).toString(2)}'`
/** Of 64 bits, the last of them too. */
const members = (i: number): string => String(BigInt(i % 2 === 0 ? i : i + 128) * 0x0101_0101_0101_0101n)
/** BINARY fills up with zeros, and the binlog cuts them off. */
const zeros = (i: number): string => `x'${'00'.repeat(i % 4)}${hex(i)}'`
/** Values that differ in the number of zeros at their end only. */
const zerosAtEnd = (i: number): string => `x'${i === 0 ? '' : hex(i >> 3) + '00'.repeat(i % 8)}'`
const word = (i: number): string => `'clé n${i}'`
const spaces = (i: number): string => `'n${i >> 2}${' '.repeat(i % 4)}'`
const uuid = (i: number): string => `'${digits((i * 37) % 101, 8)}-1111-1${digits(i, 3)}-8000-0000000000${hex(i)}'`
const inet = (i: number): string => (i % 3 === 0 ? `'::ffff:10.0.${i}.0'` : i % 3 === 1 ? `'2001:db8::${hex(i)}'` : `'${hex(i)}00::'`)

const upper = (quoted: string): string => `UPPER(${quoted})`
const plain = (quoted: string): string => `REPLACE(REPLACE(${quoted}, 'é', 'e'), 'É', 'E')`
const padded = (quoted: string): string => `CONCAT(${quoted}, ' ')`

export function keyTables(flavour: FlavourName): KeyTable[] {
  const table = (
    name: string,
    columns: readonly (readonly [name: string, type: string, value: (i: number) => string])[],
    more: { key?: string; loose?: KeyTable['loose'] } = {},
  ): KeyTable => ({
    name,
    shardKey: 'owner',
    ddl: `CREATE TABLE ${name} (n INT NOT NULL, ${columns.map(([column, type]) => `${column} ${type} NOT NULL${type.startsWith('TIMESTAMP') ? " DEFAULT '2001-01-01 00:00:00'" : ''}`).join(', ')},
      owner INT NOT NULL, v VARCHAR(40) NOT NULL DEFAULT '', ${more.key ?? `PRIMARY KEY (${columns.map(([column]) => column).join(', ')})`})`,
    keyColumns: columns.map(([column]) => column),
    key: (i) => columns.map(([, , value]) => value(i)),
    ...(more.loose === undefined ? {} : { loose: more.loose }),
  })
  const one = (name: string, type: string, value: (i: number) => string, more: Parameters<typeof table>[2] = {}): KeyTable =>
    table(name, [['k', type, value]], more)
  const general = 'VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci'
  const accents = `VARCHAR(20) CHARACTER SET utf8mb4 COLLATE ${flavour === 'mysql' ? 'utf8mb4_0900_ai_ci' : 'utf8mb4_unicode_ci'}`
  const noPad = `VARCHAR(20) CHARACTER SET utf8mb4 COLLATE ${flavour === 'mysql' ? 'utf8mb4_0900_ai_ci' : 'utf8mb4_general_nopad_ci'}`
  const withSpaces = [upper, plain, padded]
  const loose = { column: 'k', spellings: withSpaces }
  const setType = `SET(${Array.from({ length: 64 }, (_, i) => `'m${i}'`).join()})`
  const enumType = `ENUM(${Array.from({ length: 100 }, (_, i) => `'é${99 - i}'`).join()})`
  const member = (i: number): string => `'é${i}'`
  const tables = [
    one('k_decimal', 'DECIMAL(65,30)', decimal),
    one('k_float', 'FLOAT', (i) => `${sign(i)}${i} / 3e0`),
    one('k_double', 'DOUBLE', (i) => `${sign(i)}${i} / 7e0 * 1e${i - 50}`),
    one('k_unsigned', 'BIGINT UNSIGNED', (i) => String(18_446_744_073_709_551_615n - BigInt(i))),
    one('k_year', 'YEAR', (i) => (i === 0 ? '0' : String(1950 + i))),
    one('k_date', 'DATE', day),
    one('k_time', 'TIME(6)', time),
    one('k_timestamp', 'TIMESTAMP(6)', instant),
    one('k_datetime', 'DATETIME(3)', (i) => `ADDDATE('2024-02-29 12:34:56.${digits(i, 3)}', ${i % 5})`),
    one('k_bit', 'BIT(20)', bits),
    one('k_bits', 'BIT(64)', members),
    one('k_enum', enumType, member),
    one('k_set', setType, members),
    one('k_binary', 'BINARY(8)', zeros),
    one('k_varbinary', 'VARBINARY(10)', zerosAtEnd),
    one('k_general', general, word, { loose }),
    one('k_accents', accents, word, { loose: { column: 'k', spellings: flavour === 'mysql' ? [upper, plain] : withSpaces } }),
    one('k_nopad', noPad, spaces, { loose: { column: 'k', spellings: [upper] } }),
    one('k_latin1', 'CHAR(12) CHARACTER SET latin1', word, { loose: { column: 'k', spellings: [upper] } }),
    one('k_cp932', 'VARCHAR(20) CHARACTER SET cp932', (i) => `'表n${i}'`, { loose: { column: 'k', spellings: [upper] } }),
    one('k_utf16', 'VARCHAR(20) CHARACTER SET utf16', (i) => `'😀n${i}'`, { loose: { column: 'k', spellings: [upper, padded] } }),
    one('k_bytes', 'VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', (i) => `'${i % 2 === 0 ? 'k' : 'K'}${i >> 1}'`),
    one('k_down', 'INT', (i) => String(i * 3 - 100), { key: 'PRIMARY KEY (k DESC)' }),
    one('k_text_down', general, word, { key: 'PRIMARY KEY (k DESC)', loose }),
    one('k_time_down', 'TIMESTAMP(6)', instant, { key: 'PRIMARY KEY (k DESC)' }),
    table(
      'mix_down',
      [
        ['a', 'DECIMAL(10,4)', (i) => `${(i % 3) - 1}.0050`],
        ['b', enumType, (i) => member(i % 5)],
        ['c', 'BINARY(4)', zeros],
      ],
      { key: 'PRIMARY KEY (a DESC, b, c DESC)' },
    ),
    table(
      'mix_text',
      [
        ['a', general, (i) => `'é${i % 4}'`],
        ['b', 'TIMESTAMP(6)', instant],
        ['c', 'BIT(20)', bits],
      ],
      { key: 'PRIMARY KEY (a, b DESC, c)', loose: { column: 'a', spellings: withSpaces } },
    ),
    table(
      'mix_set',
      [
        ['a', 'INT', (i) => String(i % 3)],
        ['b', setType, members],
      ],
      { key: 'PRIMARY KEY (a, b DESC)' },
    ),
    table(
      'mix_double',
      [
        ['a', 'FLOAT', (i) => `${i % 3} / 3e0`],
        ['b', 'SET("p","q","r")', (i) => String(i % 8)],
        ['c', 'VARBINARY(10)', zerosAtEnd],
      ],
      {},
    ),
    // Without a primary key; the other unique key has NULL in it, or is longer.
    one('only_unique', 'DATE', day, { key: 'u INT NULL, UNIQUE KEY u (u), UNIQUE KEY days (k)' }),
    one('only_unique_text', general, word, { key: 'UNIQUE KEY texts (k)', loose }),
    table(
      'only_unique_mix',
      [
        ['a', 'DOUBLE', (i) => `${i % 4} / 7e0`],
        ['b', general, word],
      ],
      { key: 'u INT NULL, UNIQUE KEY u (u), UNIQUE KEY two (a DESC, b)', loose: { column: 'b', spellings: withSpaces } },
    ),
  ]
  if (flavour === 'mysql') return tables
  return [
    ...tables,
    one('k_uuid', 'UUID', uuid),
    one('k_inet', 'INET6', inet),
    table(
      'mix_uuid',
      [
        ['a', 'INET6', (i) => inet(i % 5)],
        ['b', 'UUID', uuid],
      ],
      { key: 'PRIMARY KEY (a DESC, b)' },
    ),
  ]
}

/** What becomes of a table of rows 0 to 39 of these numbers, in this order, each an own transaction but where they are one; `lap` tells one run of them from the next. */
export function keyChanges(table: KeyTable, lap: number): string[][] {
  const { name, keyColumns, key, loose } = table
  // Keys from here on were never used.
  const fresh = 50 + lap * 15
  const columns = `n, ${keyColumns.join(', ')}, owner, v`
  const row = (n: number, i: number, owner: number): string => `(${n}, ${key(i).join(', ')}, ${owner}, 'new')`
  const keySet = (i: number): string => keyColumns.map((column, at) => `${column} = ${key(i)[at]}`).join(', ')
  const base = lap * 20
  const spelt = (loose?.spellings ?? []).map((spelling, i) => [
    // Owners change in the midst of it for one of two.
    `UPDATE ${name} SET ${loose!.column} = ${spelling(loose!.column)}${i === 1 ? ', owner = owner + 31' : ''} WHERE n IN (${base + 14}, ${base + 15 + i})`,
  ])
  return [
    [
      `INSERT INTO ${name} (${columns}) VALUES ${row(fresh, fresh, fresh)}, ${row(fresh + 1, fresh + 1, fresh + 1)}, ${row(fresh + 2, fresh + 2, 7)}`,
    ],
    [`UPDATE ${name} SET v = CONCAT(v, '+${lap}') WHERE n BETWEEN ${base} AND ${base + 5}`],
    [`DELETE FROM ${name} WHERE n IN (${base + 6}, ${base + 7})`],
    // The key, the shard key, and both.
    [`UPDATE ${name} SET ${keySet(fresh + 3)} WHERE n = ${base + 1}`],
    [`UPDATE ${name} SET owner = owner + 17 WHERE n BETWEEN ${base + 2} AND ${base + 9}`],
    [`UPDATE ${name} SET ${keySet(fresh + 4)}, owner = owner + 101 WHERE n = ${base + 10}`],
    // Two rows change their keys with each other, one of them its shard too.
    [
      `UPDATE ${name} SET ${keySet(fresh + 5)} WHERE n = ${base + 11}`,
      `UPDATE ${name} SET ${keySet(base + 11)}, owner = owner + 5 WHERE n = ${base + 12}`,
      `UPDATE ${name} SET ${keySet(base + 12)} WHERE n = ${base + 11}`,
    ],
    // Away, and there again elsewhere.
    [`DELETE FROM ${name} WHERE n = ${base + 13}`, `INSERT INTO ${name} (${columns}) VALUES ${row(base + 13, base + 13, 1_000 + lap)}`],
    ...spelt,
  ]
}
