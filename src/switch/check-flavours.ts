/**
 * Moved tables that have what the other side's flavour lacks, by column (PROTOCOLS 1.12): `create` refused them, and DDL may have brought them in since. Their stream stops at that
 * statement; here it is told what of the table cannot go along, all of it at once.
 */
import { isSwError, type SwError } from '../base/errors.ts'
import { crossFlavourFindings } from '../move/cross-flavour.ts'
import type { Store } from '../topology/store.ts'
import type { Preflight } from './effects.ts'
import { switchErrors } from './errors.ts'
import { readServers, type SwitchPlan } from './plan.ts'
import { connectAs, readServerAccess } from './server-access.ts'

/** Nothing where both sides are of one flavour. */
export async function flavourFindings(store: Store, plan: SwitchPlan): Promise<Preflight> {
  const [from, to] = await Promise.all([readServers(store, plan.from.serverIds), readServers(store, plan.to.serverIds)])
  const tables = plan.tables.map((table) => table.name)
  const blockers: SwError[] = []
  for (const { id, flavour } of from) {
    // One of them is as good as another: what it is asked is its flavour's.
    const other = to.find((server) => server.flavour !== flavour)
    if (other === undefined) continue
    try {
      await using source = await connectAs(await readServerAccess(store, id), 'admin')
      await using target = await connectAs(await readServerAccess(store, other.id), 'admin')
      for (const { schema } of plan.from.shards.filter((shard) => shard.serverId === id))
        blockers.push(...(await crossFlavourFindings(source, schema, tables, target)))
    } catch (error) {
      const told = isSwError(error) && error.code.startsWith('SW-SWITCH')
      blockers.push(
        told ? error : switchErrors.serverUnreachable({ server: `${id} or ${other.id}`, reason: (error as Error).message }, error),
      )
    }
  }
  // Shards have the same tables.
  return { blockers: [...new Map(blockers.map((finding) => [finding.message, finding])).values()], notes: [] }
}
