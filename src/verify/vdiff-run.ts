/** One comparison of a workflow from its record to its end. All state that matters is in its report: killed at any point, another mover goes on. */
import type { Clock } from '../base/clock.ts'
import { isSwError, SwError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Addresses } from '../move/access.ts'
import { isServerError } from '../mysql/errors.ts'
import { keys } from '../topology/keys.ts'
import type { ErrorView, RoutingRecord, ShardRef, StreamRecord, VdiffRecord, VdiffReport } from '../topology/records.ts'
import type { Condition, Store } from '../topology/store.ts'
import { servingSides } from '../topology/routing.ts'
import { listRecords, put, readRecord } from '../topology/typed.ts'
import { assertSame, lookAt } from './as-planned.ts'
import type { Comparison } from './comparison.ts'
import { verifyErrors } from './errors.ts'
import { feedingStreams, shardNamesOf, shardsOf, shardsOfAll, type Group } from './groups.ts'
import { planWhenAlike, type Planned } from './planning.ts'
import { nextPass, unitOf, VdiffProgress, type VdiffShape } from './progress.ts'
import { TargetRepair } from './repair.ts'
import { Reports } from './reports.ts'
import { Sessions } from './sessions.ts'
import { countOrphans } from './orphan-rows.ts'
import { TableRun } from './table-run.ts'
import { addTally } from './tally.ts'

export type VdiffRunOptions = {
  store: Store
  record: VdiffRecord
  addresses: Addresses
  clock: Clock
  log: Log
  /** What must hold for a report to be written: that we still own the workflow. */
  conditions: readonly Condition[]
  /** Chunks of one table compared at once. */
  workers?: number
  /** Tables (of a group) at once. */
  tablesAtOnce?: number
  /** Between the passes of a continuous comparison. */
  restMs?: number
}

const reportMs = 1_000
const restMsDefault = 5_000
/** A continuous comparison works this part of the time, one chunk of one table at once: it has no end to be early for. */
const continuousDuty = 0.5
/** In a row, without a chunk between them: about a minute. */
const failuresMax = 16
/** A table that is altered so many times while it is compared is given up, but by a continuous comparison. */
const alteredMax = 16
const followingLookMs = 1_000

/** Ends with the report written. By the signal it ends without an end in the report, so that it is taken up again. */
export async function runVdiff(options: VdiffRunOptions, signal: AbortSignal): Promise<VdiffReport> {
  const { store, record, clock, log, conditions } = options
  const key = keys.vdiffReport(record.workflowUid, record.uid)
  const earlier = (await readRecord<VdiffReport>(store, key))?.value ?? null
  const shape: VdiffShape = { continuous: record.continuous === true, restricted: (record.shards ?? []).length > 0 }
  let progress = new VdiffProgress(clock, record.uid, earlier, shape)
  const inner = new AbortController()
  const until = AbortSignal.any([signal, inner.signal])
  let lost = false
  const write = async (): Promise<void> => {
    const result = await store.commit(conditions, [put(key, progress.report())])
    if (result.ok) return
    lost = true
    inner.abort(new Error('another mover has the workflow'))
  }
  const writing = (async () => {
    while (!until.aborted) {
      await clock.sleep(reportMs, until).catch(() => undefined)
      if (!until.aborted) await write().catch((error: unknown) => log.warn({ err: error }, 'a vdiff report was not written'))
    }
  })()
  await write()
  const altered: Altered = { justNow: false, times: new Map() }
  for (let failures = 0; ;) {
    const rowsBefore = progress.report().rowsCompared
    try {
      await compareAll({ ...options, altered }, progress, until)
      altered.justNow = false
      if (!shape.continuous) {
        progress.complete()
        break
      }
      failures = 0
      progress.waiting = 'the next pass'
      await clock.sleep(options.restMs ?? restMsDefault, until)
      progress = new VdiffProgress(clock, record.uid, nextPass(progress.report(), clock.nowMs()), shape)
    } catch (error) {
      if (signal.aborted || lost) break
      if (shape.continuous && (isSwError(error, 'SW-VERIFY-006') || isSwError(error, 'SW-VERIFY-007'))) {
        progress.stop('traffic was switched: a continuous comparison lasts from the copy to the switch')
        break
      }
      if (progress.report().rowsCompared > rowsBefore) failures = 0
      altered.justNow = isSwError(error, 'SW-VERIFY-013')
      const goesOn = shape.continuous
        ? altered.justNow || isPassing(error) || isOfTheMoment(error)
        : altered.justNow
          ? Math.max(...altered.times.values()) <= alteredMax
          : isPassing(error) && ++failures <= failuresMax
      if (!goesOn) {
        log.warn({ err: error, vdiff: record.uid }, 'a vdiff failed')
        progress.fail(errorView(error))
        break
      }
      // A server that restarts, a connection that broke: on from the cursors, as another mover would.
      log.warn({ err: error, vdiff: record.uid }, 'a vdiff goes on from where it stood')
      if (shape.continuous) failures = Math.min(failures + 1, failuresMax)
      progress = new VdiffProgress(clock, record.uid, progress.report(), shape)
      progress.waiting = error instanceof Error ? error.message : String(error)
      await clock.sleep(Math.min(5_000, 100 * 2 ** failures), until).catch(() => undefined)
    }
  }
  inner.abort()
  await writing
  if (!lost && (!signal.aborted || progress.ended)) await write()
  return progress.report()
}

