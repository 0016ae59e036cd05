/** What a commit to the routing record means in the logs of the workflows that it concerns: written in that very commit. */
import type { Clock } from '../base/clock.ts'
import type { RoutingComponent, RoutingRecord } from '../topology/records.ts'
import type { Put } from '../topology/store.ts'
import { auditPut } from '../workflow/audit.ts'

export type DecisionLog = (keyspace: string, before: RoutingRecord, after: RoutingRecord) => readonly Put[]

export function decisionLog(options: { clock: Clock; actor: string; verb: string | null; action: string | null }): DecisionLog {
  const { clock, actor, verb, action } = options
  return (keyspace, before, after) =>
    after.components.flatMap((component) => {
      const earlier = before.components.find((one) => one.range === component.range)
      const workflow = component.workflow ?? earlier?.workflow ?? null
      const what = earlier === undefined ? null : changed(earlier, component)
      if (workflow === null || what === null) return []
      const { range, epoch, phase, serving, other, hold } = component
      const inputs = { range, epoch, phase, serving: serving.primary, replica: serving.replica, other, heldSinceMs: hold?.sinceMs ?? null }
      const entry = { atMs: clock.nowMs(), actor, kind: 'decision', verb, action, what, inputs, outcome: 'committed', ms: null } as const
      return [auditPut(keyspace, workflow, entry)]
    })
}

function changed(before: RoutingComponent, after: RoutingComponent): string | null {
  const moved = before.serving.primary.join() !== after.serving.primary.join()
  const replicas = before.serving.replica.join() !== after.serving.replica.join()
  const told = [
    ...(before.phase === after.phase ? [] : [`${before.phase} → ${after.phase}`]),
    ...(moved ? [`writes and reads: ${before.serving.primary.join(',')} → ${after.serving.primary.join(',')}`] : []),
    ...(replicas && !moved ? [`replica reads: ${before.serving.replica.join(',')} → ${after.serving.replica.join(',')}`] : []),
    ...(before.phase === 'switching' && after.phase === 'opening' && !moved ? ['given up: what served goes on serving'] : []),
  ]
  return told.length === 0 ? null : `${after.range}: ${told.join('; ')}`
}
