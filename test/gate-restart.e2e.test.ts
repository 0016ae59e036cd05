/** Gates as they are shipped are restarted one after another, and end: under load, and no client is refused, no transaction dropped, no outcome unknown. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import mysql from 'mysql2/promise'
import { ApiClient } from '../src/api/client.ts'
import { systemClock as clock } from '../src/base/clock.ts'
import { findPort } from '../src/local/find-port.ts'
import { Tree } from '../src/main/tree.ts'
import { installsFile, projectDir, templatesDir } from '../src/main/up.ts'
import { commandLine } from './kit/command-line.ts'
import { oneFlavour, testServer, type TestServer } from './kit/servers.ts'
import { until } from './kit/until.ts'

const drainMs = 20_000
const perTransaction = 8
const user = { user: 'app', password: 'secret' } as const

let dir: string
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'sw-restart-'))
})
after(() => rmSync(dir, { recursive: true, force: true }))

async function database(): Promise<TestServer> {
  const server = await testServer({ flavour: oneFlavour(), durability: 'full', rootPassword: 'existing-root' })
  const admin = await mysql.createConnection({ ...server.config })
  await admin.query('CREATE DATABASE app')
  await admin.query(
    'CREATE TABLE app.t (id BIGINT AUTO_INCREMENT PRIMARY KEY, tx INT NOT NULL, n INT NOT NULL, UNIQUE (tx, n)) ENGINE=InnoDB',
  )
  await admin.end()
  return server
}

async function attach(api: ApiClient, server: TestServer, connect: () => Promise<mysql.Connection>): Promise<void> {
  await api.call('createKeyspace', {}, { name: 'app', server: { ...server.config, schema: 'app' } })
  await api
    .call('alterUser', { user: user.user }, { password: user.password })
    .catch(() => api.call('createUser', {}, { name: user.user, password: user.password }))
  await until('a gate to serve', async () => {
    const c = await connect()
    await c.query('SELECT COUNT(*) FROM t')
    await c.end()
    return true
  })
}

/** The server of the session said so before it ran the statement, or the client's library knows that it could not send it. */
const notRun = (error: unknown): boolean =>
  (error as { errno?: number }).errno === 1053 || /in closed state/.test(error instanceof Error ? error.message : '')

/** Of a transaction that has begun nothing may be refused: it is no drain error to begin again by. */
async function within(sent: Promise<unknown>): Promise<void> {
  try {
    await sent
  } catch (cause) {
    throw new Error('within a transaction', { cause })
  }
}

/** Clients that connect again where they are told to; whatever else they meet is kept in `failed`. */
class Clients {
  readonly failed: string[] = []
  /** Statements and transactions that were acknowledged. */
  readonly single: number[] = []
  readonly transactions: number[] = []
  short = 0
  told = 0
  #next = 0
  #running = true
  readonly #connect: () => Promise<mysql.Connection>
  readonly #work: Promise<void>[]

  constructor(connect: () => Promise<mysql.Connection>) {
    this.#connect = connect
    const kinds = { statements: () => this.#statements(), transactions: () => this.#transactions(), short: () => this.#short() }
    this.#work = Object.entries(kinds).flatMap(([kind, work]) =>
      Array.from({ length: kind === 'short' ? 2 : 6 }, () =>
        work().catch((error: unknown) => void this.failed.push(`${kind}: ${error instanceof Error ? error.stack : String(error)}`)),
      ),
    )
  }

  async stop(): Promise<void> {
    this.#running = false
    await Promise.all(this.#work)
  }

  async #each(pauseMs: number, work: (c: mysql.Connection) => Promise<void>): Promise<void> {
    let c: mysql.Connection | null = null
    while (this.#running) {
      if (c === null) {
        c = await this.#connect()
        c.on('error', () => undefined)
      }
      try {
        await work(c)
      } catch (error) {
        if (!notRun(error)) throw error
        this.told++
        c.destroy()
        c = null
      }
      await clock.sleep(pauseMs)
    }
    await c?.end().catch(() => undefined)
  }

