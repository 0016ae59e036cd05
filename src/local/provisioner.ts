import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Provisioner, ProvisionRequest, ServerEndpoint } from '../mysql/provisioning.ts'
import type { LocalServers } from './local-servers.ts'
import { readServerRecord } from './server-record.ts'

/**
 * Servers as local processes, one directory each below `root`. The administrator's password is made before the server's
 * first start and kept beside it, readable by its owner only: a call repeated after a crash finds the same one.
 */
export class LocalProvisioner implements Provisioner {
  readonly #servers: LocalServers
  readonly #root: string
  readonly #settings: { readonly bufferPoolMb?: number }

  constructor(servers: LocalServers, root: string, settings: { readonly bufferPoolMb?: number } = {}) {
    this.#servers = servers
    this.#root = root
    this.#settings = settings
  }

  async provision(request: ProvisionRequest): Promise<ServerEndpoint> {
    const dir = join(this.#root, request.id)
    const password = adminPassword(dir)
    const server = await this.#servers.start({ id: request.id, flavour: request.flavour, dir, rootPassword: password, settings: this.#settings })
    return {
      id: request.id,
      flavour: request.flavour,
      version: server.version,
      host: server.host,
      port: server.port,
      socketPath: server.socketPath,
      dataDir: dir,
      admin: { user: 'root', password },
    }
  }

  async remove(id: string): Promise<void> {
    const dir = join(this.#root, id)
    if (readServerRecord(dir) === null) return
    await this.#servers.destroy(dir)
  }
}

function adminPassword(dir: string): string {
  const file = join(dir, 'admin.password')
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const password = randomBytes(18).toString('base64url')
  writeFileSync(file, password, { mode: 0o600, flag: 'wx', flush: true })
  return password
}
