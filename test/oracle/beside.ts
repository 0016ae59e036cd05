/**
 * Statements of a session whose keyspace is sharded on an unsharded keyspace beside it, called `beside` (on the one server a database of that name): what the session knows must be known there
 * too (ids, variables, counts), and what is set there must be known to the session.
 */
import { mark } from './literal.ts'
import { ok, rows, type Step } from './probes.ts'
import type { Dice } from './random.ts'
import type { SchemaSpec } from './schema.ts'

/** Made by the servers' owner, in the database behind the keyspace. */
export function besideTables(prefix: string): string[] {
  return [
    `CREATE TABLE ${prefix}u (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, n INT, s VARCHAR(20))`,
    `CREATE FUNCTION ${prefix}f(x INT) RETURNS INT NO SQL DETERMINISTIC RETURN x + 1`,
    `CREATE PROCEDURE ${prefix}p(x INT) BEGIN INSERT INTO ${prefix}u (n) VALUES (x); INSERT INTO ${prefix}u (n) VALUES (x + 1); SET @p = x; END`,
  ]
}

export function beside(schema: SchemaSpec, dice: Dice): Step[] {
  const { prefix } = schema
  const u = `beside.${prefix}u`
  const sharded = dice.pick(schema.tables.filter((t) => t.sharding === 'key')).name
  const number = (): string => mark(String(dice.below(30)))
  const text = (): string => mark(`'${dice.pick(['a', 'b', 'c'])}'`)
  const insert = (value: string): Step => ok(`INSERT INTO ${u} (n, s) VALUES (${value}, ${text()})`)
  const all = rows(`SELECT id, n, s FROM ${u} ORDER BY id`)
  const cases: (() => Step[])[] = [
    () => [
      insert(number()),
      rows('SELECT LAST_INSERT_ID()'),
      insert('LAST_INSERT_ID()'),
      rows(`SELECT id, n FROM ${u} WHERE id = LAST_INSERT_ID() OR n = LAST_INSERT_ID() - 1 ORDER BY id`),
    ],
    () => [
      ok(`SET @b = ${number()}`),
      rows(`SELECT id, @b, n + @b FROM ${u} WHERE n >= @b ORDER BY id`),
      ok(`UPDATE ${u} SET n = n + @b WHERE n < @b LIMIT 20`),
      rows('SELECT ROW_COUNT()'),
      all,
    ],
    () => [
      ok(`SET @c = NULL`),
      ok(`SELECT MAX(n), MIN(s) INTO @c, @d FROM ${u}`),
      rows('SELECT @c, @c + 1, @d'),
      rows(`SELECT COUNT(*) FROM ${sharded} WHERE n = @c`),
    ],
    () => [ok('SET @e = 0'), rows(`SELECT @e := @e + n FROM ${u} WHERE n IS NOT NULL ORDER BY id`), rows('SELECT @e')],
    () => [
      rows(`SELECT SQL_CALC_FOUND_ROWS id FROM ${u} ORDER BY id LIMIT 1`),
      rows('SELECT FOUND_ROWS()'),
      rows(`SELECT COUNT(*) + 0 * FOUND_ROWS() FROM ${u}`),
    ],
    () => [ok('BEGIN'), insert(number()), rows(`SELECT COUNT(*) FROM ${u}`), ok(dice.pick(['COMMIT', 'ROLLBACK'])), all],
    () => [
      ok('BEGIN'),
      insert(number()),
      ok(`UPDATE ${sharded} SET n = n + 1 WHERE k = ${number()}`),
      ok('ROLLBACK'),
      rows(`SELECT COUNT(*), SUM(n) FROM ${sharded}`),
      all,
    ],
    () => [rows(`SELECT beside.${prefix}f(n), COUNT(*) FROM ${u} GROUP BY 1 ORDER BY 1`), rows(`SELECT beside.${prefix}f(${number()})`)],
    () => [ok(`CALL beside.${prefix}p(${number()})`), all, rows('SELECT @p')],
    () => [rows(`SELECT x.n, y.id FROM ${u} x JOIN ${sharded} y ON x.n = y.n AND y.id < 30 ORDER BY x.id, y.id`)],
    () => [ok(`INSERT INTO ${u} (n, s) SELECT n, 'from' FROM ${sharded} WHERE id < 5 ORDER BY id`), all],
    () => [rows(`SELECT id FROM ${sharded} WHERE n IN (SELECT n FROM ${u}) ORDER BY id`)],
    () => [insert(text()), rows('SELECT @@warning_count'), all],
    () => [ok(`INSERT IGNORE INTO ${u} (id, n) VALUES (1, 1), (2, 2)`), rows('SELECT ROW_COUNT()'), all],
    () => [ok(`INSERT IGNORE INTO ${u} (id, n) VALUES (${number()}, 1)`), rows('SELECT LAST_INSERT_ID() < 1000000'), all],
  ]
  return [...(dice.chance(0.4) ? [ok(`DELETE FROM ${u} WHERE id % 3 = ${dice.below(3)}`)] : []), ...dice.pick(cases)()]
}
