/**
 * The mover: watches what is wanted of streams, takes whole workflows by lease, runs a `Stream` for each record, reports.
 *
 * Who may run a workflow is decided twice, and only the second matters for data: `stream-owners/…` under this mover's lease keeps movers
 * out of each other's way; the epochs on the targets (takeover.ts) make it safe when a mover was paused past its lease and wakes up.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { keys } from '../topology/keys.ts'
import { keepLease, type KeptLease } from '../topology/kept-lease.ts'
import type { MoverRecord, PaceLimits, PaceRecord, ShardRecord, StreamOwner, StreamRecord, StreamReport } from '../topology/records.ts'
import type { Snapshot, Store } from '../topology/store.ts'
import { parseRecord, put, readRecord, recordsOf } from '../topology/typed.ts'
import { addressesOf, type Addresses } from './access.ts'
import { moverDefaults, type MoverConfig } from './config.ts'
import { armedFailpoints, type CrashPoint } from './crash-points.ts'
import { TargetShare } from './exclusion.ts'
import { MemoryShares } from './memory-shares.ts'
import type { MergeWriter } from './merged-table.ts'
import { ReportWriter } from './report-writer.ts'
import { stopOnTargets } from './stop-stream.ts'
import { Stream } from './stream.ts'
import { hasLeftTargets } from './stream-report.ts'
import { Wakeup } from '../base/wakeup.ts'

export type MoverOptions = {
  store: Store
  /** One process start. */
  id: string
  pid: number
  clock: Clock
  log: Log
  config?: Partial<MoverConfig>
  /** How servers are reached; from the topology's records unless given. */
  addresses?: Addresses
  rssBytes: () => number
  /** How rows are merged into those that fleets write (PROTOCOLS 4.13). Absent: streams that ask for it fail by name. */
  mergeWriter?: MergeWriter
  /** What the failpoint `kill` does. */
  kill: () => void
}

type Runner = {
  record: StreamRecord
  text: string
  abort: AbortController
  done: Promise<void>
  ended: boolean
  reports: ReportWriter
  stream: Stream | null
}

/** Records are looked at anew at least this often. */
const lookMs = 250

export class Mover {
  readonly #options: MoverOptions
  readonly #config: MoverConfig
  readonly #memory: MemoryShares
  readonly #addresses: Addresses
  readonly #bell = new Wakeup()
  readonly #runners = new Map<string, Runner>()
  /** By workflow, then target uid. */
  readonly #shares = new Map<string, Map<string, TargetShare>>()
  readonly #owned = new Set<string>()
  #streams: ReadonlyMap<string, StreamRecord> = new Map()
  #paces: ReadonlyMap<string, Partial<PaceLimits>> = new Map()
  #owners: Snapshot | null = null

  constructor(options: MoverOptions) {
    this.#options = options
    this.#config = { ...moverDefaults, ...options.config }
    this.#memory = new MemoryShares(this.#config)
    this.#addresses = options.addresses ?? addressesOf(options.store)
  }

