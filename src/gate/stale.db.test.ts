import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import mysql from 'mysql2/promise'
import type { Connection } from '../mysql/connection.ts'
import { keys } from '../topology/keys.ts'
import type { CommitResult, Condition, Entry, Lease, Put, Snapshot, Store } from '../topology/store.ts'
import { toOpening, toStable, toSwitching } from '../topology/routing.ts'
import type { Gate } from './gate.ts'
import { startMariadb, type TestServer } from './testkit/servers.ts'
import { routingStep, until } from './testkit/switching.ts'
import { addKeyspace, addServer, addUser, changeRouting, MemoryStore, startGate } from './testkit/world.ts'

/** A store whose line can be cut: nothing comes back while it is. */
class CutStore implements Store {
  readonly #inner: Store
  #line: Promise<void> = Promise.resolve()
  #mend: () => void = () => {}
  constructor(inner: Store) {
    this.#inner = inner
  }
  cut(): void {
    this.#line = new Promise((resolve) => (this.#mend = resolve))
  }
  mend(): void {
    this.#mend()
  }
  async get(key: string): Promise<Entry | null> {
    await this.#line
    return await this.#inner.get(key)
  }
  async list(prefix: string): Promise<Snapshot> {
    await this.#line
    return await this.#inner.list(prefix)
  }
  async commit(conditions: readonly Condition[], puts: readonly Put[]): Promise<CommitResult> {
    await this.#line
    return await this.#inner.commit(conditions, puts)
  }
  async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<Snapshot> {
    for await (const snapshot of this.#inner.watch(prefix, signal)) {
      await this.#line
      yield snapshot
    }
  }
  async grantLease(ttlMs: number): Promise<Lease> {
    await this.#line
    const lease = await this.#inner.grantLease(ttlMs)
    return {
      id: lease.id,
      ttlMs,
      renew: async () => {
        await this.#line
        await lease.renew()
      },
      revoke: () => lease.revoke(),
      [Symbol.asyncDispose]: () => lease[Symbol.asyncDispose](),
    }
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}

let server: TestServer
let admin: Connection
const truth = new MemoryStore()
const store = new CutStore(truth)
let gate: Gate
let port: number

before(async () => {
  server = await startMariadb()
  admin = await server.admin()
  for (const name of ['old', 'new']) {
    await admin.query(`CREATE DATABASE ${name}`)
    await admin.query(`CREATE TABLE ${name}.t (id INT PRIMARY KEY, side VARCHAR(10))`)
    await admin.query(`INSERT INTO ${name}.t VALUES (1, '${name}')`)
  }
  await addServer(truth, 's1', server.port)
  await addUser(truth, 'app', 'secret')
  await addKeyspace(
    truth,
    'app',
    [
      { name: '-', serverId: 's1', schema: 'old' },
      { name: '-80', serverId: 's1', schema: 'new' },
    ],
    { serving: ['-'] },
  )
  await changeRouting(truth, 'app', (r) => ({ ...r, components: r.components.map((c) => ({ ...c, workflow: 'w', other: ['-80'] })) }))
  ;({ gate, port } = await startGate(store, { leaseMs: 300 }))
})

after(async () => {
  store.mend()
  await gate?.stop()
  await admin?.close()
  await server?.stop()
})

test('promise 2: a gate past its lease answers nothing by what it knew; it reads the record, then goes where that says', async () => {
  const c = await mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  const side = async (): Promise<unknown> =>
    ((await c.query('SELECT side FROM t WHERE id = 1')) as unknown as [{ side: string }[]])[0][0]?.side
  assert.equal(await side(), 'old')
  await c.beginTransaction()
  await c.query("UPDATE t SET side = 'dirty' WHERE id = 1")
  store.cut()
  await until('the lease to end', 3000, async () => !gate.core.membership.valid)
  await until('its record to be gone', 3000, async () => (await truth.get(keys.gate('gate-1'))) === null)
  const ranges = ['-']
  await routingStep(truth, 'app', (r) => toSwitching(r, { ranges, token: 0, hold: { sinceMs: 0, untilMs: 0 } }))
  await routingStep(truth, 'app', (r) => toOpening(r, { ranges, token: 0, outcome: 'switched' }))
  await routingStep(truth, 'app', (r) => toStable(r, { ranges, token: 0 }))
  const reader = await mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  let answered: unknown = null
  const asked = reader.query('SELECT side FROM t WHERE id = 1').then(([rows]) => (answered = (rows as { side: string }[])[0]?.side))
  // It would have answered long since: as long as the lease was.
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.equal(answered, null)
  store.mend()
  await asked
  assert.equal(answered, 'new')
  // The transaction of the old side can't go on anywhere: rolled back for real.
  await assert.rejects(c.query('SELECT 1 FROM t'), (e: { errno: number }) => e.errno === 1213)
  assert.equal(await side(), 'new')
  assert.equal(await admin.value('SELECT side FROM old.t WHERE id = 1'), 'old')
  await until('its record to be back', 3000, async () => (await truth.get(keys.gate('gate-1'))) !== null)
  await c.end()
  await reader.end()
})
