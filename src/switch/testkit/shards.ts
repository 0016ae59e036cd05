/** Shards of these tests, where an id belongs, and the schemas that hold them. */
export const old = ['-']
export const fresh = ['-80', '80-']

export const schemaOf = (shard: string): string => `app_${shard.replace('-', '_')}`

/** The shard of an id in these tests, by reverse_bits: odd ones are above. */
export function shardOf(id: number, side: readonly string[]): string {
  return side.length === 1 ? '-' : id % 2 === 0 ? '-80' : '80-'
}

export function tableOf(id: number, side: readonly string[]): string {
  return `${schemaOf(shardOf(id, side))}.t`
}