  #statements(): Promise<void> {
    return this.#each(1, async (c) => {
      const tx = ++this.#next
      await c.query(`INSERT INTO t (tx, n) VALUES (${tx}, 0)`)
      this.single.push(tx)
    })
  }

  #transactions(): Promise<void> {
    return this.#each(5, async (c) => {
      await c.beginTransaction()
      const tx = ++this.#next
      for (let n = 0; n < perTransaction; n++) {
        await within(c.query(`INSERT INTO t (tx, n) VALUES (${tx}, ${n})`))
        await clock.sleep(200)
      }
      await within(c.commit())
      this.transactions.push(tx)
    })
  }

  /** One statement a connection, as many applications do: they see nothing of it at all. */
  async #short(): Promise<void> {
    while (this.#running) {
      const c = await this.#connect()
      await c.query('SELECT 1')
      await c.end()
      this.short++
      await clock.sleep(3)
    }
  }
}

for (const gates of [2, 1])
  test(
    `promises 1, 11: ${gates} gate${gates === 1 ? '' : 's'} restarted under load: no client is refused, no transaction dropped, no outcome unknown`,
    { timeout: 180_000 },
    async () => {
      const said: string[] = []
      await using server = await database()
      const tree = await Tree.start({
        dataDir: join(dir, `tree-${gates}`),
        flavour: oneFlavour(),
        apiPort: await findPort(0),
        gatePort: await findPort(0),
        installsFile,
        templatesDir,
        clock,
        gates,
        drainMs,
        say: (line) => said.push(line),
      })
      try {
        const api = new ApiClient({ baseUrl: tree.apiUrl })
        const connect = (): Promise<mysql.Connection> =>
          mysql.createConnection({ host: '127.0.0.1', port: tree.gatePort, ...user, database: 'app' })
        await attach(api, server, connect)
        const clients = new Clients(connect)
        await until('load', () => clients.transactions.length > 5 && clients.single.length > 100 && clients.short > 50)
        await until('sessions at each gate', async () => (await api.call('listGates')).every((gate) => gate.fresh && gate.sessions > 0))
        const before = (await api.call('listGates')).map((gate) => gate.id)
        assert.equal(before.length, gates)

        const [from, sessions] = [clients.transactions.length, clients.short]
        const restart = await commandLine(tree.apiUrl, 'gate restart')
        assert.equal(restart.code, 0, `${restart.text}\n${said.join('\n')}`)
        assert.match(restart.text, /^(gate-\S+ → gate-\S+ {2}\d+ sessions ended in [\d.]+ m?s\n){1,2}$/)
        assert.ok(clients.transactions.length > from && clients.short > sessions)
        const now = await api.call('listGates')
        assert.equal(now.length, gates)
        for (const { id } of now) assert.ok(!before.includes(id))
        const restarts = await api.call('listGateRestarts')
        assert.deepEqual(
          restarts.map(({ gate, state, drained }) => [gate, state, drained?.cut]).toSorted(),
          before.map((id) => [id, 'done', 0]).toSorted(),
        )
        // There were transactions to wait for (of two gates one may have had none of the clients that send them).
        assert.ok(
          restarts.some(({ drained }) => (drained?.ms ?? 0) > 100),
          JSON.stringify(restarts),
        )
        // Asked for once more, it is what it was (promise 13).
        assert.equal((await api.call('restartGate', { gate: before[0] ?? '' }, { actor: 'again' })).state, 'done')

        // One that dies: its clients' connections end, but who connects waits for the next process instead of being refused.
        const after = clients.short
        await until('load goes on', () => clients.short > after + 20)
        await clients.stop()
        assert.deepEqual(clients.failed, [])
        assert.ok(clients.told > 0)

        process.kill(tree.pid('gate') ?? 0, 'SIGKILL')
        for (let i = 0; i < 20; i++) {
          const c = await connect()
          await c.query('SELECT 1')
          await c.end()
        }

        const admin = await mysql.createConnection({ ...server.config, database: 'app' })
        const [rows] = await admin.query('SELECT tx, COUNT(*) AS n FROM t GROUP BY tx')
        const found = new Map((rows as { tx: number; n: number }[]).map(({ tx, n }) => [tx, n]))
        for (const tx of clients.single) assert.equal(found.get(tx), 1)
        for (const tx of clients.transactions) assert.equal(found.get(tx), perTransaction)
        // What was not acknowledged was not run.
        assert.equal(found.size, clients.single.length + clients.transactions.length)
        await admin.end()

        if (gates === 1) return
        // One that this tree did not start.
        const other = spawn(
          process.execPath,
          [join(projectDir, 'src', 'main', 'gate.ts'), '--data-dir', join(dir, 'tree-2'), '--port', String(await findPort(0))],
          { stdio: ['ignore', 'inherit', 'inherit'] },
        )
        try {
          const strange = await until('the other gate', async () => (await api.call('listGates')).find((gate) => gate.pid === other.pid))
          const refused = await commandLine(tree.apiUrl, `gate restart --gate ${strange.id}`)
          assert.equal(refused.code, 1)
          assert.match(refused.text, /SW-CONTROL-007 {2}gate \S+ was not restarted[^]*SIGTERM/)
          assert.match((await commandLine(tree.apiUrl, 'gate restart --gate gate-0')).text, /SW-API-003/)
        } finally {
          other.kill('SIGTERM')
          assert.deepEqual(await once(other, 'exit'), [0, null])
        }
      } finally {
        await tree.stop()
      }
      // Nobody waits at a port that nobody serves.
      await assert.rejects(mysql.createConnection({ host: '127.0.0.1', port: tree.gatePort, ...user }), { code: 'ECONNREFUSED' })
    },
  )

