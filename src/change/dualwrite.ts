/**
 * The dual-write workflow: a second branch, filled from the same topics, proven, and switched to by readers. Verbs are here and in
 * `dualwrite-create.ts` and `-end.ts`; what goes on between them in `dualwrite-watch.ts`; where reads go is the read rule's to say.
 */
import { rungTitles, rungs as allRungs } from '../verify/ladder/evidence.ts'
import type { Evidence, Rung } from '../verify/ladder/evidence.ts'

import { slotsOfPercent } from '../topology/read-rule.ts'
import type { Json } from '../topology/store.ts'
import { Failures, controllerName } from '../workflow/context.ts'
import type { ActionContext } from '../workflow/context.ts'
import type { Definition } from '../workflow/engine.ts'
import { fleetsOf } from './branch-positions.ts'
import { createVerb, planDualWrite } from './dualwrite-create.ts'
import { cancelVerb, completeVerb } from './dualwrite-end.ts'
import { dimensionStreams, restartStreams } from './dimension-streams.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { emergency, entryText, giveUpLeftOver, moveReads, oneStepAtATime, percentOf } from './dualwrite-ramp.ts'
import type { StepRequest } from './dualwrite-ramp.ts'
import { evidenceOf, keepEvidence, requireSameDefinitions, settleState, whyNotReady } from './dualwrite-ready.ts'
import { changeRun, freshRun, readRule, refreshPlan } from './dualwrite-record.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { RampSpec } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { setFleet } from './fleets.ts'
import { tenantKeyspaceId } from './tenant-key.ts'

export function dualwriteDefinition(world: DualWriteWorld): Definition {
  return {
    kind: 'dualwrite',
    verbs: {
      create: (context) => createVerb(world, context),
      check: (context) => check(world, context),
      start: (context) => start(world, context),
      validate: (context) => validate(world, context),
      ramp: (context) => ramp(world, context),
      tenant: (context) => tenant(world, context),
      rollback: (context) => rollback(world, context),
      complete: (context) => completeVerb(world, context),
      cancel: (context) => cancelVerb(world, context),
    },
    // The way back is as fast as the way there: an emergency waits for no orderly rollback either.
    givesWayTo: { validate: ['rollback'], ramp: ['rollback'], tenant: ['rollback'], complete: ['rollback'], rollback: ['rollback'] },
  }
}

async function check(world: DualWriteWorld, context: ActionContext): Promise<void> {
  const { keyspace, uid } = context.workflow
  const plan = await planDualWrite(world, keyspace, uid, specOf(context.workflow), context.signal)
  await context.say(...plan.lines, 'nothing stands in the way')
}

/** Of a hybrid run: streams that stopped, once what stopped them is mended. */
async function start(world: DualWriteWorld, context: ActionContext): Promise<void> {
  const { keyspace, name } = context.workflow
  requireState(context, ['provisioned', 'dual-writing', 'filling', 'validating', 'ready', 'ramping', 'switched', 'holding'])
  const { dryRun } = context.action.args as { dryRun?: boolean }
  if (dryRun === true)
    return context.say(`would take up again what stopped of ${(await dimensionStreams(world.store, context.workflow)).length} streams`)
  const again = await restartStreams(context, context.workflow)
  await context.journal(again.length === 0 ? 'start: no stream had stopped' : `start: streams of ${again.join(', ')} begin anew`)
  await context.say(again.length === 0 ? `${keyspace}.${name}: no stream has stopped` : `streams of ${again.join(', ')} begin anew`)
}

