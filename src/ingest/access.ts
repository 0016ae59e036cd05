/**
 * How consumers reach shards. They sign in as the gate does: a client account, which a fence locks like any other (PROTOCOLS 4.17). The server ends their
 * sessions after the lease at the latest, so that a consumer that is frozen with a transaction open cannot keep row locks beyond it (4.8).
 */
import { connect } from '../mysql/connect.ts'
import type { Connection, ConnectOptions } from '../mysql/connection.ts'
import { keys } from '../topology/keys.ts'
import type { Flavour, ServerRecord, ServerSecret } from '../topology/records.ts'
import { placeOfServer } from '../topology/server-place.ts'
import type { Store } from '../topology/store.ts'
import { readRecord } from '../topology/typed.ts'
import { ingestErrors } from './errors.ts'

export type IngestAddress = { readonly flavour: Flavour; readonly connect: ConnectOptions }
export type IngestAddresses = (serverId: string) => Promise<IngestAddress>

export function ingestAddressesOf(store: Store): IngestAddresses {
  return async (serverId) => {
    const server = (await readRecord<ServerRecord>(store, keys.server(serverId)))?.value
    const secret = (await readRecord<ServerSecret>(store, keys.secret(serverId)))?.value
    if (server === undefined || secret === undefined) throw ingestErrors.unknownServer({ server: serverId })
    return { flavour: server.flavour, connect: { ...placeOfServer(server), user: secret.gate.user, password: secret.gate.password } }
  }
}

/** Matched rows are counted, not changed ones; READ COMMITTED; values that do not fit are errors; UTC. */
export function connectConsumer(address: IngestAddress, leaseMs: number, signal?: AbortSignal): Promise<Connection> {
  const seconds = Math.max(1, Math.floor(leaseMs / 1000))
  const lockWait = Math.max(1, Math.min(5, seconds))
  return connect(
    {
      ...address.connect,
      foundRows: true,
      sessionSql: [
        `SET SESSION time_zone='+00:00', sql_mode='STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION', wait_timeout=${seconds}, innodb_lock_wait_timeout=${lockWait}, lock_wait_timeout=${lockWait}, eq_range_index_dive_limit=1`,
        'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
        ...flavourSql[address.flavour],
        'SET SESSION autocommit=0',
      ],
    },
    signal,
  )
}

/** Keys in long lists must stay ranges of the key. */
const flavourSql: Readonly<Record<Flavour, readonly string[]>> = {
  mysql: ['SET SESSION range_optimizer_max_mem_size=0'],
  mariadb: [],
}
