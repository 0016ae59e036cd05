/** Every place where the death or the pause of a controller in a switch is interesting, by name. `crash.db.test.ts` walks all of them. */
export const switchCrashPoints = [
  'prepared',
  'held',
  'acknowledged',
  'tablesLocked',
  'drained',
  'fence.accountsLocked',
  'closed',
  'locksReleased',
  'rowsCarried',
  'wayBackProven',
  'decided',
  'killed',
  'fence.writable',
  'opened',
  'stable',
] as const

export type SwitchCrashPoint = (typeof switchCrashPoints)[number]

/** Nothing in production. Tests throw, kill or hold here. */
export type SwitchFailpoint = (point: SwitchCrashPoint) => Promise<void>

export const noSwitchFailpoint: SwitchFailpoint = async () => undefined

/** A simulated death: nobody may clean up after it. */
export class ControllerDied extends Error {
  override name = 'ControllerDied'
}
