/**
 * Which tables are not any more what they were when a vdiff compared them. What it said of a table it said of the columns that the table had: it has looked at no value of one that came later.
 */
import type { RoutingRecord, StreamRecord, VdiffReport } from '../topology/records.ts'
import { definitionOf, lookAt } from './as-planned.ts'
import type { Use } from './comparison.ts'
import { feedingStreams, referenceGroup, shardGroups, shardsOfAll } from './groups.ts'
import { unitOf } from './progress.ts'

/** @param compared tables, and the vdiff that each was compared by */
export async function alteredSince(
  { streams, routing, reports }: { streams: readonly StreamRecord[]; routing: RoutingRecord; reports: readonly VdiffReport[] },
  compared: readonly { readonly table: string; readonly vdiff: string }[],
  use: Use,
): Promise<string[]> {
  const feeding = feedingStreams(streams, routing)
  const references = referenceGroup(feeding)
  const groups = [...shardGroups(feeding), ...(references === null ? [] : [references])]
  const looks = await lookAt(shardsOfAll(groups), use)
  const altered = compared.filter(({ table, vdiff }) => {
    const units = reports.find(({ uid }) => uid === vdiff)?.units ?? {}
    return groups.some((group) => {
      const then = units[unitOf(table, group.name)]?.definition
      return then !== undefined && then !== definitionOf({ group, plan: { name: table } }, looks)
    })
  })
  return altered.map(({ table }) => table)
}