describe('shardwright up', () => {
  const children: ChildProcess[] = []
  // A test that failed leaves nothing behind that its runner waits for.
  after(() => children.forEach((child) => child.kill('SIGKILL')))
  type Up = {
    readonly api: ApiClient
    connect(): Promise<mysql.Connection>
    said(): string
    interrupt(): void
    ended: Promise<number | null>
  }

  async function up(dataDir: string, ...flags: string[]): Promise<Up> {
    const child = spawn(
      process.execPath,
      [
        join(projectDir, 'bin', 'shardwright.mjs'),
        'up',
        '--data-dir',
        dataDir,
        '--api-port',
        String(await findPort(0)),
        '--gate-port',
        String(await findPort(0)),
        ...flags,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let text = ''
    children.push(child)
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
    const ended = once(child, 'exit').then(([code]) => code as number | null)
    await until('it is up', () => text.includes('Ctrl-C'))
    const { api, gatePort } = JSON.parse(readFileSync(join(dataDir, 'up.json'), 'utf8')) as { api: string; gatePort: number }
    return {
      api: new ApiClient({ baseUrl: api }),
      connect: () => mysql.createConnection({ host: '127.0.0.1', port: gatePort, ...user, database: 'app' }),
      said: () => text,
      interrupt: () => void child.kill('SIGINT'),
      ended,
    }
  }

  test('Ctrl-C lets a transaction come to its COMMIT, twice it ends at once; its limits reach the gate', { timeout: 120_000 }, async () => {
    await using server = await database()
    const dataDir = join(dir, 'up')
    const flags = ['--drain', '60s', '--sessions-max', '2', '--packet-bytes-max', '1M']
    let running = await up(dataDir, ...flags)
    await attach(running.api, server, running.connect)
    // The one before may not have been taken note of as gone.
    const held = await until('room', running.connect)
    const other = await until('room', running.connect)
    await assert.rejects(running.connect(), { errno: 1040 })
    await assert.rejects(other.query(`SELECT '${'x'.repeat(1 << 20)}'`), { errno: 1153 })
    other.destroy()
    await held.beginTransaction()
    await held.query('INSERT INTO t (tx, n) VALUES (1, 1)')
    running.interrupt()
    await until('it says so', () => running.said().includes('stopping'))
    await until('nobody to be let in', () =>
      running.connect().then(
        (c) => void c.destroy(),
        (error: { code?: string }) => error.code === 'ECONNREFUSED',
      ),
    )
    // Longer than anything waited before.
    await clock.sleep(4_000)
    await held.query('INSERT INTO t (tx, n) VALUES (1, 2)')
    await held.commit()
    held.destroy()
    assert.equal(await running.ended, 0)

    running = await up(dataDir, ...flags)
    const never = await until('the gate', () => running.connect())
    const rows = async (c: mysql.Connection): Promise<number> => ((await c.query('SELECT * FROM t'))[0] as unknown[]).length
    assert.equal(await rows(never), 2)
    await never.beginTransaction()
    await never.query('INSERT INTO t (tx, n) VALUES (1, 3)')
    never.on('error', () => undefined)
    running.interrupt()
    await until('it says so', () => running.said().includes('stopping'))
    await clock.sleep(1_000)
    await never.query('SELECT 1')
    running.interrupt()
    const from = performance.now()
    assert.equal(await running.ended, 0)
    assert.ok(performance.now() - from < 3_000)
    const direct = await mysql.createConnection({ ...server.config, database: 'app' })
    assert.equal(await rows(direct), 2)
    await direct.end()
  })
})
