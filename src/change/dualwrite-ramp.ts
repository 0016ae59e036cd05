/**
 * Steps of a run's read ramp on real fleets, gates and servers: the effects of `switch/ramp.ts`. One step at a time in a keyspace; the rule
 * record alone decides, so a controller that died between two commits leaves a closing rule, and whoever leads next takes it back.
 */
import { openTopic } from '../topic/open.ts'
import { readSlots } from '../topology/dualwrite-records.ts'
import type { FleetRecord, ReadRule } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { closeSlots, closeTenant, emergencyBack, isClosing, settle, slotsOfPercent, stepSides } from '../topology/read-rule.ts'
import type { GateRecord, GateStats } from '../topology/records.ts'
import type { Json } from '../topology/store.ts'
import { resumedFleet } from '../topology/fleet-pause.ts'
import { listRecords, readRecord, updateRecord } from '../topology/typed.ts'
import { gatesAcknowledged } from '../switch/acknowledge.ts'
import { behindOf, neededBy, rampLimits } from '../switch/ramp.ts'
import type { RampLimits, Vector } from '../switch/ramp.ts'
import { runRamp } from '../switch/ramp-run.ts'
import type { RampOutcome } from '../switch/ramp-run.ts'
import { controllerName } from '../workflow/context.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { BranchPositions, fleetsOf } from './branch-positions.ts'
import { branchShards } from './branches.ts'
import { dimensionPositions, dimensionStreams, joinVectors, placeDimensionMarkers } from './dimension-streams.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { changeRun, commitRule, freshRun, readRule } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { RampEntry } from './dualwrite-spec.ts'
import { fleetStands, setFleet } from './fleets.ts'

export type StepRequest = {
  /** A share of all tenants, or one tenant by keyspace id (null: back to its slot). */
  readonly move: { readonly percent: number } | { readonly keyspaceId: string; readonly branch: string | null }
  readonly by: RampEntry['by']
  readonly why: string | null
  readonly limits?: RampLimits
  /** The answering side may be far behind (a fleet that was stopped): for how long it is waited for before anything is closed. */
  readonly warmMs: number
  /** For gates that do not answer, before anything is closed. */
  readonly gatesMs?: number
  /** Why it is not wanted any more (who steps by itself was told to stop while it waited its turn); asked before anything is closed. */
  readonly notWanted?: () => Promise<string | null>
  readonly onWait?: (what: string | null) => Promise<void>
}

/** Steps and emergencies of one keyspace take turns within this controller; others are fenced off. */
const turns = new Map<string, Promise<unknown>>()

export async function oneStepAtATime<T>(keyspace: string, work: () => Promise<T>): Promise<T> {
  const before = turns.get(keyspace)
  const mine = (async () => {
    await before?.catch(() => undefined)
    return work()
  })()
  turns.set(keyspace, mine)
  try {
    return await mine
  } finally {
    if (turns.get(keyspace) === mine) turns.delete(keyspace)
  }
}

