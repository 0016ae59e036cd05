/** Whether the tail may bring more: changes that wait are bounded in memory (promise 8). */
import type { Doing } from './doing.ts'
import type { TargetApplier } from './target-applier.ts'

type Room = Pick<TargetApplier, 'full' | 'extending' | 'heldBytes' | 'space'>

/** Resolves when the targets have room again. Each makes it by itself, by a round that waits for nothing which the tail has yet to bring: who waits for whom is in docs/movement-rules.md. */
export async function tailRoom(targets: readonly Room[], heldBytesMax: () => number, signal: AbortSignal, doing: Doing): Promise<void> {
  while (!signal.aborted && isFull(targets, heldBytesMax())) {
    doing.begin('waits for room on the targets')
    await Promise.race(targets.filter((target) => target.full || target.heldBytes > 0).map((target) => target.space(signal)))
  }
}

/**
 * Besides each target's own share: what all of them hold, rounds on their way included, so that rows of megabytes are not in memory once a target. A
 * round that has to be extended is never starved of what it waits for (1.6).
 */
function isFull(targets: readonly Room[], heldBytesMax: number): boolean {
  if (targets.some((target) => target.full)) return true
  if (targets.some((target) => target.extending)) return false
  return targets.reduce((bytes, target) => bytes + target.heldBytes, 0) > heldBytesMax
}
