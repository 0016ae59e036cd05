/**
 * Tables by vindexes that hash does not stand for: those that keep order (BETWEEN and comparisons route), of several columns (the first of them route), and maps of numbers; and
 * statements that route by them, or must not.
 */
import { mark } from './literal.ts'
import { ok, rows, type Step } from './probes.ts'
import type { Dice } from './random.ts'

type Kind = 'big' | 'small' | 'bytes' | 'fixed' | 'text'
type KeyColumn = { readonly name: string; readonly kind: Kind }
type Sort = { readonly vindex: object; readonly columns: readonly KeyColumn[] }
export type PlacedTable = { readonly name: string; readonly columns: readonly KeyColumn[] }

const key = (kind: Kind, name = 'k'): KeyColumn => ({ name, kind })
const types: Readonly<Record<Kind, string>> = {
  big: 'BIGINT UNSIGNED NOT NULL',
  small: 'INT NOT NULL',
  bytes: 'VARBINARY(8) NOT NULL',
  fixed: 'BINARY(4) NOT NULL',
  // Padded when compared ('a' = 'a '), by MariaDB and MySQL.
  text: 'VARCHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL',
}
/** Few, so that joins meet; on every shard of four. */
const values: Readonly<Record<Kind, readonly string[]>> = {
  big: [
    '0',
    '1',
    '2',
    '7',
    '4611686018427387904',
    '4611686018427387905',
    '9223372036854775808',
    '13835058055282163712',
    '18446744073709551615',
  ],
  small: ['0', '1', '2', '3', '5', '7', '64', '130', '200', '255'],
  bytes: ['00', '0000', '20', '3f', '40', '4000', '41', '61', '6100', '61ff', '80', 'c0', 'ff', 'ffff', ''].map((hex) => `x'${hex}'`),
  fixed: ['00000000', '3fffffff', '40000000', '61000000', '61620000', '80000000', 'c0000001', 'ffffffff'].map((hex) => `x'${hex}'`),
  text: ["'a'", "'A'", "'b'", "'é'", "'ß'", "'10'", "'zz'", "''", "'日'"],
}
/** MariaDB takes it for the next integer where it looks for it in an index, and for what it is elsewhere: the plan's matter, on one server too. */
const fraction = '1.5'
/** What a condition may compare a key with besides: out of its range, of another type, of no value. */
const strange: Readonly<Record<Kind, readonly string[]>> = {
  big: [
    'NULL',
    '-1',
    '-5',
    fraction,
    '2.0',
    "'7'",
    "'7x'",
    "'x'",
    '1e0',
    '18446744073709551616',
    '99999999999999999999999',
    "''",
    "x'07'",
    'TRUE',
    '1 + 1',
    '-0',
  ],
  small: ['NULL', '-1', fraction, '2.0', "'7'", "'7x'", "'x'", '1e0', '2147483648', '-99999999999', "x'07'", 'FALSE', '1 + 1'],
  bytes: ['NULL', "'a'", "'a '", "'A'", "'é'", "'abcdefghijkl'", '0', '61', "_utf8mb4'a'", "x'610000'", "CONCAT('a', '')"],
  fixed: ['NULL', "'a'", "'ab'", "'ab  '", "x'61'", "x'6162'", "x'616200000000'", '0', "'é'"],
  text: ['NULL', "'a '", "'B'", '10', '0', "x'61'", "'ss'", "_latin1'a'", "'abcdefghijklmnop'", "'a' COLLATE utf8mb4_general_ci"],
}

/** As a literal stands marked. */
const isNumber = (literal: string): boolean => /^.-?\d/.test(literal)