/** Whether trying again by itself can help; our own refusals are for the user to act on. */
function isPassing(error: unknown): boolean {
  // The stream began anew, and a repair carried its former right: nothing was written.
  if (isSwError(error, 'SW-MOVE-001')) return true
  if (isServerError(error)) return error.class === 'transient' || error.kind === 'killed' || error.kind === 'interrupted'
  return isSwError(error) && (error.class === 'transient' || error.class === 'unknown') && !error.code.startsWith('SW-VERIFY-')
}

/** What a single comparison gives up for, and a continuous one waits for: streams stopped, too far behind, definitions that differ, a row locked. */
function isOfTheMoment(error: unknown): boolean {
  return ['SW-VERIFY-001', 'SW-VERIFY-002', 'SW-VERIFY-003', 'SW-VERIFY-004', 'SW-VERIFY-005', 'SW-VERIFY-009'].some((code) =>
    isSwError(error, code),
  )
}

/** Over the attempts of one comparison. `times`: by table and group, how often it was found altered. */
type Altered = { justNow: boolean; readonly times: Map<string, number> }
type AttemptOptions = VdiffRunOptions & { altered: Altered }

async function compareAll(options: AttemptOptions, progress: VdiffProgress, stop: AbortSignal): Promise<void> {
  const ended = new AbortController()
  try {
    await compareTables(options, progress, AbortSignal.any([stop, ended.signal]))
  } finally {
    ended.abort()
  }
}

