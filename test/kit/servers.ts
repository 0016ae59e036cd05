/**
 * Database servers for tests: real ones, each of its own, in the temporary directory, started in well under a second from
 * a copied data directory. What a test process leaves behind when it is killed, the next one that starts a server removes.
 *
 *     await using server = await testServer({ flavour: 'mariadb' })
 *     const connection = await createConnection(server.config)
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { tmpdir, userInfo } from 'node:os'
import { randomBytes } from 'node:crypto'
import type { Log } from '../../src/base/log.ts'
import type { LocalServer } from '../../src/local/local-server.ts'
import { LocalServers } from '../../src/local/local-servers.ts'
import { readInstalls, type LocalFlavour, type ServerInstalls } from '../../src/local/installs.ts'
import { identify, isAlive, signalIfAlive, type ProcessIdentity } from '../../src/local/process-identity.ts'
import { readServerRecord } from '../../src/local/server-record.ts'
import { giveBack, stateOf, takeServer } from './server-pool.ts'

export type TestServerOptions = {
  /** MariaDB unless said. */
  readonly flavour?: LocalFlavour
  /** On unless said; positions and GTIDs are then those of a production server. */
  readonly binlog?: boolean
  /** 64 unless said; a server with more (a benchmark’s) has all its threads and buffers, a smaller one few. */
  readonly bufferPoolMb?: number
  readonly performanceSchema?: boolean | 'counts'
  /** `full` flushes at each commit, for tests of crashes of the machine's kind; `relaxed` otherwise. */
  readonly durability?: 'full' | 'relaxed'
  /** None unless said. */
  readonly rootPassword?: string
  /** More my.cnf settings. */
  readonly extra?: Readonly<Record<string, string | number>>
  readonly log?: Log
}

export type TestServer = AsyncDisposable & {
  readonly flavour: LocalFlavour
  readonly version: string
  readonly host: '127.0.0.1'
  readonly port: number
  readonly socketPath: string
  readonly pid: number
  readonly dir: string
  /** For mysql2 and our own client alike. */
  readonly config: { readonly host: '127.0.0.1'; readonly port: number; readonly user: 'root'; readonly password: string }
  /** Ends the process as a crash would. `restart` brings it back with its data. */
  kill9(): Promise<void>
  /** A clean shutdown. */
  stop(): Promise<void>
  /** Starts it again on its data, on the same port; the pid is new, the object is the same. */
  restart(extra?: Readonly<Record<string, string | number>>): Promise<void>
  pause(): Promise<void>
  resume(): Promise<void>
  /** The server's own log, for the message of a failing test. */
  readonly logFile: string
}

const smallMb = 64
/** So that it starts and ends with little work. */
const small: Readonly<Record<LocalFlavour, Readonly<Record<string, string | number>>>> = {
  mariadb: { 'innodb-read-io-threads': 1, 'innodb-write-io-threads': 2, 'aria-pagecache-buffer-size': 8 * 1024 * 1024 },
  mysql: {
    'innodb-log-buffer-size': 1024 * 1024,
    'innodb-read-io-threads': 1,
    'innodb-write-io-threads': 1,
    'innodb-purge-threads': 1,
  },
}

const projectDir = join(import.meta.dirname, '..', '..')
const installsFile = join(projectDir, '.servers', 'servers.json')
const testsDir = join(tmpdir(), `shardwright-test-${userInfo().uid}`)

/** Flavours to run a test on: MariaDB always, MySQL where set-up found one. SHARDWRIGHT_TEST_FLAVOURS=mysql limits them. */
export function flavours(): LocalFlavour[] {
  const wanted = process.env['SHARDWRIGHT_TEST_FLAVOURS']?.split(',').map((name) => name.trim())
  const known: LocalFlavour[] = installs().mysql === undefined ? ['mariadb'] : ['mariadb', 'mysql']
  return wanted === undefined ? known : known.filter((flavour) => wanted.includes(flavour))
}

/**
 * For what no server decides, when the same is shown on the other flavour too: MariaDB, unless SHARDWRIGHT_TEST_FLAVOURS names those to run.
 *
 *     SHARDWRIGHT_TEST_FLAVOURS=mariadb,mysql npm test        everything on both
 */
export function mainFlavour(): LocalFlavour[] {
  return process.env['SHARDWRIGHT_TEST_FLAVOURS'] === undefined ? flavours().slice(0, 1) : flavours()
}

/** For tests that are written for one: MariaDB, unless SHARDWRIGHT_TEST_FLAVOURS names MySQL alone. */
export function oneFlavour(): LocalFlavour {
  return mainFlavour()[0] ?? 'mariadb'
}

