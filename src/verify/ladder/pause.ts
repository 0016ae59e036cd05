/** Fleets as a rung holds them, and lets them go again whatever happened (topology/fleet-pause.ts). */
import { pausedFleet, resumedFleet } from '../../topology/fleet-pause.ts'
import { keys } from '../../topology/keys.ts'
import type { FleetRecord } from '../../topology/dualwrite-records.ts'
import { updateRecord } from '../../topology/typed.ts'
import type { LadderWorld } from './world.ts'

const triesMax = 20

/** Only fleets in the state that `from` names, when it is given. */
export async function pauseFleet(
  world: LadderWorld,
  name: string,
  change: Partial<Pick<FleetRecord, 'wanted' | 'holdAt' | 'heldShard'>>,
  from?: FleetRecord['wanted'],
): Promise<void> {
  await updateRecord<FleetRecord>(world.store, keys.fleet(name), (current) =>
    current === null || (from !== undefined && current.wanted !== from) ? null : pausedFleet(current, world.holder, change),
  )
}

/** Not ended by the world's signal: a holder that was told to stop lets go first. One that dies is followed by whoever leads next. */
export async function resumeFleets(world: LadderWorld, fleets: readonly FleetRecord[]): Promise<void> {
  for (const fleet of fleets) {
    for (let attempt = 1; ; attempt++) {
      try {
        await updateRecord<FleetRecord>(world.store, keys.fleet(fleet.name), (current) =>
          current?.paused?.by === world.holder ? resumedFleet(current) : null,
        )
        break
      } catch (error) {
        world.log.error({ error, fleet: fleet.name, attempt }, 'a fleet is still held by a rung that has ended')
        if (attempt === triesMax) break
        await world.clock.sleep(250)
      }
    }
  }
}
