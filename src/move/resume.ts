/** What earlier runs of a stream left of its copy: the chunks that landed, and the figures that follow from them. */
import type { Clock } from '../base/clock.ts'
import type { OpenTarget } from './open-targets.ts'
import { CopyProgress } from './progress.ts'
import { LandedRanges } from './landed-ranges.ts'
import { planScan } from './scan.ts'
import type { SourceTable } from './source-tables.ts'
import { readChunks, readRowsLanded } from './tables.ts'

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

/** The figures of a copy that an earlier run finished. */
export async function copiedProgress(
  clock: Clock,
  sourceRowsRead: number,
  targets: readonly OpenTarget[],
  tables: readonly SourceTable[],
): Promise<CopyProgress> {
  const progress = new CopyProgress(clock, tables)
  progress.sourceRowsRead = sourceRowsRead
  for (const { meta, on } of targets)
    for (const [name, rows] of await readRowsLanded(meta, on.streamUid, on.targetUid)) progress.landed(name, rows, 0)
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
