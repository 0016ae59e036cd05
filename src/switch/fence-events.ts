/**
 * Events write whatever is locked and read_only (*tried* on both, with a definer who passes it): a closed server has none enabled. Which ones
 * the fence disabled is written down before, in `control_events`; opening enables those and nothing else. DISABLE is the server's own
 * data and survives restarts.
 */
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteQualified, quoteString } from '../sql/quote.ts'
import { controlSchema } from '../binlog/control-schema.ts'

export type EventName = { readonly schema: string; readonly name: string; readonly definer: string }

const internal = "('mysql', 'sys', 'information_schema', 'performance_schema')"

/** `running`: only where the scheduler runs, which a restart or a setting may change: a fence disables `all`. */
export async function enabledEvents(connection: Connection, which: 'running' | 'all'): Promise<EventName[]> {
  const rows = await connection.allText(
    `SELECT EVENT_SCHEMA AS s, EVENT_NAME AS n, DEFINER AS d FROM information_schema.EVENTS
     WHERE STATUS = 'ENABLED' AND EVENT_SCHEMA NOT IN ${internal}${which === 'running' ? " AND @@GLOBAL.event_scheduler = 'ON'" : ''}`,
  )
  return rows.map((row) => ({ schema: row['s'] ?? '', name: row['n'] ?? '', definer: row['d'] ?? '' }))
}

/** Statements for a session without binlog. ALTER EVENT would take the event over: its definer is named. */
export function alterEvent({ schema, name, definer }: EventName, to: 'ENABLE' | 'DISABLE'): string {
  const at = definer.lastIndexOf('@')
  const account = `${quoteString(definer.slice(0, at))}@${quoteString(definer.slice(at + 1))}`
  return `ALTER DEFINER = ${account} EVENT ${quoteQualified(schema, name)} ${to}`
}

export async function noteEvents(connection: Connection, events: readonly EventName[]): Promise<void> {
  if (events.length === 0) return
  const rows = events.map(({ schema, name }) => `(${quoteString(schema)}, ${quoteString(name)})`)
  await connection.query(`INSERT IGNORE INTO ${controlSchema}.control_events (schema_name, name) VALUES ${rows.join(', ')}`)
}

/** Those that a fence disabled and that are still there. */
export async function notedEvents(connection: Connection): Promise<EventName[]> {
  const rows = await connection
    .allText(
      `SELECT e.EVENT_SCHEMA AS s, e.EVENT_NAME AS n, e.DEFINER AS d FROM ${controlSchema}.control_events c
     JOIN information_schema.EVENTS e ON CONVERT(c.schema_name USING utf8mb4) = CONVERT(e.EVENT_SCHEMA USING utf8mb4) COLLATE utf8mb4_bin
       AND CONVERT(c.name USING utf8mb4) = CONVERT(e.EVENT_NAME USING utf8mb4) COLLATE utf8mb4_bin`,
    )
    .catch((error: unknown) => {
      // A server of an older version: no fence disabled any.
      if (isServerError(error, 1146)) return []
      throw error
    })
  return rows.map((row) => ({ schema: row['s'] ?? '', name: row['n'] ?? '', definer: row['d'] ?? '' }))
}

export async function forgetEvents(connection: Connection): Promise<void> {
  await connection.query(`DELETE FROM ${controlSchema}.control_events`)
}
