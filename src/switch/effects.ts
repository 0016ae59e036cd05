/**
 * Everything a switch does to the world, one method a step. `effects.real.ts` does it, `effects.dry.ts` says what it would do: the order
 * is `switch.ts`'s alone, so what a dry run shows is what runs.
 */
import type { SwError } from '../base/errors.ts'
import type { Acknowledgement } from './acknowledge.ts'
import type { GateHolds } from './report.ts'
import type { KilledSession } from './sessions.ts'

export type Preflight = {
  /** Everything that stands in the way, found at once. */
  readonly blockers: readonly SwError[]
  /** Worth knowing: long transactions, accounts that will be locked. */
  readonly notes: readonly string[]
}

export interface SwitchEffects {
  /** Step 1. Reads only, touches nothing. */
  preflight(): Promise<Preflight>
  /** All that can be done before clients are held: claims, lock sessions, streams of the way back, both directions drained once, ids. */
  prepare(): Promise<readonly string[]>
  /** Step 2: gates hold new writes from here on. */
  hold(): Promise<void>
  gatesAcknowledge(): Promise<Acknowledgement>
  /** Step 3. SW-SWITCH-005 when a server of N is open. */
  requireClosed(): Promise<void>
  /** Step 4. SW-SWITCH-006, 018. */
  lockTables(signal: AbortSignal): Promise<readonly KilledSession[]>
  /** Steps 5 and 8: a marker on every F, drained by N. */
  drain(signal: AbortSignal): Promise<void>
  /** Step 5. */
  raiseIds(): Promise<readonly string[]>
  /** Step 7. */
  closeServing(): Promise<readonly KilledSession[]>
  releaseTableLocks(): Promise<void>
  /** Under the fence, before the last drains: no stream writes where user triggers stand. */
  dropObjects(): Promise<void>
  /** After them: user triggers and events on N. Those that N refuses give the switch up. */
  makeObjects(): Promise<readonly string[]>
  /** Step 8: a marker on every N comes back on F through the fence. */
  proveWayBack(signal: AbortSignal): Promise<void>
  /** Step 8: rows that belong to shards and not to keys go along (carried.ts). */
  carryRows(signal: AbortSignal): Promise<readonly string[]>
  /** Step 9, and giving up: two outcomes of one compare-and-set. */
  decide(outcome: 'switched' | 'back'): Promise<void>
  /** Step 10, all of it; as often as need be. */
  finish(): Promise<readonly KilledSession[]>
  /** Sessions whose statement may hang: ended, claimed again when needed. */
  dropSessions(): Promise<void>
  /** What the hold did to clients, waited for briefly. */
  holds(): Promise<GateHolds | null>
  close(): Promise<void>
}
