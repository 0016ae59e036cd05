/** A statement as a tail brings it, of schema `app`. */
import { clientText } from '../../binlog/client-text.ts'
import { classifyQuery } from '../../binlog/query-classify.ts'
import { parseQuerySession, type QuerySession } from '../../binlog/query-session.ts'
import type { QueryEvent } from '../../binlog/source.ts'

export const utf8mb4 = { client: 45, connection: 45, server: 8 }
/** In which nothing was set. */
export const plainSession: QuerySession = { ...parseQuerySession(Buffer.alloc(0)), flags: 0, sqlMode: 0n, charset: utf8mb4 }

export function ddlEvent(sql: string | Buffer, session: Partial<QuerySession> = {}): QueryEvent {
  const text = typeof sql === 'string' ? Buffer.from(sql) : sql
  const whole = { ...plainSession, ...session }
  const statement = classifyQuery(clientText(text, whole.charset?.client ?? null), 'app')
  return { kind: 'query', statement, text, schema: 'app', session: whole, startedAt: 1_700_000_000, at: { file: 'b.1', offset: 4 } }
}