const map = JSON.stringify(Object.fromEntries([0, 1, 2, 3, 5].map((n) => [String(n), n === 0 ? 7 : Number.MAX_SAFE_INTEGER - n])))
const ordered: readonly Sort[] = [
  { vindex: { type: 'numeric' }, columns: [key('big')] },
  { vindex: { type: 'binary' }, columns: [key('bytes')] },
  { vindex: { type: 'binary' }, columns: [key('fixed')] },
]
const single: readonly Sort[] = [
  { vindex: { type: 'reverse_bits' }, columns: [key('big')] },
  { vindex: { type: 'numeric_static_map', params: { json: map, fallback_type: 'reverse_bits' } }, columns: [key('small')] },
  { vindex: { type: 'numeric_static_map', params: { json: map, fallback_type: 'xxhash' } }, columns: [key('small')] },
  { vindex: { type: 'binary_md5' }, columns: [key('text')] },
  { vindex: { type: 'binary_md5' }, columns: [key('bytes')] },
  { vindex: { type: 'unicode_loose_md5' }, columns: [key('text')] },
  { vindex: { type: 'binary' }, columns: [key('text')] },
]
const several: readonly Sort[] = [
  { vindex: { type: 'multicol', params: { column_count: '2' } }, columns: [key('small', 'k'), key('small', 'h')] },
  {
    vindex: { type: 'multicol', params: { column_count: '2', column_bytes: '1,7', column_vindex: 'binary,hash' } },
    columns: [key('bytes', 'k'), key('small', 'h')],
  },
  {
    vindex: { type: 'multicol', params: { column_count: '3', column_bytes: '1,2,5', column_vindex: 'hash,xxhash,numeric' } },
    columns: [key('small', 'k'), key('text', 'h'), key('big', 'j')],
  },
  { vindex: { type: 'region_experimental', params: { region_bytes: '1' } }, columns: [key('small', 'k'), key('small', 'h')] },
]

export type Placed = {
  readonly tables: readonly PlacedTable[]
  readonly creates: readonly string[]
  readonly vindexes: Record<string, object>
  readonly vschema: Record<string, object>
}

/** Two tables of each of three sorts that the dice chose, so that every seed has a vindex that keeps order, another one, and one of several columns. */
export function placedTables(prefix: string, dice: Dice): Placed {
  const placed = {
    tables: [] as PlacedTable[],
    creates: [] as string[],
    vindexes: {} as Record<string, object>,
    vschema: {} as Record<string, object>,
  }
  for (const [letter, sort] of Object.entries({ x: dice.pick(ordered), y: dice.pick(single), z: dice.pick(several) })) {
    const vindex = `${prefix}by_${letter}`
    placed.vindexes[vindex] = sort.vindex
    for (const half of ['1', '2']) {
      const name = `${prefix}p${letter}${half}`
      const names = sort.columns.map((column) => column.name).join(', ')
      const declared = sort.columns.map((column) => `${column.name} ${types[column.kind]}`).join(', ')
      placed.creates.push(
        `CREATE TABLE ${name} (${declared}, id INT NOT NULL, n INT, s VARCHAR(20) COLLATE utf8mb4_general_ci, PRIMARY KEY (${dice.pick(['id', `${names}, id`, `id, ${names}`])})) DEFAULT CHARSET utf8mb4`,
      )
      placed.vschema[name] = { column_vindexes: [{ columns: sort.columns.map((column) => column.name), name: vindex }] }
      placed.tables.push({ name, columns: sort.columns })
    }
  }
  return placed
}

const initialRows = 24
/** Rows whose key may change are none that are inserted again. */
const mayMove = 'id % 3 = 1'

export class PlacedStatements {
  readonly #placed: Placed
  readonly #other: string
  readonly #dice: Dice
  readonly #known = new Map<string, string[]>()
  readonly #flavour: 'mariadb' | 'mysql'
  readonly #strange: (kind: Kind) => readonly string[]
  #nextId = 1000

  /** @param other a table that is sharded by another vindex, with `id` and `n` */
  constructor(placed: Placed, other: string, dice: Dice, flavour: 'mariadb' | 'mysql') {
    this.#placed = placed
    this.#flavour = flavour
    this.#strange = (kind) => strange[kind].filter((value) => flavour === 'mysql' || value !== fraction)
    this.#other = other
    this.#dice = dice
  }

