/** Servers for this room's tests, with root on them, killed and started again on the same port. */
import { connect } from '../../mysql/connect.ts'
import type { Connection } from '../../mysql/connection.ts'
import type { Flavour } from '../../topology/records.ts'
import { flavours, testServer } from '../../../test/kit/servers.ts'
import type { TestServer as KitServer } from '../../../test/kit/servers.ts'

export function flavourAvailable(flavour: Flavour): boolean {
  return flavours().includes(flavour)
}

export class TestServer {
  readonly flavour: Flavour
  readonly #server: KitServer

  private constructor(flavour: Flavour, server: KitServer) {
    this.flavour = flavour
    this.#server = server
  }

  static async start(flavour: Flavour): Promise<TestServer> {
    return new TestServer(flavour, await testServer({ flavour, bufferPoolMb: 32, durability: 'full' }))
  }

  get pid(): number {
    return this.#server.pid
  }

  get port(): number {
    return this.#server.port
  }

  root(): Promise<Connection> {
    // By the socket: MySQL's root@localhost alone has SYSTEM_USER, without which it cannot be dropped.
    const { user, password } = this.#server.config
    return connect({ socketPath: this.#server.socketPath, user, password, connectTimeoutMs: 5_000 })
  }

  kill9(): Promise<void> {
    return this.#server.kill9()
  }

  /** Starts it again on its data. */
  up(): Promise<void> {
    return this.#server.restart()
  }

  async stop(): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
  }
}
