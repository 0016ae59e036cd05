/**
 * What is not one statement whose answer depends on rows alone: what a session sets and then uses, ids that are drawn (compared by which row has one, not by what it is), isolation
 * levels, and reads while others write.
 */
import type { Connection } from '../../src/mysql/connection.ts'
import { beside } from './beside.ts'
import { mark } from './literal.ts'
import { Moments } from './moments.ts'
import { PlacedStatements } from './placed.ts'
import { drawnFrom } from './probe-tables.ts'
import type { Dice } from './random.ts'
import { keysMax, type SchemaSpec } from './schema.ts'
import type { weights } from './weights.ts'

export type Step = {
  readonly sql: string
  readonly compare: 'ok' | 'rows'
  readonly prepared: boolean
  /** By the gate, where one server counts. */
  readonly refused: boolean
}
export type Meanwhile = { readonly level: string; readonly writes: readonly string[]; readonly read: string }
export type Probe = {
  readonly steps: readonly Step[]
  readonly meanwhile: Meanwhile | null
  /** Puts back what the steps set, on both sides. A step that is refused says nothing of those that follow. */
  readonly after?: readonly string[]
}

const pairs = 6
const readsEach = 25

export class Probes {
  readonly #schema: SchemaSpec
  readonly #dice: Dice
  readonly #value: () => string
  readonly #flavour: 'mariadb' | 'mysql'
  readonly #placed: PlacedStatements
  readonly #moments: Moments
  #given = 0

  /** @param value an expression over tables that is one value */
  constructor(schema: SchemaSpec, dice: Dice, flavour: 'mariadb' | 'mysql', value: () => string) {
    this.#flavour = flavour
    this.#schema = schema
    this.#dice = dice
    this.#value = value
    this.#placed = new PlacedStatements(schema.placed, `${schema.prefix}a`, dice, flavour)
    this.#moments = new Moments(schema, dice)
  }

  initial(): string[] {
    const rows = Array.from({ length: pairs }, (_, k) => `(${k}, ${k % 2}, 0)`).join(', ')
    return [
      ...['pair_a', 'pair_b'].map((table) => `INSERT INTO ${this.#schema.prefix}${table} (k, m, n) VALUES ${rows}`),
      ...this.#placed.initial(),
    ]
  }

