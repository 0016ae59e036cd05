/**
 * sql_safe_updates (`mysql --safe-updates`): a server refuses an UPDATE or DELETE whose rows it finds by no key (1175). A shard judges what it is sent, which is the client's own
 * condition where it runs there. Where the gate chooses the rows, the shard would judge how the gate names them, and no server sees what one would judge.
 */
import { planErrors } from './plan/errors.ts'
import type { GatherPlan } from './plan/gather-types.ts'
import type { RoutedPlan } from './plan/plan.ts'
import type { SessionSettings } from './settings.ts'

/** @throws SW-GATE-100 */
export function refuseUnjudged({ tables }: RoutedPlan, { use }: GatherPlan, settings: SessionSettings): void {
  const isWriteOfChosen = use.kind === 'moved' || (use.kind !== 'read' && use.kind !== 'inserted' && tables.length > 1)
  if (!isWriteOfChosen || !settings.isOn('sql_safe_updates')) return
  throw planErrors.refused({
    construct: `${use.kind === 'moved' ? 'an UPDATE of the shard key' : 'a write of several tables'} under sql_safe_updates`,
    reason: 'the gate finds its rows itself, and cannot see whether one server would find them by a key',
    instead: 'SET sql_safe_updates = 0 for it',
  })
}
