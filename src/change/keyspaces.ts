import { randomUUID } from 'node:crypto'
import type { FlavourName } from '../mysql/connection.ts'
import { coveredRange, requireWholeCoverage } from '../keyspace/key-range-sets.ts'
import { parseKeyRange, printKeyRange } from '../keyspace/key-range.ts'
import { mainBranch } from '../topology/dualwrite-records.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord, RoutingRecord, ServerRecord, ShardRecord, VSchemaRecord } from '../topology/records.ts'
import { initialRouting } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import { absent, listRecords, put, readRecord, updateRecord } from '../topology/typed.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { changeErrors } from './errors.ts'
import { epochsOfBranch } from './fleet-epochs.ts'
import { finishRemoval, removalPut } from './removals.ts'
import { attachServer, provisionServer } from './servers.ts'
import type { ServerAddress, World } from './servers.ts'

export type KeyspaceRequest = {
  readonly name: string
  readonly server?: ServerAddress | undefined
  readonly flavour?: FlavourName | undefined
  readonly shards?: string[] | undefined
}

/**
 * Attaches an existing server's schema as the one shard of a keyspace, or provisions a server for each shard. Nothing of
 * the keyspace is in the topology before all of it is there, in one commit.
 */
export async function createKeyspace(world: World, request: KeyspaceRequest): Promise<void> {
  const { store } = world
  const ranges = (request.shards ?? ['-']).map(parseKeyRange)
  coveredRange(ranges, 'keyspace')
  requireWholeCoverage(ranges)
  if ((await store.get(keys.keyspace(request.name))) !== null) throw changeErrors.createdBefore({ keyspace: request.name })
  await finishRemoval(world, request.name)
  const names = ranges.map(printKeyRange)
  if (request.server !== undefined && names.length > 1) throw changeErrors.attachOneShard({ shards: names.join(', ') })
  const shards: ShardRecord[] = []
  for (const [index, name] of names.entries()) shards.push(await makeShard(world, request, name, index))
  const sharded = names.length > 1
  const keyspace: KeyspaceRecord = { v: 1, name: request.name, uid: randomUUID(), sharded, allowUnfenced: [], transactionMode: 'multi' }
  const result = await store.commit(
    [absent(keys.keyspace(request.name))],
    [
      put(keys.keyspace(request.name), keyspace),
      ...shards.map((shard) => put(keys.shard(request.name, shard.name), shard)),
      put<VSchemaRecord>(keys.vschema(request.name), { v: 1, vschema: { sharded, ...(sharded ? { vindexes: {} } : {}), tables: {} } }),
      put(keys.routing(request.name), initialRouting(names)),
    ],
  )
  if (!result.ok) throw changeErrors.createdBefore({ keyspace: request.name })
}

async function makeShard(world: World, request: KeyspaceRequest, name: string, index: number): Promise<ShardRecord> {
  const schema = request.server?.schema ?? schemaName(request.name, name)
  const server: ServerRecord =
    request.server === undefined
      ? await provisionServer(world, {
          id: await freeServerId(world, request.name, index),
          flavour: request.flavour ?? world.flavour,
          schemas: [schema],
          closed: false,
        })
      : await attachServer(world, { ...request.server, schema })
  return {
    v: 1,
    keyspace: request.name,
    name,
    uid: randomUUID(),
    serverId: server.id,
    schema,
    madeBy: null,
    provisioned: server.provisioned,
  }
}

/** `app` for the whole range, else `app_40_80`. */
export function schemaName(keyspace: string, shard: string): string {
  return shard === '-' ? keyspace : `${keyspace}_${shard.replace('-', '_').replace(/^_/, '00_').replace(/_$/, '_ff')}`
}

/** Names that differ only in what an id cannot carry do not get one server between them. */
async function freeServerId(world: World, keyspace: string, index: number): Promise<string> {
  const others = (await listRecords<ShardRecord>(world.store, keys.allShards)).filter((shard) => shard.value.keyspace !== keyspace)
  const taken = new Set(others.map((shard) => shard.value.serverId))
  for (let n = 1; ; n++) {
    const id = serverId(keyspace, index, n === 1 ? '' : `n${n}`)
    if (!taken.has(id)) return id
  }
}

export function serverId(keyspace: string, index: number, generation = ''): string {
  const base = keyspace
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 28)
  return `${base}${generation === '' ? '' : `-${generation}`}-${index + 1}`
}

export type KeyspaceSettings = {
  readonly allowUnfenced?: readonly string[] | undefined
  readonly transactionMode?: KeyspaceRecord['transactionMode'] | undefined
}

