import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lexer } from '../sql/lexer.ts'
import { classifyCached } from './passthrough-cache.ts'
import { classify, type Passthrough } from './passthrough.ts'
import { effectOfSet, toCompute } from './session-set.ts'
import { SessionSettings, statementsBetween } from './settings.ts'

const lexer = new Lexer()
const of = (sql: string): Passthrough => classify(lexer.lex(Buffer.from(sql)))
function relayed(sql: string): { effect: string; again: boolean; pins: string } {
  const p = of(sql)
  assert.equal(p.kind, 'relay', sql)
  return p.kind === 'relay' ? { effect: p.effect, again: p.rereadable, pins: p.pins.join() } : { effect: '', again: false, pins: '' }
}

test('promise 11: what may be read again, what waits while held, what keeps a connection', () => {
  const table: [string, string, boolean, string][] = [
    ['SELECT * FROM t WHERE id = 1', 'read', true, ''],
    ['select count(*), max(a) from t', 'read', true, ''],
    ['SELECT my_function(a) FROM t', 'read', false, 'routine'],
    ['SELECT `count`(1)', 'read', false, 'routine'],
    ["SELECT JSON_PRETTY(d), ST_X(p), MATCH (a) AGAINST ('b') FROM t", 'read', true, ''],
    ["SELECT RELEASE_LOCK('a'), ST_NOT_KNOWN(1)", 'read', false, 'get-lock,routine'],
    ["SELECT IS_FREE_LOCK('a')", 'read', false, ''],
    ['INSERT INTO t (a, b) VALUES (app.f(1), 2)', 'write', false, 'routine'],
    ['INSERT IGNORE t (a, b) SELECT x.a, COUNT(*) FROM (SELECT 1) x (a) GROUP BY x.a', 'write', false, ''],
    ['WITH a (x) AS (SELECT 1), b (y) AS (SELECT 2) SELECT * FROM a, b', 'read', false, ''],
    ['CALL p()', 'write', false, 'routine'],
    ['BEGIN NOT ATOMIC SELECT 1; END', 'write', false, 'routine'],
    ['DROP PREPARE s', 'write', false, 'unknown'],
    ["LOAD DATA LOCAL INFILE 'f' INTO TABLE t (a, @b) SET c = @b", 'write', false, 'user-variable'],
    ['SELECT * FROM t FOR UPDATE', 'lock', false, ''],
    ['SELECT * FROM t LOCK IN SHARE MODE', 'lock', false, ''],
    ['SELECT a INTO @x FROM t', 'write', false, 'user-variable'],
    ['SELECT @x := 5', 'read', false, 'user-variable'],
    ['SELECT @x', 'read', true, ''],
    ["SELECT GET_LOCK('a', 1)", 'read', false, 'get-lock'],
    ['SELECT NEXTVAL(s)', 'write', false, ''],
    ['WITH x AS (SELECT 1) SELECT * FROM x', 'read', true, ''],
    ['WITH x AS (SELECT 1) DELETE FROM t WHERE a IN (SELECT * FROM x)', 'write', false, ''],
    ['INSERT INTO t VALUES (1)', 'write', false, ''],
    ['CALL p(@out)', 'write', false, 'user-variable,routine'],
    ['CREATE TEMPORARY TABLE t (a INT)', 'write', false, 'temporary-table'],
    ['EXPLAIN SELECT * FROM t', 'read', true, ''],
    ['ANALYZE SELECT * FROM t', 'write', false, ''],
    ['/* SELECT */ UPDATE t SET a = 1', 'write', false, ''],
    ['UNREADABLE', 'write', false, 'server-state'],
    ['SET ROLE reader', 'write', false, 'server-state'],
    ['SET RESOURCE GROUP few', 'write', false, 'server-state'],
    ['LOCK INSTANCE FOR BACKUP', 'write', false, 'server-state'],
    ['BACKUP STAGE START', 'write', false, 'server-state'],
    ['SET STATEMENT max_statement_time = 1 FOR SELECT a FROM t', 'write', false, ''],
    ["SET STATEMENT max_statement_time = 1 FOR EXECUTE IMMEDIATE 'x'", 'write', false, 'server-state'],
    ['LOCK TABLES t READ', 'write', false, 'handler'],
  ]
  for (const [sql, effect, again, pins] of table) assert.deepEqual(relayed(sql), { effect, again, pins }, sql)
})

test('what uses no table leaves what the statement before was warned of', () => {
  const uses = (sql: string): boolean | null => {
    const p = of(sql)
    return p.kind === 'relay' || p.kind === 'set' ? !p.usesNoTable : null
  }
  for (const sql of ['SELECT 1', 'select @x, NOW()', 'DO SLEEP(0)', 'SET @a = 1', 'SELECT `FROM`']) assert.equal(uses(sql), false, sql)
  const using = [
    'SELECT a FROM t',
    'SELECT f(1)',
    'DO f(1)',
    'DO (SELECT a FROM t)',
    'SET @a = (SELECT a FROM t)',
    'INSERT INTO t VALUES (1)',
  ]
  for (const sql of [...using, 'SHOW TABLES', 'CALL p()']) assert.equal(uses(sql), true, sql)
  for (const sql of ['COMMIT', 'SELECT CONNECTION_ID()']) assert.equal(uses(sql), null, sql)
})

