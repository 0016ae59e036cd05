/**
 * A keyspace that is filled from a topic, as a user has it: an attached server with one shard, control, gates, a fleet, producers and readers.
 * Control, one gate and the consumers run in this process; a second gate is a process of its own, so that it can be stopped.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import mysql from 'mysql2/promise'
import type { ApiClient } from '../../src/api/client.ts'
import type { ActionView, WorkflowView } from '../../src/api/schemas.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { Gate } from '../../src/gate/gate.ts'
import { Consumer } from '../../src/ingest/consumer.ts'
import { loadDefinition } from '../../src/ingest/load-definition.ts'
import { smallConsumer } from '../../src/ingest/testkit/small-consumer.ts'
import { findPort } from '../../src/local/find-port.ts'
import { createTopic, openProducer, openTopic } from '../../src/topic/open.ts'
import type { TopicProducer } from '../../src/topic/topic.ts'
import { SqliteStore } from '../../src/topology/sqlite.ts'
import { controlOfAttached, said, untilKnown, untilRunIs } from './dualwrite-control.ts'
import { dualwriteTables } from './dualwrite-definition.ts'
import { MortalStore } from './mortal-store.ts'
import type { Death } from './mortal-store.ts'
import { processDir, testServer } from './servers.ts'
import type { TestServer } from './servers.ts'
import { Final, until } from './until.ts'

export const definitionFile = join(import.meta.dirname, 'dualwrite-definition.ts')
export const tenants = 40

/** What the keyspace holds, and what fills it. */
export type Shape = {
  readonly definitionFile: string
  readonly tables: readonly string[]
  readonly durability?: 'full'
  /** Never unless said. */
  readonly purgeMs?: number
  /** Of the topic; for ever unless said. */
  readonly topicKeepsMs?: number
}
export const standardShape: Shape = { definitionFile, tables: dualwriteTables }

export type Reading = { readonly reads: number; readonly errors: string[]; readonly backwards: string[]; readonly slowestMs: number }

export class DualWriteTestWorld implements AsyncDisposable {
  readonly dir: string
  readonly oldServer: TestServer
  readonly newServer: TestServer
  readonly store: SqliteStore
  readonly topicUrl: string
  readonly shape: Shape
  client!: ApiClient
  apiUrl = ''
  gatePort = 0
  secondGate: { process: ChildProcess; port: number } | null = null
  produced = 0
  readonly startedMs = Date.now()
  readonly #stops: (() => Promise<void>)[] = []
  readonly #consumers = new Map<string, () => Promise<void>>()
  #controls = 0
  #leader!: MortalStore
  #gate!: Gate
  #producer!: TopicProducer

  private constructor(dir: string, oldServer: TestServer, newServer: TestServer, shape: Shape) {
    this.shape = shape
    this.dir = dir
    this.oldServer = oldServer
    this.newServer = newServer
    this.store = new SqliteStore(join(dir, 'topology.sqlite'))
    this.topicUrl = `log://${dir}/events`
  }

  static async start(flavour: 'mariadb' | 'mysql' = 'mariadb', shape: Shape = standardShape): Promise<DualWriteTestWorld> {
    const dir = join(processDir(), `dualwrite-${randomUUID().slice(0, 6)}`)
    mkdirSync(join(dir, 'logs'), { recursive: true })
    const { durability } = shape
    const options = {
      flavour,
      bufferPoolMb: 32,
      ...(durability === undefined ? {} : { durability }),
      ...(flavour === 'mysql' ? { performanceSchema: 'counts' as const } : {}),
    }
    const [oldServer, newServer] = await Promise.all([testServer(options), testServer(options)])
    const world = new DualWriteTestWorld(dir, oldServer, newServer, shape)
    await world.#build(flavour)
    return world
  }

