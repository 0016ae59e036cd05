/**
 * What every client does, against a server itself and through the gate: the same statements in the same order, answers compared by that client's own eyes.
 * A case with parameters is run as text (the library puts them in) and prepared; one without, as text, and prepared when it says so.
 */

/** `v` as the library of a language takes it: bytes in hex, numbers that need more than 53 bits as text; `repeat`: so many times. */
export type Param =
  | { t: 'null' }
  | { t: 'int' | 'double' | 'text' | 'bytes' | 'decimal' | 'date' | 'datetime' | 'time' | 'bool'; v: string; repeat?: number }

export type Case = {
  id: string
  sql: string
  params?: Param[]
  prepared?: boolean
  /** Rows are counted, not compared, and warnings are not: they are of this very moment. */
  loose?: boolean
  /** What a sharded keyspace refuses, or answers of one shard: why it is not asked there. */
  unsharded?: string
}

const none: Param = { t: 'null' }
const p = (t: Exclude<Param['t'], 'null'>, v: string | number, repeat?: number): Param =>
  ({ t, v: String(v), ...(repeat === undefined ? {} : { repeat }) }) as Param

const columns = {
  ti: 'TINYINT',
  tu: 'TINYINT UNSIGNED',
  si: 'SMALLINT',
  mi: 'MEDIUMINT',
  i: 'INT',
  iz: 'INT(8) UNSIGNED ZEROFILL',
  bi: 'BIGINT',
  bu: 'BIGINT UNSIGNED',
  f: 'FLOAT',
  d: 'DOUBLE',
  n: 'DECIMAL(30,10)',
  dt: 'DATE',
  tm: 'TIME(3)',
  dm: 'DATETIME(6)',
  ts: 'TIMESTAMP NULL',
  y: 'YEAR',
  ch: 'CHAR(5) CHARACTER SET latin1',
  vc: 'VARCHAR(60) CHARACTER SET utf8mb4',
  bn: 'BINARY(4)',
  vb: 'VARBINARY(40)',
  tx: 'MEDIUMTEXT CHARACTER SET utf8mb4',
  bl: 'LONGBLOB',
  en: "ENUM('a','b','ü')",
  st: "SET('x','y','z')",
  bt: 'BIT(10)',
  js: 'JSON',
  bo: 'BOOLEAN',
} as const
type Values = Partial<Record<keyof typeof columns, Param>>

const rows: Record<string, Values> = {
  usual: {
    ti: p('int', -5),
    tu: p('int', 200),
    si: p('int', -300),
    mi: p('int', 70000),
    i: p('int', -123456789),
    iz: p('int', 42),
    bi: p('int', '-9007199254740993'),
    bu: p('int', '9223372036854775807'),
    f: p('double', 1.5),
    d: p('double', -2.25),
    n: p('decimal', '12345678901234567890.0123456789'),
    dt: p('date', '2026-11-28'),
    tm: p('time', '12:34:56.789'),
    dm: p('datetime', '2026-11-28 01:02:03.456789'),
    ts: p('datetime', '2026-11-28 01:02:03'),
    y: p('int', 2026),
    ch: p('text', 'añb'),
    vc: p('text', 'it\'s "ü" \\ 🙂'),
    bn: p('bytes', '00ff0a27'),
    vb: p('bytes', '0001275c22ff'),
    tx: p('text', 'line\nline\r\n\t\u001a'),
    bl: p('bytes', 'deadbeef00'),
    en: p('text', 'ü'),
    st: p('text', 'x,z'),
    bt: p('int', 513),
    js: p('text', '{"a": [1, 2.5, "ü"]}'),
    bo: p('bool', 'true'),
  },
  least: {
    ti: p('int', -128),
    tu: p('int', 0),
    si: p('int', -32768),
    mi: p('int', -8388608),
    i: p('int', -2147483648),
    iz: p('int', 0),
    bi: p('int', '-9223372036854775808'),
    bu: p('int', 0),
    f: p('double', -1e30),
    d: p('double', -1.7976931348623157e308),
    n: p('decimal', '-99999999999999999999.9999999999'),
    dt: p('date', '1000-01-01'),
    tm: p('time', '00:00:00'),
    dm: p('datetime', '1000-01-01 00:00:00'),
    ts: p('datetime', '1971-01-01 00:00:01'),
    y: p('int', 1901),
    ch: p('text', ''),
    vc: p('text', ''),
    bn: p('bytes', '00'),
    vb: p('bytes', ''),
    tx: p('text', ''),
    bl: p('bytes', ''),
    en: p('text', 'a'),
    st: p('text', ''),
    bt: p('int', 0),
    js: p('text', 'null'),
    bo: p('bool', 'false'),
  },
  greatest: {
    ti: p('int', 127),
    tu: p('int', 255),
    si: p('int', 32767),
    mi: p('int', 8388607),
    i: p('int', 2147483647),
    iz: p('int', '4294967295'),
    bi: p('int', '9223372036854775807'),
    f: p('double', 3.4e38),
    d: p('double', 1.7976931348623157e308),
    n: p('decimal', '99999999999999999999.9999999999'),
    dt: p('date', '9999-12-31'),
    tm: p('time', '23:59:59.999'),
    dm: p('datetime', '9999-12-31 23:59:59.999999'),
    ts: p('datetime', '2037-12-31 23:59:59'),
    y: p('int', 2155),
    ch: p('text', 'xxxxx'),
    vc: p('text', 'ü', 60),
    bn: p('bytes', 'ffffffff'),
    vb: p('bytes', 'ff', 40),
    tx: p('text', 'long text ü ', 40_000),
    bl: p('bytes', '00ff27', 400_000),
    en: p('text', 'b'),
    st: p('text', 'x,y,z'),
    bt: p('int', 1023),
    js: p('text', '[]'),
    bo: p('int', 1),
  },
  empty: Object.fromEntries(Object.keys(columns).map((name) => [name, none])),
}

