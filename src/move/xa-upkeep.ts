/**
 * When XA transactions that have been committed are done with (PROTOCOLS 1.9; docs/decisions/026): their keys as touched, and their rows on the targets.
 *
 * On MariaDB an XA COMMIT may stand in the binlog before its rows are visible, and a marker behind it proves nothing. That the server has forgotten the xid does: it forgets it when the commit is
 * done. So the source is asked, once a second and only while there is something to ask for; it is asked after the commits were met in the tail. An application may use an xid again
 * at once; then the tail meets it begun anew, which tells the same of the commit before.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { knownXids } from './source-start.ts'
import type { TablePlan } from './table-plan.ts'
import type { TouchedKeys } from './touched.ts'
import type { TargetXaStore, XaForget } from './xa.ts'

const everyMs = 1_000

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

  constructor(options: XaUpkeepOptions) {
    this.#options = options
  }

  /** What earlier runs have left. */
  async begin(): Promise<void> {
    const { xa, touched, copying, keysBytesMax } = this.#options
    for await (const { table, key, xid } of xa.committedBefore((await this.#known()) ?? new Set()))
      if (copying.has(table)) {
        touched.addUnproven(table, key, xid)
        // No chunk has begun.
        if (touched.unprovenBytes > keysBytesMax()) touched.dropUnproven()
      }
  }

  async run(stored: () => number, read: () => XaForget['read'], signal: AbortSignal): Promise<void> {
    const { xa, touched, clock } = this.#options
    while (!signal.aborted) {
      await clock.sleep(everyMs, signal).catch(() => undefined)
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
