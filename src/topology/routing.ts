/**
 * Every change of a routing record, as pure functions: record in, new record or the reason why not. The record is the one thing
 * that decides who serves (PROTOCOLS 3), so what may follow what is written only here:
 *
 *     stable ──► switching ──► opening ──► stable        (opening: to the new side, or back to the side that served)
 *        └─────► retiring ──► stable (retired)
 *
 * A step may concern several components of a workflow; it is one new record, hence one compare-and-set. Each takes the caller's
 * leader token: a record that carries another one is refused here, before the store would.
 */
import type { SwError } from '../base/errors.ts'
import { isSwError } from '../base/errors.ts'
import { keyRangeContains, parseKeyRange, printKeyRange } from '../keyspace/key-range.ts'
import { chooseComponents, planReshard, sortKeyRanges } from '../keyspace/key-range-sets.ts'
import { topologyErrors } from './errors.ts'
import type { RoutingComponent, RoutingRecord } from './records.ts'

export type RoutingChange = { readonly ok: true; readonly record: RoutingRecord } | { readonly ok: false; readonly error: SwError }

/** Each shard serves its own range; no workflow. */
export function initialRouting(shards: readonly string[], token = 0): RoutingRecord {
  return { v: 1, token, components: sortNames(shards).map((shard) => aloneComponent(shard, 0)) }
}

export function componentFor(record: RoutingRecord, keyspaceId: Uint8Array): RoutingComponent | undefined {
  return record.components.find((component) => keyRangeContains(parseKeyRange(component.range), keyspaceId))
}

/** The component that a shard is of, on whichever side. */
export function componentOfShard(record: RoutingRecord, shard: string): RoutingComponent | undefined {
  return record.components.find((c) => c.serving.primary.includes(shard) || c.other.includes(shard) || c.serving.replica.includes(shard))
}

export function componentsOfWorkflow(record: RoutingRecord, workflow: string): RoutingComponent[] {
  return record.components.filter((component) => component.workflow === workflow)
}

/** Whether the record says that this shard takes writes. While opening: the side that was decided. */
export function servesPrimary(record: RoutingRecord, shard: string): boolean {
  return record.components.some((component) => component.serving.primary.includes(shard))
}

/** What `--shards` means: ranges of whole components, either side named. SW-KEYSPACE-009 with the smallest set that would do. */
export function rangesForShards(record: RoutingRecord, workflow: string, shards: readonly string[]): string[] {
  const own = componentsOfWorkflow(record, workflow)
  const all = own.map((c) => ({
    range: parseKeyRange(c.range),
    sources: c.serving.primary.map(parseKeyRange),
    targets: c.other.map(parseKeyRange),
  }))
  return chooseComponents(all, shards.map(parseKeyRange)).map((component) => printKeyRange(component.range))
}

/** A new leader's first effect: every commit that an older leader prepared fails from here on. */
export function takeToken(record: RoutingRecord, token: number): RoutingChange {
  if (record.token > token) return refuseToken(record, token)
  return { ok: true, record: { ...record, token } }
}

export type WorkflowSides = { workflow: string; sources: readonly string[]; targets: readonly string[]; token: number }

/** Merges the sources' components into those of a reshard. Two workflows on one shard are refused. */
export function attachWorkflow(record: RoutingRecord, { workflow, sources, targets, token }: WorkflowSides): RoutingChange {
  return changing(record, token, () => {
    if (componentsOfWorkflow(record, workflow).length > 0) return refuse(workflow, 'a workflow of this name is there already')
    const planned = planReshard(sources.map(parseKeyRange), targets.map(parseKeyRange))
    const taken = new Set<RoutingComponent>()
    const added: RoutingComponent[] = []
    for (const plan of planned) {
      const names = plan.sources.map(printKeyRange)
      const parts: RoutingComponent[] = []
      for (const name of names) {
        const part = record.components.find((c) => c.serving.primary.includes(name))
        if (part === undefined) return refuse(name, 'this shard does not serve')
        if (part.workflow !== null) return refuse(name, `the workflow ${part.workflow} uses it`)
        if (part.phase !== 'stable') return refuse(name, `it is ${part.phase}`)
        parts.push(part)
        taken.add(part)
      }
      const replica = parts.flatMap((part) => part.serving.replica)
      added.push({
        range: printKeyRange(plan.range),
        workflow,
        epoch: Math.max(...parts.map((part) => part.epoch)),
        serving: { primary: names, replica: sortNames(replica) },
        other: sortNames(plan.targets.map(printKeyRange)),
        phase: 'stable',
        to: null,
        hold: null,
        retired: false,
      })
    }
    return { ok: true, record: { ...record, components: sortComponents([...record.components.filter((c) => !taken.has(c)), ...added]) } }
  })
}

