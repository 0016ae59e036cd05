/** The gate's sessions, by the numbers that KILL knows: for SHOW PROCESSLIST (local.ts), and as rows of `information_schema.PROCESSLIST` in the text that a server gets. */
import { quoteIdentifier } from '../sql/quote.ts'
import type { Core } from './core.ts'
import { literal } from './session-calls.ts'

export type ListedSession = {
  readonly id: number
  readonly user: string
  readonly host: string
  readonly keyspace: string
  readonly command: string
  readonly ms: number
  /** The beginning of what it runs. */
  readonly text: string
}

/** @param only sessions of this user; null: all */
export function listedSessions({ sessions, clock }: Core, only: string | null): ListedSession[] {
  const nowMs = clock.monotonicMs()
  return [...sessions.values()].flatMap(({ threadId: id, user, host, keyspace, doing }) =>
    only === null || user === only
      ? [{ id, user, host, keyspace, command: doing.command, ms: Math.max(0, nowMs - doing.sinceMs), text: doing.text }]
      : [],
  )
}

/** A query in the place of the table; null: this server has none. What a gate does not know of its sessions is 0. */
export function ofSessions(columns: ReadonlyMap<string, readonly string[]>, sessions: readonly ListedSession[]): string | null {
  const list = columns.get('PROCESSLIST')
  if (list === undefined) return null
  const rows = (sessions.length === 0 ? [nobody] : sessions).map((session, i) => {
    const cells = list.map((column) => cellOf(session, column.toUpperCase()) + (i === 0 ? ` AS ${quoteIdentifier(column)}` : ''))
    return `SELECT ${cells.join(', ')}`
  })
  return `(${rows.join(' UNION ALL ')}${sessions.length === 0 ? ' LIMIT 0' : ''})`
}

/** The server's own list must never be the answer. */
const nobody: ListedSession = { id: 0, user: '', host: '', keyspace: '', command: '', ms: 0, text: '' }

function cellOf({ id, user, host, keyspace, command, ms, text }: ListedSession, column: string): string {
  switch (column) {
    case 'ID':
      return String(id)
    case 'USER':
      return literal(user)
    case 'HOST':
      return literal(host)
    case 'DB':
      return keyspace === '' ? 'NULL' : literal(keyspace)
    case 'COMMAND':
      return literal(command)
    case 'TIME':
      return String(Math.round(ms / 1000))
    case 'TIME_MS':
      return `${Math.round(ms)}.000`
    case 'STATE':
      return "''"
    case 'INFO':
    case 'INFO_BINARY':
      return text === '' ? 'NULL' : literal(text)
    default:
      return '0'
  }
}
