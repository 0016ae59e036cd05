// long: one server and one gate serve all of these; each start costs seconds
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import mysql from 'mysql2/promise'
import { keys } from '../topology/keys.ts'
import type { GateStats } from '../topology/records.ts'
import { readRecord } from '../topology/typed.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { oneFlavour } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { failsWith } from './testkit/fails-with.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { killGateSessions } from './testkit/switching.ts'

/** One unsharded keyspace through the gate, as clients of many kinds use it. */
const run = promisify(execFile)
let world: GateOnServer
let admin: Connection
let port: number

before(async () => {
  world = await gateOnServer({
    keyspaces: { app: 'app', other: 'other_schema' },
    users: { nobody: { password: '' } },
    config: { backendConnectionsMax: 12 },
    settings: { 'max-allowed-packet': 67108864 },
  })
  ;({ admin, port } = world)
})

after(() => world?.stop())

const client = (options: mysql.ConnectionOptions = {}): Promise<mysql.Connection> => world.client('app', 'app', options)
const rowsOf = async (c: mysql.Connection, sql: string): Promise<unknown[]> => (await c.query(sql))[0] as unknown[]

test('who may come in: right password, wrong one, unknown user, empty password, unknown keyspace; both plugins', async () => {
  const c = await client()
  assert.deepEqual(await rowsOf(c, 'SELECT DATABASE() AS d'), [{ d: 'app' }])
  await c.end()
  await failsWith(client({ password: 'wrong' }), 1045)
  await failsWith(client({ user: 'stranger' }), 1045)
  await failsWith(client({ user: 'nobody', password: 'x' }), 1045)
  await failsWith(client({ database: 'nowhere' }), 1049)
  await until('refused logins are told', async () => {
    const stats = await readRecord<GateStats>(world.store, keys.gateStats('gate-1'))
    return (
      (stats?.value.refusedLogins?.total ?? 0) >= 3 && stats?.value.refusedLogins?.latest.some(({ user }) => user === 'stranger') === true
    )
  })
  await (await client({ user: 'nobody', password: '' })).end()
  await (await client({ authPlugins: { mysql_native_password: () => () => Buffer.alloc(0) } }).catch(() => client())).end()
  const own = await connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  assert.equal(await own.value('SELECT 1'), '1')
  await own.changeUser({ user: 'app', password: 'secret', database: 'other' })
  assert.equal(await own.value('SELECT DATABASE()'), 'other')
  await own.close()
})

test('what the gate answers itself comes in the form of a prepared statement where it was one', async () => {
  const c = await client()
  await c.query('CREATE TABLE counted (id BIGINT AUTO_INCREMENT PRIMARY KEY)')
  await c.query('INSERT INTO counted VALUES (NULL), (NULL)')
  const executed = async (sql: string): Promise<unknown> => (await c.execute(sql))[0]
  assert.deepEqual(await executed('SELECT LAST_INSERT_ID() AS id'), [{ id: 1 }])
  assert.deepEqual(await executed('SELECT DATABASE() AS d'), [{ d: 'app' }])
  assert.deepEqual(await executed('SELECT CONNECTION_ID() AS id'), [{ id: c.threadId }])
  assert.deepEqual(await executed('SELECT USER()'), [{ 'USER()': 'app@127.0.0.1' }])
  assert.deepEqual(await executed("SHOW DATABASES LIKE 'a%'"), [{ 'Database (a%)': 'app' }])
  assert.deepEqual(((await executed('SHOW GRANTS')) as object[]).length, 1)
  assert.ok(((await executed('SHOW FULL PROCESSLIST')) as { Id: number }[]).some(({ Id }) => Id === c.threadId))
  // Prepared on a connection that the session keeps, in the mode of now.
  await c.query('SET @kept = 1')
  await c.query("SET SESSION sql_mode = 'ANSI_QUOTES'")
  assert.deepEqual(await executed('SELECT "id" FROM counted WHERE "id" = 2'), [{ id: 2 }])
  await c.query('DROP TABLE counted')
  await c.end()
})

test("promise 10: the same text in another session's sql_mode is another statement, also on a connection that has it prepared", async () => {
  const [ansi, plain] = [await client(), await client()]
  await plain.query('CREATE TABLE moody (id INT)')
  await plain.query('INSERT INTO moody VALUES (7)')
  await ansi.query("SET SESSION sql_mode = 'ANSI_QUOTES'")
  for (let i = 0; i < 4; i++) {
    assert.deepEqual((await ansi.execute('SELECT "id" AS what FROM moody'))[0], [{ what: 7 }])
    assert.deepEqual((await plain.execute('SELECT "id" AS what FROM moody'))[0], [{ what: 'id' }])
  }
  await plain.query('DROP TABLE moody')
  for (const c of [ansi, plain]) await c.end()
})

