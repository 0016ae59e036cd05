/** switchtraffic, reversetraffic and check: which way is meant, and what the switch needs to know. */
import { currentPosition } from '../binlog/position.ts'
import { noSwitchFailpoint } from '../switch/crash-points.ts'
import type { SwitchFailpoint } from '../switch/crash-points.ts'
import { defaultSwitchLimits } from '../switch/context.ts'
import type { SwitchContext, SwitchLimits } from '../switch/context.ts'
import { decide, takeRouting } from '../switch/decide.ts'
import { planSwitch } from '../switch/plan.ts'
import { preflight, streamFindings } from '../switch/check.ts'
import { replicaReadFindings } from '../switch/check-replicas.ts'
import { sideNotes } from '../switch/check-sides.ts'
import { recoverKeyspace } from '../switch/recover.ts'
import { expectedStallText, stallFactors } from '../switch/expected-stall.ts'
import { switchReportText } from '../switch/report.ts'
import { switchTraffic } from '../switch/switch-traffic.ts'
import type { ClaimPool } from '../switch/claim.ts'
import type { KeyspaceTurns } from '../switch/turns.ts'
import { vdiffVerdict } from '../switch/vdiff-verdict.ts'
import { keys } from '../topology/keys.ts'
import type { ErrorView, KeyspaceRecord, RoutingComponent, RoutingRecord, StreamRecord, VdiffReport } from '../topology/records.ts'
import { componentsOfWorkflow, moveReplicaReads, rangesForShards, servingSides } from '../topology/routing.ts'
import type { RoutingChange } from '../topology/routing.ts'
import type { Json } from '../topology/store.ts'
import { listRecords, updateRecord } from '../topology/typed.ts'
import { SwError } from '../base/errors.ts'
import { controllerName, Failures } from '../workflow/context.ts'
import type { ActionContext } from '../workflow/context.ts'
import { alteredSince } from '../verify/altered-since.ts'
import { decisionLog } from './decision-log.ts'
import { takeDefaultsAnew } from './defaults-anew.ts'
import { changeErrors } from './errors.ts'
import { fleetCarrier } from './fleet-carry.ts'
import { LiveSteps } from './live-steps.ts'
import type { ReshardData, ReshardSpec } from './reshard-spec.ts'
import { withServer, type World } from './servers.ts'
import { logReport, logStep } from './switch-log.ts'

/** `switchFailpoint` is for tests: where a controller dies on purpose. */
export type Claims = {
  readonly pool: ClaimPool
  readonly switchFailpoint?: SwitchFailpoint
  /** Shared with whatever else looks at the servers of a keyspace. */
  readonly turns?: KeyspaceTurns
}

type SwitchArgs = {
  readonly tabletTypes: readonly ('primary' | 'replica' | 'rdonly')[]
  readonly shards: readonly string[]
  readonly timeoutMs: number
  readonly maxLagMs: number
  /** Requests that were entered by an older version lack it. */
  readonly maxStallMs?: number
  readonly requireVdiff: boolean
  readonly enableReverse: boolean
  readonly allowDifferences: readonly string[]
  readonly allowUnfenced: readonly string[]
  /** Requests that were entered by an older version lack it. */
  readonly allowFewerReplicas?: boolean
  readonly dryRun: boolean
}

export function switchContext(world: World & Claims, context: ActionContext): SwitchContext {
  const { store, leadership, clock, log } = context
  return {
    store,
    leadership,
    pool: world.pool,
    clock,
    log,
    readPosition: currentPosition,
    failpoint: world.switchFailpoint ?? noSwitchFailpoint,
    carrier: fleetCarrier({ store, clock, log, leadership }),
    decided: decisionLog({
      clock,
      actor: controllerName(leadership),
      verb: context.action.verb,
      action: context.action.id,
    }),
  }
}

export async function checkVerb(world: World & Claims, context: ActionContext): Promise<void> {
  const { keyspace, name } = context.workflow
  const plan = await planSwitch(context.store, { keyspace, workflow: name, shards: null })
  const { sourceShards } = context.workflow.spec as unknown as ReshardSpec
  const back = plan.to.shards.every((shard) => sourceShards.includes(shard.shard))
  const real = switchContext(world, context)
  if (!back) await takeDefaultsAnew(world, plan)
  const limits: SwitchLimits = { ...defaultSwitchLimits, replicas: back ? 'told' : 'required' }
  const found = await preflight(real, plan, limits, [], real.carrier?.of(plan, limits.warmMs) ?? null)
  await context.say(...found.notes, ...(await sideNotes(context.store, plan)))
  const { length } = found.blockers
  if (length > 0) {
    await context.say(`${length} ${length === 1 ? 'thing stands' : 'things stand'} in the way of a switch`)
    throw new Failures(found.blockers)
  }
  const stall = stallLimits({ timeoutMs: limits.warmMs })
  await context.say(expectedStallText(await stallFactors(real, plan), { ...limits, ...stall }), 'nothing stands in the way of a switch')
}

