/**
 * Ids across shards: a Vitess-style sequence table in a small unsharded keyspace, from which gates take blocks.
 *
 * The first id lies above every value that the column has anywhere, by a margin: between reading the greatest value and the
 * gates' taking up the new vschema the servers still hand out ids by AUTO_INCREMENT, and those must stay below.
 */
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier, quoteString } from '../sql/quote.ts'
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord, RoutingRecord, ShardRecord } from '../topology/records.ts'
import { listRecords, readRecord } from '../topology/typed.ts'
import { changeErrors } from './errors.ts'
import { createKeyspace } from './keyspaces.ts'
import { withServer } from './servers.ts'
import type { World } from './servers.ts'
import { changeVSchema } from './vschema.ts'

export type SequenceRequest = {
  readonly keyspace: string
  readonly table: string
  readonly column: string
  readonly on?: string | undefined
  readonly cache: number
}

const marginIds = 100_000n
const integerTypes: Readonly<Record<string, bigint>> = {
  int: 2n ** 31n - 1n,
  mediumint: 2n ** 23n - 1n,
  smallint: 2n ** 15n - 1n,
  tinyint: 127n,
  bigint: 2n ** 63n - 1n,
}

export async function createSequence(
  world: World,
  request: SequenceRequest,
): Promise<{ name: string; keyspace: string; nextId: string; cache: number }> {
  const target = `${request.keyspace}.${request.table}.${request.column}`
  const { store } = world
  const keyspace = await readRecord<KeyspaceRecord>(store, keys.keyspace(request.keyspace))
  if (keyspace === null) throw changeErrors.noKeyspace({ keyspace: request.keyspace })
  const limit = await columnLimit(world, request, target)
  const on = request.on ?? `${request.keyspace}_seq`
  const holder = await holderOf(world, on, request, target)
  const name = `${request.table}_seq`
  const greatest = await greatestValue(world, request)
  const start = greatest + (greatest + 2n * marginIds < limit ? marginIds : 1n)
  const nextId = await withServer(store, holder.serverId, 'admin', (connection) =>
    makeTable(connection, holder.schema, name, start, request.cache),
  )
  await changeVSchema(world, on, (vschema: LooseVschema) => ({ ...vschema, tables: { ...vschema.tables, [name]: { type: 'sequence' } } }))
  await changeVSchema(world, request.keyspace, (vschema: LooseVschema) => ({
    ...vschema,
    tables: {
      ...vschema.tables,
      [request.table]: { ...vschema.tables?.[request.table], auto_increment: { column: request.column, sequence: `${on}.${name}` } },
    },
  }))
  return { name, keyspace: on, nextId: String(nextId), cache: request.cache }
}

type LooseVschema = { tables?: Record<string, Record<string, unknown>> } & Record<string, unknown>

async function makeTable(connection: Connection, schema: string, name: string, start: bigint, cache: number): Promise<bigint> {
  const table = `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
  await connection.query(
    `CREATE TABLE IF NOT EXISTS ${table} (id INT NOT NULL, next_id BIGINT, cache BIGINT, PRIMARY KEY (id)) ENGINE=InnoDB COMMENT 'vitess_sequence'`,
  )
  await connection.query(`INSERT IGNORE INTO ${table} (id, next_id, cache) VALUES (0, ${start}, ${cache})`)
  await connection.query(`UPDATE ${table} SET next_id = GREATEST(next_id, ${start}), cache = ${cache} WHERE id = 0`)
  return BigInt((await connection.value(`SELECT next_id FROM ${table} WHERE id = 0`)) ?? '0')
}

/** The one shard of the keyspace that holds sequences; made when it is ours to name. */
async function holderOf(world: World, on: string, request: SequenceRequest, target: string): Promise<ShardRecord> {
  const { store } = world
  const found = await readRecord<KeyspaceRecord>(store, keys.keyspace(on))
  if (found === null) {
    if (request.on !== undefined) throw changeErrors.noKeyspace({ keyspace: on })
    await createKeyspace(world, { name: on, flavour: world.flavour })
  } else if (found.value.sharded) {
    throw changeErrors.sequenceRefused({
      target,
      reason: `keyspace ${on} is sharded`,
      fix: 'name an unsharded keyspace by --on, or leave --on out',
    })
  }
  const shards = await listRecords<ShardRecord>(store, keys.shards(on))
  const shard = shards[0]?.value
  if (shard === undefined) throw changeErrors.noKeyspace({ keyspace: on })
  const others = (await listRecords<ShardRecord>(store, keys.allShards)).filter(
    (s) => s.value.serverId === shard.serverId && s.value.keyspace !== on,
  )
  if (others.length > 0) {
    throw changeErrors.sequenceRefused({
      target,
      reason: `keyspace ${on} is on a server that also holds ${others.map((s) => `${s.value.keyspace}/${s.value.name}`).join(', ')}, which a switch would close`,
      fix: 'leave --on out: a keyspace on a server of its own is provisioned',
    })
  }
  return shard
}

async function servingShards(world: World, keyspace: string): Promise<ShardRecord[]> {
  const routing = await readRecord<RoutingRecord>(world.store, keys.routing(keyspace))
  const names = new Set(routing?.value.components.flatMap((c) => c.serving.primary) ?? [])
  return (await listRecords<ShardRecord>(world.store, keys.shards(keyspace))).map((s) => s.value).filter((s) => names.has(s.name))
}

async function columnLimit(world: World, request: SequenceRequest, target: string): Promise<bigint> {
  const [shard] = await servingShards(world, request.keyspace)
  if (shard === undefined) throw changeErrors.noKeyspace({ keyspace: request.keyspace })
  const where = `TABLE_SCHEMA = ${quoteString(shard.schema)} AND TABLE_NAME = ${quoteString(request.table)} AND COLUMN_NAME = ${quoteString(request.column)}`
  const type = await withServer(world.store, shard.serverId, 'admin', (connection) =>
    connection.value(`SELECT DATA_TYPE FROM information_schema.COLUMNS WHERE ${where}`),
  )
  if (type === undefined || type === null) {
    throw changeErrors.sequenceRefused({ target, reason: 'there is no such table or column', fix: 'name them as keyspace.table.column' })
  }
  const limit = integerTypes[type.toLowerCase()]
  if (limit === undefined)
    throw changeErrors.sequenceRefused({ target, reason: `the column is ${type}, not an integer`, fix: 'use an integer column' })
  return limit
}

async function greatestValue(world: World, request: SequenceRequest): Promise<bigint> {
  let greatest = 0n
  for (const shard of await servingShards(world, request.keyspace)) {
    const value = await withServer(world.store, shard.serverId, 'admin', (connection) =>
      connection.value(
        `SELECT GREATEST(COALESCE((SELECT MAX(${quoteIdentifier(request.column)}) FROM ${quoteIdentifier(shard.schema)}.${quoteIdentifier(request.table)}), 0),
          COALESCE((SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteString(shard.schema)} AND TABLE_NAME = ${quoteString(request.table)}), 0))`,
      ),
    )
    const here = BigInt(value ?? '0')
    if (here > greatest) greatest = here
  }
  return greatest
}
