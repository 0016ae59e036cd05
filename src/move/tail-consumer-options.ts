/** What a tail consumer works with: given by the stream's run. */
import type { Clock } from '../base/clock.ts'
import type { QueryEvent } from '../binlog/source.ts'
import type { Flavour } from '../mysql/flavour/flavour.ts'
import type { Announced } from './announced.ts'
import type { HiddenCascades } from './hidden-cascades.ts'
import type { Stamp } from './pending.ts'
import type { Redone } from './redone.ts'
import type { Router } from './router.ts'
import type { TablePlan } from './table-plan.ts'
import type { Coordinate } from './tables.ts'
import type { TargetApplier } from './target-applier.ts'
import type { TouchedKeys } from './touched.ts'
import type { XaStore } from './xa.ts'

export type TailConsumerOptions = {
  sourceName: string
  /** The plan by which rows of a table are read; null: it is of no interest. */
  planOf: (schema: string, table: string) => TablePlan | null
  workflowUid: string
  /** Groups with an applier row of this direction of the workflow are our own echo. */
  oppositeDirection: 'forward' | 'reverse'
  router: Router
  targets: readonly TargetApplier[]
  /**
   * Per target where it stood when the run began: what it has already is not given to it again. By GTID, since after a failover the groups may come in another order than
   * they were applied in (`within`; asked once for each group); by their place where the source has none.
   */
  stoodAt: readonly { readonly place: Coordinate; readonly within: ((gtid: string) => boolean) | null }[]
  /** Counts what an earlier run had begun and is done again. */
  redone: Redone
  severalSources: readonly boolean[]
  touched: TouchedKeys<TablePlan>
  /** Keys have been added to it. */
  onTouched: () => void
  /** What proves that a commit of XA is visible to readers (mysql/flavour/). */
  xaProof: Flavour['xaProof']
  /** Tables whose copy is not complete: only their keys are remembered. */
  copying: ReadonlySet<TablePlan>
  xa: XaStore
  /**
   * Waits until an XA transaction that was prepared before the stream's position is committed for readers: the copy, which begins behind the stream's
   * first marker, brings its rows. Null where nothing is copied: then there may be none.
   */
  beforeFirstMarker: ((xid: string) => Promise<void>) | null
  clock: Clock
  /** The source's clock. */
  sourceNowMs: () => number
  /** The name of this stream's markers. */
  markerStream: string
  /** Throws where the statement stops the stream. `restart`: what is precomputed of the tables no longer holds after this group. */
  onQuery: (event: QueryEvent) => Promise<'pass' | 'restart'>
  announced: Announced
  hiddenCascades: HiddenCascades
  onStamp: (stamp: Stamp) => void
  /** A transaction above this goes in parts. */
  partBytesMax: () => number
  /** Changes read and not yet committed, of all targets: above it the tail waits. */
  heldBytesMax: () => number
}

/** DDL of ours that the claimed session announced just before it (PROTOCOLS 1.13). */
export type AnnouncedDdl = { readonly verb: string; readonly schema: string; readonly name: string }