async function compareTables(options: AttemptOptions, progress: VdiffProgress, signal: AbortSignal): Promise<void> {
  const { store, record, addresses, clock } = options
  const streams = (await listRecords<StreamRecord>(store, keys.streamsOf(record.workflowUid))).map(({ value }) => value)
  const keyspace = streams[0]?.keyspace ?? ''
  const workflow = streams[0]?.workflow ?? record.workflowUid
  await stableRouting(store, keyspace, streams, clock, signal, (what) => (progress.waiting = what))
  const routing = (await readRecord<RoutingRecord>(store, keys.routing(keyspace)))?.value
  const feeding = routing === undefined ? [] : feedingStreams(streams, routing)
  if (feeding.length === 0) throw verifyErrors.nothingToCompare({ workflow })

  await using sessions = new Sessions({ addresses, clock, perServerMax: 6, signal })
  const reports = new Reports({ store, workflowUid: record.workflowUid, clock, signal })
  const watching = reports.watch()
  watching.catch(() => undefined)
  // For as long as it takes: what is not copied yet would be told as missing.
  while (!(await reports.following(feeding, followingLookMs))) progress.waiting = `the copy: stream ${reports.notFollowing(feeding)}`
  progress.waiting = null

  const serving = servingText(routing, feeding)
  if ((progress.serves ?? serving) !== serving) throw verifyErrors.switched({ keyspace })
  progress.serves = serving
  const planned = await planWhenAlike({
    sessions,
    reports,
    feeding,
    tables: record.tables,
    shards: record.shards ?? [],
    altered: options.altered.justNow,
    onWaiting: (what) => (progress.waiting = what),
  })
  for (const { comparison, definition } of planned) {
    const { plan, group, rowsEstimated } = comparison
    progress.expect(plan.name, group.name, rowsEstimated, definition, shardNames(comparison))
  }
  const stillServing = async (): Promise<void> => {
    const now = (await readRecord<RoutingRecord>(store, keys.routing(keyspace)))?.value
    if (servingText(now, feeding) !== serving) throw verifyErrors.switched({ keyspace })
  }
  const mayLock = (): Promise<void> => stableRouting(store, keyspace, streams, clock, signal, (what) => (progress.waiting = what))
  const queue = planned.filter(({ comparison: { plan, group } }) => progress.cursor(plan.name, group.name) !== 'done')
  const next = async (): Promise<void> => {
    for (let first = queue.shift(); first !== undefined; first = queue.shift()) {
      await compareTable({
        ...options,
        moved: new Set(feeding.flatMap((stream) => stream.tables).map((table) => table.name)),
        planned: first,
        sessions,
        reports,
        progress,
        stillServing,
        mayLock,
        signal: AbortSignal.any([signal, failed.signal]),
      })
    }
  }
  // The first failure ends them all, and is what is told.
  const failed = new AbortController()
  const tasks = Array.from({ length: Math.min(record.continuous === true ? 1 : (options.tablesAtOnce ?? 2), queue.length) }, async () => {
    try {
      await next()
    } catch (error) {
      failed.abort(error)
    }
  })
  await Promise.all(tasks)
  if (failed.signal.aborted) throw failed.signal.reason
  await stillServing()
  await allAsPlanned(planned, sessions, (comparison) => takeBack(options, progress, comparison))
}

/** Those too that were done early: what is said of a table holds for what it is at the end. */
async function allAsPlanned(planned: readonly Planned[], sessions: Sessions, onAltered: (comparison: Comparison) => void): Promise<void> {
  const shards = shardsOfAll(planned.map(({ comparison: { group } }) => group))
  const now = await lookAt(shards, (serverId, work) => sessions.reader(serverId, work))
  let first: { error: unknown } | null = null
  for (const { comparison, looks } of planned) {
    try {
      assertSame(comparison.plan.name, shardsOf(comparison.group), looks, now)
    } catch (error) {
      onAltered(comparison)
      first ??= { error }
    }
  }
  if (first !== null) throw first.error
}

function takeBack({ altered, log }: AttemptOptions, progress: VdiffProgress, comparison: Comparison): void {
  const { plan, group } = comparison
  const unit = unitOf(plan.name, group.name)
  altered.times.set(unit, (altered.times.get(unit) ?? 0) + 1)
  log.info({ table: plan.name, group: group.name }, 'a table was altered while it was compared: it is compared from its beginning')
  progress.forget(plan.name, group.name, shardNames(comparison))
}

function shardNames({ group }: Comparison): string[] {
  return group.targets.map(({ shard }) => shard)
}

type TableOptions = AttemptOptions & {
  /** All that the workflow moves. */
  moved: ReadonlySet<string>
  planned: Planned
  sessions: Sessions
  reports: Reports
  progress: VdiffProgress
  stillServing: () => Promise<void>
  mayLock: () => Promise<void>
  signal: AbortSignal
}

async function compareTable(options: TableOptions): Promise<void> {
  const { planned, progress, sessions, signal } = options
  const { comparison, looks } = planned
  const { plan, group } = comparison
  const looked = async (shards: readonly ShardRef[], use: Sessions['reader']): Promise<void> =>
    assertSame(plan.name, shards, looks, await lookAt(shards, use, plan.name))
  const whole = (): Promise<void> => looked(shardsOf(group), (serverId, work) => sessions.reader(serverId, work))
  try {
    await compareOne(options, looked, whole)
  } catch (error) {
    if (signal.aborted) throw error
    const cause = isSwError(error, 'SW-VERIFY-013') ? error : await alteredInstead(error, whole)
    if (cause !== null) takeBack(options, progress, comparison)
    throw cause ?? error
  }
}

