/**
 * A consumer process: watches its fleet's record, runs a session as it wants, says that it lives and what it does.
 *
 * Everything that others learn of it is under its store lease: that it is there (partitions are dealt among those that are), which partitions it holds,
 * its report. When the lease is lost, or may be, the session ends; what it had on its way is refused by the epochs on the shards, not by this.
 */
import { Wakeup } from '../base/wakeup.ts'
import type { ConsumerRecord, FleetRecord, FleetReport } from '../topology/dualwrite-records.ts'
import { keepLease, type KeptLease } from '../topology/kept-lease.ts'
import { keys } from '../topology/keys.ts'
import { put, readRecord, recordsOf } from '../topology/typed.ts'
import { builtOn } from './built-on.ts'
import { consumerDefaults, type ConsumerConfig, type ConsumerOptions } from './consumer-options.ts'
import { FleetSession } from './fleet-session.ts'
import { viewOf } from './error-view.ts'

export class Consumer {
  readonly #options: ConsumerOptions
  readonly #config: ConsumerConfig
  readonly #bell = new Wakeup()
  #session: { session: FleetSession; text: string } | null = null
  /** What a session was built on when it failed: it is not tried again before that changes, unless trying may help. */
  #failed: { text: string; error: unknown; retryAtMs: number } | null = null
  /** CPU of the process when the session began: its figures count from there. */
  #cpuFromMs = 0
  #last = { records: 0, rowsIn: 0, atMs: 0 }

  constructor(options: ConsumerOptions) {
    this.#options = options
    this.#config = { ...consumerDefaults, ...options.config }
  }

  async run(signal: AbortSignal): Promise<void> {
    const { store, clock, log } = this.#options
    const watching = this.#watch(signal)
    while (!signal.aborted) {
      let lease: KeptLease
      try {
        lease = await keepLease(store, { ttlMs: this.#config.leaseMs, clock })
      } catch (error) {
        log.warn({ err: error }, 'no lease')
        await clock.sleep(500, signal).catch(() => undefined)
        continue
      }
      await this.#withLease(lease, signal).catch((error: unknown) => log.error({ err: error }, 'the consumer begins again'))
      await this.#end()
      await lease.release()
    }
    await watching
  }

  async #withLease(lease: KeptLease, signal: AbortSignal): Promise<void> {
    const { store, fleet: name, id, pid, clock } = this.#options
    const until = AbortSignal.any([signal, lease.lost])
    await store.commit([], [put<ConsumerRecord>(keys.consumer(name, id), { v: 1, id, pid }, lease.id)])
    let reportedAtMs = -Infinity
    let stood = false
    while (!until.aborted && lease.valid()) {
      const fleet = (await readRecord<FleetRecord>(store, keys.fleet(name)))?.value ?? null
      await this.#obey(fleet, lease, until)
      const consumers = recordsOf<ConsumerRecord>(await store.list(keys.consumersOf(name))).map(({ value }) => value.id)
      await this.#session?.session.reconcile(consumers)
      // Somebody waits for it to stand still.
      const standing = this.#session?.session.standing ?? false
      if (fleet !== null && (standing !== stood || clock.monotonicMs() - reportedAtMs >= this.#config.reportMs)) {
        reportedAtMs = clock.monotonicMs()
        stood = standing
        await store.commit([], [put(keys.fleetReport(name, id), this.#report(fleet), lease.id)])
      }
      await this.#bell.wait(until, this.#config.reconcileMs)
    }
  }

  async #obey(fleet: FleetRecord | null, lease: KeptLease, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options
    if (fleet === null || fleet.wanted === 'stopped') return this.#end()
    const { text, opening } = await builtOn(this.#options.store, fleet)
    const current = this.#session
    if (current !== null && current.text === text && current.session.failure === null) {
      if (JSON.stringify(current.session.fleet) !== JSON.stringify(fleet)) current.session.update(fleet)
      return
    }
    if (current !== null && current.session.failure !== null)
      this.#failed = { text, error: current.session.failure, retryAtMs: clock.monotonicMs() + 1000 }
    await this.#end()
    // It is decided that other shards serve, and their servers are still closed: what was carried there is found when they open (PROTOCOLS 4.17).
    if (opening) return
    if (this.#failed !== null && this.#failed.text === text && clock.monotonicMs() < this.#failed.retryAtMs) return
    try {
      this.#cpuFromMs = this.#options.cpuMs?.() ?? 0
      this.#session = { session: await FleetSession.open(this.#options, fleet, lease, signal), text }
      this.#failed = null
    } catch (error) {
      if (signal.aborted) return
      log.error({ fleet: fleet.name, err: error }, 'the fleet cannot run here')
      // What the operator mends outside of the topology (tables, grants, files) is seen by trying again, seldom.
      this.#failed = { text, error, retryAtMs: clock.monotonicMs() + 2000 }
    }
  }

  #report(fleet: FleetRecord): FleetReport {
    const { id, pid, clock, rssBytes } = this.#options
    const now = clock.nowMs()
    if (this.#session === null) {
      const { error } = this.#failed ?? { error: null }
      const state = error !== null ? 'failed' : fleet.wanted === 'stopped' ? 'stopped' : 'starting'
      return {
        v: 1,
        fleet: fleet.name,
        consumer: id,
        pid,
        generation: fleet.generation,
        atMs: now,
        state,
        partitions: [],
        records: 0,
        statements: 0,
        rowsIn: 0,
        rowsOut: 0,
        recordsPerSecond: 0,
        rowsPerSecond: 0,
        poison: 0,
        late: 0,
        rssBytes: rssBytes(),
        error: error === null ? null : viewOf(error),
      }
    }
    const report = this.#session.session.report()
    const seconds = (now - this.#last.atMs) / 1000
    const rate = (total: number, before: number): number =>
      total < before || seconds <= 0 || seconds > 60 ? 0 : Math.round((total - before) / seconds)
    const rates = { recordsPerSecond: rate(report.records, this.#last.records), rowsPerSecond: rate(report.rowsIn, this.#last.rowsIn) }
    this.#last = { records: report.records, rowsIn: report.rowsIn, atMs: now }
    const cpuMs = this.#options.cpuMs === undefined ? null : Math.round(this.#options.cpuMs() - this.#cpuFromMs)
    return { ...report, ...rates, cpuMs }
  }

  async #end(): Promise<void> {
    const current = this.#session
    this.#session = null
    await current?.session.close()
  }

  /** Rings when anything of the fleet changes: what it means is read anew each time. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { store, fleet, clock, log } = this.#options
    const follow = async (prefix: string): Promise<void> => {
      while (!signal.aborted) {
        try {
          for await (const _ of store.watch(prefix, signal)) this.#bell.ring()
        } catch (error) {
          if (signal.aborted) return
          log.warn({ err: error, prefix }, 'watching again')
          await clock.sleep(500, signal).catch(() => undefined)
        }
      }
    }
    await Promise.all([follow(keys.fleet(fleet)), follow(keys.consumersOf(fleet)), follow(keys.partitionLeasesOf(fleet))])
  }
}
