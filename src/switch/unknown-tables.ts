/**
 * Tables of the side that serves that no stream moves. They came after the workflow began: a switch would leave them, and what clients wrote
 * there, behind on the closed side. Looked for before the switch, and once more under the fence, when nobody can make another.
 */
import type { SwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import { switchErrors } from './errors.ts'
import type { SwitchPlan } from './plan.ts'

export async function unknownTables(connection: Connection, plan: SwitchPlan, serverId: string): Promise<SwError[]> {
  const schemas = plan.from.shards.filter((shard) => shard.serverId === serverId).map((shard) => shard.schema)
  if (schemas.length === 0) return []
  const moved = new Set(plan.tables.map((table) => table.name))
  const rows = await connection.allText(
    `SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t FROM information_schema.TABLES
     WHERE TABLE_SCHEMA IN (${schemas.map(quoteString).join(', ')}) AND TABLE_TYPE NOT LIKE '%VIEW'`,
  )
  const strange = rows.filter((row) => !moved.has(row['t'] ?? ''))
  return [...new Set(strange.map((row) => row['s'] ?? ''))].map((schema) =>
    switchErrors.tablesUnknown({
      server: serverId,
      schema,
      workflow: plan.workflow,
      tables: strange
        .filter((row) => row['s'] === schema)
        .map((row) => row['t'])
        .join(', '),
    }),
  )
}
