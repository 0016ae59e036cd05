/**
 * Branches: a second set of shards of one keyspace, filled from the same topics. A branch is a keyspace record of its own (`insights@wide`)
 * with routing of its own, so the gate reads it as any keyspace; its vschema is that of the keyspace. It is there for everybody in one commit,
 * after its servers, tables and our control tables are.
 */
import { randomUUID } from 'node:crypto'
import { generateShardRanges } from '../keyspace/even-shards.ts'
import { coveredRange, requireWholeCoverage } from '../keyspace/key-range-sets.ts'
import { parseKeyRange, printKeyRange } from '../keyspace/key-range.ts'
import { ensureIngestTables } from '../ingest/tables.ts'
import { createTargetTables, tableNames } from '../move/schema-copy.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { settled } from '../switch/settled.ts'
import { branchKeyspace, reservedBranches } from '../topology/dualwrite-records.ts'
import type { FleetRecord, ReadRule } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord, RoutingRecord, ServerRecord, ShardRecord } from '../topology/records.ts'
import { initialRouting } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import { absent, listRecords, put, readRecord } from '../topology/typed.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { changeErrors } from './errors.ts'
import { epochsOfBranch } from './fleet-epochs.ts'
import { schemaName, serverId } from './keyspaces.ts'
import { finishRemoval, removalPut } from './removals.ts'
import { takeSchemaDefaults } from './schema-defaults.ts'
import { attachServer, provisionServer, withServer } from './servers.ts'
import type { ServerAddress, World } from './servers.ts'

export type BranchRequest = {
  readonly keyspace: string
  readonly branch: string
  /** How many even shards, or their ranges. */
  readonly shards: number | readonly string[]
  /** Attached servers in turn; absent: provisioned ones. */
  readonly targetServers?: readonly ServerAddress[] | undefined
  readonly targetsPerServer?: number | undefined
}

type Planned = { readonly shard: string; readonly serverId: string; readonly schema: string }

export async function createBranch(world: World, request: BranchRequest): Promise<void> {
  const { store } = world
  const { keyspace, branch } = request
  const name = branchKeyspace(keyspace, branch)
  requireName(branch)
  const main = await readRecord<KeyspaceRecord>(store, keys.keyspace(keyspace))
  if (main === null) throw changeErrors.noKeyspace({ keyspace })
  if (!main.value.sharded) throw dualwriteErrors.notSharded({ keyspace })
  if ((await store.get(keys.keyspace(name))) !== null) throw dualwriteErrors.branchExists({ keyspace, branch })
  await finishRemoval(world, name)
  const planned = place(request, name)
  const source = await firstShard(world, keyspace)
  const flavour = (await readRecord<ServerRecord>(store, keys.server(source.serverId)))?.value.flavour ?? world.flavour
  const made: { shard: ShardRecord; own: boolean }[] = []
  const servers = new Set(planned.map((one) => one.serverId))
  const schemasOf = (id: string): string[] => planned.filter((one) => one.serverId === id).map((one) => one.schema)
  const attached = new Map<string, ServerRecord>()
  if (request.targetServers === undefined || request.targetServers.length === 0) {
    const like = source.serverId
    await settled([...servers].map((id) => provisionServer(world, { id, flavour, schemas: schemasOf(id), closed: false, like })))
  } else {
    for (const address of request.targetServers) {
      const record = await attachServer(world, { ...address, schema: undefined })
      attached.set(record.id, record)
      await withServer(store, record.id, 'admin', async (connection) => {
        for (const schema of schemasOf(record.id)) await connection.query(`CREATE DATABASE IF NOT EXISTS ${quoteIdentifier(schema)}`)
      })
    }
  }
  for (const one of planned) {
    const shard: ShardRecord = {
      v: 1,
      keyspace: name,
      name: one.shard,
      uid: randomUUID(),
      serverId: one.serverId,
      schema: one.schema,
      madeBy: null,
      provisioned: !attached.has(one.serverId),
    }
    await makeTables(world, source, shard)
    made.push({ shard, own: shard.provisioned })
  }
  await withServer(store, source.serverId, 'admin', (connection) => ensureIngestTables(connection))
  const record: KeyspaceRecord = {
    v: 1,
    name,
    uid: randomUUID(),
    sharded: true,
    allowUnfenced: [],
    transactionMode: main.value.transactionMode,
    branchOf: keyspace,
    branch,
  }
  const result = await store.commit(
    [absent(keys.keyspace(name)), { key: main.key, version: main.version }],
    [
      put(keys.keyspace(name), record),
      ...made.map(({ shard }) => put(keys.shard(name, shard.name), shard)),
      put(keys.routing(name), initialRouting(planned.map((one) => one.shard))),
    ],
  )
  if (!result.ok) throw dualwriteErrors.branchExists({ keyspace, branch })
}

