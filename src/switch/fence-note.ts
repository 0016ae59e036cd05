/**
 * What a fence has to remember on the server itself (`control_fence`): which kind stands there or is about to, on which schemas, and which
 * events it disabled. Written before the fence is laid, so that whichever controller opens undoes exactly that, after whatever crash.
 */
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteString } from '../sql/quote.ts'
import { controlSchema } from '../binlog/control-schema.ts'
import { ensureControlTables } from './control-schema.ts'
import type { FenceKind } from './fence-kinds.ts'

export type FenceNote = { readonly kind: FenceKind; /** That armed triggers stand on. */ readonly schemas: readonly string[] }

export async function readFenceNote(connection: Connection): Promise<FenceNote | null> {
  try {
    const row = (await connection.allText(`SELECT kind, schema_list FROM ${controlSchema}.control_fence WHERE id = 1`))[0]
    return row === undefined ? null : { kind: row['kind'] as FenceKind, schemas: JSON.parse(row['schema_list'] ?? '[]') as string[] }
  } catch (error) {
    // A server of an older version: its fence is account locks and read_only.
    if (isServerError(error, 1146)) return null
    throw error
  }
}

export async function writeFenceNote(connection: Connection, note: FenceNote): Promise<void> {
  await ensureControlTables(connection)
  await connection.query(
    `REPLACE INTO ${controlSchema}.control_fence (id, kind, schema_list) VALUES (1, ${quoteString(note.kind)}, ${quoteString(JSON.stringify(note.schemas))})`,
  )
}
