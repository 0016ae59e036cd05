// long: one run of a stream puts all its parts together in order, and is read from top to bottom
/**
 * One stream: a source shard that feeds a set of targets. Copy, catch up, follow; one binlog reader, each row read once (PROTOCOLS 1.1).
 *
 * A *run* begins at what stands on the targets and ends by a stop, a failure, or anything that makes beginning again the safest way on
 * (a lost connection, a restarted server). All state that matters is on the targets; a run that ends by kill -9 and one that ends by an
 * error are the same to the next one.
 */
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { chooseControlTable, readRowsRead } from '../binlog/control-schema.ts'
import { currentPosition } from '../binlog/position.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
import type { Position, TableChooser, Tail } from '../binlog/source.ts'
import { openTail } from '../binlog/tail.ts'
import { commonPosition, groupsWithin } from '../binlog/within.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import type { ErrorView, PaceLimits, StreamRecord, StreamReport } from '../topology/records.ts'
import { Announced } from './announced.ts'
import { connectPlain, connectReader, type Addresses, type ServerAddress } from './access.ts'
import { SegmentPool } from './chunk.ts'
import { readersOf, type MoverConfig } from './config.ts'
import { copyBudget, type CopyBudget } from './copy-budget.ts'
import { Copier } from './copier.ts'
import type { Failpoints } from './crash-points.ts'
import { StatementsAhead } from './ddl-ahead.ts'
import { moveErrors } from './errors.ts'
import type { TargetShare } from './exclusion.ts'
import { landingSize } from './landing.ts'
import { HangWatch } from './hang-watch.ts'
import type { Lane } from './lane.ts'
import { LockWaits } from './lock-waits.ts'
import { Headroom } from './headroom.ts'
import { cascadingKeys, HiddenCascades } from './hidden-cascades.ts'
import { HeldStore } from './held-store.ts'
import type { MergeWriter } from './merged-table.ts'
import { markerStream, MarkerWriter } from './markers.ts'
import type { MemoryShares } from './memory-shares.ts'
import { openTargets, type OpenTarget } from './open-targets.ts'
import { foreignKeys, verifyForeignKeys } from './orphans.ts'
import type { Stamp } from './pending.ts'
import { pressureOf } from './pressure.ts'
import { RateMeter, type CopyProgress } from './progress.ts'
import { Redone, withRedone } from './redone.ts'
import { MarkerTimes, ReplicaLags } from './replica-lag.ts'
import { Router } from './router.ts'
import { refuseHidden, xaEnded } from './source-start.ts'
import { rebuildKeys } from './schema-copy.ts'
import { settleAll } from './settle-all.ts'
import { copiedProgress, landedRanges, progressFrom, rowsToReadAgain } from './resume.ts'
import { errorView, firstToFail, isTransient } from './run-end.ts'
import { StreamDdl } from './stream-ddl.ts'
import { streamTables, type DefinedBefore } from './stream-tables.ts'
import { statementBytesMax, type WriteMode } from './statements.ts'
import { plansByName, type SourceTable } from './source-tables.ts'
import { applierSql, compareCoordinates, ensureMoveTables } from './tables.ts'
import type { TablePlan } from './table-plan.ts'
import { endEpoch, sessionsEnd } from './takeover.ts'
import { LagMeter, type Follower } from './lag.ts'
import { appliedView, asItStood, behindMs, targetView } from './stream-report.ts'
import { TailAhead } from './tail-ahead.ts'
import { TailConsumer } from './tail-consumer.ts'
import type { Waiting } from './applier-options.ts'
import { TargetApplier } from './target-applier.ts'
import { Throttle } from './throttle.ts'
import { triggerGate } from './trigger-gate.ts'
import { TouchedKeys } from './touched.ts'
import { Wakeup } from '../base/wakeup.ts'
import { TargetXaStore } from './xa.ts'
import { XaUpkeep } from './xa-upkeep.ts'

export type StreamOptions = {
  record: StreamRecord
  mover: string
  addresses: Addresses
  /** By target uid: shared with the other streams of the workflow that write there. */
  shares: ReadonlyMap<string, TargetShare>
  clock: Clock
  log: Log
  config: MoverConfig
  /** What this stream may have of the mover's memory. */
  memory: MemoryShares
  /** The workflow's own limits of its copy, as they are just now. */
  pace: () => Partial<PaceLimits>
  /** Ids of the servers that replicate the source, as they are just now. */
  replicas: () => Promise<readonly string[]>
  failpoints: Failpoints
  /** For tables whose rows others write on the targets too. */
  mergeWriter: MergeWriter | null
  /** As earlier runs, in other processes too, reported last how far it is. `sourceRowsRead`: for the copy, without those that were read again. */
  copyBefore: StreamReport['copy'] | null
  /** `now`: a control marker passed, or the state changed. */
  onReport: (report: () => StreamReport, now: boolean) => void
}

