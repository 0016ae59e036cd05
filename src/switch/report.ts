/** What a switch tells afterwards, as a value and as text. */
import type { ErrorView } from '../topology/records.ts'
import type { KilledSession } from './sessions.ts'

export type SwitchStep = { readonly name: string; readonly startMs: number; readonly ms: number }

export type GateHolds = {
  readonly gates: number
  readonly held: number
  readonly failed: number
  readonly longestMs: number
  readonly medianMs: number
}

export type SwitchReport = {
  readonly keyspace: string
  readonly workflow: string
  readonly outcome: 'switched' | 'given up' | 'refused' | 'dry run'
  readonly from: readonly string[]
  readonly to: readonly string[]
  readonly startedAtMs: number
  /** From the commit that set the hold to the one that lifted it; null when there was none. */
  readonly stallMs: number | null
  readonly steps: readonly SwitchStep[]
  /** As the gates measured it; null when none reported in time. */
  readonly holds: GateHolds | null
  readonly killed: readonly KilledSession[]
  readonly notes: readonly string[]
  readonly blockers: readonly ErrorView[]
  /** Why it was given up. */
  readonly error: ErrorView | null
  readonly undo: string | null
}

export function switchReportText(report: SwitchReport, how: 'whole' | 'blockers told elsewhere' = 'whole'): string {
  const lines: string[] = []
  const sides = `${report.from.join(',')} → ${report.to.join(',')}`
  lines.push(
    `${report.keyspace}.${report.workflow}: ${report.outcome}, ${sides}${report.stallMs === null ? '' : `, clients held for ${Math.round(report.stallMs)} ms`}`,
  )
  if (how === 'whole') for (const blocker of report.blockers) lines.push(`  ${blocker.code}  ${blocker.what}`, `      ${blocker.fix}`)
  if (report.error !== null) lines.push(`  given up: ${report.error.code}  ${report.error.what}`, `      ${report.error.fix}`)
  if (report.outcome === 'refused') lines.push('  nothing was touched')
  else if (report.steps.length > 0) {
    lines.push('  step                                      at      took')
    for (const step of report.steps) lines.push(`  ${step.name.padEnd(38)} ${ms(step.startMs)} ${ms(step.ms)}`)
  }
  if (report.holds !== null) {
    const { held, failed, longestMs, medianMs, gates } = report.holds
    lines.push(
      `  statements held: ${held} at ${gates} gate${gates === 1 ? '' : 's'}, longest ${Math.round(longestMs)} ms, median ${Math.round(medianMs)} ms, failed: ${failed}`,
    )
  }
  lines.push(...killedLines(report.killed))
  for (const note of report.notes) lines.push(`  ${note}`)
  if (report.undo !== null) lines.push(`  undo: ${report.undo}`)
  return lines.join('\n')
}

/** Pooled sessions that only waited are counted; what a client lost is named. */
function killedLines(killed: readonly KilledSession[]): string[] {
  const lost = killed.filter((session) => session.transaction || session.query !== null)
  const idle = killed.length - lost.length
  const lines = lost
    .slice(0, 50)
    .map((one) => `  killed on ${one.server}: ${killedText(one)}${one.query === null ? '' : `: ${one.query.slice(0, 200)}`}`)
  if (lost.length > 50) lines.push(`  … and ${lost.length - 50} more`)
  if (idle > 0) lines.push(`  idle sessions ended on the side that no longer serves: ${idle}`)
  return lines
}

/** Who, and since when. */
export function killedText({ user, host, transaction, sinceMs }: KilledSession): string {
  const since = sinceMs === null ? '' : `, open since ${new Date(sinceMs).toISOString().slice(0, 19)}Z`
  return `${transaction ? 'transaction' : 'read'} of ${user}@${host}${since}`
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`.padStart(10)
}