export async function switchVerb(world: World & Claims, context: ActionContext, verb: 'switchtraffic' | 'reversetraffic'): Promise<void> {
  requireState(context, ['running'])
  const { keyspace, name } = context.workflow
  const { sourceShards, targetShards } = context.workflow.spec as unknown as ReshardSpec
  const args = context.action.args as unknown as SwitchArgs
  const real = switchContext(world, context)
  await recoverKeyspace(real, keyspace)
  const routing = await takeRouting(real, keyspace)
  const own = componentsOfWorkflow(routing.value, name)
  const chosen = args.shards.length === 0 ? own.map((component) => component.range) : rangesForShards(routing.value, name, args.shards)
  const wanted = verb === 'switchtraffic' ? targetShards : sourceShards
  if (!args.tabletTypes.includes('primary')) {
    const there = own
      .filter((component) => chosen.includes(component.range))
      .every((c) => c.serving.replica.every((shard) => wanted.includes(shard)))
    if (there) return context.say(`nothing to do: replica reads of ${chosen.join(', ')} are on ${wanted.join(',')} already`)
    await requireReplicas(real, context, own, { ranges: chosen, wanted, verb, args })
    if (args.dryRun) return context.say(`would move replica reads of ${chosen.join(', ')} to ${wanted.join(',')}`)
    await decide(real, keyspace, routing, (record) => replicaReadsTo(record, chosen, wanted, context.leadership.token), chosen)
    return context.journal(`${verb}: replica reads moved`)
  }
  const left = args.tabletTypes.includes('replica') ? replicaReadsLeft(own, chosen, wanted) : []
  const ranges = standing(context, own, chosen, verb, left.length > 0)
  if (ranges.length === 0 && left.length > 0) {
    // They were moved by themselves before: no switch of writes takes them along any more.
    await requireReplicas(real, context, own, { ranges: left, wanted, verb, args })
    if (args.dryRun) return context.say(`would move replica reads of ${left.join(', ')} to ${wanted.join(',')}`)
    await decide(real, keyspace, routing, (record) => replicaReadsTo(record, left, wanted, context.leadership.token), left)
    await context.journal(`${verb}: replica reads moved`)
  }
  if (ranges.length === 0) {
    // An attempt before this one may have died between its decision and what follows it.
    if (!args.dryRun && verb === 'switchtraffic' && !switchedOnce(context)) await context.journal('switchtraffic: switched')
    if (!args.dryRun && !args.enableReverse) await stopWayBack(context, wanted)
    return context.say(`nothing to do: ${keyspace}.${name} ${verb === 'switchtraffic' ? 'has switched' : 'was switched back'} already`)
  }
  const leaving = servingSides(own.filter((component) => ranges.includes(component.range)))
  await requireVdiff(context, args, leaving, routing.value)
  if (args.allowUnfenced.length > 0 && !args.dryRun) await allowUnfenced(context, args.allowUnfenced)
  if (args.allowFewerReplicas === true && !args.dryRun) await context.journal('fewer replicas than the serving side are allowed, as asked')
  if (verb === 'switchtraffic' && !args.dryRun)
    await takeDefaultsAnew(world, await planSwitch(real.store, { keyspace, workflow: name, shards: shardsAsked(args) }))
  const back = verb === 'switchtraffic' ? 'reversetraffic' : 'switchtraffic'
  const live = new LiveSteps(context)
  const report = await switchTraffic(real, {
    keyspace,
    workflow: name,
    shards: shardsAsked(args),
    to: wanted,
    dryRun: args.dryRun,
    allowDifferences: args.allowDifferences,
    // The time-out is for catching up, when nobody waits yet; while clients are held the bound is a tighter one.
    limits: { lagMs: args.maxLagMs, warmMs: args.timeoutMs, replicas: replicaRule(verb, args), ...stallLimits(args) },
    undo: `shardwright reshard --workflow ${name} --target-keyspace ${keyspace} ${back}`,
    onStep: (step) => {
      live.show(step)
      if (!args.dryRun) logStep(context.audit, step)
    },
  })
  await live.end()
  if (!args.dryRun) logReport(context.audit, report)
  await context.say(...switchReportText(report, 'blockers told elsewhere').split('\n'))
  await context.result(report as unknown as Json)
  if (report.outcome === 'refused') throw new Failures(report.blockers.map(asError))
  if (report.outcome === 'given up')
    throw changeErrors.givenUp({
      verb,
      name,
      keyspace,
      error: report.error === null ? 'for no reason that was told' : `${report.error.code} ${report.error.what}`,
    })
  if (!args.enableReverse && !args.dryRun) await stopWayBack(context, report.to)
  if (!args.dryRun)
    await context.journal(
      `${verb}: ${report.outcome}${report.stallMs === null ? '' : `, clients held for ${Math.round(report.stallMs)} ms`}`,
    )
}

