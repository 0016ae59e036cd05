/**
 * The order in which `last` and `first` are decided: (event time, topic, partition, offset, place among the record's rows). A total order that
 * does not depend on who read what when, so both branches and every repetition choose the same record. In the row it stands as bytes whose
 * bytewise order is this order; in memory the parts are compared.
 *
 *     time + 2^63 (8 bytes BE) · topic id · 00 · partition (4 BE) · offset (8 BE) · place (2 BE)
 */
export type OrderVersion = {
  readonly timeMs: number
  readonly topicId: string
  readonly partition: number
  readonly offset: bigint
  readonly place: number
}

export function compareVersions(a: OrderVersion, b: OrderVersion): number {
  if (a.timeMs !== b.timeMs) return a.timeMs - b.timeMs
  if (a.topicId !== b.topicId) return Buffer.compare(Buffer.from(`${a.topicId}\0`), Buffer.from(`${b.topicId}\0`))
  if (a.partition !== b.partition) return a.partition - b.partition
  if (a.offset !== b.offset) return a.offset < b.offset ? -1 : 1
  return a.place - b.place
}

export function versionBytesMax(topicId: string): number {
  return 8 + Buffer.byteLength(topicId) + 1 + 4 + 8 + 2
}

export function encodeVersion(version: OrderVersion): Buffer {
  const topic = Buffer.from(version.topicId)
  const out = Buffer.alloc(8 + topic.length + 15)
  out.writeBigUInt64BE(BigInt(Math.floor(version.timeMs)) + 2n ** 63n, 0)
  topic.copy(out, 8)
  let at = 8 + topic.length + 1
  at = out.writeUInt32BE(version.partition, at)
  at = out.writeBigUInt64BE(version.offset, at)
  out.writeUInt16BE(version.place, at)
  return out
}
