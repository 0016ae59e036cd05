/**
 * Statements that ask for the time. What they answer can be compared where the session has set it, or where it is asked whether the time is one: over all rows and shards of a statement, and in
 * what columns take by themselves.
 */
import { mark } from './literal.ts'
import { ok, rows, type Step } from './probes.ts'
import type { Dice } from './random.ts'
import type { SchemaSpec } from './schema.ts'

export function stampedTables(prefix: string): [creates: string[], vschema: Record<string, object>] {
  const columns =
    'k INT NOT NULL, id INT NOT NULL, n INT, made TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3), at DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), seen TIMESTAMP NULL ON UPDATE NOW()'
  return [
    [`CREATE TABLE ${prefix}stamped (${columns}, PRIMARY KEY (id, k))`],
    { [`${prefix}stamped`]: { column_vindexes: [{ column: 'k', name: 'hash' }] } },
  ]
}

const clocks = [
  'NOW()',
  'NOW(6)',
  'CURRENT_TIMESTAMP',
  'CURRENT_TIMESTAMP(3)',
  'LOCALTIME',
  'LOCALTIMESTAMP(2)',
  'CURDATE()',
  'CURRENT_DATE',
  'CURTIME(4)',
  'CURRENT_TIME',
  'UTC_TIMESTAMP(6)',
  'UTC_DATE()',
  'UTC_TIME()',
  'UNIX_TIMESTAMP()',
  'DATE(NOW()) + INTERVAL 1 DAY',
  'YEAR(NOW())',
  'FROM_UNIXTIME(UNIX_TIMESTAMP())',
  "TIMESTAMPDIFF(DAY, '2021-01-01', NOW())",
  "DATE_FORMAT(NOW(6), '%H:%i:%s.%f')",
  '@@timestamp',
]

export class Moments {
  readonly #schema: SchemaSpec
  readonly #dice: Dice
  #nextId = 0

  constructor(schema: SchemaSpec, dice: Dice) {
    this.#schema = schema
    this.#dice = dice
  }

