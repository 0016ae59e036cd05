/**
 * Our tables on every server, in `_shardwright`: whose server it is, the token of the last controller that claimed it, the control
 * marker, and which accounts we locked. The mover's tables stand beside them (`move/tables.ts`).
 *
 * `control_marker.n` only grows. Its row events are what streams are drained to; its number is the server's own, so streams of all
 * shards of a server pass the same markers.
 */
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteString } from '../sql/quote.ts'
import { switchErrors } from './errors.ts'

export const controlSchema = '_shardwright'

const statements = [
  `CREATE DATABASE IF NOT EXISTS ${controlSchema} DEFAULT CHARACTER SET utf8mb4`,
  `CREATE TABLE IF NOT EXISTS ${controlSchema}.control_token
    (id TINYINT UNSIGNED NOT NULL PRIMARY KEY, installation VARCHAR(64) NOT NULL, server VARCHAR(128) NOT NULL, token BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${controlSchema}.control_marker (id TINYINT UNSIGNED NOT NULL PRIMARY KEY, n BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB`,
  `INSERT IGNORE INTO ${controlSchema}.control_marker VALUES (1, 0)`,
  `CREATE TABLE IF NOT EXISTS ${controlSchema}.control_locked
    (user VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, host VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, PRIMARY KEY (user, host)) ENGINE=InnoDB`,
]

/** Makes our tables where they are missing; any number of times. */
export async function ensureControlTables(connection: Connection): Promise<void> {
  for (const sql of statements) await connection.query(sql)
}

export type ServerOwner = { installation: string; server: string; token: bigint }

/** Whose server it is; null when nobody attached it. */
export async function readOwner(connection: Connection): Promise<ServerOwner | null> {
  try {
    const row = (await connection.allText(`SELECT installation, server, token FROM ${controlSchema}.control_token WHERE id = 1`))[0]
    if (row === undefined) return null
    return { installation: row['installation'] ?? '', server: row['server'] ?? '', token: BigInt(row['token'] ?? 0) }
  } catch (error) {
    // 1049, 1146: no schema, no table.
    if (isServerError(error, 1049, 1146)) return null
    throw error
  }
}

/** Whose server it is from now on: this installation's, unless it is somebody's already. */
export async function ownServer(connection: Connection, installation: string, server: string): Promise<ServerOwner> {
  const there = await readOwner(connection)
  if (there !== null) return there
  await ensureControlTables(connection)
  await connection.query(`INSERT IGNORE INTO ${controlSchema}.control_token VALUES (1, ${quoteString(installation)}, ${quoteString(server)}, 0)`)
  const owner = await readOwner(connection)
  if (owner === null) throw switchErrors.notAttached({ server })
  return owner
}

/** One statement, one round trip: the new number comes back as the insert id. Commits by itself. */
export async function placeMarker(connection: Connection): Promise<number> {
  const result = await connection.query(`UPDATE ${controlSchema}.control_marker SET n = LAST_INSERT_ID(n + 1) WHERE id = 1`)
  if (result.kind !== 'ok' || result.affectedRows !== 1n) throw new Error('the control marker has no row')
  return Number(result.insertId)
}
