import type { AuditView } from '../api/history-schemas.ts'
import type { AuditRecord } from '../workflow/audit.ts'

/**
 * In the order of time: an entry that was written behind an action's back may carry an earlier instant than its neighbours. A step is told once:
 * that it began only while nothing says how it ended (its controller died, or it still runs).
 */
export function auditView(records: readonly AuditRecord[]): AuditView[] {
  const ended = new Map<string, number>()
  const step = (record: AuditRecord): string => `${record.action} ${record.what} ${record.actor}`
  for (const record of records)
    if (record.kind === 'step' && record.outcome !== 'begun') ended.set(step(record), (ended.get(step(record)) ?? 0) + 1)
  return records
    .filter((record) => {
      if (record.kind !== 'step' || record.outcome !== 'begun') return true
      const left = ended.get(step(record)) ?? 0
      if (left > 0) ended.set(step(record), left - 1)
      return left === 0
    })
    .map(({ v: _v, ...entry }) => entry)
    .toSorted((a, b) => a.atMs - b.atMs)
}
