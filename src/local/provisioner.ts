import { diskToBeOf, type Place } from '../mysql/server-room.ts'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock, type Clock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection, FlavourName } from '../mysql/connection.ts'
import { flavourNamed } from '../mysql/flavour/flavour.ts'
import type { ListedServer, Provisioner, ProvisionRequest, ServerEndpoint } from '../mysql/provisioning.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { withDirectoryLock } from './directory-lock.ts'
import { localErrors } from './errors.ts'
import { findPort } from './find-port.ts'
import type { LocalServer } from './local-server.ts'
import type { LocalServers } from './local-servers.ts'
import type { ServerSettings } from './server-config.ts'
import { readServerRecord } from './server-record.ts'

export type LocalProvisionerOptions = {
  /** One directory a server beneath it. */
  readonly root: string
  readonly flavours: readonly FlavourName[]
  /** First port tried for a new server. Below the system's range of passing ports, so that a stopped server finds its own again. */
  readonly portBase?: number
  /** What differs from `defaultSettings`. */
  readonly settings?: Partial<ServerSettings>
  readonly clock?: Clock
}

/** `<dir>/provision.json`: written before the server first starts, so that provisioning broken off anywhere goes on. */
type ProvisionRecord = {
  readonly v: 1
  readonly id: string
  readonly flavour: FlavourName
  /** Chosen once for good; the server moves on only if another program has taken it. */
  readonly port: number
  /** Known until our accounts are there; then root is dropped and this is null. */
  readonly rootPassword: string | null
  readonly done: boolean
}

/**
 * Provides servers by processes on this machine (`Provisioner`). A server that comes from here has no administrator but the
 * account that the request names: root gets a random password before it first accepts a connection, makes our accounts,
 * and is dropped. Accounts and the fence are laid with `sql_log_bin=0`: they are this server's own.
 *
 * Each step can be repeated and `provision.json` says whether all were done, so a crash in between costs nothing but a
 * second call; the steps run under a lock, so two callers of one id get one server.
 */
export class LocalProvisioner implements Provisioner {
  readonly name = 'local'
  readonly #servers: LocalServers
  readonly #options: LocalProvisionerOptions
  readonly #clock: Clock

