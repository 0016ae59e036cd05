/** A source and a target of one flavour, for tests that move rows; shared by the tests of a file where each begins with empty servers. */
import { connect } from '../../src/mysql/connect.ts'
import type { LocalFlavour } from '../../src/local/installs.ts'
import { quoteIdentifier } from '../../src/sql/quote.ts'
import { testServer, type TestServer, type TestServerOptions } from './servers.ts'

export type ServerPair = { readonly source: TestServer; readonly target: TestServer }

export async function serverPair(flavour: LocalFlavour, bufferPoolMb = 64, extra: TestServerOptions['extra'] = {}): Promise<ServerPair> {
  const options = { flavour, bufferPoolMb, extra }
  const [source, target] = await Promise.all([testServer(options), testServer(options)])
  return { source, target }
}

/** A pair of each flavour for all tests of a file, started when the first test of that flavour asks: none waits for the other's. */
export class ServerPairs implements AsyncDisposable {
  readonly #pairs = new Map<LocalFlavour, Promise<ServerPair>>()

  of(flavour: LocalFlavour): Promise<ServerPair> {
    let pair = this.#pairs.get(flavour)
    if (pair === undefined) this.#pairs.set(flavour, (pair = serverPair(flavour)))
    return pair
  }

  /** Without what earlier tests left. */
  async emptied(flavour: LocalFlavour): Promise<ServerPair> {
    const pair = await this.of(flavour)
    await Promise.all([empty(pair.source), empty(pair.target)])
    return pair
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pairs = await Promise.all(this.#pairs.values())
    await Promise.all(pairs.flatMap(({ source, target }) => [source, target]).map((server) => server[Symbol.asyncDispose]()))
  }
}

async function empty(server: TestServer): Promise<void> {
  await using connection = await connect(server.config)
  const own = await connection.allText(
    "SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')",
  )
  for (const { name } of own) await connection.query(`DROP DATABASE ${quoteIdentifier(name ?? '')}`)
}
