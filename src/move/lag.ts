/**
 * How far each target is behind (DESIGN: lag): the whole backlog on the source, not only what was read of it. Once a second the source is asked where its binlog ends; what stands
 * between there and a target is counted from the groups and places that passed since.
 *
 * Each part is unknown until it was measured, and again when the source has not answered for some time (promise 6). The age of the last marker is by our own clock and needs no answer.
 */
import type { StreamTargetReport } from '../topology/target-report.ts'
import type { Clock } from '../base/clock.ts'
import { BinlogBytes, binlogEnd, transactionsBehind, type BinlogEnd } from '../binlog/backlog.ts'
import type { Coordinates } from '../binlog/source.ts'
import { isSwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import type { Stamp } from './pending.ts'
import { RateMeter } from './progress.ts'

const everyMs = 1_000
/** An answer counts for as long. */
const freshMs = 5_000
/** A target whose last marker is not older is up with the source. */
const upWithItMs = 2_000

/** What a target shows of itself (`TargetApplier`). */
export type Follower = { readonly applied: Stamp; readonly consistent: boolean }

/** `began`: where the first group of this run began on the source; null: none has come. */
export type Reading = { readonly latest: Stamp; readonly began: Coordinates | null }

export type LagOptions = {
  readonly conn: Connection
  readonly clock: Clock
  readonly reading: () => Reading
  readonly followers: readonly Follower[]
}

type Measured = {
  readonly atMs: number
  readonly end: BinlogEnd
  /** Counted as stamps count groups: the last one in the binlog; null: unknown. */
  readonly ordinal: number | null
}

export class LagMeter {
  readonly #options: LagOptions
  readonly #files = new BinlogBytes()
  readonly #written: RateMeter
  readonly #applied: readonly RateMeter[]
  #measured: Measured | null = null
  /** Bytes a second over the last seconds: what the source writes, and what each target applies. */
  #writtenRate: number | null = null
  #appliedRates: readonly (number | null)[] = []
  /** A position and the ordinal it was read at, to see whether numbers of transactions count them one by one. */
  #before: Stamp | null = null
  #numbered = true

  constructor(options: LagOptions) {
    this.#options = options
    this.#written = new RateMeter(options.clock)
    this.#applied = options.followers.map(() => new RateMeter(options.clock))
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.measure()
      await this.#options.clock.sleep(everyMs, signal).catch(() => undefined)
    }
  }

  async measure(): Promise<void> {
    const { conn, clock, reading, followers } = this.#options
    // Before the question: nothing of it is beyond the answer.
    const { latest } = reading()
    const atMs = clock.monotonicMs()
    try {
      const end = await binlogEnd(conn)
      if (!this.#files.knows(end.at.file)) await this.#files.refresh(conn)
      this.#measured = { atMs, end, ordinal: this.#ordinalOf(end, latest) }
      const written = this.#files.at(end.at)
      this.#writtenRate = written === null ? null : this.#written.rate(written)
      this.#appliedRates = followers.map((follower, i) => {
        const applied = this.#bytesAt(follower.applied)
        return applied === null ? null : (this.#applied[i]?.rate(applied) ?? null)
      })
    } catch (error) {
      // One that may not ask, or has no binlog just now, is unknown when the last answer is old.
      if (!isServerError(error) && !isSwError(error, 'SW-BINLOG-022')) throw error
    }
  }

  /** Bytes of binlog a second that the slowest target applies, and that the source writes. */
  rates(): { applied: number | null; written: number | null } {
    if (!this.#fresh()) return { applied: null, written: null }
    const known = this.#appliedRates.filter((rate) => rate !== null)
    return {
      applied: known.length === 0 || known.length < this.#appliedRates.length ? null : Math.min(...known),
      written: this.#writtenRate,
    }
  }

  lag(target: number): StreamTargetReport['lag'] {
    const { clock, followers } = this.#options
    const follower = followers[target]
    if (follower === undefined) return null
    const { applied, consistent } = follower
    const markerAgeMs = consistent && applied.markerAtMs !== null ? Math.max(0, clock.nowMs() - applied.markerAtMs) : null
    const [transactions, bytes] = this.#fresh() ? [this.#transactions(applied), this.#bytes(applied)] : [null, null]
    if (markerAgeMs === null && transactions === null && bytes === null) return null
    return { atMs: clock.nowMs(), transactions, bytes, markerAgeMs, etaMs: this.#eta(target, bytes, markerAgeMs) }
  }

  #fresh(): boolean {
    return this.#measured !== null && this.#options.clock.monotonicMs() - this.#measured.atMs < freshMs
  }

  /** What was read since the answer counts too. */
  #transactions(applied: Stamp): number | null {
    const ordinal = this.#measured?.ordinal ?? null
    return ordinal === null ? null : Math.max(ordinal, this.#options.reading().latest.ordinal) - applied.ordinal
  }

  #bytes(applied: Stamp): number | null {
    const { latest } = this.#options.reading()
    const from = this.#placeOf(applied)
    if (from === null || this.#measured === null) return null
    const [applies, end] = [this.#files.at(from), this.#files.at(this.#measured.end.at)]
    // A file that has begun since the answer: what was read of it is all that is known of it, and no older file counts.
    if (applies === null) return latest.end?.file === from.file ? latest.end.offset - from.offset : null
    if (end === null) return null
    const read = latest.end === null ? null : this.#files.at(latest.end)
    return Math.max(0, end - applies, read === null ? 0 : read - applies)
  }

  #eta(target: number, bytes: number | null, markerAgeMs: number | null): number | null {
    if (bytes === 0 || (bytes !== null && markerAgeMs !== null && markerAgeMs < upWithItMs)) return 0
    const applied = this.#appliedRates[target] ?? null
    if (bytes === null || applied === null || this.#writtenRate === null || applied <= this.#writtenRate) return null
    return Math.round((bytes * 1000) / (applied - this.#writtenRate))
  }

  #ordinalOf(end: BinlogEnd, latest: Stamp): number | null {
    const [read, ends] = [this.#bytesAt(latest), this.#files.at(end.at)]
    // By places first: they need no numbers.
    if (read !== null && ends !== null && read >= ends) {
      this.#before = latest
      return latest.ordinal
    }
    if (this.#before !== null && latest.ordinal > this.#before.ordinal) {
      const counted = transactionsBehind(this.#before.position, { at: end.at, gtids: gtidsOf(latest.position) })
      if (counted !== null && counted !== latest.ordinal - this.#before.ordinal) this.#numbered = false
    }
    this.#before = latest
    const unread = this.#numbered ? transactionsBehind(latest.position, end) : null
    return unread === null ? null : latest.ordinal + unread
  }

  #placeOf(stamp: Stamp): Coordinates | null {
    return stamp.end ?? this.#options.reading().began
  }

  #bytesAt(stamp: Stamp): number | null {
    const place = this.#placeOf(stamp)
    return place === null ? null : this.#files.at(place)
  }
}

function gtidsOf(position: string): string {
  return position.slice(position.indexOf(';', position.indexOf(';') + 1) + 1)
}
