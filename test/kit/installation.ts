// long: one installation with all the ways of treating it that tests share
/**
 * An installation under test, as a user has it: an existing server with the story's table, a tree of processes in a data
 * directory, the control API, and an application that works through the gate and keeps its ledger outside.
 *
 * The tree is a process of its own, so killing it is what a machine's out-of-memory killer would do. Everything lies under
 * this test process's directory and ends with it, whatever happens (`servers.ts`).
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import mysql from 'mysql2/promise'
import { ApiClient } from '../../src/api/client.ts'
import type { StatusView } from '../../src/api/schemas.ts'
import { finalCheck } from '../../src/demo/final-check.ts'
import type { CheckResult, ShardAddress } from '../../src/demo/final-check.ts'
import type { SecondReport } from '../../src/demo/application.ts'
import { replayLedger } from '../../src/demo/ledger.ts'
import { createTable, database, repsOf, seedColumns, seedRow, table, userOf, vschema } from '../../src/demo/workload.ts'
import { findPort } from '../../src/local/find-port.ts'
import { keys } from '../../src/topology/keys.ts'
import type { ServerSecret, StreamRecord } from '../../src/topology/records.ts'
import { shardAddresses } from '../../src/main/demo-place.ts'
import { SqliteStore } from '../../src/topology/sqlite.ts'
import { listRecords, readRecord, updateRecord } from '../../src/topology/typed.ts'
import { endServersUnder, processDir, testServer } from './servers.ts'
import type { TestServer } from './servers.ts'
import type { TreeMessage, TreeProcessOptions } from './tree-process.ts'
import { until } from './until.ts'

export type InstallationOptions = {
  readonly flavour?: 'mariadb' | 'mysql'
  /** Rows that are there before anything begins. */
  readonly rows?: number
  /** The story's keyspace, attached, with vschema and sequence; on unless said. */
  readonly keyspace?: boolean
  /** Short, for tests that kill who holds one. */
  readonly leaseMs?: number
  /** Wanted; a free one unless said. */
  readonly apiPort?: number
}

export type RunningApplication = {
  readonly seconds: SecondReport[]
  /** Lets what was begun end; every error that the application was told, in order. */
  stop(): Promise<{ operations: number; errors: string[]; wrongReads: number }>
}

export const appUser = 'app'
export const appPassword = 'app-password'
const kitDir = import.meta.dirname

export class Installation implements AsyncDisposable {
  readonly dir: string
  readonly dataDir: string
  readonly flavour: 'mariadb' | 'mysql'
  readonly rows: number
  readonly existing: TestServer
  gatePort: number
  client: ApiClient
  /** What the tree told a person: ports that moved, processes that were started again. */
  readonly said: string[] = []
  readonly #treeOptions: TreeProcessOptions
  readonly #applications: ChildProcess[] = []
  #tree: ChildProcess | null = null
  #ledgers = 0

