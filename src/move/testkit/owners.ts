/** A value of the shard key for each source. */
import { KeyRangeIndex } from '../../keyspace/key-range-index.ts'
import { parseKeyRange } from '../../keyspace/key-range.ts'
import { createVindex } from '../../keyspace/vindexes/create.ts'
import type { World } from './world.ts'

export function ownersOf({ sourceRefs }: World): number[] {
  const vindex = createVindex('hash', 'hash')
  const index = new KeyRangeIndex(sourceRefs.map(({ shard }, value) => ({ range: parseKeyRange(shard), value })))
  const shardOf = (owner: number): number => index.find(vindex.map([{ type: 'INT64', bytes: Buffer.from(String(owner)) }])!)!
  return sourceRefs.map((_, shard) => Array.from({ length: 50 }, (_, owner) => owner).find((owner) => shardOf(owner) === shard)!)
}
