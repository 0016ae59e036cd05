/**
 * What this room keeps on every server, in `_shardwright`: whose server it is and the token of the last controller that claimed it
 * (`control_token`), and which accounts we locked (`control_locked`), and what a workflow made on somebody else's server (`control_made`), from where on a closed server is searched for
 * foreign writes (`control_closed`, `control_closed_schemas`), and which fence stands there (`control_fence`, `control_armed_schemas`, `control_events`). The control marker is `binlog/control-schema.ts`'s, the mover's tables are
 * `move/tables.ts`'s; all are made together.
 */
import { controlSchema, ensureControlSchema } from '../binlog/control-schema.ts'
import { ensureMoveTables } from '../move/tables.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { armedSchemasDdl } from '../mysql/our-schema.ts'
import { quoteString } from '../sql/quote.ts'
import { switchErrors } from './errors.ts'

const statements = [
  `CREATE TABLE IF NOT EXISTS ${controlSchema}.control_token
    (id TINYINT UNSIGNED NOT NULL PRIMARY KEY, installation VARCHAR(64) NOT NULL, server VARCHAR(128) NOT NULL, token BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${controlSchema}.control_locked
    (user VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, host VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, PRIMARY KEY (user, host)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${controlSchema}.control_made
    (workflow_uid VARBINARY(64) NOT NULL, kind VARBINARY(16) NOT NULL, schema_name VARBINARY(256) NOT NULL, name VARBINARY(256) NOT NULL,
    PRIMARY KEY (workflow_uid, kind, schema_name, name)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${controlSchema}.control_closed
    (id TINYINT UNSIGNED NOT NULL PRIMARY KEY, position MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${controlSchema}.control_fence
    (id TINYINT UNSIGNED NOT NULL PRIMARY KEY, kind VARCHAR(16) CHARACTER SET ascii NOT NULL, schema_list MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL) ENGINE=InnoDB`,
  armedSchemasDdl,
  `CREATE TABLE IF NOT EXISTS ${controlSchema}.control_closed_schemas
    (scope VARBINARY(64) NOT NULL PRIMARY KEY, position MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${controlSchema}.control_events
    (schema_name VARBINARY(256) NOT NULL, name VARBINARY(256) NOT NULL, PRIMARY KEY (schema_name, name)) ENGINE=InnoDB`,
]

/** Makes our tables where they are missing; any number of times. */
export async function ensureControlTables(connection: Connection): Promise<void> {
  await ensureControlSchema(connection)
  await ensureMoveTables(connection)
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
  await connection.query(
    `INSERT IGNORE INTO ${controlSchema}.control_token VALUES (1, ${quoteString(installation)}, ${quoteString(server)}, 0)`,
  )
  const owner = await readOwner(connection)
  if (owner === null) throw switchErrors.notAttached({ server })
  return owner
}