function shardsAsked({ shards }: Pick<SwitchArgs, 'shards'>): readonly string[] | null {
  return shards.length === 0 ? null : shards
}

/** What the side that is to serve must have of replicas. Nothing of it stands in the way of undoing. */
function replicaRule(verb: 'switchtraffic' | 'reversetraffic', args: Pick<SwitchArgs, 'allowFewerReplicas'>): SwitchLimits['replicas'] {
  if (verb === 'reversetraffic') return 'told'
  return args.allowFewerReplicas === true ? 'fewer-allowed' : 'required'
}

/** Before replica reads move alone: to replicas that can be read, of shards whose streams are fresh where they do not serve. */
async function requireReplicas(
  real: SwitchContext,
  context: ActionContext,
  own: readonly RoutingComponent[],
  {
    ranges,
    wanted,
    verb,
    args,
  }: { ranges: readonly string[]; wanted: readonly string[]; verb: 'switchtraffic' | 'reversetraffic'; args: SwitchArgs },
): Promise<void> {
  const { keyspace, name } = context.workflow
  const moving = own.filter((component) => ranges.includes(component.range))
  const to = moving.flatMap((component) => [...component.serving.primary, ...component.other]).filter((shard) => wanted.includes(shard))
  const found = await replicaReadFindings(real, keyspace, to, args.maxLagMs)
  if (moving.some((component) => component.other.some((shard) => wanted.includes(shard)))) {
    const plan = await planSwitch(real.store, { keyspace, workflow: name, shards: shardsAsked(args) })
    found.push(...(await streamFindings(real, plan, { ...defaultSwitchLimits, lagMs: args.maxLagMs })).blockers)
  }
  if (found.length === 0) return
  if (verb === 'switchtraffic') throw new Failures(found)
  await context.say(...found.map((error) => `note: ${error.message}`))
}

/**
 * --max-stall bounds the time from the hold to the deciding commit: past it the switch is given up. A drain may take all of it, and the gates
 * hold statements longer than it, so that none fails before the switch has been given up and the old side is open again.
 */
export function stallLimits(args: Pick<SwitchArgs, 'maxStallMs' | 'timeoutMs'>): Pick<SwitchLimits, 'limitMs' | 'drainMs' | 'holdMs'> {
  const limitMs = Math.min(args.maxStallMs ?? 5_000, args.timeoutMs)
  return { limitMs, drainMs: limitMs, holdMs: Math.max(defaultSwitchLimits.holdMs, limitMs * 2) }
}

/** --enable-reverse-replication=false: the old side stands still from here on, and `start` is what takes it up again. */
async function stopWayBack(context: ActionContext, serving: readonly string[]): Promise<void> {
  const { store, leadership, workflow } = context
  for (const stream of await listRecords<StreamRecord>(store, keys.streamsOf(workflow.uid))) {
    if (!serving.includes(stream.value.source.shard)) continue
    await updateRecord<StreamRecord>(store, stream.key, (current) => (current === null ? null : { ...current, wanted: 'stopped' }), [
      leadership.fence,
    ])
  }
  await context.say(
    'reverse replication is stopped, as asked: the old side no longer follows; `start` takes it up again, and only then can the switch be reversed',
  )
}

/** Each state allows its own verbs. */
export function requireState(context: ActionContext, allowed: readonly string[]): void {
  const { workflow, action } = context
  if (!allowed.includes(workflow.state))
    throw changeErrors.notRunning({ verb: action.verb, name: workflow.name, keyspace: workflow.keyspace, state: workflow.state })
}

