/**
 * What all vdiffs of a workflow say together: of each table its last comparison that ended counts. A clean one of other tables says
 * nothing about it; one that failed or was stopped says nothing at all.
 */
import type { VdiffReport } from '../topology/records.ts'

export type VdiffVerdict = {
  /** Tables that none has compared to its end. */
  readonly uncompared: readonly string[]
  /** Tables whose last comparison found differences, with the comparison that found them. */
  readonly differing: readonly { readonly table: string; readonly vdiff: string }[]
}

export function vdiffVerdict(reports: readonly VdiffReport[], tables: readonly string[]): VdiffVerdict {
  const ended = reports
    .filter((report) => report.state === 'clean' || report.state === 'different')
    .toSorted((a, b) => b.startedAtMs - a.startedAtMs || (b.endedAtMs ?? 0) - (a.endedAtMs ?? 0))
  const last = new Map<string, { vdiff: string; found: number }>()
  for (const report of ended) {
    for (const { name, missing, extra, misplaced, different } of report.tables) {
      if (!last.has(name)) last.set(name, { vdiff: report.uid, found: missing + extra + misplaced + different })
    }
  }
  return {
    uncompared: tables.filter((table) => !last.has(table)),
    differing: [...last].filter(([, { found }]) => found > 0).map(([table, { vdiff }]) => ({ table, vdiff })),
  }
}
