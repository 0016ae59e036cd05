/** PROTOCOLS 1.13: what a statement does to a stream by its text and session, beyond the cells of docs/ddl.md that need servers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { QuerySession } from '../binlog/query-session.ts'
import { ddlForTarget, ddlOutcome, keepsValues, type DdlMode } from './ddl.ts'
import { sessionSql } from './ddl-session.ts'
import { judgeQuery } from './query-policy.ts'
import { ddlEvent as event, utf8mb4 } from './testkit/ddl-event.ts'

const outcome = (sql: string, mode: DdlMode, several = false): string => ddlOutcome(mode, event(sql), several, true).kind

test('1.13: rows that come or go without events stop a stream in every mode', () => {
  for (const sql of [
    'ALTER TABLE item EXCHANGE PARTITION p WITH TABLE other',
    'ALTER TABLE item IMPORT TABLESPACE',
    'ALTER TABLE item DISCARD PARTITION p TABLESPACE',
    'ALTER TABLE item CONVERT PARTITION p TO TABLE old',
    'ALTER TABLE item CONVERT TABLE other TO PARTITION p VALUES LESS THAN (7)',
    'CREATE OR REPLACE TABLE item (id INT PRIMARY KEY)',
    'ALTER IGNORE TABLE item ADD UNIQUE KEY u (u)',
    'DROP DATABASE app',
  ])
    for (const mode of ['exec', 'ignore'] as const) assert.equal(outcome(sql, mode), 'stop', `${sql} ${mode}`)
  for (const sql of ['TRUNCATE item', 'ALTER TABLE item DROP PARTITION p', 'ALTER TABLE item TRUNCATE PARTITION ALL'])
    assert.deepEqual([outcome(sql, 'exec'), outcome(sql, 'ignore'), outcome(sql, 'exec', true)], ['exec', 'stop', 'stop'], sql)
  for (const sql of [
    'ALTER TABLE item DROP `partition`',
    'ALTER TABLE item REORGANIZE PARTITION p INTO (PARTITION q VALUES LESS THAN (3))',
  ])
    assert.deepEqual([outcome(sql, 'exec'), outcome(sql, 'ignore')], ['exec', 'ignore'], sql)
})

test('1.11, 1.13: a cascade stops a stream in every mode where a server of it does not log what it changes', () => {
  const judge = (sql: string, mode: DdlMode, logs: boolean): string => ddlOutcome(mode, event(sql), false, logs).kind
  for (const action of [
    'ON DELETE CASCADE',
    'on update cascade',
    'ON DELETE SET NULL',
    'ON UPDATE SET DEFAULT',
    'ON DELETE RESTRICT ON UPDATE /* x */ SET NULL',
  ])
    for (const sql of [
      `ALTER TABLE item ADD FOREIGN KEY (a) REFERENCES other (id) ${action}`,
      `ALTER TABLE item ADD a INT REFERENCES other (id) ${action}, ADD b INT`,
      `SET STATEMENT max_statement_time=60 FOR ALTER TABLE item ADD FOREIGN KEY (a) REFERENCES other (id) ${action}`,
    ]) {
      for (const mode of ['exec', 'ignore'] as const)
        assert.deepEqual([judge(sql, mode, false), judge(sql, mode, true)], ['stop', mode], `${sql} ${mode}`)
      assert.equal(ddlOutcome('exec', event(sql), true, false).kind, 'stop', sql)
    }
  for (const sql of [
    'ALTER TABLE item ADD FOREIGN KEY (a) REFERENCES other (id) ON DELETE RESTRICT ON UPDATE NO ACTION',
    'ALTER TABLE item ADD t TIMESTAMP NULL ON UPDATE CURRENT_TIMESTAMP',
    "ALTER TABLE item COMMENT 'ON DELETE CASCADE'",
  ])
    assert.equal(judge(sql, 'exec', false), 'exec', sql)
})

