/**
 * Which warnings of a write say that nothing was changed. All others mean that a value is not what it was on the source.
 *
 * - Notes.
 * - 1265 where the value is 0: ENUM's index 0, the '' of an invalid value. MySQL warns whenever it is stored, and stores it as it was (*tried*, 9.7;
 *   MariaDB is silent). No other type takes 0 with that warning.
 *
 * The row that a warning names is the statement's, except where it has JSON_TABLE (`json-literal.ts`), whose rows are counted with them (*tried*, 9.7): there as many warnings of a column are
 * expected as it has zeros, and all of them are looked at or none is.
 */
import { splitLiterals } from './statements.ts'

export type Warning = { readonly level: string; readonly code: number; readonly message: string }

/** The first warning that tells of a changed value, or null. `statement` is one of ours: `REPLACE INTO … (columns) VALUES (…),(…)`. */
export function changingWarning(warnings: readonly Warning[], statement: string): Warning | null {
  let rows: { names: string[]; tuples: string[] } | null = null
  const rowsCounted = !statement.includes('JSON_TABLE(')
  const uncounted = new Map<number, number>()
  for (const warning of warnings) {
    if (warning.level === 'Note') continue
    const truncated = warning.code === 1265 ? /^Data truncated for column '(.*)' at row (\d+)$/s.exec(warning.message) : null
    if (truncated === null) return warning
    rows ??= rowsOf(statement)
    const column = rows.names.indexOf(`\`${(truncated[1] ?? '').replaceAll('`', '``')}\``)
    if (!rowsCounted && column >= 0) {
      uncounted.set(column, (uncounted.get(column) ?? 0) + 1)
      continue
    }
    const tuple = rows.tuples[Number(truncated[2]) - 1]
    if (column < 0 || tuple === undefined || splitLiterals(tuple)[column] !== '0') return warning
  }
  for (const [column, count] of uncounted) {
    const zeros = rows?.tuples.filter((tuple) => splitLiterals(tuple)[column] === '0').length ?? 0
    if (count !== zeros)
      return {
        level: 'Warning',
        code: 1265,
        message: `Data truncated for column ${rows?.names[column]}: ${count} times, of ${zeros} zeros`,
      }
  }
  return null
}

/** Column names as quoted in the statement, and the tuples' insides. Statements are latin1 views of utf8; names are given back as text. */
function rowsOf(statement: string): { names: string[]; tuples: string[] } {
  const at = outside(statement, ['`'], ' (')
  const end = outside(statement, ['`'], ') VALUES (', at)
  const names = cut(statement.slice(at + 2, end), '`', ',').map((name) => Buffer.from(name, 'latin1').toString('utf8'))
  const rows = statement.slice(end + ') VALUES ('.length)
  // Of rows that are merged something follows them.
  const tail = outside(rows, ["'"], ' ON DUPLICATE KEY UPDATE ')
  const tuples = cut(tail < 0 ? rows : rows.slice(0, tail), "'", '),(')
  const last = tuples.length - 1
  tuples[last] = (tuples[last] ?? '').replace(/\)(?: AS new_row)?,?$/, '')
  return { names, tuples }
}

/** Cuts at a separator outside of quotes. */
function cut(text: string, quote: string, separator: string): string[] {
  const parts: string[] = []
  for (let from = 0; ;) {
    const at = outside(text, [quote], separator, from)
    parts.push(text.slice(from, at < 0 ? undefined : at))
    if (at < 0) return parts
    from = at + separator.length
  }
}

function outside(text: string, quotes: readonly string[], wanted: string, from = 0): number {
  let quoted = false
  for (let i = from; i < text.length; i++) {
    const char = text[i] as string
    if (quoted && char === '\\' && quotes[0] === "'") i++
    else if (char === quotes[0]) quoted = !quoted
    else if (!quoted && text.startsWith(wanted, i)) return i
  }
  return -1
}
