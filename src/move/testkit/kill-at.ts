/** Death of a run in this process, thrown at a crash point at its nth meeting; and a run that is held there. */
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

/** Holds at the nth meeting of a point until let go. */
export function holdAt(point: CrashPoint, skip = 0): Failpoints & { held: Promise<void>; letGo: () => void } {
  let hits = 0
  let isHeld = (): void => undefined
  let letGo = (): void => undefined
  const held = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${point} was not come to ${skip + 1} times`)), 60_000)
    // Of a point that a test does not wait for: its process ends when its work is done (40 s sooner).
    timer.unref()
    isHeld = () => (clearTimeout(timer), resolve())
  })
  held.catch(() => undefined)
  const gate = new Promise<void>((resolve) => (letGo = resolve))
  return {
    held,
    letGo: () => letGo(),
    hit(at) {
      if (at !== point || hits++ !== skip) return undefined
      isHeld()
      return gate
    },
  }
}