test('a database is a keyspace, whatever its schema is called on the server', async () => {
  const c = await client()
  await c.query('USE other')
  await c.query('CREATE TABLE other.things (id INT PRIMARY KEY)')
  await c.query('INSERT INTO `other`.things VALUES (1), (2)')
  assert.deepEqual(await rowsOf(c, 'SELECT other.things.id FROM other.things ORDER BY things.id'), [{ id: 1 }, { id: 2 }])
  for (const sql of ['SHOW TABLES FROM other', 'SHOW FULL COLUMNS FROM things IN `other`', 'SHOW CREATE DATABASE other'])
    assert.equal((await rowsOf(c, sql)).length, 1, sql)
  for (const sql of [
    "SELECT USER() = 'app@127.0.0.1' AS a",
    "SELECT CURRENT_USER = 'app@%' AS a",
    "SELECT a FROM (SELECT SESSION_USER() LIKE 'app@%' AS a) AS t",
  ]) {
    assert.deepEqual(await rowsOf(c, sql), [{ a: 1 }], sql)
    assert.deepEqual((await c.execute(sql))[0], [{ a: 1 }], sql)
  }
  assert.deepEqual(await rowsOf(c, 'SELECT USER()'), [{ 'USER()': 'app@127.0.0.1' }])
  assert.deepEqual(await rowsOf(c, 'SELECT current_user'), [{ current_user: 'app@%' }])
  await c.query('USE app')
  assert.deepEqual(await rowsOf(c, 'SELECT COUNT(*) AS c FROM other.things'), [{ c: 2 }])
  assert.deepEqual(await rowsOf(c, 'SHOW DATABASES'), [{ Database: 'app' }, { Database: 'information_schema' }, { Database: 'other' }])
  await failsWith(c.query('USE nowhere'), 1049)
  await failsWith(c.query('SELECT * FROM app.x JOIN other.things'), 1235)
  const none = await client({ database: '' })
  assert.deepEqual(await rowsOf(none, 'SELECT 1 AS one'), [{ one: 1 }])
  assert.deepEqual(await rowsOf(none, 'SELECT COUNT(*) AS c FROM other.things'), [{ c: 2 }])
  await none.end()
  await c.end()
})

test('values of every type come through as from the server itself, as text and as prepared statements, on whichever connection', async () => {
  const direct = await mysql.createConnection({ host: '127.0.0.1', port: world.serverPort, user: 'root', database: 'app' })
  const c = await client()
  await c.query(
    "CREATE TABLE types (id INT PRIMARY KEY AUTO_INCREMENT, a TINYINT, b BIGINT UNSIGNED, c DECIMAL(20,5), d DOUBLE, e DATE, f DATETIME(6), g TIME(3), h YEAR, i VARCHAR(50), j BLOB, k LONGTEXT, l BIT(9), m ENUM('x','y'), n FLOAT)",
  )
  const values = [
    -1,
    '18446744073709551615',
    '123456789012345.12345',
    1.5e300,
    '2024-02-29',
    '2024-02-29 23:59:59.123456',
    '-12:34:56.789',
    2024,
    'é😀\'"\\',
    Buffer.from([0, 1, 254, 255, 10]),
    '{"a": [1, 2]}',
    Buffer.from([1, 3]),
    'y',
    1.25,
  ]
  const [made] = (await c.execute(`INSERT INTO types VALUES (NULL${', ?'.repeat(values.length)})`, values)) as unknown as [
    { insertId: number; affectedRows: number },
  ]
  assert.deepEqual([made.insertId, made.affectedRows], [1, 1])
  await c.execute(
    `INSERT INTO types VALUES (NULL${', ?'.repeat(values.length)})`,
    values.map(() => null),
  )
  assert.deepEqual(await rowsOf(c, 'SELECT * FROM types'), await rowsOf(direct, 'SELECT * FROM types'))
  // Many sessions share few connections: the same statement is executed wherever one is free.
  const many = await Promise.all(Array.from({ length: 30 }, () => client()))
  const expected = (await direct.execute('SELECT * FROM types WHERE id = ?', [1]))[0]
  await Promise.all(
    many.map(async (m) => {
      for (let i = 0; i < 5; i++) assert.deepEqual((await m.execute('SELECT * FROM types WHERE id = ?', [1]))[0], expected)
    }),
  )
  await Promise.all(many.map((m) => m.end()))
  assert.ok(Number(await admin.value("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'sw_gate'")) <= 24)
  await c.end()
  await direct.end()
})

