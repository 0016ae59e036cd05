/** Death of a run in this process: thrown at a crash point, at its nth meeting. */
import type { CrashPoint, Failpoints } from '../crash-points.ts'

class Killed extends Error {}

export function killAt(point: CrashPoint, skip: number): Failpoints & { hits: number } {
  const failpoints = {
    hits: 0,
    hit(at: CrashPoint) {
      if (at !== point || failpoints.hits++ !== skip) return undefined
      return Promise.reject(new Killed(point))
    },
  }
  return failpoints
}