test('1.13: another engine, or a history of rows, stops a stream in every mode', () => {
  for (const sql of [
    'ALTER TABLE item ENGINE=MyISAM',
    'ALTER TABLE item ADD a INT, ENGINE = `Aria`',
    "ALTER TABLE item engine='memory'",
    'ALTER TABLE item ENGINE MyISAM',
    'ALTER TABLE item ADD a INT, ENGINE MyISAM',
    "ALTER TABLE item COMMENT 'x', ENGINE Aria",
    'ALTER TABLE item COMMENT = "x" ENGINE = ROCKSDB',
    'ALTER TABLE item PARTITION BY HASH (id) (PARTITION p ENGINE = Aria)',
    'ALTER TABLE item PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (f(7)) (SUBPARTITION s ENGINE MyISAM))',
    'ALTER TABLE item ADD SYSTEM VERSIONING',
    'ALTER TABLE item ADD UNIQUE KEY k (owner, p WITHOUT OVERLAPS)',
  ])
    for (const mode of ['exec', 'ignore'] as const) assert.equal(outcome(sql, mode), 'stop', `${sql} ${mode}`)
  for (const sql of [
    'ALTER TABLE item ENGINE=InnoDB',
    'ALTER TABLE item ENGINE innodb',
    "ALTER TABLE item ENGINE = 'INNODB', FORCE",
    'SET STATEMENT max_statement_time=60 FOR ALTER TABLE item ENGINE = `InnoDB`',
    'ALTER TABLE item ADD engine VARCHAR(9)',
    'ALTER TABLE item ADD (a INT, engine memory)',
    "ALTER TABLE item ALTER engine SET DEFAULT 'MyISAM'",
    'ALTER TABLE item ADD INDEX (engine)',
    "ALTER TABLE item ADD CHECK (engine = 'diesel')",
    "ALTER TABLE item ADD is_diesel BOOL AS (engine = 'diesel'), ADD b INT",
    'ALTER TABLE item ADD CHECK (`engine` = engine)',
    "CREATE INDEX i ON item ((engine = 'diesel'))",
    'ALTER TABLE item CHANGE engine memory INT',
    'ALTER TABLE item CHANGE COLUMN IF EXISTS engine sequence INT',
    'ALTER TABLE item PARTITION BY HASH (id) (PARTITION p ENGINE = InnoDB, PARTITION q ENGINE InnoDB)',
    "ALTER TABLE item PARTITION BY LIST (id) (PARTITION p VALUES IN (IF(engine = 'diesel', 1, 2)))",
  ])
    assert.deepEqual([outcome(sql, 'exec'), outcome(sql, 'ignore')], ['exec', 'ignore'], sql)
})

test('1.13 exec: what each server makes up by itself stops', () => {
  for (const sql of [
    'ALTER TABLE item ADD n INT NOT NULL AUTO_INCREMENT UNIQUE',
    'ALTER TABLE item ADD g CHAR(36) DEFAULT (UUID())',
    'ALTER TABLE item ADD r DOUBLE DEFAULT (rand())',
    'ALTER TABLE item ADD w VARCHAR(90) DEFAULT current_user',
    'ALTER TABLE item ADD n SERIAL',
    'ALTER TABLE item ADD (`n` serial, b INT)',
    'ALTER TABLE item ADD COLUMN IF NOT EXISTS serial SERIAL FIRST',
    'ALTER TABLE item ADD n BIGINT SERIAL DEFAULT VALUE',
    'ALTER TABLE item ADD n BIGINT DEFAULT (NEXT VALUE FOR s)',
  ])
    assert.deepEqual([outcome(sql, 'exec'), outcome(sql, 'ignore')], ['stop', 'ignore'], sql)
  for (const sql of [
    'ALTER TABLE item AUTO_INCREMENT = 7',
    'ALTER TABLE item AUTO_INCREMENT 7',
    'ALTER TABLE item ADD INDEX user (user)',
    'ALTER TABLE item ADD serial INT, ADD (b INT, serial2 INT), ADD INDEX s (serial)',
    'ALTER TABLE item MODIFY serial INT AFTER id, ADD x INT AFTER serial',
    "ALTER TABLE item COMMENT 'rand()'",
  ])
    assert.equal(outcome(sql, 'exec'), 'exec', sql)
})

