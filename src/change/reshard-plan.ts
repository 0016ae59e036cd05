/**
 * What a reshard would do, found out without changing anything: sides, tables, what stands in the way (all of it at once).
 * `create` and its dry run both start from here, so what is shown is what runs.
 */
import type { SwError } from '../base/errors.ts'
import { isSwError } from '../base/errors.ts'
import type { ReshardSpec } from './reshard-spec.ts'
import { keyRangesIntersect, parseKeyRange, printKeyRange } from '../keyspace/key-range.ts'
import type { KeyRange } from '../keyspace/key-range.ts'
import { planReshard, sortKeyRanges } from '../keyspace/key-range-sets.ts'
import { readVschema } from '../keyspace/vschema.ts'
import type { Vschema } from '../keyspace/vschema.ts'
import { resolveVschema, sameColumn } from '../keyspace/vschema-resolve.ts'
import type { ResolvedTable, ResolvedVschema } from '../keyspace/vschema-resolve.ts'
import { readSchema } from '../mysql/introspect.ts'
import { readSessionDefaults, type SessionDefaults } from '../mysql/session-defaults.ts'
import type { SchemaInfo, TableInfo } from '../mysql/table-info.ts'
import { charsetToUtf8 } from '../move/charset.ts'
import { moveErrors } from '../move/errors.ts'
import { preflightSource } from '../move/preflight.ts'
import { untoldExpressions } from '../move/true-definition.ts'
import { keys } from '../topology/keys.ts'
import type {
  KeyspaceRecord,
  RoutingRecord,
  ServerRecord,
  ServerSecret,
  ShardRecord,
  StreamTable,
  VSchemaRecord,
} from '../topology/records.ts'
import { attachWorkflow } from '../topology/routing.ts'
import { listRecords, readRecord } from '../topology/typed.ts'
import { Failures } from '../workflow/context.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { attachedFindings, type Passwords } from './attached-findings.ts'
import { cascadesLogged, type Asked } from './cascade-check.ts'
import { changeErrors } from './errors.ts'
import { jsonNotes } from './json-values.ts'
import { schemaName, serverId } from './keyspaces.ts'
import type { MergeSource } from './key-collisions.ts'
import { duplicateKeys, keysLeftUnique } from './merge-checks.ts'
import type { MergeFindings } from './merge-checks.ts'
import { lookAtRoom } from './room-look.ts'
import { connectServer, withServer } from './servers.ts'
import { disagreements } from './source-agreement.ts'
import { cascadesOf, schemaFindings, serverFindings, serverNotes } from './source-checks.ts'
import type { World } from './servers.ts'

/** For looking up the keys of one source on another; streams find the rest. */
const mergeLookMs = 20_000

export type PlannedTarget = { readonly shard: string; readonly serverId: string; readonly schema: string }

export type ReshardPlan = {
  readonly keyspace: KeyspaceRecord
  readonly sources: readonly ShardRecord[]
  readonly targets: readonly PlannedTarget[]
  /** Of provisioned targets: the servers to make. */
  readonly newServers: readonly string[]
  readonly flavour: ServerRecord['flavour']
  readonly tables: readonly StreamTable[]
  readonly views: readonly string[]
  /** Of the record that tables were planned by. */
  readonly vschemaVersion: number
  readonly lines: string[]
}

/**
 * `tag` goes into the ids of servers that are made, so that no two workflows ever share one.
 * @throws Failures with everything that stands in the way
 */
