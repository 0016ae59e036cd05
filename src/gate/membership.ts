/**
 * The gate's place in the topology: its record under a lease, which says what it has seen, and what it does when the lease
 * may have ended (it reads everything anew before it answers anything).
 *
 * Why what is acknowledged is true: `seen` and `open` are set in the same turn in which the hold rules took effect, and a
 * commit writes what stands at the moment it is made; a commit that is lost is made again with what stands then. A record
 * can only be older than the truth in one way: `open` is written late when it falls.
 */
import { randomInt } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { keepLease, type KeptLease } from '../topology/kept-lease.ts'
import { keys } from '../topology/keys.ts'
import type { BranchReads, GateReads, ReadSamples } from '../topology/dualwrite-records.ts'
import type { GateQueries } from '../topology/gate-queries.ts'
import type { DdlRecord, GateRecord, GateStats, GateThreads } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { put, readRecord } from '../topology/typed.ts'
import type { HoldReport } from './buffer.ts'

export type MembershipOptions = {
  store: Store
  clock: Clock
  log: Log
  id: string
  pid: number
  leaseMs: number
  /** Reads the topology anew. */
  refresh(): Promise<void>
}

/** Numbers of sessions are a slot and a count, 31 bits together. */
export const sessionsPerSlot = 0x100000
const slots = 0x800

/** Changes of `open` alone are written at most this often; versions and zero at once. */
const openPauseMs = 10

export class Membership {
  readonly #options: MembershipOptions
  readonly #record: GateRecord
  readonly #stop = new AbortController()
  #lease: KeptLease | null = null
  #slot = -1
  #dirty: 'no' | 'soon' | 'now' = 'no'
  #writing = false
  #reviving: Promise<void> | null = null
  #wake: (() => void) | null = null

  constructor(options: MembershipOptions) {
    this.#options = options
    this.#record = { v: 1, id: options.id, pid: options.pid, host: '', port: 0, seen: {}, open: {}, lastHold: {} }
  }