test('packets above 16 MiB pass in both directions', async () => {
  const c = await client()
  await c.query('CREATE TABLE big (id INT PRIMARY KEY, v LONGBLOB)')
  const big = Buffer.alloc(20_000_000, 'abcdefg')
  await c.execute('INSERT INTO big VALUES (1, ?)', [big])
  await c.query('INSERT INTO big VALUES (2, ?)', [big])
  const [rows] = (await c.query('SELECT v FROM big ORDER BY id')) as unknown as [{ v: Buffer }[]]
  assert.ok(rows.length === 2 && rows.every((r) => r.v.equals(big)))
  await c.query('DROP TABLE big')
  await c.end()
})

test('transactions, autocommit and what status flags say of them', async () => {
  const c = await client()
  await c.query('CREATE TABLE tx (id INT PRIMARY KEY)')
  await c.beginTransaction()
  await c.query('INSERT INTO tx VALUES (1)')
  await c.rollback()
  await c.query('SET autocommit = 0')
  await c.query('INSERT INTO tx VALUES (2)')
  await c.query('ROLLBACK')
  await c.query('INSERT INTO tx VALUES (3)')
  await c.query('SET autocommit = 1')
  await c.query('START TRANSACTION READ ONLY')
  await failsWith(c.query('INSERT INTO tx VALUES (4)'), 1792)
  await c.query('COMMIT')
  await c.query('BEGIN')
  await c.query('INSERT INTO tx VALUES (5)')
  await c.query('CREATE TABLE implicit_commit (id INT)')
  await c.query('ROLLBACK')
  assert.deepEqual(await rowsOf(c, 'SELECT id FROM tx ORDER BY id'), [{ id: 3 }, { id: 5 }])
  await c.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE')
  await c.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
  assert.deepEqual(await rowsOf(c, `SELECT @@${oneFlavour() === 'mysql' ? 'transaction' : 'tx'}_isolation AS i`), [{ i: 'READ-COMMITTED' }])
  await c.end()
  const raw = await connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  await raw.query('SET autocommit=0')
  assert.equal(raw.status & 3, 0)
  await raw.query('SELECT * FROM tx')
  assert.equal(raw.status & 3, 1)
  await raw.query('COMMIT')
  assert.equal(raw.status & 3, 0)
  await raw.query('SET autocommit=1')
  assert.equal(raw.status & 3, 2)
  await raw.query('BEGIN')
  assert.equal(raw.status & 3, 3)
  await raw.close()
})

test('two transactions that deadlock: one gets 1213 and has nothing left, the other goes on', async () => {
  const [x, y] = [await client(), await client()]
  await x.query('CREATE TABLE dl (id INT PRIMARY KEY, n INT)')
  await x.query('INSERT INTO dl VALUES (1, 0), (2, 0)')
  await x.beginTransaction()
  await y.beginTransaction()
  await x.query('UPDATE dl SET n = n + 1 WHERE id = 1')
  await y.query('UPDATE dl SET n = n + 1 WHERE id = 2')
  const results = await Promise.allSettled([
    x.query('UPDATE dl SET n = n + 1 WHERE id = 2'),
    y.query('UPDATE dl SET n = n + 1 WHERE id = 1'),
  ])
  assert.equal(results.filter((r) => r.status === 'rejected' && (r.reason as { errno: number }).errno === 1213).length, 1)
  await x.commit()
  await y.commit()
  assert.deepEqual(await rowsOf(x, 'SELECT SUM(n) AS s FROM dl'), [{ s: '2' }])
  await x.end()
  await y.end()
})

