/** The two to four servers of a torture run, movers as processes of their own, and the topology they share. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../src/base/clock.ts'
import { putServer } from '../../../src/move/testkit/mover-kit.ts'
import type { MoverConfig } from '../../../src/move/config.ts'
import { connect } from '../../../src/mysql/connect.ts'
import type { Connection, ConnectOptions, FlavourName } from '../../../src/mysql/connection.ts'
import { isServerError } from '../../../src/mysql/errors.ts'
import { keys } from '../../../src/topology/keys.ts'
import type { StreamOwner } from '../../../src/topology/records.ts'
import { SqliteStore } from '../../../src/topology/sqlite.ts'
import { readRecord } from '../../../src/topology/typed.ts'
import { testServer, type TestServer } from '../../kit/servers.ts'

export type Side = 'source' | 'target'
/** By the ids that shards name. The second of a side is started when a round first wants it. */
export type ServerId = Side | `${Side}2`

export class Field implements AsyncDisposable {
  readonly flavours: Readonly<Record<Side, FlavourName>>
  readonly #servers = new Map<ServerId, TestServer>()
  readonly dir: string
  readonly store: SqliteStore
  readonly movers = new Map<string, ChildProcess>()
  config: Partial<MoverConfig> = {}
  #count = 0
  #ending = false

  private constructor(flavours: Readonly<Record<Side, FlavourName>>, dir: string) {
    this.flavours = flavours
    this.dir = dir
    this.store = new SqliteStore(join(dir, 'topology.sqlite'))
  }

  static async start(from: FlavourName, to: FlavourName): Promise<Field> {
    const field = new Field({ source: from, target: to }, mkdtempSync(join(tmpdir(), 'sw-torture-move-')))
    await field.ready(['source', 'target'])
    return field
  }

