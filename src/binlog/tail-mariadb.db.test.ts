/** Proves what only MariaDB's binlog has: domains, groups without end, sequences, compressed queries, torn groups, encrypted files. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { after, before, describe, test } from 'node:test'
import { flavours, testServer, uniqueName, type TestServer } from '../../test/kit/servers.ts'
import { isSwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { ensureControlSchema } from './control-schema.ts'
import { currentPosition, executedContains, stillAvailable } from './position.ts'
import { chooserOf, copySession, eventsUntilNow, flatten, tailOf } from './testkit/collect.ts'

describe('tail on mariadb only', { skip: !flavours().includes('mariadb') }, () => {
  let server: TestServer
  let connection: Connection
  before(async () => {
    server = await testServer({ flavour: 'mariadb' })
    connection = await copySession(server.config)
    await ensureControlSchema(connection)
  })
  after(async () => {
    await connection.close()
    await server[Symbol.asyncDispose]()
  })

  async function freshSchema(): Promise<string> {
    const schema = uniqueName('maria')
    await connection.query(`CREATE DATABASE ${schema}`)
    await connection.query(`CREATE TABLE ${schema}.t (id INT PRIMARY KEY, v TEXT)`)
    return schema
  }

  test('promise 3: positions in several replication domains', async () => {
    const schema = await freshSchema()
    const start = await currentPosition(connection)
    const writer = await copySession(server.config)
    for (let i = 0; i < 9; i++) {
      await writer.query(`SET SESSION gtid_domain_id=${i % 3}`)
      await writer.query(`INSERT INTO ${schema}.t VALUES (${i}, 'a')`)
    }
    await writer.close()
    await using tail = await tailOf(server.config, start, await chooserOf(connection, schema))
    const events = await eventsUntilNow(tail, connection)
    const ids = (list: typeof events): string[] => flatten(list, schema).map((change) => String(change.after?.[0]))
    assert.equal(ids(events).length, 9)
    for (const [i, end] of events.slice(0, -1).entries()) {
      if (end.kind !== 'commit') continue
      await using again = await tailOf(server.config, end.position, await chooserOf(connection, schema))
      assert.deepEqual(ids(await eventsUntilNow(again, connection)), ids(events.slice(i)))
      assert.ok((await executedContains(connection, end.position)) && (await stillAvailable(connection, end.position)))
    }
  })

  test('CREATE TABLE … SELECT, tables without transactions, sequences', async () => {
    const schema = await freshSchema()
    await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a')`)
    await connection.query(`CREATE TABLE ${schema}.m (id INT PRIMARY KEY) ENGINE=MyISAM`)
    await connection.query(`CREATE SEQUENCE ${schema}.s`)
    const choose = await chooserOf(connection, schema)
    await using tail = await tailOf(server.config, await currentPosition(connection), (s, n) =>
      n === 'u' || n === 's' ? { kind: 'skip' } : choose(s, n),
    )
    await connection.query(`CREATE TABLE ${schema}.u SELECT * FROM ${schema}.t`)
    await connection.query(`INSERT INTO ${schema}.m VALUES (1), (2)`)
    await connection.query(`SELECT NEXTVAL(${schema}.s)`)
    await connection.query(`INSERT INTO ${schema}.t VALUES (2, 'b')`)
    const events = await eventsUntilNow(tail, connection)
    assert.deepEqual(
      flatten(events, schema).map((change) => `${change.table} ${String(change.after?.[0])}`),
      ['m 1', 'm 2', 't 2'],
    )
    const groups = events.map((event) => (event.kind === 'begin' ? '|' : event.kind === 'heartbeat' ? '' : `${event.kind} `)).join('')
    assert.match(groups, /^\|query commit \|rows commit \|commit \|rows commit \|/)
  })

  // It keeps the whole cache of a transaction that made or dropped a temporary table, whatever it takes back.
  for (const table of ['t', 'elsewhere'])
    test(`promise 3: rows that rolled back behind a temporary table never come, and the tail goes on (${table === 't' ? 'a table that is read' : 'one that is not'})`, async () => {
      const schema = await freshSchema()
      await connection.query(`CREATE TABLE ${schema}.elsewhere LIKE ${schema}.t`)
      const choose = await chooserOf(connection, schema)
      const start = await currentPosition(connection)
      const chosen: typeof choose = (s, n) => (n === 'elsewhere' ? { kind: 'skip' } : choose(s, n))
      await using tail = await tailOf(server.config, start, chosen)
      const client = await copySession(server.config)
      await client.query(`USE ${schema}`)
      const run = async (...statements: string[]): Promise<void> => {
        for (const statement of statements) await client.query(statement)
      }
      const insert = (id: number): string => `INSERT INTO ${table} VALUES (${id}, 'a')`
      await run('BEGIN', insert(1), 'CREATE TEMPORARY TABLE a (x INT) ENGINE=InnoDB', insert(2), 'ROLLBACK')
      await run('BEGIN', 'DROP TEMPORARY TABLE a', insert(3), 'ROLLBACK')
      await run('BEGIN', insert(4), 'CREATE TEMPORARY TABLE a (x INT)', 'SAVEPOINT `s"1`', insert(5), 'SAVEPOINT later', insert(6))
      await run('ROLLBACK TO later', insert(7), 'ROLLBACK WORK TO SAVEPOINT `S"1`', insert(8), 'SAVEPOINT later', insert(9), 'COMMIT')
      await run('BEGIN', 'SAVEPOINT s', insert(10), 'DROP TEMPORARY TABLE a', insert(11), 'ROLLBACK TO s', insert(12), 'COMMIT')
      await run(
        'BEGIN',
        'SAVEPOINT s',
        insert(13),
        'CREATE TEMPORARY TABLE a (x INT)',
        insert(14),
        'SAVEPOINT s',
        insert(15),
        'ROLLBACK TO s',
        'COMMIT',
      )
      await run('BEGIN', insert(16), 'SAVEPOINT s', 'DROP TEMPORARY TABLE a', insert(17))
      await client.close()
      await connection.query(`INSERT INTO ${schema}.t VALUES (20, 'a')`)
      const events = await eventsUntilNow(tail, connection)
      const ids = (list: typeof events): number[] => {
        let open: number[] = []
        const found: number[] = []
        for (const event of list) {
          if (event.kind === 'begin' || event.kind === 'abandon') open = []
          else if (event.kind === 'rows') open.push(...flatten([event], schema).map((change) => Number(change.after?.[0])))
          else if (event.kind === 'commit') found.push(...open)
        }
        return found
      }
      const stand = (await connection.allText(`SELECT id FROM ${schema}.${table} ORDER BY id`)).map(({ id }) => Number(id))
      assert.deepEqual(ids(events), table === 't' ? stand : [20])
      // Each position goes on with what follows, whatever came apart before it.
      for (const [i, end] of events.slice(0, -1).entries()) {
        if (end.kind !== 'commit') continue
        await using again = await tailOf(server.config, end.position, chosen)
        assert.deepEqual(ids(await eventsUntilNow(again, connection)), ids(events.slice(i + 1)))
      }
      await using named = await tailOf(server.config, start, (s, n) => (s === schema ? { kind: 'name' } : choose(s, n)))
      assert.ok((await eventsUntilNow(named, connection)).length > 0)
    })

  // Of each the server keeps a hash in a column that no definition shows.
  test('rows of tables with unique keys over long values are read', async () => {
    const schema = await freshSchema()
    await connection.query(
      `CREATE TABLE ${schema}.doc (id INT PRIMARY KEY, body TEXT UNIQUE, url VARCHAR(2000) CHARACTER SET utf8mb4 UNIQUE, n INT, UNIQUE (n, body), g INT AS (n + 1) VIRTUAL, KEY (g))`,
    )
    const start = await currentPosition(connection)
    await connection.query(`INSERT INTO ${schema}.doc (id, body, url, n) VALUES (1, 'a', 'u', 1), (2, NULL, NULL, NULL), (3, 'c', 'w', -3)`)
    await connection.query(`UPDATE ${schema}.doc SET body = 'b' WHERE id = 1`)
    await connection.query(`DELETE FROM ${schema}.doc WHERE id = 2`)
    for (const metadata of ['NO_LOG', 'MINIMAL', 'FULL']) {
      await connection.query(`SET GLOBAL binlog_row_metadata=${metadata}`)
      await connection.query(`UPDATE ${schema}.doc SET url = '${metadata}' WHERE id = 3`)
    }
    await connection.query('SET GLOBAL binlog_row_metadata=NO_LOG')
    await using tail = await tailOf(server.config, start, await chooserOf(connection, schema))
    const changes = flatten(await eventsUntilNow(tail, connection), schema)
    const text = (row: (typeof changes)[number]['after']): string => (row ?? []).slice(0, 4).map(String).join()
    assert.deepEqual(
      changes.map(({ change, before: old, after: now }) => `${change} ${text(old)} ${text(now)}`),
      [
        'insert  1,a,u,1',
        'insert  2,null,null,null',
        'insert  3,c,w,-3',
        'update 1,a,u,1 1,b,u,1',
        'delete 2,null,null,null ',
        'update 3,c,w,-3 3,c,NO_LOG,-3',
        'update 3,c,NO_LOG,-3 3,c,MINIMAL,-3',
        'update 3,c,MINIMAL,-3 3,c,FULL,-3',
      ],
    )
  })

  test('compressed statements are read', async () => {
    const schema = await freshSchema()
    await using tail = await tailOf(server.config, await currentPosition(connection), await chooserOf(connection, schema))
    await connection.query('SET GLOBAL log_bin_compress=1, GLOBAL log_bin_compress_min_len=10')
    await connection.query(`ALTER TABLE ${schema}.t COMMENT '${'long '.repeat(100)}'`)
    await connection.query('SET GLOBAL log_bin_compress=0')
    const query = (await eventsUntilNow(tail, connection)).find((event) => event.kind === 'query')
    assert.ok(query?.kind === 'query' && query.statement.kind === 'ddl' && query.text.length > 500)
  })

  test('without definition a table stops the tail: its signs are not in the binlog', async () => {
    const schema = await freshSchema()
    await using tail = await tailOf(server.config, await currentPosition(connection), (wanted) =>
      wanted === schema ? { kind: 'decode' } : { kind: 'skip' },
    )
    await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a')`)
    await assert.rejects(eventsUntilNow(tail, connection), (error) => isSwError(error, 'SW-BINLOG-013'))
  })

  test('a server that encrypts its binlog sends it readable', async (t) => {
    const keyFile = join(tmpdir(), `${uniqueName('keys')}.txt`)
    writeFileSync(keyFile, `1;${'00112233445566778899aabbccddeeff'}\n`)
    await using encrypted = await testServer({ flavour: 'mariadb' })
    try {
      await encrypted.stop()
      await encrypted.restart({ plugin_load_add: 'file_key_management', file_key_management_filename: keyFile, encrypt_binlog: 'ON' })
    } catch (error) {
      // The key plugin is not on every machine.
      t.skip(String(error))
      return
    }
    const c = await copySession(encrypted.config)
    try {
      assert.equal(await c.value('SELECT @@encrypt_binlog'), '1')
      await ensureControlSchema(c)
      await c.query('CREATE DATABASE x')
      await c.query('CREATE TABLE x.t (id INT PRIMARY KEY)')
      const start = await currentPosition(c)
      await c.query('INSERT INTO x.t VALUES (1)')
      await c.query('FLUSH BINARY LOGS')
      await c.query('INSERT INTO x.t VALUES (2)')
      await using tail = await tailOf(encrypted.config, start, await chooserOf(c, 'x'))
      assert.deepEqual(
        flatten(await eventsUntilNow(tail, c), 'x').map((change) => String(change.after?.[0])),
        ['1', '2'],
      )
    } finally {
      await c.close()
    }
  })
})
