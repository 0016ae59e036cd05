/**
 * XA transactions in the tail (PROTOCOLS 1.9): what they change is kept at PREPARE and given out at their commit. One above the memory budget is kept in parts while it is read;
 * when it commits its parts go to the targets in order under the intent of the commit's place, as those of any large transaction do (1.5), so a crash between
 * them begins at the commit again, and what was kept is still there: it is removed only once every target's position is past it.
 */
import { moveErrors } from './errors.ts'
import type { Coordinate } from './tables.ts'
import type { TailConsumerOptions } from './tail-consumer-options.ts'
import type { AddressedChange } from './xa.ts'

type Place = {
  readonly at: Coordinate
  readonly text: string
  readonly markersBefore: boolean
  /** Whether a target has the commit's group from an earlier run. */
  readonly had: (target: number) => boolean
}

export class XaGroup {
  readonly #options: TailConsumerOptions
  #xid: string | null = null
  #parts = 0
  /** Row changes given out of the group; of a reference table, which are for every target, those for one. */
  rowChanges = 0

  constructor(options: TailConsumerOptions) {
    this.#options = options
  }

  begin(xid: string): void {
    this.#xid = xid
    this.#options.touched.begunAnew(xid)
  }

  end(): void {
    this.#xid = null
    this.#parts = 0
    this.rowChanges = 0
  }

  /** The transaction that is being read, when it is one of XA. */
  get xid(): string | null {
    return this.#xid
  }

  /** Parts of it are kept already. */
  get inParts(): boolean {
    return this.#parts > 0
  }

  /** A part of it, or its end. */
  async keep(xid: string, at: Coordinate, changes: readonly AddressedChange[]): Promise<void> {
    await this.#options.xa.prepare(xid, at, changes, this.#parts++)
  }

  /** The group was torn: it never happened, and what was kept of it is nobody's. */
  async torn(at: Coordinate): Promise<void> {
    if (this.#xid !== null && this.inParts) await this.#options.xa.torn(this.#xid, at)
  }

  /** What it changed, at its commit; one above the budget is applied here and gives `parts`: the targets wait for `endParts`. */
  async committed(xid: string, place: Place, signal: AbortSignal): Promise<AddressedChange[] | 'parts'> {
    const { xa, partBytesMax, targets } = this.#options
    const kept = (await xa.commit(xid, place.at, partBytesMax())) ?? (await this.#preparedBefore(xid, place))
    if (kept !== 'large') return this.#given(xid, kept)
    await Promise.all(targets.map((target) => target.beginParts(signal)))
    await Promise.all(
      targets.map(async (target, number) => {
        const passed = place.had(number)
        for await (const part of xa.parts(xid, number)) {
          const changes = this.#given(xid, part).map(({ change }) => change)
          if (!passed && changes.length > 0) await target.applyPart(changes, place.at, signal)
        }
      }),
    )
    return 'parts'
  }

  /**
   * Changes that are committed now. Only now do their keys count as touched: rolled back, the tail would never have brought their rows. On MariaDB the marker proof does not hold for
   * XA COMMIT: they count for every chunk until the server has forgotten the xid (xa-upkeep.ts).
   */
  #given(xid: string, kept: readonly AddressedChange[]): AddressedChange[] {
    const { copying, touched, xaProof, onTouched } = this.#options
    for (const { change } of kept) {
      if (!copying.has(change.table)) continue
      if (xaProof === 'marker') touched.add(change.table, change.key)
      else touched.addUnproven(change.table, change.key, xid)
    }
    if (copying.size > 0) onTouched()
    this.rowChanges += kept.reduce((rows, { target, change }) => rows + (target === 0 || !change.table.reference ? 1 : 0), 0)
    return [...kept]
  }

  /** An XA transaction of which only the outcome stands behind the stream's position: right as long as nothing has been copied. */
  async #preparedBefore(xid: string, { text, markersBefore }: Place): Promise<AddressedChange[]> {
    const { sourceName, beforeFirstMarker } = this.#options
    if (beforeFirstMarker === null || markersBefore) throw moveErrors.xaUnknown({ source: sourceName, xid, at: text })
    await beforeFirstMarker(xid)
    return []
  }
}