/** Changes what is given and leaves the rest; accounts let past a fence are named in the log. */
export async function updateKeyspace(world: World, name: string, settings: KeyspaceSettings): Promise<void> {
  const { allowUnfenced, transactionMode } = settings
  const result = await updateRecord<KeyspaceRecord>(world.store, keys.keyspace(name), (current) =>
    current === null
      ? null
      : {
          ...current,
          ...(allowUnfenced === undefined ? {} : { allowUnfenced: [...new Set(allowUnfenced)] }),
          ...(transactionMode === undefined ? {} : { transactionMode }),
        },
  )
  if (result.value === null) throw changeErrors.noKeyspace({ keyspace: name })
  if (allowUnfenced !== undefined) world.log.warn({ keyspace: name, allowUnfenced }, 'accounts that pass a fence were set')
}

function givesIdsTo(keyspace: string, vschema: object): boolean {
  const { tables = {} } = vschema as { tables?: Record<string, { auto_increment?: { sequence?: string } }> }
  return Object.values(tables).some((table) => table.auto_increment?.sequence?.startsWith(`${keyspace}.`) === true)
}

export type KeyspaceDeletion = { readonly removed: boolean; readonly servers: string[]; readonly kept: string[] }

/**
 * Forgets a keyspace that nothing uses, and removes the servers that we made for it: those only when `yes` says that their data
 * is meant to go (SW-CHANGE-049). What stands on attached servers stays.
 */
export async function deleteKeyspace(
  world: World,
  name: string,
  { yes, dryRun }: { readonly yes: boolean; readonly dryRun: boolean },
): Promise<KeyspaceDeletion> {
  const { store } = world
  const routing = await readRecord<RoutingRecord>(store, keys.routing(name))
  const record = await store.get(keys.keyspace(name))
  if (routing === null || record === null) throw changeErrors.noKeyspace({ keyspace: name })
  await refuseUsed(store, name, routing.value)
  const shards = await listRecords<ShardRecord>(store, keys.shards(name))
  const { servers, kept } = await whatGoes(store, name, shards)
  if (dryRun) return { removed: false, servers, kept }
  if (servers.length > 0 && !yes) throw changeErrors.deleteRemovesData({ keyspace: name, servers: servers.join(', ') })
  const result = await store.commit(
    // Each fleet that is made writes the keyspace's record anew: none comes in between.
    [
      { key: keys.routing(name), version: routing.version },
      { key: keys.keyspace(name), version: record.version },
    ],
    [
      ...[
        keys.keyspace(name),
        keys.vschema(name),
        keys.ddl(name),
        keys.routing(name),
        ...shards.map((shard) => shard.key),
        ...(await epochsOfBranch(store, name, mainBranch)),
      ].map((key) => ({ key, value: undefined })),
      removalPut(
        name,
        shards.map((shard) => shard.value).filter((shard) => servers.includes(shard.serverId)),
      ),
    ],
  )
  if (!result.ok) return deleteKeyspace(world, name, { yes, dryRun })
  await finishRemoval(world, name)
  return { removed: true, servers, kept }
}

async function refuseUsed(store: Store, name: string, routing: RoutingRecord): Promise<void> {
  const busy = routing.components.find((component) => component.workflow !== null)
  if (busy !== undefined) throw changeErrors.notRunning({ verb: 'delete', name: busy.workflow, state: 'using it', keyspace: name })
  const branch = (await listRecords<KeyspaceRecord>(store, keys.keyspaces)).find((record) => record.value.branchOf === name)
  if (branch !== undefined)
    throw dualwriteErrors.branchInUse({
      keyspace: name,
      branch: branch.value.branch,
      by: 'it belongs to this keyspace',
      fix: `shardwright keyspace branch delete ${name}/${branch.value.branch}`,
    })
  const fleet = (await listRecords<FleetRecord>(store, keys.fleets)).find((f) => f.value.keyspace === name)?.value
  if (fleet !== undefined)
    throw dualwriteErrors.branchInUse({
      keyspace: name,
      branch: fleet.branch,
      by: `fleet ${fleet.name} fills it`,
      fix: `shardwright fleet stop ${fleet.name}, then fleet delete`,
    })
  const users = (await listRecords<VSchemaRecord>(store, keys.vschemas)).filter((record) => givesIdsTo(name, record.value.vschema))
  if (users.length > 0)
    throw changeErrors.sequenceInUse({ keyspace: name, users: users.map((record) => record.key.slice(keys.vschemas.length)).join(', ') })
}

/** Servers of our making that hold shards of this keyspace only, and schemas that stay where they are. */
async function whatGoes(
  store: Store,
  name: string,
  shards: readonly { readonly value: ShardRecord }[],
): Promise<{ servers: string[]; kept: string[] }> {
  const others = (await listRecords<ShardRecord>(store, keys.allShards)).filter((shard) => !shard.key.startsWith(keys.shards(name)))
  const servers = new Set<string>()
  const kept: string[] = []
  for (const { value: shard } of shards) {
    const server = (await readRecord<ServerRecord>(store, keys.server(shard.serverId)))?.value
    const alone = !others.some((other) => other.value.serverId === shard.serverId)
    if (alone && server?.provisioned !== false) servers.add(shard.serverId)
    else if (server !== undefined) kept.push(`${shard.schema} on ${server.host}:${server.port}`)
  }
  return { servers: [...servers], kept }
}
