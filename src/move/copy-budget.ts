/**
 * How much of a copy may be on its way: what a kill costs, since rows that were read and have not landed everywhere are read again. A share of the copy's rows, so
 * that the cost is one too; and no more bytes than memory allows. A mover that is killed is killed with all that its streams have on their way, so the share is of all
 * that they copy: with a share of a small copy each, eight sources of 250,000 rows had a tenth of theirs on its way.
 *
 * Counted in rows, as the cost is. (In bytes, by what the source says of its tables, a table of narrow rows had twice its share on its way.)
 */
import type { MoverConfig } from './config.ts'

export type CopyBudget = {
  readonly chunkRows: number
  readonly copyRowsMax: number
  readonly chunkBytes: number
  readonly copyBytesMax: number
  readonly chunksInFlight: number
}

/** Of the copy's rows; beside it one chunk a reader is on its way, and all of it may be 2 %. */
const shareInFlight = (readers: number): number => (readers === 1 ? 1 / 58 : 1 / 60)
/** A small copy costs no more rows than one of so many: with fewer each of many targets would land a few at a time (landing.ts). */
const smallCopyRows = 2_000_000
/** With half as many, twice as large, more of what is on its way is chunks that have not come whole yet, and targets wait (MySQL, four targets, two processors: 3 % of the copy's time). */
export const chunksInFlight = 12
/** Of one of several streams, which read and land beside each other: each chunk costs a commit on its source and one on each target, and eight streams had 350 rows in theirs. */
const chunksInFlightMin = 4

/** What the streams of a workflow copy just now; rows of those only that know theirs. */
export type Copies = { readonly streams: number; readonly rowsEstimated: number }

/** `rowsEstimated`: of all tables of the stream, as the source says; `all`: with those of the other streams. `readers`: tables read at once. */
export function copyBudget(
  config: Pick<MoverConfig, 'chunkBytes' | 'copyBytesMax'>,
  rowsEstimated: number,
  readers: number,
  all: Copies = { streams: 1, rowsEstimated },
): CopyBudget {
  const inFlight = Math.max(chunksInFlightMin, Math.ceil(chunksInFlight / Math.max(1, all.streams)))
  // Chunks are larger then, and so is what each reader has beside the rest.
  const share = (shareInFlight(readers) * (1 + readers / chunksInFlight)) / (1 + readers / inFlight)
  const copyRowsMax = Math.max(1, Math.floor(countedRows(rowsEstimated, all) * share))
  const { copyBytesMax } = config
  return {
    copyRowsMax,
    chunkRows: Math.ceil(copyRowsMax / inFlight),
    copyBytesMax,
    chunkBytes: Math.min(config.chunkBytes, Math.ceil(copyBytesMax / inFlight)),
    chunksInFlight: inFlight,
  }
}

/**
 * Half by the stream's rows, half alike for all: a few rows beside a large copy are not to be copied one by one, nor is a table of which the server's estimate is of before it was filled.
 * All streams' together are the rows of the copy.
 */
function countedRows(rows: number, all: Copies): number {
  const streams = Math.max(1, all.streams)
  const copyRows = Math.max(smallCopyRows, all.rowsEstimated)
  const own = rows + (copyRows - all.rowsEstimated) / streams
  return (own + copyRows / streams) / 2
}