  initial(): string[] {
    return this.#placed.tables.map(
      (table) => `INSERT INTO ${table.name} VALUES ${Array.from({ length: initialRows }, (_, id) => this.#row(table, id)).join(', ')}`,
    )
  }

  steps(): Step[] {
    const dice = this.#dice
    const at = dice.below(this.#placed.tables.length)
    const table = this.#placed.tables[at] as PlacedTable
    const twin = this.#placed.tables[at ^ 1] as PlacedTable
    const all = (of: PlacedTable): Step => read(`SELECT * FROM ${of.name} ORDER BY id`)
    return [
      ...Array.from({ length: 4 }, () => read(this.#read(table, twin))),
      ...(dice.chance(0.7) ? [write(this.#write(table, twin)), all(table)] : []),
      // Tables are joined and copied by their rows, and are to stay small.
      ...(dice.chance(0.3) ? [write(`DELETE FROM ${table.name} WHERE id >= ${mark('1000')}`), all(table)] : []),
    ]
  }

  #value(column: KeyColumn): string {
    return mark(this.#dice.pick(values[column.kind]))
  }

  /** For a condition. */
  #asked(column: KeyColumn): string {
    return this.#dice.chance(0.2) ? mark(this.#dice.pick(this.#strange(column.kind))) : this.#value(column)
  }

  /** Text between a text and a number MariaDB compares as text where it looks in an index, and as numbers elsewhere: the plan's matter, on one server too. */
  #bounds(column: KeyColumn): string {
    const [low, high] = [this.#asked(column), this.#asked(column)]
    const isPlansMatter = this.#flavour === 'mariadb' && values[column.kind].every((value) => !isNumber(mark(value)))
    return isPlansMatter && isNumber(low) !== isNumber(high) ? this.#bounds(column) : `${low} AND ${high}`
  }

  #row(table: PlacedTable, id: number): string {
    const dice = this.#dice
    const keys = table.columns.map((column) => this.#value(column)).join(', ')
    if (id % 3 !== 1) this.#known.set(table.name, [...(this.#known.get(table.name) ?? []), `(${keys}, ${mark(String(id))}`])
    return `(${keys}, ${mark(String(id))}, ${mark(String(dice.below(6)))}, ${mark(`'${dice.pick(['a', 'A', 'b'])}'`)})`
  }

  #old(table: PlacedTable): string {
    const known = this.#known.get(table.name)
    return known === undefined
      ? this.#row(table, this.#nextId++)
      : `${this.#dice.pick(known)}, ${mark(String(this.#dice.below(6)))}, ${mark("'old'")})`
  }

  /** @param alias with its point */
  #condition(table: PlacedTable, alias = ''): string {
    const dice = this.#dice
    const names = table.columns.map((column) => alias + column.name)
    const [first] = table.columns as [KeyColumn]
    const [name] = names as [string]
    const tuple = (): string => `(${table.columns.map((column) => this.#asked(column)).join(', ')})`
    const operator = (): string => dice.pick(['<', '<=', '>', '>=', '=', '<=>', '<>'])
    const each = (): string => table.columns.map((column, i) => `${names[i]} = ${this.#asked(column)}`).join(' AND ')
    return dice.pick([
      each,
      () => `${name} = ${this.#asked(first)}`,
      () => `${name} IN (${this.#asked(first)}, ${this.#asked(first)}, ${this.#asked(first)})`,
      () => `${name} ${dice.chance(0.2) ? 'NOT ' : ''}BETWEEN ${this.#bounds(first)}`,
      () => `${name} ${operator()} ${this.#asked(first)}`,
      () => `${this.#asked(first)} ${operator()} ${name}`,
      () => `${name} >= ${this.#asked(first)} AND ${name} < ${this.#asked(first)}`,
      () => `(${name} > ${this.#asked(first)} OR ${name} = ${this.#asked(first)})`,
      () => `NOT (${name} <= ${this.#asked(first)})`,
      () => (names.length === 1 ? each() : `(${names.join(', ')}) = ${tuple()}`),
      () => (names.length === 1 ? each() : `(${names.join(', ')}) IN (${tuple()}, ${tuple()})`),
      () => `${names.at(-1)} = ${this.#asked(table.columns.at(-1) as KeyColumn)}`,
      () => `${each()} OR ${each()}`,
      () => `${name} = ${this.#asked(first)} AND ${alias}n < ${mark('4')}`,
      () => `${name} BETWEEN ${this.#bounds(first)} AND ${alias}id < ${mark('12')}`,
    ])()
  }

  #read(table: PlacedTable, twin: PlacedTable): string {
    const dice = this.#dice
    const keys = (alias: string): string => table.columns.map(({ name }) => `${alias}${name}`).join(', ')
    const [{ name: first }] = table.columns as [KeyColumn]
    const equal = table.columns.map(({ name }) => `a.${name} = b.${name}`).join(' AND ')
    const where = (alias = ''): string => (dice.chance(0.8) ? ` WHERE ${this.#condition(table, alias)}` : '')
    const on = (): string => dice.pick([equal, equal, `a.${first} = b.${first}`, `a.id = b.n AND a.${first} = b.${first}`])
    const join = (): string => dice.pick(['JOIN', 'LEFT JOIN', 'RIGHT JOIN'])
    const limit = dice.chance(0.3) ? ` LIMIT ${mark(String(1 + dice.below(6)))}` : ''
    return dice.pick([
      () => `SELECT id, ${keys('')}, n FROM ${table.name}${where()} ORDER BY id${limit}`,
      () => `SELECT id, n FROM ${table.name} WHERE ${this.#condition(table)} ORDER BY ${first} DESC, id${limit}`,
      () => `SELECT id, n FROM ${table.name} WHERE ${this.#condition(table)} ORDER BY id`,
      () => `SELECT COUNT(*), SUM(n), MAX(id), COUNT(DISTINCT ${first}) FROM ${table.name} WHERE ${this.#condition(table)}`,
      () => `SELECT ${first}, COUNT(*), MAX(id) FROM ${table.name}${where()} GROUP BY ${first} ORDER BY ${first}${limit}`,
      () => `SELECT ${keys('')}, COUNT(*), AVG(n) FROM ${table.name}${where()} GROUP BY ${keys('')} ORDER BY ${keys('')}`,
      () => `SELECT DISTINCT ${first} FROM ${table.name}${where()} ORDER BY ${dice.chance(0.5) ? '1' : first}`,
      () => `SELECT DISTINCT ${keys('')} FROM ${table.name}${where()} ORDER BY ${keys('')}`,
      () => `SELECT a.id, b.id FROM ${table.name} a ${join()} ${twin.name} b ON ${on()}${where('a.')} ORDER BY a.id, b.id${limit}`,
      () =>
        `SELECT a.id, b.id FROM ${table.name} a ${join()} ${twin.name} b ON ${on()} AND ${this.#condition(table, dice.pick(['a.', 'b.']))} ORDER BY a.id, b.id`,
      () =>
        `SELECT a.${first}, COUNT(b.id) FROM ${table.name} a LEFT JOIN ${twin.name} b ON ${on()}${where('a.')} GROUP BY a.${first} ORDER BY a.${first}`,
      () => `SELECT a.id, o.id FROM ${table.name} a JOIN ${this.#other} o ON a.n = o.id${where('a.')} ORDER BY a.id, o.id`,
      () => `SELECT id FROM ${table.name} WHERE ${first} IN (SELECT ${first} FROM ${twin.name}${where()}) ORDER BY id`,
      () => `SELECT id FROM ${table.name} WHERE (${keys('')}) IN (SELECT ${keys('')} FROM ${twin.name}${where()}) ORDER BY id`,
      () =>
        `SELECT a.id FROM ${table.name} a WHERE ${dice.chance(0.4) ? 'NOT ' : ''}EXISTS (SELECT 1 FROM ${twin.name} b WHERE ${on()} AND b.n > ${mark('2')})${dice.chance(0.5) ? ` AND ${this.#condition(table, 'a.')}` : ''} ORDER BY a.id`,
      () =>
        `SELECT id, ROW_NUMBER() OVER (PARTITION BY ${dice.chance(0.5) ? first : keys('')} ORDER BY id) FROM ${table.name}${where()} ORDER BY id`,
      () =>
        `SELECT d.id, d.n FROM (SELECT id, n, ${keys('')} FROM ${table.name}${where()}) d WHERE ${this.#condition(table, 'd.')} ORDER BY d.id`,
      () =>
        `SELECT id, n FROM ${table.name} WHERE ${this.#condition(table)} UNION ${dice.chance(0.5) ? 'ALL ' : ''}SELECT id, n FROM ${twin.name} WHERE ${this.#condition(table)} ORDER BY 1, 2`,
      () => `SELECT id, (SELECT MAX(b.id) FROM ${twin.name} b WHERE ${equal}) FROM ${table.name} a${where('a.')} ORDER BY id`,
    ])()
  }

  #write(table: PlacedTable, twin: PlacedTable): string {
    const dice = this.#dice
    const fresh = (): string => this.#row(table, this.#nextId++)
    const names = table.columns.map(({ name }) => name).join(', ')
    const some = `id % 5 = ${mark(String(dice.below(5)))}`
    const into = `INTO ${table.name} (${names}, id, n, s) VALUES`
    const moved = dice.pick(table.columns)
    return dice.pick([
      () => `INSERT ${into} ${fresh()}`,
      () => `INSERT ${into} ${fresh()}, ${fresh()}, ${fresh()}, ${fresh()}`,
      () => `INSERT IGNORE ${into} ${fresh()}, ${this.#old(table)}, ${this.#old(table)}`,
      () => `REPLACE ${into} ${this.#old(table)}, ${fresh()}`,
      () => `INSERT ${into} ${this.#old(table)}, ${fresh()} ON DUPLICATE KEY UPDATE n = n + 1`,
      () => {
        const from = this.#nextId
        this.#nextId += 1000
        return `INSERT INTO ${table.name} (${names}, id, n) SELECT ${names}, id + ${mark(String(from))}, n FROM ${twin.name} WHERE id < ${mark('100')} AND (${this.#condition(table)})`
      },
      () => `UPDATE ${table.name} SET n = n + 1, s = ${mark("'u'")} WHERE ${this.#condition(table)}`,
      () => `UPDATE ${table.name} SET n = ${mark('3')} WHERE ${some} AND (${this.#condition(table)})`,
      () =>
        `UPDATE ${table.name} SET ${moved.name} = ${this.#value(moved)} WHERE ${mayMove} AND ${dice.pick([`id < ${mark('20')}`, `(${this.#condition(table)})`])}`,
      () =>
        `UPDATE ${table.name} SET ${table.columns.map((column) => `${column.name} = ${this.#value(column)}`).join(', ')}, n = n + 1 WHERE ${mayMove} AND (${this.#condition(table)})`,
      () => `DELETE FROM ${table.name} WHERE ${some} AND (${this.#condition(table)})`,
      () =>
        `DELETE FROM ${table.name} WHERE ${table.columns.map((column) => `${column.name} = ${this.#value(column)}`).join(' AND ')} AND id > ${mark('20')}`,
      () =>
        `UPDATE ${table.name} a JOIN ${twin.name} b ON ${table.columns.map(({ name }) => `a.${name} = b.${name}`).join(' AND ')} SET a.n = ${mark('5')} WHERE b.id < ${mark('9')}`,
      // Out of what the column or the vindex takes, or of no value: no server of a strict mode takes it, or the gate says that it can't.
      () => `INSERT ${into} (${table.columns.map((column) => this.#asked(column)).join(', ')}, ${mark(String(this.#nextId++))}, 1, 'x')`,
    ])()
  }
}

function read(sql: string): Step {
  return { ...rows(sql), prepared: true }
}

function write(sql: string): Step {
  return { ...ok(sql), prepared: true }
}
