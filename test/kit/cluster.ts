/**
 * A whole installation over etcd as production has it, for tests that take parts of it away: two control processes, two gates, a mover, one
 * source server and two target servers, each reached through a fault proxy, so that any of them can be killed, stopped or cut off alone. What is
 * killed is started again a moment later, as a supervisor does.
 *
 *     await using cluster = await Cluster.start({ flavour: 'mariadb' })
 *     await cluster.create()                                   // 1 → 2, until the streams follow
 *     const leader = await cluster.leader()
 *     cluster.process(leader).signal('SIGSTOP'); cluster.cutOff(cluster.process('gate1').pid)
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import mysql from 'mysql2/promise'
import { ApiClient } from '../../src/api/client.ts'
import { systemClock as clock } from '../../src/base/clock.ts'
import type { FenceKind } from '../../src/switch/fence-kinds.ts'
import { EtcdStore } from '../../src/topology/etcd.ts'
import { parseEtcdLocation } from '../../src/topology/etcd-location.ts'
import { keys } from '../../src/topology/keys.ts'
import type { LeaderRecord, RoutingRecord, ServerSecret } from '../../src/topology/records.ts'
import { SqliteStore } from '../../src/topology/sqlite.ts'
import type { Store } from '../../src/topology/store.ts'
import { readRecord } from '../../src/topology/typed.ts'
import { etcdMissing, lastingPort, testEtcd } from './etcd.ts'
import type { TestEtcd } from './etcd.ts'
import { FaultProxy } from './fault-proxy.ts'
import { processDir, testServer } from './servers.ts'
import type { TestServer } from './servers.ts'
import { until } from './until.ts'
import { ReshardUnderTest } from './workflow.ts'

export type ProcessName = 'control1' | 'control2' | 'gate1' | 'gate2' | 'mover'
export type ServerName = 'whole' | 'low' | 'high'
export const keyspace = 'ledger'
export const schemaOf: Readonly<Record<ServerName, string>> = { whole: 'ledger', low: 'ledger_low', high: 'ledger_high' }
export const client = { user: 'app', password: 'app-password' }
const mainDir = join(import.meta.dirname, '..', '..', 'src', 'main')
const projectDir = join(import.meta.dirname, '..', '..')

export type ClusterOptions = {
  readonly flavour?: 'mariadb' | 'mysql'
  readonly leaseMs?: number
  /** Statements that make tables and first rows of the keyspace. */
  readonly schema: readonly string[]
  readonly vschema: Record<string, unknown>
  /** Processes reach servers and etcd themselves and not through proxies: for measuring. Nothing can be cut off then. */
  readonly direct?: boolean
  /** etcd where there is one, unless said; SQLite: one file that all processes share, as on one machine. */
  readonly topology?: 'etcd' | 'sqlite'
  readonly fence?: FenceKind
  /** Both sides, and whatever else a test puts there, on one database server. */
  readonly oneServer?: boolean
}

/** One process of the product, started again when it ends. */
export class ClusterProcess {
  readonly name: ProcessName
  readonly port: number
  restarts = -1
  #child: ChildProcess | null = null
  #wanted = false
  readonly #start: () => ChildProcess

  constructor(name: ProcessName, port: number, start: () => ChildProcess) {
    this.name = name
    this.port = port
    this.#start = start
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  async start(): Promise<void> {
    this.#wanted = true
    const child = this.#start()
    this.#child = child
    this.restarts++
    child.once('exit', () => {
      if (this.#child !== child || !this.#wanted) return
      this.#child = null
      void clock.sleep(200).then(() => (this.#wanted ? this.start().catch(() => undefined) : undefined))
    })
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`${this.name} ended before it was ready (${code})`)))
      child.on('message', (message) => ((message as { ready?: boolean }).ready === true ? resolve() : undefined))
    })
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#child !== null) this.#child.kill(signal)
  }

  async stop(): Promise<void> {
    this.#wanted = false
    const child = this.#child
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill('SIGCONT')
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 3_000)
    await gone
    clearTimeout(timer)
  }
}