test('1.13, 1.6 exec: on a target that several sources fill only what leaves the columns as they are is made', () => {
  for (const sql of [
    'ALTER TABLE item ADD a INT, ADD COLUMN b DECIMAL(5,2) NOT NULL DEFAULT 1.5, ALGORITHM = INPLACE',
    'ALTER ONLINE TABLE IF EXISTS `app`.`item` ADD (a INT, b INT)',
    'ALTER TABLE app.item ADD UNIQUE KEY x (a, b), DROP INDEX y, RENAME KEY z TO zz',
    'ALTER TABLE item DROP FOREIGN KEY f, ADD CONSTRAINT c CHECK (a > 0)',
    'CREATE INDEX i ON item (a)',
    'DROP INDEX i ON item',
  ])
    assert.deepEqual([outcome(sql, 'exec', true), keepsValues(event(sql))], ['exec', true], sql)
  for (const sql of [
    'ALTER TABLE item ADD a INT, MODIFY b BIGINT',
    'ALTER TABLE item CHANGE a b INT',
    'ALTER TABLE item RENAME COLUMN a TO b',
    'ALTER TABLE item DROP a',
    'ALTER TABLE item DROP COLUMN a, ADD b INT',
    'ALTER TABLE item DROP PRIMARY KEY, ADD PRIMARY KEY (a, b)',
    'ALTER TABLE item ADD CONSTRAINT PRIMARY KEY (a, b)',
    'ALTER TABLE item CONVERT TO CHARACTER SET latin1',
  ]) {
    assert.deepEqual([outcome(sql, 'exec', true), keepsValues(event(sql))], ['stop', false], sql)
    if (!sql.includes('CONVERT')) assert.equal(outcome(sql, 'exec'), 'exec', sql)
  }
})

test('1.13, 1.6 exec: a column that the clock fills is made where one source fills the target; several have each filled theirs at another time', () => {
  for (const sql of [
    'ALTER TABLE item ADD c DATETIME DEFAULT CURRENT_TIMESTAMP',
    'ALTER TABLE item ADD c DATETIME(3) NOT NULL DEFAULT (now(3)) ON UPDATE now(3)',
    'ALTER TABLE item ADD a INT, ADD (b INT, c DATETIME DEFAULT localtimestamp)',
    'ALTER TABLE item ADD c DATE DEFAULT (CURRENT_DATE)',
    'ALTER TABLE item ADD c BIGINT DEFAULT (UNIX_TIMESTAMP())',
    'ALTER TABLE item ADD c TIMESTAMP',
    'ALTER TABLE item ADD (a INT NULL, c TIMESTAMP(6) NOT NULL, b INT NULL)',
    'ALTER TABLE item ADD c TIMESTAMP ON UPDATE CURRENT_TIMESTAMP',
  ])
    assert.deepEqual([outcome(sql, 'exec', true), outcome(sql, 'exec'), outcome(sql, 'ignore', true)], ['stop', 'exec', 'ignore'], sql)
  for (const sql of [
    'ALTER TABLE item ADD c DATETIME',
    'ALTER TABLE item ADD c DATETIME NULL ON UPDATE CURRENT_TIMESTAMP',
    "ALTER TABLE item ADD c TIMESTAMP DEFAULT '2026-01-01', ADD d TIMESTAMP(6) NULL",
    "ALTER TABLE item ADD c DATETIME DEFAULT TIMESTAMP '2026-01-01 00:00:00'",
    'ALTER TABLE item ADD timestamp INT, ADD now INT AFTER timestamp, ADD INDEX now (now)',
    'ALTER TABLE item ADD age INT AS (UNIX_TIMESTAMP(made)), ADD CHECK (UNIX_TIMESTAMP(made) > 7)',
  ])
    assert.equal(outcome(sql, 'exec', true), 'exec', sql)
  const told = ddlOutcome('exec', event('ALTER TABLE item ADD c DATETIME DEFAULT NOW()'), true, true)
  assert.match(told.kind === 'stop' ? told.reason : '', /own clock \(NOW\)/)
})