test('state of one session never shows in another: variables, temporary tables, locks, settings, database', async () => {
  const x = await client()
  await x.query("SET @a = 42, time_zone = '+05:00'")
  await x.query('CREATE TEMPORARY TABLE mine (id INT)')
  await x.query('INSERT INTO mine VALUES (7)')
  assert.deepEqual(await rowsOf(x, "SELECT @a AS a, id, @@time_zone AS z, GET_LOCK('l', 1) AS l FROM mine"), [
    { a: 42, id: 7, z: '+05:00', l: 1 },
  ])
  const others = await Promise.all(Array.from({ length: 12 }, () => client()))
  for (const y of others) {
    assert.deepEqual(await rowsOf(y, "SELECT @@time_zone AS z, IS_FREE_LOCK('l') AS l"), [{ z: 'SYSTEM', l: 0 }])
    assert.deepEqual(await rowsOf(y, 'SELECT @a AS a'), [{ a: null }])
    await failsWith(y.query('SELECT * FROM mine'), 1146)
  }
  await x.end()
  const asked = others[0] as mysql.Connection
  const isFree = async (): Promise<boolean> => ((await rowsOf(asked, "SELECT IS_FREE_LOCK('l') AS l")) as { l: number }[])[0]?.l === 1
  await until('the lock to end with its session', isFree, 500)
  await Promise.all(others.map((y) => y.end()))
})

test('what ORMs ask about the statement before: warnings, errors, affected rows, ids, found rows', async () => {
  const c = await client()
  await c.query('CREATE TABLE w (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(3))')
  await c.query("SET sql_mode = ''")
  await c.query("INSERT INTO w (v) VALUES ('toolong')")
  assert.equal(((await rowsOf(c, 'SHOW WARNINGS')) as { Code: number }[])[0]?.Code, 1265)
  assert.deepEqual(await rowsOf(c, 'SELECT LAST_INSERT_ID() AS i'), [{ i: 1 }])
  await c.query("INSERT INTO w (v) VALUES ('a'), ('b')")
  assert.deepEqual(await rowsOf(c, 'SELECT LAST_INSERT_ID() AS i'), [{ i: 2 }])
  assert.deepEqual(await rowsOf(c, 'SELECT * FROM w WHERE id = LAST_INSERT_ID()'), [{ id: 2, v: 'a' }])
  await c.query("UPDATE w SET v = 'c'")
  assert.deepEqual(await rowsOf(c, 'SELECT ROW_COUNT() AS r'), [{ r: 3 }])
  await c.query('SELECT SQL_CALC_FOUND_ROWS * FROM w LIMIT 1')
  assert.deepEqual(await rowsOf(c, 'SELECT FOUND_ROWS() AS f'), [{ f: 3 }])
  await failsWith(c.query('SELECT nope'), 1054)
  assert.equal(((await rowsOf(c, 'SHOW ERRORS')) as { Code: number }[])[0]?.Code, 1054)
  // mysql2 asks for found rows: matched, not changed.
  const [same] = (await c.query("UPDATE w SET v = 'c'")) as unknown as [{ affectedRows: number }]
  assert.equal(same.affectedRows, 3)
  const changed = await connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  assert.equal(((await changed.query("UPDATE w SET v = 'c'")) as { affectedRows: bigint }).affectedRows, 0n)
  await changed.close()
  await c.end()
})

test('KILL, PROCESSLIST, PING, RESET, statistics; what does not belong through a gate is refused', async () => {
  const [x, y] = [await client(), await client()]
  const [[{ id }]] = (await x.query('SELECT CONNECTION_ID() AS id')) as unknown as [[{ id: number }]]
  const slow = x.query('SELECT SLEEP(10) AS s')
  for (;;) {
    const list = (await rowsOf(y, 'SHOW FULL PROCESSLIST')) as { Id: number; Info: string | null }[]
    if (
      list.find((p) => p.Id === id)?.Info === 'SELECT SLEEP(10) AS s' &&
      (await admin.value("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(10)%' AND user = 'sw_gate'")) === '1'
    )
      break
  }
  await y.query(`KILL QUERY ${id}`)
  const [[interrupted]] = (await slow.catch((e: { errno: number }) => [[{ s: e.errno }]])) as unknown as [[{ s: number }]]
  assert.ok([1, 1317].includes(interrupted.s))
  await x.ping()
  await failsWith(y.query('KILL 99999999'), 1094)
  await y.query(`KILL ${id}`)
  await assert.rejects(x.query('SELECT 1'))
  await failsWith(y.query("XA START 'x'"), 1235)
  await failsWith(y.query('SHUTDOWN'), 1235)
  await failsWith(y.query('SELECT 1; SELECT 2'), 1064)
  await failsWith(y.query('SET NAMES gbk'), 1115)
  await y.end()
  const raw = await connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  await raw.query('SET @x = 1')
  await raw.reset()
  assert.equal(await raw.value('SELECT @x'), null)
  await raw.close()
})