/** A statement that names what is not there any more, or a row that is refused: whatever was met, of a table that was altered it is no wonder. */
async function alteredInstead(error: unknown, look: () => Promise<void>): Promise<unknown> {
  if (isPassing(error)) return null
  try {
    await look()
    return null
  } catch (other) {
    return isSwError(other, 'SW-VERIFY-013') ? other : null
  }
}

async function compareOne(
  options: TableOptions,
  looked: (shards: readonly ShardRef[], use: Sessions['reader']) => Promise<void>,
  whole: () => Promise<void>,
): Promise<void> {
  const { progress, sessions, clock, signal, record } = options
  const { comparison } = options.planned
  const name = comparison.plan.name
  const group = comparison.group.name
  const cursor = progress.cursor(name, group)
  if (cursor === 'done') return
  progress.begin(name)
  const asPlanned = (shards: readonly ShardRef[]): Promise<void> => looked(shards, (serverId, work) => sessions.aside(serverId, work))
  await using repair = record.repair ? new TargetRepair({ comparison, sessions, asPlanned, clock, signal }) : null
  let orphans = cursor === 'start' ? await countOrphans({ ...options, comparison }) : null
  const run = new TableRun({
    comparison,
    sessions,
    reports: options.reports,
    clock,
    signal,
    workers: record.continuous === true ? 1 : (options.workers ?? 2),
    duty: record.continuous === true ? continuousDuty : 1,
    from: cursor === 'start' ? null : cursor,
    repair,
    skipsLocked: await skipsLocked(sessions, comparison.group),
    stillServing: options.stillServing,
    mayLock: options.mayLock,
    asPlanned: whole,
    onChunk: (tally, to) => {
      // Counted with the first chunk: what the cursor has passed holds them, once.
      if (orphans !== null) addTally(tally, orphans)
      orphans = null
      progress.passed(name, group, tally, to)
    },
    onWaiting: (what) => (progress.waiting = what),
  })
  await run.run()
}

/** SKIP LOCKED came with MySQL 8.0 and MariaDB 10.6. */
async function skipsLocked(sessions: Sessions, group: Group): Promise<boolean> {
  for (const { serverId } of group.sources) {
    if (!(await sessions.reader(serverId, (conn) => Promise.resolve(conn.flavour === 'mysql' || conn.versionNumber >= 100_600))))
      return false
  }
  return true
}

/** Which of the compared shards serve: as text, to see that it stays so. */
function servingText(routing: RoutingRecord | undefined, feeding: readonly StreamRecord[]): string {
  const shards = shardNamesOf(feeding)
  return servingSides((routing?.components ?? []).filter(({ serving }) => serving.primary.some((shard) => shards.has(shard))))
    .sort()
    .join(' ')
}

/** Waits until no switch of a shard concerned is under way: its locks and ours must not meet. */
async function stableRouting(
  store: Store,
  keyspace: string,
  streams: readonly StreamRecord[],
  clock: Clock,
  signal: AbortSignal,
  onWaiting: (what: string | null) => void,
): Promise<void> {
  const shards = shardNamesOf(streams)
  for (let waited = false; ; waited = true) {
    signal.throwIfAborted()
    const routing = (await readRecord<RoutingRecord>(store, keys.routing(keyspace)))?.value
    const busy = routing?.components.find(
      ({ phase, serving, other }) => phase !== 'stable' && [...serving.primary, ...other].some((shard) => shards.has(shard)),
    )
    if (busy === undefined) {
      if (waited) onWaiting(null)
      return
    }
    onWaiting(`the end of a switch: ${keyspace}/${busy.range} is ${busy.phase}`)
    await clock.sleep(50, signal)
  }
}

function errorView(error: unknown): ErrorView {
  const shown =
    error instanceof SwError ? error : verifyErrors.internal({ reason: error instanceof Error ? error.message : String(error) }, error)
  return { code: shown.code, what: shown.message, why: shown.why, fix: shown.fix }
}
