/** What earlier runs of a stream left of its copy: the chunks that landed, and the figures that follow from them. */
import type { Clock } from '../base/clock.ts'
import type { OpenTarget } from './open-targets.ts'
import { CopyProgress } from './progress.ts'
import { planScan, type LandedChunk } from './scan.ts'
import type { SourceTable } from './source-tables.ts'
import { readChunks } from './tables.ts'

/** By table. */
export async function landedChunks(targets: readonly OpenTarget[]): Promise<Map<string, LandedChunk[]>> {
  const landed = new Map<string, LandedChunk[]>()
  for (const [target, { meta, on }] of targets.entries()) {
    for (const chunk of await readChunks(meta, on.streamUid, on.targetUid)) {
      const list = landed.get(chunk.table) ?? []
      landed.set(chunk.table, list)
      list.push({ path: chunk.path, lo: chunk.lo, hi: chunk.hi, rows: chunk.rows, target })
    }
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
  for (const [name, chunks] of await landedChunks(targets))
    progress.landed(
      name,
      chunks.reduce((rows, chunk) => rows + chunk.rows, 0),
      0,
    )
  for (const { plan } of tables) progress.done(plan.name)
  return progress
}

/** Rows that an earlier run read and that must be read again: what did not land anywhere, and what landed on some targets only. */
export function rowsToReadAgain(
  readBefore: number,
  landed: ReadonlyMap<string, readonly LandedChunk[]>,
  tables: readonly SourceTable[],
  targetCount: number,
): number {
  let left = readBefore
  for (const { plan } of tables) {
    const { rowsLanded, rowsAgain } = planScan(landed.get(plan.name) ?? [], targetCount)
    // A row of a reference table lands on every target.
    left -= (rowsLanded - rowsAgain) / (plan.reference ? targetCount : 1)
  }
  return Math.max(0, Math.round(left))
}
