/** What is above the bound of a packet is answered as servers answer it: 1153, and the end of the connection. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import mysql from 'mysql2/promise'
import { until } from '../../test/kit/until.ts'
import { silentLog, type Log } from '../base/log.ts'
import { connect } from '../mysql/connect.ts'
import { isServerError } from '../mysql/errors.ts'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'
import type { Gate } from './gate.ts'
import { startMariadb } from './testkit/servers.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

const mebi = 1 << 20

test('promises 7, 8: a packet above the bound is 1153, in one frame and in several, and logged; the transaction is rolled back', async () => {
  const server = await startMariadb({ 'max-allowed-packet': 64 * mebi })
  const admin = await server.admin()
  await admin.query('CREATE DATABASE one')
  await admin.query('CREATE TABLE one.t (id INT PRIMARY KEY, data LONGTEXT)')
  const store = new MemoryStore()
  await addServer(store, 's1', server.port)
  await addUser(store, 'app', 'secret')
  await addKeyspace(store, 'one', [{ name: '-', serverId: 's1', schema: 'one' }])
  const gates: Gate[] = []
  const logged: object[] = []
  const log: Log = { ...silentLog, warn: (fields) => void logged.push(fields), child: () => log }
  try {
    for (const [bytesMax, bytes] of [
      [2 * mebi, 2 * mebi],
      [20 * mebi, 20 * mebi],
      // Refused at its second frame, and three more come.
      [20 * mebi, 70 * mebi],
    ] as const) {
      const { gate, port } = await startGate(store, { packetBytesMax: bytesMax }, log)
      gates.push(gate)
      const account = { host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'one' }
      const insert = (id: number, length: number): string => `INSERT INTO t VALUES (${id}, '${'x'.repeat(length)}')`
      const what = `${bytes} of ${bytesMax}`

      const ours = await connect(account)
      await ours.query('BEGIN')
      await ours.query(insert(1, bytesMax - 1000))
      await assert.rejects(
        ours.query(insert(2, bytes)),
        (error) => isServerError(error) && error.errno === 1153 && /SW-GATE-047.*--packet-bytes-max/.test(error.serverMessage),
        what,
      )
      await until('the session is gone', () => gate.core.sessions.size === 0, 10_000)
      assert.equal(await admin.value('SELECT COUNT(*) FROM one.t'), '0')
      await noOpenTransactions(admin)
      assert.deepEqual(logged, [{ session: ours.threadId, user: 'app', keyspace: 'one', bytesMax }], what)
      logged.length = 0

      const other = await mysql.createConnection(account)
      const ended = new Promise((resolve) => other.once('error', resolve))
      await assert.rejects(other.query(insert(2, bytes)), { errno: 1153, sqlState: '08S01' })
      await ended
      other.destroy()
      logged.length = 0

      // Others are not touched by it.
      const next = await mysql.createConnection(account)
      assert.equal(((await next.query('SELECT * FROM t'))[0] as unknown[]).length, 0)
      await next.end()
    }
  } finally {
    for (const gate of gates) await gate.stop()
    await admin.close()
    await server.stop()
  }
})