  private constructor(given: {
    dir: string
    flavour: 'mariadb' | 'mysql'
    rows: number
    existing: TestServer
    apiPort: number
    gatePort: number
    leaseMs: number | null
  }) {
    this.dir = given.dir
    this.dataDir = join(given.dir, 'data-dir')
    this.flavour = given.flavour
    this.rows = given.rows
    this.existing = given.existing
    this.gatePort = given.gatePort
    this.client = new ApiClient({ baseUrl: `http://127.0.0.1:${given.apiPort}`, timeoutMs: 60_000 })
    this.#treeOptions = {
      dataDir: this.dataDir,
      flavour: given.flavour,
      apiPort: given.apiPort,
      gatePort: given.gatePort,
      ...(given.leaseMs === null ? {} : { leaseMs: given.leaseMs }),
    }
  }

  static async start(options: InstallationOptions = {}): Promise<Installation> {
    const flavour = options.flavour ?? 'mariadb'
    const dir = join(processDir(), `installation-${randomBytes(3).toString('hex')}`)
    mkdirSync(join(dir, 'data-dir'), { recursive: true, mode: 0o700 })
    const existing = await testServer({ flavour, durability: 'full', rootPassword: 'existing-root' })
    const installation = new Installation({
      dir,
      flavour,
      rows: options.rows ?? 5000,
      existing,
      apiPort: options.apiPort ?? (await findPort(0)),
      gatePort: await findPort(0),
      leaseMs: options.leaseMs ?? null,
    })
    try {
      await installation.loadRows()
      await installation.startTree()
      await installation.client.call('createUser', {}, { name: appUser, password: appPassword })
      if (options.keyspace ?? true) await installation.attach()
      return installation
    } catch (error) {
      const told = installation.describe(error)
      await installation[Symbol.asyncDispose]()
      throw told
    }
  }

  async loadRows(): Promise<void> {
    await this.onExisting(async (connection) => {
      await connection.query(`CREATE DATABASE ${database}`)
      await connection.query(`USE ${database}`)
      await connection.query(createTable)
      for (let first = 1; first <= this.rows; first += 2000) {
        const rows = Array.from({ length: Math.min(2000, this.rows - first + 1) }, (_, i) => seedRow(first + i))
        await connection.query(`INSERT INTO ${table} ${seedColumns} VALUES ${rows.join(',')}`)
      }
    })
  }

  /** Makes the keyspace of the existing server, its sequence and its vschema. */
  async attach(): Promise<void> {
    const { client } = this
    await client.call('createKeyspace', {}, { name: database, server: { ...this.existing.config, schema: database } })
    const sequence = await client.call('createSequence', {}, { keyspace: database, table, column: 'log_id' })
    await client.call('applyVSchema', { keyspace: database }, { vschema: vschema(`${sequence.keyspace}.${sequence.name}`) })
    await until('the gate to accept the application', () => this.gateWorks(), 20_000)
  }

  async gateWorks(): Promise<true> {
    await this.throughGate((connection) => connection.query(`SELECT COUNT(*) FROM ${table}`))
    return true
  }

  async throughGate<T>(work: (connection: mysql.Connection) => Promise<T>, more: mysql.ConnectionOptions = {}): Promise<T> {
    const connection = await mysql.createConnection({
      host: '127.0.0.1',
      port: this.gatePort,
      user: appUser,
      password: appPassword,
      database,
      supportBigNumbers: true,
      ...more,
    })
    connection.on('error', () => undefined)
    try {
      return await work(connection)
    } finally {
      await connection.end().catch(() => connection.destroy())
    }
  }

  async onExisting<T>(work: (connection: mysql.Connection) => Promise<T>): Promise<T> {
    const connection = await mysql.createConnection({ ...this.existing.config })
    try {
      return await work(connection)
    } finally {
      await connection.end()
    }
  }

  /** A direct connection to a shard, past gate and routing, as our administrator. */
  async onShard<T>(shard: string, work: (connection: mysql.Connection) => Promise<T>): Promise<T> {
    const [address] = await this.addresses([shard])
    const connection = await mysql.createConnection({ ...connectionOf(address!), supportBigNumbers: true })
    try {
      return await work(connection)
    } finally {
      await connection.end()
    }
  }

  /** On a server that the topology knows, as our administrator: also where client accounts are locked. */
  async onServer<T>(id: string, host: string, port: number, work: (connection: mysql.Connection) => Promise<T>): Promise<T> {
    await using store = new SqliteStore(join(this.dataDir, 'topology.sqlite'))
    const secret = await readRecord<ServerSecret>(store, keys.secret(id))
    if (secret === null) throw new Error(`no account on ${id}`)
    const connection = await mysql.createConnection({ host, port, ...secret.value.admin, supportBigNumbers: true })
    try {
      return await work(connection)
    } finally {
      await connection.end()
    }
  }

  /** On the attached server, as our administrator. */
  onAttached<T>(work: (connection: mysql.Connection) => Promise<T>): Promise<T> {
    const { host, port } = this.existing
    return this.onServer(`${host}:${port}`, host, port, work)
  }

  /** Where shards stand, with our administrator's account. */
  async addresses(names: readonly string[], keyspace = database): Promise<ShardAddress[]> {
    const shards = await shardAddresses(this.dataDir, this.client, keyspace)
    return names.map((name) => {
      const shard = shards.find((one) => one.name === name)
      if (shard === undefined) throw new Error(`there is no shard ${name}: ${shards.map((one) => one.name).join(', ')}`)
      return shard
    })
  }

  startApplication(
    more: { writesPerSecond?: number; readsPerSecond?: number; connections?: number; seed?: number } = {},
  ): RunningApplication {
    const ledgerFile = join(this.dir, `ledger-${this.#ledgers++}.jsonl`)
    if (this.#ledgers > 1) throw new Error('one application an installation: its operations are numbered from one')
    const given = {
      host: '127.0.0.1',
      port: this.gatePort,
      user: appUser,
      password: appPassword,
      database,
      connections: 8,
      writesPerSecond: 120,
      readsPerSecond: 120,
      seedRows: this.rows,
      seed: 1,
      reportMs: 200,
      ...more,
      ledgerFile,
    }
    const child = fork(join(kitDir, '..', '..', 'src', 'main', 'demo-application.ts'), [JSON.stringify(given)], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    this.#applications.push(child)
    const seconds: SecondReport[] = []
    child.on('message', (message) => void seconds.push(message as SecondReport))
    const ended = new Promise<void>((done) => child.once('exit', () => done()))
    return {
      seconds,
      async stop() {
        if (child.connected) child.send('stop')
        await ended
        return {
          operations: seconds.reduce((n, second) => n + second.reads + second.writes, 0),
          errors: seconds.flatMap((second) => [
            ...second.messages,
            ...Array.from({ length: Math.max(0, second.errors - second.messages.length) }, () => '(more in that second)'),
          ]),
          wrongReads: seconds.reduce((n, second) => n + second.wrongReads, 0),
        }
      },
    }
  }

  /** Reads the shards directly and holds them against the ledger. */
  async check(shards: readonly string[]): Promise<CheckResult> {
    return finalCheck(await this.addresses(shards), replayLedger(join(this.dir, 'ledger-0.jsonl'), this.#seedStates()))
  }

  *#seedStates(): Iterable<readonly [number, { user: number; version: number; reps: number }]> {
    for (let logId = 1; logId <= this.rows; logId++) yield [-logId, { user: userOf(logId), version: 0, reps: repsOf(logId) }]
  }

  async startTree(): Promise<void> {
    const child = fork(join(kitDir, 'tree-process.ts'), [JSON.stringify(this.#treeOptions)], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
      env: { ...process.env, SHARDWRIGHT_FAILPOINT_FILE: this.failpointFile },
    })
    this.#tree = child
    await new Promise<void>((done, fail) => {
      child.once('exit', (code, signal) => fail(new Error(`the tree ended before it was ready (${signal ?? code})`)))
      child.on('message', (message: TreeMessage) => {
        if (message.kind === 'said') this.said.push(message.line)
        if (message.kind === 'failed') fail(new Error(message.error))
        if (message.kind === 'ready') {
          this.#listens(message.apiPort, message.gatePort)
          done()
        }
      })
    })
  }

  /** At its first start a tree may have moved on to other ports; later ones find theirs free. */
  #listens(apiPort: number, gatePort: number): void {
    this.gatePort = gatePort
    this.client = new ApiClient({ baseUrl: `http://127.0.0.1:${apiPort}`, timeoutMs: 60_000 })
  }

  get treePid(): number {
    return this.#tree?.pid ?? 0
  }

  /** Ends the tree as a crash would: only its root is killed, its children have to see it themselves. */
  async killTree(): Promise<void> {
    const tree = this.#tree
    if (tree === null || tree.exitCode !== null) return
    const gone = new Promise<void>((done) => tree.once('exit', () => done()))
    tree.kill('SIGKILL')
    await gone
    this.#tree = null
  }

  async stopTree(): Promise<void> {
    const tree = this.#tree
    this.#tree = null
    if (tree === null || tree.exitCode !== null || tree.signalCode !== null) return
    const gone = new Promise<void>((done) => tree.once('exit', () => done()))
    tree.kill('SIGTERM')
    const timer = setTimeout(() => tree.kill('SIGKILL'), 8000)
    await gone
    clearTimeout(timer)
  }

  /** Pids of the processes of the tree, as they tell them themselves. */
  async pids(): Promise<{ control: number; mover: number; gate: number }> {
    return until('control, mover and gate to be known', async () => {
      const status: StatusView = await this.client.call('status')
      const control = Number(/^control-(\d+)-/.exec(status.leader?.holder ?? '')?.[1] ?? 0)
      const mover = status.movers.map((one) => one.pid).find(isRunning) ?? 0
      const gate = status.gates.map((one) => one.pid).find(isRunning) ?? 0
      return isRunning(control) && mover > 0 && gate > 0 ? { control, mover, gate } : null
    })
  }

  async kill(name: 'control' | 'mover' | 'gate', signal: NodeJS.Signals = 'SIGKILL'): Promise<number> {
    const pid = (await this.pids())[name]
    process.kill(pid, signal)
    if (signal === 'SIGKILL') await until(`${name} to be gone`, () => !isRunning(pid), 5000)
    return pid
  }

  /** Takes a workflow's failpoints away; the mover goes on from where it was. */
  async clearFailpoints(workflowUid: string): Promise<void> {
    await using store = new SqliteStore(join(this.dataDir, 'topology.sqlite'))
    for (const { key } of await listRecords<StreamRecord>(store, keys.streamsOf(workflowUid))) {
      await updateRecord<StreamRecord>(store, key, (stream) =>
        stream === null ? null : { ...stream, options: { ...stream.options, failpoints: {} } },
      )
    }
  }

  /** Arms the controller: the next time it comes to this point of a switch, it dies there. Once. */
  armSwitch(point: string): void {
    writeFileSync(this.failpointFile, point)
  }

  /** True when the armed point was reached. */
  get switchFired(): boolean {
    return !existsSync(this.failpointFile)
  }

  get failpointFile(): string {
    return join(this.dir, 'failpoint')
  }

  /** An error together with what the processes logged last. */
  describe(error: unknown): Error {
    const logs = ['control', 'mover', 'gate'].map(
      (name) => `--- ${name}.log\n${tail(join(this.dataDir, 'logs', `${name}.log`))}\n${tail(join(this.dataDir, 'logs', `${name}.out`))}`,
    )
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return new Error(`${text}\nsaid: ${this.said.join(' | ')}\n${logs.join('\n')}`, { cause: error })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#applications) child.kill('SIGKILL')
    await this.stopTree()
    if (process.env['SHARDWRIGHT_KEEP'] !== undefined) process.stderr.write(`kept: ${this.dir}\n`)
    endServersUnder(this.dir)
    await this.existing[Symbol.asyncDispose]()
    if (process.env['SHARDWRIGHT_KEEP'] === undefined) rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 })
  }
}

export function connectionOf(address: ShardAddress): mysql.ConnectionOptions {
  const { host, port, user, password, schema } = address
  return { host, port, user, password, database: schema }
}

export function isRunning(pid: number): boolean {
  if (pid <= 0) return false
  try {
    process.kill(pid, 0)
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

function tail(file: string): string {
  try {
    return readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .slice(-12)
      .map((line) => line.slice(0, 600))
      .join('\n')
  } catch {
    return ''
  }
}