test('more sessions than server connections: they take turns', async () => {
  const many = await Promise.all(Array.from({ length: 60 }, () => client()))
  await Promise.all(
    many.map(async (c, i) => {
      for (let k = 0; k < 10; k++) {
        const [[row]] = (await c.query(`SELECT ${i} * 1000 + ${k} AS v`)) as unknown as [[{ v: number }]]
        assert.equal(row.v, i * 1000 + k)
      }
    }),
  )
  await Promise.all(many.map((c) => c.end()))
})

test('a killed server connection is replaced: reads never see it', async () => {
  const c = await client()
  for (let i = 0; i < 5; i++) {
    await killGateSessions(admin)
    assert.deepEqual(await rowsOf(c, 'SELECT 1 AS one'), [{ one: 1 }])
  }
  await c.end()
})

test('a client that goes away in a transaction: rolled back, its locks free, whatever it was doing', async () => {
  const c = await client()
  await c.query('CREATE TABLE away (id INT PRIMARY KEY)')
  await c.query('INSERT INTO away VALUES (1), (2)')
  for (const doing of ['nothing', 'a statement']) {
    const x = await client()
    await x.beginTransaction()
    await x.query('DELETE FROM away WHERE id = 1')
    if (doing === 'a statement') x.query('SELECT SLEEP(30) FROM away').catch(() => {})
    x.destroy()
    await c.query('SET SESSION innodb_lock_wait_timeout = 5')
    await c.query('UPDATE away SET id = 1 WHERE id = 1')
    assert.deepEqual(await rowsOf(c, 'SELECT COUNT(*) AS c FROM away'), [{ c: 2 }])
  }
  await c.end()
})

test('promise 8: a client that reads slowly stops its server, not the gate; the connection is awake for whoever comes next', async () => {
  const slow = await connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  const before = process.memoryUsage().rss
  const digits = `(SELECT 0${' UNION ALL SELECT 0'.repeat(9)})`
  const stream = await slow.rows(
    `SELECT REPEAT('x', 100000) AS v FROM ${digits} a, ${digits} b, ${digits} c, (SELECT 0 UNION ALL SELECT 0 UNION ALL SELECT 0) d`,
    { bufferBytesMax: 100_000 },
  )
  const fast = await client()
  for (let i = 0; i < 30; i++) assert.deepEqual(await rowsOf(fast, 'SELECT 1 AS one'), [{ one: 1 }])
  assert.ok(process.memoryUsage().rss - before < 150_000_000, 'the answer of 300 MB is held in memory')
  let rows = 0
  for await (const batch of stream) rows += batch.length
  assert.equal(rows, 3000)
  for (let i = 0; i < 30; i++) assert.equal(await slow.value('SELECT 2'), '2')
  await slow.close()
  await fast.end()
})

test('an upload that breaks off leaves nothing hanging', async () => {
  const c = await client()
  await c.query('CREATE TABLE upload (id INT PRIMARY KEY)')
  const raw = await connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  const loading = raw.loadData(
    "LOAD DATA LOCAL INFILE 'x' INTO TABLE upload",
    (async function* () {
      yield Buffer.from('1\n2\n')
      raw.destroy()
      await new Promise((resolve) => setTimeout(resolve, 5))
    })(),
  )
  await assert.rejects(loading)
  const loads = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'sw_gate' AND info LIKE 'LOAD%'"
  await until('the server to wait for the file no more', async () => (await admin.value(loads)) === '0', 5_000)
  await c.query('DROP TABLE upload')
  await c.end()
})