  async #build(flavour: 'mariadb' | 'mysql'): Promise<void> {
    const admin = await mysql.createConnection({ ...this.oldServer.config, multipleStatements: true })
    await admin.query(`CREATE DATABASE insights; USE insights; ${this.shape.tables.join(';')}`)
    await admin.end()
    await this.#startControl(flavour)
    this.#gate = new Gate({
      store: this.store,
      listen: { host: '127.0.0.1', port: 0 },
      log: silentLog,
      clock: systemClock,
      id: 'gate-a',
      pid: process.pid,
      config: { leaseMs: 2000 },
    })
    this.gatePort = (await this.#gate.start()).port
    await this.client.call('createUser', {}, { name: 'app', password: 'app' })
    await this.client.call('createKeyspace', {}, { name: 'insights', server: { ...this.oldServer.config, schema: 'insights' } })
    const names = this.shape.tables.map((table) => /^CREATE TABLE (\w+)/.exec(table)?.[1] ?? '')
    const one = { column_vindexes: [{ column: 'tenant', name: 'hash' }] }
    await this.client.call(
      'applyVSchema',
      { keyspace: 'insights' },
      { vschema: { sharded: true, vindexes: { hash: { type: 'hash' } }, tables: Object.fromEntries(names.map((name) => [name, one])) } },
    )
    const { topicKeepsMs } = this.shape
    const kept = topicKeepsMs === undefined ? {} : { retentionMs: BigInt(topicKeepsMs), segmentBytes: 4000 }
    await createTopic(this.topicUrl, { partitions: 4, ...kept })
    this.#producer = await openProducer(this.topicUrl)
  }

  /** It leads as soon as nobody else does. */
  async #startControl(flavour: 'mariadb' | 'mysql'): Promise<void> {
    const store = new MortalStore(this.store)
    const { client, apiUrl, stop } = await controlOfAttached({ store, dir: this.dir, flavour, holder: `control-${++this.#controls}` })
    this.#stops.push(stop)
    this.#leader = store
    this.client = client
    this.apiUrl = apiUrl
  }

  /** The controller dies at a commit; resolves when another has been started in its place. */
  async controlDies(death: Death): Promise<void> {
    await this.#leader.dies(death)
    await this.#startControl(this.oldServer.flavour)
  }

  async startSecondGate(): Promise<void> {
    const port = await findPort(0)
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        join(import.meta.dirname, '../../src/main/gate.ts'),
        '--data-dir',
        this.dir,
        '--port',
        String(port),
        '--lease-ms',
        '2000',
      ],
      { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] },
    )
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve())
      child.once('exit', (code) => reject(new Error(`the second gate ended with ${code}`)))
    })
    this.secondGate = { process: child, port }
  }

  /** Consumers for every fleet that is wanted, as `up` runs them. */
  runFleets(): void {
    const end = new AbortController()
    const loop = (async () => {
      while (!end.signal.aborted) {
        const fleets = await this.client.call('listFleets').catch(() => [])
        for (const fleet of fleets)
          if (!this.#consumers.has(fleet.name) && fleet.wanted !== 'stopped') this.#consumers.set(fleet.name, this.#consume(fleet.name))
        for (const [name, stop] of this.#consumers) {
          const fleet = fleets.find((one) => one.name === name)
          if (fleets.length > 0 && (fleet === undefined || fleet.wanted === 'stopped')) {
            this.#consumers.delete(name)
            await stop()
          }
        }
        await systemClock.sleep(100, end.signal).catch(() => undefined)
      }
      await Promise.all([...this.#consumers.values()].map((stop) => stop()))
    })()
    this.#stops.push(async () => {
      end.abort()
      await loop
    })
  }

  #consume(fleet: string): () => Promise<void> {
    const { purgeMs } = this.shape
    const end = new AbortController()
    const consumer = new Consumer({
      store: this.store,
      fleet,
      id: `consumer-${fleet}-${randomUUID().slice(0, 6)}`,
      pid: process.pid,
      clock: systemClock,
      log: silentLog,
      openTopic: (url) => openTopic(url),
      loadDefinition: (record) => loadDefinition(record.definitionPath),
      config: { ...smallConsumer, reportMs: 200, leaseMs: 3000, pingMs: 700, ...(purgeMs === undefined ? {} : { purgeMs }) },
      rssBytes: () => 0,
    })
    const running = consumer.run(end.signal)
    return async () => {
      end.abort()
      await running
    }
  }

  /** Events of all tenants, `seq` growing for each, until stopped; resolves with how many. */
  produce(everyMs = 50): { stop: () => Promise<number> } {
    const end = new AbortController()
    let seq = 0
    const loop = (async () => {
      while (!end.signal.aborted) {
        seq++
        const at = Date.now()
        const records = Array.from({ length: 8 }, (_, i) => {
          const tenant = (seq * 8 + i) % tenants
          return { key: Buffer.from(String(tenant)), value: Buffer.from(JSON.stringify({ tenant, at, seq, n: 1 })) }
        })
        await this.#producer.send(records)
        this.produced += records.length
        await systemClock.sleep(everyMs, end.signal).catch(() => undefined)
      }
    })()
    const stop = async (): Promise<number> => {
      end.abort()
      await loop
      return this.produced
    }
    this.#stops.push(() => stop().then(() => undefined))
    return { stop }
  }

  /**
   * Clients that read tenants' newest `seq` through every gate. What a read shows must be no less than what any read of that tenant had shown
   * that had ended before this one began.
   */
  read(ports: readonly number[], clientsEach = 2): { stop: () => Promise<Reading> } {
    const end = new AbortController()
    const seen = new Map<number, number>()
    const out = { reads: 0, errors: [] as string[], backwards: [] as string[], slowestMs: 0 }
    const client = async (port: number, n: number): Promise<void> => {
      const connection = await this.connect(port)
      connection.on('error', () => undefined)
      for (let i = n; !end.signal.aborted; i++) {
        const tenant = (i * 7) % tenants
        const floor = seen.get(tenant) ?? 0
        const startMs = performance.now()
        try {
          const [rows] = await connection.query<mysql.RowDataPacket[]>('SELECT MAX(seq) AS seq FROM stat WHERE tenant = ?', [tenant])
          const seq = Number(rows[0]?.['seq'] ?? 0)
          out.reads++
          out.slowestMs = Math.max(out.slowestMs, performance.now() - startMs)
          if (seq < floor) out.backwards.push(`tenant ${tenant} showed ${seq} after ${floor} (gate ${port})`)
          if (seq > (seen.get(tenant) ?? 0)) seen.set(tenant, seq)
        } catch (error) {
          if (end.signal.aborted) break
          out.errors.push(`${port}: ${error instanceof Error ? error.message : String(error)}`)
          await systemClock.sleep(50)
        }
        await systemClock.sleep(12)
      }
      connection.destroy()
    }
    const clients = ports.flatMap((port) => Array.from({ length: clientsEach }, (_, n) => client(port, n * 11 + port)))
    const stop = async (): Promise<Reading> => {
      end.abort()
      await Promise.all(clients)
      return out
    }
    this.#stops.push(() => stop().then(() => undefined))
    return { stop }
  }

  /** One row of a closed bucket on the new branch, changed behind everybody's back. */
  async spoilRow(): Promise<{ repair: () => Promise<void> }> {
    const admin = await mysql.createConnection(this.newServer.config)
    const shards = (await this.client.call('listBranches', { keyspace: 'insights' })).find((one) => one.branch === 'wide')?.shards ?? []
    for (const { schema } of shards) {
      const [rows] = await admin.query<mysql.RowDataPacket[]>(`SELECT * FROM ${schema}.detail WHERE at < ? ORDER BY at DESC LIMIT 1`, [
        Date.now() - 1500,
      ])
      const row = rows[0]
      if (row === undefined) continue
      const change = async (by: number): Promise<void> => {
        const where = 'tenant = ? AND at = ? AND from_partition = ? AND from_offset = ?'
        await admin.query(`UPDATE ${schema}.detail SET n = n + ? WHERE ${where}`, [
          by,
          row['tenant'],
          row['at'],
          row['from_partition'],
          row['from_offset'],
        ])
      }
      await change(5)
      return {
        async repair() {
          await change(-5)
          await admin.end()
        },
      }
    }
    throw new Error('the new branch has no row to spoil')
  }

  /** No read of the roll-up on the new branch is answered until it ends. */
  async hangReads(): Promise<{ end: () => Promise<void> }> {
    const admin = await mysql.createConnection(this.newServer.config)
    const shards = (await this.client.call('listBranches', { keyspace: 'insights' })).find((one) => one.branch === 'wide')?.shards ?? []
    await admin.query(`LOCK TABLES ${shards.map(({ schema }) => `${schema}.stat WRITE`).join(', ')}`)
    return { end: () => admin.end() }
  }

  connect(port = this.gatePort, database = 'insights'): Promise<mysql.Connection> {
    return mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'app', database })
  }

  async branch(shards = 4): Promise<void> {
    await this.client.call('createBranch', { keyspace: 'insights' }, { branch: 'wide', shards, targetServers: [this.newServer.config] })
  }

  async fleet(): Promise<void> {
    await this.client.call('createFleet', {}, { keyspace: 'insights', definition: this.shape.definitionFile, topic: this.topicUrl })
  }

  async create(spec: object = {}, expectDone = true): Promise<ActionView> {
    const action = await this.client.call(
      'createWorkflow',
      {},
      {
        id: randomUUID(),
        kind: 'dualwrite',
        keyspace: 'insights',
        name: 'grow',
        spec: {
          toBranch: 'wide',
          bootstrap: 'pin',
          marginMs: 0,
          rungs: ['L0', 'L1', 'L2'],
          quietMs: 500,
          holdMs: 1000,
          allow: ['disk'],
          ...spec,
        },
      },
    )
    return this.#ended(action, expectDone)
  }

  async act(
    verb: 'start' | 'check' | 'validate' | 'ramp' | 'tenant' | 'rollback' | 'complete' | 'cancel',
    args: object = {},
    expectDone = true,
  ): Promise<ActionView> {
    const action = await this.client.call('act', { keyspace: 'insights', name: 'grow' }, { id: randomUUID(), verb, args } as never)
    return this.#ended(action, expectDone)
  }

  ramp(args: object): Promise<ActionView> {
    return untilKnown(() => this.act('ramp', args, false))
  }

  async #ended(first: ActionView, expectDone: boolean): Promise<ActionView> {
    const ended = await until(
      `${first.verb} to end`,
      async () => {
        const action = await this.client.call('showAction', { keyspace: 'insights', name: 'grow', id: first.id })
        return action.state === 'done' || action.state === 'failed' ? action : null
      },
      60_000,
    )
    if (expectDone && ended.state === 'failed') throw new Final(`${first.verb} failed: ${said(ended)}`)
    return ended
  }

  show(): Promise<WorkflowView> {
    return this.client.call('showWorkflow', { keyspace: 'insights', name: 'grow' })
  }

  untilState(state: WorkflowView['state'], limitMs = 90_000): Promise<WorkflowView> {
    return untilRunIs(this.client, () => this.show(), state, limitMs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.secondGate?.process.kill('SIGCONT')
    for (const stop of this.#stops.reverse()) await stop().catch(() => undefined)
    this.secondGate?.process.removeAllListeners('exit')
    this.secondGate?.process.kill('SIGKILL')
    await this.#producer?.close()
    await this.#gate?.stop()
    await this.store[Symbol.asyncDispose]()
    await this.oldServer[Symbol.asyncDispose]()
    await this.newServer[Symbol.asyncDispose]()
  }
}
