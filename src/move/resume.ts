/** What earlier runs of a stream left of its copy: the chunks that landed, and the figures that follow from them. */
import type { Clock } from '../base/clock.ts'
import type { OpenTarget } from './open-targets.ts'
import { CopyProgress } from './progress.ts'
import { LandedRanges } from './landed-ranges.ts'
import { landedSum, planScan } from './scan.ts'
import type { SourceTable } from './source-tables.ts'
import { readChunks, readLanded } from './tables.ts'

/** `every`: of so many ranges of a table adjacent ones are put together. */
export async function landedRanges(targets: readonly OpenTarget[], every: number): Promise<LandedRanges> {
  const landed = new LandedRanges(
    targets.map(({ on }) => on),
    every,
  )
  for (const [target, { meta, on }] of targets.entries()) {
    for (const chunk of await readChunks(meta, on.streamUid, on.targetUid)) landed.add({ ...chunk, target })
  }
  return landed
}

/** The figures of a copy that earlier runs have begun. */
export function progressFrom(clock: Clock, landed: LandedRanges, tables: readonly SourceTable[], targetCount: number): CopyProgress {
  const progress = new CopyProgress(clock, tables, targetCount)
  for (const { plan } of tables) progress.landedBefore(plan.name, landedSum(landed.of(plan.name), targetCount))
  return progress
}

/** The figures of a copy that an earlier run finished. */
export async function copiedProgress(clock: Clock, targets: readonly OpenTarget[], tables: readonly SourceTable[]): Promise<CopyProgress> {
  const progress = new CopyProgress(clock, tables, targets.length)
  for (const [target, { meta, on }] of targets.entries())
    for (const [name, { rows, bytes, chunks }] of await readLanded(meta, on.streamUid, on.targetUid))
      // Each chunk stands on every target.
      progress.landedBefore(name, { rows, bytes, chunks: target === 0 ? chunks : 0, chunkRows: rows, complete: false })
  for (const { plan } of tables) progress.done(plan.name)
  return progress
}

/** Rows that an earlier run read and that must be read again: what did not land anywhere, and what landed on some targets only. */
export function rowsToReadAgain(readBefore: number, landed: LandedRanges, tables: readonly SourceTable[], targetCount: number): number {
  let left = readBefore
  for (const { plan } of tables) {
    const { rowsLanded, rowsAgain } = planScan(landed.of(plan.name), targetCount)
    // A row of a reference table lands on every target.
    left -= (rowsLanded - rowsAgain) / (plan.reference ? targetCount : 1)
  }
  return Math.max(0, Math.round(left))
}
