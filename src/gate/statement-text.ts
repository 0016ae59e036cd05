/** Lexing for sessions: one lexer for all, as statements are read one at a time; text that it can't cut is a relayed write. */
import { isSwError } from '../base/errors.ts'
import { defaultMode, Lexer, type Lexed, type LexerMode } from '../sql/lexer.ts'
import type { SessionSettings } from './settings.ts'
import { notUtf8, onTheWay } from './session-charset.ts'
import { hasMode } from './sql-mode.ts'

const lexer = new Lexer()
const modes: LexerMode[] = [0, 1, 2, 3].map((bits) => ({ ansiQuotes: (bits & 1) !== 0, noBackslashEscapes: (bits & 2) !== 0 }))

export function modeOf(settings: SessionSettings): LexerMode {
  if (settings.get('sql_mode') === undefined) return defaultMode
  return modes[(hasMode(settings, 'ANSI_QUOTES') ? 1 : 0) + (hasMode(settings, 'NO_BACKSLASH_ESCAPES') ? 2 : 0)] ?? defaultMode
}

/** The settings that make another statement of this very text: quotes and operators by sql_mode, what is no ASCII by the character sets on its way. Equal texts: read alike. */
export function readUnder(text: Buffer, settings: SessionSettings): string {
  const spelt = text.toString('latin1')
  const modes: string[] = marks.flatMap(([mark, mode]) => (mark.test(spelt) && hasMode(settings, mode) ? [mode] : []))
  const otherwise = !/^[\x00-\x7f]*$/.test(spelt) && notUtf8(settings) !== null
  return [...modes, ...(otherwise ? onTheWay.map((name) => settings.get(name) ?? '') : [])].join(' ')
}

const marks = [
  [/"/, 'ANSI_QUOTES'],
  [/\\/, 'NO_BACKSLASH_ESCAPES'],
  [/\|\|/, 'PIPES_AS_CONCAT'],
  [/\bNOT\b/i, 'HIGH_NOT_PRECEDENCE'],
] as const

/** Beyond this a lexer of its own reads the text: the shared one keeps the memory that its largest statement took. */
const sharedBytesMax = 1 << 20

/** Errors: SW-SQL-001 to 003. What it returns is overwritten by the next call. */
export function lexStrictly(sql: Buffer, mode: LexerMode): Lexed {
  return (sql.length > sharedBytesMax ? new Lexer() : lexer).lex(sql, 0, mode)
}

/** What it returns is overwritten by the next call. */
export function lexStatement(sql: Buffer, mode: LexerMode): Lexed {
  try {
    return lexStrictly(sql, mode)
  } catch (error) {
    // The server judges what can't be read: its message is the one that users know. One word keeps it a write.
    if (!isSwError(error)) throw error
    const word = lexer.lex(Buffer.from('UNREADABLE'), 0, mode)
    word.key = `UNREADABLE ${error.code}`
    return word
  }
}
