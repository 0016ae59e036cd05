import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import mysql from 'mysql2/promise'
import type { Connection } from '../mysql/connection.ts'
import type { Gate } from './gate.ts'
import { startMariadb, type TestServer } from './testkit/servers.ts'
import { closeServer, doSwitch, gateRecord, pause } from './testkit/switching.ts'
import { addKeyspace, addServer, addUser, changeRouting, MemoryStore, startGate } from './testkit/world.ts'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'

/** One shard on one server, four on another, the sequence on a third that no switch closes. Rows stay where they were written. */
const servers: TestServer[] = []
let on1: Connection
let on4: Connection
let onIds: Connection
const store = new MemoryStore()
let gate: Gate
let port: number
const four = ['-40', '40-80', '80-c0', 'c0-'].map((name) => ({ name, serverId: 's4', schema: `log_${name.replace('-', '_')}` }))
const shards = [{ name: '-', serverId: 's1', schema: 'log' }, ...four]

before(async () => {
  for (const server of await Promise.all([startMariadb(), startMariadb(), startMariadb()])) servers.push(server)
  ;[on1, on4, onIds] = (await Promise.all(servers.map((s) => s.admin()))) as [Connection, Connection, Connection]
  for (const s of shards) {
    const c = s.serverId === 's1' ? on1 : on4
    await c.query(`CREATE DATABASE ${s.schema}`)
    await c.query(`CREATE TABLE ${s.schema}.e (id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL, w VARCHAR(20), KEY (user_id)) ENGINE=InnoDB`)
  }
  await onIds.query('CREATE DATABASE ids')
  await onIds.query('CREATE TABLE ids.e_seq (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT)')
  await onIds.query('INSERT INTO ids.e_seq VALUES (0, 1, 50)')
  for (const [i, id] of ['s1', 's4', 's0'].entries()) await addServer(store, id, servers[i]?.port ?? 0)
  await addUser(store, 'app', 'secret')
  await addKeyspace(store, 'ids', [{ name: '-', serverId: 's0', schema: 'ids' }])
  const vschema = {
    sharded: true,
    vindexes: { hash: { type: 'hash' } },
    tables: { e: { column_vindexes: [{ column: 'user_id', name: 'hash' }], auto_increment: { column: 'id', sequence: 'ids.e_seq' } } },
  }
  await addKeyspace(store, 'log', shards, { sharded: true, vschema, serving: ['-'] })
  await changeRouting(store, 'log', (r) => ({
    ...r,
    components: r.components.map((c) => ({ ...c, workflow: 'w', other: four.map((s) => s.name) })),
  }))
  await closeServer(on4)
  ;({ gate, port } = await startGate(store))
})

after(async () => {
  await gate?.stop()
  await Promise.all([on1?.close(), on4?.close(), onIds?.close()])
  await Promise.all(servers.map((s) => s.stop()))
})

test('promises 1, 11: one shard to four and back, twice, under inserts with drawn ids, transactions over users and scattered reads: no error', async (t) => {
  const errors: string[] = []
  const acknowledged = new Set<number>()
  let stop = false
  // Clients of a test that has failed would knock at a gate that is gone for ever.
  t.after(() => (stop = true))
  let reads = 0
  let transactions = 0
  const pool = mysql.createPool({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'log', connectionLimit: 20 })
  const loop = async (name: string, once: () => Promise<void>): Promise<void> => {
    while (!stop) {
      try {
        await once()
      } catch (error) {
        const e = error as { errno?: number; sqlMessage?: string }
        errors.push(`${name}: ${e.errno} ${e.sqlMessage ?? String(error)}`)
      }
      await pause(1)
    }
  }
  let user = 1
  const inserts = (): Promise<void> =>
    loop('insert', async () => {
      const [r] = (await pool.query("INSERT INTO e (user_id, w) VALUES (?, 'a'), (?, 'a')", [user++, user++])) as unknown as [
        { insertId: number },
      ]
      acknowledged.add(r.insertId)
    })
  const prepared = (): Promise<void> =>
    loop('prepared', async () => {
      const [r] = (await pool.execute("INSERT INTO e (user_id, w) VALUES (?, 'p')", [user++])) as unknown as [{ insertId: number }]
      acknowledged.add(r.insertId)
    })
  const over = (): Promise<void> =>
    loop('transaction', async () => {
      const c = await pool.getConnection()
      try {
        await c.beginTransaction()
        const ids: number[] = []
        for (let i = 0; i < 3; i++) {
          const [r] = (await c.query("INSERT INTO e (user_id, w) VALUES (?, 't')", [user++])) as unknown as [{ insertId: number }]
          ids.push(r.insertId)
        }
        await c.query("UPDATE e SET w = 'T' WHERE user_id = ?", [user - 1])
        await c.query('SELECT COUNT(*) FROM e WHERE user_id > ?', [user - 10])
        await c.commit()
        transactions++
        for (const id of ids) acknowledged.add(id)
      } catch (error) {
        await c.rollback().catch(() => {})
        throw error
      } finally {
        c.release()
      }
    })
  const scans = (): Promise<void> =>
    loop('scan', async () => {
      await pool.query('SELECT user_id, COUNT(*) FROM e GROUP BY user_id ORDER BY user_id DESC LIMIT 5')
      await pool.execute('SELECT id, w FROM e WHERE user_id = ?', [1 + (user % 7)])
      reads++
    })
  const loops = [inserts(), inserts(), prepared(), prepared(), over(), over(), over(), scans(), scans()]
  const stalls: number[] = []
  let [from, to] = [on1, on4]
  // As much traffic before and after each switch as a quiet machine has in a moment, however long it takes here.
  const traffic = async (): Promise<void> => {
    const [writes, done, read, untilMs] = [acknowledged.size, transactions, reads, Date.now() + 60_000]
    while (acknowledged.size < writes + 25 || transactions < done + 5 || reads < read + 5) {
      assert.ok(Date.now() < untilMs && errors.length === 0, `no traffic: ${errors.join('; ')}`)
      await pause(20)
    }
  }
  for (let i = 0; i < 4; i++) {
    await traffic()
    stalls.push(Math.round(await doSwitch(store, 'log', from, to, true)))
    ;[from, to] = [to, from]
  }
  await traffic()
  stop = true
  await Promise.all(loops)
  await pool.end()
  console.log(`switches of ${stalls.join(', ')} ms, ${acknowledged.size} writes, ${transactions} transactions, ${reads} reads`)
  assert.deepEqual(errors, [])
  const there: number[] = []
  for (const s of shards)
    there.push(...(await (s.serverId === 's1' ? on1 : on4).allText(`SELECT id FROM ${s.schema}.e`)).map((r) => Number(r['id'])))
  const set = new Set(there)
  assert.equal(set.size, there.length, 'an id stands twice')
  for (const id of acknowledged) assert.ok(set.has(id), `row ${id} was acknowledged and is nowhere`)
  assert.ok(acknowledged.size > 100 && transactions > 20 && reads > 20)
  assert.equal((await gateRecord(store)).lastHold['log']?.failed, 0)
  for (const c of [on1, on4]) await noOpenTransactions(c, 'locks were left behind')
})
