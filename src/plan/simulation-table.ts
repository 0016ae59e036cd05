/** A simulation as rows of text, hour by hour or coarser. */
import type { Simulation, SimulatedStep } from './simulate.ts'
import { bytesText, day, durationText, hour, rateText, round } from './text.ts'

export const tableHead = ['from', 'phase', 'written', 'done', 'backlog', 'behind', 'covered', 'old side', 'new side', ''] as const

/** `everySeconds`: one row each, taken at its end; steps with something to tell are always there. */
export function simulationRows(simulation: Simulation, everySeconds: number): string[][] {
  const { stepSeconds } = simulation
  const every = Math.max(1, Math.round(everySeconds / stepSeconds))
  const rows: string[][] = []
  for (const step of simulation.steps) {
    if (step.step % every !== 0 && step.notes.length === 0) continue
    rows.push(row(simulation, step, stepSeconds))
  }
  return rows
}

/** At most about a hundred rows: hourly for three days, coarser beyond. */
export function coarseness(simulation: Simulation): number {
  const { stepSeconds } = simulation
  const nice = [1, 2, 3, 6, 12, 24, 48, 168, 336, 720].map((times) => times * (stepSeconds >= hour ? hour : stepSeconds))
  return nice.find((every) => simulation.endSeconds / every <= 100) ?? 90 * day
}

function row(simulation: Simulation, step: SimulatedStep, stepSeconds: number): string[] {
  const bytes = simulation.way === 'replicate'
  return [
    clock(step.step * stepSeconds, stepSeconds),
    step.phase,
    rateText(step.eventsPerSecond),
    bytes ? `${bytesText(step.donePerSecond)}/s` : rateText(step.donePerSecond),
    bytes ? bytesText(step.backlog) : round(step.backlog),
    durationText(step.lagSeconds),
    `${round(step.coverage * 100)} %`,
    bytesText(step.oldBytes),
    bytesText(step.newBytes),
    step.notes.join('; '),
  ]
}

/** `3 d 07:00` */
function clock(seconds: number, stepSeconds: number): string {
  if (stepSeconds < hour) return durationText(seconds)
  const days = Math.floor(seconds / day)
  const hours = Math.floor((seconds % day) / hour)
  return `${days} d ${String(hours).padStart(2, '0')}:00`
}
