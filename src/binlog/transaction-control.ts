import type { Buffer } from 'node:buffer'

/** Statements that stand for the bounds of a group or move within it. */
export type Control = 'begin' | 'commit' | 'rollback' | 'rollbackTo' | 'savepoint' | 'xa'

/** Null for every other statement. Transaction control is short: longer text is looked at no further. */
export function controlOf(text: Buffer): Control | null {
  const first = text[0] ?? 0
  const start = first === 32 || first === 9 || first === 10 ? '' : String.fromCharCode(first).toUpperCase()
  if (start !== '' && !'BCRSX'.includes(start)) return null
  const head = text.toString('latin1', 0, 64).trimStart().toUpperCase()
  if (/^(BEGIN|START TRANSACTION)\s*;?\s*$/.test(head)) return 'begin'
  if (/^COMMIT\s*;?\s*$/.test(head)) return 'commit'
  if (/^ROLLBACK\s*;?\s*$/.test(head)) return 'rollback'
  if (/^ROLLBACK\s+(WORK\s+)?TO\b/.test(head)) return 'rollbackTo'
  if (/^SAVEPOINT\b/.test(head) || /^RELEASE\s+SAVEPOINT\b/.test(head)) return 'savepoint'
  if (/^XA\s/.test(head)) return 'xa'
  return null
}
