/** A fleet's record made into what its session works with: definition, shards that serve, plans of tables held against every shard. */
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { parseKeyRange } from '../keyspace/key-range.ts'
import { readVschema } from '../keyspace/vschema.ts'
import { resolveVschema, type ResolvedVschema } from '../keyspace/vschema-resolve.ts'
import type { Connection } from '../mysql/connection.ts'
import { readSchema } from '../mysql/introspect.ts'
import type { TableInfo } from '../mysql/table-info.ts'
import type { KeyspaceRecord, RoutingRecord, ShardRecord, VSchemaRecord } from '../topology/records.ts'
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { Store } from '../topology/store.ts'
import { readRecord } from '../topology/typed.ts'
import { allTables, type TopicDefinition } from './definition.ts'
import { ingestErrors } from './errors.ts'
import type { Maker } from './made-row.ts'
import { planTable, type TablePlan, type TableProblem } from './table-plan.ts'

export type PlannedShard = { readonly name: string; readonly uid: string; readonly serverId: string; readonly schema: string }

export type Branch = {
  readonly shards: readonly PlannedShard[]
  readonly index: KeyRangeIndex<number>
  readonly vschema: ResolvedVschema
  readonly sharded: boolean
}

/** The shards that serve a branch, in key order, and the vschema of its keyspace. */
export async function readBranch(store: Store, keyspace: string, branch: string): Promise<Branch> {
  const name = branchKeyspace(keyspace, branch)
  const [record, routing, vschema] = await Promise.all([
    readRecord<KeyspaceRecord>(store, keys.keyspace(name)),
    readRecord<RoutingRecord>(store, keys.routing(name)),
    readRecord<VSchemaRecord>(store, keys.vschema(keyspace)),
  ])
  if (record === null || routing === null || vschema === null) throw ingestErrors.noBranch({ branch: name })
  const names = routing.value.components.flatMap(({ serving }) => serving.primary)
  const shards: PlannedShard[] = []
  for (const shard of names) {
    const found = await readRecord<ShardRecord>(store, keys.shard(name, shard))
    if (found === null) throw ingestErrors.noBranch({ branch: `${name}/${shard}` })
    shards.push({ name: shard, uid: found.value.uid, serverId: found.value.serverId, schema: found.value.schema })
  }
  return {
    shards,
    index: new KeyRangeIndex(shards.map((shard, value) => ({ range: parseKeyRange(shard.name), value }))),
    vschema: resolveVschema(readVschema(vschema.value.vschema)),
    sharded: record.value.sharded,
  }
}

export type CheckedShard = { readonly shard: string; readonly tables: ReadonlyMap<string, TableInfo> }

export async function readTables(connection: Connection, shard: PlannedShard, definition: TopicDefinition): Promise<CheckedShard> {
  const names = allTables(definition).map(({ table }) => table)
  const schema = await readSchema(connection, shard.schema, names)
  return { shard: shard.name, tables: new Map(schema.tables.map((info) => [info.name, info])) }
}

export type Checked = { readonly makers: ReadonlyMap<number, Maker>; readonly problems: (TableProblem & { shard: string })[] }

/** Every version of the definition against every shard: all problems at once, or the plans. */
export function checkDefinition(
  definition: TopicDefinition,
  topicId: string,
  branch: Pick<Branch, 'vschema' | 'sharded'>,
  shards: readonly CheckedShard[],
): Checked {
  const problems: (TableProblem & { shard: string })[] = []
  const makers = new Map<number, Maker>()
  for (const version of [...definition.previous, definition]) {
    const plans: TablePlan[] = []
    for (const table of version.tables) {
      const vschema = branch.vschema.tables.get(table.table) ?? null
      let first: TableInfo | null = null
      for (const { shard, tables } of shards) {
        const info = tables.get(table.table) ?? null
        const { plan, problems: found } = planTable({ definition: table, topicId, info, vschema, sharded: branch.sharded })
        for (const problem of found) {
          const same = problems.find(
            (other) => other.table === problem.table && other.column === problem.column && other.problem === problem.problem,
          )
          if (same === undefined) problems.push({ ...problem, shard })
          else if (!same.shard.split(', ').includes(shard)) same.shard += `, ${shard}`
        }
        if (info !== null && first !== null && columnsText(info) !== columnsText(first))
          problems.push({
            shard,
            table: table.table,
            column: null,
            problem: `its columns differ from those on ${shards[0]?.shard}`,
            fix: 'make them alike on all shards',
          })
        if (first === null && info !== null) {
          first = info
          if (plan !== null) plans.push(plan)
        }
      }
    }
    makers.set(version.version, { definition: version, plans })
  }
  return { makers, problems }
}

function columnsText(info: TableInfo): string {
  return info.columns.map((column) => `${column.name} ${column.columnType} ${column.collation} ${column.nullable}`).join(',')
}