/** Rungs one after the other; evidence is kept under the plan and definition that stood when the rung began. */
async function validate(world: DualWriteWorld, context: ActionContext): Promise<void> {
  const { leadership } = context
  const { keyspace, name } = context.workflow
  const args = context.action.args as { rungs?: Rung[]; pauseMs?: number; dryRun?: boolean }
  requireState(context, ['provisioned', 'dual-writing', 'filling', 'validating', 'ready', 'ramping', 'switched'])
  const wanted =
    args.rungs === undefined || args.rungs.length === 0
      ? specOf(context.workflow).rungs
      : allRungs.filter((rung) => args.rungs?.includes(rung))
  const left = leftOut(wanted, args.rungs ?? [], { keyspace, name })
  if (args.dryRun === true) return context.say(`would run ${wanted.join(', ')}`, ...left)
  await requireSameDefinitions(world, context.workflow)
  const run = await refreshPlan(context, context.workflow)
  const { planVersion = 0, definitionDigest = '' } = dataOf(run)
  const results: Evidence[] = []
  for (const rung of wanted) {
    await context.waiting(`${rung} to be run`, 'when it has judged')
    const evidence: Evidence = {
      ...(await world.runRung({
        workflow: run,
        holder: controllerName(leadership),
        rung,
        planVersion,
        signal: context.signal,
        quick: false,
        ...(args.pauseMs === undefined ? {} : { pauseMs: args.pauseMs }),
      })),
      planVersion,
      definitionDigest,
    }
    await keepEvidence(context, evidence)
    await context.waiting(null)
    await context.say(`${rung} ${evidence.verdict} (${Math.round(evidence.tookMs)} ms): ${evidence.because}`)
    for (const finding of evidence.findings.slice(0, 5))
      await context.say(`   ${finding.where}: ${finding.what}; old ${finding.old}, new ${finding.new}`)
    results.push(evidence)
  }
  await context.say(...left)
  await context.result(results as unknown as Json)
  await context.journal(`validated: ${results.map((evidence) => `${evidence.rung} ${evidence.verdict}`).join(', ')}`)
  const missing = await judge(world, context)
  if (missing !== null) await context.say(`not ready: ${missing}`)
  const short = results.filter((evidence) => evidence.verdict !== 'pass')
  if (short.length > 0)
    throw dualwriteErrors.notReady({
      keyspace,
      name,
      reason: short.map((evidence) => `${evidence.rung} ${evidence.verdict}: ${evidence.because}`).join('; '),
      fix: 'see its findings; `unknown` lacks something that it names: provide it and validate again',
    })
}

/** What `validate` without rungs does not run, and why. Pure. */
export function leftOut(wanted: readonly Rung[], named: readonly Rung[], { keyspace, name }: { keyspace: string; name: string }): string[] {
  const left = named.length > 0 ? [] : allRungs.filter((rung) => !wanted.includes(rung))
  return left.map((rung) => {
    const why =
      rung === 'L6' ? 'it holds the fleets of both branches in turn, for --pause and the drain each time' : 'this run does not ask for it'
    return `${rung} (${rungTitles[rung]}) was left out: ${why}; to run it: shardwright DualWrite validate --keyspace ${keyspace} --workflow ${name} --rung ${rung}`
  })
}

/** Ready or not, by what stands now. */
async function judge(world: DualWriteWorld, context: ActionContext): Promise<string | null> {
  const evidence = await evidenceOf(context.store, context.workflow.uid)
  const missing = whyNotReady(await freshRun(context.store, context.workflow), evidence, context.clock.nowMs())
  await changeRun(context, context.workflow, (now) => {
    const { planVersion = 0, definitionDigest = '' } = dataOf(now)
    return { data: { ready: missing === null ? { atMs: context.clock.nowMs(), planVersion, definitionDigest } : null } }
  })
  await settleState(world, context, context.workflow)
  return missing
}

type RampArgs = {
  readonly percent?: number | null
  readonly auto?: boolean
  readonly stop?: boolean
  readonly dwellMs?: number | null
  readonly dryRun?: boolean
}