  async start(host: string, port: number): Promise<void> {
    this.#record.host = host
    this.#record.port = port
    // Who asks meanwhile waits for this one: a second lease would be renewed for ever beside it.
    this.#reviving = this.#takeLease(async () => {}).finally(() => {
      this.#reviving = null
    })
    await this.#reviving
  }

  /** The part of its sessions' numbers that no other gate has; -1 before it has started. */
  get slot(): number {
    return this.#slot
  }

  get leaseId(): string | null {
    return this.valid ? (this.#lease?.id ?? null) : null
  }

  /** Cheap; asked before every statement. */
  get valid(): boolean {
    return this.#lease !== null && this.#lease.valid()
  }

  /** Takes a new lease and reads the topology anew. Rejects when the store does not answer; callers try again. */
  revive(): Promise<void> {
    this.#reviving ??= this.#takeLease(() => this.#options.refresh()).finally(() => {
      this.#reviving = null
    })
    return this.#reviving
  }

  acknowledge(keyspace: string, version: number, open: number): void {
    const urgent = this.#record.seen[keyspace] !== version || open === 0
    this.#record.seen[keyspace] = version
    this.#record.open[keyspace] = open
    this.#mark(urgent ? 'now' : 'soon')
  }

  report(keyspace: string, report: HoldReport): void {
    this.#record.lastHold[keyspace] = report
    this.#mark('now')
  }

  async stats(stats: GateStats): Promise<void> {
    if (this.#lease === null || !this.#lease.valid()) return
    await this.#options.store.commit([], [put(keys.gateStats(this.#options.id), stats, this.#lease.id)])
  }

  async queries(queries: GateQueries): Promise<void> {
    if (this.#lease === null || !this.#lease.valid()) return
    await this.#options.store.commit([], [put(keys.gateQueries(this.#options.id), queries, this.#lease.id)])
  }

  /** Tells other gates that tables of a keyspace may have changed. */
  async ddl(keyspace: string): Promise<void> {
    const { store, id, clock } = this.#options
    await store.commit([], [put<DdlRecord>(keys.ddl(keyspace), { v: 1, gate: id, atMs: clock.nowMs() })])
  }

  /** Figures of reads by branch, and samples of them. */
  async reads(branches: { [branchKeyspace: string]: BranchReads }, samples: readonly ReadSamples[], nowMs: number): Promise<void> {
    const { store, id } = this.#options
    if (this.#lease === null || !this.#lease.valid()) return
    const lease = this.#lease.id
    await store.commit(
      [],
      [
        put<GateReads>(keys.gateReads(id), { v: 1, gate: id, atMs: nowMs, branches }, lease),
        ...samples.map((one) => put(keys.readSamples(one.keyspace, id), one, lease)),
      ],
    )
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    this.#wake?.()
    await this.#lease?.release()
  }

  /** Until the topology is read and the record stands there is none that is valid: what is asked meanwhile waits, as it would be answered by rules of before. */
  async #takeLease(readAnew: () => Promise<void>): Promise<void> {
    const { store, clock, leaseMs } = this.#options
    const old = this.#lease
    this.#lease = null
    const lease = await keepLease(store, { ttlMs: leaseMs, clock })
    void old?.release()
    try {
      await Promise.all([this.#claimSlot(lease.id), readAnew()])
      await this.#write(lease)
      if (!lease.valid()) throw lease.lost.reason ?? new Error('the lease ended while it was being taken')
      if (this.#stop.signal.aborted) throw new Error('the gate ends')
    } catch (error) {
      // Renewed for ever it would stand for a gate that does not know what it says.
      void lease.release()
      throw error
    }
    this.#lease = lease
    lease.lost.addEventListener(
      'abort',
      () => {
        if (this.#stop.signal.aborted || this.#lease !== lease) return
        this.#options.log.warn({ gate: this.#options.id }, "the gate's lease ended; reading the topology anew")
        void this.#reviveUntilDone()
      },
      { once: true },
    )
  }

  /** Without one of its own a gate does all but to be found by KILL from others: it is no reason to answer nobody. */
  async #claimSlot(leaseId: string): Promise<void> {
    const { log, id } = this.#options
    const claimed = await this.#claim(leaseId).catch((error: unknown) => {
      log.warn({ gate: id, error: String(error) }, 'a slot for numbers of sessions could not be claimed')
      return false
    })
    if (claimed) return
    if (this.#slot < 0) this.#slot = randomInt(slots)
    log.warn({ gate: id }, 'no slot for numbers of sessions is free: KILL from other gates will not find them')
  }

  /** The one it had, while that is free: its sessions have their numbers already. False: none is. */
  async #claim(leaseId: string): Promise<boolean> {
    const { store, id } = this.#options
    const attemptsMax = 50
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const slot = attempt < 5 && this.#slot >= 0 ? this.#slot : randomInt(slots)
      const key = keys.gateThreads(slot)
      const record = await readRecord<GateThreads>(store, key)
      if (record !== null && record.value.gate !== id) continue
      const result = await store.commit([{ key, version: record?.version ?? 0 }], [put<GateThreads>(key, { v: 1, gate: id }, leaseId)])
      if (!result.ok) continue
      this.#slot = slot
      return true
    }
    return false
  }

  async #reviveUntilDone(): Promise<void> {
    while (!this.#stop.signal.aborted && !this.valid) {
      try {
        await this.revive()
      } catch (error) {
        this.#options.log.warn({ gate: this.#options.id, error: String(error) }, 'the topology does not answer')
        await this.#options.clock.sleep(100, this.#stop.signal).catch(() => {})
      }
    }
  }

  #mark(how: 'soon' | 'now'): void {
    if (this.#dirty !== 'now') this.#dirty = how
    if (how === 'now') this.#wake?.()
    if (!this.#writing) void this.#writeLoop()
  }

  async #writeLoop(): Promise<void> {
    this.#writing = true
    try {
      while (this.#dirty !== 'no' && !this.#stop.signal.aborted) {
        if (this.#dirty === 'soon') await this.#pause(openPauseMs)
        if (this.#lease === null || !this.#lease.valid()) {
          await this.#pause(20)
          continue
        }
        this.#dirty = 'no'
        try {
          await this.#write(this.#lease)
        } catch (error) {
          this.#options.log.warn({ gate: this.#options.id, error: String(error) }, 'acknowledging failed; trying again')
          this.#dirty = 'now'
          await this.#pause(20)
        }
      }
    } finally {
      this.#writing = false
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms)
      const self = this
      function done(): void {
        clearTimeout(timer)
        self.#wake = null
        resolve()
      }
      this.#wake = done
    })
  }

  async #write(lease: KeptLease): Promise<void> {
    await this.#options.store.commit([], [put(keys.gate(this.#options.id), structuredClone(this.#record), lease.id)])
  }
}
