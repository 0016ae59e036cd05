/**
 * Puts a stream's reports into the topology: the newest one, at most every `everyMs`, at once when told so (docs/decisions/028). One commit at a time: a report
 * that comes meanwhile replaces the one that waits, so the record never goes back.
 *
 * One that the store did not take is put again unless a newer one waits: the last report of a stream says that it stands, and others wait for it.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { keys } from '../topology/keys.ts'
import type { StreamReport } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { put } from '../topology/typed.ts'

export class ReportWriter {
  readonly #store: Store
  readonly #key: string
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #log: Log
  #waiting: (() => StreamReport) | null = null
  #urgent = false
  #running: Promise<void> | null = null
  #lastAtMs = -Infinity
  #timer: NodeJS.Timeout | null = null
  #discarded = false

  constructor(options: { store: Store; workflowUid: string; streamUid: string; clock: Clock; everyMs: number; log: Log }) {
    this.#store = options.store
    this.#key = keys.report(options.workflowUid, options.streamUid)
    this.#clock = options.clock
    this.#everyMs = options.everyMs
    this.#log = options.log
  }

  /** `report` is made when it is written: there may be hundreds between two, and each looks at all targets. */
  write(report: () => StreamReport, now: boolean): void {
    if (this.#discarded) return
    this.#waiting = report
    if (now) this.#urgent = true
    this.#go()
  }

  /** Nothing more is written: the stream's record is gone, and its report with it. */
  discard(): void {
    this.#discarded = true
    this.#waiting = null
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  /** Waits until everything given has been written. */
  async flush(): Promise<void> {
    this.#urgent = true
    this.#go()
    while (this.#running !== null) await this.#running
  }

  #go(): void {
    if (this.#running !== null || this.#waiting === null) return
    const dueInMs = this.#urgent ? 0 : this.#lastAtMs + this.#everyMs - this.#clock.monotonicMs()
    if (dueInMs > 0) {
      this.#timer ??= setTimeout(() => {
        this.#timer = null
        this.#go()
      }, dueInMs)
      return
    }
    const report = this.#waiting
    this.#waiting = null
    this.#urgent = false
    this.#lastAtMs = this.#clock.monotonicMs()
    this.#running = this.#commit(report()).finally(() => {
      this.#running = null
      this.#go()
    })
  }

  async #commit(report: StreamReport): Promise<void> {
    const attemptsMax = 5
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#store.commit([], [put(this.#key, report)])
        return
      } catch (error) {
        this.#log.warn({ err: error, key: this.#key }, 'a report was not written')
      }
      if (attempt === attemptsMax || this.#discarded) return
      await this.#clock.sleep(100)
      if (this.#waiting === null && !this.#discarded) continue
      this.#urgent = true
      return
    }
  }
}
