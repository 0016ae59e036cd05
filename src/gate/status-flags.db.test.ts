/**
 * Promise 10 of what OK and EOF packets say beside rows: status flags (transaction, autocommit, more results, session state, no index, escapes) are the server's own, packet by packet, where one server
 * answers; over shards too, but for what says how one server looked for rows.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { AnswerScanner, part } from '../wire/answer.ts'
import { serverStatus } from '../wire/capabilities.ts'
import { com } from '../wire/commands.ts'
import { frameCommand } from '../wire/frames.ts'
import { gateOnServer, password, type GateOnServer } from './testkit/gate-on-server.ts'

const { noGoodIndexUsed, noIndexUsed, queryWasSlow } = serverStatus
/** How one server found the rows. */
const ofOne = noGoodIndexUsed | noIndexUsed | queryWasSlow

/** The flags of every packet that has them, as hexadecimal; an error's number. */
function statuses(on: Connection, command: number, body: string | Buffer): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    const found: string[] = []
    on.relay(frameCommand(command, Buffer.from(body)), {
      bytes: (frames) => void pieces.push(Buffer.from(frames)),
      end: (end) => {
        const scanner = new AnswerScanner(false, command)
        const all = Buffer.concat([...pieces, end.frame])
        for (let at = 0; at < all.length;) {
          const length = all.readUIntLE(at, 3)
          const kind = scanner.scanFrame(all, at + 4, at + 4 + length)
          if (kind === part.error) found.push(`error ${all.readUInt16LE(at + 5)}`)
          else if (kind === part.ok || kind === part.columnsEnd || kind === part.rowsEnd)
            found.push(scanner.status.toString(16).padStart(4, '0'))
          at += 4 + length
        }
        resolve(found)
      },
      fail: reject,
    })
  })
}

