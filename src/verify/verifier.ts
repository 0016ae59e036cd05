/** Runs the comparisons that are wanted of the workflows whose streams this mover runs. One object in the mover's process. */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { addressesOf, type Addresses } from '../move/access.ts'
import { keys } from '../topology/keys.ts'
import type { StreamOwner, VdiffRecord, VdiffReport } from '../topology/records.ts'
import type { Snapshot, Store } from '../topology/store.ts'
import { parseRecord, put, readRecord, recordsOf } from '../topology/typed.ts'
import { VdiffProgress } from './progress.ts'
import { runVdiff } from './vdiff-run.ts'

export type VerifierOptions = {
  store: Store
  /** The mover's id: vdiffs of workflows that it owns are taken. */
  id: string
  clock: Clock
  log: Log
  /** How servers are reached; from the topology's records unless given. */
  addresses?: Addresses
  workers?: number
  restMs?: number
}

type Runner = { record: VdiffRecord; abort: AbortController; done: Promise<void> }

export class Verifier {
  readonly #options: VerifierOptions
  readonly #addresses: Addresses
  #wanted: ReadonlyMap<string, VdiffRecord> = new Map()
  #owners: ReadonlyMap<string, { mover: string; version: number }> = new Map()
  /** By workflow: one comparison at a time of each. */
  readonly #running = new Map<string, Runner>()
  /** Vdiffs known to have ended. */
  readonly #ended = new Set<string>()
  #bells: (() => void)[] = []
  #rung = false

  constructor(options: VerifierOptions) {
    this.#options = options
    this.#addresses = options.addresses ?? addressesOf(options.store)
  }

  /** Runs until the signal aborts; what is under way stays as it is in its report, for the next mover. */
  async run(signal: AbortSignal): Promise<void> {
    const { log } = this.#options
    const watching = Promise.all([
      this.#watch(keys.vdiffs, signal, (snapshot) => {
        this.#wanted = new Map(recordsOf<VdiffRecord>(snapshot).map(({ value }) => [value.uid, value]))
      }),
      this.#watch(keys.streamOwners, signal, (snapshot) => {
        this.#owners = new Map(
          [...snapshot.entries].map(([key, entry]) => [
            key.slice(keys.streamOwners.length),
            { mover: parseRecord<StreamOwner>(entry).value.mover, version: entry.version },
          ]),
        )
      }),
    ])
    signal.addEventListener('abort', () => this.#ring(), { once: true })
    while (!signal.aborted) {
      await this.#reconcile().catch((error: unknown) => log.warn({ err: error }, 'vdiffs could not be looked at'))
      if (!this.#rung) await new Promise<void>((resolve) => this.#bells.push(resolve))
      this.#rung = false
    }
    for (const { abort } of this.#running.values()) abort.abort()
    await Promise.allSettled([...this.#running.values()].map(({ done }) => done))
    await watching
  }

  async #reconcile(): Promise<void> {
    const { id } = this.#options
    const open: { record: VdiffRecord; report: VdiffReport | null; ownerVersion: number }[] = []
    for (const record of this.#wanted.values()) {
      const owner = this.#owners.get(record.workflowUid)
      if (owner?.mover !== id || this.#ended.has(record.uid)) continue
      const report = (await readRecord<VdiffReport>(this.#options.store, keys.vdiffReport(record.workflowUid, record.uid)))?.value ?? null
      if (report !== null && report.endedAtMs !== null) this.#ended.add(record.uid)
      else open.push({ record, report, ownerVersion: owner.version })
    }
    // A continuous one lets the others go first, and goes on from its cursors when they have ended.
    open.sort((a, b) => rank(a.record) - rank(b.record) || a.record.requestedAtMs - b.record.requestedAtMs)
    for (const [workflowUid, runner] of this.#running) {
      const first = open.find(({ record }) => record.workflowUid === workflowUid && record.wanted === 'running')
      const giveWay = first !== undefined && rank(first.record) < rank(runner.record)
      const wanted = this.#wanted.get(runner.record.uid)
      if (giveWay || wanted?.wanted !== 'running' || this.#owners.get(workflowUid)?.mover !== id) runner.abort.abort()
    }
    for (const { record, report, ownerVersion } of open) {
      if (this.#running.get(record.workflowUid)?.record.uid === record.uid) continue
      if (record.wanted === 'stopped') await this.#stopped(record, report, ownerVersion)
      else if (!this.#running.has(record.workflowUid)) this.#start(record, ownerVersion)
    }
  }

  #start(record: VdiffRecord, ownerVersion: number): void {
    const { store, clock, log, workers, restMs } = this.#options
    const abort = new AbortController()
    const runLog = log.child({ vdiff: record.uid })
    const done = runVdiff(
      {
        store,
        record,
        clock,
        log: runLog,
        addresses: this.#addresses,
        ...(workers === undefined ? {} : { workers }),
        ...(restMs === undefined ? {} : { restMs }),
        conditions: [{ key: keys.streamOwner(record.workflowUid), version: ownerVersion }],
      },
      abort.signal,
    )
      .then((report) => runLog.info({ state: report.state, rows: report.rowsCompared }, 'vdiff ended'))
      // What could not even report is tried again, not at once.
      .catch(async (error: unknown) => {
        runLog.error({ err: error }, 'a vdiff could not run')
        await clock.sleep(1_000, abort.signal).catch(() => undefined)
      })
      .finally(() => {
        this.#running.delete(record.workflowUid)
        this.#ring()
      })
    this.#running.set(record.workflowUid, { record, abort, done })
  }

  /** It was running when it was to be stopped, or never began: its report says so. */
  async #stopped(record: VdiffRecord, report: VdiffReport | null, ownerVersion: number): Promise<void> {
    const shape = { continuous: record.continuous === true, restricted: (record.shards ?? []).length > 0 }
    const progress = new VdiffProgress(this.#options.clock, record.uid, report, shape)
    progress.stop('it was asked to stop')
    const key = keys.vdiffReport(record.workflowUid, record.uid)
    const result = await this.#options.store.commit(
      [{ key: keys.streamOwner(record.workflowUid), version: ownerVersion }],
      [put(key, progress.report())],
    )
    if (result.ok) this.#ended.add(record.uid)
  }

  async #watch(prefix: string, signal: AbortSignal, take: (snapshot: Snapshot) => void): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const snapshot of this.#options.store.watch(prefix, signal)) {
          take(snapshot)
          this.#ring()
        }
      } catch (error) {
        if (signal.aborted) return
        this.#options.log.warn({ err: error, prefix }, 'watching again')
        await this.#options.clock.sleep(500, signal).catch(() => undefined)
      }
    }
  }

  #ring(): void {
    this.#rung = true
    for (const wake of this.#bells.splice(0)) wake()
  }
}

function rank(record: VdiffRecord): number {
  return record.continuous === true ? 1 : 0
}
