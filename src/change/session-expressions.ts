/**
 * Unique keys whose values a server makes from what a session has: its time zone, its names of days. No stream carries them; a target makes its own, under a mover's session. Rows that the
 * source holds apart may be one under such a key there, and REPLACE removes one of them in silence (PROTOCOLS 1.5).
 *
 * By the words of the expression: a function that is missing here is not found, and a STORED column's values are told by vdiff.
 */
import type { TableInfo } from '../mysql/table-info.ts'
import { parseTableDefinition } from '../sql/table-definition.ts'

const reads = /\b(?:from_unixtime|unix_timestamp|convert_tz|dayname|monthname|date_format|time_format|str_to_date)\s*\(/i
/** Without its second argument it begins weeks as the session says. */
const week = /\bweek\s*\(\s*[^(),]+\)/i

/** What of the session it reads, as text; null: nothing that is known. */
export function readsSession(expression: string, timestamps: ReadonlySet<string>): string | null {
  // Seconds of a TIMESTAMP are what is stored.
  const rest = expression.replace(/\bunix_timestamp\s*\(\s*`((?:[^`]|``)+)`\s*\)/gi, (text, name: string) =>
    timestamps.has(name.toLowerCase()) ? '0' : text,
  )
  const named = [...rest.matchAll(/`((?:[^`]|``)+)`/g)].find(([, name]) => timestamps.has((name ?? '').toLowerCase()))
  if (named !== undefined) return `the TIMESTAMP column ${named[1]} in the session's time zone`
  const called = reads.exec(rest) ?? week.exec(rest)
  return called === null ? null : `${/\w+/.exec(called[0])?.[0].toUpperCase() ?? ''}(), which reads the session's settings`
}

/** By key. */
export function keysOfSessions(table: TableInfo): { key: string; reads: string }[] {
  const timestamps = new Set(table.columns.filter(({ dataType }) => dataType === 'timestamp').map(({ name }) => name.toLowerCase()))
  const made = new Map(
    table.columns.flatMap(({ name, generated }) => {
      const found = generated === null ? null : readsSession(generated.expression, timestamps)
      return found === null ? [] : [[name, found] as const]
    }),
  )
  const textOf = (key: string): string =>
    parseTableDefinition(table.createSql).elements.find((element) => element.kind === 'key' && element.name === key)?.text ?? ''
  return table.keys.flatMap(({ name, unique, parts }) => {
    if (!unique) return []
    const ofExpression = parts.some(({ column }) => column === null)
      ? readsSession(expressionParts(textOf(name)).join(' '), timestamps)
      : null
    const found = ofExpression ?? parts.map(({ column }) => made.get(column ?? '')).find((one) => one !== undefined)
    return found === undefined ? [] : [{ key: name, reads: found }]
  })
}

/** Of a key's text those parts that are expressions. */
function expressionParts(text: string): string[] {
  const found: string[] = []
  let [depth, from] = [0, 0]
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (char === '`') i = Math.max(i, text.indexOf('`', i + 1))
    else if (char === '(' && ++depth === 2) from = i
    else if (char === ')' && depth-- === 2) found.push(text.slice(from, i + 1))
  }
  // A number alone is a prefix's length.
  return found.filter((part) => !/^\(\d+\)$/.test(part))
}
