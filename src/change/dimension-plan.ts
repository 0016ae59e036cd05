/**
 * Which tables of a keyspace a hybrid bootstrap copies, and how each is written on the new branch (PROTOCOLS 4.13):
 *
 * - `merge`  a dimension table of a definition: the new fleet writes it as well, so rows are merged by the fleet's own upsert;
 * - `copy`   a table that no definition fills: the streams alone write it there, as in a reshard;
 * - all others come from the topic.
 */
import type { SwError } from '../base/errors.ts'
import type { TableDefinition } from '../ingest/definition.ts'
import { readVschema } from '../keyspace/vschema.ts'
import { resolveVschema } from '../keyspace/vschema-resolve.ts'
import { preflightSource, preflightTarget } from '../move/preflight.ts'
import { untoldExpressions } from '../move/true-definition.ts'
import { readSchema } from '../mysql/introspect.ts'
import type { SchemaInfo } from '../mysql/table-info.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRecord, StreamTable, TableMerge, VSchemaRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { readRecord } from '../topology/typed.ts'
import { cascadesLogged } from './cascade-check.ts'
import type { Finding } from './dualwrite-world.ts'
import { differentTables, streamTables } from './reshard-plan.ts'
import { cascadesOf, schemaFindings, serverFindings } from './source-checks.ts'
import { withServer } from './servers.ts'

export type DimensionPlan = { readonly tables: readonly StreamTable[]; readonly findings: readonly Finding[] }

type Input = {
  readonly store: Store
  readonly keyspace: string
  readonly shards: readonly ShardRecord[]
  readonly newShards: readonly ShardRecord[]
  /** Uid of a run that may have begun to copy already: its tables are not empty then. */
  readonly own: string | null
  /** Of all definitions. */
  readonly defined: readonly TableDefinition[]
}

export async function planDimensions({ store, keyspace, shards, newShards, own, defined }: Input): Promise<DimensionPlan> {
  const errors: SwError[] = []
  const schemas: SchemaInfo[] = []
  const asked = own === null ? 'shown' : 'made'
  for (const shard of shards) {
    await withServer(store, shard.serverId, 'admin', async (connection) => {
      errors.push(...(await serverFindings(connection, shard.serverId)), ...(await preflightSource(connection)))
      const schema = await readSchema(connection, shard.schema)
      const moved = schema.tables.filter((table) => table.kind === 'BASE TABLE' && isMoved(table.name, defined))
      const own = { ...schema, tables: moved, events: [] }
      schemas.push(own)
      const { logs } = await cascadesLogged(connection, shard.serverId, cascadesOf(own).length, asked)
      errors.push(...schemaFindings(own, logs), ...untoldExpressions(connection.flavour, moved))
    })
  }
  errors.push(...differentTables(shards, schemas))
  const vschema = readVschema((await readRecord<VSchemaRecord>(store, keys.vschema(keyspace)))?.value.vschema ?? {})
  const merges = new Map(defined.flatMap((table) => (table.kind === 'dimension' ? [[table.table, mergeOf(table)] as const] : [])))
  const tables = streamTables(keyspace, schemas.slice(0, 1), vschema, resolveVschema(vschema), errors).map((table): StreamTable => {
    const merge = merges.get(table.name)
    return merge === undefined ? table : { ...table, merge }
  })
  const copied = tables.filter(({ merge }) => merge === undefined).map(({ name }) => name)
  const begun = own !== null && (await store.list(keys.streamsOf(own))).entries.size > 0
  for (const { serverId, schema, name } of begun ? [] : newShards)
    errors.push(...(await withServer(store, serverId, 'admin', (connection) => preflightTarget(connection, schema, name, copied))))
  return { tables, findings: findingsOf(tables, defined, errors) }
}

function isMoved(name: string, defined: readonly TableDefinition[]): boolean {
  const own = defined.find((table) => table.table === name)
  return own === undefined || own.kind === 'dimension'
}

function mergeOf({ columns, lastVersion }: TableDefinition): TableMerge {
  const merged: TableMerge['columns'] = {}
  for (const [name, { merge }] of Object.entries(columns)) if (merge === 'last' || merge === 'min' || merge === 'max') merged[name] = merge
  return { columns: merged, lastVersion }
}

function findingsOf(tables: readonly StreamTable[], defined: readonly TableDefinition[], errors: readonly SwError[]): Finding[] {
  const told = (what: string, why: string): Finding => ({ check: 'dimensions', what, why, fix: '', blocks: false })
  const distinct = [...new Map(errors.map((error) => [`${error.code} ${error.message}`, error])).values()]
  const found = distinct.map((error): Finding => ({
    check: 'dimensions',
    what: `${error.code} ${error.message}`,
    why: error.why,
    fix: error.fix,
    blocks: true,
  }))
  if (tables.length === 0 && errors.length === 0)
    found.push({
      check: 'dimensions',
      what: 'hybrid has nothing to copy: topics fill every table, and all rows expire',
      why: 'a second way beside the topic would only cost',
      fix: '--bootstrap pin, or pin+wait',
      blocks: true,
    })
  return [
    ...found,
    ...tables.map(({ name, merge }) =>
      merge === undefined
        ? told(`${name}: no definition fills it: its rows are copied and kept in step from the binlog`, 'clients write it on the old side')
        : told(
            `${name}: a dimension table: its rows are copied and kept in step, merged with what the new fleet writes (${waysText(merge)})`,
            'a delete, or a value that goes back in its order, cannot be merged: it stops the copy by name',
          ),
    ),
    ...defined
      .filter(({ kind }) => kind !== 'dimension')
      .map(({ table }) => told(`${table}: its rows come from the topic`, 'they expire, so the branch fills by itself')),
  ]
}

function waysText({ columns, lastVersion }: TableMerge): string {
  const ways = Object.entries(columns).map(([column, way]) => (way === 'last' ? `${column} last by ${lastVersion}` : `${column} ${way}`))
  return ways.length === 0 ? 'keys alone' : ways.join(', ')
}
