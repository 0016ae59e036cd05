/** Parts of what a mover reports of a stream (`StreamReport`): how far each target is, and what is waited for. */
export type StreamTargetReport = {
  shard: string
  /** Opaque position this target stands at, or null before there is one. */
  position: string | null
  /** Greatest control marker (number within the source server) applied. */
  controlMarker: number
  /** The source's whole backlog, what no mover has read yet too; null: nothing is known of it, and so each part by itself (promise 6). Measured at `atMs`. */
  lag: TargetLag | null
  /** Rows that another stream's stand in the way of: they wait. Absent in reports of earlier versions. */
  rowsHeldBack?: number
  /** For how long what has been read since the stored position is not stored: a kill does it again, and the binlog from there on is needed. 0: nothing is. */
  positionAgeMs?: number
}

export type TargetLag = {
  atMs: number
  /** Null: also where the source's GTIDs can't tell. */
  transactions: number | null
  /** Of the source's binlog. */
  bytes: number | null
  /** Age of the last marker that came through; null: none has, so nothing proves how old the target's rows are. */
  markerAgeMs: number | null
  /** Until it is up with the source, by the rates of the last seconds; 0: it is; null: unknown, or the source writes faster than the target applies. */
  etaMs?: number | null
}

/** Which kind of wait it is, for metrics: a few words that stay the same. */
export type WaitReason = 'start' | 'retry' | 'pause' | 'rate' | 'pressure' | 'ddl' | 'keys' | 'collision' | 'lock' | 'xa'

/** What is waited for, since when, and what ends it. `reason`: absent for what is rare. */
export type StreamWait = { what: string; sinceMs: number; ends: string; reason?: WaitReason }
