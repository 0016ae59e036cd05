/**
 * MariaDB's keys WITHOUT OVERLAPS: the server refuses REPLACE and INSERT … ON DUPLICATE KEY UPDATE on their tables (1235, *tried*, 10.11), by which rows are written here. So such
 * tables are refused, before anything is made of them.
 */
import type { TableDefinition } from '../sql/table-definition.ts'

/** The first such key's name; null: the table has none. */
export function periodKey({ elements }: TableDefinition): string | null {
  const found = elements.find(
    (element) => element.kind === 'key' && /\bWITHOUT\s+OVERLAPS\b/i.test(element.text.replace(/`(?:[^`]|``)*`/g, '``')),
  )
  return found?.kind === 'key' ? found.name : null
}
