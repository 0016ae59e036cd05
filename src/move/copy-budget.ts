/**
 * How much of a copy may be on its way: what a kill costs, since rows that were read and have not landed everywhere are read again. A share of the copy's rows, so
 * that the cost is one too; and no more bytes than memory allows.
 *
 * Counted in rows, as the cost is. (In bytes, by what the source says of its tables, a table of narrow rows had twice its share on its way.)
 */
import type { MoverConfig } from './config.ts'

export type CopyBudget = {
  readonly chunkRows: number
  readonly copyRowsMax: number
  readonly chunkBytes: number
  readonly copyBytesMax: number
}

/** Of the copy's rows; beside it one chunk a reader is on its way, and all of it may be 2 %. */
const shareInFlight = (readers: number): number => (readers === 1 ? 1 / 58 : 1 / 60)
/** A small copy costs no more rows than one of so many: with fewer each of many targets would land a few at a time (landing.ts). */
const smallCopyRows = 2_000_000
/** With half as many, twice as large, more of what is on its way is chunks that have not come whole yet, and targets wait (MySQL, four targets, two processors: 3 % of the copy's time). */
export const chunksInFlight = 12

/** `rowsEstimated`: of all tables of the stream, as the source says. `readers`: tables read at once. */
export function copyBudget(config: Pick<MoverConfig, 'chunkBytes' | 'copyBytesMax'>, rowsEstimated: number, readers: number): CopyBudget {
  const copyRowsMax = Math.floor(Math.max(smallCopyRows, rowsEstimated) * shareInFlight(readers))
  const { copyBytesMax } = config
  return {
    copyRowsMax,
    chunkRows: Math.ceil(copyRowsMax / chunksInFlight),
    copyBytesMax,
    chunkBytes: Math.min(config.chunkBytes, Math.ceil(copyBytesMax / chunksInFlight)),
  }
}
