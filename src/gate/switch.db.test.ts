import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import mysql from 'mysql2/promise'
import { toOpening, toStable, toSwitching } from '../topology/routing.ts'
import type { Connection } from '../mysql/connection.ts'
import type { Gate } from './gate.ts'
import { startMariadb, type TestServer } from './testkit/servers.ts'
import { closeServer, doSwitch, gateRecord, pause, routingStep, until } from './testkit/switching.ts'
import { addKeyspace, addServer, addUser, changeRouting, MemoryStore, startGate } from './testkit/world.ts'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'

/** Two servers, one keyspace; its one shard moves between them as a switch would move it, but for the rows. */
let a: TestServer
let b: TestServer
let onA: Connection
let onB: Connection
const store = new MemoryStore()
let gate: Gate
let port: number

before(async () => {
  ;[a, b] = await Promise.all([startMariadb(), startMariadb()])
  ;[onA, onB] = await Promise.all([a.admin(), b.admin()])
  for (const c of [onA, onB]) {
    await c.query('CREATE DATABASE app')
    await c.query('CREATE TABLE app.t (id BIGINT PRIMARY KEY, who VARCHAR(20)) ENGINE=InnoDB')
  }
  await addServer(store, 's1', a.port)
  await addServer(store, 's2', b.port)
  await addUser(store, 'app', 'secret')
  await addKeyspace(
    store,
    'app',
    [
      { name: '-', serverId: 's1', schema: 'app' },
      { name: '-80', serverId: 's2', schema: 'app' },
      { name: '80-', serverId: 's2', schema: 'app' },
    ],
    { serving: ['-'] },
  )
  // One component with one shard on each side, which no real workflow would make: enough for what gates do.
  await changeRouting(store, 'app', (r) => ({ ...r, components: r.components.map((c) => ({ ...c, workflow: 'w', other: ['-80'] })) }))
  await closeServer(onB)
  ;({ gate, port } = await startGate(store))
})

after(async () => {
  await gate?.stop()
  await Promise.all([onA?.close(), onB?.close()])
  await Promise.all([a?.stop(), b?.stop()])
})

const step = (change: Parameters<typeof routingStep>[2]): Promise<number> => routingStep(store, 'app', change)
const record = (): ReturnType<typeof gateRecord> => gateRecord(store)

type Outcome = { acknowledged: number[]; errors: { sqlMessage: string; errno: number; where: string }[]; unknown: number[]; reads: number }