  next(kind: keyof typeof weights.probes): Probe {
    switch (kind) {
      case 'variable':
        return { steps: this.#variable(), meanwhile: null }
      case 'ids':
        return { steps: this.#ids(), meanwhile: null }
      case 'isolation':
        return { steps: this.#isolation(), meanwhile: null }
      case 'meanwhile':
        return { steps: [], meanwhile: this.#meanwhile() }
      case 'settings':
        return { steps: this.#settings(), meanwhile: null, after: asBefore }
      case 'names':
        return { steps: this.#names(), meanwhile: null }
      case 'beside':
        return { steps: beside(this.#schema, this.#dice), meanwhile: null }
      case 'placed':
        return { steps: this.#placed.steps(), meanwhile: null, after: [] }
      case 'moments':
        return { steps: this.#moments.steps(), meanwhile: null, after: ['SET timestamp = DEFAULT, time_zone = DEFAULT'] }
      case 'functions':
        return { steps: this.#functions(), meanwhile: null, after: [] }
    }
  }

  /** Stored functions and triggers. Made by the servers' owner, on each. */
  functions(): string[] {
    const { prefix } = this.#schema
    const product = `CREATE AGGREGATE FUNCTION ${prefix}product(x INT) RETURNS BIGINT NO SQL BEGIN
      DECLARE p BIGINT DEFAULT 1; DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN p;
      LOOP FETCH GROUP NEXT ROW; SET p = (p * IFNULL(x, 1)) % 99991; END LOOP; END`
    return [
      `CREATE FUNCTION ${prefix}next_of(x INT) RETURNS INT NO SQL DETERMINISTIC RETURN x + 1`,
      `CREATE FUNCTION ${prefix}counted() RETURNS INT READS SQL DATA DETERMINISTIC RETURN (SELECT COUNT(*) FROM ${prefix}a)`,
      ...(this.#flavour === 'mariadb' ? [product] : []),
      // Triggers that a shard may run for itself.
      `CREATE TRIGGER ${prefix}o_insert BEFORE INSERT ON ${prefix}o FOR EACH ROW SET NEW.s = IF(NEW.n > 6, LOWER(NEW.s), NEW.s), NEW.n = IF(NEW.n < 0, 0, NEW.n)`,
      `CREATE TRIGGER ${prefix}o_update BEFORE UPDATE ON ${prefix}o FOR EACH ROW SET NEW.s = IF(NEW.n <> OLD.n, CONCAT(NEW.s, 'x'), NEW.s)`,
      `CREATE TRIGGER ${prefix}r_insert BEFORE INSERT ON ${prefix}r FOR EACH ROW SET NEW.n = IFNULL(NEW.n, 3)`,
    ]
  }

  #functions(): Step[] {
    const dice = this.#dice
    const { prefix } = this.#schema
    const table = dice.pick(this.#schema.tables.filter((t) => t.sharding === 'key')).name
    const next = `${prefix}next_of(n)`
    const own =
      this.#flavour === 'mariadb'
        ? [
            `SELECT ${prefix}product(n % 3 + 2), COUNT(*) FROM ${table}`,
            `SELECT q.k, ${prefix}product(q.n) FROM ${table} q GROUP BY q.k ORDER BY 1`,
          ]
        : [`SELECT ST_NumGeometries(ST_Collect(POINT(id, 1))), COUNT(*) FROM ${table} WHERE id < 50`]
    return [
      rows(dice.pick([`SELECT id, ${next} FROM ${table} ORDER BY ${next}, id`, `SELECT SUM(${next}), MAX(${next}) FROM ${table}`])),
      rows(dice.pick(own)),
      left(
        dice.pick([`SELECT ${prefix}counted()`, `SET @f = ${prefix}counted()`, `SELECT ${prefix}counted(), id FROM ${table} WHERE id < 5`]),
      ),
    ]
  }

  /** Statements that differ in the names that they give, or in their literals only, one after the other. */
  #names(): Step[] {
    const dice = this.#dice
    const { name } = dice.pick(this.#schema.tables.filter((t) => t.sharding === 'key'))
    const twice = dice.pick<(a: string, b: string) => string>([
      (a, b) => `SELECT n AS '${a}', k AS '${b}' FROM ${name} ORDER BY q DESC, p, id`,
      (a, b) => `SELECT k AS '${a}', COUNT(*) AS '${b}' FROM ${name} GROUP BY k HAVING p > 4 ORDER BY q, p`,
      (a, b) => `SELECT DATABASE() IS NULL AS '${a}', 1 AS "${b}"`,
      (a) => `SELECT n, k, id FROM ${name} ORDER BY 3, ${a === 'p' ? 1 : 2}`,
      (a) => `SELECT n, k, id FROM ${name} ORDER BY ${a === 'p' ? 9 : 1}, 2, 3`,
      (a) => `SELECT LAST_INSERT_ID() * 0 AS '${a}'`,
    ])
    return [rows(twice('p', 'q')), rows(twice('q', 'p')), rows(twice('p', 'q'))]
  }

  /** What a session sets, and statements that it changes or must not change. */
  #settings(): Step[] {
    const dice = this.#dice
    const { name } = dice.pick(this.#schema.tables.filter((t) => t.sharding === 'key'))
    const asked = [
      `SELECT id, n, s FROM ${name} ORDER BY s, id LIMIT 30`,
      `SELECT n, COUNT(*) AS c FROM ${name} GROUP BY n HAVING NOT COUNT(*) > 1 ORDER BY n`,
      `SELECT n, COUNT(*) AS c FROM ${name} GROUP BY n HAVING NOT c > 2 OR n IS NULL ORDER BY c, n`,
      `SELECT COUNT(DISTINCT s), MIN(s) IS NULL FROM ${name}`,
      `SELECT COUNT(*) FROM ${name} WHERE s = 'á' OR s = 'ß'`,
      `SELECT id, NOT n > 2, n / 7 FROM ${name} ORDER BY NOT n > 2, id`,
      `SELECT GROUP_CONCAT(id ORDER BY id), AVG(n) FROM ${name}`,
      `SELECT id, "s" FROM ${name} ORDER BY id`,
      `SELECT k, SUM(n), AVG(n / 3) FROM ${name} GROUP BY k ORDER BY k`,
      `SELECT id FROM ${name} ORDER BY id DESC`,
      `SELECT MIN(id), COUNT(*) FROM ${name} GROUP BY s HAVING COUNT(*) > 0 ORDER BY COUNT(*), MIN(id)`,
      `SELECT id FROM ${name} ORDER BY TRIM(s), id LIMIT 7`,
      `SELECT COUNT(*), MIN(id) FROM ${name} GROUP BY LOWER(s) ORDER BY MIN(id)`,
      `SELECT COUNT(DISTINCT n), SUM(n) FROM ${name}`,
      `SELECT COUNT(*), MIN(n), MAX(id), MAX(s) = MAX(TRIM(s)) FROM ${name} WHERE n > 2 GROUP BY s ORDER BY s, MAX(id)`,
    ]
    const moved = `id % 3 = 1 AND id < ${dice.below(40)}`
    return [
      ok(`SET ${dice.pick(settings)}`),
      ...dice.some(asked, 3).map(rows),
      ...(dice.chance(0.5)
        ? [ok(`UPDATE ${name} SET k = k + 1 WHERE ${moved}`), rows(`SELECT id, k, s FROM ${name} WHERE ${moved} ORDER BY id`)]
        : []),
    ]
  }

  #variable(): Step[] {
    const dice = this.#dice
    const table = dice.pick(this.#schema.tables.filter((t) => t.sharding === 'key'))
    // Of every type: what is lost on the way to a variable shows in its digits, its bytes, its comparisons.
    const column = dice.pick(table.columns.filter(({ kind }) => kind !== 'json')).name
    const typed = `(SELECT ${dice.pick([column, `MAX(${column})`, `MIN(${column})`])} FROM ${table.name} WHERE id = ${dice.below(40)})`
    const value = (): string =>
      dice.chance(0.4)
        ? typed
        : dice.chance(0.6)
          ? this.#value()
          : dice.pick([
              "_utf8mb4'a' COLLATE utf8mb4_bin",
              "CONVERT('a' USING latin1)",
              '2',
              '1',
              '5',
              'NULL',
              "'a'",
              '1.50',
              '1 / 3',
              '10 / 4 + 1',
              "CONCAT('a', 1)",
            ])
    const set = ok(dice.chance(0.3) ? `SET @v = ${value()}, @w = ${value()}` : `SET @v = ${value()}`)
    return [
      set,
      rows('SELECT @v AS v, @w AS w'),
      rows("SELECT @v + 0e0, CONCAT(@v, ''), HEX(@v), @v = 'A', @v > 4"),
      rows(`SELECT id, n FROM ${table.name} WHERE ${dice.pick(['n = @v', 'k = @v', 'id <= @v', 'n + @v > 3'])} ORDER BY id LIMIT 20`),
      rows(
        dice.pick([
          `SELECT id, n FROM ${table.name} ORDER BY @v, id`,
          `SELECT n, id FROM ${table.name} ORDER BY -@v, @w, id LIMIT 15`,
          `SELECT COUNT(*), MAX(n) FROM ${table.name} GROUP BY @v`,
          `SELECT n, COUNT(*) FROM ${table.name} GROUP BY @v, n ORDER BY n`,
        ]),
      ),
      rows(`SELECT COUNT(*) FROM ${table.name} WHERE 'A' = @v`),
    ]
  }

  #ids(): Step[] {
    const dice = this.#dice
    const drawn = `${this.#schema.prefix}auto`
    const open = `${this.#schema.prefix}left_open`
    const key = (): string => mark(String(dice.below(keysMax)))
    const text = (): string => mark(`'${dice.pick(['a', 'b', 'c'])}'`)
    const fresh = (): string => mark(String(++this.#given))
    const none = (): string => dice.pick(['NULL', '0', 'DEFAULT', mark('NULL'), mark('0'), "'0'"])
    const id = (): string => (dice.chance(0.3) ? fresh() : none())
    const row = (of: () => string): string => `(${key()}, ${of()}, ${mark(String(dice.below(9)))}, ${text()})`
    const several = (of: () => string): string => Array.from({ length: 1 + dice.below(4) }, () => row(of)).join(', ')
    const source = dice.pick(this.#schema.tables.filter((t) => t.sharding === 'key')).name
    const at = this.#given
    const insert = dice.pick<() => Step>([
      () => ok(`INSERT INTO ${drawn} (k, id, n, s) VALUES ${several(id)}`),
      () => ok(`INSERT INTO ${drawn} VALUES ${several(id)}`),
      () => ok(`INSERT INTO ${drawn} (k, n, s) VALUES (${key()}, ${mark('1')}, ${text()}), (${key()}, ${mark('2')}, ${text()})`),
      () => ok(`INSERT INTO ${drawn} SET k = ${key()}, ${dice.chance(0.5) ? `id = ${none()}, ` : ''}s = ${text()}`),
      () => {
        this.#given += 2_000
        return ok(
          `INSERT INTO ${drawn} (k, id, n, s) SELECT k, ${dice.pick(['NULL', '0', `IF(id % 3 = 0, ${at + 1} + id, ${dice.pick(['NULL', '0'])})`])}, n, ${text()} FROM ${source} WHERE id < 8`,
        )
      },
      () => ok(`INSERT INTO ${drawn} (k, n, s) SELECT k, n, ${text()} FROM ${source} WHERE id < 6`),
      () => ok(`INSERT INTO ${open} (k, id, n, s) VALUES ${several(fresh)}`),
      () => left(`INSERT INTO ${open} (k, id, n, s) VALUES ${row(none)}`),
      () => left(`INSERT INTO ${open} (k, n, s) VALUES (${key()}, 1, ${text()})`),
      () => left(`INSERT INTO ${open} (k, id, n, s) SELECT 1, ${dice.pick(['NULL', '0'])}, 1, ${text()} FROM ${this.#schema.prefix}pair_a`),
    ])()
    const which = `SELECT COUNT(*), COUNT(DISTINCT id), SUM(id >= ${drawnFrom}), SUM(id = 0), SUM(IF(id < ${drawnFrom}, id, 0)), SUM(n), k, s`
    // Of all: an id that was given twice may stand under two keys.
    const twice = rows(`SELECT COUNT(*) - COUNT(DISTINCT id) FROM ${drawn}`)
    const last = rows(
      `SELECT IF(LAST_INSERT_ID() >= ${drawnFrom}, 'drawn', LAST_INSERT_ID()), (SELECT COUNT(*) > 0 FROM ${drawn} WHERE id = LAST_INSERT_ID())`,
    )
    return [insert, last, twice, ...[drawn, open].map((table) => rows(`${which} FROM ${table} GROUP BY k, s ORDER BY k, s`))]
  }

  #isolation(): Step[] {
    const level = this.#dice.pick(['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])
    const access = this.#dice.chance(0.2) ? ', READ WRITE' : ''
    return [ok(`SET SESSION TRANSACTION ISOLATION LEVEL ${level}${access}`)]
  }

  /** In one statement outside of a transaction, the two tables are of one moment, below REPEATABLE READ too. */
  #meanwhile(): Meanwhile {
    const { prefix } = this.#schema
    const k = String(this.#dice.below(pairs))
    return {
      level: this.#dice.pick(['READ COMMITTED', 'REPEATABLE READ']),
      writes: ['BEGIN', ...['pair_a', 'pair_b'].map((table) => `UPDATE ${prefix}${table} SET n = n + 1 WHERE k = ${k}`), 'COMMIT'],
      read: `SELECT x.n - y.n FROM ${prefix}pair_a x JOIN ${prefix}pair_b y ON y.m + 0 = x.m + 0 AND y.k + 0 = x.k + 0 WHERE x.k + 0 = ${k}`,
    }
  }
}

const settings = [
  'NAMES latin1',
  'NAMES utf8mb4 COLLATE utf8mb4_bin',
  'NAMES utf8mb4 COLLATE utf8mb4_general_ci',
  'collation_connection = latin1_swedish_ci',
  'character_set_connection = latin1',
  "sql_mode = 'HIGH_NOT_PRECEDENCE'",
  "sql_mode = 'HIGH_NOT_PRECEDENCE,ONLY_FULL_GROUP_BY'",
  "sql_mode = ''",
  "sql_mode = 'ANSI_QUOTES'",
  "sql_mode = 'NO_BACKSLASH_ESCAPES'",
  "sql_mode = 'PIPES_AS_CONCAT'",
  'div_precision_increment = 9',
  'group_concat_max_len = 20',
  'sql_select_limit = 7',
  "time_zone = '+05:30'",
  'NAMES binary',
  'character_set_results = binary',
  'SESSION TRANSACTION READ ONLY',
]
const asBefore = [
  'SET NAMES utf8mb4',
  'SET SESSION TRANSACTION READ WRITE',
  'SET sql_mode = DEFAULT, div_precision_increment = DEFAULT, group_concat_max_len = DEFAULT, sql_select_limit = DEFAULT, time_zone = DEFAULT',
]

export function ok(sql: string): Step {
  return { sql, compare: 'ok', prepared: /^(INSERT|UPDATE|DELETE)/.test(sql), refused: false }
}
export function rows(sql: string): Step {
  return { sql, compare: 'rows', prepared: false, refused: false }
}
function left(sql: string): Step {
  return { sql, compare: 'ok', prepared: true, refused: true }
}

/** What a read saw of one write and not of the other; null: nothing. Closes the writer. */
export async function readsMeanwhile(reader: Connection, writer: Connection, { level, writes, read }: Meanwhile): Promise<string | null> {
  let writing = true
  const written = (async (): Promise<void> => {
    while (writing) for (const sql of writes) await writer.query(sql)
  })()
  try {
    await reader.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${level}`)
    for (let i = 0; i < readsEach; i++) {
      const seen = await reader.query(read)
      const cells = seen.kind === 'rows' ? seen.rows.map((row) => row[0]?.toString() ?? 'NULL') : []
      if (cells.join() !== '0') return `under ${level}, at read ${i}: the one is ${cells.join()} ahead of the other`
    }
    return null
  } finally {
    writing = false
    await written
    await writer.close()
  }
}

/** A step is read with what came before it. */
export function textOf(steps: readonly Step[], at: number): string {
  return steps
    .slice(0, at + 1)
    .map(({ sql }) => sql)
    .join('; ')
}
