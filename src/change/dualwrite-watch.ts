/**
 * What goes on in a dual-write run between commands: it fills, is watched while reads move, steps back by itself, ramps by itself when asked to, and
 * is taken down when its time has come. Runs where the leader does; everything it decides by stands in the topology or on the shards, so the
 * next leader goes on with it.
 */
import type { GateReads, FleetReport, ReadRule } from '../topology/dualwrite-records.ts'
import { readSlots } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { isClosing, tenantsOn } from '../topology/read-rule.ts'
import { listRecords, readRecord } from '../topology/typed.ts'
import { BucketRound } from '../verify/ladder/bucket-round.ts'
import type { Evidence, Rung } from '../verify/ladder/evidence.ts'
import { controllerName } from '../workflow/context.ts'
import type { Leadership } from '../workflow/context.ts'
import type { ActionRecord, WorkflowRecord } from '../workflow/records.ts'
import { fleetsOf } from './branch-positions.ts'
import { isFilled } from './dualwrite-coverage.ts'
import { tendDimensions } from './dimension-streams.ts'
import { finishRun, whyNotYet } from './dualwrite-finish.ts'
import { fleetTrouble, gathered, median, noReads, oldReadsLeast, overBudget, readsOf, secondsMax } from './dualwrite-figures.ts'
import type { BranchFigures, ReadSecond, Silence } from './dualwrite-figures.ts'
import { keepHeadroom } from './dualwrite-headroom.ts'
import type { TopicLooks } from './dualwrite-headroom.ts'
import { Filling } from './dualwrite-filling.ts'
import { horizonOf } from './dualwrite-horizon.ts'
import { giveUpLeftOver, moveReads, oneStepAtATime, percentOf } from './dualwrite-ramp.ts'
import { sayOnce, stepBack } from './dualwrite-step-back.ts'
import { baselineOf, evidenceOf, keepEvidence, settleState, whyNotReady } from './dualwrite-ready.ts'
import { changeRun, freshRun, refreshPlan, sideName } from './dualwrite-record.ts'
import { dataOf, specOf, stateOf } from './dualwrite-spec.ts'
import type { AutoRamp } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { watchRunWriters } from './dualwrite-writers.ts'
import { openOldSide } from './old-side-fence.ts'
import type { FencedDesk } from './old-side-fence.ts'
import type { ClaimPool } from '../switch/claim.ts'

const tickMs = 250
const beginsEveryMs = 300
const coverageEveryMs = 1000
/** It reads all marks of the old shards, which serve: no more than a twentieth of the time, unless that were more seldom than this (who asks wants a fresh one). */
const coverageRestMsMax = 8000
const horizonEveryMs = 2000
const headroomEveryMs = 5000
const leftOverEveryMs = 2000
const retryMs = 3000
const noBaseline = `what reads take on the old branch is not known: fewer than ${oldReadsLeast} were seen there before any moved; DualWrite validate --rung L5 measures it, or take each step by hand (--percent)`
/** Beside the newest buckets of each table, so many of the others are compared at each look. */
const olderBuckets = 60

export async function watchDualWrites(world: DualWriteWorld, pool: ClaimPool, leadership: Leadership): Promise<void> {
  const watchers = new Map<string, RunWatch>()
  const { store, clock, log } = world
  while (!leadership.signal.aborted) {
    try {
      const all = (await listRecords<WorkflowRecord>(store, keys.workflows)).map((record) => record.value)
      for (const run of all) {
        if (run.kind !== 'dualwrite' || run.ended || ['creating', 'failed', 'cancelling'].includes(run.state)) continue
        let watcher = watchers.get(run.uid)
        if (watcher === undefined) watchers.set(run.uid, (watcher = new RunWatch(world, pool, leadership)))
        watcher.tick(run)
      }
      for (const [uid, watcher] of watchers) if (!all.some((run) => run.uid === uid && !run.ended)) watcher.end()
    } catch (error) {
      if (!leadership.signal.aborted) log.warn({ error }, 'dual-write runs could not be read')
    }
    await clock.sleep(tickMs, leadership.signal).catch(() => undefined)
  }
  await Promise.allSettled([...watchers.values()].map((watcher) => watcher.idle()))
}

class RunWatch {
  readonly #world: DualWriteWorld
  readonly #desk: FencedDesk
  readonly #busy = new Map<string, Promise<void>>()
  readonly #lastMs = new Map<string, number>()
  #recovered = false
  /** p95 of the old branch while nothing had moved. */
  #baseline: number[] = []
  #oldReads: BranchFigures = noReads
  #seconds: ReadSecond[] = []
  #seenAtMs = 0
  readonly #rounds = new Map<Rung, BucketRound>()
  readonly #topicLooks: TopicLooks = new Map()
  #writersStop: AbortController | null = null
  readonly #silence: Silence = new Map()
  readonly #filling: Filling
  #coverageTookMs = 0

