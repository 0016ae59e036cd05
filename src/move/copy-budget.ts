/**
 * How much of a copy may be on its way: what a kill costs, since rows that were read and have not landed everywhere are read again. A share of the copy, so
 * that the cost is one too, within what memory allows and what keeps readers and writers busy.
 */
import type { MoverConfig } from './config.ts'

export type CopyBudget = { readonly chunkBytes: number; readonly copyBytesMax: number }

/** Of the copy's bytes; beside it one chunk a reader is on its way. */
const shareInFlight = 1 / 80
/** Below this, readers and writers wait for each other (measured: bench/resume.ts). */
const copyBytesMin = 3 << 20
const chunksInFlight = 6

/** `bytesEstimated`: of all tables of the stream, as the source says. */
export function copyBudget(config: Pick<MoverConfig, 'chunkBytes' | 'copyBytesMax'>, bytesEstimated: number): CopyBudget {
  const copyBytesMax = Math.min(config.copyBytesMax, Math.max(copyBytesMin, Math.floor(bytesEstimated * shareInFlight)))
  return { copyBytesMax, chunkBytes: Math.min(config.chunkBytes, Math.ceil(copyBytesMax / chunksInFlight)) }
}
