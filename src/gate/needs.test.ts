import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lexer } from '../sql/lexer.ts'
import { needsOf, needsOfSet, type Needs } from './needs.ts'
import { classify } from './passthrough.ts'

const lexer = new Lexer()
function of(sql: string): Needs {
  const lexed = lexer.lex(Buffer.from(sql))
  const statement = classify(lexed)
  if (statement.kind === 'set') return needsOfSet(lexed)
  assert.equal(statement.kind, 'relay', sql)
  return needsOf(() => lexed, statement as never)
}

test('which rights a statement needs; null: all on everything', () => {
  const table: [string, string | null][] = [
    ['SELECT 1', 'read'],
    ['(SELECT a FROM t) UNION (SELECT b FROM u)', 'read'],
    ['SELECT a FROM t FOR UPDATE', 'read write'],
    ['SELECT a INTO @x FROM t', 'read'],
    ['WITH c AS (SELECT 1) SELECT * FROM c', 'read'],
    ['WITH c AS (SELECT 1) DELETE FROM t WHERE a IN (SELECT * FROM c)', 'read write'],
    ['INSERT INTO t VALUES (1)', 'write'],
    ['REPLACE INTO t SET a = 1', 'write'],
    ['INSERT INTO t SELECT * FROM u', 'read write'],
    ['INSERT INTO t VALUES (1) RETURNING *', 'read write'],
    ['UPDATE t SET a = 1', 'read write'],
    ['DELETE FROM t', 'read write'],
    ["LOAD DATA LOCAL INFILE 'x' INTO TABLE t", 'write'],
    ['CALL p()', 'read write'],
    ['EXPLAIN SELECT * FROM t', 'read'],
    ['EXPLAIN ANALYZE UPDATE t SET a = 1', 'read write'],
    ['ANALYZE UPDATE t SET a = 1', 'read write'],
    ['DESCRIBE t', 'read'],
    ['SHOW TABLES', ''],
    ['SHOW FULL COLUMNS FROM t', ''],
    ['SHOW CREATE TABLE t', ''],
    ['SHOW VARIABLES', ''],
    ['SHOW WARNINGS', ''],
    ['SHOW COUNT(*) WARNINGS', ''],
    ['SET @x = 1', ''],
    ['SET @x = (SELECT max(a) FROM t)', 'read'],
    ['CREATE TABLE t (a INT)', 'ddl'],
    ['CREATE OR REPLACE VIEW v AS SELECT 1', 'ddl read'],
    ['CREATE TABLE t AS SELECT * FROM u', 'ddl read'],
    ['CREATE UNIQUE INDEX i ON t (a)', 'ddl'],
    ['ALTER TABLE t ADD COLUMN user INT', 'ddl'],
    ['DROP TABLE IF EXISTS t', 'ddl'],
    ['TRUNCATE t', 'ddl'],
    ['RENAME TABLE t TO u', 'ddl'],
    ['CREATE TEMPORARY TABLE t (a INT)', 'write'],
    ['CREATE USER x', null],
    ['RENAME USER x TO y', null],
    ['DROP DATABASE app', null],
    ["CREATE FUNCTION f RETURNS STRING SONAME 'x.so'", null],
    ['GRANT SELECT ON app.* TO x', null],
    ['FLUSH TABLES', null],
    ['SHOW ENGINE INNODB STATUS', null],
    ['SHOW MASTER STATUS', null],
    ['SHOW BINLOG EVENTS', null],
    ['SHOW GRANTS FOR other', null],
    ['SELECT * FROM information_schema.PROCESSLIST', 'read'],
    ['SELECT * FROM information_schema.INNODB_TRX', null],
    ['SET STATEMENT max_statement_time = 1 FOR DELETE FROM t', null],
    ['BEGIN NOT ATOMIC DELETE FROM t; END', null],
    ['UNREADABLE', null],
  ]
  for (const [sql, rights] of table) assert.equal(of(sql).rights?.join(' ') ?? null, rights, sql)
})

test('which schemas it names, also where columns have qualifiers of their own; information_schema is for all', () => {
  const table: [string, string][] = [
    ['SELECT a.x FROM t a', ''],
    ['SELECT a.x, other.t.y FROM other.t JOIN u a ON a.id = t.id', 'other'],
    ['SELECT (SELECT max(c) FROM `two`.t) FROM one.u', 'two one'],
    ['INSERT INTO other.t SELECT * FROM third.u', 'other third'],
    ['UPDATE other.t SET a = 1', 'other'],
    ['DELETE x FROM other.t AS x', 'other'],
    ['SELECT other.f(1)', 'other'],
    ['SHOW TABLES FROM other', 'other'],
    ['SHOW COLUMNS FROM t IN other', 'other'],
    ['SHOW CREATE TABLE other.t', 'other'],
    ['DROP TABLE t, other.u', 'other'],
    ['CALL other.p()', 'other'],
    ["SELECT table_name FROM information_schema.tables WHERE table_schema = 'other'", ''],
    ['SELECT * FROM mysql.user', 'mysql'],
    ['SET @x = (SELECT 1 FROM other.t)', 'other'],
    ['SELECT NEXTVAL(other.s)', 'other'],
    ['SELECT SETVAL(other.s, 5)', 'other'],
    ['SELECT other.s.nextval', 'other'],
    ['CREATE TABLE t AS SELECT a.x FROM other.t a', 'other'],
    ['CREATE VIEW v AS SELECT a.x FROM t AS a', ''],
    ['CREATE OR REPLACE VIEW v (b) AS SELECT a.x FROM other.t AS a WHERE a.x > 1 WITH CHECK OPTION', 'other'],
    ['CREATE VIEW v AS SELECT * FROM mysql.user', 'mysql'],
    ['SELECT t.*, count(u.a) OVER (PARTITION BY u.b ORDER BY t.c) FROM t, u GROUP BY t.a HAVING max(u.a) > 1 ORDER BY t.x', ''],
  ]
  for (const [sql, schemas] of table) {
    const needs = of(sql)
    assert.equal(needs.schemas.join(' '), schemas, sql)
    assert.equal(needs.unclear, null, sql)
  }
})