export async function planReshardCreate(
  world: World,
  keyspaceName: string,
  workflow: string,
  spec: ReshardSpec,
  tag = 'new',
  /** Of the servers that are to be attached. */
  passwords: Passwords = {},
  asked: Asked = 'shown',
): Promise<ReshardPlan> {
  const { store } = world
  const errors: SwError[] = []
  const keep = <T>(work: () => T): T | null => {
    try {
      return work()
    } catch (error) {
      if (!isSwError(error)) throw error
      errors.push(error)
      return null
    }
  }
  const keyspace = await readRecord<KeyspaceRecord>(store, keys.keyspace(keyspaceName))
  const routing = await readRecord<RoutingRecord>(store, keys.routing(keyspaceName))
  if (keyspace === null || routing === null) throw changeErrors.noKeyspace({ keyspace: keyspaceName })
  const sourceRanges = keep(() => spec.sourceShards.map(parseKeyRange))
  const targetRanges = keep(() => spec.targetShards.map(parseKeyRange))
  if (sourceRanges === null || targetRanges === null) throw new Failures(errors)
  if (keep(() => planReshard(sourceRanges, targetRanges)) === null) throw new Failures(errors)
  const sourceNames = sortKeyRanges(sourceRanges).map(printKeyRange)
  const targetNames = sortKeyRanges(targetRanges).map(printKeyRange)
  const attached = attachWorkflow(routing.value, { workflow, sources: sourceNames, targets: targetNames, token: routing.value.token })
  if (!attached.ok) errors.push(attached.error)
  const shards = (await listRecords<ShardRecord>(store, keys.shards(keyspaceName))).map((record) => record.value)
  const serving = routing.value.components.flatMap((component) => component.serving.primary)
  const sources = sourceNames.flatMap((name) => {
    const shard = shards.find((one) => one.name === name && serving.includes(name))
    if (shard === undefined) errors.push(changeErrors.noShard({ keyspace: keyspaceName, shard: name, serving: serving.join(', ') }))
    return shard === undefined ? [] : [shard]
  })
  for (const name of targetNames) {
    if (shards.some((shard) => shard.name === name)) errors.push(changeErrors.shardExists({ keyspace: keyspaceName, shard: name }))
  }
  if (errors.length > 0 || sources.length === 0) throw new Failures(errors)
  errors.push(...(await sharedServers(world, { keyspace: keyspaceName, name: workflow }, sources, spec)))
  if (spec.fence === 'triggers' && spec.onDdl !== 'stop') errors.push(changeErrors.fenceLetsDdlPass({ onDdl: spec.onDdl }))
  const vschemaRecord = await readRecord<VSchemaRecord>(store, keys.vschema(keyspaceName))
  const definition = readVschema(vschemaRecord?.value.vschema ?? {})
  const vschema = resolveVschema(definition)
  if (!vschema.sharded) errors.push(changeErrors.notSharded({ keyspace: keyspaceName }))
  const schemas: SchemaInfo[] = []
  const notes: string[] = []
  const defaults = new Map<string, SessionDefaults>()
  for (const source of sources) {
    const secret = (await readRecord<ServerSecret>(store, keys.secret(source.serverId)))?.value
    await withServer(store, source.serverId, 'admin', async (connection) => {
      const schema = await readSchema(connection, source.schema)
      schemas.push(schema)
      defaults.set(source.serverId, await readSessionDefaults(connection))
      errors.push(...(await serverFindings(connection, source.serverId)), ...(await preflightSource(connection)))
      const logged = await cascadesLogged(connection, source.serverId, cascadesOf(schema).length, asked)
      notes.push(...logged.notes)
      errors.push(...schemaFindings(schema, logged.logs, spec.triggers), ...untoldExpressions(connection.flavour, schema.tables))
      notes.push(...(await serverNotes(connection, source.serverId, secret)), ...(await jsonNotes(connection, schema, world.clock)))
    })
  }
  errors.push(...differentTables(sources, schemas))
  const tables = streamTables(keyspaceName, schemas, definition, vschema, errors)
  if (errors.length > 0) throw new Failures(distinct(errors))
  const [whole] = schemas
  // A merge says it of its own accord, with the values that stand there.
  if (whole !== undefined && targetRanges.length > sources.length) notes.push(...keysLeftUnique(whole, tables))
  const merged = await mergeFindings(world, sources, schemas, targetRanges, tables)
  if (merged.errors.length > 0) throw new Failures(distinct(merged.errors))
  const flavour = (await readRecord<ServerRecord>(store, keys.server(sources[0]?.serverId ?? '')))?.value.flavour ?? world.flavour
  const { targets, newServers } = placeTargets(keyspaceName, targetNames, spec, tag)
  errors.push(...(await targetFindings(world, { keyspace: keyspaceName, name: workflow }, targets, spec)))
  const [first] = sources
  if (first !== undefined && errors.length === 0) {
    const names = tables.map((table) => table.name)
    const attachedServers = await attachedFindings(
      world,
      first,
      names,
      spec.targetServers ?? [],
      passwords,
      targets,
      schemas.flatMap(cascadesOf),
      asked,
      defaults,
    )
    errors.push(...attachedServers.errors)
    notes.push(...attachedServers.notes)
  }
  if (errors.length > 0) throw new Failures(distinct(errors))
  const room = await lookAtRoom(world, {
    sources: sources.map(({ name: shard, serverId: id }) => ({ shard, serverId: id })),
    targets,
    newServers,
    dataBytes: schemas.flatMap((schema) => schema.tables).reduce((bytes, table) => bytes + table.dataBytes, 0),
    targetServers: spec.targetServers,
    passwords,
  })
  if (room.errors.length > 0) throw new Failures(room.errors)
  const plan = {
    keyspace: keyspace.value,
    sources,
    targets,
    newServers,
    flavour,
    tables,
    views: schemas[0]?.views.map((view) => view.name) ?? [],
    vschemaVersion: vschemaRecord?.version ?? 0,
  }
  return { ...plan, lines: [...describe(plan, schemas), ...room.notes, ...new Set([...notes, ...merged.notes])] }
}