test('what the gate keeps or answers itself', () => {
  assert.deepEqual(of('BEGIN'), { kind: 'begin', readOnly: null, snapshot: false })
  assert.deepEqual(of('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY'), { kind: 'begin', readOnly: true, snapshot: true })
  assert.deepEqual(of('COMMIT AND CHAIN NO RELEASE'), { kind: 'commit', chain: true, release: false })
  assert.deepEqual(of('ROLLBACK WORK TO SAVEPOINT a'), { kind: 'savepoint', verb: 'rollback-to', name: 'a' })
  assert.deepEqual(of('SAVEPOINT `a b`'), { kind: 'savepoint', verb: 'savepoint', name: 'a b' })
  assert.deepEqual(of('RELEASE SAVEPOINT savepoint'), { kind: 'savepoint', verb: 'release-savepoint', name: 'savepoint' })
  assert.equal(of('ROLLBACK TO a b').kind, 'refuse')
  assert.equal(of('BEGIN NOT ATOMIC SELECT 1; END').kind, 'relay')
  assert.deepEqual(of('USE `a``b`'), { kind: 'use', keyspace: 'a`b' })
  assert.deepEqual(of('KILL QUERY 12'), { kind: 'kill', what: 'query', id: 12 })
  assert.equal(of("XA START 'a'").kind, 'refuse')
  assert.deepEqual(of("SHOW DATABASES LIKE 'a%'"), { kind: 'show', what: 'databases', like: 'a%', full: false })
  assert.deepEqual(of('SELECT CONNECTION_ID() AS id'), { kind: 'local', value: 'connection-id', label: 'id' })
  assert.equal(of('  -- nothing\n').kind, 'empty')
})

test('a label that is a string is the server to give: what is kept for one text is kept for all that differ in literals', () => {
  const lexer = new Lexer()
  for (const call of ['LAST_INSERT_ID()', 'CONNECTION_ID()', 'DATABASE()']) {
    const texts = [`SELECT ${call} AS 'id'`, `SELECT ${call} AS 'other'`]
    const known = texts.map((sql) => classifyCached(lexer.lex(Buffer.from(sql))))
    assert.deepEqual(
      known.map((one) => one.kind),
      ['relay', 'relay'],
      call,
    )
    assert.equal(of(`SELECT ${call} AS \`id\``).kind, 'local')
    assert.equal(of(`SELECT ${call} id`).kind, 'local')
    assert.notEqual(of(`SELECT ${call} 'id'`).kind, 'local')
  }
})

test('of what the gate answers itself, a form that it does not know is refused: nothing behind it is passed over', () => {
  for (const sql of [
    'BEGIN x',
    'START TRANSACTION FOO',
    'COMMIT 1',
    'ROLLBACK AND BREAKFAST',
    'USE a b',
    'KILL QUERY ID 5',
    'KILL USER app',
    'KILL 1 2',
    'UNLOCK TABLES x',
    "SHOW DATABASES WHERE `Database` = 'a'",
    'SHOW PROCESSLIST LIMIT 1',
  ])
    assert.equal(of(sql).kind, 'refuse', sql)
  for (const sql of [
    'BEGIN WORK',
    'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY',
    'COMMIT WORK AND NO CHAIN NO RELEASE',
    'KILL HARD QUERY 5',
    'UNLOCK TABLE',
  ])
    assert.notEqual(of(sql).kind, 'refuse', sql)
})

function set(sql: string, before = new SessionSettings()): ReturnType<typeof effectOfSet> {
  const lexed = lexer.lex(Buffer.from(sql))
  const p = classify(lexed)
  assert.ok(p.kind === 'set' && p.assignments !== null, sql)
  return effectOfSet(lexed, p.assignments, before)
}

function computed(sql: string): ReturnType<typeof toCompute> {
  const lexed = lexer.lex(Buffer.from(sql))
  const p = classify(lexed)
  assert.ok(p.kind === 'set' && p.assignments !== null, sql)
  return toCompute(lexed, p.assignments)
}

