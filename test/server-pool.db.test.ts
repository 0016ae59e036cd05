/** A server that a test gave back is as new for the next, or is none for it (kit/server-pool.ts). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../src/mysql/connect.ts'
import type { Connection } from '../src/mysql/connection.ts'
import { flavours, testServer, type TestServer } from './kit/servers.ts'

const beyond: Readonly<Record<string, (connection: Connection, server: TestServer) => Promise<unknown>>> = {
  'its process': async (_, server) => server.pid,
  'its directory': async (_, server) => server.dir,
  'a start of its own': (_, server) => server.restart(),
}

for (const flavour of flavours()) {
  // Of this test's own, so that no other's server is taken.
  const options = { flavour, extra: { 'max-connections': 77 } } as const
  const port = 'SELECT @@port'

  async function portAfter(act: (connection: Connection, server: TestServer) => Promise<unknown>): Promise<string> {
    await using server = await testServer(options)
    await using connection = await connect(server.config)
    await act(connection, server)
    return String(await connection.value(port))
  }

  test(`${flavour}: what a test left is gone when the next has its server`, async () => {
    const position = flavour === 'mysql' ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS'
    const look = async (connection: Connection): Promise<unknown> => ({
      schemas: await connection.allText('SHOW DATABASES'),
      users: await connection.allText('SELECT User, Host FROM mysql.user ORDER BY 1, 2'),
      binlog: await connection.allText(position),
      sessions: await connection.allText(
        "SELECT COUNT(*) AS n FROM information_schema.PROCESSLIST WHERE COMMAND <> 'Daemon' AND USER <> 'event_scheduler'",
      ),
    })
    let asNew: unknown
    let left: Connection | undefined
    const first = await portAfter(async (connection, { config }) => {
      asNew = await look(connection)
      await connection.query('CREATE DATABASE a')
      await connection.query('CREATE TABLE a.parent (id INT PRIMARY KEY)')
      await connection.query('CREATE DATABASE b')
      await connection.query('CREATE TABLE b.child (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES a.parent (id))')
      await connection.query("CREATE USER u@'%' IDENTIFIED BY 'p'")
      await connection.query('GRANT ALL ON a.* TO u')
      await connection.query('CREATE ROLE r')
      left = await connect(config)
      await left.query('BEGIN')
      await left.query('INSERT INTO a.parent VALUES (1)')
    })
    const second = await portAfter(async (connection) => assert.deepEqual(await look(connection), asNew))
    assert.equal(second, first)
    left?.destroy()
  })

  test(`${flavour}: a server that is not surely as it was is given to nobody`, async () => {
    const acts: Readonly<Record<string, (connection: Connection, server: TestServer) => Promise<unknown>>> = {
      'a setting': (connection) => connection.query('SET GLOBAL max_allowed_packet = 1048576'),
      "root's password": (connection) => connection.query("ALTER USER root@localhost IDENTIFIED BY 'other'"),
      'a prepared branch': async (connection) => {
        for (const sql of ['CREATE DATABASE a', 'CREATE TABLE a.t (id INT PRIMARY KEY)', "XA START 'x'", 'INSERT INTO a.t VALUES (1)'])
          await connection.query(sql)
        for (const sql of ["XA END 'x'", "XA PREPARE 'x'"]) await connection.query(sql)
      },
      // What no server decides.
      ...(flavour === flavours()[0] ? beyond : {}),
    }
    for (const [what, act] of Object.entries(acts)) {
      const before = await portAfter(async () => undefined)
      const touched = await (async () => {
        await using server = await testServer(options)
        const { port } = server
        await using connection = await connect(server.config)
        await act(connection, server)
        return String(port)
      })()
      assert.equal(touched, before, `${what}: the server of the test before`)
      assert.notEqual(await portAfter(async () => undefined), before, what)
    }
  })
}
