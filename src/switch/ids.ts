/**
 * Ids handed out after the switch lie above every value that stands on either side (PROTOCOLS 3, step 5).
 *
 * A sequence's `next_id` is raised above the greatest value of its column on either side. It never goes down, and gates' blocks come out of it, so
 * only values that clients chose themselves can be above it. Done once before clients are held, with a margin, and once more under the
 * table locks, when values can no longer grow.
 */
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRecord, VSchemaRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, readRecord } from '../topology/typed.ts'
import type { ClaimPool } from './claim.ts'
import { switchErrors } from './errors.ts'
import type { SwitchPlan } from './plan.ts'
import { settled } from './settled.ts'

export type PlannedId = {
  readonly table: string
  readonly column: string
  readonly sequence: { readonly serverId: string; readonly schema: string; readonly table: string }
}

type AutoIncrement = { auto_increment?: { column?: unknown; sequence?: unknown } }

/** The sequences that the plan's tables take ids from. */
export async function plannedIds(store: Store, plan: SwitchPlan): Promise<PlannedId[]> {
  const record = await readRecord<VSchemaRecord>(store, keys.vschema(plan.keyspace))
  const tables = ((record?.value.vschema ?? {}) as { tables?: Record<string, AutoIncrement> }).tables ?? {}
  const ids: PlannedId[] = []
  for (const { name } of plan.tables) {
    const auto = tables[name]?.auto_increment
    if (typeof auto?.column !== 'string' || typeof auto.sequence !== 'string') continue
    const dot = auto.sequence.indexOf('.')
    const holder = dot < 0 ? await keyspaceOfSequence(store, auto.sequence) : auto.sequence.slice(0, dot)
    const table = auto.sequence.slice(dot + 1)
    const shard = (await listRecords<ShardRecord>(store, keys.shards(holder)))[0]?.value
    if (shard === undefined) throw switchErrors.shardUnknown({ kind: 'keyspace of sequence', name: auto.sequence })
    ids.push({ table: name, column: auto.column, sequence: { serverId: shard.serverId, schema: shard.schema, table } })
  }
  return ids
}

async function keyspaceOfSequence(store: Store, sequence: string): Promise<string> {
  for (const record of await listRecords<VSchemaRecord>(store, keys.vschemas)) {
    const tables = (record.value.vschema as { tables?: Record<string, { type?: unknown }> }).tables ?? {}
    if (tables[sequence]?.type === 'sequence') return record.key.slice(keys.vschemas.length)
  }
  throw switchErrors.shardUnknown({ kind: 'sequence', name: sequence })
}

/** Raises each sequence above its column's greatest value on both sides by `margin`; returns those that were raised. */
export async function raiseIds(
  pool: ClaimPool,
  plan: SwitchPlan,
  ids: readonly PlannedId[],
  margin: bigint,
  signal: AbortSignal,
): Promise<string[]> {
  const raised = await settled(
    ids.map(async ({ table, column, sequence }) => {
      const greatest = await settled(
        [...plan.from.shards, ...plan.to.shards].map((shard) =>
          pool.run(
            shard.serverId,
            async ({ connection }) => {
              if (!(await leadsAnIndex(connection, shard.schema, table, column))) return 0n
              const sql = `SELECT MAX(${quoteIdentifier(column)}) FROM ${quoteQualified(shard.schema, table)}`
              return BigInt((await connection.value(sql)) ?? '0')
            },
            signal,
          ),
        ),
      )
      const max = greatest.reduce((a, b) => (b > a ? b : a), 0n)
      const name = quoteQualified(sequence.schema, sequence.table)
      return pool.run(
        sequence.serverId,
        async ({ connection }) => {
          const result = await connection.query(`UPDATE ${name} SET next_id = ${max + 1n + margin} WHERE id = 0 AND next_id <= ${max}`)
          return result.kind === 'ok' && result.affectedRows > 0n ? [`${table}.${column} → ${max + 1n + margin}`] : []
        },
        signal,
      )
    }),
  )
  return raised.flat()
}

/** Without one the greatest value is a scan of the table, which nobody waits for in a switch. */
async function leadsAnIndex(
  connection: { value(sql: string): Promise<string | null | undefined> },
  schema: string,
  table: string,
  column: string,
): Promise<boolean> {
  const sql = `SELECT 1 FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ${quoteString(schema)} AND TABLE_NAME = ${quoteString(table)}
    AND COLUMN_NAME = ${quoteString(column)} AND SEQ_IN_INDEX = 1 LIMIT 1`
  return (await connection.value(sql)) !== undefined
}