test('SET: constants are kept, expressions are computed, the rest is passed on', () => {
  const plain = set("SET NAMES latin1, sql_mode = 'ANSI', @@session.time_zone = '+01:00', autocommit = OFF")
  assert.equal(plain.settings.get('names'), 'latin1')
  assert.equal(plain.settings.get('sql_mode'), "'ANSI'")
  assert.equal(plain.settings.get('time_zone'), "'+01:00'")
  assert.equal(plain.settings.autocommit, false)
  assert.equal(plain.pass, 'no')
  assert.deepEqual(computed("SET @a = 1, sql_mode = CONCAT(@@sql_mode, ',ANSI'), autocommit = @old, time_zone = 'UTC', timestamp = @t"), [
    { at: 1, expression: "CONCAT(@@sql_mode, ',ANSI')" },
    { at: 2, expression: '@old' },
    { at: 4, expression: '@t' },
  ])
  assert.deepEqual(computed('SET SESSION tx_isolation = DEFAULT'), [{ at: 0, expression: '@@global.tx_isolation' }])
  assert.deepEqual(set('SET @A = 1 + 2, @`b c` = 4').variables, [
    { name: 'a', expression: '1 + 2' },
    { name: 'b c', expression: '4' },
  ])
  assert.equal(set('SET GLOBAL x = 1').pass, 'yes')
  assert.deepEqual(set('SET TRANSACTION ISOLATION LEVEL READ COMMITTED').next, ['SET TRANSACTION ISOLATION LEVEL READ COMMITTED'])
  assert.equal(set("SET SESSION transaction_isolation = 'READ-COMMITTED'").settings.get('isolation'), 'READ COMMITTED')
  assert.throws(() => set('SET NAMES gbk'), { code: 'SW-GATE-011' })
  assert.throws(() => set("SET character_set_client = 'sjis'"), { code: 'SW-GATE-011' })
  // Rows of several shards are put in order by what digits are in ASCII.
  for (const charset of ['utf16', "'UTF16LE'", 'ucs2', 'utf32', '`filename`'])
    assert.throws(() => set(`SET character_set_results = ${charset}`), { code: 'SW-GATE-011' }, charset)
  assert.equal(set('SET character_set_results = sjis').settings.get('character_set_results'), 'sjis')
})

test('SET: a character set or collation that is not given by its plain name is refused: servers take ids and escapes for it', () => {
  for (const value of ['28', 'TRUE', "'28'", "N'gbk'", "'\\\\gbk'", "'gbk '", '1.0', '`28`'])
    for (const name of [
      'character_set_client',
      'character_set_connection',
      'character_set_results',
      'collation_connection',
      '@@session.character_set_client',
    ])
      assert.throws(() => set(`SET ${name} = ${value}`), { code: /SW-GATE-0(38|11)/ }, `${name} = ${value}`)
  assert.deepEqual(computed('SET character_set_client = 14 + 14'), [{ at: 0, expression: '14 + 14' }])
  const lexed = lexer.lex(Buffer.from('SET character_set_client = 14 + 14'))
  const p = classify(lexed)
  assert.ok(p.kind === 'set' && p.assignments !== null)
  const { assignments } = p
  assert.throws(() => effectOfSet(lexed, assignments, new SessionSettings(), new Map([[0, '28']])), { code: 'SW-GATE-038' })
  for (const sql of ["SET NAMES '\\\\gbk'", "SET CHARACTER SET 'a b'"]) assert.throws(() => set(sql), { code: 'SW-GATE-038' }, sql)
  assert.equal(set('SET character_set_results = NULL').settings.get('character_set_results'), 'NULL')
  assert.equal(set('SET collation_connection = utf8mb4_0900_ai_ci').settings.get('collation_connection'), 'utf8mb4_0900_ai_ci')
  assert.equal(set('SET NAMES DEFAULT').settings.get('names'), undefined)
})

test('settings: what brings one connection to another session, and back to none', () => {
  const a = new SessionSettings()
  a.set('names', 'latin1')
  a.set('sql_mode', "'ANSI'")
  a.set('autocommit', '0')
  assert.deepEqual(statementsBetween('', a.signature), ['SET NAMES latin1', "SET autocommit=0,sql_mode='ANSI'"])
  assert.deepEqual(statementsBetween(a.signature, ''), ['SET NAMES utf8mb4', 'SET autocommit=1,sql_mode=DEFAULT'])
  assert.deepEqual(statementsBetween(a.signature, '', new Map([['sql_mode', "'ANSI'"]])), [
    'SET NAMES utf8mb4',
    "SET autocommit=1,sql_mode='ANSI'",
  ])
  assert.deepEqual(statementsBetween(a.signature, a.signature), [])
  const b = new SessionSettings()
  b.set('sql_mode', "'ANSI'")
  b.set('names', 'latin1')
  b.set('autocommit', '0')
  assert.equal(a.signature, b.signature, 'the order of SETs does not matter')
  b.set('isolation', 'READ COMMITTED')
  assert.deepEqual(statementsBetween(a.signature, b.signature), ['SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED'])
  // Connector/J sets the character set of results alone; a SET NAMES after it is in force for all of them.
  const [results, names] = [new SessionSettings(), new SessionSettings()]
  results.set('character_set_results', 'NULL')
  names.set('names', 'latin1')
  assert.deepEqual(statementsBetween(results.signature, names.signature), ['SET NAMES latin1'])
  assert.deepEqual(statementsBetween(names.signature, results.signature), ['SET NAMES utf8mb4', 'SET character_set_results=NULL'])
  assert.deepEqual(statementsBetween(results.signature, ''), ['SET NAMES utf8mb4'])
  assert.deepEqual(statementsBetween('', results.signature), ['SET character_set_results=NULL'])
})
