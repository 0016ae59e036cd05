/** Whether the tail may bring more: changes that wait are bounded in memory (promise 8). */
import type { Doing } from './doing.ts'
import type { TargetApplier } from './target-applier.ts'

type Room = Pick<TargetApplier, 'full' | 'heldBytes' | 'space'>

/** Resolves when the targets have room again. Each makes it by itself, by a round that waits for nothing which the tail has yet to bring: who waits for whom is in docs/movement-rules.md. */
export async function tailRoom(targets: readonly Room[], heldBytesMax: () => number, signal: AbortSignal, doing: Doing): Promise<void> {
  while (!signal.aborted) {
    const waits = withoutRoom(targets, heldBytesMax())
    if (waits.length === 0) return
    doing.begin('waits for room on the targets')
    await Promise.race(waits.map((target) => target.space(signal)))
  }
}

/**
 * Besides each target's own share: what all of them hold, rounds on their way included, so that rows of megabytes are not in memory once a target. Rounds end: rows held back do not count (1.6). Asked once
 * a turn of each: whether it is full depends on the time, and who waits for none waits for ever.
 */
function withoutRoom(targets: readonly Room[], heldBytesMax: number): readonly Room[] {
  const full = targets.filter((target) => target.full)
  if (full.length > 0) return full
  const bytes = targets.reduce((sum, target) => sum + target.heldBytes, 0)
  return bytes > heldBytesMax ? targets.filter((target) => target.heldBytes > 0) : []
}
