/** What a session's sql_mode changes for who reads its statements, from the text or number that it was set to. Pure. */
import type { SessionSettings } from './settings.ts'

/** Names that imply a mode, and its bit. */
const modes = {
  PIPES_AS_CONCAT: { by: /\b(PIPES_AS_CONCAT|ANSI|DB2|MAXDB|MSSQL|ORACLE|POSTGRESQL)\b/i, bit: 1n << 1n },
  HIGH_NOT_PRECEDENCE: { by: /\bHIGH_NOT_PRECEDENCE\b/i, bit: 1n << 29n },
  ANSI_QUOTES: { by: /\b(ANSI_QUOTES|ANSI|DB2|MAXDB|MSSQL|ORACLE|POSTGRESQL)\b/i, bit: 1n << 2n },
  NO_AUTO_VALUE_ON_ZERO: { by: /\bNO_AUTO_VALUE_ON_ZERO\b/i, bit: 1n << 19n },
  /** MariaDB's. By number it is another one of MySQL's. */
  EMPTY_STRING_IS_NULL: { by: /\bEMPTY_STRING_IS_NULL\b/i, bit: 1n << 32n },
  NO_BACKSLASH_ESCAPES: { by: /\bNO_BACKSLASH_ESCAPES\b/i, bit: 1n << 20n },
} as const

const ansi = 1n << 18n

export function hasMode(settings: Pick<SessionSettings, 'get'>, name: keyof typeof modes): boolean {
  const set = settings.get('sql_mode')
  if (set === undefined) return false
  const { by, bit } = modes[name]
  if (!/^\s*\d+\s*$/.test(set)) return by.test(set)
  const implied = name === 'PIPES_AS_CONCAT' || name === 'ANSI_QUOTES' ? bit | ansi : bit
  return (BigInt(set) & implied) !== 0n
}