/** A server of one's own, as new; disposing of it removes it with its data, or cleans it for the next test of this process (server-pool.ts). */
export async function testServer(options: TestServerOptions = {}): Promise<TestServer> {
  const servers = localServers(options.log)
  const poolKey = keyFor(options)
  const pooled = poolKey === null ? null : takeServer(poolKey)
  const dir = pooled?.server.dir ?? join(processDir(), randomBytes(3).toString('hex'))
  const { bufferPoolMb = smallMb } = options
  const request = {
    id: `test-${dir.slice(-6)}`,
    flavour: options.flavour ?? 'mariadb',
    dir,
    ...(options.rootPassword === undefined ? {} : { rootPassword: options.rootPassword }),
    settings: {
      durability: options.durability ?? 'relaxed',
      binlog: options.binlog ?? true,
      bufferPoolBytes: bufferPoolMb * 1024 * 1024,
      redoLogBytes: 48 * 1024 * 1024,
      performanceSchema: options.performanceSchema ?? false,
      extra: { ...(bufferPoolMb > smallMb ? {} : small[options.flavour ?? 'mariadb']), ...options.extra },
    },
  } as const
  let current: LocalServer = pooled?.server ?? (await servers.start(request))
  let state = pooled?.state ?? (poolKey === null ? null : await stateOf(current))
  let isMine = true
  /** By whoever can do to it what no clean-up sees: it is for nobody after. */
  const own = (): string => {
    state = null
    return dir
  }
  const whileMine = async (act: () => Promise<void>): Promise<void> => {
    own()
    if (isMine) await act()
  }
  let extra: Readonly<Record<string, string | number>> = request.settings.extra
  return {
    flavour: current.flavour,
    version: current.version,
    host: current.host,
    get port() {
      return current.port
    },
    socketPath: current.socketPath,
    get pid() {
      own()
      return current.pid
    },
    get dir() {
      return own()
    },
    get config() {
      return { host: current.host, port: current.port, user: 'root', password: options.rootPassword ?? '' } as const
    },
    logFile: current.logFile,
    kill9: () => whileMine(() => servers.kill9(dir)),
    stop: () => whileMine(() => servers.stop(dir)),
    restart: (more = {}) =>
      whileMine(async () => {
        extra = { ...extra, ...more }
        current = await servers.start({ ...request, port: current.port, settings: { ...request.settings, extra } })
      }),
    pause: () => whileMine(() => servers.pause(dir, 'SIGSTOP')),
    resume: () => whileMine(() => servers.pause(dir, 'SIGCONT')),
    async [Symbol.asyncDispose]() {
      if (!isMine) return
      isMine = false
      const end = (server: LocalServer): Promise<unknown> => servers.destroy(server.dir)
      if (poolKey === null || state === null || !(await giveBack({ key: poolKey, server: current, state }, end))) await end(current)
    },
  }
}

/** Those that are alike may stand for one another. */
function keyFor({ log, rootPassword, ...options }: TestServerOptions): string | null {
  if (log !== undefined || rootPassword !== undefined || options.performanceSchema === true) return null
  return JSON.stringify(Object.entries({ flavour: 'mariadb', ...options }).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** For tests of what starts servers by itself. */
export function localServers(log?: Log): LocalServers {
  const templatesDir = join(projectDir, '.servers', 'templates')
  return new LocalServers({ installs: installs(), installsFile, templatesDir, ...(log === undefined ? {} : { log }) })
}

const shared = new Map<LocalFlavour, Promise<TestServer>>()

/**
 * One server of a flavour for all tests of this file, for those that need a database of their own and not a server. Ends
 * with the process. Use a database name of your own (`uniqueName`).
 */
export function sharedServer(flavour: LocalFlavour = 'mariadb'): Promise<TestServer> {
  let server = shared.get(flavour)
  if (server === undefined) {
    server = testServer({ flavour })
    shared.set(flavour, server)
  }
  return server
}

/** A name for a database, account or workflow that no other test uses. */
export function uniqueName(prefix: string): string {
  return `${prefix}_${randomBytes(4).toString('hex')}`
}

let known: ServerInstalls | null = null
function installs(): ServerInstalls {
  known ??= readInstalls(installsFile)
  return known
}

let ownDir: string | null = null
/** The directory of this process's servers; its name says whose it is, so that it can be removed when its owner is gone. */
export function processDir(): string {
  if (ownDir !== null) return ownDir
  removeLeftovers()
  const self = identify(process.pid)
  const dir = join(testsDir, `${process.pid}-${self?.startTime.replace(/\W/g, '_') ?? 'unknown'}`)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  process.on('exit', () => removeDir(dir))
  ownDir = dir
  return dir
}

/** Stops the servers and removes the data of test processes that are no more, and of those directories of whole runs. */
export function removeLeftovers(runs: readonly string[] = []): void {
  for (const run of runs) removeDir(run)
  if (!existsSync(testsDir)) return
  for (const name of readdirSync(testsDir)) {
    const pid = Number(name.split('-')[0])
    const owner = Number.isSafeInteger(pid) ? identify(pid) : null
    if (owner !== null && name === `${pid}-${owner.startTime.replace(/\W/g, '_')}`) continue
    removeDir(join(testsDir, name))
  }
}

function removeDir(dir: string): void {
  endServersUnder(dir)
  rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
}

/** Ends every server whose directory lies under `dir`: a test's own, or those that an installation under test has provisioned. */
export function endServersUnder(dir: string, depth = 7): void {
  for (const entry of existsSync(dir) ? readdirSync(dir, { withFileTypes: true }) : []) {
    if (!entry.isDirectory() || entry.name === 'data') continue
    const serverProcess = processOf(join(dir, entry.name))
    if (serverProcess === null) {
      if (depth > 1) endServersUnder(join(dir, entry.name), depth - 1)
      continue
    }
    signalIfAlive(serverProcess, 'SIGKILL')
    for (let look = 0; look < 200 && isAlive(serverProcess); look++) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  }
}

function processOf(serverDir: string): ProcessIdentity | null {
  try {
    return readServerRecord(serverDir)?.process ?? null
  } catch {
    return null
  }
}