const statements = [
  'SELECT 1',
  'SELECT id FROM t WHERE id = 1',
  'SELECT id FROM t WHERE v = 5',
  'DO 1',
  'SET @a = 1',
  "SET time_zone = '+00:00'",
  'BEGIN',
  'SELECT 1',
  'SELECT id FROM t WHERE id = 2',
  'SAVEPOINT a',
  'UPDATE t SET v = v + 1 WHERE id = 1',
  'ROLLBACK TO a',
  'RELEASE SAVEPOINT a',
  'SELECT nothing FROM t WHERE id = 1',
  'SELECT id FROM t WHERE id = 2',
  'COMMIT',
  'SELECT 1',
  'START TRANSACTION READ ONLY',
  'SELECT 1',
  'SELECT id FROM t WHERE id = 3',
  'UPDATE t SET v = 1 WHERE id = 1',
  'SELECT v FROM t WHERE id = 1',
  'COMMIT AND CHAIN',
  'SELECT v FROM t WHERE id = 1',
  'ROLLBACK',
  'START TRANSACTION WITH CONSISTENT SNAPSHOT',
  'COMMIT',
  'START TRANSACTION READ WRITE',
  'INSERT INTO t VALUES (100, 1)',
  'ROLLBACK',
  'SET autocommit = 0',
  'SELECT 1',
  'SELECT id FROM t WHERE id = 1',
  'SELECT 1',
  'UPDATE t SET v = 3 WHERE id = 2',
  'COMMIT',
  'SELECT 1',
  'INSERT INTO t VALUES (101, 1)',
  'ROLLBACK',
  'DELETE FROM t WHERE id = 1000',
  'SET autocommit = 1',
  'SELECT 1',
  'SET TRANSACTION READ ONLY',
  'SELECT 1',
  'BEGIN',
  'SELECT id FROM t WHERE id = 1',
  'COMMIT',
  'SET TRANSACTION READ ONLY',
  'BEGIN',
  'SELECT id FROM t WHERE id = 1',
  'ROLLBACK',
  'SET SESSION TRANSACTION READ ONLY',
  'SELECT 1',
  'SELECT id FROM t WHERE id = 1',
  'BEGIN',
  'SELECT id FROM t WHERE id = 1',
  'COMMIT',
  'START TRANSACTION READ WRITE',
  'COMMIT',
  'SET autocommit = 0',
  'SELECT id FROM t WHERE id = 1',
  'COMMIT',
  'SELECT COUNT(*) FROM t',
  'SELECT id FROM t ORDER BY v, id',
  'COMMIT',
  'SELECT COUNT(*), MAX(v) FROM t',
  'DO 1',
  'COMMIT',
  'SET autocommit = 1',
  'SET SESSION TRANSACTION READ WRITE',
  'BEGIN',
  'CREATE TABLE made (id INT PRIMARY KEY)',
  'DROP TABLE made',
  "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
  'SELECT 1',
  'SELECT id FROM t WHERE id = 1',
  'BEGIN',
  'ROLLBACK',
  "SET sql_mode = 'ANSI_QUOTES'",
  'SELECT 1',
  'SELECT "id" FROM t WHERE "id" = 1',
  'BEGIN',
  'ROLLBACK',
  "SET sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'",
  'BEGIN',
  'COMMIT',
  'SET sql_mode = DEFAULT',
  'SELECT 1',
  'SHOW WARNINGS',
  'SELECT DATABASE()',
  'SHOW TABLES',
  "SHOW VARIABLES LIKE 'autocommit'",
  'SELECT COUNT(*) FROM t',
  'SELECT id FROM t ORDER BY v, id',
  'UPDATE t SET v = v + 1',
  'INSERT INTO t VALUES (201, 1), (202, 1), (203, 1), (204, 1)',
  'DELETE FROM t WHERE id > 200',
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    const open: Connection[] = []
    const opened = async (port: number, user: string, given: string, database: string, multi = false): Promise<Connection> => {
      const on = await connect({ host: '127.0.0.1', port, user, password: given, database, deprecateEof: false, multiStatements: multi })
      open.push(on)
      return on
    }

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', plain: 'plain', shop: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, v INT)'],
        users: { app: { limits: { multiStatements: 'allowed' } } },
      })
      const c = await opened(world.port, 'app', password, 'shop')
      const values = Array.from({ length: 20 }, (_, i) => `(${i + 1}, ${i})`).join()
      await c.query(`INSERT INTO t VALUES ${values}`)
      for (const schema of ['one', 'plain']) {
        await world.admin.query(`INSERT INTO ${schema}.t VALUES ${values}`)
        await world.admin.query(`CREATE PROCEDURE ${schema}.two() BEGIN SELECT 1; SELECT id FROM t WHERE v = 2; END`)
      }
    })

    after(async () => {
      for (const on of open) await on.close()
      await world.stop()
    })

    const direct = async (multi = false): Promise<Connection> => await opened(world.serverPort, 'sw_gate', 'gate-secret', 'one', multi)

    test('one server', async () => {
      const [c, one] = [await opened(world.port, 'app', password, 'plain'), await direct()]
      const differ: string[] = []
      for (const [i, sql] of statements.entries()) {
        const [got, wanted] = [await statuses(c, com.query, sql), await statuses(one, com.query, sql)]
        if (got.join() !== wanted.join()) differ.push(`${i} ${sql}: ${got.join(' ')}, the server ${wanted.join(' ')}`)
      }
      assert.deepEqual(differ, [])
    })

    test('over shards', async () => {
      const [c, one] = [await opened(world.port, 'app', password, 'shop'), await direct()]
      const differ: string[] = []
      const bare = (found: string[]): string =>
        found.map((flags) => (flags.startsWith('error') ? flags : (parseInt(flags, 16) & ~ofOne).toString(16))).join(' ')
      for (const [i, sql] of statements.entries()) {
        // Refused there.
        if (sql === 'DO 1') continue
        const [got, wanted] = [await statuses(c, com.query, sql), await statuses(one, com.query, sql)]
        if (bare(got) !== bare(wanted)) differ.push(`${i} ${sql}: ${got.join(' ')}, the server ${wanted.join(' ')}`)
      }
      assert.deepEqual(differ, [])
    })

    test('prepared statements', async () => {
      const one = await direct()
      const differ: string[] = []
      for (const database of ['plain', 'shop']) {
        const c = await opened(world.port, 'app', password, database)
        const mask = database === 'shop' ? ~ofOne : -1
        for (const sql of [
          'SELECT id FROM t WHERE id = 1',
          'SELECT id FROM t WHERE v > 2',
          'UPDATE t SET v = v WHERE id = 1',
          'SELECT SUM(v) FROM t',
        ])
          for (const before of [
            'COMMIT',
            'BEGIN',
            'START TRANSACTION READ ONLY',
            "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
            'SET sql_mode = DEFAULT',
          ]) {
            const found: string[][] = []
            for (const on of [c, one]) {
              await statuses(on, com.query, 'ROLLBACK')
              const { id } = await on.prepare(sql)
              await statuses(on, com.query, before)
              const body = Buffer.alloc(9)
              body.writeUInt32LE(id)
              body.writeUInt32LE(1, 5)
              const said = [...(await statuses(on, com.stmtExecute, body)), ...(await statuses(on, com.stmtExecute, body))]
              found.push(said.map((flags) => (flags.startsWith('error') ? flags : (parseInt(flags, 16) & mask).toString(16))))
            }
            if (found[0]?.join() !== found[1]?.join()) differ.push(`${database}: ${before}; ${sql}: ${found.join('; ')}`)
          }
      }
      assert.deepEqual(differ, [])
    })

    test('several results, other commands', async () => {
      const [c, one] = [await opened(world.port, 'app', password, 'plain', true), await direct(true)]
      const differ: string[] = []
      for (const [command, body] of [
        [com.query, 'CALL two()'],
        [com.query, 'SELECT 1; SELECT id FROM t WHERE v = 3; DO 1'],
        [com.query, 'BEGIN; SELECT 1; SELECT nothing; COMMIT'],
        [com.query, 'SELECT 1'],
        [com.query, 'COMMIT; SELECT 2'],
        [com.ping, ''],
        [com.query, 'START TRANSACTION READ ONLY'],
        [com.ping, ''],
        [com.initDb, flavour],
        [com.query, 'COMMIT'],
        [com.query, "SET sql_mode = 'NO_BACKSLASH_ESCAPES'"],
        [com.ping, ''],
        [com.resetConnection, ''],
        [com.ping, ''],
      ] as const) {
        const of = (schema: string): string => (command === com.initDb ? schema : body)
        const [got, wanted] = [await statuses(c, command, of('plain')), await statuses(one, command, of('one'))]
        if (got.join() !== wanted.join()) differ.push(`${command} ${body}: ${got.join(' ')}, the server ${wanted.join(' ')}`)
      }
      assert.deepEqual(differ, [])
    })
  })
}
