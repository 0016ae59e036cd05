/** Random tables: keys of every kind, columns of every type, names that need quoting; and how their rows are written as SQL. */
import { KeyRangeIndex } from '../../../src/keyspace/key-range-index.ts'
import { parseKeyRange } from '../../../src/keyspace/key-range.ts'
import { createVindex } from '../../../src/keyspace/vindexes/create.ts'
import type { VindexValueType } from '../../../src/keyspace/vindex.ts'
import type { FlavourName } from '../../../src/mysql/connection.ts'
import { quoteIdentifier } from '../../../src/sql/quote.ts'
import type { StreamTable } from '../../../src/topology/records.ts'
import type { Dice } from './random.ts'
import { hugeType, keyTypes, movableTypes, shardTypes, slotsMax, type KeyType } from './types.ts'

export type Payload = { readonly name: string; readonly type: string; readonly nullable: boolean; readonly values: readonly string[] }
export type ShardValue = { readonly literal: string; readonly stored: string; readonly source: number; readonly target: number }

export type RandomTable = {
  readonly name: string
  readonly ddl: string
  readonly key: readonly { readonly name: string; readonly type: KeyType }[]
  /** Null: a reference table. */
  readonly shard: { readonly name: string; readonly values: readonly ShardValue[]; readonly table: StreamTable['vindex'] } | null
  /** A nullable unique column whose values wander; and an ordinary number that big updates count up. */
  readonly unique: string | null
  readonly uniqueText: string | null
  readonly counter: string
  /** A column that refers to the unique one of a reference table; NULL unless written. */
  readonly foreign: string | null
  readonly payload: readonly Payload[]
  readonly slots: number
  /** Rows of 16 MiB. */
  readonly huge: boolean
}

const oddNames = [
  'select', 'Lead-1', 'a.b', 'ключ', 'two words', 'x`y', "it's", 'order', 'NULL', 'key', '%', '日本語', 'q"q', 'UPPER', 'upper.x', '1', '1e5', '/slash', 'a,b', '(p)',
  'back\\slash', '@at', '#hash', '--dash', 'ümläut', 'primary', 'N'.repeat(64), `${'d.'.repeat(31)}ed`, 'group', 'x y z', '$1', '?',
] // prettier-ignore

const points = ["ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(-1.5 2e10)')", "ST_GeomFromText('POINT(0 0)')"]