  constructor(servers: LocalServers, options: LocalProvisionerOptions) {
    this.#servers = servers
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  flavours(): Promise<FlavourName[]> {
    return Promise.resolve([...this.#options.flavours])
  }

  async provision(request: ProvisionRequest, signal?: AbortSignal): Promise<ServerEndpoint> {
    const dir = this.#dir(request.id)
    return withDirectoryLock(join(dir, 'provisioning'), this.#clock, 120_000, async () => {
      let record = readProvisionRecord(dir)
      if (record !== null && record.flavour !== request.flavour)
        throw localErrors.flavourChanged({ dir, had: record.flavour, wanted: request.flavour })
      if (record?.done === true) return this.#start(dir, record, request.settings, signal)
      if (record === null) {
        record = await this.#newRecord(dir, request)
      }
      const endpoint = await this.#start(dir, record, request.settings, signal)
      await this.#furnish(endpoint, record, request)
      signal?.throwIfAborted()
      await writeProvisionRecord(dir, { ...record, rootPassword: null, done: true })
      return endpoint
    })
  }

  async ensureRunning(id: string, signal?: AbortSignal): Promise<ServerEndpoint> {
    const dir = this.#dir(id)
    const record = readServerRecord(dir)
    if (record === null) throw localErrors.neverProvisioned({ id, root: this.#options.root })
    signal?.throwIfAborted()
    return endpointOf(await this.#servers.start({ id, flavour: record.flavour, dir }))
  }

  async stop(id: string): Promise<void> {
    await this.#servers.stop(this.#dir(id))
  }

  remove(id: string, which: string | null): Promise<'removed' | 'another'> {
    return this.#servers.destroy(this.#dir(id), { which })
  }

  list(): Promise<ListedServer[]> {
    return Promise.resolve(this.#ids().flatMap((id) => this.#recorded(id)))
  }

  /**
   * Starts again whichever of its servers ends without being told, also those provisioned later, until aborted. One that keeps
   * ending is tried at growing intervals. `onRestart` hears of each: its port may be another one.
   */
  async supervise(
    signal: AbortSignal,
    onRestart: (endpoint: ServerEndpoint) => Promise<void>,
    onError: (id: string, error: unknown) => void,
  ): Promise<void> {
    const busy = new Set<string>()
    const waits = new Map<string, { pauseMs: number; nextMs: number }>()
    const look = async (id: string): Promise<void> => {
      const nowMs = this.#clock.monotonicMs()
      const wait = waits.get(id)
      if (wait !== undefined && nowMs < wait.nextMs) return
      try {
        const server = await this.#servers.revive(this.#dir(id))
        if (server === null) return
        await onRestart(endpointOf(server))
      } catch (error) {
        onError(id, error)
      }
      const again = wait !== undefined && nowMs - wait.nextMs < 60_000
      const pauseMs = again ? Math.min(wait.pauseMs * 2, 10_000) : 250
      waits.set(id, { pauseMs, nextMs: this.#clock.monotonicMs() + pauseMs })
    }
    while (!signal.aborted) {
      for (const id of this.#ids()) {
        if (busy.has(id)) continue
        busy.add(id)
        void look(id).finally(() => busy.delete(id))
      }
      await this.#clock.sleep(250, signal).catch(() => {})
    }
  }

  async #start(
    dir: string,
    record: ProvisionRecord,
    settings: ProvisionRequest['settings'],
    signal?: AbortSignal,
  ): Promise<ServerEndpoint> {
    signal?.throwIfAborted()
    const had = readServerRecord(dir)
    const port = had?.port ?? record.port
    const server = await this.#servers.start({
      id: record.id,
      flavour: record.flavour,
      dir,
      port,
      ...(record.rootPassword === null ? {} : { rootPassword: record.rootPassword }),
      // What was kept for it since is no part of any request.
      settings: { ...this.#options.settings, extra: { ...had?.settings.extra, ...this.#options.settings?.extra, ...settings } },
    })
    return endpointOf(server)
  }

  async #furnish(endpoint: ServerEndpoint, record: ProvisionRecord, request: ProvisionRequest): Promise<void> {
    const flavour = flavourNamed(record.flavour)
    const { admin, mover, gate } = request.accounts
    {
      await using root = await this.#connectFirst(endpoint, record, request)
      await root.query('SET SESSION sql_log_bin=0')
      for (const sql of [
        ...flavour.accountStatements('admin', admin),
        ...flavour.accountStatements('mover', mover),
        ...flavour.accountStatements('gate', gate, { locked: request.closed }),
      ]) {
        await root.query(sql)
      }
    }
    await using session = await connect({ ...address(endpoint), ...admin })
    for (const schema of request.schemas)
      await session.query(`CREATE DATABASE IF NOT EXISTS ${quoteIdentifier(schema)} CHARACTER SET utf8mb4`)
    await session.query('SET SESSION sql_log_bin=0')
    if (request.closed) await session.query('SET GLOBAL read_only=1')
    for (const host of ['127.0.0.1', 'localhost']) await session.query(`DROP USER IF EXISTS 'root'@'${host}'`)
  }

  /** As root; as the admin account when an earlier call got as far as dropping root. */
  async #connectFirst(endpoint: ServerEndpoint, record: ProvisionRecord, request: ProvisionRequest): Promise<Connection> {
    try {
      return await connect({ ...address(endpoint), user: 'root', password: record.rootPassword ?? '' })
    } catch (error) {
      try {
        return await connect({ ...address(endpoint), ...request.accounts.admin })
      } catch {
        throw error
      }
    }
  }

  /** Ports are given out one at a time, so that servers provisioned at once do not race for the same one. */
  #newRecord(dir: string, request: ProvisionRequest): Promise<ProvisionRecord> {
    const { root, portBase } = this.#options
    return withDirectoryLock(join(root, '.ports'), this.#clock, 10_000, async () => {
      const given = new Set(this.#ids().flatMap((id) => portsOf(join(root, id))))
      const port = await findPort(portBase ?? 15_400, 2_000, given)
      const rootPassword = randomBytes(18).toString('base64url')
      const record: ProvisionRecord = { v: 1, id: request.id, flavour: request.flavour, port, rootPassword, done: false }
      await writeProvisionRecord(dir, record)
      return record
    })
  }

  #ids(): string[] {
    const { root } = this.#options
    return existsSync(root) ? readdirSync(root).filter((id) => !id.startsWith('.')) : []
  }

  #recorded(id: string): ListedServer[] {
    const dir = join(this.#options.root, id)
    const record = readServerRecord(dir)
    if (record === null) return []
    const { flavour, version, port, socketPath, serverId } = record
    return [{ id, flavour, version, host: '127.0.0.1', port, socketPath, dataDir: dir, which: String(serverId) }]
  }

  settingsGiven(): readonly string[] {
    return Object.keys(this.#options.settings?.extra ?? {})
  }

  async keepSettings(id: string, settings: Readonly<Record<string, string>>): Promise<void> {
    await this.#servers.keepSettings(this.#dir(id), settings)
  }

  async place(): Promise<Place> {
    return { dir: this.#options.root, disk: await diskToBeOf(this.#options.root) }
  }

  #dir(id: string): string {
    if (!/^[a-z0-9-]{1,48}$/.test(id)) throw localErrors.badServerId({ id })
    return join(this.#options.root, id)
  }
}

function portsOf(dir: string): number[] {
  return [readServerRecord(dir)?.port, readProvisionRecord(dir)?.port].filter((port) => port !== undefined)
}

function endpointOf(server: LocalServer): ServerEndpoint {
  const { id, flavour, version, host, port, socketPath, dir } = server
  return { id, flavour, version, host, port, socketPath, dataDir: dir }
}

/** The socket is in the server's own directory: whoever answers there is it, whatever holds its port. */
function address(endpoint: ServerEndpoint): { socketPath: string } | { host: string; port: number } {
  return endpoint.socketPath === null ? { host: endpoint.host, port: endpoint.port } : { socketPath: endpoint.socketPath }
}

function readProvisionRecord(dir: string): ProvisionRecord | null {
  const file = join(dir, 'provision.json')
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProvisionRecord
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw localErrors.recordUnreadable({ file, reason: (error as Error).message }, error)
  }
}

async function writeProvisionRecord(dir: string, record: ProvisionRecord): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const file = join(dir, 'provision.json')
  await writeFile(`${file}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600, flush: true })
  await rename(`${file}.new`, file)
}
