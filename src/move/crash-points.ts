/**
 * Every place where a mover's death is interesting, by name. A test walks all of them: it kills there, starts again and compares rows
 * (`crash.db.test.ts`, `crash-ddl.db.test.ts`, `crash-held.db.test.ts`; in the middle of an ALTER, where no point can be: `ddl-executed.db.test.ts`). `StreamRecord.options.failpoints` arms them in a running mover.
 */
export const crashPoints = [
  'start.beforePosition',
  'start.positionOnSomeTargets',
  'takeOver.afterEpoch',
  'copy.afterRead',
  'copy.beforeLandCommit',
  'copy.landedOnSomeTargets',
  'copy.beforeKeys',
  'copy.afterKeys',
  'keys.built',
  'round.afterIntent',
  'round.afterDeletes',
  'round.afterSomeLanes',
  'round.beforePosition',
  'round.afterPosition',
  'part.afterSome',
  'held.tried',
  'held.leftOut',
  'held.kept',
  'held.stored',
  'marker.beforeReport',
  'ddl.noted',
  'ddl.executed',
  'ddl.done',
  'ddl.definedOnSomeTargets',
  'xa.kept',
  'xa.marked',
  'xa.forgotten',
] as const

export type CrashPoint = (typeof crashPoints)[number]

export type FailpointAction = 'kill' | 'hold'

/** What a mover does at a crash point: nothing in production. Tests throw or wait. */
export interface Failpoints {
  hit(point: CrashPoint): Promise<void> | undefined
}

export const noFailpoints: Failpoints = { hit: () => undefined }

export function armedFailpoints(
  armed: Readonly<Record<string, FailpointAction>>,
  actions: { kill: () => void; hold: (point: CrashPoint) => Promise<void> },
): Failpoints {
  if (Object.keys(armed).length === 0) return noFailpoints
  return {
    hit(point) {
      const action = armed[point]
      if (action === undefined) return undefined
      if (action === 'kill') {
        actions.kill()
        return undefined
      }
      return actions.hold(point)
    },
  }
}