async function ramp(world: DualWriteWorld, context: ActionContext): Promise<void> {
  const { keyspace, name } = context.workflow
  const args = context.action.args as RampArgs
  if (args.stop === true) {
    await changeRun(context, context.workflow, (now) => {
      const { auto } = dataOf(now)
      return auto === undefined
        ? null
        : { data: { auto: { ...auto, state: 'stopped', why: 'stopped by the operator' } }, journal: 'ramp --auto stopped' }
    })
    return context.say('the ramp stays where it is')
  }
  requireState(context, ['validating', 'ready', 'ramping', 'switched'])
  await oneStepAtATime(keyspace, () => giveUpLeftOver(context, context.workflow))
  const rule = await readRule(context.store, context.workflow)
  const share = percentOf(rule.value.moved)
  const to = args.auto === true ? 100 : (args.percent ?? 0)
  if (slotsOfPercent(to) > rule.value.moved) await requireReady(world, context)
  if (args.dryRun === true) return context.say(dryText(keyspace, share, to, args, specOf(context.workflow).ramp))
  if (args.auto === true) {
    const { dwellMs } = args
    const now = context.clock.nowMs()
    await changeRun(context, context.workflow, (run) => ({
      data: { auto: { state: 'running', sinceMs: now, nextStepAtMs: now, why: null } },
      journal: 'ramp --auto begins',
      ...(dwellMs === null || dwellMs === undefined ? {} : { spec: { ...specOf(run), ramp: { ...specOf(run).ramp, dwellMs } } }),
    }))
    return context.say(
      `${keyspace}.${name}: reads move by themselves from here on; \`show\` tells how far, \`ramp --stop\` keeps them where they are`,
    )
  }
  // Two hands on one lever: whoever sets a share by hand has it.
  await changeRun(context, context.workflow, (now) => {
    const { auto } = dataOf(now)
    return auto?.state === 'running' ? { data: { auto: { ...auto, state: 'stopped', why: `set to ${to} % by hand` } } } : null
  })
  const outcome = await step(world, context, { move: { percent: to }, by: 'operator', why: null, warmMs: 15_000 })
  if (outcome !== null) throw dualwriteErrors.stepGivenUp({ keyspace, percent: to, reason: outcome })
}

function dryText(keyspace: string, share: number, to: number, args: RampArgs, spec: RampSpec): string {
  return args.auto === true
    ? `would move the reads of ${keyspace} from ${share} % through ${spec.steps.filter((one) => one > share).join(', ')} %, each for ${args.dwellMs ?? spec.dwellMs} ms at least`
    : `would move the reads of ${keyspace} from ${share} % to ${to} % of tenants`
}

/** Null: moved. Else why not. */
async function step(world: DualWriteWorld, context: ActionContext, request: Omit<StepRequest, 'onWait'>): Promise<string | null> {
  const { outcome, reason, entry } = await moveReads(context, context.workflow, {
    ...request,
    onWait: (what) => context.waiting(what, 'by itself, or the step is given up'),
    notWanted: async () => (context.signal.aborted ? 'a rollback was asked for' : null),
  })
  await context.say(entryText(entry))
  await context.result(entry as unknown as Json)
  await settleState(world, context, context.workflow)
  return outcome === 'moved' || reason === 'the share is that already' ? null : (reason ?? outcome)
}

async function requireReady(world: DualWriteWorld, context: ActionContext): Promise<void> {
  const { keyspace, name } = context.workflow
  await requireSameDefinitions(world, context.workflow)
  await refreshPlan(context, context.workflow)
  const missing = await judge(world, context)
  if (missing !== null)
    throw dualwriteErrors.notReady({
      keyspace,
      name,
      reason: missing,
      fix: `shardwright DualWrite validate --keyspace ${keyspace} --workflow ${name}`,
    })
}

/** One tenant by name, to either branch or back to where its share is. */
async function tenant(world: DualWriteWorld, context: ActionContext): Promise<void> {
  const { keyspace } = context.workflow
  const args = context.action.args as { tenant?: string; keyspaceId?: string; branch: string | null; dryRun?: boolean }
  const { branch, dryRun } = args
  requireState(context, ['validating', 'ready', 'ramping', 'switched'])
  const keyspaceId = args.keyspaceId ?? (await tenantKeyspaceId(world.store, keyspace, args.tenant ?? ''))
  const called = args.tenant === undefined ? keyspaceId : `${args.tenant} (${keyspaceId})`
  if (branch === specOf(context.workflow).toBranch) await requireReady(world, context)
  if (dryRun === true) return context.say(`would move the tenant ${called} to ${branch ?? 'where its share is'}`)
  const outcome = await step(world, context, { move: { keyspaceId, branch }, by: 'operator', why: null, warmMs: 15_000 })
  if (outcome !== null) throw dualwriteErrors.stepGivenUp({ keyspace, percent: `the tenant ${called}`, reason: outcome })
}

