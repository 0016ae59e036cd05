/** Two faults put into the new branch on purpose, by direct connections, and taken out again: a wrong row, then slow reads. */
import mysql from 'mysql2/promise'
import type { ShardAddress } from '../final-check.ts'

function on(shard: ShardAddress): Promise<mysql.Connection> {
  return mysql.createConnection({ host: shard.host, port: shard.port, user: shard.user, password: shard.password, database: shard.schema })
}

/** One slow query, the newest before an instant, says something else than its event did: while reads move the newest closed buckets are compared. Returns what takes it back, or null: no row is old enough. */
export async function wrongRow(shards: readonly ShardAddress[], before: Date): Promise<{ what: string; undo: () => Promise<void> } | null> {
  for (const shard of shards) {
    const connection = await on(shard)
    try {
      const [rows] = await connection.query<mysql.RowDataPacket[]>(
        'SELECT database_id, from_partition, from_offset, ms FROM slow_query WHERE at < ? ORDER BY at DESC LIMIT 1',
        [before.toISOString().slice(0, 19).replace('T', ' ')],
      )
      const row = rows[0]
      if (row === undefined) continue
      const where = 'database_id = ? AND from_partition = ? AND from_offset = ?'
      const key = [row['database_id'], row['from_partition'], row['from_offset']] as unknown[]
      await connection.query(`UPDATE slow_query SET ms = ms + 1 WHERE ${where}`, key)
      return {
        what: `slow_query of database ${String(row['database_id'])}, partition ${String(row['from_partition'])}, offset ${String(row['from_offset'])} on ${shard.name}: ms + 1`,
        undo: async () => {
          const again = await on(shard)
          await again.query(`UPDATE slow_query SET ms = ms - 1 WHERE ${where}`, key)
          await again.end()
        },
      }
    } finally {
      await connection.end()
    }
  }
  return null
}

/** Table locks that come and go: every read of these shards waits a moment. Resolves with what ends it. */
export function slowReads(shards: readonly ShardAddress[], heldMs: number): () => Promise<void> {
  let stopped = false
  const working = Promise.all(
    shards.map(async (shard) => {
      const connection = await on(shard)
      while (!stopped) {
        await connection.query('LOCK TABLES query_hour WRITE')
        await new Promise((resolve) => setTimeout(resolve, heldMs))
        await connection.query('UNLOCK TABLES')
        await new Promise((resolve) => setTimeout(resolve, 15))
      }
      await connection.end()
    }),
  )
  return async () => {
    stopped = true
    await working
  }
}
