/** One comparison of a workflow from its record to its end. All state that matters is in its report: killed at any point, another mover goes on. */
import type { Clock } from '../base/clock.ts'
import { isSwError, SwError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Addresses } from '../move/access.ts'
import { readSourceTables } from '../move/source-tables.ts'
import { isServerError } from '../mysql/errors.ts'
import { keys } from '../topology/keys.ts'
import type {
  ErrorView,
  Flavour,
  RoutingRecord,
  ShardRef,
  StreamRecord,
  StreamTable,
  VdiffRecord,
  VdiffReport,
} from '../topology/records.ts'
import type { Condition, Store } from '../topology/store.ts'
import { servingSides } from '../topology/routing.ts'
import { listRecords, put, readRecord } from '../topology/typed.ts'
import { planComparison, readDefinitions, readEstimates, type Comparison } from './comparison.ts'
import { verifyErrors } from './errors.ts'
import { feedingStreams, referenceGroup, shardGroups, type Group } from './groups.ts'
import { nextPass, VdiffProgress, type VdiffShape } from './progress.ts'
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
  for (let failures = 0; ;) {
    const rowsBefore = progress.report().rowsCompared
    try {
      await compareAll(options, progress, until)
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
      const goesOn = shape.continuous ? isPassing(error) || isOfTheMoment(error) : isPassing(error) && ++failures <= failuresMax
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

/** What a single comparison gives up for, and a continuous one waits for: streams stopped, too far behind, a row locked. */
function isOfTheMoment(error: unknown): boolean {
  return ['SW-VERIFY-001', 'SW-VERIFY-002', 'SW-VERIFY-009'].some((code) => isSwError(error, code))
}

async function compareAll(options: VdiffRunOptions, progress: VdiffProgress, stop: AbortSignal): Promise<void> {
  const ended = new AbortController()
  try {
    await compareTables(options, progress, AbortSignal.any([stop, ended.signal]))
  } finally {
    ended.abort()
  }
}

async function compareTables(options: VdiffRunOptions, progress: VdiffProgress, signal: AbortSignal): Promise<void> {
  const { store, record, addresses, clock } = options
  const streams = (await listRecords<StreamRecord>(store, keys.streamsOf(record.workflowUid))).map(({ value }) => value)
  const keyspace = streams[0]?.keyspace ?? ''
  const workflow = streams[0]?.workflow ?? record.workflowUid
  await stableRouting(store, keyspace, streams, clock, signal, (what) => (progress.waiting = what))
  const routing = (await readRecord<RoutingRecord>(store, keys.routing(keyspace)))?.value
  const feeding = routing === undefined ? [] : feedingStreams(streams, routing)
  if (feeding.length === 0) throw verifyErrors.nothingToCompare({ workflow })
  const tables = chosenTables(feeding, record.tables)

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
  const comparisons = chosenGroups(await planAll(sessions, feeding, tables), feeding, record.shards ?? [])
  for (const { plan, group, rowsEstimated } of comparisons) progress.expect(plan.name, group.name, rowsEstimated)
  const stillServing = async (): Promise<void> => {
    const now = (await readRecord<RoutingRecord>(store, keys.routing(keyspace)))?.value
    if (servingText(now, feeding) !== serving) throw verifyErrors.switched({ keyspace })
  }
  const mayLock = (): Promise<void> => stableRouting(store, keyspace, streams, clock, signal, (what) => (progress.waiting = what))
  const queue = comparisons.filter(({ plan, group }) => progress.cursor(plan.name, group.name) !== 'done')
  const next = async (): Promise<void> => {
    for (let comparison = queue.shift(); comparison !== undefined; comparison = queue.shift()) {
      await compareTable({
        ...options,
        moved: new Set(feeding.flatMap((stream) => stream.tables).map((table) => table.name)),
        comparison,
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
}

type TableOptions = VdiffRunOptions & {
  /** All that the workflow moves. */
  moved: ReadonlySet<string>
  comparison: Comparison
  sessions: Sessions
  reports: Reports
  progress: VdiffProgress
  stillServing: () => Promise<void>
  mayLock: () => Promise<void>
  signal: AbortSignal
}

async function compareTable(options: TableOptions): Promise<void> {
  const { comparison, progress, sessions, clock, signal, record } = options
  const name = comparison.plan.name
  const group = comparison.group.name
  const cursor = progress.cursor(name, group)
  if (cursor === 'done') return
  progress.begin(name)
  await using repair = record.repair ? new TargetRepair({ comparison, sessions, clock, signal }) : null
  let orphans = cursor === 'start' ? await countOrphans(options) : null
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

async function planAll(sessions: Sessions, feeding: readonly StreamRecord[], tables: readonly StreamTable[]): Promise<Comparison[]> {
  const groups = shardGroups(feeding)
  const references = referenceGroup(feeding)
  const shards = uniqueShards([...groups, ...(references === null ? [] : [references])])
  const use: Sessions['reader'] = (serverId, work) => sessions.reader(serverId, work)
  const compared = new Set(tables.map(({ name }) => name))
  const [definitions, estimates] = await Promise.all([readDefinitions(shards, use, compared), readEstimates(shards, use)])
  const flavours = new Map<string, Flavour>()
  for (const { serverId } of shards) flavours.set(serverId, (await sessions.address(serverId)).flavour)
  const planned: Comparison[] = []
  const plan = async (group: Group, chosen: readonly StreamTable[]): Promise<void> => {
    const first = group.sources[0]
    if (first === undefined || chosen.length === 0) return
    // Rows are only read here: how a mover merges them is nothing to it.
    const plainTables = chosen.map(({ merge: _merge, ...table }): StreamTable => table)
    const sources = await sessions.reader(first.serverId, (conn) => readSourceTables(conn, first.shard, first.schema, plainTables))
    for (const table of sources) planned.push(planComparison(group, table, definitions, estimates, flavours))
  }
  for (const group of groups)
    await plan(
      group,
      tables.filter(({ reference }) => !reference),
    )
  if (references !== null)
    await plan(
      references,
      tables.filter(({ reference }) => reference),
    )
  // Large tables first: the end is not one table that all others wait for.
  return planned.sort((a, b) => b.rowsEstimated - a.rowsEstimated)
}

function uniqueShards(groups: readonly Group[]): ShardRef[] {
  return [...new Map(groups.flatMap((group) => [...group.sources, ...group.targets]).map((ref) => [ref.uid, ref])).values()]
}

function chosenTables(feeding: readonly StreamRecord[], names: readonly string[] | null): StreamTable[] {
  const all = new Map(feeding.flatMap((stream) => stream.tables).map((table) => [table.name, table]))
  if (names === null || names.length === 0) return [...all.values()]
  return names.map((name) => {
    const table = all.get(name)
    if (table === undefined) throw verifyErrors.unknownTable({ table: name, known: [...all.keys()].join(', ') })
    return table
  })
}

function chosenGroups(comparisons: readonly Comparison[], feeding: readonly StreamRecord[], shards: readonly string[]): Comparison[] {
  if (shards.length === 0) return [...comparisons]
  const known = new Set(feeding.flatMap((stream) => [stream.source.shard, ...stream.targets.map(({ shard }) => shard)]))
  const unknown = shards.find((shard) => !known.has(shard))
  if (unknown !== undefined) throw verifyErrors.unknownShard({ shard: unknown, known: [...known].join(', ') })
  return comparisons.filter(({ group }) => [...group.sources, ...group.targets].some(({ shard }) => shards.includes(shard)))
}

/** Which of the compared shards serve: as text, to see that it stays so. */
function servingText(routing: RoutingRecord | undefined, feeding: readonly StreamRecord[]): string {
  const shards = new Set(feeding.flatMap((stream) => [stream.source.shard, ...stream.targets.map(({ shard }) => shard)]))
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
  const shards = new Set(streams.flatMap((stream) => [stream.source.shard, ...stream.targets.map(({ shard }) => shard)]))
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
