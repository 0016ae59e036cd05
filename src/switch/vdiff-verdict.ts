/**
 * What all vdiffs of a workflow say together: of each table the comparison counts that began last of those that compared all of it. A clean one of
 * other tables, or of some shards only, says nothing about it; one that failed or was stopped says nothing at all.
 *
 * A continuous one says of a table what its last whole pass found, and at once what it finds in the pass under way.
 */
import type { VdiffReport, VdiffTable } from '../topology/records.ts'

export type VdiffVerdict = {
  /** Tables that none has compared to its end. */
  readonly uncompared: readonly string[]
  /** Tables whose last comparison found differences, with the comparison that found them. */
  readonly differing: readonly { readonly table: string; readonly vdiff: string }[]
}

export function vdiffVerdict(reports: readonly VdiffReport[], tables: readonly string[]): VdiffVerdict {
  const said = reports.flatMap(saidOf).toSorted((a, b) => b.startedAtMs - a.startedAtMs || b.endedAtMs - a.endedAtMs)
  const last = new Map<string, { vdiff: string; found: number }>()
  for (const { table, vdiff, found } of said) if (!last.has(table)) last.set(table, { vdiff, found })
  return {
    uncompared: tables.filter((table) => !last.has(table)),
    differing: [...last].filter(([, { found }]) => found > 0).map(([table, { vdiff }]) => ({ table, vdiff })),
  }
}

type Said = { table: string; vdiff: string; found: number; startedAtMs: number; endedAtMs: number }

function saidOf(report: VdiffReport): Said[] {
  const { uid, pass, state } = report
  const endedAtMs = report.endedAtMs ?? 0
  const said = report.tables.flatMap((table): Said[] => {
    const found = foundIn(table)
    const now = { table: table.name, vdiff: uid, found, startedAtMs: pass?.startedAtMs ?? report.startedAtMs, endedAtMs }
    if (pass === undefined) return state === 'clean' || state === 'different' ? [now] : []
    const before = table.last === undefined ? [] : [{ ...now, found: table.last.found, startedAtMs: table.last.startedAtMs }]
    return table.state === 'done' || found > 0 ? [now, ...before] : before
  })
  return report.restricted === true ? said.filter(({ found }) => found > 0) : said
}

function foundIn({ missing, extra, misplaced, different, orphans = 0 }: VdiffTable): number {
  return missing + extra + misplaced + different + orphans
}