test('1.13 exec: a statement runs in the session that it had on the source', () => {
  const session = { sqlMode: 0x1_5020_0020n, timeZone: 'Europe/Berlin', lcTimeNames: 3, flags: 1 << 26, micros: 250_000 }
  assert.deepEqual(sessionSql(event('ALTER TABLE item ADD a INT', session), 'mysql', 'mysql'), [
    'SET @@session.character_set_client=45, @@session.collation_connection=45, @@session.collation_server=8',
    'SET @@session.sql_mode=5639241760',
    "SET @@session.time_zone='Europe/Berlin'",
    'SET @@session.lc_time_names=3',
    'SET @@session.foreign_key_checks=0, @@session.unique_checks=1',
    'SET @@session.timestamp=1700000000.250000',
  ])
  const other = sessionSql(event('ALTER TABLE item ADD a INT', session), 'mysql', 'mariadb')
  assert.ok(
    Array.isArray(other) && other.includes('SET NAMES utf8mb4') && other.includes(`SET @@session.sql_mode=${0x4020_0020}`),
    String(other),
  )
  const latin1 = { charset: { ...utf8mb4, client: 8 } }
  assert.ok(
    'refused' in sessionSql(event(Buffer.from("ALTER TABLE item ADD a CHAR(1) DEFAULT '\xe9'", 'latin1'), latin1), 'mysql', 'mysql'),
  )
  assert.ok(!('refused' in sessionSql(event("ALTER TABLE item ADD a CHAR(1) DEFAULT 'e'", latin1), 'mysql', 'mysql')))
  assert.ok('refused' in sessionSql(event('ALTER TABLE item ADD a INT', { complete: false }), 'mysql', 'mysql'))
  const bare = (said: Partial<QuerySession>, from: 'mysql' | 'mariadb', sql = 'ALTER TABLE item ADD t Timestamp'): string | undefined => {
    const sets = sessionSql(event(sql, said), from, from)
    return Array.isArray(sets) ? sets.find((set) => set.includes('explicit_defaults')) : sets.refused
  }
  const set = 'SET @@session.explicit_defaults_for_timestamp='
  assert.deepEqual(
    [bare({ explicitDefaultsForTimestamp: true }, 'mysql'), bare({ explicitDefaultsForTimestamp: false }, 'mysql'), bare({}, 'mysql')],
    [`${set}1`, `${set}0`, undefined],
  )
  assert.deepEqual([bare({ flags: 1 << 24 }, 'mariadb'), bare({ flags: 0 }, 'mariadb')], [`${set}1`, `${set}0`])
  assert.equal(bare({ flags: 0 }, 'mariadb', 'ALTER TABLE item ADD t DATETIME DEFAULT CURRENT_TIMESTAMP'), undefined)
  const quotes = { sqlMode: 4n }
  assert.equal(
    ddlForTarget(event('ALTER TABLE "app"."item" ADD a INT', quotes), 'app', 'app_80')?.toString(),
    'ALTER TABLE `app_80`."item" ADD a INT',
  )
})

test("1.10, 1.13: names are read in the client's character set; one that can not be read may be that of a moved table", () => {
  const judge = (sql: Buffer, client: number, moved = 'café', schema = 'app'): string =>
    judgeQuery(event(sql, { charset: { ...utf8mb4, client } }), [], schema, new Set([moved])).kind
  const latin1 = Buffer.from('TRUNCATE TABLE caf\xe9', 'latin1')
  assert.equal(judge(latin1, 8), 'ddl', 'latin1')
  assert.equal(judge(latin1, 8, 'other'), 'pass')
  assert.equal(judge(Buffer.from('TRUNCATE TABLE café'), 255), 'ddl', 'utf8mb4')
  assert.equal(judge(Buffer.from('DROP TABLE \x83e\x83X', 'latin1'), 95, 'テス'), 'ddl', 'cp932')
  assert.equal(judge(Buffer.from('ALTER TABLE `\x81\x5c` ADD a INT', 'latin1'), 28, '乗'), 'ddl', 'gbk: a backslash within a letter')
  assert.equal(judge(latin1, 13, 'other'), 'ddl', 'sjis is not read: it may be any')
  assert.equal(judge(latin1, 13, 'other', 'elsewhere'), 'pass', 'another schema')
  assert.equal(judge(latin1, 33, 'other'), 'ddl', 'no UTF-8')
})

