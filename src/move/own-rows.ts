/**
 * Rows of ours among those that a landing collided with (PROTOCOLS 1.6): the tail brought them before the chunk's low marker, in this
 * run or one before. A row on the target with the key *and* shard key of a row of the chunk (the latter by its bytes: statements.ts) is ours, and, untouched since the
 * low marker, identical: it is left out of the landing.
 */
import { quoteQualified } from '../sql/quote.ts'
import type { Chunk, ChunkPart } from './chunk.ts'
import type { Lane } from './lane.ts'
import { asBytes, splitLiterals } from './statements.ts'

/** Keys (as literals) of the chunk's rows that stand on the target with the same shard key. */
export async function ownRows(lane: Lane, chunk: Chunk, part: ChunkPart, schema: string): Promise<ReadonlySet<string>> {
  const { table } = chunk
  const own = new Set<string>()
  const keys: string[] = []
  for (const segment of part.segments) for (let row = 0; row < segment.rows; row++) keys.push(segment.rowLiteral(row))
  const indices = [...table.keyColumns.keys(), ...table.shardKey.map(({ index }) => index)]
  const names = [...table.keyCompared, ...table.ownerColumns].map(asBytes)
  const batchMax = 500
  for (let at = 0; at < keys.length; at += batchMax) {
    const batch = keys.slice(at, at + batchMax).map((row) => splitLiterals(row))
    // The row's own place in the batch comes back: no value has to be compared here.
    const alternatives = batch.map(
      (literals, i) => `WHEN ${indices.map((index, n) => `${names[n]} = ${literals[index] ?? 'NULL'}`).join(' AND ')} THEN ${i}`,
    )
    const among = batch.map((literals) => `(${table.keyColumns.map((_, n) => `${names[n]} = ${literals[n] ?? 'NULL'}`).join(' AND ')})`)
    const sql = `SELECT CASE ${alternatives.join(' ')} END AS place FROM ${asBytes(quoteQualified(schema, table.name))} WHERE ${among.join(' OR ')}`
    for (const row of await lane.read(Buffer.from(sql, 'latin1'))) {
      const literals = row.place === null || row.place === undefined ? undefined : batch[Number(row.place.toString())]
      if (literals !== undefined) own.add(literals.slice(0, table.keyWidth).join(','))
    }
  }
  return own
}