/** Of the chosen components those that have yet to go this way. Reversing what was never switched is refused. */
function standing(
  context: ActionContext,
  own: readonly RoutingComponent[],
  ranges: readonly string[],
  verb: 'switchtraffic' | 'reversetraffic',
  replicaReadsLeft: boolean,
): string[] {
  const { workflow } = context
  const { sourceShards } = workflow.spec as unknown as ReshardSpec
  const chosen = own.filter((component) => ranges.includes(component.range))
  const onSource = chosen.filter((component) => component.serving.primary.some((shard) => sourceShards.includes(shard)))
  if (verb === 'switchtraffic') return onSource.map((component) => component.range)
  if (onSource.length === chosen.length && !replicaReadsLeft && !switchedOnce(context))
    throw changeErrors.neverSwitched({ name: workflow.name, keyspace: workflow.keyspace })
  return chosen.filter((component) => !onSource.includes(component)).map((component) => component.range)
}

/** Of the chosen components those whose replica reads are on the other side than is wanted, though the wanted side serves. */
function replicaReadsLeft(own: readonly RoutingComponent[], ranges: readonly string[], wanted: readonly string[]): string[] {
  return own
    .filter((component) => ranges.includes(component.range) && component.serving.primary.every((shard) => wanted.includes(shard)))
    .filter((component) => component.serving.replica.some((shard) => !wanted.includes(shard)))
    .map((component) => component.range)
}

function switchedOnce({ workflow }: ActionContext): boolean {
  return workflow.journal.some((entry) => entry.text.startsWith('switchtraffic: switched'))
}

/** Replica reads of each component to the side that is wanted, whichever side serves its writes. */
export function replicaReadsTo(record: RoutingRecord, ranges: readonly string[], wanted: readonly string[], token: number): RoutingChange {
  let change: RoutingChange = { ok: true, record }
  for (const range of ranges) {
    if (!change.ok) return change
    const serves = change.record.components.find((component) => component.range === range)?.serving.primary ?? []
    const to = serves.every((shard) => wanted.includes(shard)) ? 'serving' : 'other'
    change = moveReplicaReads(change.record, { ranges: [range], token, to })
  }
  return change
}

/**
 * A difference that a vdiff found blocks the switch unless its table is allowed by name. Of each table its last comparison counts: a clean
 * one of other tables says nothing about it; one that failed or was stopped says nothing at all.
 */
async function requireVdiff(context: ActionContext, args: SwitchArgs, leaving: readonly string[], routing: RoutingRecord): Promise<void> {
  const reports = (await listRecords<VdiffReport>(context.store, keys.vdiffReportsOf(context.workflow.uid))).map((report) => report.value)
  const { name, keyspace } = context.workflow
  const { tables = [] } = context.workflow.data as ReshardData
  const { uncompared, differing, compared } = vdiffVerdict(reports, tables, leaving)
  if (args.requireVdiff && uncompared.length > 0) {
    const reason = reports.some((report) => report.state === 'running')
      ? 'it still runs'
      : `none has compared ${uncompared.join(', ')} to its end since traffic is on ${leaving.map((side) => side.split('@')[0]).join(', ')}`
    throw changeErrors.vdiffMissing({ name, keyspace, reason })
  }
  if (args.requireVdiff) {
    const { store, workflow } = context
    const streams = (await listRecords<StreamRecord>(store, keys.streamsOf(workflow.uid))).map(({ value }) => value)
    const altered = await alteredSince({ streams, routing, reports }, compared, (serverId, work) =>
      withServer(store, serverId, 'admin', work),
    )
    if (altered.length > 0)
      throw changeErrors.vdiffMissing({ name, keyspace, reason: `${altered.join(', ')} was altered since it was compared` })
  }
  const blocking = differing.map(({ table }) => table).filter((table) => !args.allowDifferences.includes(table))
  if (blocking.length > 0) throw changeErrors.vdiffDiffers({ tables: blocking.join(', '), name, keyspace })
}

/** Kept with the keyspace, and audited. */
export async function allowUnfenced(context: ActionContext, accounts: readonly string[]): Promise<void> {
  const { store, leadership } = context
  await updateRecord<KeyspaceRecord>(
    store,
    keys.keyspace(context.workflow.keyspace),
    (current) => (current === null ? null : { ...current, allowUnfenced: [...new Set([...current.allowUnfenced, ...accounts])] }),
    [leadership.fence],
  )
  await context.journal(`accounts allowed past the fence, by name: ${accounts.join(', ')}`)
}

/** A report carries errors as they are shown; here they are thrown again under their own codes. */
function asError(view: ErrorView): SwError {
  return new SwError(view.code, { number: 0, class: 'user', what: view.what, why: view.why, fix: view.fix }, {})
}