/** The tables of the first source are what is moved: the others must have the same. */
export function differentTables(sources: readonly { name: string }[], schemas: readonly Pick<SchemaInfo, 'tables'>[]): SwError[] {
  const names = schemas.map((schema) => new Set(schema.tables.map((table) => table.name)))
  const first = names[0] ?? new Set()
  return names.flatMap((own, index) => {
    const differing = [...own.symmetricDifference(first)]
    if (differing.length === 0) return []
    return [changeErrors.tablesDiffer({ source: sources[index]?.name, first: sources[0]?.name, tables: differing.join(', ') })]
  })
}

/** Every table of the source has its place in the vschema, its columns are there, its ids come from a sequence. */
export function streamTables(
  keyspace: string,
  schemas: readonly SchemaInfo[],
  definition: Vschema,
  vschema: ResolvedVschema,
  errors: SwError[],
): StreamTable[] {
  const first = schemas[0]
  if (first === undefined) return []
  return first.tables.flatMap((info) => {
    const table = vschema.tables.get(info.name)
    if (table === undefined) {
      errors.push(changeErrors.noVschemaTable({ table: info.name, keyspace }))
      return []
    }
    const one = streamTable(info, table, definition)
    if (one === null) {
      errors.push(changeErrors.noVschemaTable({ table: info.name, keyspace }))
      return []
    }
    for (const column of one.vindex?.columns ?? []) {
      const there = info.columns.find((one) => sameColumn(one.name, column))
      if (there === undefined) errors.push(changeErrors.vindexColumnMissing({ table: info.name, column }))
      else if (there.generated !== null) errors.push(moveErrors.generatedShardKey({ table: info.name, column }))
      else if (there.dataType === 'enum' || there.dataType === 'set')
        errors.push(changeErrors.shardKeyType({ keyspace, table: info.name, column, type: there.dataType.toUpperCase() }))
      else if (charsetToUtf8(there.charset) === 'unsupported')
        errors.push(moveErrors.unsupportedCharset({ column, table: info.name, charset: there.charset }))
    }
    const auto = info.columns.find((column) => column.autoIncrement)
    if (auto !== undefined && (table.autoIncrement === null || !sameColumn(table.autoIncrement.column, auto.name))) {
      errors.push(changeErrors.autoIncrementWithoutSequence({ keyspace, table: info.name, column: auto.name }))
    }
    return [one]
  })
}

function streamTable(info: TableInfo, table: ResolvedTable, definition: Vschema): StreamTable | null {
  if (table.kind === 'reference') return { name: info.name, reference: true, vindex: null }
  if (table.kind !== 'sharded') return null
  const { vindex, columns } = table.primaryVindex
  const params = definition.vindexes?.[vindex.name]?.params ?? {}
  return { name: info.name, reference: false, vindex: { type: vindex.type, params: { ...params }, columns: [...columns] } }
}

