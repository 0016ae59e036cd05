/**
 * What all vdiffs of a workflow say together: of each table the comparison counts that began last of those that compared all of it. A clean one of
 * other tables, of what served before a switch, or of some shards only, says nothing about it; one that failed or was stopped says nothing at all.
 *
 * A continuous one says of a table what its last whole pass found, and at once what it finds in the pass under way.
 */
import type { VdiffReport, VdiffTable } from '../topology/records.ts'

export type VdiffVerdict = {
  /** Tables that none has compared to its end. */
  readonly uncompared: readonly string[]
  /** Tables whose last comparison found differences, with the comparison that found them. */
  readonly differing: readonly { readonly table: string; readonly vdiff: string }[]
  /** Tables that one has compared to its end, with the last that did. */
  readonly compared: readonly { readonly table: string; readonly vdiff: string }[]
}

/**
 * `serving`: the side that is to be left (`servingSides`). What was compared while another one served clears no table: rows came since then. A difference
 * that it found is one until a later comparison says otherwise.
 */
export function vdiffVerdict(reports: readonly VdiffReport[], tables: readonly string[], serving: readonly string[]): VdiffVerdict {
  const said = reports
    .flatMap((report) => saidOf(report, ofSide(report, serving)))
    .toSorted((a, b) => b.startedAtMs - a.startedAtMs || b.endedAtMs - a.endedAtMs)
  const last = new Map<string, Said>()
  for (const one of said) if (!last.has(one.table)) last.set(one.table, one)
  const compared = tables.flatMap((table) => said.find((one) => one.table === table && one.current) ?? [])
  return {
    compared: compared.map(({ table, vdiff }) => ({ table, vdiff })),
    uncompared: tables.filter((table) => !said.some((one) => one.table === table && one.current)),
    differing: [...last.values()].filter(({ found }) => found > 0).map(({ table, vdiff }) => ({ table, vdiff })),
  }
}

function ofSide({ serves }: VdiffReport, serving: readonly string[]): boolean {
  const then = serves?.split(' ') ?? []
  return serving.every((side) => then.includes(side))
}

/** `current`: all of it was compared, while the side served that serves now. */
type Said = { current: boolean; table: string; vdiff: string; found: number; startedAtMs: number; endedAtMs: number }

function saidOf(report: VdiffReport, ofThisSide: boolean): Said[] {
  const { uid, pass, state } = report
  const current = ofThisSide && report.restricted !== true
  const endedAtMs = report.endedAtMs ?? 0
  const said = report.tables.flatMap((table): Said[] => {
    const found = foundIn(table)
    const now = { current, table: table.name, vdiff: uid, found, startedAtMs: pass?.startedAtMs ?? report.startedAtMs, endedAtMs }
    if (pass === undefined) return state === 'clean' || state === 'different' ? [now] : []
    const before = table.last === undefined ? [] : [{ ...now, found: table.last.found, startedAtMs: table.last.startedAtMs }]
    return table.state === 'done' || found > 0 ? [now, ...before] : before
  })
  return report.restricted === true ? said.filter(({ found }) => found > 0) : said
}

function foundIn({ missing, extra, misplaced, different, orphans = 0 }: VdiffTable): number {
  return missing + extra + misplaced + different + orphans
}