test('1.13: a schema that is dropped takes its tables with it; made or altered it does not', () => {
  const judge = (sql: string): string => judgeQuery(event(sql), [], 'app', new Set(['item'])).kind
  for (const sql of ['DROP DATABASE app', 'DROP SCHEMA IF EXISTS `App`', 'DROP TABLE x, item']) assert.equal(judge(sql), 'ddl', sql)
  for (const sql of [
    'DROP DATABASE other',
    'CREATE DATABASE IF NOT EXISTS app',
    'ALTER DATABASE app CHARACTER SET utf8mb4',
    'DROP TABLE x',
  ])
    assert.equal(judge(sql), 'pass', sql)
})

test('1.13: CREATE TABLE IF NOT EXISTS of a table that is there makes nothing', () => {
  const judge = (sql: string): string => judgeQuery(event(sql), [], 'app', new Set(['item'])).kind
  for (const sql of [
    'CREATE TABLE IF NOT EXISTS item (a INT)',
    'create table if not exists `app`.`item` LIKE other',
    'CREATE TABLE /*!32312 IF NOT EXISTS*/ `item` (a INT)',
  ])
    assert.equal(judge(sql), 'pass', sql)
  for (const sql of [
    'CREATE TABLE item (a INT)',
    'CREATE OR REPLACE TABLE item (a INT)',
    'CREATE TABLE item (`IF NOT EXISTS` INT)',
    'CREATE INDEX IF NOT EXISTS i ON item (a)',
    'DROP TABLE IF EXISTS item',
  ])
    assert.equal(judge(sql), 'ddl', sql)
})

test('1.10, 1.13: SET STATEMENT … FOR is logged with what it is for, which alone counts', () => {
  const judge = (sql: string): string => judgeQuery(event(sql), [], 'app', new Set(['item'])).kind
  assert.equal(judge("SET STATEMENT max_statement_time=60, sql_mode='' FOR ALTER TABLE item ADD a INT"), 'ddl')
  assert.equal(judge("set statement sql_mode=CONCAT('FOR', 'x'), a=(SELECT 1 FOR UPDATE) for DROP TABLE item"), 'ddl')
  assert.equal(judge('SET STATEMENT max_statement_time=60 FOR ALTER TABLE other ADD a INT'), 'pass')
  assert.equal(judge('SET STATEMENT max_statement_time=60 FOR ANALYZE TABLE item'), 'pass')
  assert.equal(judge('SET STATEMENT max_statement_time=60 FOR CREATE TABLE IF NOT EXISTS item (a INT)'), 'pass')
  for (const sql of [
    "SET STATEMENT binlog_format='STATEMENT' FOR UPDATE item SET a = 1",
    'SET STATEMENT a=1 INSERT INTO item VALUES (1)',
    "SET STATEMENT sql_mode='\\' FOR INSERT INTO item VALUES (' FOR ANALYZE TABLE item')",
  ])
    assert.equal(judge(sql), 'statement-format', sql)
  assert.equal(outcome("SET STATEMENT sql_mode='' FOR ALTER IGNORE TABLE item ADD UNIQUE KEY u (u)", 'exec'), 'stop')
  assert.equal(outcome("SET STATEMENT sql_mode='' FOR ALTER TABLE item ADD b INT", 'exec', true), 'exec')
  assert.equal(outcome("SET STATEMENT sql_mode='' FOR ALTER TABLE item DROP b", 'exec', true), 'stop')
})

test('1.13: of an ALTER that MariaDB logs twice only the end counts', () => {
  const judge = (alter: QuerySession['alter']): string =>
    judgeQuery(event('ALTER TABLE item ADD a INT', { alter }), [], 'app', new Set(['item'])).kind
  assert.deepEqual([judge('begins'), judge('rolledBack'), judge('committed'), judge('whole')], ['pass', 'pass', 'ddl', 'ddl'])
})