/** Of sources that feed a common target: tables that are not alike, and values of unique keys that stand on both. */
async function mergeFindings(
  world: World,
  sources: readonly ShardRecord[],
  schemas: readonly SchemaInfo[],
  targets: readonly KeyRange[],
  tables: readonly StreamTable[],
): Promise<MergeFindings> {
  const meet = (source: ShardRecord, target: KeyRange): boolean => keyRangesIntersect(parseKeyRange(source.name), target)
  const pairs = sources.flatMap((one, i) =>
    sources
      .slice(i + 1)
      .flatMap((other) => (targets.some((target) => meet(one, target) && meet(other, target)) ? [[one, other] as const] : [])),
  )
  if (pairs.length === 0) return { errors: [], notes: [] }
  const open: MergeSource[] = []
  try {
    for (const [i, source] of sources.entries()) {
      const schema = schemas[i]
      if (schema !== undefined)
        open.push({ shard: source.name, schema, connection: await connectServer(world.store, source.serverId, 'admin') })
    }
    const of = (shard: ShardRecord): MergeSource[] => open.filter((one) => one.shard === shard.name)
    const together = pairs.flatMap(([one, other]) => of(one).flatMap((a) => of(other).map((b) => [a, b] as const)))
    const differing = await disagreements(
      together,
      tables.map(({ name }) => name),
    )
    if (differing.length > 0) return { errors: differing, notes: [] }
    return await duplicateKeys(together, tables, world.clock, mergeLookMs)
  } finally {
    for (const { connection } of open) await connection.close()
  }
}

/**
 * A switch closes whole servers, so nothing that must go on serving may share one with a source, unless armed triggers are asked for, which act on
 * schemas.
 */
async function sharedServers(world: World, own: Own, sources: readonly ShardRecord[], spec: ReshardSpec): Promise<SwError[]> {
  const all = (await listRecords<ShardRecord>(world.store, keys.allShards)).map((record) => record.value)
  const moving = new Set(sources.map((shard) => shard.uid))
  const servers = new Set(sources.map((shard) => shard.serverId))
  if (spec.fence === 'triggers') return closedWhole(world, own, servers, all)
  return all
    .filter((shard) => servers.has(shard.serverId) && !moving.has(shard.uid))
    .map((shard) => changeErrors.serverShared({ server: shard.serverId, what: `${shard.keyspace}/${shard.name}` }))
}

type Own = { readonly keyspace: string; readonly name: string }

/** What armed triggers leave to others on a server, another workflow's fence of another kind would take away: it closes all of it. */
async function closedWhole(world: World, own: Own, servers: ReadonlySet<string>, shards: readonly ShardRecord[]): Promise<SwError[]> {
  const errors: SwError[] = []
  for (const { value: other } of await listRecords<WorkflowRecord>(world.store, keys.workflows)) {
    if (other.ended || other.kind !== 'reshard' || (other.keyspace === own.keyspace && other.name === own.name)) continue
    const { fence, sourceShards = [], targetShards = [], targetServers = [] } = other.spec as unknown as Partial<ReshardSpec>
    if (fence === 'triggers') continue
    const mine = shards.filter((shard) => shard.keyspace === other.keyspace && [...sourceShards, ...targetShards].includes(shard.name))
    const used = [...mine.map((shard) => shard.serverId), ...targetServers.map(({ host, port }) => `${host}:${port}`)]
    for (const server of new Set(used))
      if (servers.has(server))
        errors.push(changeErrors.closedWhole({ server, workflow: `${other.keyspace}.${other.name}`, fence: fence ?? 'strongest' }))
  }
  return errors
}

/** Attached target servers are given in turn; else new ones are made, several targets on each. */
function placeTargets(
  keyspace: string,
  names: readonly string[],
  spec: ReshardSpec,
  tag: string,
): { targets: PlannedTarget[]; newServers: string[] } {
  if (spec.targetServers !== undefined && spec.targetServers.length > 0) {
    const servers = spec.targetServers
    return {
      targets: names.map((shard, index) => {
        const server = servers[index % servers.length]
        return { shard, serverId: `${server?.host}:${server?.port}`, schema: server?.schema ?? schemaName(keyspace, shard) }
      }),
      newServers: [],
    }
  }
  const perServer = spec.targetsPerServer ?? Math.max(1, Math.ceil(names.length / 2))
  const targets = names.map((shard, index) => ({
    shard,
    serverId: serverId(keyspace, Math.floor(index / perServer), tag),
    schema: schemaName(keyspace, shard),
  }))
  return { targets, newServers: [...new Set(targets.map((target) => target.serverId))] }
}