/** The workflow is over: each serving shard is a component of its own again. */
export function detachWorkflow(record: RoutingRecord, { workflow, token }: { workflow: string; token: number }): RoutingChange {
  return changing(record, token, () => {
    const own = componentsOfWorkflow(record, workflow)
    const busy = own.find((c) => c.phase !== 'stable' || (!c.retired && c.other.length > 0))
    if (busy !== undefined) return refuse(busy.range, busy.phase === 'stable' ? 'its other side was not retired' : `it is ${busy.phase}`)
    const alone = own.flatMap((c) => c.serving.primary.map((shard) => aloneComponent(shard, c.epoch)))
    return {
      ok: true,
      record: { ...record, components: sortComponents([...record.components.filter((c) => c.workflow !== workflow), ...alone]) },
    }
  })
}

export type Step = { ranges: readonly string[]; token: number }

/** Step 2: gates hold new writes from here on. `to` is the side that does not serve. */
export function toSwitching(record: RoutingRecord, step: Step & { hold: { sinceMs: number; untilMs: number } }): RoutingChange {
  return eachComponent(record, step, (c) => {
    if (c.phase !== 'stable') return `it is ${c.phase}`
    if (c.retired || c.other.length === 0) return 'there is no other side to go to'
    return { ...c, phase: 'switching', to: c.other, hold: step.hold }
  })
}

/** Who serves, and since which switch: the same text again is the same side, not switched away and back meanwhile. */
export function servingSides(components: readonly RoutingComponent[]): string[] {
  return components.flatMap(({ serving, epoch }) => serving.primary.map((shard) => `${shard}@${epoch}`))
}

/** Moves a hold's end further, while switching. */
export function extendHold(record: RoutingRecord, step: Step & { untilMs: number }): RoutingChange {
  return eachComponent(record, step, (c) => {
    if (c.hold === null || (c.phase !== 'switching' && c.phase !== 'opening')) return 'nothing is on hold'
    return { ...c, hold: { ...c.hold, untilMs: step.untilMs } }
  })
}

/** Step 9, the point of no return (`switched`), or giving up (`back`): two outcomes of one compare-and-set. */
export function toOpening(record: RoutingRecord, step: Step & { outcome: 'switched' | 'back' }): RoutingChange {
  return eachComponent(record, step, (c) => {
    if (c.phase !== 'switching' || c.to === null) return `it is ${c.phase}, not switching`
    if (step.outcome === 'back') return { ...c, phase: 'opening', to: null }
    const was = c.serving.primary
    // Replica reads that were on the old side move along; those moved before stay.
    const replica = c.serving.replica.filter((shard) => !was.includes(shard))
    return {
      ...c,
      phase: 'opening',
      to: null,
      epoch: c.epoch + 1,
      serving: { primary: c.to, replica: replica.length > 0 ? replica : c.to },
      other: was,
    }
  })
}

/** The end of step 10: what serves is open, gates release. */
export function toStable(record: RoutingRecord, step: Step): RoutingChange {
  return eachComponent(record, step, (c) =>
    c.phase === 'opening' ? { ...c, phase: 'stable', to: null, hold: null } : `it is ${c.phase}, not opening`,
  )
}

