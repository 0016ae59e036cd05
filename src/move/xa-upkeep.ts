/**
 * When XA transactions that have been committed are done with (PROTOCOLS 1.9; docs/decisions/026): their keys as touched, and their rows on the targets.
 *
 * On MariaDB an XA COMMIT may stand in the binlog before its rows are visible, and a marker behind it proves nothing. That the server has forgotten the xid does: it forgets it when the commit is
 * done. So the source is asked, once a second and only while there is something to ask for; it is asked after the commits were met in the tail. An application may use an xid again
 * at once; then the tail meets it begun anew, which tells the same of the commit before.
 *
 * Where their keys took too much and were dropped the copy begins no chunk before that proof: then it is asked for at once, and ten times a second.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import type { Waiting } from './applier-options.ts'
import type { Copier } from './copier.ts'
import { knownXids } from './source-start.ts'
import type { TablePlan } from './table-plan.ts'
import type { TouchedKeys } from './touched.ts'
import type { TargetXaStore, XaForget } from './xa.ts'

const everyMs = 1_000
const whileCopyWaitsMs = 100

export type XaUpkeepOptions = {
  xa: TargetXaStore
  touched: TouchedKeys<TablePlan>
  /** Tables whose copy is not complete. */
  copying: ReadonlySet<TablePlan>
  /** For keys that wait for a proof. */
  keysBytesMax: () => number
  source: Connection
  clock: Clock
}

export class XaUpkeep {
  readonly #options: XaUpkeepOptions
  /** The first of this run. */
  firstMarker = Number.MAX_SAFE_INTEGER
  #copyWaitsSinceMs = 0
  #pause = new AbortController()

  constructor(options: XaUpkeepOptions) {
    this.#options = options
  }

  /** What earlier runs have left. */
  async begin(): Promise<void> {
    const { xa, touched, copying } = this.#options
    for await (const { table, key, xid } of xa.committedBefore((await this.#known()) ?? new Set()))
      if (copying.has(table)) {
        touched.addUnproven(table, key, xid)
        this.keysTouched(null)
      }
  }

  /** The tail has brought keys. Without a copier no chunk has begun, and none needs them. */
  keysTouched(copier: Pick<Copier, 'keysTouched'> | null): void {
    const { touched, keysBytesMax, clock } = this.#options
    const waited = touched.mustProve
    if (copier !== null) copier.keysTouched()
    else if (touched.unprovenBytes > keysBytesMax()) touched.dropUnproven()
    if (waited || !touched.mustProve) return
    this.#copyWaitsSinceMs = clock.nowMs()
    this.#pause.abort()
  }

  /** What the copy waits for; null: nothing of this. */
  get waiting(): Waiting | null {
    if (!this.#options.touched.mustProve) return null
    return {
      what: 'the source, which has yet to finish XA COMMITs that stand in its binlog: what is read before would lack their rows',
      sinceMs: this.#copyWaitsSinceMs,
      ends: 'XA RECOVER there lists none of them any more; the copy goes on then',
      reason: 'xa',
    }
  }

  async run(stored: () => number, read: () => XaForget['read'], signal: AbortSignal): Promise<void> {
    const { xa, touched, clock } = this.#options
    while (!signal.aborted) {
      this.#pause = new AbortController()
      const pauseMs = touched.mustProve ? whileCopyWaitsMs : everyMs
      await clock.sleep(pauseMs, AbortSignal.any([signal, this.#pause.signal])).catch(() => undefined)
      if (signal.aborted || (!xa.keeps && !touched.waitsForProof)) continue
      touched.askProof()
      const known = await this.#known()
      touched.prove(known ?? new Set())
      await xa.forget({ stored: stored(), read: read(), known, firstMarker: this.firstMarker })
    }
  }

  /** Null where markers prove enough, or nothing is copied. */
  async #known(): Promise<ReadonlySet<string> | null> {
    const { source, copying } = this.#options
    return flavourOf(source).xaProof === 'marker' || copying.size === 0 ? null : await knownXids(source)
  }
}