export async function moveReads(desk: Desk, run: WorkflowRecord, request: StepRequest): Promise<RampOutcome & { entry: RampEntry }> {
  return oneStepAtATime(run.keyspace, async () => {
    await giveUpLeftOver(desk, run)
    const { store, clock, leadership } = desk
    const before = await readRule(store, run)
    const fromPercent = percentOf(before.value.moved)
    const toPercent = 'percent' in request.move ? request.move.percent : fromPercent
    const target =
      'percent' in request.move
        ? closeSlots(before.value, slotsOfPercent(request.move.percent))
        : closeTenant(before.value, request.move.keyspaceId, request.move.branch)
    if (!target.ok) {
      const entry = entryOf(desk, request, fromPercent, toPercent, {
        outcome: 'refused',
        reason: target.reason,
        stallMs: null,
        held: false,
        parts: null,
      })
      return { outcome: 'refused', reason: target.reason, stallMs: null, held: false, parts: null, entry }
    }
    const sides = stepSides(target.rule)
    if (sides === null) throw new Error('a closing rule has two sides')
    const shardsOf = (branch: string): ReturnType<typeof branchShards> => branchShards(desk, run.keyspace, branch)
    const [leftShards, answeringShards] = [await shardsOf(sides.left), await shardsOf(sides.answering)]
    const [leftFleets, answeringFleets] = [
      await fleetsOf(store, run.keyspace, sides.left),
      await fleetsOf(store, run.keyspace, sides.answering),
    ]
    await using left = new BranchPositions(store, leftShards, leftFleets)
    await using answering = new BranchPositions(store, answeringShards, answeringFleets)
    const names = answeringShards.map((shard) => shard.name)
    const copied = sides.answering === specOf(run).toBranch ? await dimensionStreams(store, run) : []
    await gatesPresent(desk, run, request)
    // Where the left side is now; what comes later is the step's own business.
    const soFar = neededBy((await left.read()).at, names)
    const behind = await warm(desk, request, async () => behindOf(soFar, (await answering.read()).at))
    const unwanted = (await request.notWanted?.()) ?? (behind === null ? null : `the other side does not catch up: ${behind}`)
    if (unwanted !== null) {
      const refused = { outcome: 'refused', reason: unwanted, stallMs: null, held: false, parts: null } as const
      return { ...refused, entry: entryOf(desk, request, fromPercent, toPercent, refused) }
    }
    let closedVersion = 0
    let held: string[] = []
    const outcome = await runRamp(
      {
        async hold(withinMs) {
          const running = leftFleets.filter((fleet) => fleet.wanted === 'running').map((fleet) => fleet.name)
          if (running.length === 0) return true
          // Noted first: whoever finds it lets them go on.
          await changeRun(desk, run, () => ({ data: { heldForStep: running } }))
          held = running
          const sinceMs = clock.nowMs()
          for (const name of running) await setFleet(desk, name, 'held', [leadership.fence])
          return waitFor(desk, withinMs, async () =>
            (await Promise.all(running.map((name) => fleetStands(desk, name, sinceMs)))).every(Boolean),
          )
        },
        async near(withinMs) {
          const frozen = neededBy((await left.read()).at, names)
          let behind: string | null = null
          await waitFor(desk, withinMs, async () => (behind = behindOf(frozen, (await answering.read()).at)) === null)
          return behind
        },
        async close() {
          const stopped = (await request.notWanted?.()) ?? null
          if (stopped !== null) return stopped
          const now = await readRule(store, run)
          if (now.version !== before.version) return 'the read rule was changed meanwhile'
          const version = await commitRule(desk, run.keyspace, before.version, target.rule)
          if (version === null) return 'another controller changed the read rule'
          closedVersion = version
          return null
        },
        async silentGates(withinMs) {
          const key = keys.reads(run.keyspace)
          const { silent } = await gatesAcknowledged({
            store,
            keyspace: key,
            version: closedVersion,
            seenMs: withinMs,
            graceMs: 0,
            clock,
            signal: leadership.signal,
          })
          return silent
        },
        async measure() {
          const { at, unreadable } = await left.read()
          for (const shard of unreadable) at.set(shard, await topicEnds(leftFleets))
          const needed = neededBy(at, names)
          return copied.length === 0 ? needed : joinVectors(needed, await placeDimensionMarkers(store, copied))
        },
        async positions() {
          const { at } = await answering.read()
          return copied.length === 0 ? at : joinVectors(at, await dimensionPositions(store, run, copied))
        },
        async settle(way) {
          const now = await readRule(store, run)
          if (now.version !== closedVersion) return false
          const settled = settle(now.value, way)
          return settled.ok && (await commitRule(desk, run.keyspace, closedVersion, settled.rule)) !== null
        },
        async release() {
          if (held.length > 0) await letGo(desk, run, held)
        },
      },
      request.limits ?? rampLimits,
      clock,
      leadership.signal,
    )
    const entry = entryOf(desk, request, fromPercent, toPercent, outcome)
    await note(desk, run, entry)
    return { ...outcome, entry }
  })
}