/**
 * Attached targets are closed at creation, whole servers of them: none may hold a shard, which serves or is a way back, and none may be
 * meant by another workflow. Two shards never share a schema.
 */
async function targetFindings(
  world: World,
  own: { keyspace: string; name: string },
  targets: readonly PlannedTarget[],
  spec: ReshardSpec,
): Promise<SwError[]> {
  if (spec.targetServers === undefined || spec.targetServers.length === 0) return []
  const servers = new Set(targets.map((target) => target.serverId))
  const errors: SwError[] = []
  const places = new Set<string>()
  for (const { serverId: server, schema, shard } of targets) {
    if (places.has(`${server} ${schema}`)) errors.push(changeErrors.targetsShareSchema({ shard, schema, server }))
    places.add(`${server} ${schema}`)
  }
  const shards = (await listRecords<ShardRecord>(world.store, keys.allShards)).map((record) => record.value)
  for (const shard of shards) {
    if (places.has(`${shard.serverId} ${shard.schema}`))
      errors.push(changeErrors.schemaTaken({ server: shard.serverId, schema: shard.schema, shard: `${shard.keyspace}/${shard.name}` }))
  }
  if (spec.fence === 'triggers') return [...errors, ...(await closedWhole(world, own, servers, shards))]
  for (const shard of shards) {
    if (servers.has(shard.serverId))
      errors.push(changeErrors.serverShared({ server: shard.serverId, what: `${shard.keyspace}/${shard.name}` }))
  }
  for (const { value: other } of await listRecords<WorkflowRecord>(world.store, keys.workflows)) {
    if (other.ended || (other.keyspace === own.keyspace && other.name === own.name)) continue
    for (const { host, port } of (other.spec as unknown as Partial<ReshardSpec>).targetServers ?? []) {
      const server = `${host}:${port}`
      if (servers.has(server)) errors.push(changeErrors.serverShared({ server, what: `targets of ${other.keyspace}.${other.name}` }))
    }
  }
  return errors
}

function describe(plan: Omit<ReshardPlan, 'lines'>, schemas: readonly SchemaInfo[]): string[] {
  const infos = schemas.flatMap((schema) => schema.tables)
  const rows = infos.reduce((n, table) => n + table.rowsEstimate, 0)
  const bytes = infos.reduce((n, table) => n + table.dataBytes, 0)
  const targetServers = new Set(plan.targets.map((target) => target.serverId)).size
  return [
    `reshard ${plan.keyspace.name}: ${plan.sources.map((shard) => shard.name).join(',')} → ${plan.targets.map((target) => target.shard).join(',')}`,
    `about ${rows.toLocaleString('en-US')} rows, ${Math.round(bytes / 1e6)} MB, in ${plan.tables.length} tables: ${plan.tables.map((table) => table.name).join(', ')}`,
    `room: about ${Math.ceil(bytes / 1e6 / Math.max(1, targetServers))} MB for data and as much for binlog on each of ${targetServers} target servers, and the binlog of the whole copy kept on the sources`,
    ...(plan.newServers.length === 0 ? [] : [`makes ${plan.newServers.length} servers (${plan.flavour}), closed to clients`]),
    ...plan.sources.map((source) => {
      const fed = plan.targets.filter((target) => keyRangesIntersect(parseKeyRange(target.shard), parseKeyRange(source.name)))
      return `reads ${source.name} on ${source.serverId} once, and its binlog once, for ${fed.map((target) => target.shard).join(',')}`
    }),
  ]
}

function distinct(errors: readonly SwError[]): SwError[] {
  return [...new Map(errors.map((error) => [`${error.code} ${error.message}`, error])).values()]
}
