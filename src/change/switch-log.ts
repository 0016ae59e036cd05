/** A switch in the log of its workflow: each step as it begins, and afterwards what each took, whom it killed and what came of it. */
import { killedText } from '../switch/report.ts'
import type { SwitchReport } from '../switch/report.ts'
import { switchSteps } from '../switch/steps.ts'
import type { SwitchStepName } from '../switch/steps.ts'
import type { AuditTrail } from '../workflow/audit.ts'

const killsNamedMax = 200

export function logStep(audit: AuditTrail, step: SwitchStepName): void {
  const { waitsFor, back } = switchSteps[step]
  audit.append('step', step, { inputs: { waitsFor, back }, outcome: 'begun' })
}

export function logReport(audit: AuditTrail, report: SwitchReport): void {
  // Steps before the hold count from the start of the switch, those after it from the hold.
  let heldAtMs = report.startedAtMs
  for (const step of report.steps) {
    const before = step.name === 'preflight' || step.name === 'prepare'
    const atMs = before ? report.startedAtMs + step.startMs : heldAtMs + step.startMs
    if (before) heldAtMs = atMs + step.ms
    audit.append('step', step.name, { atMs: Math.round(atMs), outcome: 'ended', ms: Math.round(step.ms * 10) / 10 })
  }
  const named = report.killed.filter((session) => session.transaction || session.query !== null)
  for (const one of named.slice(0, killsNamedMax))
    audit.append('kill', `${killedText(one)} on ${one.server}`, { inputs: { query: one.query }, outcome: 'killed' })
  const rest = report.killed.length - Math.min(named.length, killsNamedMax)
  if (rest > 0) audit.append('kill', `${rest} more sessions on the side that goes, idle ones`, { outcome: 'killed' })
  const { outcome, from, to, stallMs, notes, error } = report
  audit.append('outcome', `switch ${from.join(',')} → ${to.join(',')}`, {
    inputs: { from: [...from], to: [...to], notes: [...notes] },
    outcome: error === null ? outcome : `${outcome}: ${error.code} ${error.what}`,
    ms: stallMs === null ? null : Math.round(stallMs),
  })
}