export function randomTable(
  dice: Dice,
  n: number,
  options: {
    from: FlavourName
    to: FlavourName
    sources: readonly string[]
    targets: readonly string[]
    reference: boolean
    huge: boolean
    /** FULLTEXT keys: not on a MariaDB that is killed (README.md). */
    fullText: boolean
    /** A reference table with a unique column, which this table may refer to. */
    parent: RandomTable | null
  },
): RandomTable {
  const { from, to } = options
  const names = new Set<string>()
  const name = (plain: string): string => {
    const candidate = dice.chance(0.4) ? dice.pick(oddNames) : plain
    if (names.has(candidate.toLowerCase())) {
      names.add(plain)
      return plain
    }
    names.add(candidate.toLowerCase())
    return candidate
  }
  const types = keyTypes.filter(({ only }) => only === undefined || (only === from && only === to))
  const keyParts = dice.some(types, dice.pick([1, 1, 2, 2, 3]))
  if (!keyParts.some(({ injective }) => injective)) keyParts.push(dice.pick(types.filter(({ injective }) => injective)))
  const key = keyParts.map((type, i) => ({ name: name(`k${i}`), type }))
  const shardType = dice.pick(shardTypes)
  const shard = options.reference
    ? null
    : {
        name: name('owner'),
        values: shardValues(shardType, options.sources, options.targets),
        table: { type: shardType.vindex, params: {}, columns: [] as string[] },
      }
  shard?.table.columns.push(shard.name)
  const pool = movableTypes(from, to)
  const payload = dice.some(pool, 2 + dice.int(12)).map((known, i): Payload => ({
    name: name(`c${i}`),
    type: known.type,
    nullable: /\bNULL\b/.test(known.type) || dice.chance(0.7),
    values: known.values,
  }))
  if (options.huge) payload.push({ name: name('huge'), type: hugeType.type, nullable: true, values: hugeType.values })
  // Only when asked for: a MariaDB whose tables have one dies of itself in the workload's rollbacks (*tried*, 10.11.19: "InnoDB: Error (Failed, retry may succeed) in rollback").
  const place = dice.chance(0.2) && process.env['SHARDWRIGHT_TORTURE_SPATIAL'] !== undefined ? name('place') : null
  if (place !== null) payload.push({ name: place, type: 'POINT', nullable: false, values: points })
  const counter = name('counter')
  const foreign = options.parent !== null && dice.chance(0.6) ? name('fk') : null
  const unique = dice.chance(0.7) ? name('u') : null
  const uniqueText = dice.chance(0.4) ? name('ut') : null
  const q = quoteIdentifier
  const columns = [
    ...key.map((part) => `${q(part.name)} ${part.type.type}${part.type.type.includes('NOT NULL') ? '' : ' NOT NULL'}`),
    ...(shard === null ? [] : [`${q(shard.name)} ${shardType.type} NOT NULL`]),
    ...payload.map(
      (column) => `${q(column.name)} ${column.type}${column.nullable ? (/NULL/.test(column.type) ? '' : ' NULL') : ' NOT NULL'}`,
    ),
    `${q(counter)} INT NOT NULL DEFAULT 0`,
    ...(unique === null ? [] : [`${q(unique)} INT NULL`]),
    ...(uniqueText === null ? [] : [`${q(uniqueText)} VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NULL`]),
  ]
  if (foreign !== null) columns.push(`${q(foreign)} INT NULL`)
  // MariaDB 10.11 can not open a table that has a CHAR(0) beside it (1033, at its CREATE).
  if (dice.chance(0.3) && !columns.some((column) => / CHAR\(0\)/.test(column)))
    columns.push(`${q(name('gv'))} BIGINT GENERATED ALWAYS AS (${q(counter)} + 1) VIRTUAL`)
  if (dice.chance(0.3))
    columns.push(`${q(name('gs'))} VARCHAR(30) CHARACTER SET latin1 GENERATED ALWAYS AS (CONCAT('n', ${q(counter)})) STORED`)
  if (dice.chance(0.3)) columns.push(`${q(name('iv'))} INT ${from === 'mysql' ? 'DEFAULT 5 INVISIBLE' : 'INVISIBLE DEFAULT 5'}`)
  if (dice.chance(0.3))
    columns.push(`${q(name('dx'))} VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci DEFAULT (CONCAT('d', 1 + 1))`)
  if (dice.chance(0.2)) columns.push(`${q(name('dt'))} TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)`)
  for (let i = columns.length - 1; i > 0; i--) {
    // The order of the columns is another one than that of the key.
    const j = dice.int(i + 1)
    ;[columns[i], columns[j]] = [columns[j] as string, columns[i] as string]
  }
  const keyList = key.map((part) => q(part.name) + (dice.chance(0.25) ? ' DESC' : '')).join(', ')
  const keys = [dice.chance(0.75) ? `PRIMARY KEY (${keyList})` : `UNIQUE KEY ${q(name('uk'))} (${keyList})`]
  if (unique !== null) keys.push(`UNIQUE KEY ${q(name('uu'))} (${q(unique)})`)
  if (uniqueText !== null) keys.push(`UNIQUE KEY ${q(name('uut'))} (${q(uniqueText)})`)
  if (dice.chance(0.5)) keys.push(`KEY ${q(name('kc'))} (${q(counter)})`)
  const text = payload.find((column) => /^(VARCHAR|TEXT|CHAR)\b.*utf8mb4/.test(column.type))
  if (text !== undefined && dice.chance(0.5)) keys.push(`KEY ${q(name('kt'))} (${q(text.name)}(5))`)
  if (text !== undefined && dice.chance(0.15) && options.fullText) keys.push(`FULLTEXT KEY ${q(name('ft'))} (${q(text.name)})`)
  if (place !== null) keys.push(`SPATIAL KEY ${q(name('kp'))} (${q(place)})`)
  if (foreign !== null && options.parent !== null)
    keys.push(`FOREIGN KEY (${q(foreign)}) REFERENCES ${q(options.parent.name)} (${q(options.parent.unique ?? '')})`)
  const table = dice.chance(0.5) ? `${dice.pick(oddNames.filter((odd) => /^[\x20-\x7e]+$/.test(odd)))}`.slice(0, 60) + n : `t${n}`
  return {
    name: table,
    ddl: `CREATE TABLE ${q(table)} (${[...columns, ...keys].join(', ')}) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci`,
    key,
    shard,
    unique,
    uniqueText,
    counter,
    foreign,
    payload,
    huge: options.huge,
    slots: Math.min(slotsMax, dice.pick([40, 200, 600, 3000])),
  }
}

