/**
 * What is compared with what: shards whose key ranges meet form a group; the rows of a group's sources are, as a set, the rows of its
 * targets. The source side is the one that serves (the routing record says which), so the same code compares before and after a switch.
 *
 * Reference tables are whole on every shard: each copy is compared with that of the shard which the stream that moves them reads.
 */
import { compareKeyRanges, keyRangesIntersect, parseKeyRange } from '../keyspace/key-range.ts'
import type { RoutingRecord, ShardRef, StreamRecord } from '../topology/records.ts'
import { servesPrimary } from '../topology/routing.ts'

export type Group = {
  /** Stable name: part of the key under which progress is kept. */
  readonly name: string
  /** `sum`: the targets together hold the sources' rows. `each`: every target holds all of them. */
  readonly kind: 'sum' | 'each'
  readonly sources: readonly ShardRef[]
  readonly targets: readonly ShardRef[]
  /** The streams that read the sources. */
  readonly streams: readonly StreamRecord[]
}

export function shardsOf({ sources, targets }: Pick<Group, 'sources' | 'targets'>): ShardRef[] {
  return [...sources, ...targets]
}

/** Of all these groups, each once. */
export function shardsOfAll(groups: readonly Group[]): ShardRef[] {
  return [...new Map(groups.flatMap(shardsOf).map((ref) => [ref.uid, ref])).values()]
}

/** Names of all that these streams read or fill. */
export function shardNamesOf(streams: readonly StreamRecord[]): Set<string> {
  return new Set(streams.flatMap(({ source, targets }) => [source.shard, ...targets.map(({ shard }) => shard)]))
}

/** Streams that feed the side that does not serve. */
export function feedingStreams(streams: readonly StreamRecord[], routing: RoutingRecord): StreamRecord[] {
  return streams
    .filter((stream) => servesPrimary(routing, stream.source.shard))
    .sort((a, b) => compareKeyRanges(parseKeyRange(a.source.shard), parseKeyRange(b.source.shard)))
}

export function shardGroups(feeding: readonly StreamRecord[]): Group[] {
  type Growing = { streams: StreamRecord[]; targets: Map<string, ShardRef> }
  const groups: Growing[] = []
  for (const stream of feeding) {
    const range = parseKeyRange(stream.source.shard)
    const own = stream.targets.filter((target) => keyRangesIntersect(parseKeyRange(target.shard), range))
    const joined = groups.filter((group) => own.some((target) => group.targets.has(target.uid)))
    const group: Growing = joined[0] ?? { streams: [], targets: new Map() }
    if (joined.length === 0) groups.push(group)
    for (const other of joined.slice(1)) {
      group.streams.push(...other.streams)
      for (const [uid, target] of other.targets) group.targets.set(uid, target)
      groups.splice(groups.indexOf(other), 1)
    }
    group.streams.push(stream)
    for (const target of own) group.targets.set(target.uid, target)
  }
  return groups.map(({ streams, targets }) => ({
    name: streams.map((stream) => stream.source.shard).join(','),
    kind: 'sum',
    sources: streams.map((stream) => stream.source),
    targets: [...targets.values()].sort((a, b) => compareKeyRanges(parseKeyRange(a.shard), parseKeyRange(b.shard))),
    streams,
  }))
}

export function referenceGroup(feeding: readonly StreamRecord[]): Group | null {
  const stream = feeding.find((candidate) => candidate.movesReference)
  return stream === undefined
    ? null
    : { name: `reference:${stream.source.shard}`, kind: 'each', sources: [stream.source], targets: stream.targets, streams: [stream] }
}
