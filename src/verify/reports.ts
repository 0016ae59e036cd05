/**
 * Watches what movers report of the streams, and waits until targets have applied a control marker.
 *
 * A target that reports control marker n has applied everything of its source up to it and stands at a round's boundary there or later
 * (move/stream.ts reports 0 while it does not). So for a key whose row has been locked on the source since before the marker was
 * written, the target's row is the source's row: nothing of this key follows the marker.
 */
import type { Clock } from '../base/clock.ts'
import { keys } from '../topology/keys.ts'
import type { StreamRecord, StreamReport } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { recordsOf } from '../topology/typed.ts'
import { verifyErrors } from './errors.ts'

export type MarkersByServer = ReadonlyMap<string, number>

export class Reports {
  readonly #store: Store
  readonly #workflowUid: string
  readonly #clock: Clock
  readonly #signal: AbortSignal
  #reports: ReadonlyMap<string, StreamReport> = new Map()
  readonly #waiters = new Set<() => void>()

  constructor(options: { store: Store; workflowUid: string; clock: Clock; signal: AbortSignal }) {
    this.#store = options.store
    this.#workflowUid = options.workflowUid
    this.#clock = options.clock
    this.#signal = options.signal
  }

  /** Runs until the signal; a store that fails is asked again. */
  async watch(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        for await (const snapshot of this.#store.watch(keys.reportsOf(this.#workflowUid), this.#signal)) {
          this.#reports = new Map(recordsOf<StreamReport>(snapshot).map(({ value }) => [value.streamUid, value]))
          for (const wake of this.#waiters) wake()
        }
      } catch {
        await this.#clock.sleep(200, this.#signal).catch(() => undefined)
      }
    }
    for (const wake of this.#waiters) wake()
  }

  /** True when all targets of `streams` within `targets` have applied their source's marker; false when the time is up. @throws streamNotRunning */
  applied(streams: readonly StreamRecord[], targets: ReadonlySet<string>, markers: MarkersByServer, timeoutMs: number): Promise<boolean> {
    return this.#until(timeoutMs, () =>
      streams.every((stream) => {
        const wanted = markers.get(stream.source.serverId) ?? 0
        const report = this.#runningReport(stream)
        if (report === null) return false
        return stream.targets.every(
          (target) =>
            !targets.has(target.uid) || (report.targets.find(({ shard }) => shard === target.shard)?.controlMarker ?? 0) >= wanted,
        )
      }),
    )
  }

  /** Waits until all of them follow (their copy is done). @throws streamNotRunning */
  following(streams: readonly StreamRecord[], timeoutMs: number): Promise<boolean> {
    return this.#until(timeoutMs, () => streams.every((stream) => this.#runningReport(stream)?.state === 'running'))
  }

  /** The first stream that does not follow yet, for the message of a wait. */
  notFollowing(streams: readonly StreamRecord[]): string {
    const stream = streams.find((candidate) => this.#reports.get(candidate.uid)?.state !== 'running')
    return stream === undefined ? '' : `${stream.source.shard} is ${this.#reports.get(stream.uid)?.state ?? 'not reported'}`
  }

  #runningReport(stream: StreamRecord): StreamReport | null {
    const report = this.#reports.get(stream.uid)
    if (report === undefined) return null
    // A report of an older generation says what was, not what is: the mover is about to obey the newer record.
    if ((report.state === 'failed' || report.state === 'stopped') && report.generation >= stream.generation) {
      throw verifyErrors.streamNotRunning({
        source: stream.source.shard,
        targets: stream.targets.map(({ shard }) => shard).join(','),
        state: report.state,
        reason: report.error?.what ?? 'it was stopped',
      })
    }
    return report
  }

  async #until(timeoutMs: number, holds: () => boolean): Promise<boolean> {
    const deadlineMs = this.#clock.monotonicMs() + timeoutMs
    for (;;) {
      this.#signal.throwIfAborted()
      if (holds()) return true
      const leftMs = deadlineMs - this.#clock.monotonicMs()
      if (leftMs <= 0) return false
      const timer = new AbortController()
      let wake = (): void => undefined
      const rung = new Promise<void>((resolve) => {
        wake = resolve
        this.#waiters.add(wake)
      })
      await Promise.race([rung, this.#clock.sleep(leftMs, AbortSignal.any([timer.signal, this.#signal])).catch(() => undefined)])
      this.#waiters.delete(wake)
      timer.abort()
    }
  }
}
