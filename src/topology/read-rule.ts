/**
 * What may follow what in a read rule (PROTOCOLS 4.14–4.16), as pure functions: rule in, new rule or the reason why not. The record is the
 * one thing that decides which branch serves a tenant's reads, and between two branches stands `closing`, in which none does:
 *
 *     open ──close──► closing ──settle('toward')──► open, slots moved
 *                        └─────settle('back')─────► open, as before
 *
 * Tenants move by slots from 0 upward and back from the top downward, so the same tenants move first whatever the steps are: a tenant that
 * has moved stays moved while the share grows. Reads of many tenants at once, or of none (`scattered`), are the last to move and the first
 * to come back.
 */
import { xxh64 } from '../keyspace/vindexes/xxhash.ts'
import { mainBranch, readSlots } from './dualwrite-records.ts'
import type { ReadRule } from './dualwrite-records.ts'

export type ReadRuleChange = { readonly ok: true; readonly rule: ReadRule } | { readonly ok: false; readonly reason: string }

export function initialReadRule(to: string, workflow: string, writable: readonly string[]): ReadRule {
  return {
    v: 1,
    from: mainBranch,
    to,
    slots: readSlots,
    moved: 0,
    closing: null,
    overrides: {},
    workflow,
    writes: 'refused',
    writable: [...writable],
  }
}

/** No branch but `main`, no workflow: as a keyspace without a rule. Kept, not deleted, so that gates can acknowledge it. */
export function mainOnlyRule(): ReadRule {
  return { ...initialReadRule(mainBranch, '', []), to: null, workflow: null, writes: 'open' }
}

export function slotOf(keyspaceId: Uint8Array): number {
  return Number(xxh64(keyspaceId).readBigUInt64LE(0) % BigInt(readSlots))
}

/** Slots of a share in percent: 0.01 % is the smallest step, and what is more than nothing moves something. */
export function slotsOfPercent(percent: number): number {
  if (percent <= 0) return 0
  return Math.min(readSlots, Math.max(1, Math.round((percent / 100) * readSlots)))
}

/** The branch that serves; `closing`: none for now. */
export type ServingBranch = { readonly kind: 'serves'; readonly branch: string } | { readonly kind: 'closing' }

const closing: ServingBranch = { kind: 'closing' }

export function servingBranch(rule: ReadRule, keyspaceId: Uint8Array): ServingBranch {
  const override = rule.overrides[hex(keyspaceId)]
  if (override !== undefined) return override.closing === true ? closing : { kind: 'serves', branch: override.branch }
  return servingSlot(rule, slotOf(keyspaceId))
}

export function servingSlot(rule: ReadRule, slot: number): ServingBranch {
  if (rule.closing !== null && slot >= rule.closing.lo && slot < rule.closing.hi) return closing
  return { kind: 'serves', branch: rule.to !== null && slot < rule.moved ? rule.to : rule.from }
}

/** Statements that name no one tenant: served by `to` only once every slot is. */
export function servingScattered(rule: ReadRule): ServingBranch {
  return servingSlot(rule, readSlots - 1)
}

/** Begins to move the share to `moved` slots, whichever way that is. */
export function closeSlots(rule: ReadRule, moved: number): ReadRuleChange {
  if (rule.to === null) return no('there is no branch to move reads to')
  if (isClosing(rule)) return no('another step is under way')
  if (!Number.isInteger(moved) || moved < 0 || moved > readSlots) return no(`${moved} is not a number of slots`)
  if (moved === rule.moved) return no('the share is that already')
  const toward = moved > rule.moved ? rule.to : rule.from
  return yes({ ...rule, closing: { lo: Math.min(moved, rule.moved), hi: Math.max(moved, rule.moved), toward } })
}

/** Begins to move one tenant to `branch`, or (null) back to where its slot is. */
export function closeTenant(rule: ReadRule, keyspaceIdHex: string, branch: string | null): ReadRuleChange {
  if (rule.to === null) return no('there is no branch to move reads to')
  if (isClosing(rule)) return no('another step is under way')
  if (branch !== null && branch !== rule.from && branch !== rule.to) return no(`${branch} is neither ${rule.from} nor ${rule.to}`)
  const now = servingBranch(rule, Buffer.from(keyspaceIdHex, 'hex'))
  if (now.kind === 'closing') return no('another step is under way')
  return yes({ ...rule, overrides: { ...rule.overrides, [keyspaceIdHex]: { branch: now.branch, closing: true, toward: branch } } })
}

/** Ends the step under way: `toward` opens on the side it went to, `back` where it was. */
export function settle(rule: ReadRule, way: 'toward' | 'back'): ReadRuleChange {
  if (!isClosing(rule)) return no('no step is under way')
  let next = rule
  if (rule.closing !== null) {
    const { lo, hi, toward } = rule.closing
    next = { ...next, closing: null, moved: way === 'back' ? rule.moved : toward === rule.to ? hi : lo }
  }
  const overrides: ReadRule['overrides'] = {}
  for (const [id, override] of Object.entries(rule.overrides)) {
    if (override.closing !== true) overrides[id] = override
    else if (way === 'toward') {
      if (override.toward != null) overrides[id] = { branch: override.toward }
    } else if (override.branch !== sideOfSlot(rule, id)) overrides[id] = { branch: override.branch }
  }
  return yes({ ...next, overrides })
}

/** All reads to `from` at once, overrides too, without waiting for anything: reads may go back in time, and whoever asks for it says so. */
export function emergencyBack(rule: ReadRule): ReadRule {
  return { ...rule, moved: 0, closing: null, overrides: {} }
}

/** Tenants that read `branch` by name. */
export function tenantsOn(rule: ReadRule, branch: string): string[] {
  return Object.entries(rule.overrides).flatMap(([id, override]) => (override.branch === branch ? [id] : []))
}

export function isClosing(rule: ReadRule): boolean {
  return rule.closing !== null || Object.values(rule.overrides).some((override) => override.closing === true)
}

/** The branches between which the step under way moves reads: the one being left, and the one that will answer. Null: no step. */
export function stepSides(rule: ReadRule): { left: string; answering: string } | null {
  if (rule.to === null) return null
  if (rule.closing !== null) {
    const answering = rule.closing.toward
    return { left: answering === rule.to ? rule.from : rule.to, answering }
  }
  for (const [id, override] of Object.entries(rule.overrides)) {
    if (override.closing === true) return { left: override.branch, answering: override.toward ?? sideOfSlot(rule, id) }
  }
  return null
}

function sideOfSlot(rule: ReadRule, keyspaceIdHex: string): string {
  return rule.to !== null && slotOf(Buffer.from(keyspaceIdHex, 'hex')) < rule.moved ? rule.to : rule.from
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

function yes(rule: ReadRule): ReadRuleChange {
  return { ok: true, rule }
}

function no(reason: string): ReadRuleChange {
  return { ok: false, reason }
}