test('the mariadb command line, LOAD DATA LOCAL included', async (t) => {
  if (!existsSync('/usr/bin/mariadb')) return t.skip('no mariadb client')
  const dir = await mkdtemp(path.join(tmpdir(), 'sw-gate-infile-'))
  try {
    const file = path.join(dir, 'rows.txt')
    await writeFile(file, Array.from({ length: 200_000 }, (_, i) => `${i}\trow ${i}`).join('\n'))
    const sql = `CREATE TABLE loaded (id INT PRIMARY KEY, v VARCHAR(30)); LOAD DATA LOCAL INFILE '${file}' INTO TABLE loaded; SELECT COUNT(*), SUM(id) FROM loaded; SHOW TABLES LIKE 'loaded'; SELECT 1 AS \`select\`;`
    const { stdout } = await run('mariadb', ['--local-infile=1', '-h127.0.0.1', `-P${port}`, '-uapp', '-psecret', '-N', 'app', '-e', sql])
    assert.equal(stdout, '200000\t19999900000\nloaded\n1\n')
    const failed = await run('mariadb', ['-h127.0.0.1', `-P${port}`, '-uapp', '-psecret', 'app', '-e', 'SELECT * FROM not_there']).catch(
      (e: { stderr: string }) => e,
    )
    assert.match(failed.stderr, /ERROR 1146 \(42S02\)/)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})

test('PyMySQL: autocommit off by default, commits, errors, unbuffered cursors', async (t) => {
  const python = ['/tmp/gate-venv/bin/python', '/usr/bin/python3'].find((p) => existsSync(p)) ?? ''
  if (
    python === '' ||
    (await run(python, ['-c', 'import pymysql']).then(
      () => false,
      () => true,
    ))
  )
    return t.skip('no PyMySQL')
  const script = `
import pymysql
c = pymysql.connect(host='127.0.0.1', port=${port}, user='app', password='secret', database='app')
k = c.cursor()
k.execute('CREATE TABLE py (id INT PRIMARY KEY, v VARCHAR(20) CHARACTER SET utf8mb4)')
k.execute('INSERT INTO py VALUES (1, %s)', ('é😀',)); c.commit()
k.execute('INSERT INTO py VALUES (2, "x")'); c.rollback()
k.execute('SELECT * FROM py'); assert k.fetchall() == ((1, 'é😀'),)
c.autocommit(True); assert c.get_autocommit()
k.execute('INSERT INTO py VALUES (3, "x")'); c.rollback()
k.execute('SELECT COUNT(*) FROM py'); assert k.fetchall() == ((2,),)
try:
    k.execute('INSERT INTO py VALUES (3, "x")'); raise SystemExit('no error')
except pymysql.err.IntegrityError as e:
    assert e.args[0] == 1062
s = pymysql.connect(host='127.0.0.1', port=${port}, user='app', password='secret', database='app', cursorclass=pymysql.cursors.SSCursor)
u = s.cursor(); d = '(SELECT 0 AS n' + ''.join(' UNION ALL SELECT %d' % i for i in range(1, 10)) + ')'
u.execute('SELECT 1 FROM ' + ', '.join('%s d%d' % (d, i) for i in range(5))); assert u.fetchone() == (1,); assert sum(r[0] for r in u) == 99999
print('done')
`
  const { stdout } = await run(python, ['-c', script])
  assert.equal(stdout.trim(), 'done')
})

test('figures are written each second', async () => {
  const c = await client()
  await c.query('SELECT 1')
  for (let i = 0; ; i++) {
    const stats = await readRecord<GateStats>(world.store, keys.gateStats('gate-1'))
    if (stats !== null && stats.value.sessions >= 1 && stats.value.statements > 100) break
    assert.ok(i < 200, JSON.stringify(stats?.value))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await c.end()
})

test('SET of several things at once: what of it is a setting holds for the session, and leaks into no other', async () => {
  const c = await client()
  await c.query('CREATE TABLE mixed (id INT PRIMARY KEY)')
  await c.query("SET @old = @@sql_mode, sql_mode = 'ANSI_QUOTES', autocommit = 0")
  await c.query('INSERT INTO "mixed" VALUES (1)')
  const other = await client()
  assert.deepEqual(await rowsOf(other, 'SELECT COUNT(*) AS c FROM mixed'), [{ c: 0 }], 'autocommit is off')
  await c.query('ROLLBACK')
  await c.query('SET autocommit = 1, sql_mode = @old')
  assert.match(JSON.stringify(await rowsOf(c, 'SELECT @@sql_mode AS m')), /STRICT_TRANS_TABLES/)
  await c.query('INSERT INTO mixed VALUES (2)')
  assert.deepEqual(await rowsOf(other, 'SELECT id FROM mixed'), [{ id: 2 }])
  await failsWith(c.query("SET time_zone = 'nowhere', @x = 1"), 1298)
  assert.deepEqual(await rowsOf(c, 'SELECT 1 AS one'), [{ one: 1 }])
  await c.end()
  for (let i = 0; i < 10; i++) assert.match(JSON.stringify(await rowsOf(other, 'SELECT @@sql_mode AS m')), /STRICT_TRANS_TABLES/)
  await other.end()
})