/**
 * All reads to the old branch in one commit, without waiting: tenants may see older rows than they saw. Null: its fleet is stopped, and nothing was done; in
 * one commit with that, as a `complete` may be stopping it.
 */
export async function emergency(desk: Desk, run: WorkflowRecord, by: RampEntry['by'], why: string): Promise<RampEntry | null> {
  // Not in turn: a step that hangs must not keep it waiting; the compare-and-set makes that step lose.
  for (;;) {
    const now = await readRule(desk.store, run)
    const fromPercent = percentOf(now.value.moved)
    const old = (await listRecords<FleetRecord>(desk.store, keys.fleets)).filter(
      ({ value }) => value.keyspace === run.keyspace && value.branch === now.value.from,
    )
    if (old.some(({ value }) => value.wanted === 'stopped')) return null
    const running = old.map(({ key, version }) => ({ key, version }))
    if ((await commitRule(desk, run.keyspace, now.version, emergencyBack(now.value), running)) === null) {
      desk.leadership.signal.throwIfAborted()
      continue
    }
    const entry: RampEntry = { atMs: desk.clock.nowMs(), fromPercent, toPercent: 0, outcome: 'emergency', by, why, stallMs: 0 }
    await note(desk, run, entry)
    return entry
  }
}

/** What a controller left half done that no longer leads: the rule goes back, fleets go on, those of its rungs too. In turn with steps. */
export async function giveUpLeftOver(desk: Desk, run: WorkflowRecord): Promise<void> {
  const rule = await readRecord<ReadRule>(desk.store, keys.reads(run.keyspace))
  if (rule !== null && rule.value.workflow === run.uid && isClosing(rule.value)) {
    const back = settle(rule.value, 'back')
    if (back.ok && (await commitRule(desk, run.keyspace, rule.version, back.rule)) !== null)
      await changeRun(desk, run, () => ({
        journal: 'a step of the ramp that its controller did not end was given up: every tenant is where it was',
      }))
  }
  const me = controllerName(desk.leadership)
  for (const { value: fleet } of await listRecords<FleetRecord>(desk.store, keys.fleets)) {
    if (fleet.keyspace !== run.keyspace || fleet.paused === undefined || fleet.paused.by === me) continue
    await updateRecord<FleetRecord>(
      desk.store,
      keys.fleet(fleet.name),
      (now) => (now?.paused === undefined || now.paused.by === me ? null : resumedFleet(now)),
      [desk.leadership.fence],
    )
    await changeRun(desk, run, () => ({ journal: `${fleet.name} was held by a rung that its controller did not end: it goes on` }))
  }
  const { heldForStep = [] } = dataOf(await freshRun(desk.store, run))
  if (heldForStep.length > 0) await letGo(desk, run, heldForStep)
}

export function percentOf(moved: number): number {
  return (moved / readSlots) * 100
}

async function letGo(desk: Desk, run: WorkflowRecord, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const fleet = await readRecord<FleetRecord>(desk.store, keys.fleet(name))
    if (fleet?.value.wanted === 'held') await setFleet(desk, name, 'running', [desk.leadership.fence])
  }
  await changeRun(desk, run, () => ({ data: { heldForStep: [] } }))
}

/** Before anything is closed: every gate that has a lease acts by the rule as it is and answers. One that hangs is waited for until its lease ends. */
async function gatesPresent(desk: Desk, run: WorkflowRecord, request: StepRequest): Promise<void> {
  const { store, clock } = desk
  const key = keys.reads(run.keyspace)
  let reason = ''
  const present = await waitFor(desk, request.gatesMs ?? 12_000, async () => {
    const rule = await readRule(store, run)
    const gates = (await listRecords<GateRecord>(store, keys.gates)).map((record) => record.value)
    const late: string[] = []
    for (const gate of gates) {
      const stats = await readRecord<GateStats>(store, keys.gateStats(gate.id))
      if ((gate.seen[key] ?? 0) < rule.version || stats === null || clock.nowMs() - stats.value.atMs > 2500) late.push(gate.id)
    }
    reason = late.join(', ')
    if (late.length > 0) await request.onWait?.(`gates that do not answer: ${reason}`)
    return late.length === 0
  })
  await request.onWait?.(null)
  if (!present) throw dualwriteErrors.noGates({ keyspace: run.keyspace, reason })
}