export class Cluster implements AsyncDisposable {
  readonly dir = join(processDir(), `cluster-${randomBytes(3).toString('hex')}`)
  readonly flavour: 'mariadb' | 'mysql'
  readonly leaseMs: number
  readonly topology: 'etcd' | 'sqlite'
  readonly servers = new Map<ServerName, TestServer>()
  readonly proxies = new Map<ServerName | 'etcd', FaultProxy>()
  readonly #processes = new Map<ProcessName, ClusterProcess>()
  readonly #options: ClusterOptions
  #etcd: TestEtcd | null = null
  #store: Store | null = null

  private constructor(options: ClusterOptions) {
    this.#options = options
    this.flavour = options.flavour ?? 'mariadb'
    this.leaseMs = options.leaseMs ?? 2_000
    this.topology = options.topology ?? (etcdMissing() === null ? 'etcd' : 'sqlite')
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options)
    try {
      await cluster.#start()
      return cluster
    } catch (error) {
      const told = cluster.describe(error)
      await cluster[Symbol.asyncDispose]()
      throw told
    }
  }

  get etcd(): TestEtcd {
    if (this.#etcd === null) throw new Error('etcd does not run')
    return this.#etcd
  }

  /** The tests' own way to the topology, past the proxy. */
  get store(): Store {
    if (this.#store === null) throw new Error('there is no topology yet')
    return this.#store
  }

  process(name: ProcessName): ClusterProcess {
    const found = this.#processes.get(name)
    if (found === undefined) throw new Error(`no process ${name}`)
    return found
  }

  server(name: ServerName): TestServer {
    const found = this.servers.get(name)
    if (found === undefined) throw new Error(`no server ${name}`)
    return found
  }

  proxy(name: ServerName | 'etcd'): FaultProxy {
    const found = this.proxies.get(name)
    if (found === undefined) throw new Error(`no proxy of ${name}`)
    return found
  }

  /** Where the processes reach it. */
  portOf(name: ServerName | 'etcd'): number {
    return this.proxies.get(name)?.port ?? (name === 'etcd' ? this.etcd.port : this.server(name).port)
  }

  api(of: 'control1' | 'control2', timeoutMs = 5_000): ApiClient {
    return new ApiClient({ baseUrl: `http://127.0.0.1:${this.process(of).port}`, timeoutMs })
  }

  reshard(of: 'control1' | 'control2' = 'control1', timeoutMs = 5_000): ReshardUnderTest {
    const targetServers = (['low', 'high'] as const).map((name) => {
      return { host: '127.0.0.1', port: this.portOf(name), user: 'root', password: 'existing-root', schema: schemaOf[name] }
    })
    const { fence } = this.#options
    const allowUnfenced = fence === 'persist' ? ['root@localhost', 'root@%', 'root@127.0.0.1'] : []
    const spec = {
      sourceShards: ['-'],
      targetShards: ['-80', '80-'],
      targetServers,
      allowUnfenced,
      ...(fence === undefined ? {} : { fence }),
    }
    return new ReshardUnderTest(this.api(of, timeoutMs), 'split', spec, keyspace)
  }

  /** Makes the workflow 1 → 2 and waits until its streams follow. */
  async create(): Promise<void> {
    const reshard = this.reshard('control1', 60_000)
    await reshard.create()
    await reshard.untilFollowing()
  }

  async leader(): Promise<'control1' | 'control2'> {
    const pid = await until('a leader', async () => {
      const record = await readRecord<LeaderRecord>(this.store, keys.leader)
      const holder = Number(/^control-(\d+)-/.exec(record?.value.holder ?? '')?.[1] ?? 0)
      return [this.process('control1').pid, this.process('control2').pid].includes(holder) ? holder : null
    })
    return this.process('control1').pid === pid ? 'control1' : 'control2'
  }

  async routing(): Promise<RoutingRecord> {
    const record = await readRecord<RoutingRecord>(this.store, keys.routing(keyspace))
    if (record === null) throw new Error('no routing record')
    return record.value
  }

  async serving(): Promise<ServerName[]> {
    const [component] = (await this.routing()).components
    return component?.serving.primary.includes('-') === true ? ['whole'] : ['low', 'high']
  }

  /** Nothing passes between this process and etcd or a server, in either direction. */
  cutOff(pid: number): void {
    for (const proxy of this.proxies.values()) proxy.blackhole({ pid })
  }

  heal(how: 'resume' | 'reset'): void {
    for (const proxy of this.proxies.values()) proxy.heal(how)
  }

  /** Whoever leads the next switch waits when it comes to this point, until `letGo`. */
  holdSwitchAt(point: string): void {
    rmSync(`${this.#failpointFile}.held`, { force: true })
    writeFileSync(this.#failpointFile, `${point} hold`)
  }

  get switchIsHeld(): boolean {
    return existsSync(`${this.#failpointFile}.held`)
  }

  letGo(): void {
    rmSync(this.#failpointFile, { force: true })
    rmSync(`${this.#failpointFile}.held`, { force: true })
  }

  /** Straight to a server, past its proxy, as our administrator: also where client accounts are locked. */
  async onServer<T>(name: ServerName, work: (connection: mysql.Connection) => Promise<T>): Promise<T> {
    const secret = await readRecord<ServerSecret>(this.store, keys.secret(`127.0.0.1:${this.portOf(name)}`))
    if (secret === null) throw new Error(`no account on ${name}`)
    const { port } = this.server(name)
    const connection = await mysql.createConnection({ host: '127.0.0.1', port, ...secret.value.admin, database: schemaOf[name] })
    connection.on('error', () => undefined)
    try {
      return await work(connection)
    } finally {
      connection.destroy()
    }
  }

  /** An error with what the processes logged last. */
  describe(error: unknown): Error {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const logs = [...this.#processes.keys()].map((name) => {
      const file = join(this.#dataDir(name), 'logs', kindOf(name))
      return `--- ${name}\n${tail(`${file}.log`)}\n${tail(`${file}.out`)}`
    })
    return new Error(`${text}\n${logs.join('\n')}`, { cause: error })
  }

  /** What the processes logged from then on, in the order of time. */
  logsSince(wallMs: number, names: readonly ProcessName[] = ['control1', 'control2', 'mover']): string[] {
    const found: { time: number; text: string }[] = []
    for (const name of names) {
      let text = ''
      try {
        text = readFileSync(join(this.#dataDir(name), 'logs', `${kindOf(name)}.log`), 'utf8')
      } catch {
        continue
      }
      for (const line of text.split('\n')) {
        const {
          time = 0,
          level: _l,
          pid: _p,
          hostname: _h,
          name: _n,
          ...rest
        } = line === '' ? {} : (JSON.parse(line) as { time?: number; [key: string]: unknown })
        if (time >= wallMs)
          found.push({ time, text: `+${String(Math.round(time - wallMs)).padStart(6)} ms  ${name}  ${JSON.stringify(rest).slice(0, 400)}` })
      }
    }
    return found.toSorted((a, b) => a.time - b.time).map(({ text }) => text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.heal('reset')
    this.letGo()
    await Promise.all([...this.#processes.values()].map((one) => one.stop()))
    await this.#store?.[Symbol.asyncDispose]()
    await Promise.all([...new Set(this.servers.values())].map((server) => server[Symbol.asyncDispose]()))
    await Promise.all([...new Set(this.proxies.values())].map((proxy) => proxy[Symbol.asyncDispose]()))
    await this.#etcd?.[Symbol.asyncDispose]()
    if (process.env['SHARDWRIGHT_KEEP'] === undefined) rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 })
  }

  get #failpointFile(): string {
    return join(this.dir, 'failpoint')
  }

  async #start(): Promise<void> {
    mkdirSync(this.dir, { recursive: true, mode: 0o700 })
    const { flavour, schema, vschema } = this.#options
    const { direct = false } = this.#options
    if (this.topology === 'etcd') {
      const etcd = await testEtcd()
      this.#etcd = etcd
      if (!direct) this.proxies.set('etcd', await FaultProxy.start(etcd))
      const { prefix } = parseEtcdLocation(etcd.location)
      this.#store = new EtcdStore({ endpoints: [etcd], prefix, tls: null, credentials: null })
    } else {
      mkdirSync(join(this.#dataDir('control1'), 'logs'), { recursive: true })
      this.#store = new SqliteStore(join(this.#dataDir('control1'), 'topology.sqlite'))
    }
    const places = this.#options.oneServer === true ? [['whole', 'low', 'high'] as const] : ([['whole'], ['low'], ['high']] as const)
    await Promise.all(
      places.map(async (names) => {
        const server = await testServer({
          flavour: flavour ?? 'mariadb',
          durability: 'full',
          rootPassword: 'existing-root',
          extra: { max_connections: 300 },
        })
        const proxy = direct ? null : await FaultProxy.start(server)
        for (const name of names) {
          this.servers.set(name, server)
          if (proxy !== null) this.proxies.set(name, proxy)
        }
        const connection = await mysql.createConnection(server.config)
        await connection.query(`CREATE USER '${client.user}'@'%' IDENTIFIED BY '${client.password}'`)
        await connection.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON \`ledger%\`.* TO '${client.user}'@'%'`)
        for (const name of names) await connection.query(`CREATE DATABASE ${schemaOf[name]}`)
        await connection.query(`USE ${schemaOf[names[0]]}`)
        if (names[0] === 'whole') for (const sql of schema) await connection.query(sql)
        await connection.end()
      }),
    )
    for (const name of ['control1', 'control2', 'mover', 'gate1', 'gate2'] as const)
      this.#processes.set(name, new ClusterProcess(name, await lastingPort(), () => this.#fork(name)))
    await this.process('control1').start()
    await Promise.all((['control2', 'mover', 'gate1', 'gate2'] as const).map((name) => this.process(name).start()))
    const api = this.api('control1', 60_000)
    await until('a leader', async () => (await api.call('status')).leader)
    await api.call('createUser', {}, { name: client.user, password: client.password })
    const server = { host: '127.0.0.1', port: this.portOf('whole'), user: 'root', password: 'existing-root', schema: schemaOf.whole }
    await api.call('createKeyspace', {}, { name: keyspace, server })
    await api.call('applyVSchema', { keyspace }, { vschema, dryRun: false })
  }

  /** Of each process its own; over SQLite all share one, where the topology is. */
  #dataDir(name: ProcessName): string {
    return join(this.dir, this.topology === 'sqlite' ? 'shared' : name)
  }

  #fork(name: ProcessName): ChildProcess {
    const kind = kindOf(name)
    const dataDir = this.#dataDir(name)
    mkdirSync(join(dataDir, 'logs'), { recursive: true })
    const { port } = this.process(name)
    const args = ['--data-dir', dataDir, '--lease-ms', String(this.leaseMs)]
    if (this.topology === 'etcd')
      args.push('--topology', `etcd://127.0.0.1:${this.portOf('etcd')}/${parseEtcdLocation(this.etcd.location).prefix.slice(0, -1)}`)
    if (kind !== 'mover') args.push('--port', String(port))
    if (kind === 'control') {
      const installs = join(projectDir, '.servers', 'servers.json')
      args.push('--flavour', this.flavour, '--installs', installs, '--templates', join(projectDir, '.servers', 'templates'))
    }
    const out = openSync(join(dataDir, 'logs', `${kind}.out`), 'a')
    const child = fork(join(mainDir, `${kind}.ts`), args, {
      execArgv: ['--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', out, out, 'ipc'],
      env: { ...process.env, SHARDWRIGHT_FAILPOINT_FILE: this.#failpointFile },
    })
    closeSync(out)
    return child
  }
}

function kindOf(name: ProcessName): 'control' | 'gate' | 'mover' {
  return name.startsWith('control') ? 'control' : name.startsWith('gate') ? 'gate' : 'mover'
}

function tail(file: string): string {
  try {
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    return lines.slice(-14).map((line) => line.slice(0, 500)).join('\n') // prettier-ignore
  } catch {
    return ''
  }
}
