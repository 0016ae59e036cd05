/** Moved tables that could not be followed on either side: `create` refused them, and DDL may have brought them in since (PROTOCOLS 1.11; `move/unfollowed.ts`). The way back begins with the switch. */
import type { SwError } from '../base/errors.ts'
import { unfollowed } from '../move/unfollowed.ts'
import type { Connection } from '../mysql/connection.ts'
import type { Preflight } from './effects.ts'
import { switchErrors } from './errors.ts'
import type { SwitchPlan } from './plan.ts'

export async function followedFindings(
  connection: Connection,
  plan: SwitchPlan,
  serverId: string,
  side: 'from' | 'to',
): Promise<Preflight> {
  const tables = plan.tables.map((table) => table.name)
  const blockers: SwError[] = []
  for (const { schema } of plan[side].shards.filter((shard) => shard.serverId === serverId))
    for (const { table, reason } of await unfollowed(connection, schema, tables))
      blockers.push(switchErrors.unfollowed({ server: serverId, table: `${schema}.${table}`, reason }))
  return { blockers, notes: [] }
}
