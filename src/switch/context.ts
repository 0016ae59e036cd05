import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Store } from '../topology/store.ts'
import type { Leadership } from '../workflow/context.ts'
import type { Carrier } from './carried.ts'
import type { ClaimPool } from './claim.ts'
import type { SwitchFailpoint } from './crash-points.ts'
import type { DecideContext } from './decide.ts'
import type { ReadPosition } from './reverse-streams.ts'

/** What every effect of this room works with. */
export type SwitchContext = {
  readonly store: Store
  readonly leadership: Leadership
  readonly pool: ClaimPool
  readonly clock: Clock
  readonly log: Log
  readonly readPosition: ReadPosition
  readonly failpoint: SwitchFailpoint
  /** The log of decisions (decide.ts). */
  readonly decided?: NonNullable<DecideContext['decided']>
  /** What streams do not move and a switch takes along. */
  readonly carrier?: Carrier
}

/** Every wait's bound, in ms. */
export type SwitchLimits = {
  /** How old the newest applied marker may be for a switch to start (--max-replication-lag-allowed). */
  readonly lagMs: number
  /** A lag or report older than this is unknown. */
  readonly freshMs: number
  /** For the drains before clients are held, start-up of the way back included. */
  readonly warmMs: number
  /** A drain as quick as this says that the moment is good. */
  readonly calmMs: number
  /** For gates to see the hold. */
  readonly seenMs: number
  /** For running transactions to end, then they are killed. */
  readonly graceMs: number
  readonly drainMs: number
  /** For running reads on the side that goes, before its sessions are ended. */
  readonly readGraceMs: number
  /** Table locks end by themselves this long after their holder stopped. */
  readonly lockLeaseMs: number
  /** From the hold to the deciding commit; then the switch is given up. */
  readonly limitMs: number
  /** How long gates keep statements back at most. */
  readonly holdMs: number
  /** Of the side that is to serve: as many as on the serving side and fit to be read; fewer; or only told of, on a way back. */
  readonly replicas: 'required' | 'fewer-allowed' | 'told'
  /** How long to wait for the gates' figures afterwards. */
  readonly holdsReportMs: number
}

export const defaultSwitchLimits: SwitchLimits = {
  lagMs: 10_000,
  freshMs: 5_000,
  warmMs: 30_000,
  calmMs: 40,
  seenMs: 300,
  graceMs: 500,
  drainMs: 5_000,
  readGraceMs: 100,
  lockLeaseMs: 4_000,
  limitMs: 8_000,
  holdMs: 15_000,
  replicas: 'required',
  holdsReportMs: 1_000,
}