/** So long a stream of a merge may take to come to a statement that another one began behind. */
const unfitMs = 600_000

export class Stream {
  readonly #options: StreamOptions
  #state: StreamReport['state'] = 'starting'
  #error: ErrorView | null = null
  #waiting: Waiting | null = null
  #progress: CopyProgress | null = null
  #appliers: TargetApplier[] = []
  #consumer: TailConsumer | null = null
  #tail: Tail | null = null
  #throttle: Throttle
  /** By earlier runs in this process. */
  #resumed: StreamReport['resumed'] = null
  #redone: Redone | null = null
  #headroom: Headroom | null = null
  #lockWaits: LockWaits | null = null
  #watch: HangWatch | null = null
  #lag: LagMeter | null = null
  #xaUpkeep: XaUpkeep | null = null
  #changeRate: RateMeter
  #reportedControl: number[] = []
  #stateSinceMs: number
  #lanes: readonly Lane[] = []
  #retries = 0
  /** Whether the targets have answered, at the end of the last run, that nothing of it is at work on them any more. */
  #ended = false
  /** Its beginnings to which a target did not fit. */
  #unfit: { times: number; sinceMs: number } | null = null
  readonly #ahead = new StatementsAhead()

  constructor(options: StreamOptions) {
    this.#options = options
    this.#throttle = new Throttle(options.clock, () => this.#limits())
    this.#changeRate = new RateMeter(options.clock)
    this.#stateSinceMs = options.clock.nowMs()
    this.#waiting = {
      what: 'the servers of both sides, and where the stream stands there',
      sinceMs: this.#stateSinceMs,
      ends: 'they have answered',
      reason: 'start',
    }
  }

  /**
   * Runs until the signal stops it or something fatal does (state `failed`). Never rejects. `stopped` is only said when nothing of it is at work on its targets any more, be it an ALTER of hours; what it
   * was not told of is left to whoever is to stop it (`stop-stream.ts`), or to the next run.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options
    for (let attempt = 0; ; attempt++) {
      const startedMs = clock.monotonicMs()
      try {
        await this.#runOnce(signal)
        this.#leave()
        return
      } catch (error) {
        if (signal.aborted) {
          this.#leave()
          return
        }
        log.warn({ err: error, stream: this.#options.record.uid }, 'a run of the stream ended')
        if (isSwError(error, 'SW-MOVE-025')) {
          this.#enter('stopped')
          return
        }
        if (!isTransient(error)) {
          this.#error = errorView(error, this.#options.record.uid)
          this.#enter('failed')
          return
        }
        if (clock.monotonicMs() - startedMs > 30_000) attempt = 0
        this.#retries++
        this.#waiting = {
          what: error instanceof Error ? error.message : String(error),
          sinceMs: clock.nowMs(),
          ends: 'it is tried again by itself',
          reason: 'retry',
        }
        this.#enter('starting')
        await clock.sleep(Math.min(5_000, 50 * 2 ** Math.min(attempt, 7)), signal).catch(() => undefined)
        if (signal.aborted) {
          this.#leave()
          return
        }
      }
    }
  }

  #leave(): void {
    if (this.#ended) {
      this.#enter('stopped')
      return
    }
    this.#waiting = {
      what: 'targets on which a statement may still be executed for it',
      sinceMs: this.#options.clock.nowMs(),
      ends: 'a mover has ended it there, where the stream is to be stopped, or goes on behind it',
    }
    this.#enter('starting')
  }

  #limits(): PaceLimits {
    const { config, pace, record } = this.#options
    const atCreation = record.options.copyBytesPerSecondMax
    return { ...config.pace, ...(atCreation === null ? {} : { copyBytesPerSecondMax: atCreation }), ...pace() }
  }

  /** What is reported of it just now. */
  report(): StreamReport {
    const { record, mover, clock } = this.#options
    return {
      v: 1,
      streamUid: record.uid,
      mover,
      generation: record.generation,
      atMs: clock.nowMs(),
      state: this.#state,
      stateSinceMs: this.#stateSinceMs,
      lanes: this.#lanes.length,
      retries: this.#retries + this.#lanes.reduce((sum, { retries }) => sum + retries, 0),
      waiting:
        this.#waiting ??
        // Before collisions, which may be of long ago for as long as somebody's lock keeps rounds from being made.
        this.#lockWaits?.waiting ??
        waitingOf(this.#appliers) ??
        this.#throttle.waiting ??
        this.#xaUpkeep?.waiting ??
        this.#watch?.waiting ??
        null,
      throttled: this.#throttle.waiting,
      error: this.#error,
      copy: this.#progress?.view() ?? asItStood(this.#options.copyBefore),
      applied: appliedView(this.#appliers, this.#changeRate, this.#lag),
      targets: record.targets.map(({ shard }, i) => targetView(shard, this.#appliers[i] ?? null, this.#lag?.lag(i) ?? null)),
      headroom: this.#headroom?.view() ?? null,
      resumed: this.#resumed === null ? null : withRedone(this.#resumed, this.#redone),
    }
  }

  /** What each of its parts is at (`Mover.standing`). */
  standing(): object {
    const { record, shares } = this.#options
    const { waiting, throttled } = this.report()
    const targets = this.#appliers.map((applier) => {
      const { shard, targetUid } = applier.options
      return { shard, ...applier.standing(), share: shares.get(targetUid)?.standing() ?? null }
    })
    return { stream: record.uid, state: this.#state, waiting, throttled, tail: this.#consumer?.doing.told ?? null, targets }
  }

  #enter(state: StreamReport['state']): void {
    if (this.#state !== state) this.#stateSinceMs = this.#options.clock.nowMs()
    this.#state = state
    if (state === 'stopped' || state === 'failed' || state === 'starting') {
      this.#appliers = []
      for (const { retries } of this.#lanes) this.#retries += retries
      this.#lanes = []
      this.#consumer = null
      if (this.#resumed !== null) this.#resumed = withRedone(this.#resumed, this.#redone)
      this.#redone = null
      this.#tail = null
      this.#headroom = null
      this.#lockWaits = null
      this.#watch = null
      this.#lag = null
      this.#xaUpkeep = null
    }
    if (state !== 'starting') this.#waiting = null
    this.#options.onReport(() => this.report(), true)
  }

  async #runOnce(stop: AbortSignal): Promise<void> {
    const { record, addresses, clock, config, memory, failpoints } = this.#options
    const inner = new AbortController()
    const signal = AbortSignal.any([stop, inner.signal])
    const opened: Connection[] = []
    // For the copy at once: streams of a mover begin together, and each finds how many they are.
    const copyShare = record.copy === 'full' ? memory.joinCopy(record.workflowUid) : null
    const copyEnded = (): void => copyShare?.end()
    const leaving: (() => void)[] = [memory.join(), copyEnded]
    let replicaLags: ReplicaLags | null = null
    let tailAhead: TailAhead | null = null
    const watch = HangWatch.begin(clock, config.hangMs, signal)
    this.#watch = watch
    let stopTargets: ((limit: AbortSignal) => Promise<void>) | null = null
    let rests = false
    this.#ended = false
    const open = async (connecting: Promise<Connection>, address: ServerAddress): Promise<Connection> => {
      const conn = await connecting
      opened.push(conn)
      watch.add(conn, address)
      return conn
    }
    const ended = (conn: Connection): void => {
      opened.splice(opened.indexOf(conn), 1)
      conn.destroy()
    }
    try {
      const source = await addresses(record.source.serverId)
      const sourceName = `${record.keyspace}/${record.source.shard} (${source.name})`
      const sourceMeta = await open(connectPlain(source, signal), source)
      refuseHidden(await flavourOf(sourceMeta).binlogSettings(sourceMeta), sourceName)
      await ensureMoveTables(sourceMeta)
      const markerConn = await open(connectPlain(source, signal), source)

      const moved = record.tables.filter((table) => !table.reference || record.movesReference)
      const movedNames = moved.map(({ name }) => name)
      const definedBefore: DefinedBefore = {
        definitions: await readTableDefinitions(sourceMeta, record.source.schema),
        cascades: await cascadingKeys(sourceMeta, record.source.schema),
      }
      const touched = new TouchedKeys<TablePlan>()
      const markerName = markerStream(record.workflowUid, record.uid)
      const sent = new MarkerTimes()
      replicaLags = new ReplicaLags({ replicas: this.#options.replicas, addresses, stream: markerName, sent, clock })
      const lags = replicaLags
      const markers = new MarkerWriter({
        conn: markerConn,
        stream: markerName,
        sourceName,
        clock,
        touched: touched as TouchedKeys<object>,
        onSending: (number, atMs) => {
          sent.note(number, atMs)
          this.#consumer?.noteMarkerSent(number, atMs)
        },
        rowsRead: () => (this.#tail === null ? 0 : (this.#progress?.work.rowsRead ?? 0)),
      })

      const ahead = new TailAhead((position, table) =>
        openTail({ connect: source.connect, position, table, clock, bufferBytesMax: memory.tailBufferBytes, signal }),
      )
      tailAhead = ahead
      const { targets, resumed } = await openTargets({
        record,
        addresses,
        clock,
        config,
        failpoints,
        signal,
        open,
        tables: movedNames,
        source: { meta: sourceMeta, name: sourceName, markers, markerName },
        onPosition: (position) => ahead.begin(position),
        onWaiting: (waiting) => this.#wait(waiting),
      })
      const ddl = new StreamDdl({
        record,
        source: { meta: sourceMeta, name: sourceName, connect: source.connect, address: source },
        targets,
        alone: (uid, work) => exclusionOf(uid).alone(work),
        clock,
        watch,
        signal,
        failpoints,
        ahead: this.#ahead,
        onWaiting: (waiting) => this.#wait(waiting),
      })
      const its = { record, source: { meta: sourceMeta, name: sourceName }, targets, mergeWriter: this.#options.mergeWriter }
      const mayFitLater = (mode: WriteMode): boolean => {
        this.#unfit ??= { times: 0, sinceMs: clock.monotonicMs() }
        return this.#unfit.times++ === 0 || (mode === 'several-sources' && clock.monotonicMs() - this.#unfit.sinceMs < unfitMs)
      }
      const { tables, cascades } = await streamTables({ ...its, mayFitLater }, moved, resumed ? null : definedBefore)
      this.#unfit = null
      const plans = new Map(tables.map(({ plan }) => [plan.name, plan]))
      stopTargets = async (limit) => {
        const appliers = this.#appliers
        await settleAll(
          targets.map(async ({ meta, on, epoch }, i) => {
            await appliers[i]?.settle()
            await appliers[i]?.storePositionNow()
            await endEpoch(meta, on, epoch)
            await sessionsEnd(meta, on, { atWork: 'wait', clock, signal: limit })
          }),
        )
      }

      // Where the tail begins: at the target that is furthest behind (after a failover: behind what all have). The others are given only what they do not have yet.
      const first = targets.reduce((low, target) => (compareCoordinates(target.stored.at, low.stored.at) < 0 ? target : low))
      const start: Stamp = {
        ordinal: 0,
        end: null,
        rowChanges: 0,
        position: targets.reduce((position, { stored }) => commonPosition(position, stored.position), first.stored.position),
        marker: first.stored.at.marker,
        groups: first.stored.at.groups,
        controlMarker: first.stored.controlMarker,
        markerAtMs: null,
        committedAtMs: null,
      }
      const copying = new Set(
        record.copy === 'full' && targets.some(({ stored }) => stored.copyState === 'copying') ? tables.map(({ plan }) => plan) : [],
      )
      if (copying.size === 0) copyEnded()
      const before = this.#progress
      const readBefore = before?.sourceRowsRead ?? this.#options.copyBefore?.sourceRowsRead ?? 0
      const rowsAtMarker = (resumed && copying.size > 0 && before === null ? await readRowsRead(sourceMeta, markerName) : null) ?? 0
      const landed = await landedRanges(copying.size > 0 ? targets : [], config.rangesKept)
      const progress =
        copying.size === 0 && record.copy === 'full'
          ? await copiedProgress(clock, targets, tables)
          : progressFrom(clock, landed, copying.size > 0 ? tables : [], targets.length)
      progress.sourceRowsRead = readBefore
      if (resumed) this.#resumed ??= { rowsRedone: 0, transactionsRedone: 0 }
      if (this.#resumed !== null && copying.size > 0) {
        // What the last run in this process read is known; of one that was killed, what it had reported, and what it had read when it last landed something or wrote a marker.
        const redoneBefore = before?.rowsRedone ?? landed.work.rowsRedone
        const read = Math.max(readBefore, landed.work.rowsRead - redoneBefore, rowsAtMarker - redoneBefore)
        const rows = rowsToReadAgain(read, landed, tables, targets.length)
        progress.sourceRowsRead = read - rows
        progress.rowsRedone = redoneBefore + rows
        this.#resumed = { ...this.#resumed, rowsRedone: this.#resumed.rowsRedone + rows }
        this.#options.log.info({ rowsRedone: rows, rowsReadBefore: read }, 'the copy is resumed')
      }
      this.#progress = progress

      const exclusionOf = (uid: string): TargetShare => {
        const share = this.#options.shares.get(uid)
        if (share === undefined) throw new Error(`no share for target ${uid}`)
        return share
      }
      for (const { stored, on } of targets) if (stored.copyState !== 'copying') exclusionOf(on.targetUid).alreadyCopied(record.uid)
      const held = await Promise.all(
        targets.map(async ({ on, lanes, packetMax }) => {
          const store = new HeldStore({ streamUid: on.streamUid, targetUid: on.targetUid, workflowUid: record.workflowUid, packetMax })
          return { store, rows: lanes[0] === undefined ? [] : await store.load(lanes[0], plans) }
        }),
      )
      let copier: Copier | null = null
      const appliers = targets.map(
        (target, number): TargetApplier =>
          new TargetApplier(
            {
              number,
              streamUid: record.uid,
              targetUid: target.on.targetUid,
              workflowUid: record.workflowUid,
              shard: record.targets[number]?.shard ?? '',
              source: record.source.shard,
              schema: record.targets[number]?.schema ?? '',
              mode: target.mode,
              lanes: target.lanes,
              packetMax: target.packetMax,
              bulkLoad: target.bulkLoad,
              touched,
              clock,
              failpoints,
              pendingBytesMax: () => Math.ceil(memory.pendingBytesMax / targets.length),
              oneLaneChangesMax: config.oneLaneChangesMax,
              exclusion: exclusionOf(target.on.targetUid),
              latest: () => consumer.latest,
              writeMarker: async () => (await markers.write()).number,
              read: () => consumer.read,
              sourcePosition: () => currentPosition(sourceMeta),
              beforeRound: triggerGate({
                conn: target.meta,
                name: target.name,
                tables: movedNames,
                schema: record.targets[number]?.schema ?? '',
                clock,
                signal,
                onWaiting: (waiting) => this.#wait(waiting),
              }),
              work: () => this.#progress?.work ?? { rowsRead: 0, rowsRedone: 0 },
              fold: (applier) => copier?.fold(applier) ?? null,
              landings: () => ({ size: copier?.landingSize ?? landingSize(1), pressing: copier?.pressing ?? true }),
              onApplied: (applier) => this.#applied(applier),
              onLanded: (chunk, applier) => copier?.landed(chunk, applier),
              onThrownAway: (chunk, applier) => copier?.thrownAway(chunk, applier),
            },
            // A target ahead of the start stands there: what comes up to it changes nothing.
            {
              applied: start,
              intent: compareCoordinates(target.stored.intent, target.stored.at) > 0 ? target.stored.intent : target.stored.at,
              stoodAt: target.stored.at,
              ...(held[number] === undefined ? {} : { held: held[number] }),
            },
          ),
      )
      const xa = new TargetXaStore({
        streamUid: record.uid,
        workflowUid: record.workflowUid,
        sourceName,
        plans,
        targets: targets.map(({ on, xaLane }) => ({ uid: on.targetUid, lane: xaLane })),
        copying: () => copying.size > 0,
        proof: flavourOf(sourceMeta).xaProof,
        read: () => consumer.read,
        failpoints,
      })
      const xaUpkeep = new XaUpkeep({ xa, touched, copying, keysBytesMax: () => memory.touchedBytesMax, source: sourceMeta, clock })
      this.#xaUpkeep = xaUpkeep
      if (resumed) await xaUpkeep.begin()
      const planOf = plansByName(record.source.schema, plans, (await sourceMeta.value('SELECT @@lower_case_table_names')) !== '0')
      const headroom: Headroom = new Headroom({
        conn: sourceMeta,
        clock,
        log: this.#options.log,
        onSettings: (settings) => refuseHidden(settings, sourceName),
        behindMs: (sourceNowMs) => behindMs(appliers, consumer.beganAtMs, { nowMs: clock.nowMs(), sourceNowMs }),
      })
      await headroom.readClock()
      const announced = new Announced(targets)
      await announced.load(start)
      const firstMarker = new Wakeup()
      const router = new Router(record.targets.map(({ shard }) => shard))
      const redone = new Redone(
        targets.flatMap(({ stored, brokenOff: round }, target) => (round === null ? [] : [{ target, goingTo: stored.intent, round }])),
        () => this.#options.log.info(redone.most, 'what the last run had begun to apply is done again'),
      )
      this.#redone = redone
      const hiddenCascades = new HiddenCascades(record.source.schema, cascades)
      const consumer: TailConsumer = new TailConsumer(
        {
          sourceName,
          planOf,
          workflowUid: record.workflowUid,
          oppositeDirection: record.direction === 'forward' ? 'reverse' : 'forward',
          router,
          targets: appliers,
          stoodAt: targets.map(({ stored }) => ({ place: stored.at, within: groupsWithin(start.position, stored.position) })),
          redone,
          severalSources: targets.map(({ mode }) => mode === 'several-sources'),
          touched,
          onTouched: () => xaUpkeep.keysTouched(copier),
          xaProof: flavourOf(sourceMeta).xaProof,
          copying,
          xa,
          beforeFirstMarker: record.copy === 'full' ? (xid) => xaEnded(sourceMeta, xid, clock, signal) : null,
          clock,
          sourceNowMs: () => headroom.sourceNowMs(),
          markerStream: markerName,
          partBytesMax: () => memory.partBytesMax,
          heldBytesMax: () => 2 * memory.pendingBytesMax,
          announced,
          hiddenCascades,
          onQuery: (event) =>
            ddl.query(event, announced, {
              plans,
              tables,
              copying,
              drain: (givenUp) => consumer.drain(signal, givenUp),
              holdLandings: async () => void (await Promise.all(appliers.map((applier) => applier.holdLandings(signal)))),
              position: () => consumer.latest.position,
              read: () => consumer.read,
              hiddenCascades,
              coordinate: () => consumer.latest,
            }),
          onStamp: (stamp) => {
            if (stamp.marker > 0) firstMarker.ring()
          },
        },
        start,
      )
      const controlDefinitions = await readTableDefinitions(sourceMeta, '_shardwright')
      const table: TableChooser = (schema, name) => {
        const control = chooseControlTable(schema, name)
        if (control !== null) return control
        if (schema === '_shardwright' && name === 'move_applier') return { kind: 'decode', columns: controlDefinitions.get(name) ?? [] }
        const plan = planOf(schema, name)
        if (plan !== null) return { kind: 'decode', columns: plan.definitions }
        return { kind: hiddenCascades.refersTo(schema, name) ? 'name' : 'skip' }
      }
      const tail = await ahead.take(start.position as Position, table)
      this.#consumer = consumer
      this.#tail = tail
      this.#appliers = appliers
      for (const [number, applier] of appliers.entries()) {
        const uid = targets[number]?.on.targetUid ?? ''
        const passMarker = async (): Promise<void> => applier.passed((await markers.write()).number, signal)
        const standAtMarker = async (until: AbortSignal): Promise<void> => applier.standAt((await markers.write()).number, until)
        const readMarker = async (until: AbortSignal): Promise<void> => applier.hasRead((await markers.write()).number, until)
        leaving.push(
          exclusionOf(uid).join(record.uid, {
            source: record.source.shard,
            passMarker,
            standAtMarker,
            readMarker,
            onWaiting: (waiting) => this.#wait(waiting),
          }),
        )
      }
      this.#lanes = targets.flatMap(({ lanes }) => lanes)
      this.#headroom = headroom
      const lockWaits = new LockWaits(targets, clock, () => this.#options.onReport(() => this.report(), false))
      this.#lockWaits = lockWaits
      const lag = new LagMeter({ conn: sourceMeta, clock, reading: () => consumer, followers: appliers.map(followerOf) })
      this.#lag = lag
      this.#reportedControl = appliers.map(({ applied }) => applied.controlMarker)
      // Of one that lacks rows no marker has been reported.
      for (const [number, { stored }] of targets.entries())
        this.#reportedControl[number] = held[number]?.rows.length === 0 ? stored.controlMarker : 0
      xaUpkeep.firstMarker = await markers.prepare()
      this.#waiting = null
      this.#enter(copying.size > 0 ? 'copying' : 'running')

      const tasks: Promise<void>[] = [
        consumer.run(tail, signal),
        ...appliers.map((applier) => applier.run(signal)),
        this.#markerLoop(markers, signal),
        lag.run(signal),
        this.#upkeep(opened, signal),
        lockWaits.run(signal),
        xaUpkeep.run(
          () => Math.min(...appliers.map(({ storedOrdinal }) => storedOrdinal)),
          () => consumer.latest,
          signal,
        ),
      ]
      // One may fail while the copy is still being prepared below; `firstToFail` tells it then, and until then it is not unheard of.
      for (const task of tasks) task.catch(() => undefined)
      const altered = tables.find((table) => table.altered !== null)
      if (copying.size > 0 && altered !== undefined) {
        this.#wait({
          what: `DDL on ${altered.plan.name} that lies ahead in the binlog: ${altered.altered}`,
          sinceMs: clock.nowMs(),
          ends: 'the tail comes to it; the copy goes on behind it',
          reason: 'ddl',
        })
      } else if (copying.size > 0) {
        const pressure = { conn: sourceMeta, commitMs: () => markers.commitMs, replicaLags: () => lags.measure() }
        this.#throttle.pressure = pressureOf(pressure, () => this.#limits(), clock)
        const readers = readersOf(config, targets.length)
        const rowsEstimated = tables.reduce((rows, table) => rows + table.rowsEstimated, 0)
        if (copyShare !== null) copyShare.rowsEstimated = rowsEstimated
        const budgetNow = (): CopyBudget =>
          copyBudget({ chunkBytes: config.chunkBytes, copyBytesMax: memory.copyBytesMax }, rowsEstimated, readers, copyShare?.together())
        const budget = budgetNow()
        const segment = segmentBytes(Math.min(budget.chunkBytes, budget.chunkRows * averageRowBytes(tables)), targets.length)
        copier = new Copier({
          sourceName,
          router,
          markers,
          clock,
          failpoints,
          chunkRows: budget.chunkRows,
          chunkBytes: budget.chunkBytes,
          chunksInFlight: budget.chunksInFlight,
          // By who copies just now: streams come to their copies one after another, and end them so.
          copyRowsMax: () => budgetNow().copyRowsMax,
          copyBytesMax: () => memory.copyBytesMax,
          segmentBytes: segment,
          readBufferBytes: () => memory.readBufferBytes,
          targets: targets.map(({ mode, packetMax, name, parameterRows }, i) => ({
            schema: record.targets[i]?.schema ?? '',
            mode,
            statementBytesMax: packetMax,
            name,
            parameterRows,
          })),
          tables,
          landed,
          appliers,
          connect: () => open(connectReader(source, signal), source),
          disconnect: ended,
          readers,
          pool: new SegmentPool(segment, () => Math.ceil(memory.copyBytesMax / segment)),
          touched,
          touchedBytesMax: () => memory.touchedBytesMax,
          copying,
          progress,
          throttle: (spent, throttleSignal) => this.#throttle.take(spent, throttleSignal),
        })
        tasks.push(
          this.#copy(
            copier,
            targets,
            { address: source, tables, reader: (address) => open(connectReader(address, signal), address), ended },
            signal,
            async () => {
              while (consumer.latest.marker === 0 && !signal.aborted) await firstMarker.wait(signal)
            },
            copyEnded,
          ),
        )
      }
      await firstToFail(tasks, stop).catch((error: unknown) => {
        rests = isSwError(error, 'SW-MOVE-025')
        throw error
      })
    } finally {
      const tail = this.#tail
      inner.abort()
      for (const leave of leaving) leave()
      await tail?.close()
      await tailAhead?.[Symbol.asyncDispose]()
      if (stopTargets !== null && (stop.aborted || rests)) this.#ended = await this.#endOrderly(stopTargets)
      replicaLags?.close()
      for (const conn of opened) conn.destroy()
    }
  }

  /** Bounded: a server that does not answer, or is at an ALTER of hours, must not keep the mover from stopping. Whether all was done. */
  async #endOrderly(stopTargets: (limit: AbortSignal) => Promise<void>): Promise<boolean> {
    const limit = new AbortController()
    const late = this.#options.clock.sleep(3_000, limit.signal).then(
      () => false,
      () => false,
    )
    const done = stopTargets(limit.signal).then(
      () => true,
      (error: unknown) => {
        this.#options.log.info({ err: error, stream: this.#options.record.uid }, 'not ended on all targets yet')
        return false
      },
    )
    const ended = await Promise.race([done, late])
    limit.abort()
    return ended
  }

  async #copy(
    copier: Copier,
    targets: readonly OpenTarget[],
    source: {
      address: ServerAddress
      tables: readonly SourceTable[]
      /** Sessions that read bytes, of the run. */
      reader: (address: ServerAddress) => Promise<Connection>
      ended: (conn: Connection) => void
    },
    signal: AbortSignal,
    begins: () => Promise<void>,
    ended: () => void,
  ): Promise<void> {
    const { record, shares, failpoints, clock } = this.#options
    await begins()
    await copier.run(signal)
    if (signal.aborted) return
    ended()
    await failpoints.hit('copy.beforeKeys')
    this.#wait({
      what: 'secondary keys of the targets, and other streams that copy into them',
      sinceMs: clock.nowMs(),
      ends: 'all have copied and the keys are built',
      reason: 'keys',
    })
    await Promise.all(
      targets.map(async ({ on, meta, lanes, name, address }, i) => {
        const schema = record.targets[i]?.schema ?? ''
        const share = shares.get(on.targetUid)
        await share?.copied(record.uid, () => rebuildKeys(meta, schema, on.targetUid, { failpoints }), clock, signal)
        if ((await foreignKeys({ conn: meta, schema })).length > 0) {
          this.#wait({
            what: `foreign keys of ${name}: rows are looked for whose other row is not there; what comes meanwhile is applied`,
            sinceMs: clock.nowMs(),
            ends: 'all tables that refer to others were looked through',
            reason: 'keys',
          })
          const here = { conn: await source.reader(address), schema, name }
          const there = { conn: await source.reader(source.address), schema: record.source.schema }
          const plans = source.tables.map(({ plan }) => plan)
          await verifyForeignKeys(here, there, plans, async (look) => share?.untilWell(look, clock, signal))
          for (const { conn } of [here, there]) source.ended(conn)
        }
        await failpoints.hit('copy.afterKeys')
        await share?.alone(async () => {
          await lanes[0]?.transaction([applierSql.copyState(on.streamUid, on.targetUid, 'done')])
        })
      }),
    )
    this.#wait(null)
    this.#enter('running')
    if (record.options.stopAfterCopy) throw moveErrors.stoppedAfterCopy({ stream: record.uid })
  }

  async #markerLoop(markers: MarkerWriter, signal: AbortSignal): Promise<void> {
    const { clock, config } = this.#options
    while (!signal.aborted) {
      await clock.sleep(config.markerMs, signal).catch(() => undefined)
      if (!signal.aborted && clock.monotonicMs() - markers.lastSentAtMs >= config.markerMs * 0.9) await markers.write()
      if (!signal.aborted) await this.#headroom?.refresh()
    }
  }

  /**
   * Every minute idle sessions are kept. Only idle ones are asked: in the middle of a LOAD DATA the server takes whatever comes for its data, and ends the session (1156).
   */
  async #upkeep(connections: readonly Connection[], signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(60_000, signal).catch(() => undefined)
      if (signal.aborted) return
      await Promise.all(
        connections
          .filter((conn) => conn.outstanding === 0)
          .map((conn) =>
            conn.ping().catch((error: unknown) => {
              // A reader that had nothing more to read was ended by us meanwhile.
              if (connections.includes(conn)) throw error
            }),
          ),
      )
    }
  }

  #wait(waiting: Waiting | null): void {
    this.#waiting = waiting
    this.#options.onReport(() => this.report(), false)
  }

  #applied(applier: TargetApplier): void {
    const { number } = applier.options
    const { controlMarker } = applier
    const passed = controlMarker > (this.#reportedControl[number] ?? 0)
    if (passed) {
      this.#reportedControl[number] = controlMarker
      const held = this.#options.failpoints.hit('marker.beforeReport')
      if (held !== undefined) {
        void held.then(
          () => this.#options.onReport(() => this.report(), true),
          () => undefined,
        )
        return
      }
    }
    this.#options.onReport(() => this.report(), passed)
  }
}

/** With rows held back a target is no nearer to its source than they are: the age of what it holds is not known. */
function followerOf(applier: TargetApplier): Follower {
  return {
    get applied() {
      return applier.applied
    },
    get consistent() {
      return applier.whole
    },
  }
}

/** A row that another stream’s stands in the way of, before that the target is another’s just now. */
function waitingOf(appliers: readonly TargetApplier[]): Waiting | null {
  const waits = [...appliers.map(({ waiting }) => waiting), ...appliers.map(({ excluded }) => excluded)]
  return waits.find((waiting) => waiting !== null) ?? null
}

function averageRowBytes(tables: readonly SourceTable[]): number {
  return Math.max(1, ...tables.map((table) => table.averageRowBytes))
}

function segmentBytes(chunkBytes: number, targets: number): number {
  return Math.max(16 << 10, Math.min(statementBytesMax, Math.ceil((chunkBytes / targets) * 1.2)))
}
