/** Direct connections to servers over our accounts. None reconnects by itself. */
import { connect } from '../mysql/connect.ts'
import type { Connection, ConnectOptions } from '../mysql/connection.ts'
import { keys } from '../topology/keys.ts'
import type { ServerRecord, ServerSecret } from '../topology/records.ts'
import { placeOfServer } from '../topology/server-place.ts'
import type { Store } from '../topology/store.ts'
import { readRecord } from '../topology/typed.ts'
import { switchErrors } from './errors.ts'

export type OurAccount = 'admin' | 'mover' | 'gate'

/** Names of our accounts on a server: the sessions of admin and mover are never killed or fenced. */
export type OurNames = { readonly [account in OurAccount]: string }

export type ServerAccess = { readonly record: ServerRecord; readonly secret: ServerSecret }

export async function readServerAccess(store: Store, serverId: string): Promise<ServerAccess> {
  const [record, secret] = await Promise.all([
    readRecord<ServerRecord>(store, keys.server(serverId)),
    readRecord<ServerSecret>(store, keys.secret(serverId)),
  ])
  if (record === null) throw switchErrors.shardUnknown({ kind: 'server', name: serverId })
  if (secret === null) throw switchErrors.shardUnknown({ kind: 'secret of server', name: serverId })
  return { record: record.value, secret: secret.value }
}

export function ourNames(access: ServerAccess): OurNames {
  return { admin: access.secret.admin.user, mover: access.secret.mover.user, gate: access.secret.gate.user }
}

export async function connectAs(
  access: ServerAccess,
  account: OurAccount,
  options: Partial<ConnectOptions> = {},
  signal?: AbortSignal,
): Promise<Connection> {
  return connect({ ...connectOptions(access, account), charset: 'utf8mb4', ...options }, signal)
}

export function connectOptions({ record, secret }: ServerAccess, account: OurAccount): ConnectOptions {
  const { user, password } = secret[account]
  return { ...placeOfServer(record), user, password, connectTimeoutMs: 3_000, attributes: { program_name: `shardwright ${account}` } }
}
