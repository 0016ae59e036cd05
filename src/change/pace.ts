/** `update`: what a workflow's copy may cost its servers (PROTOCOLS 1.14) and what its streams do at DDL (1.13), changed while it runs. */
import { keys } from '../topology/keys.ts'
import type { PaceLimits, PaceRecord, StreamRecord } from '../topology/records.ts'
import { listRecords, updateRecord } from '../topology/typed.ts'
import type { ActionContext } from '../workflow/context.ts'
import { changeErrors } from './errors.ts'
import type { ReshardSpec } from './reshard-spec.ts'
import { requireState } from './reshard-switch.ts'

type OnDdl = StreamRecord['options']['onDdl']
export type PaceChange = Partial<PaceLimits>

export async function updateVerb(context: ActionContext): Promise<void> {
  requireState(context, ['running'])
  const { limits = {}, onDdl, dryRun = false } = context.action.args as { limits?: PaceChange; onDdl?: OnDdl; dryRun?: boolean }
  const { uid, name } = context.workflow
  const { fence } = context.workflow.spec as unknown as ReshardSpec
  if (fence === 'triggers' && onDdl !== undefined && onDdl !== 'stop') throw changeErrors.fenceLetsDdlPass({ onDdl })
  const said = [
    ...paceLines(limits, context.clock.nowMs()),
    ...(onDdl === undefined ? [] : [`streams take DDL on moved tables by --on-ddl ${onDdl}`]),
  ]
  if (dryRun) return context.say(...said.map((line) => `${name}: would be: ${line}`))
  await updateRecord<PaceRecord>(
    context.store,
    keys.pace(uid),
    (current) => ({ v: 1, workflowUid: uid, limits: { ...current?.limits, ...limits } }),
    [context.leadership.fence],
  )
  if (onDdl !== undefined) {
    for (const stream of await listRecords<StreamRecord>(context.store, keys.streamsOf(uid))) {
      // A greater generation: a stream that DDL stopped begins again.
      await updateRecord<StreamRecord>(
        context.store,
        stream.key,
        (current) => (current === null ? null : { ...current, generation: current.generation + 1, options: { ...current.options, onDdl } }),
        [context.leadership.fence],
      )
    }
  }
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
