/** Proves what only MySQL's binlog has: compressed transactions, tagged GTIDs, positions without GTIDs, partial JSON. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours, testServer, uniqueName, type TestServer } from '../../test/kit/servers.ts'
import { isSwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { ensureControlSchema } from './control-schema.ts'
import { currentPosition, executedContains, stillAvailable } from './position.ts'
import type { CommitEvent } from './source.ts'
import { chooserOf, copySession, eventsUntilNow, flatten, tailOf } from './testkit/collect.ts'

describe('tail on mysql only', { skip: !flavours().includes('mysql') }, () => {
  let server: TestServer
  let connection: Connection
  before(async () => {
    server = await testServer({ flavour: 'mysql' })
    connection = await copySession(server.config)
    await connection.query('SET NAMES utf8mb4')
    await ensureControlSchema(connection)
  })
  after(async () => {
    await connection.close()
    await server[Symbol.asyncDispose]()
  })

  async function freshSchema(): Promise<string> {
    const schema = uniqueName('mysql')
    await connection.query(`CREATE DATABASE ${schema}`)
    await connection.query(`CREATE TABLE ${schema}.t (id INT PRIMARY KEY, v LONGTEXT, j JSON)`)
    return schema
  }

  test('promise 8: a compressed transaction of any size streams, its rows whole and in order', async () => {
    const schema = await freshSchema()
    await using tail = await tailOf(server.config, await currentPosition(connection), await chooserOf(connection, schema))
    const writer = await copySession(server.config)
    await writer.query('SET NAMES utf8mb4')
    await writer.query('SET SESSION binlog_transaction_compression=ON')
    for (const rows of [10, 30_000]) {
      await writer.query('START TRANSACTION')
      for (let from = 0; from < rows; from += 1000) {
        const values = Array.from(
          { length: Math.min(1000, rows - from) },
          (_, i) => `(${rows * 10 + from + i}, REPEAT('z', 1000), '{"a": ${i}}')`,
        )
        await writer.query(`INSERT INTO ${schema}.t VALUES ${values.join(',')}`)
      }
      await writer.query('COMMIT')
    }
    await writer.close()
    const events = await eventsUntilNow(tail, connection)
    const changes = flatten(events, schema)
    assert.deepEqual(
      changes.map((change) => Number(change.after?.[0])),
      [...Array.from({ length: 10 }, (_, i) => 100 + i), ...Array.from({ length: 30_000 }, (_, i) => 300_000 + i)],
    )
    assert.ok(changes.every((change) => change.after?.[1]?.length === 1000))
    const begins = events.filter((event) => event.kind === 'begin')
    assert.equal(begins.length, 3)
    // Compressed indeed: 30 MB of rows in a group of far less.
    assert.ok((begins[1]?.groupBytes ?? Infinity) < 3_000_000)
  })

  test('GTIDs with tags are part of the position', async () => {
    const schema = await freshSchema()
    await using tail = await tailOf(server.config, await currentPosition(connection), await chooserOf(connection, schema))
    await connection.query("SET SESSION gtid_next='AUTOMATIC:blue_1'")
    await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a', NULL)`)
    await connection.query(`INSERT INTO ${schema}.t VALUES (2, 'a', NULL)`)
    await connection.query("SET SESSION gtid_next='AUTOMATIC'")
    const events = await eventsUntilNow(tail, connection)
    const begins = events.filter((event) => event.kind === 'begin')
    assert.match(begins[0]?.gtid ?? '', /:blue_1:1$/)
    assert.ok(Math.abs((begins[0]?.committedAtMs ?? 0) - Date.now()) < 60_000)
    assert.ok((begins[0]?.groupBytes ?? 0) > 100)
    const middle = events.find((event) => event.kind === 'commit') as CommitEvent
    assert.ok(await executedContains(connection, middle.position))
    assert.ok(await stillAvailable(connection, middle.position))
    await using again = await tailOf(server.config, middle.position, await chooserOf(connection, schema))
    assert.deepEqual(
      flatten(await eventsUntilNow(again, connection), schema).map((change) => String(change.after?.[0])),
      ['2'],
    )
  })

  test('promise 4: a partial JSON update stops the tail', async () => {
    const schema = await freshSchema()
    await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a', '{"a": "${'x'.repeat(100)}", "b": 1}')`)
    await using tail = await tailOf(server.config, await currentPosition(connection), await chooserOf(connection, schema))
    await connection.query("SET SESSION binlog_row_value_options='PARTIAL_JSON'")
    await connection.query(`UPDATE ${schema}.t SET j = JSON_SET(j, '$.b', 2)`)
    await connection.query("SET SESSION binlog_row_value_options=''")
    await assert.rejects(eventsUntilNow(tail, connection), (error) => isSwError(error, 'SW-BINLOG-009'))
  })

  test('CREATE TABLE … SELECT is one group of the statement and its rows', async () => {
    const schema = await freshSchema()
    await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a', NULL)`)
    await using tail = await tailOf(server.config, await currentPosition(connection), () => ({ kind: 'decode' }))
    await connection.query(`CREATE TABLE ${schema}.u SELECT * FROM ${schema}.t`)
    const kinds = (await eventsUntilNow(tail, connection)).map((event) => event.kind).filter((kind) => kind !== 'heartbeat')
    assert.deepEqual(kinds.slice(0, 4), ['begin', 'query', 'rows', 'commit'])
  })

  test('tables without transactions: a group that ends with a COMMIT statement', async () => {
    const schema = await freshSchema()
    await connection.query(`CREATE TABLE ${schema}.m (id INT PRIMARY KEY) ENGINE=MyISAM`)
    await using tail = await tailOf(server.config, await currentPosition(connection), await chooserOf(connection, schema))
    await connection.query(`INSERT INTO ${schema}.m VALUES (1), (2)`)
    await connection.query(`INSERT INTO ${schema}.t VALUES (3, '', NULL)`)
    const events = await eventsUntilNow(tail, connection)
    assert.deepEqual(
      flatten(events, schema).map((change) => `${change.table} ${String(change.after?.[0])}`),
      ['m 1', 'm 2', 't 3'],
    )
    assert.deepEqual(
      events
        .map((event) => event.kind)
        .filter((kind) => kind !== 'heartbeat')
        .slice(0, 6),
      ['begin', 'rows', 'commit', 'begin', 'rows', 'commit'],
    )
  })

  test('generated columns, invisible keys and functional indexes stand where their definitions say', async () => {
    const schema = uniqueName('generated')
    await connection.query(`CREATE DATABASE ${schema}`)
    await connection.query(
      `CREATE TABLE ${schema}.t (a INT PRIMARY KEY, b INT AS (a * 2) VIRTUAL, c INT AS (a * 3) STORED, d INT INVISIBLE DEFAULT 4, e JSON, f VARCHAR(10), KEY ((a + 1)), KEY ((CAST(e AS UNSIGNED ARRAY))), KEY ((LOWER(f))))`,
    )
    await connection.query('SET SESSION sql_generate_invisible_primary_key=ON')
    await connection.query(`CREATE TABLE ${schema}.g (x INT)`)
    await using tail = await tailOf(server.config, await currentPosition(connection), await chooserOf(connection, schema))
    await connection.query(`INSERT INTO ${schema}.t (a, e, f) VALUES (1, '[1,2]', 'F')`)
    await connection.query(`INSERT INTO ${schema}.g VALUES (7)`)
    const changes = flatten(await eventsUntilNow(tail, connection), schema)
    assert.deepEqual(
      changes.map((change) => change.after?.map(String)),
      [
        ['1', '2', '3', '4', '[1, 2]', 'F'],
        ['1', '7'],
      ],
    )
  })

  test('without GTIDs a position is file and offset of one server', async () => {
    await using plain = await testServer({ flavour: 'mysql', extra: { gtid_mode: 'OFF', enforce_gtid_consistency: 'OFF' } })
    const c = await copySession(plain.config)
    try {
      await ensureControlSchema(c)
      await c.query('CREATE DATABASE x')
      await c.query('CREATE TABLE x.t (id INT PRIMARY KEY)')
      const start = await currentPosition(c)
      assert.match(start, /^file;/)
      for (let i = 0; i < 6; i++) {
        if (i === 3) await c.query('FLUSH BINARY LOGS')
        await c.query(`INSERT INTO x.t VALUES (${i})`)
      }
      await using tail = await tailOf(plain.config, start, await chooserOf(c, 'x'))
      const events = await eventsUntilNow(tail, c)
      const ids = (list: typeof events): string[] => flatten(list, 'x').map((change) => String(change.after?.[0]))
      assert.deepEqual(ids(events), ['0', '1', '2', '3', '4', '5'])
      for (const [i, end] of events.entries()) {
        if (end.kind !== 'commit' || i === events.length - 1) continue
        assert.ok((await executedContains(c, end.position)) && (await stillAvailable(c, end.position)))
        await using again = await tailOf(plain.config, end.position, await chooserOf(c, 'x'))
        assert.deepEqual(ids(await eventsUntilNow(again, c)), ids(events.slice(i)))
      }
      await assert.rejects(
        tailOf(server.config, start, () => ({ kind: 'skip' })),
        (error) => isSwError(error, 'SW-BINLOG-023'),
      )
    } finally {
      await c.close()
    }
  })
})
