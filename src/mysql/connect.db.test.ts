/** The client against real servers of both flavours. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { flavours, sharedServer, testServer, uniqueName, type TestServer } from '../../test/kit/servers.ts'
import { capability, serverStatus } from '../wire/capabilities.ts'
import { com } from '../wire/commands.ts'
import { frameCommand } from '../wire/frames.ts'
import { Writer } from '../wire/writer.ts'
import { connect } from './connect.ts'
import type { ConnectOptions, Result } from './connection.ts'
import { ConnectionLost, errno, isServerError, ServerError } from './errors.ts'
import { flavourOf } from './flavour/flavour.ts'

const text = (result: Result): (string | null)[][] =>
  result.kind === 'ok' ? [] : result.rows.map((row) => row.map((cell) => cell?.toString() ?? null))

function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.fail('was to reject'),
    (error: unknown) => error,
  )
}

for (const flavour of flavours()) {
  describe(flavour, () => {
    let server: TestServer
    let schema: string
    const options = (more: Partial<ConnectOptions> = {}): ConnectOptions => ({ ...server.config, database: schema, ...more })

    before(async () => {
      server = await sharedServer(flavour)
      schema = uniqueName('connect')
      await using admin = await connect({ ...server.config })
      await admin.query(`CREATE DATABASE ${schema}`)
      assert.equal(admin.flavour, flavour)
      assert.ok(server.version.startsWith(`${Math.floor(admin.versionNumber / 10000)}.`))
    })

    for (const deprecateEof of [true, false]) {
      test(`results, errors, several results and status${deprecateEof ? '' : ', with EOF packets'}`, async () => {
        await using c = await connect(options({ deprecateEof, multiStatements: true }))
        assert.equal((c.capabilities & capability.deprecateEof) !== 0, deprecateEof)
        await c.query('CREATE OR REPLACE VIEW v AS SELECT 1 a')
        await c.query('DROP TABLE IF EXISTS t')
        await c.query('CREATE TABLE t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, b VARBINARY(10), t TEXT)')
        const inserted = await c.query("INSERT INTO t VALUES (18446744073709551614, NULL, ''), (5, x'00ff5c27', 'é')")
        assert.ok(inserted.kind === 'ok' && inserted.affectedRows === 2n)
        const rows = await c.query('SELECT * FROM t ORDER BY id')
        assert.ok(rows.kind === 'rows')
        assert.deepEqual(rows.rows, [
          [Buffer.from('5'), Buffer.from('00ff5c27', 'hex'), Buffer.from('é')],
          [Buffer.from('18446744073709551614'), null, Buffer.from('')],
        ])
        assert.deepEqual(
          rows.columns.map((column) => [column.name, column.orgTable, column.schema]),
          ['id', 'b', 't'].map((name) => [name, 't', schema]),
        )
        assert.equal(rows.columns[1]?.charset, 63)

        const error = await rejection(c.query('SELECT * FROM nowhere'))
        assert.ok(isServerError(error, errno.noSuchTable) && error.sqlState === '42S02')
        assert.deepEqual((await c.queryMulti('SELECT 1; INSERT INTO t (id) VALUES (2); SELECT 3, 4')).map(text), [
          [['1']],
          [],
          [['3', '4']],
        ])
        assert.ok(isServerError(await rejection(c.queryMulti('SELECT 1; SELECT * FROM nowhere')), errno.noSuchTable))
        assert.equal(c.inTransaction, false)
        await c.query('START TRANSACTION')
        assert.equal(c.inTransaction, true)
        await c.query('ROLLBACK')
        assert.equal((c.status & serverStatus.autocommit) !== 0, true)
        assert.deepEqual(await c.allText('SELECT 1 a, NULL b'), [{ a: '1', b: null }])
        assert.equal(await c.value('SELECT 1 FROM DUAL WHERE FALSE'), undefined)
        assert.equal(await c.value('SELECT NULL'), null)
      })

      test(`a stream gives every row once, in order${deprecateEof ? '' : ', with EOF packets'}`, async () => {
        await using c = await connect(options({ deprecateEof }))
        const cross =
          '(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)'
        const stream = await c.rows(
          `SELECT a.d*10000+b.d*1000+c.d*100+d.d*10+e.d AS n, REPEAT('x', 300), NULL FROM ${cross} a, ${cross} b, ${cross} c, ${cross} d, ${cross} e ORDER BY n`,
          { bufferBytesMax: 50_000 },
        )
        assert.equal(stream.columns.length, 3)
        let next = 0
        for await (const batch of stream) {
          assert.equal(batch.width, 3)
          for (let row = 0; row < batch.length; row++) {
            assert.equal(batch.cell(row, 0)?.toString(), String(next++))
            assert.equal(batch.cell(row, 1)?.length, 300)
            assert.equal(batch.cell(row, 2), null)
          }
        }
        assert.equal(next, 100_000)
        assert.equal(await c.value('SELECT 1'), '1')
        assert.ok(isServerError(await rejection(c.rows('SELECT * FROM nowhere')), errno.noSuchTable))
      })
    }

    test('prepared statements: text and binary agree for every type', async () => {
      await using c = await connect(options())
      await c.query('DROP TABLE IF EXISTS types')
      await c.query(`CREATE TABLE types (ti TINYINT, tu TINYINT UNSIGNED, s SMALLINT, m MEDIUMINT, mu MEDIUMINT UNSIGNED, i INT, iu INT UNSIGNED ZEROFILL, b BIGINT, bu BIGINT UNSIGNED,
        d DECIMAL(20,5), f FLOAT, db DOUBLE, y YEAR, da DATE, dt DATETIME, dt6 DATETIME(6), ts3 TIMESTAMP(3) NULL, t TIME, t2 TIME(2), c CHAR(5), v VARCHAR(20), bi BINARY(4), bl BLOB, j JSON, e ENUM('a','b'), st SET('x','y'), bt BIT(10))`)
      await c.query(`INSERT INTO types VALUES (-128, 255, -32768, -8388608, 16777215, -2147483648, 42, -9223372036854775808, 18446744073709551615, -123456789.12345, 1.5, 0.1, 2026,
        '2026-11-22', '2026-11-22 00:00:00', '2026-11-22 10:11:12.000001', '2026-11-22 10:11:12.120', '-838:59:59', '00:00:00.5', 'ab', 'é', x'01000000', x'00ff', '{"a": 1}', 'b', 'x,y', b'1000000001')`)
      await c.query(`INSERT INTO types (i) VALUES (7)`)
      const statement = await c.prepare('SELECT * FROM types WHERE i < ? OR ? IS NULL ORDER BY i')
      assert.equal(statement.paramCount, 2)
      assert.equal(statement.columns.length, 27)
      const binary = await statement.execute([100n, null])
      assert.deepEqual(text(binary), text(await c.query('SELECT * FROM types ORDER BY i')))
      assert.equal(text(await statement.execute([-5, 'x'])).length, 1, 'executes again, with other types')
      statement.close()
      const echo = await c.prepare('SELECT ?, ?, ?, ?, ?')
      assert.deepEqual(text(await echo.execute([-1n, 18446744073709551615n, 'é', Buffer.from([0, 255]), null]))[0]?.slice(0, 3), [
        '-1',
        '18446744073709551615',
        'é',
      ])
      assert.ok(isServerError(await rejection(c.prepare('SELEKT')), 1064))
      const deprecated = await connect(options({ deprecateEof: false }))
      const again = await deprecated.prepare('SELECT * FROM types WHERE i < ? ORDER BY i')
      assert.deepEqual(text(await again.execute([100])), text(binary))
      await deprecated.close()
    })

    test('packets above 16 MiB, both ways, and as one streamed row', async () => {
      await using c = await connect(options())
      const large = 'y'.repeat(40_000_000)
      assert.equal(await c.value(`SELECT LENGTH('${large}')`), '40000000')
      assert.equal(await c.value(`SELECT '${large}'`), large)
      let bytes = 0
      for await (const batch of await c.rows(`SELECT REPEAT('z', 20000000) UNION ALL SELECT 'small'`))
        for (const row of batch.rows()) bytes += row[0]?.length ?? 0
      assert.equal(bytes, 20_000_005)
      assert.equal(await c.value('SELECT 1'), '1')
    })

    test('LOAD DATA LOCAL: rows of an async source; a source that fails; a server that refuses; a file we did not offer', async () => {
      await using c = await connect(options())
      await c.query('DROP TABLE IF EXISTS l')
      await c.query('CREATE TABLE l (a INT PRIMARY KEY, b VARCHAR(100))')
      const load = "LOAD DATA LOCAL INFILE 'x' INTO TABLE l"
      async function* lines(from: number, to: number): AsyncGenerator<Buffer> {
        for (let at = from; at < to; at += 1000)
          yield Buffer.from(Array.from({ length: 1000 }, (_, i) => `${at + i}\t${'r'.repeat(50)}\n`).join(''))
      }
      assert.equal((await c.loadData(load, lines(0, 50_000))).affectedRows, 50_000n)
      assert.equal(await c.value('SELECT COUNT(*) FROM l'), '50000')
      const failed = await rejection(
        c.loadData(
          load,
          (async function* () {
            yield* lines(60_000, 61_000)
            throw new Error('disk on fire')
          })(),
        ),
      )
      assert.equal((failed as { code: string }).code, 'SW-MYSQL-011')
      assert.ok(
        isServerError(await rejection(c.loadData("LOAD DATA LOCAL INFILE 'x' INTO TABLE nowhere", lines(0, 1000))), errno.noSuchTable),
      )
      assert.equal(((await rejection(c.query(load))) as { code: string }).code, 'SW-MYSQL-010')
      assert.equal(await c.value('SELECT 1'), '1')
    })

    test('charset binary: bytes of any charset come and go unconverted', async () => {
      await using c = await connect(options({ charset: 'binary' }))
      await c.query('DROP TABLE IF EXISTS latin')
      await c.query('CREATE TABLE latin (a VARCHAR(10) CHARACTER SET latin1, b VARCHAR(10) CHARACTER SET utf8mb4)')
      await c.query(Buffer.concat([Buffer.from("INSERT INTO latin VALUES ('"), Buffer.from([0xe9]), Buffer.from("', 'é')")]))
      const result = await c.query('SELECT * FROM latin')
      assert.ok(result.kind === 'rows')
      assert.deepEqual(result.rows, [[Buffer.from([0xe9]), Buffer.from('é')]])
      await c.reset()
      assert.equal(await c.value('SELECT @@character_set_results'), null, 'still so after a reset')
    })

    test('text is what it says it is, whatever charset the server would have sessions begin with', async () => {
      const ignored = flavour === 'mariadb' ? { 'skip-character-set-client-handshake': 1 } : {}
      await using other = await testServer({
        flavour,
        extra: { 'character-set-server': 'latin1', 'init-connect': 'SET NAMES latin1', ...ignored },
      })
      await using admin = await connect(other.config)
      await admin.query("CREATE USER plain@'%' IDENTIFIED BY 'p'")
      for (const user of [{}, { user: 'plain', password: 'p' }]) {
        await using c = await connect({ ...other.config, ...user, charset: 'utf8mb4' })
        for (const after of ['the handshake', 'a reset']) {
          assert.deepEqual(text(await c.query("SELECT HEX('ä'), _latin1 x'E4'")), [['C3A4', 'ä']], after)
          await c.reset()
        }
      }
    })

    test('what LAST_INSERT_ID() is, is known after connecting and a reset, and not once an id was named or a statement refused, whatever comes then', async () => {
      await using c = await connect(options())
      await c.query('CREATE TABLE ids (id INT AUTO_INCREMENT PRIMARY KEY, n INT)')
      assert.equal(c.lastInsertId, 0n)
      for (const [sql, code] of [
        ['INSERT INTO ids (n) VALUES (1)', null],
        ['INSERT INTO nowhere VALUES (1)', errno.noSuchTable],
      ] as const) {
        const told = await c.query(sql).catch((error: unknown) => error)
        assert.equal(isServerError(told) ? told.errno : null, code)
        assert.equal(c.lastInsertId, null, sql)
        await c.pipeline(['SELECT 1', 'SET @x = 1'])
        assert.equal(c.lastInsertId, null, `${sql}, and others behind it`)
        await c.reset()
        assert.equal(c.lastInsertId, 0n)
        assert.equal(await c.value('SELECT LAST_INSERT_ID()'), '0')
      }
    })

    test('reset clears the session and keeps charset and session settings', async () => {
      await using c = await connect(options({ sessionSql: ["SET time_zone='+03:00'"] }))
      await c.query('SET @x = 5, SESSION lock_wait_timeout = 7')
      await c.query('CREATE TEMPORARY TABLE tmp (a INT)')
      await c.reset()
      assert.deepEqual(
        await c.allText(
          'SELECT @x x, @@lock_wait_timeout <> 7 w, @@time_zone tz, @@character_set_client cs, @@character_set_results cr, DATABASE() db',
        ),
        [{ x: null, w: '1', tz: '+03:00', cs: 'utf8mb4', cr: 'utf8mb4', db: schema }],
      )
      assert.ok(isServerError(await rejection(c.query('SELECT * FROM tmp')), errno.noSuchTable))
    })

    test('accounts: wrong password, empty password, change of user, each way to authenticate', async () => {
      await using admin = await connect(options())
      const user = uniqueName('u')
      await admin.pipeline([
        `CREATE USER '${user}'@'%' IDENTIFIED BY 'pä''ss'`,
        `GRANT ALL ON ${schema}.* TO '${user}'@'%'`,
        `CREATE USER '${user}e'@'%' IDENTIFIED BY ''`,
      ])
      const password = "pä'ss"
      // The first one asks for the password itself on MySQL (caching_sha2_password, by RSA), the second finds it cached.
      for (let round = 0; round < 2; round++) {
        await using c = await connect(options({ user, password }))
        assert.match((await c.value('SELECT CURRENT_USER()')) ?? '', new RegExp(user))
      }
      await using bySocket = await connect({ socketPath: server.socketPath, user, password })
      assert.equal(await bySocket.value('SELECT 1'), '1')
      const wrong = await rejection(connect(options({ user, password: 'wrong' })))
      assert.ok(isServerError(wrong, errno.accessDenied) && wrong.kind === 'access')
      assert.ok(isServerError(await rejection(connect(options({ user: 'nobody', password: 'x' }))), errno.accessDenied))
      assert.ok(isServerError(await rejection(connect(options({ database: 'nowhere' }))), errno.badDatabase))
      await using c = await connect({ ...server.config, user: `${user}e`, password: '' })
      await c.changeUser({ user, password, database: schema })
      assert.deepEqual(await c.allText(`SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1) u, DATABASE() d`), [{ u: user, d: schema }])
      assert.ok(isServerError(await rejection(c.changeUser({ user, password: 'wrong' })), errno.accessDenied))
    })

    if (flavour === 'mysql') {
      test('without TLS and without leave to ask for the key, an uncached account is not logged in', async () => {
        await using admin = await connect(options())
        const user = uniqueName('u')
        await admin.query(`CREATE USER '${user}'@'%' IDENTIFIED BY 'secret'`)
        assert.equal(
          ((await rejection(connect({ ...server.config, user, password: 'secret', allowPublicKeyRetrieval: false }))) as { code: string })
            .code,
          'SW-MYSQL-008',
        )
        await using c = await connect({
          ...server.config,
          user,
          password: 'secret',
          tls: { mode: 'required', options: { rejectUnauthorized: false } },
        })
        assert.equal(c.tls, true)
        assert.match((await c.value("SHOW STATUS LIKE 'Ssl_cipher'")) ?? '', /./)
        await using cached = await connect({ ...server.config, user, password: 'secret', allowPublicKeyRetrieval: false })
        assert.equal(await cached.value('SELECT 1'), '1')
        const other = uniqueName('s')
        await admin.query(`CREATE USER '${other}'@'%' IDENTIFIED WITH sha256_password BY 'secret'`)
        await using sha256 = await connect({ ...server.config, user: other, password: 'secret' })
        assert.equal(await sha256.value('SELECT 1'), '1')
      })
    }

    test('TLS that is required and not offered, or not trusted, is refused', async () => {
      await using admin = await connect(options())
      const offered = (await admin.allText("SHOW VARIABLES LIKE 'have_ssl'"))[0]?.['Value'] === 'YES' || flavour === 'mysql'
      const error = (await rejection(connect(options({ tls: { mode: 'required' } })))) as { code: string }
      assert.equal(error.code, offered ? 'SW-MYSQL-004' : 'SW-MYSQL-006')
      await using preferred = await connect(options({ tls: { mode: 'preferred' } }))
      assert.equal(preferred.tls, offered)
    })

    test('promise 11: KILL while a statement runs: the server says so, or the outcome is unknown; never "not sent"', async () => {
      const c = await connect(options())
      await using admin = await connect(options())
      const running = rejection(c.query('SELECT SLEEP(30)'))
      while (
        (await admin.value(`SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = ${c.threadId} AND INFO LIKE '%SLEEP%'`)) !== '1'
      );
      await admin.query(`KILL CONNECTION ${c.threadId}`)
      const error = await running
      if (error instanceof ServerError) assert.ok(error.kind === 'killed' || error.kind === 'interrupted', error.message)
      else assert.ok(error instanceof ConnectionLost && error.outcome === 'outcomeUnknown')
    })

    test('KILL QUERY interrupts the statement and keeps the connection', async () => {
      await using c = await connect(options())
      await using admin = await connect(options())
      const running = c.query('SELECT SLEEP(30), (SELECT 1 FROM information_schema.tables LIMIT 1)').then(
        (result) => result,
        (error: unknown) => error,
      )
      while (
        (await admin.value(`SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = ${c.threadId} AND INFO LIKE '%SLEEP%'`)) !== '1'
      );
      await admin.query(`KILL QUERY ${c.threadId}`)
      const outcome = await running
      // SLEEP alone answers 1 when interrupted; either is the server's answer.
      assert.ok(outcome instanceof ServerError ? outcome.kind === 'interrupted' : text(outcome as Result)[0]?.[0] === '1')
      assert.equal(await c.value('SELECT 1'), '1')
    })

    test('session tracking: changes stand in OK packets and do not disturb', async () => {
      await using c = await connect(options({ sessionTrack: true }))
      await c.query(`USE ${schema}`)
      await c.query('SET NAMES utf8mb4')
      assert.equal(await c.value('SELECT DATABASE()'), schema)
    })

    test('a packet stream gives raw packets until EOF: the binlog, as far as it goes', async () => {
      await using c = await connect(options())
      const end = await flavourOf(c).binlogEnd(c)
      assert.ok(end !== null)
      await c.query("SET @master_binlog_checksum='NONE', @source_binlog_checksum='NONE'")
      const nonBlocking = 1
      const stream = c.command(new Writer().u8(com.binlogDump).u32(4).u16(nonBlocking).u32(4711).text(end.file).take(), {
        bufferBytesMax: 4096,
      })
      let packets = 0
      for (let packet = await stream.next(); packet !== null; packet = stream.tryNext() ?? (await stream.next())) {
        assert.equal(packet[0], 0)
        packets++
      }
      assert.ok(packets > 10)
      // A server closes the connection behind a dump.
      await using next = await connect(options())
      await next.query("SET @master_binlog_checksum='NONE', @source_binlog_checksum='NONE'")
      const refused = next.command(new Writer().u8(com.binlogDump).u32(4).u16(nonBlocking).u32(4711).text('nosuch.000001').take())
      assert.ok(isServerError(await rejection(refused.next()), errno.ioErrorReadingMaster))
    })

    test('a relayed answer comes as frames', async () => {
      await using c = await connect(options({ deprecateEof: false }))
      const bytes = await new Promise<number>((resolve, reject) => {
        let total = 0
        c.relay(frameCommand(com.query, 'SELECT 1, REPEAT("a", 100000)'), {
          bytes: (frames) => (total += frames.length),
          end: (end) => resolve(total + end.frame.length),
          fail: reject,
        })
      })
      assert.ok(bytes > 100_000)
    })

    test('pipelined inserts all arrive; a failing one among them fails alone', async () => {
      await using c = await connect(options())
      await c.query('DROP TABLE IF EXISTS p')
      await c.query('CREATE TABLE p (a INT PRIMARY KEY)')
      const settled = await c.pipelineSettled(Array.from({ length: 2000 }, (_, i) => `INSERT INTO p VALUES (${i === 1500 ? 3 : i})`))
      assert.deepEqual(
        settled.flatMap((answer, i) => (answer.status === 'rejected' ? [i] : [])),
        [1500],
      )
      assert.equal(await c.value('SELECT COUNT(*) FROM p'), '1999')
    })
  })
}