test('what could name a schema unseen is unclear', () => {
  for (const sql of [
    'CREATE TABLE t LIKE other.t',
    'ALTER TABLE t RENAME TO other.t',
    'CREATE TABLE t (a INT REFERENCES other.t (a))',
    'SELECT * FROM other.1t',
    "PREPARE s FROM 'SELECT * FROM mysql.user'",
    "EXECUTE IMMEDIATE 'SELECT 1'",
    "CREATE PROCEDURE p() BEGIN PREPARE s FROM 'SELECT 1'; EXECUTE s; END",
    // To a server that skips them, `FROM mysql.user` is no part of TRIM.
    "SELECT a /*!99999 , TRIM('a' */ FROM mysql.user /*!99999 ) FROM t */",
    '/*!99999 SELECT 1 FROM ( */ DELETE FROM t',
    'DO (SELECT max(a) FROM other.t)',
    'HANDLER other.t OPEN',
  ]) {
    const needs = of(sql)
    assert.ok(needs.unclear !== null || needs.rights === null || needs.schemas.includes('other'), sql)
  }
  assert.equal(of('SELECT /*!40001 SQL_NO_CACHE */ a.b FROM t a').unclear, null)
})

test('whether it concerns tables, sequences or functions of the chosen database; what is not read through may', () => {
  const cases: [boolean | null, readonly string[]][] = [
    [
      true,
      [
        'SELECT * FROM {oj t LEFT JOIN u ON t.a = u.a}',
        'SELECT * FROM t',
        'WITH c AS (SELECT * FROM t) SELECT * FROM c',
        'SHOW TABLES',
        'SELECT f()',
        'SELECT 1 + f(2) FROM other.t',
        'SET @x = f()',
        'SELECT NEXTVAL(s)',
        'SELECT LASTVAL(s)',
        'SELECT s.nextval',
        'DELETE FROM other.t RETURNING f()',
        'INSERT INTO other.t VALUES (1) RETURNING (SELECT max(a) FROM t)',
        'CALL other.p((SELECT max(a) FROM t))',
        'CALL other.p(f())',
        "LOAD DATA LOCAL INFILE 'x' INTO TABLE other.t (a) SET b = (SELECT max(a) FROM u)",
        'CREATE TABLE other.t SELECT * FROM u',
        'CREATE TABLE other.t AS TABLE u',
        'CREATE TABLE other.t LIKE u',
        'CREATE VIEW other.v AS SELECT * FROM t',
        'ALTER TABLE other.t RENAME u',
        'ALTER TABLE other.t EXCHANGE PARTITION p WITH TABLE u',
      ],
    ],
    [
      false,
      [
        'SELECT * FROM other.t',
        'SELECT 1, NOW(), @@version',
        "SELECT IF(1, 2, 3), CAST('1' AS SIGNED), GROUP_CONCAT('a' SEPARATOR ','), TRIM(LEADING 'a' FROM 'aa'), INTERVAL(1, 2)",
        'SELECT 1 FROM DUAL',
        'WITH c AS (SELECT 1 AS a) SELECT * FROM c',
        'SHOW VARIABLES',
        'SHOW TABLES FROM other',
        'SELECT other.f(1)',
        'DO 1',
        'FLUSH TABLES',
        'FLUSH /*!40101 LOCAL */ TABLES',
        'FLUSH TABLES WITH READ LOCK',
        "DO GET_LOCK('a', 1)",
        'VALUES (1)',
        'SET NAMES utf8mb4',
        "SET @x = 1, sql_mode = ''",
        'DELETE FROM other.t RETURNING UPPER(a)',
        'CALL other.p(1, NOW())',
        "LOAD DATA LOCAL INFILE 'x' INTO TABLE other.t (@a) SET b = UPPER(@a)",
        'CREATE TABLE other.t SELECT * FROM other.u',
        'CREATE TABLE other.t LIKE other.u',
        'CREATE VIEW other.v AS SELECT * FROM other.t',
        'ALTER TABLE other.t RENAME COLUMN a TO b',
        'ALTER TABLE other.t RENAME other.u',
      ],
    ],
    [
      null,
      [
        'TABLE t',
        'FLUSH TABLES t',
        'DO (SELECT 1 FROM t)',
        'ANALYZE SELECT * FROM t',
        'INSERT INTO t TABLE u',
        'SELECT NEXT VALUE FOR s',
        'SELECT (TABLE t)',
        'BEGIN NOT ATOMIC SELECT * FROM t; END',
      ],
    ],
  ]
  for (const [bare, statements] of cases) for (const sql of statements) assert.equal(of(sql).bare, bare, sql)
})
