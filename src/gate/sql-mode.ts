/** What a session's sql_mode changes for who reads its statements, from the text or number that it was set to, or what servers have by default. Pure. */
import type { SessionSettings } from './settings.ts'

/** Names that imply a mode, and bits that do. */
const modes = {
  PIPES_AS_CONCAT: { by: /\b(PIPES_AS_CONCAT|ANSI|DB2|MAXDB|MSSQL|ORACLE|POSTGRESQL)\b/i, bit: 1n << 1n },
  HIGH_NOT_PRECEDENCE: { by: /\b(HIGH_NOT_PRECEDENCE|MYSQL323|MYSQL40)\b/i, bit: 1n << 29n },
  ANSI_QUOTES: { by: /\b(ANSI_QUOTES|ANSI|DB2|MAXDB|MSSQL|ORACLE|POSTGRESQL)\b/i, bit: 1n << 2n },
  NO_AUTO_VALUE_ON_ZERO: { by: /\bNO_AUTO_VALUE_ON_ZERO\b/i, bit: 1n << 19n },
  /** MariaDB's. By number it is another one of MySQL's. */
  EMPTY_STRING_IS_NULL: { by: /\bEMPTY_STRING_IS_NULL\b/i, bit: 1n << 32n },
  NO_BACKSLASH_ESCAPES: { by: /\bNO_BACKSLASH_ESCAPES\b/i, bit: 1n << 20n },
  ORACLE: { by: /\bORACLE\b/i, bit: 1n << 9n },
} as const

/** POSTGRESQL, ORACLE, MSSQL, DB2, MAXDB, ANSI: MariaDB puts what they imply beside them, whether they are set by name or by number. */
const standards = (0b11111n << 8n) | (1n << 18n)
const olderServers = 0b11n << 16n

export function hasMode(settings: Pick<SessionSettings, 'get' | 'defaultMode'>, name: keyof typeof modes): boolean {
  const set = settings.get('sql_mode') ?? settings.defaultMode.text
  if (set === '') return false
  const { by, bit } = modes[name]
  if (!/^\s*\d+\s*$/.test(set)) return by.test(set)
  const implied =
    name === 'PIPES_AS_CONCAT' || name === 'ANSI_QUOTES' ? bit | standards : name === 'HIGH_NOT_PRECEDENCE' ? bit | olderServers : bit
  return (BigInt(set) & implied) !== 0n
}

/** By these the same text is another statement, or stores another value: and the names that stand for several. */
export const readingModes = [
  'PIPES_AS_CONCAT',
  'ANSI_QUOTES',
  'IGNORE_SPACE',
  'NO_AUTO_VALUE_ON_ZERO',
  'NO_BACKSLASH_ESCAPES',
  'HIGH_NOT_PRECEDENCE',
  'EMPTY_STRING_IS_NULL',
  'ANSI',
  'DB2',
  'MAXDB',
  'MSSQL',
  'MYSQL323',
  'MYSQL40',
  'ORACLE',
  'POSTGRESQL',
] as const

export type ReadingMode = (typeof readingModes)[number]

/** Of a server's @@sql_mode, in our order. */
export function modesIn(sqlMode: string): ReadingMode[] {
  const has = new Set(sqlMode.split(','))
  return readingModes.filter((mode) => has.has(mode))
}

/** Nothing can be said of texts that are read otherwise by these. */
export type Undecided = { readonly modes: readonly ReadingMode[]; readonly why: string }

/** What sessions have that set no sql_mode: names of reading modes. */
export type SqlModeDefault = { readonly text: string; readonly undecided: Undecided | null }

export const noModes: SqlModeDefault = { text: '', undecided: null }
