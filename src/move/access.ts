/** How a stream reaches servers: addresses and credentials from the topology, sessions as PROTOCOLS 1.12 wants them. */
import { connect } from '../mysql/connect.ts'
import type { Connection, ConnectOptions } from '../mysql/connection.ts'
import { flavourNamed } from '../mysql/flavour/flavour.ts'
import { keys } from '../topology/keys.ts'
import type { Flavour, ServerRecord, ServerSecret } from '../topology/records.ts'
import { placeOfServer } from '../topology/server-place.ts'
import type { Store } from '../topology/store.ts'
import { readRecord } from '../topology/typed.ts'
import { moveErrors } from './errors.ts'

export type ServerAddress = {
  readonly id: string
  readonly name: string
  readonly flavour: Flavour
  readonly connect: ConnectOptions
}

/** Where a server is and how the mover signs in. @throws unknownServer */
export type Addresses = (serverId: string) => Promise<ServerAddress>

export function addressesOf(store: Store): Addresses {
  return async (serverId) => {
    const server = (await readRecord<ServerRecord>(store, keys.server(serverId)))?.value
    const secret = (await readRecord<ServerSecret>(store, keys.secret(serverId)))?.value
    if (server === undefined || secret === undefined) throw moveErrors.unknownServer({ server: serverId })
    return {
      id: serverId,
      name: `${server.host}:${server.port}`,
      flavour: server.flavour,
      connect: { ...placeOfServer(server), user: secret.mover.user, password: secret.mover.password },
    }
  }
}

/** Ordinary sessions of ours: metadata, markers, our own tables. */
export function connectPlain(address: ServerAddress, signal?: AbortSignal): Promise<Connection> {
  return connect({ ...address.connect, charset: 'utf8mb4', sessionSql: flavourNamed(address.flavour).moverSessionSql }, signal)
}

/** Reads rows as bytes: character_set_results=NULL. */
export function connectReader(address: ServerAddress, signal?: AbortSignal): Promise<Connection> {
  return connect({ ...address.connect, charset: 'binary', sessionSql: flavourNamed(address.flavour).moverSessionSql }, signal)
}

/** How long a server waits for rows of a LOAD DATA LOCAL that has begun. Ours are at hand before it does; a mover that is held for longer begins again. */
export const rowsAwaitedS = 30

/**
 * Writes rows as bytes, autocommit off. Sessions are pinged every minute and end after ten of silence, so that a mover that is paused or
 * cut off cannot hold row locks for ever. Nor does a load whose rows were lost on the way: to others its session looks at work (`hang-watch.ts`).
 */
export function connectWriter(address: ServerAddress, signal?: AbortSignal): Promise<Connection> {
  const sessionSql = [
    ...flavourNamed(address.flavour).moverSessionSql,
    `SET SESSION autocommit=0, wait_timeout=600, net_read_timeout=${rowsAwaitedS}, max_error_count=65535`,
    ...writerSql[address.flavour],
  ]
  return connect({ ...address.connect, charset: 'binary', sessionSql, bulkOperations: true }, signal)
}

/** Long IN lists must stay ranges of the key. */
const writerSql: Readonly<Record<Flavour, readonly string[]>> = {
  mysql: ['SET SESSION range_optimizer_max_mem_size=0, eq_range_index_dive_limit=1'],
  mariadb: ['SET SESSION in_predicate_conversion_threshold=0, eq_range_index_dive_limit=1'],
}