function shardValues(type: (typeof shardTypes)[number], sources: readonly string[], targets: readonly string[]): ShardValue[] {
  const vindex = createVindex(type.vindex, type.vindex)
  const index = (shards: readonly string[]): KeyRangeIndex<number> =>
    new KeyRangeIndex(shards.map((shard, value) => ({ range: parseKeyRange(shard), value })))
  const [bySource, byTarget] = [index(sources), index(targets)]
  const kind: VindexValueType = type.type.startsWith('BIGINT UNSIGNED')
    ? 'UINT64'
    : type.type.startsWith('BIGINT')
      ? 'INT64'
      : type.type.startsWith('INT')
        ? 'UINT32'
        : (type.type.split('(')[0] as VindexValueType)
  return type.values.map(({ literal, stored, utf8 }) => {
    const id = vindex.map([{ type: kind, bytes: utf8 }])
    if (id === null) throw new Error(`${literal} has no keyspace id`)
    return { literal, stored: stored.toString('hex'), source: bySource.find(id) ?? -1, target: byTarget.find(id) ?? -1 }
  })
}

/** SQL of one row's writes. `partition`: slots and unique values of one writer, which nobody else uses. */
export class RowWriter {
  readonly table: RandomTable
  readonly #dice: Dice
  readonly #partition: number
  readonly #partitions: number
  readonly #source: number
  readonly into: string

  constructor(table: RandomTable, dice: Dice, where: { schema: string; source: number; partition: number; partitions: number }) {
    this.table = table
    this.#dice = dice
    this.#partition = where.partition
    this.#partitions = where.partitions
    this.#source = where.source
    this.into = `${quoteIdentifier(where.schema)}.${quoteIdentifier(table.name)}`
  }