  /** Starts those that do not stand yet. */
  async ready(ids: readonly ServerId[]): Promise<void> {
    await Promise.all(
      ids
        .filter((id) => !this.#servers.has(id))
        .map(async (id) => {
          const flavour = this.flavours[sideOf(id)]
          const server = await testServer({ bufferPoolMb: 48, extra: { 'max-allowed-packet': '128M' }, flavour })
          this.#servers.set(id, server)
          await putServer(this.store, id, server)
        }),
    )
  }

  server(id: ServerId): TestServer {
    const server = this.#servers.get(id)
    if (server === undefined) throw new Error(`the server ${id} was not made ready`)
    return server
  }

  /** Of all servers that stand, for messages. */
  ports(): string {
    return [...this.#servers].map(([id, { port }]) => `${id} port ${port}`).join(', ')
  }

  /** A server that is gone though nobody here has killed it, and that did not say of itself that it ends: what its log says last. */
  died: string | null = null
  /** Servers that ended themselves by an assertion of theirs, and were started again. */
  ownEnds = 0
  readonly #logFrom = new Map<ServerId, number>()
  /** Killed or started just now. */
  readonly #inHand = new Set<ServerId>()

  /** Looks after the servers for as long as the field stands. Says what it finds. */
  async watch(say: (line: string) => void): Promise<void> {
    while (!this.#ending && this.died === null) {
      await systemClock.sleep(200)
      for (const [id, server] of this.#servers) {
        if (this.#ending || this.#inHand.has(id) || isAlive(server.pid)) continue
        const log = readFileSync(server.logFile, 'utf8').slice(this.#logFrom.get(id) ?? 0)
        const why = log.split('\n').find((line) => ownEnd.test(line))
        if (why === undefined || ++this.ownEnds > ownEndsMax)
          this.died = `the ${id} server has died by itself; its log:\n${log.slice(-6_000)}`
        else {
          say(`  the ${id} server has ended itself, which is no harm of ours, and is started again: ${why.trim()}`)
          await this.#held(id, () => server.restart()).catch((error: unknown) => {
            this.died = `the ${id} server has ended itself (${why}), and does not start again: ${String(error)}`
          })
        }
      }
    }
  }

  async #held(id: ServerId, work: () => Promise<void>): Promise<void> {
    this.#inHand.add(id)
    try {
      await work()
    } finally {
      this.#logFrom.set(id, readFileSync(this.server(id).logFile, 'utf8').length)
      this.#inHand.delete(id)
    }
  }

  /** Does something on a server once; again, when the server was lost meanwhile: what has been done by then is the caller's to know. */
  async on<T>(id: ServerId, work: (conn: Connection) => Promise<T>): Promise<T> {
    for (;;) {
      const conn = await connectPatiently(this.server(id).config, new AbortController().signal)
      try {
        return await work(conn)
      } catch (error) {
        if (isServerError(error) || this.died !== null) throw error
      } finally {
        conn.destroy()
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true
    for (const child of this.movers.values()) child.kill('SIGKILL')
    await this.store[Symbol.asyncDispose]()
    await Promise.all(Array.from(this.#servers.values(), (server) => server[Symbol.asyncDispose]()))
    rmSync(this.dir, { recursive: true, force: true })
  }

  /** Two movers at all times: one that works, one that stands by. */
  async keepMovers(): Promise<void> {
    while (this.movers.size < 2) await this.#startMover()
  }

  async #startMover(): Promise<void> {
    const id = `mover-${++this.#count}`
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        join(import.meta.dirname, 'mover-process.ts'),
        join(this.dir, 'topology.sqlite'),
        id,
        JSON.stringify(this.config),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    this.movers.set(id, child)
    child.once('exit', () => {
      this.movers.delete(id)
      if (!this.#ending) void this.keepMovers().catch(() => undefined)
    })
    const { stdout } = child
    if (stdout !== null) await Promise.race([once(stdout, 'data'), once(child, 'exit')])
  }

  async restartMovers(): Promise<void> {
    for (const child of Array.from(this.movers.values())) {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
    await this.keepMovers()
  }

  async owner(workflowUid: string): Promise<ChildProcess | null> {
    const owner = await readRecord<StreamOwner>(this.store, keys.streamOwner(workflowUid))
    return owner === null ? null : (this.movers.get(owner.value.mover) ?? null)
  }

  /** Stops a process when it does not hold SQLite's write lock (see mover.db.test.ts). */
  async pauseBetweenCommits(child: ChildProcess): Promise<boolean> {
    await using probe = new SqliteStore(join(this.dir, 'topology.sqlite'), { busyMs: 300 })
    for (let attempt = 0; attempt < 50; attempt++) {
      if (!child.kill('SIGSTOP')) return false
      const free = await probe.commit([], [{ key: 'probe', value: attempt }]).then(
        () => true,
        () => false,
      )
      if (free) return true
      child.kill('SIGCONT')
      await systemClock.sleep(7)
    }
    return false
  }

  async kill9(id: ServerId): Promise<void> {
    while (this.#inHand.has(id)) await systemClock.sleep(50)
    await this.#held(id, async () => {
      const server = this.server(id)
      await server.kill9()
      await systemClock.sleep(200)
      await server.restart()
    })
  }

  /** A server that says nothing for a while, while the others go on. */
  async hang(id: ServerId, ms: number): Promise<void> {
    const server = this.server(id)
    await server.pause()
    try {
      await systemClock.sleep(ms)
    } finally {
      await server.resume()
    }
  }
}

export function sideOf(id: ServerId): Side {
  return id === 'source' || id === 'source2' ? 'source' : 'target'
}

/** What a server's log says when it is the server that ended it: no statement of a client may bring one to that. */
const ownEnd = /Assertion failure in file|Assertion `.*' failed|\bgot signal (6|11)\b/
/** More of them in one run would leave little of it. */
const ownEndsMax = 6

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Connects, waiting for a server that is being killed and started again. */
export async function connectPatiently(options: ConnectOptions, signal: AbortSignal): Promise<Connection> {
  for (const endMs = performance.now() + 60_000; ;) {
    signal.throwIfAborted()
    try {
      return await connect(options)
    } catch (error) {
      if (performance.now() > endMs) throw error
      await systemClock.sleep(100)
    }
  }
}
