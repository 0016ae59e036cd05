/**
 * Where a target stands between what it has applied and what it has begun, and what may be done there (PROTOCOLS 1.4, 1.5). Pure, and in one place: the applier does by it, and the models of `test/models/` decide by it.
 */
import type { Chunk } from './chunk.ts'
import { compareCoordinates, type Coordinate } from './tables.ts'

/** Past what it has begun: below its intent it may hold a part of a round, and is no boundary for anybody. */
export function standsAtBoundary(applied: Coordinate, intent: Coordinate): boolean {
  return compareCoordinates(applied, intent) >= 0
}

/** Whether a chunk's high marker was applied past: its rows are then of no later time than what the target has. By the marker that the tail has met, never by a position. */
export function isPastHighMarker({ highMarker }: Pick<Chunk, 'highMarker'>, applied: Coordinate): boolean {
  return highMarker <= applied.marker
}

/** What is to be stored before the first effect of a round, or part, that goes there; null: what is stored goes as far. */
export function intentToStore(to: Coordinate, intent: Coordinate): Coordinate | null {
  return compareCoordinates(to, intent) > 0 ? { marker: to.marker, groups: to.groups } : null
}

/** Whether a round commits with its position, and stores no intent. Not again after a collision: its 1062 would undo its own deletes, which another stream may be waiting for as this one waits for that one's, for ever. */
export function goesInOneTransaction(
  changes: number,
  { oneLaneChangesMax, collisionsInRow }: { readonly oneLaneChangesMax: number; readonly collisionsInRow: number },
): boolean {
  return changes <= oneLaneChangesMax && collisionsInRow === 0
}
