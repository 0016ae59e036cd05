/**
 * What a session knows and a server would answer for the connection it happens to be asked on: USER(), CONNECTION_ID(), ROW_COUNT(), DATABASE() where it has another name there, and
 * `@@warning_count` after a statement that left nothing. In a statement for one server they are put in as values; a result's column keeps the name that it has without.
 */
import { Kind, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import { parse } from '../sql/parse.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { spanText } from '../sql/splice.ts'
import type { Words } from './statement-words.ts'

export type SessionValue = 'user' | 'account' | 'connection-id' | 'row-count' | 'database' | 'warning-count' | 'error-count'
/** Its first token, and the one behind its last; what stands for it, where that is known already. */
export type SessionCall = { readonly from: number; readonly to: number; readonly what: SessionValue; readonly text?: string }

export type SessionValues = {
  readonly user: string
  readonly host: string
  readonly threadId: number
  readonly keyspace: string
  readonly affectedRows: bigint
  /** Of the statement before. */
  readonly warnings: number
  readonly errors: number
}

const functions: Readonly<Record<string, SessionValue>> = {
  USER: 'user',
  SESSION_USER: 'user',
  SYSTEM_USER: 'user',
  CURRENT_USER: 'account',
  CONNECTION_ID: 'connection-id',
  ROW_COUNT: 'row-count',
  DATABASE: 'database',
  SCHEMA: 'database',
}

/** Of the statement before, which a connection that others use does not know. */
export function isOfDiagnostics({ what }: SessionCall): boolean {
  return what === 'warning-count' || what === 'error-count'
}

export function sessionCallAt(words: Words, lexed: Lexed, at: number): SessionCall | null {
  const kind = tokenKind(lexed, at)
  if (kind === Kind.SystemVariable) {
    const named = /^@@(session\.|local\.)?(warning|error)_count$/i.exec(words.raw(at))?.[2]?.toLowerCase()
    return named === undefined ? null : { from: at, to: at + 1, what: named === 'warning' ? 'warning-count' : 'error-count' }
  }
  if (kind !== Kind.Word) return null
  const word = words.at(at)
  if (!Object.hasOwn(functions, word) || words.raw(at - 1) === '.' || words.raw(at + 1) === '.') return null
  const called = words.raw(at + 1) === '('
  if (called ? words.raw(at + 2) !== ')' : word !== 'CURRENT_USER') return null
  return { from: at, to: called ? at + 3 : at + 1, what: functions[word] as SessionValue }
}

/** The text with these calls as values. */
export function withValues(sql: Buffer, lexed: Lexed, calls: readonly SessionCall[], session: SessionValues): Buffer {
  const edits = calls.map((call) => ({
    at: tokenStart(lexed, call.from),
    end: tokenEnd(lexed, call.to - 1),
    text: call.text ?? valueText(call.what, session),
  }))
  edits.push(...labelsOf(lexed, calls))
  const parts: Buffer[] = []
  let from = 0
  for (const { at, end, text } of edits.toSorted((a, b) => a.at - b.at || a.end - b.end)) {
    parts.push(sql.subarray(from, at), Buffer.from(text))
    from = end
  }
  parts.push(sql.subarray(from))
  return Buffer.concat(parts)
}

/** CURRENT_USER(): accounts of the gate are for every host. */
export function accountOf(user: string): string {
  return `${user}@%`
}

function valueText(what: SessionValue, session: SessionValues): string {
  const { user, host, threadId, keyspace, affectedRows } = session
  switch (what) {
    case 'user':
    case 'account':
      // Nullable like the functions.
      return `NULLIF(${literal(what === 'account' ? accountOf(user) : `${user}@${host}`)}, '')`
    case 'database':
      return keyspace === '' ? 'NULL' : `NULLIF(${literal(keyspace)}, '')`
    case 'connection-id':
      return `CAST(${threadId} AS UNSIGNED)`
    case 'row-count':
      return `CAST(${affectedRows} AS SIGNED)`
    case 'warning-count':
      return `CAST(${session.warnings} AS SIGNED)`
    case 'error-count':
      return `CAST(${session.errors} AS SIGNED)`
  }
}

/** Whatever the session's sql_mode makes of a backslash. */
export function literal(text: string): string {
  return /^[\w@%.:-]*$/.test(text) ? `'${text}'` : `CONVERT(0x${Buffer.from(text).toString('hex')} USING utf8mb4)`
}

/** Longer names are an error of the server's. */
const aliasLengthMax = 255

/** Columns without an alias are named after their text. */
function labelsOf(lexed: Lexed, calls: readonly SessionCall[]): { at: number; end: number; text: string }[] {
  let statement
  try {
    statement = parse(lexed)
  } catch {
    return []
  }
  let query = statement.kind === 'query' ? statement.query : null
  while (query?.kind === 'union') query = query.parts[0] ?? null
  return (query?.items ?? []).flatMap((item) => {
    if (item.alias !== null || !calls.some((call) => call.from >= item.span.from && call.to <= item.span.to)) return []
    const name = spanText(lexed, item.span)
    const at = tokenEnd(lexed, item.span.to - 1)
    return name.length > aliasLengthMax ? [] : [{ at, end: at, text: ` AS ${quoteIdentifier(name)}` }]
  })
}