/** Gates hold writes while the server of a shard is exchanged for another; nothing moves. Ends with `letGo`, or the next switch. */
export function holdStill(record: RoutingRecord, step: Step & { hold: { sinceMs: number; untilMs: number } }): RoutingChange {
  return eachComponent(record, step, (c) => (c.phase === 'stable' ? { ...c, hold: step.hold } : `it is ${c.phase}`))
}

export function letGo(record: RoutingRecord, step: Step): RoutingChange {
  return eachComponent(record, step, (c) => (c.phase === 'stable' ? { ...c, hold: null } : `it is ${c.phase}`))
}

/** complete and cancel: from here on there is no way back. `serving` is the side that must serve now. */
export function toRetiring(record: RoutingRecord, step: Step & { serving: readonly string[] }): RoutingChange {
  return eachComponent(record, step, (c) => {
    if (c.phase !== 'stable') return `it is ${c.phase}`
    if (c.retired) return 'it is retired already'
    if (!c.serving.primary.every((shard) => step.serving.includes(shard)))
      return `${c.serving.primary.join(',')} serves, not the side that is to stay`
    const replicaAway = c.serving.replica.filter((shard) => c.other.includes(shard))
    if (replicaAway.length > 0) return `replica reads are still on ${replicaAway.join(',')}`
    return { ...c, phase: 'retiring' }
  })
}

export function toRetired(record: RoutingRecord, step: Step): RoutingChange {
  return eachComponent(record, step, (c) =>
    c.phase === 'retiring' ? { ...c, phase: 'stable', retired: true, other: [] } : `it is ${c.phase}, not retiring`,
  )
}

/** Replica reads may move before writes do, to either side of a component. */
export function moveReplicaReads(record: RoutingRecord, step: Step & { to: 'serving' | 'other' }): RoutingChange {
  return eachComponent(record, step, (c) => {
    if (c.phase !== 'stable') return `it is ${c.phase}`
    const replica = step.to === 'serving' ? c.serving.primary : c.other
    if (replica.length === 0) return 'there is no other side to go to'
    return { ...c, serving: { ...c.serving, replica } }
  })
}

function eachComponent(
  record: RoutingRecord,
  step: Step,
  change: (component: RoutingComponent) => RoutingComponent | string,
): RoutingChange {
  return changing(record, step.token, () => {
    const missing = step.ranges.find((range) => !record.components.some((c) => c.range === range))
    if (missing !== undefined || step.ranges.length === 0) return refuse(missing ?? 'nothing', 'no component has this key range')
    const components: RoutingComponent[] = []
    for (const component of record.components) {
      const next = step.ranges.includes(component.range) ? change(component) : component
      if (typeof next === 'string') return refuse(component.range, next)
      components.push(next)
    }
    return { ok: true, record: { ...record, components } }
  })
}

function changing(record: RoutingRecord, token: number, body: () => RoutingChange): RoutingChange {
  if (record.token !== token) return refuseToken(record, token)
  try {
    return body()
  } catch (error) {
    if (isSwError(error)) return { ok: false, error }
    throw error
  }
}

function refuse(what: string, reason: string): RoutingChange {
  return { ok: false, error: topologyErrors.routingRefused({ what, reason }) }
}

function refuseToken(record: RoutingRecord, token: number): RoutingChange {
  return { ok: false, error: topologyErrors.staleToken({ mine: token, found: record.token, key: 'routing' }) }
}

function aloneComponent(shard: string, epoch: number): RoutingComponent {
  const range = printKeyRange(parseKeyRange(shard))
  return {
    range,
    workflow: null,
    epoch,
    serving: { primary: [shard], replica: [shard] },
    other: [],
    phase: 'stable',
    to: null,
    hold: null,
    retired: false,
  }
}

function sortNames(names: readonly string[]): string[] {
  return sortKeyRanges(names.map(parseKeyRange)).map(printKeyRange)
}

function sortComponents(components: readonly RoutingComponent[]): RoutingComponent[] {
  const byRange = new Map(components.map((component) => [component.range, component]))
  return sortNames([...byRange.keys()]).map((range) => byRange.get(range) as RoutingComponent)
}