  slot(): number {
    const own = Math.floor(this.table.slots / this.#partitions)
    return this.#dice.int(own) * this.#partitions + this.#partition
  }

  key(slot: number): string[] {
    return this.table.key.map(({ type }) => this.#dice.pick(type.spellings(type.injective ? slot : slot + this.#dice.int(3))))
  }

  where(key: readonly string[]): string {
    return this.table.key.map(({ name }, i) => `${quoteIdentifier(name)} = ${key[i]}`).join(' AND ')
  }

  value(column: Payload): string {
    if (column.nullable && this.#dice.chance(0.15)) return 'NULL'
    const value = this.#dice.pick(column.values)
    // Values of megabytes, and of a hundred kilobytes, are rare: the rows of a table fit into memory here, and a round into its time.
    const rare = /\d{7}\)$/.test(value) ? 0.1 : /\d{5,6}\)/.test(value) ? 0.05 : 1
    return rare < 1 && !this.#dice.chance(rare) ? (column.values.find((other) => !/\d{5,}\)/.test(other)) ?? value) : value
  }

  uniqueValue(): string {
    return this.#dice.chance(0.4) ? 'NULL' : String(this.#dice.int(25) * this.#partitions + this.#partition)
  }

  uniqueText(): string {
    if (this.#dice.chance(0.4)) return 'NULL'
    const text = `v${this.#dice.int(25) * this.#partitions + this.#partition}e`
    return this.#dice.pick([`'${text}'`, `'${text.toUpperCase()}'`, `'${text.slice(0, -1)}é'`, `'${text} '`])
  }

  shardLiteral(): string {
    const own = this.table.shard?.values.filter(({ source }) => source === this.#source) ?? []
    return this.#dice.pick(own).literal
  }

  get possible(): boolean {
    return this.table.shard === null || this.table.shard.values.some(({ source }) => source === this.#source)
  }

  columns(): string {
    const { key, shard, payload, counter, unique, uniqueText } = this.table
    const names = [
      ...key.map((part) => part.name),
      ...(shard === null ? [] : [shard.name]),
      ...payload.map((column) => column.name),
      counter,
    ]
    return [...names, ...(unique === null ? [] : [unique]), ...(uniqueText === null ? [] : [uniqueText])].map(quoteIdentifier).join(',')
  }

  tuple(key: readonly string[], values = { unique: this.uniqueValue(), text: this.uniqueText() }): string {
    const { shard, payload, unique, uniqueText } = this.table
    return `(${[
      ...key,
      ...(shard === null ? [] : [this.shardLiteral()]),
      ...payload.map((column) => this.value(column)),
      String(this.#dice.int(1000)),
      ...(unique === null ? [] : [values.unique]),
      ...(uniqueText === null ? [] : [values.text]),
    ].join(',')})`
  }

  put(slot = this.slot(), verb = 'REPLACE'): string {
    return `${verb} INTO ${this.into} (${this.columns()}) VALUES ${this.tuple(this.key(slot))}`
  }

  /** A row that comes here from elsewhere: what must be gone from every shard before, and the row. */
  arrival(): { before: (into: string) => string[]; insert: string } {
    const { table } = this
    const key = this.key(this.slot())
    const values = { unique: this.uniqueValue(), text: this.uniqueText() }
    const q = quoteIdentifier
    return {
      before: (into) => [
        `DELETE FROM ${into} WHERE ${this.where(key)}`,
        ...(table.unique === null || values.unique === 'NULL'
          ? []
          : [`UPDATE ${into} SET ${q(table.unique)} = NULL WHERE ${q(table.unique)} = ${values.unique}`]),
        ...(table.uniqueText === null || values.text === 'NULL'
          ? []
          : [`UPDATE ${into} SET ${q(table.uniqueText)} = NULL WHERE ${q(table.uniqueText)} = ${values.text}`]),
      ],
      insert: `INSERT INTO ${this.into} (${this.columns()}) VALUES ${this.tuple(key, values)}`,
    }
  }

  /** Something that an application may do to rows of this writer's partition. */
  statements(): string[] {
    const dice = this.#dice
    const { table, into } = this
    const q = quoteIdentifier
    const slot = this.slot()
    const at = this.where(this.key(slot))
    switch (dice.int(14)) {
      case 0:
        return [`DELETE FROM ${into} WHERE ${at}`]
      case 1:
        if (table.shard === null) return [this.put(slot)]
        return [`UPDATE ${into} SET ${q(table.shard.name)} = ${this.shardLiteral()} WHERE ${at}`]
      case 2: {
        const to = this.key(this.slot())
        return [`UPDATE ${into} SET ${table.key.map(({ name }, i) => `${q(name)} = ${to[i]}`).join(', ')} WHERE ${at}`]
      }
      case 3: {
        // The same key, spelled otherwise: equal to the server's collation, other bytes.
        const to = this.key(slot)
        return [
          `UPDATE ${into} SET ${table.key.map(({ name }, i) => `${q(name)} = ${to[i]}`).join(', ')}, ${q(table.counter)} = ${q(table.counter)} + 1 WHERE ${at}`,
        ]
      }
      case 4:
      case 5: {
        // A unique value is given up by one row and taken by another, in one transaction.
        const column = table.unique !== null && dice.chance(0.6) ? table.unique : table.uniqueText
        if (column === null) return [this.put(slot)]
        const value = column === table.unique ? this.uniqueValue() : this.uniqueText()
        const taken = [`UPDATE ${into} SET ${q(column)} = ${value} WHERE ${at}`]
        return value === 'NULL' ? taken : [`UPDATE ${into} SET ${q(column)} = NULL WHERE ${q(column)} = ${value}`, ...taken]
      }
      case 6:
        return [`DELETE FROM ${into} WHERE ${at}`, this.put(slot, 'INSERT')]
      case 7: {
        const column = dice.pick(table.payload)
        return [`UPDATE ${into} SET ${q(column.name)} = ${this.value(column)} WHERE ${at}`]
      }
      case 8:
        return [
          `UPDATE ${into} SET ${q(table.counter)} = ${q(table.counter)} + 1 WHERE ${q(table.counter)} BETWEEN ${dice.int(1000)} AND ${dice.int(1000)} LIMIT 20`,
        ]
      case 9: {
        // Whether there is such a row is not asked: sessions of the workload check no foreign keys.
        if (table.foreign !== null) return [`UPDATE ${into} SET ${q(table.foreign)} = ${this.uniqueValue()} WHERE ${at}`]
        return [this.put(slot)]
      }
      case 10:
        return Array.from({ length: 8 }, () => `UPDATE ${into} SET ${q(table.counter)} = ${q(table.counter)} + 1 WHERE ${at}`)
      default:
        return [this.put(slot)]
    }
  }
}