  steps(): Step[] {
    const dice = this.#dice
    const zone = dice.chance(0.5) ? [ok(`SET time_zone = '${dice.pick(['+05:30', '-11:00', '+00:00', '+13:00'])}'`)] : []
    if (dice.chance(0.35)) return [...zone, ...this.#passing()]
    const set = ok(`SET timestamp = ${this.#moment()}`)
    return [...zone, set, ...Array.from({ length: 3 }, () => this.#asking()), ...(dice.chance(0.7) ? this.#writing() : [])]
  }

  #moment(): string {
    const dice = this.#dice
    // Within the year of the rows' dates, near midnight somewhere, in other years.
    const whole = dice.pick([1609459200, 1622505599, 1622505600, 1634999999, 1, 1577836800 + dice.below(60_000_000)])
    return `${whole}${dice.pick(['', '.5', '.123456', '.999999'])}`
  }

  #table(): string {
    return this.#dice.pick(this.#schema.tables).name
  }

  #asking(): Step {
    const dice = this.#dice
    const [a, b] = [this.#table(), this.#table()]
    const clock = (): string => dice.pick(clocks)
    const bound = (): string =>
      dice.pick(['NOW()', 'NOW() - INTERVAL 1 MONTH', 'CURDATE()', 'UTC_TIMESTAMP()', 'NOW(6) + INTERVAL 90 MINUTE'])
    const stamped = `${this.#schema.prefix}stamped`
    return read(
      dice.pick([
        `SELECT ${clock()}, ${clock()}, ${clock()}`,
        `SELECT id, ${clock()}, ${clock()} AS c FROM ${a} ORDER BY id LIMIT 5`,
        `SELECT ${clock()} AS c, COUNT(*), MAX(id) FROM ${a} GROUP BY 1`,
        `SELECT MIN(${clock()}), MAX(NOW(6)), COUNT(DISTINCT NOW(6)) FROM ${a}`,
        `SELECT DISTINCT ${clock()} FROM ${a} x`,
        `SELECT x.id, y.id, ${clock()} FROM ${a} x JOIN ${b} y ON x.n = y.id WHERE x.id < ${mark('9')} AND NOW() > '1960-01-01' ORDER BY x.id, y.id LIMIT 7`,
        `SELECT COUNT(*) FROM ${a} WHERE ${dice.chance(0.5) ? 'id < 1000 AND ' : ''}NOW() ${dice.pick(['<', '>'])} '2021-06-01'`,
        `SELECT id FROM ${stamped} WHERE at ${dice.pick(['<', '>=', '='])} ${bound()} OR made < ${bound()} ORDER BY id`,
        `SELECT id, TIMESTAMPDIFF(SECOND, at, NOW()), made < NOW(3) FROM ${stamped} ORDER BY id`,
        `SELECT id, NOW(3) FROM ${a} WHERE id < ${mark('4')} UNION SELECT id, CURRENT_TIMESTAMP(3) FROM ${b} WHERE id < ${mark('4')} ORDER BY 1`,
        `SELECT d.t, COUNT(*) FROM (SELECT NOW(6) AS t, id FROM ${a}) d GROUP BY d.t`,
        `SELECT id FROM ${a} WHERE id = ${mark('3')} AND (SELECT COUNT(*) FROM ${b} WHERE NOW() > '2021-03-01') > 3 ORDER BY id`,
        `SELECT DAYOFWEEK(CURDATE()), (SELECT NOW(2) FROM ${a} ORDER BY id LIMIT 1)`,
      ]),
    )
  }

  /** Of the time as it is: is it one over a statement? */
  #passing(): Step[] {
    const dice = this.#dice
    const [a, b] = [this.#table(), this.#table()]
    const stamped = `${this.#schema.prefix}stamped`
    const from = this.#nextId
    this.#nextId += 6
    const asked = [
      `SELECT COUNT(DISTINCT NOW(6)), MIN(NOW(6)) = MAX(NOW(6)) FROM ${a}`,
      `SELECT COUNT(*) FROM (SELECT NOW(6) AS t FROM ${a} UNION SELECT CURRENT_TIMESTAMP(6) FROM ${b}) d`,
      `SELECT COUNT(*) FROM (SELECT DISTINCT CURTIME(6) FROM ${a}) d`,
      `SELECT COUNT(*) FROM ${a} x JOIN ${b} y ON x.n = y.id WHERE NOW(6) <> CURRENT_TIMESTAMP(6)`,
      `SELECT COUNT(*) FROM ${a} WHERE SYSDATE() < '2020-01-01'`,
      `SELECT id FROM ${a} WHERE NOW(6) = LOCALTIME(6) AND id < ${mark('20')} ORDER BY id`,
      `SELECT id, NOW() >= '2024-01-01', SYSDATE() >= NOW(), UNIX_TIMESTAMP() > 1700000000 FROM ${a} ORDER BY id LIMIT 4`,
      `SELECT d.c, COUNT(*) FROM (SELECT NOW(6) = (SELECT MAX(NOW(6)) FROM ${b}) AS c FROM ${a}) d GROUP BY d.c`,
      `SELECT COUNT(*) FROM ${a} GROUP BY NOW(6)`,
    ]
    return [
      ...dice.some(asked, 3).map(read),
      write(
        `INSERT INTO ${stamped} (k, id, n) VALUES ${[0, 1, 2, 3].map((i) => `(${mark(String(dice.below(20)))}, ${mark(String(from + i))}, 1)`).join(', ')}`,
      ),
      rows(
        `SELECT COUNT(*), COUNT(DISTINCT at), COUNT(DISTINCT made), MIN(TIMESTAMPDIFF(HOUR, at, NOW())) FROM ${stamped} WHERE id >= ${from}`,
      ),
      write(`UPDATE ${stamped} SET n = n + 1 WHERE id >= ${mark(String(from))}`),
      rows(`SELECT COUNT(*), COUNT(DISTINCT at), COUNT(DISTINCT seen), MIN(at >= made) FROM ${stamped} WHERE id >= ${from}`),
      // Its rows have times that nobody compares.
      write(`DELETE FROM ${stamped} WHERE id >= ${mark(String(from))}`),
    ]
  }

  /** What columns take by themselves, under the time that the session set. */
  #writing(): Step[] {
    const dice = this.#dice
    const stamped = `${this.#schema.prefix}stamped`
    const source = dice.pick(this.#schema.tables.filter((t) => t.sharding === 'key')).name
    const number = (): string => mark(String(dice.below(20)))
    const fresh = (): string => mark(String(this.#nextId++))
    const old = (): string => mark(String(dice.below(Math.max(1, this.#nextId))))
    const row = (): string => `(${number()}, ${fresh()}, ${number()})`
    const made = dice.pick([
      () => `INSERT INTO ${stamped} (k, id, n) VALUES ${row()}`,
      () => `INSERT INTO ${stamped} (k, id, n) VALUES ${row()}, ${row()}, ${row()}, ${row()}`,
      () =>
        `INSERT INTO ${stamped} (k, id, n, made, at) VALUES (${number()}, ${fresh()}, 1, NOW(), CURRENT_TIMESTAMP(6)), (${number()}, ${fresh()}, 1, DEFAULT, CURDATE())`,
      () =>
        `INSERT INTO ${stamped} (k, id, n, seen) VALUES (${number()}, ${fresh()}, 1, NOW(6)) ON DUPLICATE KEY UPDATE n = 5, seen = NOW() + INTERVAL 1 DAY`,
      () => {
        const from = this.#nextId
        this.#nextId += 10
        return `INSERT INTO ${stamped} (k, id, n, seen) SELECT k, ${mark(String(from))} + id, n, NOW() FROM ${source} WHERE id < 8`
      },
      () => `UPDATE ${stamped} SET n = n + 1 WHERE id % 3 = ${mark(String(dice.below(3)))}`,
      () => `UPDATE ${stamped} SET n = ${number()} WHERE id < ${old()}`,
      () => `UPDATE ${stamped} SET seen = NOW(), made = CURRENT_TIMESTAMP WHERE n = ${number()}`,
      () => `UPDATE ${stamped} SET k = ${number()} WHERE id % 4 = ${mark(String(dice.below(4)))}`,
      () => `UPDATE ${stamped} SET k = ${number()}, made = NOW(3) WHERE id = ${old()}`,
      () => `DELETE FROM ${stamped} WHERE id % 4 = ${mark(String(dice.below(4)))} AND at < NOW()`,
      () => `UPDATE ${stamped} SET n = n WHERE id < ${old()}`,
      () => `UPDATE ${stamped} p JOIN ${source} q ON p.n = q.id SET p.n = q.id + 1 WHERE q.id < 9`,
    ])()
    return [
      write(made),
      rows(`SELECT id, k, n, made, at, seen FROM ${stamped} ORDER BY id`),
      read(`SELECT COUNT(*), COUNT(DISTINCT at) FROM ${stamped} WHERE at = NOW(6)`),
    ]
  }
}

function read(sql: string): Step {
  return { ...rows(sql), prepared: true }
}

function write(sql: string): Step {
  return { ...ok(sql), prepared: true }
}