/** What it still lacks after all that time; null: nothing, or nobody was to wait. */
async function warm(desk: Desk, request: StepRequest, behind: () => Promise<string | null>): Promise<string | null> {
  let reason: string | null = null
  const caughtUp = await waitFor(desk, request.warmMs, async () => {
    reason = await behind()
    if (reason !== null && ((await request.notWanted?.()) ?? null) !== null) return true
    if (reason !== null) await request.onWait?.(`the other side to catch up: ${reason}`)
    return reason === null
  })
  await request.onWait?.(null)
  if (!caughtUp) desk.leadership.signal.throwIfAborted()
  return request.warmMs > 0 ? reason : null
}

async function topicEnds(fleets: readonly FleetRecord[]): Promise<Vector> {
  const ends = new Map<string, bigint>()
  for (const fleet of fleets) {
    const topic = await openTopic(fleet.topicUrl)
    try {
      for (const [partition, offset] of await topic.endOffsets()) ends.set(`${fleet.topicId}/${partition}`, offset)
    } finally {
      await topic.close()
    }
  }
  return ends
}

export async function waitFor(
  desk: Pick<Desk, 'clock' | 'leadership'>,
  withinMs: number,
  condition: () => Promise<boolean>,
): Promise<boolean> {
  const untilMs = desk.clock.monotonicMs() + withinMs
  for (;;) {
    if (await condition()) return true
    if (desk.clock.monotonicMs() >= untilMs) return false
    await desk.clock.sleep(25, desk.leadership.signal)
  }
}

function entryOf(desk: Desk, request: StepRequest, fromPercent: number, toPercent: number, outcome: RampOutcome): RampEntry {
  return {
    atMs: desk.clock.nowMs(),
    fromPercent,
    toPercent,
    outcome: outcome.outcome,
    by: request.by,
    why: outcome.reason ?? request.why,
    stallMs: outcome.stallMs,
    ...(outcome.parts === null ? {} : { parts: outcome.parts }),
  }
}

const entriesMax = 200

async function note(desk: Desk, run: WorkflowRecord, entry: RampEntry): Promise<void> {
  await changeRun(desk, run, (now) => ({
    data: { ramp: [...(dataOf(now).ramp ?? []), entry].slice(-entriesMax) },
    journal: entryText(entry),
    log: { kind: 'decision', inputs: entry as unknown as Json, ms: entry.stallMs },
  }))
}

function partsText({ parts }: RampEntry): string {
  if (parts === undefined) return ''
  const { gates, measure, reach, settle } = parts
  return ` (gates ${gates}, positions taken ${measure}, reached ${reach}, opened ${settle})`
}

export function entryText(entry: RampEntry): string {
  const share = (percent: number): string => `${Math.round(percent * 100) / 100} %`
  const why = entry.why === null ? '' : `: ${entry.why}`
  switch (entry.outcome) {
    case 'moved':
      return `reads ${share(entry.fromPercent)} → ${share(entry.toPercent)} (${entry.by}), tenants waited ${entry.stallMs ?? 0} ms${partsText(entry)}${why}`
    case 'emergency':
      return `emergency (${entry.by}): all reads back to the old branch at once, tenants may have gone back in time${why}`
    case 'back':
    case 'lost':
    case 'refused':
      return `a step to ${share(entry.toPercent)} (${entry.by}) was ${entry.outcome === 'refused' ? 'refused' : 'given up'}${why}`
  }
}
