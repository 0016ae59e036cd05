/** Lexing for sessions: one lexer for all, as statements are read one at a time; text that it can't cut is a relayed write. */
import { isSwError } from '../base/errors.ts'
import { defaultMode, Kind, Lexer, type Lexed, type LexerMode, tokenEnd, tokenKind, tokenStart } from '../sql/lexer.ts'
import type { SessionSettings } from './settings.ts'
import { notUtf8, onTheWay } from './session-charset.ts'
import { gateErrors } from './errors.ts'
import { hasMode, type Undecided } from './sql-mode.ts'

const lexer = new Lexer()
const modes: LexerMode[] = Array.from({ length: 8 }, (_, bits) => ({
  ansiQuotes: (bits & 1) !== 0,
  noBackslashEscapes: (bits & 2) !== 0,
  pipesAsConcat: (bits & 4) !== 0,
}))

/** Of a session whose sql_mode is not known for sure. */
type UndecidedMode = LexerMode & { readonly undecided?: Undecided }

export function modeOf(settings: SessionSettings): LexerMode {
  if (settings.get('sql_mode') === undefined) {
    const { text, undecided } = settings.defaultMode
    if (undecided !== null) return undecidedMode(modeBy(settings), undecided)
    if (text === '') return defaultMode
  }
  return modeBy(settings)
}

function undecidedMode(mode: LexerMode, undecided: Undecided): UndecidedMode {
  return { ...mode, undecided }
}

function modeBy(settings: SessionSettings): LexerMode {
  const bits =
    (hasMode(settings, 'ANSI_QUOTES') ? 1 : 0) +
    (hasMode(settings, 'NO_BACKSLASH_ESCAPES') ? 2 : 0) +
    (hasMode(settings, 'PIPES_AS_CONCAT') ? 4 : 0)
  return modes[bits] ?? defaultMode
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

/** What either server's lexer takes for a function only before its parenthesis (the functions of its `lex.h`): of other names a space says nothing. */
const spaced = new Set(
  (
    'ADDDATE ADD_MONTHS BIT_AND BIT_OR BIT_XOR CAST COUNT CUME_DIST CURDATE CURTIME DATE_ADD DATE_FORMAT DATE_SUB DECODE DECODE_ORACLE DENSE_RANK EXTRACT ' +
    'FIRST_VALUE GROUP_CONCAT JSON_ARRAYAGG JSON_DUALITY_OBJECT JSON_OBJECTAGG JSON_TABLE LAG LAST_VALUE LEAD MAX MEDIAN MID MIN NOW NTH_VALUE NTILE ' +
    'PERCENTILE_CONT PERCENTILE_DISC PERCENT_RANK POSITION RANK ROW_NUMBER SESSION_USER ST_COLLECT STD STDDEV STDDEV_POP STDDEV_SAMP SUBDATE SUBSTR ' +
    'SUBSTRING SUM SYSDATE SYSTEM_USER TRIM TRIM_ORACLE VARIANCE VAR_POP VAR_SAMP'
  ).split(' '),
)

/** By tokens: comments may stand between the two, any number of them. What can't be read its server judges. */
function hasSpaced(sql: Buffer, mode: LexerMode): boolean {
  const own = new Lexer()
  for (let from = 0; from >= 0;) {
    let lexed: Lexed
    try {
      lexed = own.lex(sql, from, mode)
    } catch (error) {
      if (!isSwError(error)) throw error
      return false
    }
    for (let token = 1; token < lexed.count; token++) {
      const [end, start] = [tokenEnd(lexed, token - 1), tokenStart(lexed, token)]
      if (start === end || sql[start] !== 0x28 || tokenKind(lexed, token - 1) !== Kind.Word) continue
      if (spaced.has(sql.toString('latin1', tokenStart(lexed, token - 1), end).toUpperCase())) return true
    }
    from = lexed.next
  }
  return false
}

/** Texts that are read otherwise: by the quotes of names, too, where those differ. */
const undecidedMarks = [...marks, [/''|""/, 'EMPTY_STRING_IS_NULL']] as const

/** Errors: SW-GATE-048. */
function refuseUndecided(sql: Buffer, mode: UndecidedMode): void {
  const { undecided } = mode
  if (undecided === undefined) return
  const { modes: differing, why } = undecided
  const spelt = sql.toString('latin1')
  for (const [mark, other] of undecidedMarks) {
    if (!differing.includes(other) || !mark.test(spelt)) continue
    throw gateErrors.undecidedMode({ mode: other, why })
  }
  if (differing.includes('IGNORE_SPACE') && hasSpaced(sql, mode)) throw gateErrors.undecidedMode({ mode: 'IGNORE_SPACE', why })
}

/** Beyond this a lexer of its own reads the text: the shared one keeps the memory that its largest statement took. */
const sharedBytesMax = 1 << 20

/** Errors: SW-SQL-001 to 003, SW-GATE-048. What it returns is overwritten by the next call. */
export function lexStrictly(sql: Buffer, mode: LexerMode): Lexed {
  refuseUndecided(sql, mode)
  return lexed(sql, mode)
}

function lexed(sql: Buffer, mode: LexerMode): Lexed {
  return (sql.length > sharedBytesMax ? new Lexer() : lexer).lex(sql, 0, mode)
}

/** Errors: SW-GATE-048. What it returns is overwritten by the next call. */
export function lexStatement(sql: Buffer, mode: LexerMode): Lexed {
  refuseUndecided(sql, mode)
  try {
    return lexed(sql, mode)
  } catch (error) {
    // The server judges what can't be read: its message is the one that users know. One word keeps it a write.
    if (!isSwError(error)) throw error
    const word = lexer.lex(Buffer.from('UNREADABLE'), 0, mode)
    word.key = `UNREADABLE ${error.code}`
    return word
  }
}