  constructor(world: DualWriteWorld, pool: ClaimPool, leadership: Leadership) {
    this.#world = world
    this.#desk = { store: world.store, clock: world.clock, pool, leadership }
    this.#filling = new Filling(world, leadership.signal)
  }

  async idle(): Promise<void> {
    this.end()
    await Promise.allSettled(this.#busy.values())
  }

  /** What is not over by itself ends. */
  end(): void {
    this.#writersStop?.abort(new Error('nobody needs to know who writes the old branch any more'))
  }

  /** Starts what is due and is not under way; never waits. */
  tick(run: WorkflowRecord): void {
    if (!this.#recovered) {
      this.#task('recover', 0, async () => {
        await oneStepAtATime(run.keyspace, () => giveUpLeftOver(this.#desk, run))
        await openOldSide(this.#desk, run, 'serves')
        this.#recovered = true
      })
      return
    }
    this.#task('left over', leftOverEveryMs, () => this.#leftOver(run))
    const state = stateOf(run)
    // Also while holding: rolled back, the old side must have everything, and until the end clients write there.
    const { dimensionTables, dimensions } = dataOf(run)
    if (dimensionTables !== undefined)
      this.#task('dimensions', dimensions?.state === 'following' ? coverageEveryMs : beginsEveryMs, () => this.#dimensions(run))
    if (state === 'holding') {
      this.end()
      this.#task('horizon', horizonEveryMs, () => this.#horizon(run))
      if (this.#world.clock.nowMs() >= (dataOf(run).removeAtMs ?? Infinity))
        this.#task('finish', 1000, () =>
          finishRun(this.#world, this.#desk, run).catch((error: unknown) => whyNotYet(this.#desk, run, error)),
        )
      return
    }
    const begins = state === 'provisioned' || state === 'dual-writing'
    this.#task('writers', retryMs, () => {
      this.#writersStop = new AbortController()
      const signal = AbortSignal.any([this.#desk.leadership.signal, this.#writersStop.signal])
      return watchRunWriters(this.#world, this.#desk, run, signal, () => this.#settleState(run))
    })
    this.#task('old rows', coverageEveryMs, () => this.#filling.lookAtOldRows(run))
    this.#task('coverage', begins ? beginsEveryMs : Math.max(coverageEveryMs, Math.min(coverageRestMsMax, 20 * this.#coverageTookMs)), () =>
      this.#coverage(run),
    )
    this.#task('guard', 900, () => this.#guard(run))
    this.#task('horizon', horizonEveryMs, () => this.#horizon(run))
    this.#task('headroom', headroomEveryMs, () => keepHeadroom(this.#world, this.#desk, run, this.#topicLooks))
    if (state === 'ramping' || state === 'switched') this.#task('compare', specOf(run).ramp.watchEveryMs, () => this.#compare(run))
    if (dataOf(run).auto?.state === 'running') this.#task('auto', 250, () => this.#auto(run))
  }

  #task(name: string, everyMs: number, work: () => Promise<void>): void {
    const { clock, log } = this.#world
    if (this.#busy.has(name) || clock.monotonicMs() - (this.#lastMs.get(name) ?? -Infinity) < everyMs) return
    this.#lastMs.set(name, clock.monotonicMs())
    const running = work()
      .catch((error: unknown) => {
        if (!this.#desk.leadership.signal.aborted) log.warn({ error, task: name }, 'a watch of a dual-write run failed; it is tried again')
      })
      .finally(() => this.#busy.delete(name))
    this.#busy.set(name, running)
  }

  /** A step of ours whose last commit failed leaves what a dead controller's would: reads that wait for nobody, a fleet that stands. */
  async #leftOver(run: WorkflowRecord): Promise<void> {
    await oneStepAtATime(run.keyspace, async () => {
      const { store } = this.#world
      const rule = await readRecord<ReadRule>(store, keys.reads(run.keyspace))
      const closing = rule !== null && rule.value.workflow === run.uid && isClosing(rule.value)
      const { heldForStep = [], oldClosed = [] } = dataOf(await freshRun(store, run))
      // Closed for a hand-over that its controller did not end, or that a rollback overtook.
      if (oldClosed.length > 0 && !this.#busy.has('finish')) await openOldSide(this.#desk, run, 'serves')
      if (!closing && heldForStep.length === 0) return
      // A verb may hold fleets for longer than a step.
      if (!closing && (await this.#verbUnderWay(run)) !== null) return
      await giveUpLeftOver(this.#desk, run)
    })
  }

  async #verbUnderWay(run: WorkflowRecord): Promise<string | null> {
    const actions = await listRecords<ActionRecord>(this.#world.store, keys.actionsOf(run.uid))
    return actions.find((action) => action.value.state === 'running')?.value.verb ?? null
  }

  async #coverage(given: WorkflowRecord): Promise<void> {
    const run = await refreshPlan(this.#desk, given)
    const beganMs = this.#world.clock.monotonicMs()
    const found = await this.#filling.measure(run)
    this.#coverageTookMs = this.#world.clock.monotonicMs() - beganMs
    if (found === null) return
    const { coverage, working } = found
    await changeRun(this.#desk, run, (now) => {
      const state = stateOf(now)
      if (state === 'provisioned' && working) return { data: { coverage }, state: 'dual-writing', journal: 'both fleets write' }
      if (state === 'dual-writing' && coverage.lag !== null)
        return { data: { coverage }, state: 'filling', journal: `filling: ${coverage.because}` }
      if (state === 'filling' && isFilled(coverage))
        return { data: { coverage }, state: 'validating', journal: 'the whole retention window is there; it has to be validated' }
      return { data: { coverage } }
    })
    // It was proven, was behind for a while, and is not any more.
    if (run.state === 'validating') await this.#settleState(run)
  }

  async #guard(run: WorkflowRecord): Promise<void> {
    const { store, clock } = this.#world
    const rule = await readRecord<ReadRule>(store, keys.reads(run.keyspace))
    if (rule === null || rule.value.workflow !== run.uid) return
    const records = (await listRecords<GateReads>(store, keys.allGateReads)).map((record) => record.value)
    const newest = Math.max(0, ...records.map((record) => record.atMs))
    if (newest === this.#seenAtMs) return
    this.#seenAtMs = newest
    const nowMs = clock.nowMs()
    const spec = specOf(run)
    const onNew = tenantsOn(rule.value, spec.toBranch)
    if (rule.value.moved === 0 && onNew.length === 0) {
      const old = readsOf(records, run.keyspace, nowMs)
      const { open, p95Ms } = gathered(this.#oldReads, old)
      this.#oldReads = open
      if (p95Ms !== null) this.#baseline = [...this.#baseline, p95Ms].slice(-60)
      this.#seconds = []
      const baselineP95Ms = median(this.#baseline)
      if (baselineP95Ms !== null && Math.abs((dataOf(run).baselineP95Ms ?? 0) - baselineP95Ms) > 0.2)
        await changeRun(this.#desk, run, () => ({ data: { baselineP95Ms } }))
      if (stateOf(run) === 'ramping') await this.#settleState(run)
      return
    }
    const second = { old: readsOf(records, run.keyspace, nowMs), new: readsOf(records, sideName(run, spec.toBranch), nowMs) }
    this.#seconds = [...this.#seconds, second].slice(-secondsMax)
    const reports = (await listRecords<FleetReport>(store, keys.fleetReports)).map((r) => r.value)
    const troubleOf = async (branch: string): Promise<string | null> =>
      fleetTrouble(await fleetsOf(store, run.keyspace, branch), reports, this.#silence, nowMs)
    const [trouble, oldTrouble] = [await troubleOf(spec.toBranch), await troubleOf('main')]
    if (trouble !== null && oldTrouble === null) return this.#stepBack(run, 0, `the new branch’s fleet has stopped: ${trouble}`)
    // A record that neither can read stops both at one place: on the old branch readers would be no better off, and may go back in time on the way.
    if (trouble !== null) await sayOnce(this.#desk, run, `both fleets have stopped, reads stay where they are: ${trouble}; ${oldTrouble}`)
    const reason = overBudget(this.#seconds, { ...spec.ramp, baselineP95Ms: baselineOf(run, await evidenceOf(store, run.uid)) })
    if (reason === null) return
    const share = percentOf(rule.value.moved)
    await this.#stepBack(run, spec.ramp.steps.findLast((step) => step < share - 1e-9) ?? 0, reason)
  }

  async #stepBack(run: WorkflowRecord, toPercent: number, why: string): Promise<void> {
    this.#seconds = []
    await stepBack(this.#world, this.#desk, run, toPercent, why)
  }

  /** While reads are on the new branch both are compared, the newest buckets each time and the others in turn; a difference takes the reads back. */
  async #compare(run: WorkflowRecord): Promise<void> {
    const { clock } = this.#world
    const results: Evidence[] = []
    for (const rung of specOf(run).ramp.watchRungs) {
      let round = this.#rounds.get(rung)
      if (round === undefined) this.#rounds.set(rung, (round = new BucketRound(olderBuckets)))
      results.push(
        await this.#world.runRung({
          workflow: run,
          holder: controllerName(this.#desk.leadership),
          rung,
          planVersion: dataOf(run).planVersion ?? 0,
          signal: this.#desk.leadership.signal,
          quick: true,
          round,
        }),
      )
    }
    const failed = results.find((evidence) => evidence.verdict === 'fail')
    const unsure = results.find((evidence) => evidence.verdict === 'unknown')
    const verdict = failed !== undefined ? 'fail' : unsure !== undefined ? 'unknown' : 'pass'
    const because = (failed ?? unsure ?? results[0])?.because ?? 'nothing was compared'
    await changeRun(this.#desk, run, () => ({ data: { lastWatch: { atMs: clock.nowMs(), verdict, because } } }))
    if (failed === undefined) return
    // What readiness rested on does not hold any more.
    const { planVersion = 0, definitionDigest = '' } = dataOf(run)
    await keepEvidence(this.#desk, { ...failed, planVersion, definitionDigest })
    await changeRun(this.#desk, run, () => ({ data: { ready: null } }))
    await this.#stepBack(run, 0, `the branches differ (${failed.rung}): ${failed.because}`)
  }

  async #settleState(run: WorkflowRecord): Promise<void> {
    await settleState(this.#world, this.#desk, run)
  }

  async #auto(run: WorkflowRecord): Promise<void> {
    const { clock, store } = this.#world
    const { auto, lastWatch, ramp = [] } = dataOf(run)
    const spec = specOf(run)
    if (auto === undefined || auto.state !== 'running' || clock.nowMs() < auto.nextStepAtMs) return
    const rule = await readRecord<ReadRule>(store, keys.reads(run.keyspace))
    if (rule === null || rule.value.workflow !== run.uid) return
    const say = (change: Partial<AutoRamp>): Promise<unknown> =>
      changeRun(this.#desk, run, (now) => {
        const current = dataOf(now).auto
        return current === undefined || current.state !== 'running' ? null : { data: { auto: { ...current, ...change } } }
      })
    const wait = async (why: string): Promise<void> => {
      if (auto.why !== why) await say({ why })
    }
    const share = percentOf(rule.value.moved)
    if (rule.value.moved === readSlots) {
      await say({ state: 'done', why: null })
      return
    }
    // A rung may hold fleets at one vector, as a step does: not both at a time.
    const under = await this.#verbUnderWay(run)
    if (under !== null) return wait(`${under} is under way`)
    const evidence = await evidenceOf(store, run.uid)
    const missing = whyNotReady(run, evidence, clock.nowMs())
    if (missing !== null) return wait(`not ready: ${missing}`)
    // Without it nothing would take back reads that have become slow.
    if (baselineOf(run, evidence) === null) return wait(noBaseline)
    const lastMoveMs = ramp.findLast((entry) => entry.outcome === 'moved')?.atMs ?? 0
    if (
      share > 0 &&
      spec.ramp.watchRungs.length > 0 &&
      (lastWatch === undefined || lastWatch.atMs < lastMoveMs || lastWatch.verdict !== 'pass')
    )
      return wait(
        lastWatch?.verdict === 'unknown'
          ? `the comparison is unknown: ${lastWatch.because}`
          : 'the comparison of both branches after the last step',
      )
    const next = spec.ramp.steps.find((step) => step > share + 1e-9) ?? 100
    const { outcome, reason } = await moveReads(this.#desk, run, {
      move: { percent: next },
      by: 'auto',
      why: null,
      warmMs: 10_000,
      // The guard may have stepped in since: a step that waits would go on towards what it steps back from.
      notWanted: async () => (dataOf(await freshRun(store, run)).auto?.state === 'running' ? null : 'the automatic ramp was stopped'),
    })
    await this.#settleState(run)
    if (outcome === 'moved') await say({ nextStepAtMs: clock.nowMs() + spec.ramp.dwellMs, why: null })
    else await say({ nextStepAtMs: clock.nowMs() + retryMs, why: reason })
  }

  async #dimensions(given: WorkflowRecord): Promise<void> {
    const run = await freshRun(this.#world.store, given)
    await tendDimensions(this.#desk, run)
    const now = await freshRun(this.#world.store, run)
    const { dimensions } = dataOf(now)
    if (now.state === 'validating' || now.state === 'ready') await this.#settleState(now)
    if (dimensions?.state !== 'failed' || !['ramping', 'switched'].includes(now.state)) return
    const rule = await readRecord<ReadRule>(this.#world.store, keys.reads(run.keyspace))
    if (
      rule !== null &&
      rule.value.workflow === run.uid &&
      (rule.value.moved > 0 || tenantsOn(rule.value, specOf(run).toBranch).length > 0)
    )
      await this.#stepBack(now, 0, `dimension tables are not kept in step: ${dimensions.because}`)
  }

  async #horizon(run: WorkflowRecord): Promise<void> {
    const horizon = await horizonOf(this.#world, run)
    await changeRun(this.#desk, run, () => ({ data: { horizon } }))
  }
}
