/** `update`: what a workflow's copy may cost its servers, changed while it runs (PROTOCOLS 1.14). */
import { keys } from '../topology/keys.ts'
import type { PaceLimits, PaceRecord } from '../topology/records.ts'
import { updateRecord } from '../topology/typed.ts'
import type { ActionContext } from '../workflow/context.ts'
import { requireState } from './reshard-switch.ts'

export type PaceChange = Partial<PaceLimits>

export async function updateVerb(context: ActionContext): Promise<void> {
  requireState(context, ['running'])
  const { limits = {}, dryRun = false } = context.action.args as { limits?: PaceChange; dryRun?: boolean }
  const { uid, name } = context.workflow
  const said = paceLines(limits, context.clock.nowMs())
  if (dryRun) return context.say(...said.map((line) => `${name}: would be: ${line}`))
  await updateRecord<PaceRecord>(
    context.store,
    keys.pace(uid),
    (current) => ({ v: 1, workflowUid: uid, limits: { ...current?.limits, ...limits } }),
    [context.leadership.fence],
  )
  for (const line of said) await context.journal(line)
  await context.say(...said.map((line) => `${name}: ${line}`))
}

const units: Readonly<Record<Exclude<keyof PaceLimits, 'pausedUntilMs'>, (value: number) => string>> = {
  sourceLoadMax: (value) => `chunks are read on each source at most ${Math.round(value * 100)} % of the time`,
  copyBytesPerSecondMax: (value) => `the copy reads at most ${value} bytes a second`,
  threadsRunningMax: (value) => `the copy waits while a source has more than ${value} threads at work`,
  historyLengthMax: (value) => `the copy waits while a source keeps more than ${value} undo records`,
  commitLatencyMsMax: (value) => `the copy waits while a commit on a source takes longer than ${value} ms`,
  replicaLagMsMax: (value) => `the copy waits while a replica is more than ${value} ms behind`,
}

/** A line for each limit that is given. */
export function paceLines(limits: PaceChange, nowMs: number): string[] {
  const lines = Object.entries(units).flatMap(([name, print]) => {
    const value = limits[name as keyof typeof units]
    if (value === undefined) return []
    return [value === null ? `no limit any more: ${name}` : print(value)]
  })
  const until = limits.pausedUntilMs
  if (until === undefined) return lines
  return [...lines, until === null || until <= nowMs ? 'the copy goes on' : `the copy is paused until ${new Date(until).toISOString()}`]
}