  /** Runs until the signal aborts; then streams are stopped in order, their positions stored, and the workflows given back. */
  async run(signal: AbortSignal): Promise<void> {
    const { store, log, clock } = this.#options
    const watching = Promise.all([this.#watchStreams(signal), this.#watchPaces(signal), this.#watchOwners(signal)])
    watching.catch((error: unknown) => log.error({ err: error }, 'the topology cannot be watched'))
    while (!signal.aborted) {
      let lease: KeptLease
      try {
        lease = await keepLease(store, { ttlMs: this.#config.leaseMs, clock })
      } catch (error) {
        log.warn({ err: error }, 'no lease')
        await clock.sleep(500, signal).catch(() => undefined)
        continue
      }
      await this.#withLease(lease, signal).catch((error: unknown) => log.error({ err: error }, 'the mover begins again'))
      // Whoever has the lease now reports; what we say of having stopped would be taken for its word.
      if (lease.lost.aborted) for (const { reports } of this.#runners.values()) reports.discard()
      await this.#stopAll()
      this.#owned.clear()
      await lease.release()
    }
    await watching.catch(() => undefined)
  }

  /** What every part of every stream here is at, and since when: for whoever asks why one stands still. No values of rows but those of a wait that is reported. */
  standing(): readonly object[] {
    return [...this.#runners.values()].flatMap(({ stream, ended }) => (stream === null || ended ? [] : [stream.standing()]))
  }

  async #withLease(lease: KeptLease, signal: AbortSignal): Promise<void> {
    const { store, id, pid, clock, log, rssBytes } = this.#options
    const startedAtMs = clock.nowMs()
    const until = AbortSignal.any([signal, lease.lost])
    let publishedAtMs = -Infinity
    while (!until.aborted) {
      if (clock.monotonicMs() - publishedAtMs >= 1_000) {
        publishedAtMs = clock.monotonicMs()
        const record: MoverRecord = { v: 1, id, pid, startedAtMs, rssBytes: rssBytes() }
        // A store that does not answer for a moment says nothing of the lease, which tells itself when it is lost: streams go on.
        await store
          .commit([], [put(keys.mover(id), record, lease.id)])
          .catch((error: unknown) => log.warn({ err: error }, 'this mover could not say that it is here'))
      }
      await this.#reconcile(lease)
      for (const { stream, ended, reports } of this.#runners.values())
        if (stream !== null && !ended) reports.write(() => stream.report(), false)
      await this.#bell.wait(until, Math.min(lookMs, this.#config.reportMs))
    }
  }

  async #reconcile(lease: KeptLease): Promise<void> {
    const byWorkflow = new Map<string, StreamRecord[]>()
    for (const record of this.#streams.values()) {
      const list = byWorkflow.get(record.workflowUid) ?? []
      byWorkflow.set(record.workflowUid, list)
      list.push(record)
    }
    for (const [workflowUid, records] of byWorkflow) {
      if (!this.#owned.has(workflowUid) && !(await this.#tryToOwn(workflowUid, records, lease))) continue
      this.#shareTargets(workflowUid, records)
      for (const record of records) this.#obey(record)
    }
    // Records that are gone: control has ended the stream and removed its rows.
    for (const [uid, runner] of this.#runners) {
      if (this.#streams.has(uid)) continue
      runner.reports.discard()
      runner.abort.abort()
      if (runner.ended) this.#runners.delete(uid)
    }
    for (const workflowUid of this.#owned) {
      if (byWorkflow.has(workflowUid) || [...this.#runners.values()].some(({ record }) => record.workflowUid === workflowUid)) continue
      // Ours until it is known to be given back: otherwise nobody would take it as long as our lease lasts.
      const given = await this.#asked(() => this.#options.store.commit([], [{ key: keys.streamOwner(workflowUid), value: undefined }]))
      if (given === null) continue
      this.#owned.delete(workflowUid)
      this.#shares.delete(workflowUid)
    }
  }

  #askAgainAtMs = -Infinity

  /**
   * Null: the store did not answer. Nothing that is owned waits for what is asked here, and an election of a second is no reason to stop it; whether the lease still is ours it tells itself.
   */
  async #asked<T>(question: () => Promise<T>): Promise<T | null> {
    const { clock, log } = this.#options
    if (clock.monotonicMs() < this.#askAgainAtMs) return null
    try {
      return await question()
    } catch (error) {
      log.warn({ err: error }, 'the topology did not answer; it is asked again')
      this.#askAgainAtMs = clock.monotonicMs() + 1_000
      return null
    }
  }

  async #tryToOwn(workflowUid: string, records: readonly StreamRecord[], lease: KeptLease): Promise<boolean> {
    return (await this.#asked(() => this.#own(workflowUid, records, lease))) ?? false
  }

  /** Takes a workflow that wants something and that no other mover holds. */
  async #own(workflowUid: string, records: readonly StreamRecord[], lease: KeptLease): Promise<boolean> {
    const { store, id, log } = this.#options
    const key = keys.streamOwner(workflowUid)
    if (this.#owners === null) return false
    const entry = this.#owners.entries.get(key)
    // Ours, and not known to be: the store did not tell what became of an attempt to take it.
    if (entry !== undefined && parseRecord<StreamOwner>(entry).value.mover !== id) return false
    if (!records.some(({ wanted }) => wanted === 'running') && !(await this.#leftRunning(records))) return false
    const owner: StreamOwner = { v: 1, mover: id }
    const result = await store.commit([{ key, version: entry?.version ?? 0 }], [put(key, owner, lease.id)])
    if (!result.ok) return false
    log.info({ workflowUid }, 'took a workflow')
    this.#owned.add(workflowUid)
    return true
  }

  /** A stream that shall be stopped, and whose last report does not say that it has left its targets: its mover died before it could obey. */
  async #leftRunning(records: readonly StreamRecord[]): Promise<boolean> {
    for (const record of records) {
      const report = await readRecord<StreamReport>(this.#options.store, keys.report(record.workflowUid, record.uid))
      if (report !== null && !hasLeftTargets(report.value)) return true
    }
    return false
  }

  #shareTargets(workflowUid: string, records: readonly StreamRecord[]): void {
    const shares = this.#shares.get(workflowUid) ?? new Map<string, TargetShare>()
    this.#shares.set(workflowUid, shares)
    const copying = new Map<string, Set<string>>()
    for (const record of records) {
      for (const { uid } of record.targets) {
        const streams = copying.get(uid) ?? new Set<string>()
        copying.set(uid, streams)
        if (record.copy === 'full') streams.add(record.uid)
      }
    }
    for (const [uid, streams] of copying) {
      const share = shares.get(uid)
      if (share === undefined) shares.set(uid, new TargetShare(streams))
      else share.expect(streams)
    }
  }

  #obey(record: StreamRecord): void {
    const runner = this.#runners.get(record.uid)
    const text = JSON.stringify(record)
    if (runner === undefined) {
      this.#start(record, text)
      return
    }
    if (runner.text === text) return
    if (!runner.ended) {
      runner.abort.abort()
      return
    }
    // A failed or stopped stream begins again only when control says so: by a greater generation, or anything else that it changed.
    this.#start(record, text)
  }

  #start(record: StreamRecord, text: string): void {
    const { store, clock, log, id, kill } = this.#options
    const abort = new AbortController()
    const reports = new ReportWriter({
      store,
      workflowUid: record.workflowUid,
      streamUid: record.uid,
      clock,
      everyMs: this.#config.reportMs,
      log,
    })
    const runner: Runner = { record, text, abort, done: Promise.resolve(), ended: false, reports, stream: null }
    const streamLog = log.child({ stream: record.uid })
    const hold = (point: CrashPoint): Promise<void> =>
      new Promise((_, reject) => {
        streamLog.warn({ point }, 'held at a failpoint')
        abort.signal.addEventListener('abort', () => reject(abort.signal.reason), { once: true })
      })
    if (record.wanted === 'running') {
      const begin = (copyBefore: StreamReport['copy'] | null): Promise<void> => {
        runner.stream = new Stream({
          record,
          copyBefore,
          mergeWriter: this.#options.mergeWriter ?? null,
          mover: id,
          addresses: this.#addresses,
          shares: this.#shares.get(record.workflowUid) ?? new Map(),
          clock,
          log: streamLog,
          config: this.#config,
          memory: this.#memory,
          pace: () => this.#paces.get(record.workflowUid) ?? {},
          replicas: async () =>
            (await readRecord<ShardRecord>(store, keys.shard(record.keyspace, record.source.shard)))?.value.replicas ?? [],
          failpoints: armedFailpoints(record.options.failpoints, { kill, hold }),
          onReport: (report, now) => reports.write(report, now),
        })
        return runner.stream.run(abort.signal)
      }
      runner.done = readRecord<StreamReport>(store, keys.report(record.workflowUid, record.uid))
        .then(
          (earlier) => earlier?.value.copy ?? null,
          () => null,
        )
        .then(begin)
    } else {
      runner.done = stopOnTargets(
        { record, addresses: this.#addresses, store, mover: id, clock, log: streamLog, reports, hangMs: this.#config.hangMs },
        abort.signal,
      )
    }
    runner.done = runner.done
      .catch((error: unknown) => streamLog.error({ err: error }, 'a stream could not be stopped'))
      .then(() => reports.flush())
      .finally(() => {
        runner.ended = true
        this.#bell.ring()
      })
    this.#runners.set(record.uid, runner)
  }

  async #stopAll(): Promise<void> {
    const running = [...this.#runners.values()]
    for (const { abort } of running) abort.abort()
    await Promise.allSettled(running.map(({ done }) => done))
    this.#runners.clear()
    this.#shares.clear()
  }

  async #watchStreams(signal: AbortSignal): Promise<void> {
    for await (const snapshot of this.#watch(keys.streams, signal)) {
      this.#streams = new Map(recordsOf<StreamRecord>(snapshot).map(({ value }) => [value.uid, value]))
      this.#bell.ring()
    }
  }

  async #watchPaces(signal: AbortSignal): Promise<void> {
    for await (const snapshot of this.#watch(keys.paces, signal)) {
      this.#paces = new Map(recordsOf<PaceRecord>(snapshot).map(({ value }) => [value.workflowUid, value.limits]))
    }
  }

  async #watchOwners(signal: AbortSignal): Promise<void> {
    for await (const snapshot of this.#watch(keys.streamOwners, signal)) {
      this.#owners = snapshot
      // What another mover holds now was lost while our store did not answer.
      for (const [key, entry] of snapshot.entries) {
        const { mover } = parseRecord<StreamOwner>(entry).value
        const workflowUid = key.slice(keys.streamOwners.length)
        if (mover !== this.#options.id && this.#owned.delete(workflowUid)) {
          for (const { record, abort, reports } of this.#runners.values()) {
            if (record.workflowUid !== workflowUid) continue
            // It reports from here on; what we say of having stopped would be taken for its word.
            reports.discard()
            abort.abort()
          }
        }
      }
      this.#bell.ring()
    }
  }

  /** A watch that begins again when the store fails. */
  async *#watch(prefix: string, signal: AbortSignal): AsyncIterable<Snapshot> {
    while (!signal.aborted) {
      try {
        for await (const snapshot of this.#options.store.watch(prefix, signal)) yield snapshot
      } catch (error) {
        if (signal.aborted) return
        this.#options.log.warn({ err: error, prefix }, 'watching again')
        await this.#options.clock.sleep(500, signal).catch(() => undefined)
      }
    }
  }
}
