/**
 * Values of primary and unique keys that stand on more than one source of a merge (PROTOCOLS 3, Merges): two rows would collide on the target, and
 * one of them could not be kept. Found before anything is made.
 *
 * A key that contains the shard key cannot collide between sources where equal values are equal bytes: they are of one keyspace id, hence of one source. Text is compared by
 * a collation: 'bob' and 'Bob' may be of two keyspace ids, so on two sources, and stay there as long as these are two servers. Of the keys that can collide, those of numbers
 * are read once on each source, page by page in key order, and merged here (key-collisions.ts); for all else the keys of one source of each pair are looked up
 * on the other, which compares by its own collation, as the target will. What no index gives in order, expressions and beginnings of columns, is compared by digests of its weights (key-digests.ts). Bounded in time: what was not looked at is told, and streams stop with both rows named if they
 * collide after all (1.6). Sources are read one after the other, so a row that a transaction over both shards is moving may be met on both: only
 * pairs that are met again, several times, count.
 */
import { unreachable } from '../base/assert.ts'
import type { SwError } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import type { SchemaInfo, TableInfo, TableKey } from '../mysql/table-info.ts'
import type { StreamTable } from '../topology/records.ts'
import { changeErrors } from './errors.ts'
import { KeyValues, collisionsOfNumbers, collisionsOfPairs, type Found, type MergeSource, type Pair, type Until } from './key-collisions.ts'
import { collisionsOfDigests } from './key-digests.ts'
import { readingOf } from './key-parts.ts'

export type MergeFindings = { readonly errors: SwError[]; readonly notes: string[] }

/** `together`: sources that feed a common target, in pairs. */
export async function duplicateKeys(
  together: readonly (readonly [MergeSource, MergeSource])[],
  tables: readonly StreamTable[],
  clock: Clock,
  budgetMs: number,
): Promise<MergeFindings> {
  const errors: SwError[] = []
  const notes: string[] = []
  const until = { clock, atMs: clock.monotonicMs() + budgetMs }
  const sources = [...new Set(together.flat())]
  // Days that no calendar has are values of keys too: in another mode a comparison with one is refused.
  for (const { connection } of sources) await connection.query("SET SESSION time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'")
  for (const { name, vindex } of tables) {
    const table = sources[0]?.schema.tables.find((info) => info.name === name)
    if (table === undefined || vindex === null) continue
    for (const { key, why } of mayCollide(table, vindex.columns)) {
      const found = await collisionsOf(together, table, key, until)
      if (typeof found === 'string') {
        notes.push(
          `${name}.${key.name} ${why}: sharding cannot keep it unique; whether two sources hold one value was not looked up (${found}): a stream that meets one stands still and names it`,
        )
        continue
      }
      for (const { one, other, shown, more } of found.collisions) {
        const between = { table: name, key: key.name, one: one.shard, other: other.shard }
        errors.push(changeErrors.duplicateKeys({ ...between, values: `${shown.join(', ')}${more ? ' …' : ''}` }))
      }
      for (const { one, other } of found.unseen)
        notes.push(`${name}.${key.name}: not all values of ${one.shard} were looked up on ${other.shard} in ${budgetMs} ms`)
      notes.push(`${name}.${key.name} ${why}: sharding cannot keep it unique`)
    }
  }
  return { errors, notes: [...new Set(notes)] }
}

/** Of a split: keys that one server kept unique and several do not. Said, since it decides whether the way back stays open. */
export function keysLeftUnique(schema: SchemaInfo, tables: readonly StreamTable[]): string[] {
  return tables.flatMap(({ name, vindex }) => {
    const table = schema.tables.find((info) => info.name === name)
    if (table === undefined || vindex === null) return []
    return mayCollide(table, vindex.columns).map(
      ({ key, why }) =>
        `${name}.${key.name} ${why}: sharding cannot keep it unique. Once two shards hold one value the way back stands still at it: reversetraffic waits until one of them is changed`,
    )
  })
}

/** Unique keys of which two sources may hold one value, and why. */
function mayCollide(table: TableInfo, shardKey: readonly string[]): { key: TableKey; why: string }[] {
  const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()
  const collated = table.columns.find(({ name, charset, collation, dataType }) => {
    const text = charset !== null && charset !== 'binary' && dataType !== 'enum' && dataType !== 'set'
    return text && !comparesBytes(collation) && shardKey.some((column) => same(column, name))
  })
  return table.keys.flatMap((key) => {
    if (!key.unique) return []
    const contained = shardKey.every((column) => key.parts.some((part) => same(part.column ?? '', column)))
    if (!contained) return [{ key, why: 'does not contain the shard key' }]
    // Values of several keyspace ids may begin alike.
    const cut = key.parts.find((part) => part.prefixLength !== null && shardKey.some((column) => same(part.column ?? '', column)))
    if (cut !== undefined)
      return [{ key, why: `has of the shard key column ${cut.column} the first ${cut.prefixLength} only, which several shards may share` }]
    if (collated === undefined) return []
    return [
      { key, why: `takes values of the shard key column ${collated.name} for equal by ${collated.collation} whose shards may differ` },
    ]
  })
}

function collisionsOf(together: readonly Pair[], table: TableInfo, key: TableKey, until: Until): Promise<Found | string> {
  const reading = readingOf(table, key)
  switch (reading) {
    case 'numbers':
      return collisionsOfNumbers(together, new KeyValues(table, key), until)
    case 'pages':
      return collisionsOfPairs(together, new KeyValues(table, key), until)
    case 'digests':
      return collisionsOfDigests(together, table, key, until)
    default:
      return unreachable(reading)
  }
}

/** Without padding: a `_bin` collation of the older kind takes 'a' and 'a ' for equal. */
function comparesBytes(collation: string | null): boolean {
  return collation !== null && (collation.endsWith('_nopad_bin') || collation.endsWith('_0900_bin'))
}