/** All branches of a keyspace, its own (`main`) first. */
export async function branchesOf(world: Pick<World, 'store'>, keyspace: string): Promise<KeyspaceRecord[]> {
  const all = (await listRecords<KeyspaceRecord>(world.store, keys.keyspaces)).map((record) => record.value)
  const main = all.find((one) => one.name === keyspace && one.branchOf === undefined)
  if (main === undefined) throw changeErrors.noKeyspace({ keyspace })
  return [main, ...all.filter((one) => one.branchOf === keyspace)]
}

/** Shards that serve a branch, in key order. */
export async function branchShards(world: Pick<World, 'store'>, keyspace: string, branch: string): Promise<ShardRecord[]> {
  const name = branchKeyspace(keyspace, branch)
  const routing = await readRecord<RoutingRecord>(world.store, keys.routing(name))
  if (routing === null) throw dualwriteErrors.noBranch({ keyspace, branch })
  const shards = (await listRecords<ShardRecord>(world.store, keys.shards(name))).map((record) => record.value)
  return routing.value.components.flatMap((c) => c.serving.primary.flatMap((wanted) => shards.filter((shard) => shard.name === wanted)))
}

/** What goes with a branch: servers that we made and on which nothing else stands, schemas that we made on others, with their data; `kept`: what stays. */
export type BranchDeletion = {
  readonly removed: boolean
  readonly servers: string[]
  readonly schemas: string[]
  readonly kept: string[]
}

/** Removes a branch that nothing reads or writes, and the servers that we made for it (promise 12). @throws SW-DUALWRITE-023 where data would go unasked */
export async function deleteBranch(
  world: World,
  keyspace: string,
  branch: string,
  { yes, dryRun }: { readonly yes: boolean; readonly dryRun: boolean },
): Promise<BranchDeletion> {
  const { store } = world
  const name = branchKeyspace(keyspace, branch)
  const record = await readRecord<KeyspaceRecord>(store, keys.keyspace(name))
  if (record === null || record.value.branchOf !== keyspace) throw dualwriteErrors.noBranch({ keyspace, branch })
  const rule = await readRecord<ReadRule>(store, keys.reads(keyspace))
  if (rule !== null && (rule.value.from === branch || rule.value.to === branch))
    throw dualwriteErrors.branchInUse({
      keyspace,
      branch,
      by: 'the read rule names it',
      fix: 'complete or cancel the dual-write run first',
    })
  const fleet = (await listRecords<FleetRecord>(store, keys.fleets)).find((f) => f.value.keyspace === keyspace && f.value.branch === branch)
  if (fleet !== undefined)
    throw dualwriteErrors.branchInUse({
      keyspace,
      branch,
      by: `fleet ${fleet.value.name} fills it`,
      fix: `shardwright fleet stop ${fleet.value.name}, then fleet delete`,
    })
  const shards = await listRecords<ShardRecord>(store, keys.shards(name))
  const going = await whatGoes(
    store,
    name,
    shards.map((shard) => shard.value),
  )
  if (dryRun) return { removed: false, ...going }
  const data = [...going.servers.map((id) => `server ${id}`), ...going.schemas.map((schema) => `schema ${schema}`)]
  if (data.length > 0 && !yes) throw dualwriteErrors.deleteRemovesData({ keyspace, branch, what: data.join(', ') })
  const result = await store.commit(
    // A run that was created meanwhile has claimed the rule.
    [
      { key: keys.keyspace(name), version: record.version },
      { key: keys.reads(keyspace), version: rule?.version ?? 0 },
    ],
    [
      ...[
        keys.keyspace(name),
        keys.routing(name),
        ...shards.map((shard) => shard.key),
        ...(await epochsOfBranch(store, keyspace, branch)),
      ].map((key) => ({ key, value: undefined })),
      removalPut(
        name,
        shards.map((shard) => shard.value),
      ),
    ],
  )
  if (!result.ok) throw changeErrors.noKeyspace({ keyspace: name })
  await finishRemoval(world, name)
  return { removed: true, ...going }
}

