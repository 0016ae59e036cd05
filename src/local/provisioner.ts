import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from '../mysql/connect.ts'
import type { Connection, FlavourName } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import type { Credentials, Provisioner, ProvisionRequest, ServerEndpoint } from '../mysql/provisioning.ts'
import { endpointOptions } from '../mysql/provisioning.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { localErrors } from './errors.ts'
import type { LocalServer, LocalServers } from './local-servers.ts'
import type { ServerSettings } from './server-config.ts'
import { readServerRecord } from './server-record.ts'

/**
 * Servers as local processes, one directory each below `root`.
 *
 * Repeatable at every point: the administrator's first password is written down before the server's first start; our
 * accounts are made by it, and as the last thing it is locked, so a call that finds our own account working knows that
 * nothing was left out.
 */
export class LocalProvisioner implements Provisioner {
  readonly name = 'local'
  readonly #servers: LocalServers
  readonly #root: string
  readonly #flavours: readonly FlavourName[]
  readonly #settings: Partial<ServerSettings>

  constructor(servers: LocalServers, options: { root: string; flavours: readonly FlavourName[]; settings?: Partial<ServerSettings> }) {
    this.#servers = servers
    this.#root = options.root
    this.#flavours = options.flavours
    this.#settings = options.settings ?? {}
  }

  async flavours(): Promise<FlavourName[]> {
    return [...this.#flavours]
  }

  async provision(request: ProvisionRequest): Promise<ServerEndpoint> {
    const dir = this.#dir(request.id)
    const password = firstPassword(dir)
    const settings = { ...this.#settings, extra: { ...this.#settings.extra, ...request.settings } }
    const endpoint = endpointOf(
      request.id,
      await this.#servers.start({ id: request.id, flavour: request.flavour, dir, rootPassword: password, settings }),
    )
    const connection = await open(endpoint, request.accounts.admin, { user: 'root', password })
    try {
      for (const statement of setUpStatements(connection, request)) await connection.query(statement)
    } finally {
      await connection.close()
    }
    return endpoint
  }

  async ensureRunning(id: string): Promise<ServerEndpoint> {
    const record = readServerRecord(this.#dir(id))
    if (record === null) throw localErrors.neverProvisioned({ id, root: this.#root })
    return endpointOf(id, await this.#servers.start({ id, flavour: record.flavour, dir: this.#dir(id) }))
  }

  async stop(id: string): Promise<void> {
    await this.#servers.stop(this.#dir(id))
  }

  async remove(id: string): Promise<void> {
    if (!existsSync(this.#dir(id))) return
    await this.#servers.destroy(this.#dir(id))
  }

  async list(): Promise<ServerEndpoint[]> {
    if (!existsSync(this.#root)) return []
    const found = await Promise.all(readdirSync(this.#root).map(async (id) => ({ id, server: await this.#servers.find(this.#dir(id)) })))
    return found.flatMap(({ id, server }) => (server === null ? [] : [endpointOf(id, server)]))
  }

  /** Starts again what ends without being told, until aborted. */
  async supervise(ids: readonly string[], signal: AbortSignal): Promise<void> {
    const requests = ids.flatMap((id) => {
      const record = readServerRecord(this.#dir(id))
      return record === null ? [] : [{ id, flavour: record.flavour, dir: this.#dir(id) }]
    })
    await this.#servers.supervise(requests, signal)
  }

  #dir(id: string): string {
    return join(this.#root, id)
  }
}

/** By our own administrator where a call before this one made it, else by the account the server was born with. */
async function open(endpoint: ServerEndpoint, admin: Credentials, first: Credentials): Promise<Connection> {
  try {
    return await connect(endpointOptions(endpoint, admin))
  } catch {
    return connect(endpointOptions(endpoint, first))
  }
}

function setUpStatements(connection: Connection, request: ProvisionRequest): string[] {
  const flavour = flavourOf(connection)
  const { admin, mover, gate } = request.accounts
  return [
    'SET SESSION sql_log_bin = 0',
    ...flavour.accountStatements('admin', admin),
    ...flavour.accountStatements('mover', mover),
    ...flavour.accountStatements('gate', gate, { locked: request.closed }),
    ...(request.closed ? ['SET GLOBAL read_only = 1'] : []),
    'SET SESSION sql_log_bin = 1',
    ...request.schemas.map((schema) => `CREATE DATABASE IF NOT EXISTS ${quoteIdentifier(schema)}`),
    // Last: from here on no account but ours can administer this server.
    'SET SESSION sql_log_bin = 0',
    ...['localhost', '127.0.0.1', '::1'].map((host) => `ALTER USER IF EXISTS 'root'@'${host}' ACCOUNT LOCK`),
  ]
}

function endpointOf(id: string, server: LocalServer): ServerEndpoint {
  return {
    id,
    flavour: server.flavour,
    version: server.version,
    host: server.host,
    port: server.port,
    socketPath: server.socketPath,
    dataDir: server.dir,
  }
}

function firstPassword(dir: string): string {
  const file = join(dir, 'admin.password')
  if (existsSync(file)) return readFileSync(file, 'utf8')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const password = randomBytes(18).toString('base64url')
  writeFileSync(file, password, { mode: 0o600, flag: 'wx', flush: true })
  return password
}
