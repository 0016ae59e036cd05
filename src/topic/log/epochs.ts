/**
 * A partition's epochs: which began at which offset, oldest first. Every producer session begins one with its first
 * record, and so does whoever finds the log shorter than it knew it. A number grows and is not used twice, not even by a
 * copy of the log that was put back and went its own way: it is the second in which it began or one more than the last,
 * whichever is later, and up to 4095 more by chance (two histories that begin an epoch within an hour of each other share
 * its number once in 4096 times; later ones never). That is what makes a log that was truncated and regrown visible to a reader (Kafka's KIP-320, PROTOCOLS 4.7):
 * the reader's (offset, epoch) is good iff that very epoch is known and did not end below the offset.
 */
import { randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { topicErrors } from '../errors.ts'
import { partitionDir, writeWhole } from './folder.ts'

export type Epoch = { readonly epoch: number; readonly start: bigint }

/** 2020-01-01: an int32 of seconds from then lasts until 2088. */
const zeroMs = Date.UTC(2020, 0, 1)

export function newEpoch(nowMs: number, last: number): number {
  return Math.max(Math.floor((nowMs - zeroMs) / 1000), last + 1, 0) + randomInt(4096)
}

export async function readEpochs(dir: string, partition: number): Promise<Epoch[]> {
  const file = join(partitionDir(dir, partition), 'epochs')
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [epoch, start] = line.split(' ')
      if (epoch === undefined || start === undefined || !/^\d+$/.test(epoch) || !/^\d+$/.test(start))
        throw topicErrors.logDamaged({ file, position: 0, reason: `not an epoch: ${line}` })
      return { epoch: Number(epoch), start: BigInt(start) }
    })
}

export async function writeEpochs(dir: string, partition: number, epochs: readonly Epoch[]): Promise<void> {
  await writeWhole(join(partitionDir(dir, partition), 'epochs'), epochs.map(({ epoch, start }) => `${epoch} ${start}\n`).join(''))
}

/** Epoch of the record at `offset`; -1 when unknown. */
export function epochAt(epochs: readonly Epoch[], offset: bigint): number {
  return epochs.findLast((epoch) => epoch.start <= offset)?.epoch ?? -1
}

/** Where `epoch` ended (`end`: the log's), or null when this log never had it. */
export function endOfEpoch(epochs: readonly Epoch[], epoch: number, end: bigint): bigint | null {
  const at = epochs.findIndex((candidate) => candidate.epoch === epoch)
  if (at < 0) return null
  return epochs[at + 1]?.start ?? end
}

/** What is left of them in a log that goes from `start` to `end`. An epoch that ends at the start stays: positions there name it. */
export function clipEpochs(epochs: readonly Epoch[], start: bigint, end: bigint): Epoch[] {
  const before = epochs.filter((epoch) => epoch.start < end)
  return before.filter((_, at) => (before[at + 1]?.start ?? end) >= start)
}
