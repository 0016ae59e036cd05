/**
 * Finds the true end of a partition. Under the append lock, whenever the state on disk is not the one this producer wrote last.
 *
 * - Bytes behind the end that the state tells were written by a holder that did not live to acknowledge them. Whole
 *   batches of them are kept (their send had no answer: unknown, and that is how its caller was told), the torn rest is cut off.
 * - A segment shorter than the state tells, or one whose acknowledged part does not check, has lost acknowledged records:
 *   SW-TOPIC-012, never a silent cut. (Removing `state` by hand accepts the loss; the next epoch then tells readers.)
 * - Without a state (torn by a crash of the machine) the last segment is read whole.
 * - A holder syncs a segment before it begins the next, so only the last one can end torn.
 */
import { open, rm, type FileHandle } from 'node:fs/promises'
import { topicErrors } from '../errors.ts'
import { indexFile, segmentFile, segmentsOf, syncDir, partitionDir } from './folder.ts'
import { batchesOf } from './scan.ts'
import { emptyPartition, type PartitionState } from './state.ts'

export async function recoverPartition(
  dir: string,
  partition: number,
  known: Readonly<PartitionState> | null,
  nowMs: number,
): Promise<PartitionState> {
  let bases = await segmentsOf(dir, partition)
  // Left over when retention was broken off between telling the new start and deleting.
  const dead = bases.filter((_, at) => known !== null && (bases[at + 1] ?? known.start + 1n) <= known.start)
  for (const base of dead) await removeSegment(dir, partition, base)
  bases = bases.slice(dead.length)
  const first = bases[0]
  if (first === undefined) {
    if (known !== null && known.end > 0n)
      throw topicErrors.logDamaged({ file: partitionDir(dir, partition), position: 0, reason: 'its segments are gone' })
    return { ...emptyPartition }
  }
  const start = known === null || known.start < first ? first : known.start
  let state: PartitionState | null = null
  const from = known === null || known.segment < 0n ? (bases.at(-1) ?? first) : known.segment
  if (!bases.includes(from))
    throw topicErrors.logDamaged({ file: segmentFile(dir, partition, from), position: 0, reason: 'the file is gone' })
  for (const base of bases.filter((base) => base >= from)) {
    const isKnown = known !== null && base === known.segment
    if (state !== null && base !== state.end)
      throw topicErrors.logDamaged({
        file: segmentFile(dir, partition, base),
        position: 0,
        reason: `the segment before it ends at offset ${state.end}`,
      })
    const begin: PartitionState = isKnown
      ? { ...known, start }
      : { start, end: base, segment: base, bytes: 0, newestMs: -Infinity, openedMs: nowMs }
    state = await extend(dir, partition, begin, base === bases.at(-1))
  }
  return state ?? { ...emptyPartition }
}

/** Takes in whole batches behind what `state` knows of its segment; cuts off what is left of the last segment. */
async function extend(dir: string, partition: number, state: PartitionState, isLast: boolean): Promise<PartitionState> {
  const file = segmentFile(dir, partition, state.segment)
  const handle = await open(file, 'r+')
  try {
    const { size } = await handle.stat()
    if (size < state.bytes) throw topicErrors.logDamaged({ file, position: size, reason: `it had ${state.bytes} bytes` })
    if (size === state.bytes) return state
    const scanned = { ...state }
    const batches = batchesOf(handle, { position: state.bytes, offset: state.end }, size)
    for (;;) {
      const step = await batches.next()
      if (step.done === true) break
      scanned.bytes = step.value.position + step.value.header.length
      scanned.end = step.value.header.base + BigInt(step.value.header.count)
      scanned.newestMs = Math.max(scanned.newestMs, step.value.header.newestMs)
    }
    if (scanned.bytes < size) {
      if (!isLast) throw topicErrors.logDamaged({ file, position: scanned.bytes, reason: 'not a batch, and a segment follows' })
      await handle.truncate(scanned.bytes)
    }
    await handle.datasync()
    return scanned
  } finally {
    await handle.close()
  }
}

export async function removeSegment(dir: string, partition: number, base: bigint): Promise<void> {
  await rm(segmentFile(dir, partition, base), { force: true })
  await rm(indexFile(dir, partition, base), { force: true })
}

/** A new empty segment, its name on disk. */
export async function newSegment(dir: string, partition: number, base: bigint): Promise<FileHandle> {
  const handle = await open(segmentFile(dir, partition, base), 'wx+')
  await rm(indexFile(dir, partition, base), { force: true })
  await syncDir(partitionDir(dir, partition))
  return handle
}
