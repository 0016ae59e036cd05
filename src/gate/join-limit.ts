/**
 * max_join_size without sql_big_selects (`mysql --safe-updates`): a server refuses a SELECT for which it expects to examine more rows (1104). By itself a shard sees what it would examine of its
 * own rows: of a SELECT over several each has its share of the limit, so that nothing is done that one server would refuse, and where a share is not enough that is said in words of ours. Of
 * rows that are put together at one place nobody sees what one server would expect.
 */
import { isServerError } from '../mysql/errors.ts'
import { planErrors } from './plan/errors.ts'
import type { GatherPlan } from './plan/gather-types.ts'
import type { RoutedPlan } from './plan/plan.ts'
import type { SessionSettings } from './settings.ts'

/** @throws SW-GATE-100 */
export function refuseExamined({ use, steps }: GatherPlan, { tables }: RoutedPlan, settings: SessionSettings): void {
  // An UPDATE or DELETE of one table is not limited.
  const isLimited = use.kind === 'read' || use.kind === 'inserted' ? steps.length > 0 : tables.length > 1
  if (isLimited && settings.joinLimit !== null) throw unseen('a statement whose rows are put together at one place')
}

/** @throws SW-GATE-100 */
export function refuseExaminedInParts({ verb, tables, copies }: RoutedPlan, parts: number, settings: SessionSettings): void {
  const limit = settings.joinLimit
  if (parts < 2 || limit === null || copies === true) return
  if (verb === 'select' ? limit < BigInt(parts) : tables.length > 1) throw unseen(`a statement over ${parts} shards`)
}

/** What a part was refused for by its share. */
export function inPartsOfLimit(error: unknown, parts: number): unknown {
  if (parts < 2 || !isServerError(error) || error.errno !== tooBigSelect) return error
  return unseen(`a statement over ${parts} shards, of which one would examine more rows than its share`)
}
const tooBigSelect = 1104

function unseen(what: string): Error {
  return planErrors.refused({
    construct: `${what}, under max_join_size`,
    reason: 'each server judges only what it examines itself, and nobody what one server would',
    instead: 'SET sql_big_selects = 1 for it, or ask for one shard key value',
  })
}
