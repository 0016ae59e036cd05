/**
 * The records of one partition's answer that may be seen: without those of aborted transactions and without control
 * records. The broker names the aborted transactions that touch the answer, each by its producer and first offset; one
 * ends at its producer's abort marker. (The client's own filter keeps only one of them per producer, and lets a transaction
 * pass whose marker stands in a later answer.)
 */
export type RawRecord = {
  readonly timestampDelta: bigint
  readonly offsetDelta: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [Buffer | null, Buffer | null])[]
}

export type RawBatch = {
  readonly firstOffset: bigint
  readonly partitionLeaderEpoch: number
  readonly attributes: number
  readonly lastOffsetDelta: number
  readonly firstTimestamp: bigint
  readonly maxTimestamp: bigint
  readonly producerId: bigint
  readonly records: readonly RawRecord[]
}

export type Aborted = { readonly producerId: bigint; readonly firstOffset: bigint }

const transactional = 0x10
const control = 0x20
const abortMarker = 0

export function* committedBatches(
  batches: readonly RawBatch[],
  abortedTransactions: readonly Aborted[],
): Generator<RawBatch, void, undefined> {
  const aborted = [...abortedTransactions].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
  const open = new Set<bigint>()
  let at = 0
  for (const batch of batches) {
    const last = batch.firstOffset + BigInt(batch.lastOffsetDelta)
    for (let next = aborted[at]; next !== undefined && next.firstOffset <= last; next = aborted[++at]) open.add(next.producerId)
    if ((batch.attributes & control) !== 0) {
      // Key of a control record: int16 version, int16 type.
      if (batch.records[0]?.key?.readInt16BE(2) === abortMarker) open.delete(batch.producerId)
      continue
    }
    if ((batch.attributes & transactional) !== 0 && open.has(batch.producerId)) continue
    yield batch
  }
}
