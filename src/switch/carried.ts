/**
 * Rows of ours that belong to a shard and not to a key, so that no stream moves them: those of a fleet (PROTOCOLS 4.17). What knows them stands in a
 * higher room and is given to the switch; the switch says when.
 *
 * Why under the fence, in step 8: from step 7 on no client writes on F, a consumer no more than another, so what is read there is what the rows that N drains
 * were written with. Why before the decision: whoever finds N serving finds them there. Why each statement may stand alone: N takes no client before
 * step 10, and an attempt that is given up or dies leaves there only what the next one replaces. They are written through claimed sessions: those of a
 * controller that has lost the lead end before N opens.
 */
import type { ClaimPool } from './claim.ts'
import type { Preflight } from './effects.ts'
import type { SwitchPlan } from './plan.ts'

/** One switch's. */
export interface CarriedRows {
  preflight(): Promise<Preflight>
  /** Before clients are held: what must stand still for it, and what is large. Notes. */
  prepare(pool: ClaimPool, signal: AbortSignal): Promise<readonly string[]>
  /** Just before clients are held, once more, so that little is left. */
  freshen(pool: ClaimPool): Promise<void>
  /** Under the fence. Throws where N could not go on from it: the switch is given up. */
  carry(pool: ClaimPool, signal: AbortSignal): Promise<readonly string[]>
  /** However the switch ended; not when its controller died. */
  end(): Promise<void>
}

export type Carrier = {
  of(plan: SwitchPlan, timeoutMs: number): CarriedRows
  /** What a switch that died left standing still goes on. No switch of the keyspace runs. */
  recover(keyspace: string): Promise<void>
}