/**
 * All reads back to the old branch: by the rule of closing, no tenant goes back in time; `emergency` at once, and says that one may. While holding,
 * the old fleet is started again first and catches up.
 */
async function rollback(world: DualWriteWorld, context: ActionContext): Promise<void> {
  const { store } = context
  const { keyspace, name } = context.workflow
  const args = context.action.args as { emergency?: boolean; dryRun?: boolean }
  requireState(context, ['validating', 'ready', 'ramping', 'switched', 'holding'])
  const rule = await readRule(store, context.workflow)
  if (args.dryRun === true) {
    const how = args.emergency === true ? 'at once; tenants may go back in time' : 'by the rule of closing'
    return context.say(`would take ${percentOf(rule.value.moved)} % of tenants back to the old branch ${how}`)
  }
  await changeRun(context, context.workflow, (now) => {
    const { auto } = dataOf(now)
    return auto?.state === 'running' ? { data: { auto: { ...auto, state: 'stopped', why: 'rolled back' } } } : null
  })
  if (context.workflow.state === 'holding' || (await freshRun(store, context.workflow)).state === 'holding') {
    const { horizon } = dataOf(await freshRun(store, context.workflow))
    // First of all the old side is kept: from this commit on nothing is removed. What is being removed already cannot be had back.
    const kept = await changeRun(context, context.workflow, (now) =>
      now.state !== 'holding' || dataOf(now).removalBeganAtMs !== undefined || horizon?.kind === 'passed'
        ? null
        : {
            state: 'switched',
            data: { removeAtMs: Number.MAX_SAFE_INTEGER },
            journal: 'rollback: the old side is kept, its fleet starts again',
          },
    )
    if (kept.state === 'holding')
      throw dualwriteErrors.wrongState({
        verb: 'rollback',
        keyspace,
        name,
        state: horizon?.kind === 'passed' ? `past its horizon (${horizon.because})` : 'removing the old side',
        fix: 'the old side can not be had back; go on with the new one',
      })
  }
  // Asked of the fleets and not of the state: a rollback that died in between is begun again as `switched`.
  for (const fleet of await fleetsOf(store, keyspace, 'main'))
    if (fleet.wanted === 'stopped') await setFleet(context, fleet.name, 'running', [context.leadership.fence])
  const tenants = Object.keys(rule.value.overrides)
  if (args.emergency === true) {
    const entry = await emergency(context, context.workflow, 'operator', 'asked for')
    // Started above: somebody has stopped it since.
    if (entry === null) throw dualwriteErrors.stepGivenUp({ keyspace, percent: 0, reason: 'the old fleet is stopped' })
    await context.say(entryText(entry))
    return settleState(world, context, context.workflow)
  }
  const failed: string[] = []
  for (const keyspaceId of tenants) {
    const outcome = await step(world, context, {
      move: { keyspaceId, branch: rule.value.from },
      by: 'operator',
      why: 'rollback',
      warmMs: 60_000,
    })
    if (outcome !== null) failed.push(outcome)
  }
  if (rule.value.moved > 0) {
    const outcome = await step(world, context, { move: { percent: 0 }, by: 'operator', why: 'rollback', warmMs: 60_000 })
    if (outcome !== null) failed.push(outcome)
  }
  // A tenant on the old branch by name, with its share there too: no exception any more.
  for (const keyspaceId of failed.length === 0 ? tenants : [])
    await step(world, context, { move: { keyspaceId, branch: null }, by: 'operator', why: 'rollback', warmMs: 1000 })
  if (failed.length > 0)
    throw new Failures(
      failed.map((reason) =>
        dualwriteErrors.stepGivenUp({
          keyspace,
          percent: 0,
          reason: `${reason}; at once, with reads that may go back in time: rollback --emergency`,
        }),
      ),
    )
  await context.journal('rolled back')
}

function requireState(context: ActionContext, allowed: readonly string[]): void {
  const { keyspace, name, state } = context.workflow
  if (allowed.includes(state)) return
  throw dualwriteErrors.wrongState({
    verb: context.action.verb,
    keyspace,
    name,
    state,
    fix: `shardwright DualWrite show --keyspace ${keyspace} --workflow ${name} says what can be done now`,
  })
}