const names = Object.keys(columns) as (keyof typeof columns)[]
const insert = (id: string, values: Values): Case => ({
  id: `insert ${id}`,
  sql: `INSERT INTO kinds (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
  params: names.map((name) => values[name] ?? none),
})

const cases: Case[] = [
  { id: 'drop', sql: 'DROP TABLE IF EXISTS kinds, notes, made', loose: true },
  {
    id: 'create',
    sql: `CREATE TABLE kinds (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, ${names.map((name) => `${name} ${columns[name]}`).join(', ')}) ENGINE=InnoDB`,
  },
  {
    id: 'create notes',
    sql: 'CREATE TABLE notes (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, owner INT NOT NULL, body VARCHAR(20) NOT NULL, UNIQUE KEY by_owner (owner)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4',
  },
  ...Object.entries(rows).map(([id, values]) => insert(id, values)),
  ...names.map((name): Case => ({
    id: `column ${name}`,
    sql: `SELECT id, ${name} FROM kinds WHERE id < ? ORDER BY id`,
    params: [p('int', 100)],
  })),
  { id: 'all columns', sql: 'SELECT * FROM kinds AS k ORDER BY k.id', prepared: true },
  {
    id: 'by every type',
    sql: 'SELECT id FROM kinds WHERE bi = ? OR vc = ? OR vb = ? OR n = ? OR d = ? OR dm = ? ORDER BY id',
    params: [
      p('int', '9223372036854775807'),
      p('text', 'it\'s "ü" \\ 🙂'),
      p('bytes', '0001275c22ff'),
      p('decimal', '-99999999999999999999.9999999999'),
      p('double', -2.25),
      p('datetime', '9999-12-31 23:59:59.999999'),
    ],
  },
  ...['int', 'double', 'text', 'bytes', 'decimal', 'date', 'datetime', 'time', 'bool'].map((t): Case => {
    const v = {
      int: '-17',
      double: '0.1',
      text: 'ü\'"\\',
      bytes: '0027ff',
      decimal: '-1.50',
      date: '2026-02-28',
      datetime: '2026-02-28 23:59:59.5',
      time: '01:02:03.25',
      bool: 'true',
    }[t] as string
    return { id: `echo ${t}`, sql: 'SELECT ? AS echoed, HEX(?) AS hexed', params: [p(t as 'int', v), p(t as 'int', v)] }
  }),
  { id: 'echo null', sql: 'SELECT ? AS echoed, ? IS NULL AS isnull', params: [none, none] },
  { id: 'types change from one execution to the next', sql: 'SELECT ? AS echoed', params: [p('text', 'a')] },
  { id: 'types change from one execution to the next (2)', sql: 'SELECT ? AS echoed', params: [p('int', 5)] },
  { id: 'types change from one execution to the next (3)', sql: 'SELECT ? AS echoed', params: [none] },
  {
    id: 'large parameter',
    sql: 'SELECT LENGTH(?) AS bytes, MD5(?) AS sum',
    params: [p('bytes', '00ff', 1_500_000), p('bytes', '00ff', 1_500_000)],
  },
  { id: 'insert id', sql: "INSERT INTO notes (owner, body) VALUES (1, 'one')" },
  { id: 'insert id of several rows', sql: "INSERT INTO notes (owner, body) VALUES (2, 'two'), (3, 'three')" },
  {
    id: 'insert with a parameter',
    sql: 'INSERT INTO notes (owner, body) VALUES (?, ?) ON DUPLICATE KEY UPDATE body = VALUES(body)',
    params: [p('int', 4), p('text', 'four')],
  },
  { id: 'last insert id', sql: 'SELECT LAST_INSERT_ID() AS last', prepared: true },
  { id: 'on duplicate key: inserted', sql: "INSERT INTO notes (owner, body) VALUES (5, 'five') ON DUPLICATE KEY UPDATE body = 'again'" },
  { id: 'on duplicate key: updated', sql: "INSERT INTO notes (owner, body) VALUES (5, 'five') ON DUPLICATE KEY UPDATE body = 'again'" },
  { id: 'on duplicate key: as it was', sql: "INSERT INTO notes (owner, body) VALUES (5, 'five') ON DUPLICATE KEY UPDATE body = 'again'" },
  { id: 'replace', sql: "REPLACE INTO notes (owner, body) VALUES (5, 'replaced')" },
  { id: 'row count', sql: 'SELECT ROW_COUNT() AS n' },
  { id: 'update: changed', sql: "UPDATE notes SET body = 'x' WHERE owner IN (1, 2)" },
  { id: 'update: found and not changed', sql: "UPDATE notes SET body = 'x' WHERE owner IN (1, 2, 3)" },
  { id: 'update by parameters', sql: 'UPDATE notes SET body = ? WHERE owner = ?', params: [p('text', 'y'), p('int', 3)] },
  { id: 'delete', sql: 'DELETE FROM notes WHERE owner = 5' },
  { id: 'delete nothing', sql: 'DELETE FROM notes WHERE owner = 500' },
  { id: 'warning', sql: "SELECT CAST('12abc' AS SIGNED) AS n", prepared: true },
  { id: 'show warnings', sql: 'SHOW WARNINGS' },
  { id: 'warnings of an insert', sql: "INSERT IGNORE INTO notes (owner, body) VALUES (6, 'far too long for the column it goes into')" },
  { id: 'show warnings of it', sql: 'SHOW WARNINGS' },
  { id: 'no rows', sql: 'SELECT * FROM notes WHERE id = 0', prepared: true },
  { id: 'duplicate key', sql: "INSERT INTO notes (owner, body) VALUES (1, 'again')" },
  { id: 'duplicate key by parameters', sql: 'INSERT INTO notes (owner, body) VALUES (?, ?)', params: [p('int', 1), p('text', 'again')] },
  { id: 'syntax error', sql: 'SELEKT 1' },
  { id: 'no such column', sql: 'SELECT nothing FROM notes', prepared: true },
  { id: 'no such table', sql: 'SELECT 1 FROM nothing' },
  { id: 'too long', sql: "INSERT INTO notes (owner, body) VALUES (7, 'far too long for the column it goes into')" },
  { id: 'begin', sql: 'BEGIN' },
  { id: 'insert in a transaction', sql: "INSERT INTO notes (owner, body) VALUES (10, 'ten')" },
  { id: 'savepoint', sql: 'SAVEPOINT a' },
  { id: 'insert after it', sql: "INSERT INTO notes (owner, body) VALUES (11, 'eleven')" },
  { id: 'rollback to', sql: 'ROLLBACK TO SAVEPOINT a' },
  { id: 'seen within', sql: 'SELECT owner FROM notes WHERE owner >= 10 ORDER BY owner', prepared: true },
  { id: 'commit', sql: 'COMMIT' },
  { id: 'begin again', sql: 'START TRANSACTION' },
  { id: 'delete in it', sql: 'DELETE FROM notes' },
  { id: 'rollback', sql: 'ROLLBACK' },
  { id: 'seen after it', sql: 'SELECT owner, body FROM notes ORDER BY id', prepared: true },
  { id: 'read only', sql: 'START TRANSACTION READ ONLY' },
  { id: 'write in it', sql: 'DELETE FROM notes' },
  { id: 'end it', sql: 'COMMIT' },
  { id: 'user variable', sql: 'SET @a = 5, @b = CONCAT(@a, 1)' },
  { id: 'its value', sql: 'SELECT @a, @b, @c', prepared: true },
  { id: 'sql_mode', sql: "SET SESSION sql_mode = 'ANSI_QUOTES'" },
  { id: 'sql_mode in force', sql: 'SELECT "owner" FROM notes WHERE "owner" = 1' },
  { id: 'sql_mode back', sql: "SET SESSION sql_mode = 'STRICT_TRANS_TABLES'" },
  { id: 'time zone', sql: "SET time_zone = '+05:30'" },
  { id: 'time zone in force', sql: 'SELECT ts, @@time_zone FROM kinds ORDER BY id', prepared: true },
  { id: 'time zone back', sql: "SET time_zone = '+00:00'" },
  { id: 'character set', sql: 'SET NAMES latin1' },
  { id: 'character set in force', sql: "SELECT 'plain' AS a, @@character_set_results AS b, @@collation_connection AS c" },
  { id: 'character set back', sql: 'SET NAMES utf8mb4' },
  { id: 'variables', sql: "SHOW VARIABLES LIKE 'character_set_c%'" },
  { id: 'system variables', sql: 'SELECT @@autocommit, @@session.tx_isolation IS NULL, @@max_allowed_packet, @@lower_case_table_names' },
  { id: 'status', sql: "SHOW STATUS LIKE 'Threads_running'", loose: true },
  { id: 'database', sql: 'SELECT DATABASE() AS db, SCHEMA()', prepared: true },
  { id: 'current user', sql: "SELECT USER() LIKE 'app@%' AS mine" },
  { id: 'show tables', sql: 'SHOW TABLES' },
  { id: 'show full tables', sql: "SHOW FULL TABLES LIKE 'n%'" },
  {
    id: 'show create table',
    unsharded: "its AUTO_INCREMENT is the server's own there, a sequence's here",
    sql: 'SHOW CREATE TABLE notes',
    prepared: true,
  },
  { id: 'show columns', sql: 'SHOW FULL COLUMNS FROM kinds' },
  { id: 'describe', sql: 'DESCRIBE notes' },
  { id: 'show index', sql: 'SHOW INDEX FROM notes', loose: true },
  { id: 'show databases', sql: "SHOW DATABASES LIKE 'app'" },
  {
    id: 'information_schema',
    sql: "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_KEY FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'notes' ORDER BY ORDINAL_POSITION",
    prepared: true,
  },
  { id: 'qualified', sql: 'SELECT app.notes.owner FROM app.notes WHERE app.notes.owner = 1', prepared: true },
  { id: 'explain', sql: 'EXPLAIN SELECT * FROM notes WHERE owner = 1', loose: true },
  {
    id: 'metadata of expressions',
    sql: "SELECT 1 AS a, 1.5 AS b, 'x' AS c, NOW() AS d, NULL AS e, 1 = 1 AS f, id + 1 AS g, COUNT(*) AS h, CONCAT(body, '') AS i, SUM(owner) AS j, AVG(owner) AS k FROM notes GROUP BY id LIMIT 0",
    prepared: true,
  },
  {
    id: 'join and aliases',
    sql: 'SELECT n.owner AS who, k.vc, COUNT(*) AS n FROM notes n LEFT JOIN kinds k ON k.id = n.owner GROUP BY n.owner, k.vc ORDER BY 1',
    prepared: true,
  },
  {
    id: 'with',
    sql: 'WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 700) SELECT n, REPEAT(n, 30) AS text FROM s',
    prepared: true,
  },
  { id: 'same names', sql: 'SELECT 1 AS a, 2 AS a' },
  { id: 'procedure', unsharded: 'refused: a procedure may write on any shard', sql: 'CREATE OR REPLACE PROCEDURE made() SELECT 1 AS a' },
  { id: 'lock and for update', sql: 'SELECT owner FROM notes WHERE owner = 1 FOR UPDATE', prepared: true },
  { id: 'comment', sql: '/* app */ SELECT /*+ hint */ 1 AS a -- done', prepared: true },
  { id: 'insert select', sql: 'INSERT INTO notes (owner, body) SELECT owner + 100, body FROM notes' },
  { id: 'truncate', sql: 'TRUNCATE TABLE notes' },
  { id: 'after it', sql: 'SELECT COUNT(*) AS n FROM notes' },
  { id: 'create as select', unsharded: 'refused: where its rows belong is not known', sql: "CREATE TABLE made AS SELECT 1 AS a, 'x' AS b" },
  { id: 'alter', unsharded: 'the table before was not made', sql: 'ALTER TABLE made ADD COLUMN c INT DEFAULT 7' },
  { id: 'what became of it', unsharded: 'the table before was not made', sql: 'SELECT * FROM made', prepared: true },
  { id: 'clean up', sql: 'DROP TABLE IF EXISTS kinds, notes, made', loose: true },
]

/** `app`: unsharded at the gate; `shop`: over four shards. */
export type Database = 'app' | 'shop'

export function casesOf(database: Database): Case[] {
  if (database === 'app') return cases
  return cases.filter((one) => one.unsharded === undefined).map((one) => ({ ...one, sql: one.sql.replaceAll(/\bapp\b(?!@)/g, database) }))
}
