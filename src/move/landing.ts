/**
 * Which chunks land together on a target. A landing is a transaction: a guard, a commit, a sync and a round trip for the rows' LOAD DATA, whatever it carries
 * (about 1 ms of CPU, measured), so that with many targets, each of which gets a small part of a chunk, single chunks cost more than their rows do. What may be on
 * its way is a share of the copy (`copy-budget.ts`), so chunks wait here until half of it has come, and land together while the other half is read.
 *
 * Landing later is always right: keys count as touched until then, and X does not move while chunks land (PROTOCOLS 1.4). It never waits for what may not come: chunks
 * land, however few, when nothing more is read before something has landed (`pressing`), and when one has waited for `waitMsMax`.
 */
import type { Chunk } from './chunk.ts'
import { chunksInFlight } from './copy-budget.ts'

/** In chunks of the size that is aimed at. */
export type LandingSize = {
  /** Of rows, for all targets together: enough for a landing. */
  readonly chunksMin: number
  /** Of this target's part of them: the most in one transaction, so that lanes share them. */
  readonly partMax: number
}

/** Fewer targets than this have several landings under way each. */
const writersMin = 4
const waitMsMax = 300
/** Of chunks without rows, such as those of empty tables. Their bounds stand in one statement: keys may be long. */
const countMax = 16

/** `inFlight`: chunks that are on their way at once. */
export function landingSize(targets: number, inFlight = chunksInFlight): LandingSize {
  return { chunksMin: (inFlight / 2) * Math.min(1, targets / writersMin), partMax: inFlight / Math.max(writersMin, targets) }
}

export type LandingState = {
  readonly size: LandingSize
  readonly target: number
  /** Another landing is under way on this target. */
  readonly landing: boolean
  readonly pressing: boolean
  readonly nowMs: number
}

/** The chunks of the next landing, of those that may land, in their order; none: it waits for more. */
export function nextLanding(landable: readonly Chunk[], state: LandingState): Chunk[] {
  const { size, target } = state
  if (!isEnough(landable, state)) return []
  const together: Chunk[] = []
  let taken = 0
  for (const chunk of landable) {
    const part = chunk.size * ((chunk.parts[target]?.bytes ?? 0) / Math.max(1, chunk.rowBytes))
    if (together.length > 0 && (taken + part > size.partMax || together.length >= countMax)) break
    taken += part
    together.push(chunk)
  }
  return together
}

function isEnough(landable: readonly Chunk[], { size, landing, pressing, nowMs }: LandingState): boolean {
  const [oldest] = landable
  if (oldest === undefined) return false
  if (landable.length >= countMax || nowMs - oldest.readAtMs >= waitMsMax) return true
  // With a landing under way what is read meanwhile comes together; another lane would only take it in smaller pieces.
  if (pressing && !landing) return true
  return landable.reduce((chunks, chunk) => chunks + chunk.size, 0) >= size.chunksMin
}
