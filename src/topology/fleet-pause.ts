/**
 * A fleet held for a moment by a rung of the ladder. Who holds it stands in its record beside what was wanted before, so that a hold whose holder died is
 * found by whoever leads next, and one that an operator meant is left alone: changing a fleet by hand ends the pause.
 */
import type { FleetRecord } from './dualwrite-records.ts'

export function pausedFleet(
  fleet: FleetRecord,
  by: string,
  change: Partial<Pick<FleetRecord, 'wanted' | 'holdAt' | 'heldShard'>>,
): FleetRecord {
  const was = fleet.paused?.by === by ? fleet.paused.was : fleet.wanted
  return { ...fleet, ...change, paused: { by, was } }
}

/** As it was before the pause. */
export function resumedFleet(fleet: FleetRecord): FleetRecord {
  const { paused, heldShard: _heldShard, ...rest } = fleet
  return paused === undefined ? fleet : { ...rest, wanted: paused.was, holdAt: null }
}

/** Without the pause: what is wanted from here on is somebody's decision. */
export function decidedFleet(fleet: FleetRecord, wanted: FleetRecord['wanted']): FleetRecord {
  const { paused: _paused, heldShard: _heldShard, ...rest } = fleet
  return { ...rest, wanted, holdAt: null }
}
