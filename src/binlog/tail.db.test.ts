// long: every case of one tail on one pair of servers
/** Proves the tail's grammar, its positions and what stops it, on real servers. */
import assert from 'node:assert/strict'
import net, { type AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { flavours, testServer, uniqueName, type TestServer } from '../../test/kit/servers.ts'
import { isSwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import {
  announceDdl,
  bumpControlMarker,
  controlSightings,
  ensureControlSchema,
  readServerState,
  sameServerRun,
  writeMarker,
} from './control-schema.ts'
import { currentPosition, executedContains, stillAvailable } from './position.ts'
import type { CommitEvent, GroupEnd, Position, RowsEvent, Tail, TailEvent } from './source.ts'
import { chooserOf, copySession, eventsUntilNow, flatten, tailOf } from './testkit/collect.ts'

const isEnd = (event: TailEvent): event is GroupEnd => ['commit', 'xaPrepare', 'xaCommit', 'xaRollback', 'abandon'].includes(event.kind)

async function failure(tail: Tail): Promise<unknown> {
  for (let i = 0; i < 100_000; i++) {
    try {
      await tail.next()
    } catch (error) {
      return error
    }
  }
  throw new Error('the tail did not stop')
}

/** Kinds of the groups that touch `schema`, such as `begin rows rows commit`. */
function shapes(events: readonly TailEvent[], schema: string): string[] {
  const groups: TailEvent[][] = []
  for (const event of events) {
    if (event.kind === 'heartbeat' || event.kind === 'xaStart') continue
    if (event.kind === 'begin') groups.push([])
    groups.at(-1)?.push(event)
  }
  const ours = (event: TailEvent): boolean =>
    (event.kind === 'rows' && event.table.schema === schema) ||
    (event.kind === 'query' && (event.schema === schema || event.text.toString().includes(schema))) ||
    event.kind === 'xaCommit' ||
    event.kind === 'xaRollback'
  return groups
    .filter((group) => group.some(ours))
    .map((group) =>
      group.map((event) => (event.kind === 'rows' ? event.change : event.kind === 'query' ? event.statement.kind : event.kind)).join(' '),
    )
}

for (const flavour of flavours()) {
  describe(`tail on ${flavour}`, () => {
    let server: TestServer
    let connection: Connection
    let schema: string

    before(async () => {
      server = await testServer({ flavour })
      connection = await copySession(server.config)
      await ensureControlSchema(connection)
    })
    after(async () => {
      await connection.close()
      await server[Symbol.asyncDispose]()
    })
    beforeEach(async () => {
      schema = uniqueName('tail')
      await connection.query(`CREATE DATABASE ${schema}`)
      await connection.query(`CREATE TABLE ${schema}.t (id INT PRIMARY KEY, v LONGBLOB)`)
    })

    const openHere = async (from?: Position, more = {}): Promise<Tail> =>
      tailOf(server.config, from ?? (await currentPosition(connection)), await chooserOf(connection, schema), more)

    test('promise 3: resuming at any position gives exactly what follows', async () => {
      const start = await currentPosition(connection)
      for (let i = 0; i < 12; i++) {
        if (i === 4 || i === 8) await connection.query('FLUSH BINARY LOGS')
        await connection.query('START TRANSACTION')
        await connection.query(`INSERT INTO ${schema}.t VALUES (${i}, 'a'), (${i + 100}, 'b')`)
        await connection.query(`UPDATE ${schema}.t SET v = 'c' WHERE id = ${i}`)
        await connection.query('COMMIT')
      }
      await using tail = await openHere(start)
      const all = await eventsUntilNow(tail, connection)
      const ids = (events: readonly TailEvent[]): string[] =>
        flatten(events, schema).map((change) => `${change.change} ${String(change.after?.[0])}`)
      assert.equal(ids(all).length, 36)
      const ends = all.filter((event): event is CommitEvent => event.kind === 'commit')
      for (const end of ends.slice(0, -1)) {
        await using again = await openHere(end.position)
        const rest = await eventsUntilNow(again, connection)
        assert.deepEqual(ids(rest), ids(all.slice(all.indexOf(end) + 1)))
        assert.ok(await executedContains(connection, end.position))
        assert.ok(await stillAvailable(connection, end.position))
      }
    })

    test('groups: transactions, DDL, accounts, maintenance, savepoints, skipped tables', async () => {
      await connection.query(`CREATE TABLE ${schema}.other (id INT)`)
      const choose = await chooserOf(connection, schema)
      await using tail = await tailOf(server.config, await currentPosition(connection), (s, n) =>
        n === 'other' ? { kind: 'skip' } : choose(s, n),
      )
      const c = connection
      await c.query('START TRANSACTION')
      await c.query(`INSERT INTO ${schema}.t VALUES (1, 'a')`)
      await c.query('SAVEPOINT s')
      await c.query(`INSERT INTO ${schema}.t VALUES (2, 'rolled back')`)
      await c.query('ROLLBACK TO SAVEPOINT s')
      await c.query(`DELETE FROM ${schema}.t`)
      await c.query(`INSERT INTO ${schema}.other VALUES (1)`)
      await c.query('COMMIT')
      await c.query(`ALTER TABLE ${schema}.t ADD COLUMN w INT`)
      await c.query(`CREATE USER ${schema}@localhost`)
      await c.query(`DROP USER ${schema}@localhost`)
      await c.query(`ANALYZE TABLE ${schema}.t`)
      await c.query(`TRUNCATE TABLE ${schema}.t`)
      const events = await eventsUntilNow(tail, connection)
      assert.deepEqual(shapes(events, schema), [
        'begin insert delete commit',
        'begin ddl commit',
        'begin account commit',
        'begin account commit',
        'begin maintenance commit',
        'begin ddl commit',
      ])
      const alter = events.find((event) => event.kind === 'query')
      assert.ok(alter?.kind === 'query' && alter.statement.kind === 'ddl')
      assert.deepEqual(alter.statement.objects, [{ schema, name: 't' }])
    })

    test('PROTOCOLS 1.9: XA rows come at PREPARE, their fate later; one phase is an ordinary transaction', async () => {
      await using tail = await openHere()
      const other = await copySession(server.config)
      for (const [xid, fate] of [
        ["'a','b',7", 'COMMIT'],
        ["'it''s',X'00ff',1", 'ROLLBACK'],
      ] as const) {
        await other.query(`XA START ${xid}`)
        await other.query(`INSERT INTO ${schema}.t VALUES (${fate === 'COMMIT' ? 1 : 2}, '${fate}')`)
        await other.query(`XA END ${xid}`)
        await other.query(`XA PREPARE ${xid}`)
        await other.query(`XA ${fate} ${xid}`)
      }
      await other.query("XA START 'one'")
      await other.query(`INSERT INTO ${schema}.t VALUES (3, '')`)
      await other.query("XA END 'one'")
      await other.query("XA COMMIT 'one' ONE PHASE")
      await other.close()
      const events = await eventsUntilNow(tail, connection)
      assert.deepEqual(shapes(events, schema), [
        'begin insert xaPrepare',
        'begin xaCommit',
        'begin insert xaPrepare',
        'begin xaRollback',
        'begin insert commit',
      ])
      const started = events.filter((event) => event.kind === 'xaStart').map(({ xid }) => xid)
      const prepared = events.filter((event) => event.kind === 'xaPrepare').map(({ xid }) => xid)
      assert.deepEqual(started.slice(0, 2), prepared, 'told before their rows')
      const xids = events.filter(isEnd).flatMap((event) => ('xid' in event ? [event.xid] : []))
      assert.deepEqual(xids, ["X'61',X'62',7", "X'61',X'62',7", "X'69742773',X'00ff',1", "X'69742773',X'00ff',1"])
    })

    test('promise 8: large rows and large transactions come in parts of bounded size', async () => {
      await using tail = await openHere(undefined, { bufferBytesMax: 1 << 20 })
      const sizes = [20 << 20, 17_000_000, 5]
      const large = Buffer.alloc(20 << 20, 'x')
      await connection.query('SET GLOBAL max_allowed_packet = 67108864')
      const writer = await copySession(server.config)
      for (const [id, size] of sizes.entries())
        await writer.query(
          Buffer.concat([Buffer.from(`INSERT INTO ${schema}.t VALUES (${id}, '`), large.subarray(0, size), Buffer.from("')")]),
        )
      await writer.query('START TRANSACTION')
      for (let i = 0; i < 40; i++) {
        const values = Array.from({ length: 500 }, (_, n) => `(${1000 + i * 500 + n}, REPEAT('y', 200))`)
        await writer.query(`INSERT INTO ${schema}.t VALUES ${values.join(',')}`)
      }
      await writer.query('COMMIT')
      await writer.close()
      const events = await eventsUntilNow(tail, connection)
      const changes = flatten(events, schema)
      assert.deepEqual(
        changes.slice(0, 3).map((change) => change.after?.[1]?.length),
        sizes,
      )
      assert.ok(changes[0]?.after?.[1]?.equals(large))
      assert.equal(changes.length, 3 + 20_000)
      for (const event of events) if (event.kind === 'rows' && event.length > 1) assert.ok(event.bytes < 4 << 20, `${event.bytes} bytes`)
    })

    test('promise 4: a statement in STATEMENT format is seen as such', async () => {
      await using tail = await openHere()
      await connection.query('SET SESSION binlog_format=STATEMENT')
      await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a')`)
      await connection.query('SET SESSION binlog_format=ROW')
      assert.deepEqual(shapes(await eventsUntilNow(tail, connection), schema), ['begin other commit'])
    })

    test('promise 4: partial row images stop the tail with coordinates, of skipped tables not', async () => {
      await connection.query(`CREATE TABLE ${schema}.skipped (id INT PRIMARY KEY, v INT, w INT)`)
      const choose = await chooserOf(connection, schema)
      await using tail = await tailOf(server.config, await currentPosition(connection), (s, n) =>
        n === 'skipped' ? { kind: 'skip' } : choose(s, n),
      )
      await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a')`)
      await connection.query(`INSERT INTO ${schema}.skipped VALUES (1, 2, 3)`)
      await connection.query('SET SESSION binlog_row_image=MINIMAL')
      await connection.query(`UPDATE ${schema}.skipped SET v = 3`)
      await connection.query(`UPDATE ${schema}.t SET v = 'b'`)
      await connection.query('SET SESSION binlog_row_image=FULL')
      const error = await failure(tail)
      assert.ok(isSwError(error, 'SW-BINLOG-008'), String(error))
      assert.match(String(error.params['file']), /\.\d{6}$/)
      assert.ok(Number(error.params['offset']) > 4)
      assert.match(String(error.params['gtid']), /\d/)
      await assert.rejects(tail.next(), error)
    })

    // MySQL refuses such transactions while gtid_mode is ON.
    test('promise 4: a rollback after rows of a table without transactions stops the tail', { skip: flavour === 'mysql' }, async () => {
      await connection.query(`CREATE TABLE ${schema}.m (id INT PRIMARY KEY) ENGINE=MyISAM`)
      await using tail = await openHere()
      await connection.query('START TRANSACTION')
      await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a')`)
      await connection.query(`INSERT INTO ${schema}.m VALUES (1)`)
      await connection.query('ROLLBACK')
      const events = await eventsUntilNow(tail, connection).catch((error: unknown) => error)
      // What stands (the MyISAM row) may come as a transaction of its own; what was rolled back must not come as committed.
      if (Array.isArray(events))
        assert.deepEqual(
          flatten(events as TailEvent[], schema).map((change) => change.table),
          ['m'],
        )
      else assert.ok(isSwError(events, 'SW-BINLOG-017'), String(events))
    })

    test('a table altered behind our back stops the tail', async () => {
      await using tail = await openHere()
      await connection.query(`ALTER TABLE ${schema}.t ADD COLUMN w INT`)
      await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a', 2)`)
      const error = await failure(tail)
      assert.ok(isSwError(error, 'SW-BINLOG-014'), String(error))
    })

    test('signs stay with their columns when others stand between (YEAR has a sign bit of its own)', async () => {
      await connection.query(
        `CREATE TABLE ${schema}.y (id INT PRIMARY KEY, y YEAR, b INT UNSIGNED, z YEAR, c INT, f FLOAT, d BIT(3), e BIGINT UNSIGNED)`,
      )
      await connection.query('SET GLOBAL binlog_row_metadata=FULL')
      try {
        await using tail = await openHere()
        await connection.query(`INSERT INTO ${schema}.y VALUES (-1, 2000, 4294967295, 2001, -1, 1, 1, 18446744073709551615)`)
        const row = flatten(await eventsUntilNow(tail, connection), schema)[0]?.after?.map((cell) => cell?.toString('latin1'))
        assert.deepEqual(row, ['-1', '2000', '4294967295', '2001', '-1', '1', '\x01', '18446744073709551615'])
      } finally {
        await connection.query(`SET GLOBAL binlog_row_metadata=${flavour === 'mysql' ? 'MINIMAL' : 'NO_LOG'}`)
      }
    })

    test('a killed dump is transient, and resuming loses nothing', async () => {
      const tail = await openHere()
      await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a')`)
      const first = await eventsUntilNow(tail, connection)
      const last = first.findLast((event) => event.kind === 'commit') as CommitEvent
      const dumps = await connection.allText("SELECT ID AS id FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'")
      const pending = failure(tail)
      // Those of the tests before may end by themselves meanwhile.
      for (const { id } of dumps) await connection.query(`KILL ${id}`).catch((e: unknown) => assert.ok(isServerError(e, 1094), String(e)))
      const error = await pending
      assert.ok(isSwError(error, 'SW-BINLOG-002') && error.class === 'transient', String(error))
      await connection.query(`INSERT INTO ${schema}.t VALUES (2, 'b')`)
      await using again = await openHere(last.position)
      assert.deepEqual(
        flatten(await eventsUntilNow(again, connection), schema).map((change) => String(change.after?.[0])),
        ['2'],
      )
    })

    test('a silent server is noticed after three heartbeat periods', async () => {
      await using tail = await openHere(undefined, { heartbeatMs: 200 })
      await eventsUntilNow(tail, connection)
      await server.pause()
      try {
        const error = await failure(tail)
        assert.ok(isSwError(error, 'SW-BINLOG-001') && error.class === 'transient', String(error))
      } finally {
        await server.resume()
      }
    })

    test('a row that takes longer than the silence limit to arrive is no silence', async () => {
      const proxy = net.createServer((client) => {
        const upstream = net.connect(server.port, '127.0.0.1')
        client.pipe(upstream)
        // A slow line: a slice at a time.
        upstream.on('data', (chunk) => {
          client.write(chunk)
          upstream.pause()
          setTimeout(() => upstream.resume(), 15)
        })
        for (const socket of [client, upstream]) socket.on('error', () => {}).on('close', () => (client.destroy(), upstream.destroy()))
      })
      await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
      const { port } = proxy.address() as AddressInfo
      const position = await currentPosition(connection)
      await connection.query(`INSERT INTO ${schema}.t VALUES (1, REPEAT('x', 8000000))`)
      const tail = await tailOf({ ...server.config, port }, position, await chooserOf(connection, schema), { heartbeatMs: 200 })
      try {
        const started = performance.now()
        const changes = flatten(await eventsUntilNow(tail, connection), schema)
        assert.equal(changes[0]?.after?.[1]?.length, 8_000_000)
        assert.ok(performance.now() - started > 700, 'the line was not slow enough to prove anything')
      } finally {
        await tail.close()
        proxy.close()
      }
    })

    test('heartbeats tell that the server lives; close ends a waiting next', async () => {
      const tail = await openHere(undefined, { heartbeatMs: 100 })
      for (let beats = 0; beats < 3;) beats += (await tail.next()).kind === 'heartbeat' ? 1 : 0
      const pending = failure(tail)
      await tail.close()
      assert.ok(isSwError(await pending, 'SW-BINLOG-020'))
    })

    test('a purged position is refused, not skipped', async () => {
      const early = await currentPosition(connection)
      await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a')`)
      await connection.query('FLUSH BINARY LOGS')
      await connection.query(`INSERT INTO ${schema}.t VALUES (2, 'a')`)
      await connection.query('FLUSH BINARY LOGS')
      const files = await connection.allText('SHOW BINARY LOGS')
      assert.ok(await stillAvailable(connection, early))
      // MariaDB keeps what a dump thread reads; those of the tests before end at their next heartbeat.
      for (let i = 0; i < 100 && (await stillAvailable(connection, early)); i++) {
        await connection.query(`PURGE BINARY LOGS TO '${files.at(-1)?.['Log_name']}'`)
        await connection.query('DO SLEEP(0.05)')
      }
      assert.equal(await stillAvailable(connection, early), false)
      const tail = await openHere(early)
      const error = await failure(tail)
      assert.ok(isSwError(error, 'SW-BINLOG-004') && error.class === 'fatal', String(error))
    })

    test('a position from the future (a server that lost its tail) is not contained, and refused', async () => {
      const position = await currentPosition(connection)
      const ahead = position.replace(/(\d+)$/, (n) => String(Number(n) + 1000)) as Position
      assert.ok(await executedContains(connection, position))
      assert.equal(await executedContains(connection, ahead), false)
      const error = await failure(await openHere(ahead))
      assert.ok(isSwError(error) && error.class === 'fatal' && /00[34]$/.test(error.code), String(error))
    })

    test('markers are seen in order, after what was committed before them, with the server they were written on', async () => {
      await using tail = await openHere()
      const writer = await copySession(server.config)
      const one = await writeMarker(writer, 'stream', 'low')
      await writer.query(`INSERT INTO ${schema}.t VALUES (1, 'a')`)
      const two = await writeMarker(writer, 'stream', 'high')
      const three = await writeMarker(writer, 'stream', 'high')
      assert.equal(three.number, two.number + 1)
      assert.ok(sameServerRun(one.server, three.server) && one.server.ordersCommits)
      assert.ok(sameServerRun(one.server, await readServerState(connection)))
      const control = await bumpControlMarker(writer)
      assert.equal(await bumpControlMarker(writer), control + 1)
      await announceDdl(writer, 'ALTER', schema, 't')
      await writer.close()
      const seen = (await eventsUntilNow(tail, connection))
        .filter((event): event is RowsEvent => event.kind === 'rows')
        .flatMap((event) => (event.table.schema === schema ? [{ kind: 'row' }] : controlSightings(event)))
      assert.deepEqual(seen.slice(0, -1), [
        { kind: 'marker', stream: 'stream', marker: 'low', number: one.number },
        { kind: 'row' },
        { kind: 'marker', stream: 'stream', marker: 'high', number: two.number },
        { kind: 'marker', stream: 'stream', marker: 'high', number: three.number },
        { kind: 'controlMarker', number: control },
        { kind: 'controlMarker', number: control + 1 },
        { kind: 'ddlAnnounced', verb: 'ALTER', schema, name: 't' },
      ])
    })

    test('a restart shows in the server state and ends no position', async () => {
      const before = await readServerState(connection)
      const position = await currentPosition(connection)
      await connection.query(`INSERT INTO ${schema}.t VALUES (1, 'a')`)
      const choose = await chooserOf(connection, schema)
      // Uptime has whole seconds: two starts must lie further apart than that to be told apart by it alone.
      const age = async (): Promise<number> => Number((await connection.allText("SHOW GLOBAL STATUS LIKE 'Uptime'"))[0]?.['Value'])
      while ((await age()) < 3) await connection.query('DO SLEEP(0.2)')
      await server.kill9()
      await server.restart()
      connection = await copySession(server.config)
      assert.equal(sameServerRun(before, await readServerState(connection)), false)
      await using tail = await tailOf(server.config, position, choose)
      await connection.query(`INSERT INTO ${schema}.t VALUES (2, 'b')`)
      assert.deepEqual(
        flatten(await eventsUntilNow(tail, connection), schema).map((change) => String(change.after?.[0])),
        ['1', '2'],
      )
    })
  })
}
