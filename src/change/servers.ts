/**
 * Servers as workflows and handlers need them: attached or provisioned, with our three accounts, reached by the records of
 * the topology alone.
 */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection, ConnectOptions, FlavourName } from '../mysql/connection.ts'
import { isConnectionLost, mysqlErrors, ServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { moverUser } from '../mysql/our-schema.ts'
import type { Credentials, Provisioner, ServerEndpoint } from '../mysql/provisioning.ts'
import { readIdentity } from '../mysql/server-identity.ts'
import { readSessionDefaults } from '../mysql/session-defaults.ts'
import { takeDefaults } from '../mysql/take-defaults.ts'
import { takeZones } from '../mysql/take-zones.ts'
import { attachServer as takeServer } from '../switch/attach.ts'
import { readOwner } from '../switch/control-schema.ts'
import type { ClaimPool } from '../switch/claim.ts'
import { closeServer, openServer } from '../switch/fence.ts'
import { keys } from '../topology/keys.ts'
import type { Installation, ServerRecord, ServerSecret, ShardRecord } from '../topology/records.ts'
import { placeOfServer } from '../topology/server-place.ts'
import type { Store } from '../topology/store.ts'
import { absent, listRecords, put, readRecord, updateRecord } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { changeErrors } from './errors.ts'
import type { ReshardData, ReshardSpec } from './reshard-spec.ts'

/** What a workflow works with. */
export type World = {
  readonly store: Store
  readonly provisioner: Provisioner
  readonly flavour: FlavourName
  readonly clock: Clock
  readonly log: Log
}

export type Role = 'admin' | 'mover' | 'gate'

/** A connection to a server of the topology as one of our accounts. SW-CHANGE-012 when it can't be had. */
export async function connectServer(store: Store, serverId: string, role: Role): Promise<Connection> {
  const server = await readRecord<ServerRecord>(store, keys.server(serverId))
  const secret = await readRecord<ServerSecret>(store, keys.secret(serverId))
  if (server === null || secret === null)
    throw changeErrors.serverUnreachable({ server: serverId, reason: 'the topology does not know it' })
  return reach(serverId, { ...placeOfServer(server.value), ...secret.value[role] })
}

/**
 * As what we write is meant, whatever the server's own settings say: literals have backslashes and names backquotes, also those that SHOW CREATE prints; a table's defaults
 * may be dates that a new table's may not be, and an id 0.
 */
const sessionSql = [
  "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', sql_quote_show_create = 1 /*M!100503 , sql_if_exists = 0 */",
]

/** SW-CHANGE-012 when there is no connection. */
export async function reach(server: string, options: ConnectOptions): Promise<Connection> {
  try {
    return await connect({ ...options, charset: 'utf8mb4', sessionSql })
  } catch (error) {
    throw changeErrors.serverUnreachable({ server, reason: error instanceof Error ? error.message : String(error) }, error)
  }
}

export async function withServer<T>(store: Store, serverId: string, role: Role, work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await connectServer(store, serverId, role)
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}

/** The same for what others wait behind: cut after `limit.ms`, though the server may go on with what it was told. SW-CHANGE-070. */
export async function withServerFor<T>(
  { store, clock }: Pick<World, 'store' | 'clock'>,
  serverId: string,
  limit: { readonly ms: number; readonly doing: string },
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const ended = new AbortController()
  const slow = changeErrors.serverSlow({ server: serverId, seconds: limit.ms / 1000, doing: limit.doing })
  try {
    return await withServer(store, serverId, 'admin', (connection) => {
      clock.sleep(limit.ms, ended.signal).then(
        () => connection.destroy(slow),
        () => undefined,
      )
      return work(connection)
    })
  } catch (error) {
    throw isConnectionLost(error) && error.cause === slow ? slow : error
  } finally {
    ended.abort()
  }
}

/**
 * A server of our own making, closed from the start when asked. Repeatable: the passwords are recorded before the server
 * is made, so a repetition after a crash finds the same ones.
 */
export async function provisionServer(
  world: World,
  request: {
    id: string
    flavour: FlavourName
    schemas: readonly string[]
    closed: boolean
    /** The server in whose place it is to serve. */
    like?: string
  },
): Promise<ServerRecord> {
  const { like, ...made } = request
  const known = await readRecord<ServerRecord>(world.store, keys.server(request.id))
  const accounts = await secretOf(world.store, request.id)
  const endpoint = await world.provisioner.provision({ ...made, accounts })
  const record: ServerRecord = {
    v: 1,
    id: request.id,
    flavour: endpoint.flavour,
    version: endpoint.version,
    host: endpoint.host,
    port: endpoint.port,
    socketPath: endpoint.socketPath,
    provisioned: true,
    dataDir: endpoint.dataDir,
  }
  await world.store.commit([{ key: keys.server(request.id), version: known?.version ?? 0 }], [put(keys.server(request.id), record)])
  const identity = await withServer(world.store, request.id, 'admin', async (connection) => {
    await prepareServer(world, connection, request.id, 'drop')
    return readIdentity(connection)
  })
  await updateRecord<ServerRecord>(world.store, keys.server(request.id), (server) => (server === null ? null : { ...server, identity }))
  if (like !== undefined) await takeDefaultsOf(world, request.id, like)
  return { ...record, identity }
}

/** Sessions on a server of our own making get the defaults that they have on `like`, for good, and the zones that it knows; what the user sets for all such servers stays as he wants it. */
export async function takeDefaultsOf({ store, provisioner, log }: World, id: string, like: string): Promise<void> {
  const kept = await withServer(store, like, 'admin', (from) =>
    withServer(store, id, 'admin', async (to) => {
      const wanted = await readSessionDefaults(from)
      await takeZones(from, to)
      return takeDefaults(to, wanted, provisioner.settingsGiven())
    }),
  )
  await provisioner.keepSettings(id, kept)
  log.info({ server: id, like, kept }, 'sessions have the defaults that they have on another server')
}

/** A server of ours that came back at another port: whoever reaches it by the topology has to hear of that. */
export async function moveServer(store: Store, endpoint: ServerEndpoint): Promise<void> {
  const { host, port, socketPath } = endpoint
  await updateRecord<ServerRecord>(store, keys.server(endpoint.id), (server) =>
    server === null || (server.host === host && server.port === port) ? null : { ...server, host, port, socketPath },
  )
}

export type ServerAddress = { host: string; port: number; user: string; password: string; schema?: string | undefined }

/** Takes an existing server into the topology: checks it, makes our accounts and our schema there. */
export async function attachServer(world: World, address: ServerAddress): Promise<ServerRecord> {
  const id = `${address.host}:${address.port}`
  const connection = await connectToAttach(world, id, address)
  try {
    const flavour = flavourOf(connection)
    const version = connection.serverVersion
    if (connection.versionNumber < flavour.versionMin) {
      throw changeErrors.versionRefused({ ...address, flavour: flavour.name, version, least: versionText(flavour.versionMin) })
    }
    if (address.schema !== undefined) {
      const found = await connection.value(
        `SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '${address.schema.replace(/'/g, "''")}'`,
      )
      if (found === undefined) throw changeErrors.schemaMissing({ ...address })
    }
    const installation = await readRecord<Installation>(world.store, keys.installation)
    const owner = await readOwner(connection)
    if (owner !== null && owner.installation === installation?.value.id && owner.server !== id)
      throw changeErrors.serverKnownAs({ server: id, other: owner.server })
    await secretOf(world.store, id)
    await prepareServer(world, connection, id, 'keep')
    const known = await readRecord<ServerRecord>(world.store, keys.server(id))
    const identity = await readIdentity(connection)
    const wanted = known?.value.identity ?? identity
    if (identity !== wanted && (await shardsOn(world.store, id)).length > 0)
      throw mysqlErrors.anotherServer({ server: id, found: identity, wanted })
    const record: ServerRecord = {
      v: 1,
      id,
      flavour: flavour.name,
      version,
      host: address.host,
      port: address.port,
      socketPath: null,
      provisioned: false,
      dataDir: null,
      identity,
    }
    await world.store.commit([{ key: keys.server(id), version: known?.version ?? 0 }], [put(keys.server(id), record)])
    return record
  } finally {
    await connection.close()
  }
}

/**
 * Gives a server back that we closed and that no shard stands on any more: unlocks what we locked, and nothing else.
 * SW-CHANGE-031 while a shard is there: then only the routing record opens it; 042 while a creation means to use it.
 */
export async function openUnusedServer(
  world: Pick<World, 'store' | 'clock'>,
  pool: ClaimPool,
  id: string,
  /** The workflow that gives it back. */
  ending: string | null = null,
): Promise<void> {
  const { store } = world
  if ((await readRecord<ServerRecord>(store, keys.server(id))) === null) throw changeErrors.noServer({ server: id })
  const shards = (await shardsOn(store, id)).filter((shard) => shard.serverId === id)
  if (shards.length > 0)
    throw changeErrors.serverInUse({ server: id, shards: shards.map((shard) => `${shard.keyspace}/${shard.name}`).join(', ') })
  await requireUnmeant(store, id, ending)
  // Asked for by name: whoever keeps a primary that was given up closed lets it be.
  await store.commit([], [{ key: keys.givenUp(id), value: undefined }])
  await pool.run(id, (claimed) => openServer(claimed))
  try {
    // A creation that began meanwhile has closed it, or is about to: it may have been opened again behind its back.
    await requireUnmeant(store, id, ending)
  } catch (error) {
    await pool.run(id, (claimed) => closeServer(claimed, { allowUnfenced: [] }, world.clock))
    throw error
  }
  await pool.release(id)
}

/** Those of which it is the primary, or a replica. */
export async function shardsOn(store: Store, id: string): Promise<ShardRecord[]> {
  const shards = (await listRecords<ShardRecord>(store, keys.allShards)).map(({ value }) => value)
  return shards.filter((shard) => shard.serverId === id || shard.replicas?.includes(id) === true)
}

/** SW-CHANGE-042 while a workflow that has not ended means to use it, or still does, though no shard stands there yet. */
async function requireUnmeant(store: Store, id: string, except: string | null): Promise<void> {
  for (const { value: workflow } of await listRecords<WorkflowRecord>(store, keys.workflows)) {
    if (workflow.ended || workflow.uid === except) continue
    const { targetServers = [] } = workflow.spec as unknown as Partial<ReshardSpec>
    const { newServers = [], attachedServers = [] } = (workflow.data ?? {}) as ReshardData
    const meant = [...targetServers.map(({ host, port }) => `${host}:${port}`), ...newServers, ...attachedServers]
    if (meant.includes(id)) throw changeErrors.serverMeant({ server: id, workflow: workflow.name, keyspace: workflow.keyspace })
  }
}

/**
 * As the account that was named. A server that is closed has locked it: two targets on one server attach it twice, and a creation
 * that died half way is repeated; then our own account takes its place.
 */
export async function connectToAttach(world: World, id: string, address: ServerAddress): Promise<Connection> {
  const { host, port, user, password } = address
  try {
    return await reach(id, { host, port, user, password })
  } catch (error) {
    const locked = error instanceof Error && error.cause instanceof ServerError && error.cause.kind === 'accountLocked'
    const secret = locked ? await readRecord<ServerSecret>(world.store, keys.secret(id)) : null
    if (secret === null) throw error
    return reach(id, { host, port, ...secret.value.admin })
  }
}

/** Our accounts and our schema, with the tables of every room that keeps rows on servers. */
async function prepareServer(world: World, connection: Connection, serverId: string, otherAccounts: 'keep' | 'drop'): Promise<void> {
  const installation = await readRecord<Installation>(world.store, keys.installation)
  const secret = await readRecord<ServerSecret>(world.store, keys.secret(serverId))
  if (installation === null || secret === null)
    throw changeErrors.serverUnreachable({ server: serverId, reason: 'the topology lacks its accounts' })
  await takeServer(connection, { serverId, installationId: installation.value.id, secret: secret.value, otherAccounts })
}

async function secretOf(store: Store, serverId: string): Promise<ServerSecret> {
  const make = (user: string): Credentials => ({ user, password: randomBytes(24).toString('base64url') })
  const secret: ServerSecret = { v: 1, admin: make('sw_admin'), mover: make(moverUser), gate: make('sw_gate') }
  const result = await store.commit([absent(keys.secret(serverId))], [put(keys.secret(serverId), secret)])
  if (result.ok) return secret
  const there = await readRecord<ServerSecret>(store, keys.secret(serverId))
  return there?.value ?? secret
}

function versionText(number: number): string {
  return `${Math.floor(number / 10_000)}.${Math.floor((number % 10_000) / 100)}`
}

/**
 * Stops and deletes a server that we made, with its data (promise 12), and takes it out of the topology; true when that was
 * done. An attached server stays known: it may be closed, and our account is then the only way to open it again.
 *
 * @param used asked last: whether something stands on it
 */
export async function removeServer(world: World, id: string, used: () => Promise<boolean> = async () => false): Promise<boolean> {
  const { store, provisioner } = world
  const key = keys.server(id)
  let server = await readRecord<ServerRecord>(store, key)
  const made = (await provisioner.list()).find((one) => one.id === id)
  if (server === null) {
    // Made, and its maker died before it was recorded.
    if (made === undefined) return false
  } else if (!server.value.provisioned) return false
  if (await used()) return false
  // Paused here until somebody else had removed it and made another of that name, this must not meet the new one.
  if ((await provisioner.remove(id, made?.which ?? null)) === 'another') return false
  const was = server?.value.identity
  for (;;) {
    const gone = [key, keys.secret(id)].map((one) => ({ key: one, value: undefined }))
    if ((await store.commit([{ key, version: server?.version ?? 0 }], gone)).ok) return true
    server = await readRecord<ServerRecord>(store, key)
    // It may have come back at another port meanwhile; another of that name is none of ours.
    if (server !== null && server.value.identity !== was) return true
  }
}
