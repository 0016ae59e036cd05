import { keyspaceErrors } from './errors.ts'
import { parseKeyRange, type KeyRange } from './key-range.ts'

const shardsMax = 65_536

/**
 * The names of `count` shards as even as `hexWidth` digits a bound allow; without it two digits up to 256 shards, four
 * above. The texts are Vitess's (`GenerateShardRanges`), trailing zeros kept: `0080-0100`. SW-KEYSPACE-003.
 */
export function generateShardRanges(count: number, hexWidth?: number): string[] {
  const width = hexWidth ?? (count <= 256 ? 2 : 4)
  const refuse = (reason: string): Error => keyspaceErrors.badShardCount({ count, hexWidth: width, reason })
  if (!Number.isInteger(count) || count < 1) throw refuse('there must be at least one')
  if (count > shardsMax) throw refuse(`there may be at most ${shardsMax}`)
  if (!Number.isInteger(width) || width < 1 || width > 12) throw refuse('a bound has 1 to 12 digits')
  if (count === 1) return ['-']
  const points = 16 ** width
  if (count > points) throw refuse(`${width} digits tell only ${points} apart`)
  const bound = (i: number): string =>
    i === 0 || i === count
      ? ''
      : Math.floor((i * points) / count)
          .toString(16)
          .padStart(width, '0')
  return Array.from({ length: count }, (_, i) => `${bound(i)}-${bound(i + 1)}`)
}

/** `count` even shards of a whole keyspace, in order. SW-KEYSPACE-003. */
export function evenShards(count: number): KeyRange[] {
  return generateShardRanges(count).map(parseKeyRange)
}
