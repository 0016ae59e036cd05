/**
 * INSERT, UPDATE, DELETE and REPLACE whose effect is determined by the rows that stand in the tables. Ids stay unique in their table: rows whose shard key may be changed (`mayMove`) are
 * none that are inserted again with the key that they once had.
 */
import { comparison, isExact, type Ref } from './expressions.ts'
import { mark } from './literal.ts'
import type { Dice } from './random.ts'
import { type ColumnSpec, keyFor, type SchemaSpec, type TableSpec, valueFor } from './schema.ts'
import { weights } from './weights.ts'

export type Write = { readonly sql: string; readonly category: string; readonly tables: readonly string[] }

const [movedModulus, moved, fixedId] = [3, 1, 0]
const mayMove = `id % ${movedModulus} = ${moved}`

export class Writes {
  readonly #schema: SchemaSpec
  readonly #dice: Dice
  #nextId = 1000
  /** Rows that were there once, for what meets a duplicate. */
  readonly #known = new Map<string, { key: string; id: number }[]>()

  constructor(schema: SchemaSpec, dice: Dice) {
    this.#schema = schema
    this.#dice = dice
  }

  /** Statements that fill the tables. */
  initial(rows: number): string[] {
    return this.#schema.tables.flatMap((table) => {
      const count = table.sharding === 'reference' ? 12 : rows
      const values = Array.from({ length: count }, (_, id) => {
        const key = table.sharding === 'reference' ? '' : keyFor(table, this.#dice)
        this.#remember(table, key, id)
        return this.#row(table, key, id, table.columns.slice(table.sharding === 'reference' ? 1 : 2))
      })
      return [`INSERT INTO ${table.name} VALUES ${values.join(', ')}`]
    })
  }

  #remember(table: TableSpec, key: string, id: number): void {
    const list = this.#known.get(table.name) ?? []
    this.#known.set(table.name, list)
    if (id % movedModulus !== moved) list.push({ key, id })
  }

  #row(table: TableSpec, key: string, id: number, columns: readonly ColumnSpec[]): string {
    const values = columns.map((column) => mark(valueFor(column, this.#dice)))
    return `(${[...(table.sharding === 'reference' ? [] : [mark(key)]), mark(String(id)), ...values].join(', ')})`
  }

  next(): Write {
    const dice = this.#dice
    const kind = dice.weighted(weights.writes)
    if (kind === 'reference') return this.#reference()
    const table = dice.pick(this.#schema.tables.filter((t) => t.sharding === 'key' || (t.sharding !== 'reference' && dice.chance(0.4))))
    const key = (table.columns[0] as ColumnSpec).name
    const others = dice.some(table.columns.slice(2), 3)
    const named = `(${[key, 'id', ...others.map((column) => column.name)].join(', ')})`
    const fresh = (): string => {
      const k = keyFor(table, dice)
      const id = this.#nextId++
      this.#remember(table, k, id)
      return this.#row(table, k, id, others)
    }
    const old = (): string => {
      const known = dice.pick(this.#known.get(table.name) ?? [{ key: keyFor(table, dice), id: fixedId }])
      return this.#row(table, known.key, known.id, others)
    }
    const refs = table.columns.map((spec, i): Ref => ({ sql: spec.name, kind: spec.kind, spec, key: i === 0 }))
    const set = (qualifier = ''): string =>
      dice
        .some(
          table.columns.slice(2).filter((c) => c.kind !== 'float' && c.kind !== 'json'),
          1 + dice.below(2),
        )
        .map(
          (column) =>
            `${qualifier}${column.name} = ${isPlainInt(column) && dice.chance(0.5) ? `${qualifier}${column.name} + 1` : mark(valueFor(column, dice))}`,
        )
        .join(', ')
    const where = (): string => comparison(refs.slice(2), dice)
    const byKey = (): string => `${key} = ${mark(keyFor(table, dice))}${dice.chance(0.5) ? ` AND ${where()}` : ''}`
    const made = (sql: string, ...more: TableSpec[]): Write => ({ sql, category: kind, tables: [table.name, ...more.map((t) => t.name)] })
    switch (kind) {
      case 'insertOne':
        return made(
          dice.chance(0.3)
            ? `INSERT INTO ${table.name} ${named} VALUES ${dice.chance(0.15) ? old() : fresh()}`
            : `INSERT ${table.name} ${named} VALUES ${fresh()}`,
        )
      case 'insertMany':
        return made(`INSERT INTO ${table.name} ${named} VALUES ${Array.from({ length: 2 + dice.below(4) }, fresh).join(', ')}`)
      case 'insertIgnore':
        return made(`INSERT IGNORE INTO ${table.name} ${named} VALUES ${fresh()}, ${old()}, ${old()}`)
      case 'onDuplicate': {
        const exact = table.columns.slice(2).filter((column) => column.kind !== 'float')
        const becomes = (column: ColumnSpec): string => {
          if (others.includes(column) && dice.chance(0.5)) return `VALUES(${column.name})`
          return isPlainInt(column) && dice.chance(0.7) ? `${column.name} + 1` : mark(valueFor(column, dice))
        }
        const changes = dice.some(exact, 1 + dice.below(2)).map((column) => `${column.name} = ${becomes(column)}`)
        return made(
          `INSERT INTO ${table.name} ${named} VALUES ${dice.chance(0.5) ? old() : `${fresh()}, ${old()}`} ON DUPLICATE KEY UPDATE ${changes.join(', ')}`,
        )
      }
      case 'replace':
        return made(`REPLACE INTO ${table.name} ${named} VALUES ${dice.chance(0.5) ? old() : `${fresh()}, ${old()}`}`)
      case 'insertSelect': {
        const from = dice.pick(this.#schema.tables.filter((t) => t.sharding === 'key'))
        const id = this.#nextId
        this.#nextId += 5000
        const source = from.columns.map((spec, i): Ref => ({ sql: `sx.${spec.name}`, kind: spec.kind, spec, key: i === 0 }))
        const keyed = table.sharding === 'text' ? mark(keyFor(table, dice)) : dice.chance(0.6) ? 'sx.k' : 'sx.id % 20'
        const filter = [
          ...(dice.chance(0.4) ? [`sx.k = ${mark(keyFor(from, dice))}`] : []),
          ...(dice.chance(0.7) ? [comparison(source, dice)] : []),
          'sx.id < 1000',
        ]
        return made(
          `INSERT INTO ${table.name} (${key}, id, n) SELECT ${keyed}, sx.id + ${mark(String(id))}, sx.n FROM ${from.name} sx WHERE ${filter.join(' AND ')}`,
        )
      }
      case 'insertSubquery': {
        const other = dice.pick(this.#schema.tables.filter((t) => t !== table && (t.sharding === 'key' || t.sharding === 'reference')))
        const id = this.#nextId++
        const k = keyFor(table, dice)
        this.#remember(table, k, id)
        const asked = (): string =>
          `(SELECT ${dice.pick(['COUNT(*)', 'MAX(n)', 'MIN(id)', 'MAX(id)'])} FROM ${other.name}${dice.chance(0.6) ? ` WHERE id < ${mark(String(dice.below(40)))}` : ''})`
        const row = `(${mark(k)}, ${mark(String(id))}, ${asked()})`
        return made(
          dice.chance(0.2)
            ? `INSERT INTO ${table.name} SET ${key} = ${mark(k)}, id = ${mark(String(id))}, n = ${asked()}`
            : `${dice.pick(['INSERT', 'INSERT', 'INSERT IGNORE', 'REPLACE'])} INTO ${table.name} (${key}, id, n) VALUES ${row}`,
          other,
        )
      }
      case 'document': {
        const column = table.columns.find((c) => c.kind === 'json')
        if (column === undefined) return made(`UPDATE ${table.name} SET ${set()} WHERE ${byKey()}`)
        const amount = dice.pick(table.columns.filter((c) => ['int', 'decimal', 'datetime', 'date', 'binary'].includes(c.kind))).name
        // Of typed values: few, as what holds them is refused where it is put together.
        const value = dice.chance(0.1) ? `JSON_OBJECT('p', ${amount})` : mark(valueFor({ ...column, nullable: false }, dice))
        return made(
          `UPDATE ${table.name} SET ${column.name} = ${value} WHERE ${key} = ${mark(keyFor(table, dice))} AND id % 5 = ${mark(String(dice.below(5)))}`,
        )
      }
      case 'updateByKey':
        return made(`UPDATE ${table.name} SET ${set()} WHERE ${byKey()}`)
      case 'updateScattered':
        return made(`UPDATE ${table.name} SET ${set()} WHERE ${where()}`)
      case 'updateKey': {
        const moves =
          table.sharding === 'text' ? mark(keyFor(table, dice)) : dice.pick([mark(keyFor(table, dice)), `${key} + 1`, 'id % 24'])
        const also = dice.chance(0.4) ? `, ${set()}` : ''
        return made(
          `UPDATE ${table.name} SET ${key} = ${moves}${also} WHERE ${dice.pick([byKey(), `id < ${mark(String(dice.below(12)))}`, where()])} AND ${mayMove}${dice.chance(0.15) ? ` ORDER BY id LIMIT ${mark('2')}` : ''}`,
        )
      }
      case 'updateJoin': {
        const other = dice.pick(this.#schema.tables.filter((t) => t.sharding !== 'text' && t !== table))
        const on =
          dice.chance(0.6) && table.sharding === 'key' && other.sharding === 'key'
            ? 'p.k = q.k'
            : dice.chance(0.5) || other.sharding === 'reference'
              ? 'p.n = q.id'
              : 'p.n = q.k'
        const column = dice.pick(table.columns.slice(2).filter(isPlainInt))
        const carried = on.endsWith('q.id') && dice.chance(0.5) ? this.#carried(table, other) : null
        if (carried !== null)
          return made(
            `UPDATE ${table.name} p JOIN ${other.name} q ON ${on} SET ${carried} WHERE q.id < ${mark(String(dice.below(60)))}`,
            other,
          )
        return made(
          `UPDATE ${table.name} p JOIN ${other.name} q ON ${on} SET ${on.endsWith('q.id') && dice.chance(0.6) ? 'p.s = q.s, p.n = q.n + p.id' : `p.${column.name} = ${mark(valueFor({ ...column, nullable: false }, dice))}`} WHERE ${comparison(
            other.columns.map((spec): Ref => ({ sql: `q.${spec.name}`, kind: spec.kind, spec, key: false })),
            dice,
          )}`,
          other,
        )
      }
      case 'updateSubquery': {
        const other = dice.pick(this.#schema.tables.filter((t) => t.sharding === 'key' && t !== table))
        const beside = table.columns.slice(2).filter((column) => ['d', 'g', 's', 'u', 'v'].includes(column.name))
        // One table is set from left to right: n before, and, which may be refused, n as it is set here.
        if (beside.length > 0 && dice.chance(0.4)) {
          const asked = `n = (SELECT ${dice.pick(['COUNT(*)', 'MAX(n)', 'MIN(id)'])} FROM ${other.name} WHERE id < ${mark(String(dice.below(40)))})`
          const read = `${dice.pick(beside).name} = n + 1`
          return made(
            `UPDATE ${table.name} SET ${dice.chance(0.9) ? `${read}, ${asked}` : `${asked}, ${read}`} WHERE id % 7 = ${mark(String(dice.below(7)))}`,
            other,
          )
        }
        return made(
          `UPDATE ${table.name} SET ${set()} WHERE n IN (SELECT ${dice.pick(['k', 'n', 'id'])} FROM ${other.name} WHERE id < ${mark(String(dice.below(20)))})`,
          other,
        )
      }
      case 'updateLimit':
        return made(
          `UPDATE ${table.name} SET ${set()} WHERE ${dice.chance(0.5) ? byKey() : where()} ORDER BY id LIMIT ${mark(String(1 + dice.below(4)))}`,
        )
      case 'deleteByKey':
        return made(`DELETE FROM ${table.name} WHERE ${byKey()} AND id % 3 = ${mark(String(dice.below(3)))}`)
      case 'deleteScattered':
        return made(`DELETE FROM ${table.name} WHERE ${where()} AND id % 7 = ${mark(String(dice.below(7)))}`)
      case 'deleteJoin': {
        const other = dice.pick(this.#schema.tables.filter((t) => (t.sharding === 'key' || t.sharding === 'reference') && t !== table))
        const on = table.sharding === 'key' && other.sharding === 'key' ? 'p.k = q.k' : 'p.n = q.id'
        return made(
          `DELETE p FROM ${table.name} p JOIN ${other.name} q ON ${on} WHERE p.id % 5 = ${mark(String(dice.below(5)))} AND q.id < ${mark('6')}`,
          other,
        )
      }
      case 'deleteSubquery': {
        const other = dice.pick(this.#schema.tables.filter((t) => t.sharding === 'key' && t !== table))
        return made(
          `DELETE FROM ${table.name} WHERE id % 4 = ${mark(String(dice.below(4)))} AND n IN (SELECT n FROM ${other.name} WHERE id = ${mark(String(dice.below(30)))})`,
          other,
        )
      }
      case 'deleteLimit':
        return made(
          `DELETE FROM ${table.name} WHERE ${dice.chance(0.5) ? byKey() : where()} ORDER BY id DESC LIMIT ${mark(String(1 + dice.below(3)))}`,
        )
    }
  }

  /** Columns set to columns of the other table whose text may say less than they are: digits, an instant, bits. Null: there are none. */
  #carried(table: TableSpec, other: TableSpec): string | null {
    const numbers = ['float', 'double', 'decimal', 'int']
    const pairs = table.columns.slice(2).flatMap((to) =>
      other.columns.slice(1).flatMap((from) => {
        const alike = to.sql === from.sql && to.kind !== 'json'
        // FLOAT holds whatever comes, and the oracle knows that its sums are not exact.
        const converted = (to.kind === 'float' || to.name === 'd') && numbers.includes(from.kind) && from.name !== 'm'
        if (!alike && !converted) return []
        return [`p.${to.name} = q.${from.name}`, ...(converted && from.kind === 'int' ? [`p.${to.name} = q.${from.name} / 7`] : [])]
      }),
    )
    return pairs.length === 0 ? null : (this.#dice.some(pairs, 1)[0] ?? null)
  }

  #reference(): Write {
    const dice = this.#dice
    const table = this.#schema.tables.find((t) => t.sharding === 'reference') as TableSpec
    const id = this.#nextId++
    const n = mark(String(dice.below(9)))
    const sql = dice.pick([
      `INSERT INTO ${table.name} (id, n) VALUES (${mark(String(id))}, ${n})`,
      `UPDATE ${table.name} SET n = ${n} WHERE id = ${mark(String(dice.below(12)))}`,
      `UPDATE ${table.name} SET n = n + 1 WHERE n < ${n}`,
      `DELETE FROM ${table.name} WHERE id > ${mark('1000')} AND n = ${n}`,
    ])
    return { sql, category: 'reference', tables: [table.name] }
  }
}

function isPlainInt(column: ColumnSpec): boolean {
  return column.kind === 'int' && column.name !== 'm'
}

export { isExact }