/** Named before it is done, by what `removeShardPlaces` goes by. */
async function whatGoes(store: Store, name: string, shards: readonly ShardRecord[]): Promise<Omit<BranchDeletion, 'removed'>> {
  const others = (await listRecords<ShardRecord>(store, keys.allShards)).filter((shard) => !shard.key.startsWith(keys.shards(name)))
  const servers = new Set<string>()
  const [schemas, kept]: [string[], string[]] = [[], []]
  for (const { serverId, schema, provisioned } of shards) {
    const server = (await readRecord<ServerRecord>(store, keys.server(serverId)))?.value
    const beside = others.filter(({ value }) => value.serverId === serverId)
    if (beside.length === 0 && server?.provisioned !== false) servers.add(serverId)
    else if (provisioned && !beside.some(({ value }) => value.schema === schema)) schemas.push(`${schema} on ${serverId}`)
    else kept.push(`${schema} on ${serverId}`)
  }
  return { servers: [...servers], schemas, kept }
}

function requireName(branch: string): void {
  if (reservedBranches.includes(branch)) throw dualwriteErrors.badBranch({ branch, reason: 'it has a meaning of its own' })
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,31}$/.test(branch)) throw dualwriteErrors.badBranch({ branch, reason: 'it is not such a word' })
}

function place(request: BranchRequest, name: string): Planned[] {
  const { shards, targetServers, targetsPerServer } = request
  const ranges = (typeof shards === 'number' ? generateShardRanges(shards) : shards).map(parseKeyRange)
  coveredRange(ranges, 'keyspace')
  requireWholeCoverage(ranges)
  const names = ranges.map(printKeyRange)
  const schemaOf = (shard: string): string => schemaName(name.replace('@', '_'), shard)
  if (targetServers !== undefined && targetServers.length > 0) {
    return names.map((shard, index) => {
      const server = targetServers[index % targetServers.length] as ServerAddress
      return { shard, serverId: `${server.host}:${server.port}`, schema: schemaOf(shard) }
    })
  }
  const perServer = targetsPerServer ?? Math.max(1, Math.ceil(names.length / 2))
  return names.map((shard, index) => ({ shard, serverId: serverId(name, Math.floor(index / perServer)), schema: schemaOf(shard) }))
}

async function firstShard(world: World, keyspace: string): Promise<ShardRecord> {
  const [first] = await branchShards(world, keyspace, 'main')
  if (first === undefined) throw changeErrors.noShard({ keyspace, shard: '', serving: '' })
  return first
}

/** The keyspace's own tables, secondary keys and partitions too, empty; and the tables in which positions stand. */
async function makeTables(world: World, source: ShardRecord, shard: ShardRecord): Promise<void> {
  await withServer(world.store, source.serverId, 'admin', async (from) => {
    await withServer(world.store, shard.serverId, 'admin', async (to) => {
      if (shard.provisioned) await takeSchemaDefaults({ conn: from, schema: source.schema }, { conn: to, schema: shard.schema })
      await createTargetTables({
        source: { conn: from, schema: source.schema },
        target: { conn: to, schema: shard.schema, uid: shard.uid, name: shard.name },
        workflowUid: shard.uid,
        tables: await tableNames(from, source.schema),
        deferSecondaryKeys: false,
        unfollowed: true,
      })
      await ensureIngestTables(to)
    })
  })
}
