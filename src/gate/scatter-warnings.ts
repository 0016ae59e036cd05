/**
 * The warnings of a statement that ran on several shards, as one server would give them: those of rows are added up; what is said of the
 * statement's text (a deprecated function) every shard says, and one server once: when a prepared statement is prepared, not when it is executed.
 */
import type { Connection } from '../mysql/connection.ts'

export type Warning = readonly [level: string | null, code: string | null, message: string | null]

/** ER_INVALID_CHARACTER_STRING: of a literal while the text is read, or of a row's value. */
const invalidText = '1300'

/** ER_WARN_DEPRECATED_SYNTAX and its kin. */
const aboutText = new Set(['1287', '1681', '3719', '3720', '3778'])

export async function warningsOf(connection: Connection): Promise<Warning[]> {
  const result = await connection.query('SHOW WARNINGS')
  if (result.kind !== 'rows') return []
  return result.rows.map(([level, code, message]) => [level?.toString() ?? null, code?.toString() ?? null, message?.toString() ?? null])
}

/**
 * @param count as the servers' answers said; they list no more than max_error_count
 * @param listed of each shard that said something
 * @param read how many shards got the same text; null: each got rows of its own
 */
export function mergedWarnings(
  count: number,
  listed: readonly (readonly Warning[])[],
  form: 'text' | 'binary',
  read: number | null = null,
): { count: number; list: Warning[] } {
  const invalid = (one: readonly Warning[]): string => JSON.stringify(one.filter(([, code]) => code === invalidText))
  // Literals are alike everywhere; rows hardly are.
  const inLiterals = form === 'text' && listed.length === read && listed.every((one) => invalid(one) === invalid(listed[0] ?? []))
  const isAboutText = ([, code]: Warning): boolean => aboutText.has(code ?? '') || (inLiterals && code === invalidText)
  // As often as the text has it (VALUES() twice): one shard says all of that.
  const teller = form === 'text' ? listed.find((one) => one.some(isAboutText)) : undefined
  const list = listed.flatMap((one) => (one === teller ? one : one.filter((warning) => !isAboutText(warning))))
  return { count: count - listed.flat().length + list.length, list }
}