/** Writers and readers until told to stop. */
async function load(
  kinds: { autocommit: number; transactions: number; readers: number; pauseMs?: number },
  while_: (outcome: Outcome) => Promise<void>,
): Promise<Outcome> {
  const outcome: Outcome = { acknowledged: [], errors: [], unknown: [], reads: 0 }
  let stop = false
  const pool = mysql.createPool({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app', connectionLimit: 40 })
  const note = (error: unknown, where: string, id?: number): void => {
    const e = error as { errno: number; sqlMessage: string }
    outcome.errors.push({ errno: e.errno, sqlMessage: e.sqlMessage ?? String(error), where })
    if (id !== undefined && e.errno === 2013) outcome.unknown.push(id)
  }
  const autocommit = async (): Promise<void> => {
    while (!stop) {
      const id = nextId++
      try {
        await pool.query('INSERT INTO t VALUES (?, ?)', [id, 'auto'])
        outcome.acknowledged.push(id)
      } catch (error) {
        note(error, 'autocommit', id)
      }
      await new Promise((resolve) => setTimeout(resolve, kinds.pauseMs ?? 1))
    }
  }
  const transactions = async (): Promise<void> => {
    while (!stop) {
      const ids = [nextId++, nextId++]
      const c = await pool.getConnection()
      try {
        await c.beginTransaction()
        await c.execute('INSERT INTO t VALUES (?, ?)', [ids[0] ?? 0, 'tx'])
        await c.query('SELECT COUNT(*) FROM t WHERE id = ?', [ids[0]])
        await c.execute('INSERT INTO t VALUES (?, ?)', [ids[1] ?? 0, 'tx'])
        await c.commit()
        outcome.acknowledged.push(...ids)
      } catch (error) {
        note(error, 'transaction', ids[0])
        await c.rollback().catch(() => {})
      } finally {
        c.release()
      }
      await new Promise((resolve) => setTimeout(resolve, kinds.pauseMs ?? 1))
    }
  }
  const readers = async (): Promise<void> => {
    while (!stop) {
      try {
        await pool.query('SELECT * FROM t ORDER BY id DESC LIMIT 5')
        outcome.reads++
      } catch (error) {
        note(error, 'read')
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
  const loops = [
    ...Array.from({ length: kinds.autocommit }, autocommit),
    ...Array.from({ length: kinds.transactions }, transactions),
    ...Array.from({ length: kinds.readers }, readers),
  ]
  try {
    await while_(outcome)
  } finally {
    stop = true
    await Promise.all(loops)
    await pool.end()
  }
  return outcome
}
let nextId = 1

/** As much of it before and after each switch as a quiet machine has in a moment, however long it takes here. */
async function traffic(soFar: Outcome): Promise<void> {
  const { acknowledged, reads } = { acknowledged: soFar.acknowledged.length, reads: soFar.reads }
  await until(
    'traffic',
    60_000,
    async () => soFar.errors.length > 0 || (soFar.acknowledged.length > acknowledged + 50 && soFar.reads > reads + 50),
  )
}

async function stored(): Promise<Map<number, number>> {
  const count = new Map<number, number>()
  for (const c of [onA, onB])
    for (const row of await c.allText('SELECT id FROM app.t')) count.set(Number(row['id']), (count.get(Number(row['id'])) ?? 0) + 1)
  return count
}

async function assertAllThere(outcome: Outcome): Promise<void> {
  const there = await stored()
  for (const id of outcome.acknowledged) assert.equal(there.get(id), 1, `row ${id} was acknowledged and stands ${there.get(id) ?? 0} times`)
  for (const [id, times] of there) assert.equal(times, 1, `row ${id} stands ${times} times`)
}

test('promises 1, 11: four switches under autocommit writes, transactions and reads: no error, nothing lost or doubled', async () => {
  const stalls: number[] = []
  const outcome = await load({ autocommit: 4, transactions: 4, readers: 3 }, async (soFar) => {
    let [from, to] = [onA, onB]
    for (let i = 0; i < 4; i++) {
      await traffic(soFar)
      stalls.push(await doSwitch(store, 'app', from, to, true))
      ;[from, to] = [to, from]
    }
    await traffic(soFar)
  })
  assert.deepEqual(outcome.errors, [])
  assert.ok(outcome.acknowledged.length > 200, `only ${outcome.acknowledged.length} writes`)
  assert.ok(outcome.reads > 200)
  await assertAllThere(outcome)
  console.log('stalls', stalls.map(Math.round), 'writes', outcome.acknowledged.length, 'reads', outcome.reads)
  const last = (await record()).lastHold['app']
  assert.ok(last !== undefined && last.held > 0 && last.failed === 0, JSON.stringify(last))
  assert.ok(last.longestMs < 1000, `held for ${last.longestMs} ms; switches took ${stalls.map(Math.round).join(', ')} ms`)
})

test('promise 11: a fence that does not wait for the gate: autocommit writes are sent to the new side unseen, transactions get 1213', async () => {
  const outcome = await load({ autocommit: 6, transactions: 3, readers: 2, pauseMs: 0 }, async () => {
    let [from, to] = [onA, onB]
    for (let i = 0; i < 4; i++) {
      await pause(100)
      await doSwitch(store, 'app', from, to, false)
      ;[from, to] = [to, from]
    }
    await pause(100)
  })
  for (const error of outcome.errors) {
    assert.ok(error.where === 'transaction', `${error.where}: ${error.errno} ${error.sqlMessage}`)
    assert.ok([1213, 2013].includes(error.errno), `${error.errno} ${error.sqlMessage}`)
  }
  await assertAllThere(outcome)
})

test('a transaction that does not end within the grace gets 1213, is rolled back for real, and its locks are gone', async () => {
  const c = await mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  const reader = await mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  try {
    await reader.beginTransaction()
    await reader.query('SELECT COUNT(*) FROM t')
    await c.beginTransaction()
    await c.query("INSERT INTO t VALUES (900000001, 'idle')")
    assert.equal(await gate.core.holds.openOf('app'), 0, 'nothing is held yet')
    const version = await step((r) =>
      toSwitching(r, { ranges: ['-'], token: 0, hold: { sinceMs: Date.now(), untilMs: Date.now() + 10_000 } }),
    )
    await until(
      'the open transactions to be acknowledged',
      1000,
      async () => (await record()).open['app'] === 2 && (await record()).seen['app'] === version,
    )
    await until('the grace to end', 3000, async () => (await record()).open['app'] === 0)
    await noOpenTransactions(onA)
    await assert.rejects(c.query("INSERT INTO t VALUES (900000002, 'idle')"), (e: { errno: number }) => e.errno === 1213)
    // A snapshot of this side cannot go on with one of the other.
    await assert.rejects(reader.query('SELECT COUNT(*) FROM t'), (e: { errno: number }) => e.errno === 1213)
    // It is over: the next statement stands alone, waits, and goes on after the hold.
    const waiting = c.query("INSERT INTO t VALUES (900000003, 'after')")
    await until('it to wait', 1000, async () => gate.core.holds.waiting === 1)
    await step((r) => toOpening(r, { ranges: ['-'], token: 0, outcome: 'back' }))
    await step((r) => toStable(r, { ranges: ['-'], token: 0 }))
    await waiting
    assert.equal(await onA.value('SELECT GROUP_CONCAT(id) FROM app.t WHERE id > 900000000'), '900000003')
  } finally {
    c.destroy()
    reader.destroy()
  }
})

test('reads go on while writes are held; a held statement can be killed', async () => {
  const c = await mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  const k = await mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  try {
    await step((r) => toSwitching(r, { ranges: ['-'], token: 0, hold: { sinceMs: Date.now(), untilMs: Date.now() + 10_000 } }))
    const held = c.query("INSERT INTO t VALUES (800000001, 'held')")
    await until('it to wait', 1000, async () => gate.core.holds.waiting === 1)
    await k.query('SELECT COUNT(*) FROM t')
    const [[row]] = (await k.query('SELECT 1 AS one')) as unknown as [[{ one: number }]]
    assert.equal(row.one, 1)
    const [list] = (await k.query('SHOW PROCESSLIST')) as unknown as [{ Id: number; Info: string | null }[]]
    const victim = list.find((p) => p.Info?.startsWith('INSERT'))
    assert.ok(victim !== undefined)
    await k.query(`KILL QUERY ${victim.Id}`)
    await assert.rejects(held, (e: { errno: number }) => e.errno === 1317)
    await step((r) => toOpening(r, { ranges: ['-'], token: 0, outcome: 'back' }))
    await step((r) => toStable(r, { ranges: ['-'], token: 0 }))
    assert.equal(await onA.value('SELECT COUNT(*) FROM app.t WHERE id = 800000001'), '0')
  } finally {
    c.destroy()
    k.destroy()
  }
})

test('sessions across a switch: prepared statements and settings go on; variables, temporary tables and named locks are told lost before anything runs without them', async () => {
  const open = (): Promise<mysql.Connection> =>
    mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  const [plain, variable, temporary, lock] = await Promise.all([open(), open(), open(), open()])
  try {
    await plain.query("SET time_zone = '+03:00', sql_mode = 'ANSI_QUOTES'")
    await plain.execute('INSERT INTO t VALUES (?, ?)', [700000001, 'prepared'])
    await variable.query('SET @from = 700000100')
    await temporary.query('CREATE TEMPORARY TABLE mine (id BIGINT)')
    await temporary.query('INSERT INTO mine VALUES (700000200)')
    await lock.query("SELECT GET_LOCK('mine', 0)")
    await doSwitch(store, 'app', onA, onB, true)
    await plain.execute('INSERT INTO t VALUES (?, ?)', [700000002, 'prepared'])
    const [[row]] = (await plain.query('SELECT @@time_zone AS zone, @@sql_mode AS mode')) as unknown as [[{ zone: string; mode: string }]]
    assert.deepEqual([row.zone, row.mode], ['+03:00', 'ANSI_QUOTES'])
    const lost = (e: { sqlMessage?: string }): boolean => /SW-GATE-020/.test(e.sqlMessage ?? '')
    await assert.rejects(variable.query("INSERT INTO t VALUES (@from, 'variable')"), lost)
    await assert.rejects(temporary.query('INSERT INTO t SELECT id, ? FROM mine', ['temporary']), lost)
    await assert.rejects(lock.query("INSERT INTO t VALUES (700000300, 'lock')"), lost)
    assert.equal(await onB.value("SELECT GROUP_CONCAT(id) FROM app.t WHERE id > 700000000 AND who <> 'prepared' AND id < 800000000"), null)
    // Once told, they go on.
    for (const c of [variable, temporary, lock]) await c.query('SELECT COUNT(*) FROM t')
    await variable.query('SET @from = 700000101')
    await variable.query("INSERT INTO t VALUES (@from, 'variable')")
    assert.equal(await onB.value('SELECT COUNT(*) FROM app.t WHERE id IN (700000002, 700000101)'), '2')
  } finally {
    for (const c of [plain, variable, temporary, lock]) c.destroy()
  }
})
