/**
 * One step of the read ramp as a pure state machine (PROTOCOLS 4.14–4.16); `ramp-run.ts` carries its effects out.
 *
 *     hold the fleet being left, let the other catch up ─► close ─► every gate acknowledges ─► take H ─► every answering server is at or past H ─► open
 *                                   └──────────── not in time, or anything is not known ────────────► back
 *
 * Why no tenant goes back in time: from the last acknowledgement on nobody serves it, so what it has read stands at or before positions that are
 * taken afterwards (H: taken before, a read between the two could have seen more). It is served again only by servers that have applied all
 * of H, or by the side that served it, which never goes back. Opening is one compare-and-set on the version that closing made: a step that was
 * given up, by whomever, cannot open any more, and a gate never opens by its own clock.
 */
import { keyRangesIntersect, parseKeyRange } from '../keyspace/key-range.ts'

/** Next offsets by `topicId/partition`. */
export type Vector = ReadonlyMap<string, bigint>
export type ShardVectors = ReadonlyMap<string, Vector>

export type RampLimits = {
  /** For holding the fleet of the side that is left; without it the step takes as long as the other side is behind. */
  readonly holdMs: number
  /** For the other side to reach what that fleet has applied, before anything is closed: what is missing then, reads wait for. */
  readonly nearMs: number
  /** It has not: nothing is closed, and nobody waits in vain. Without it what is missing is waited for with everything closed. */
  readonly refuseBehind: boolean
  /** For gates to acknowledge. Reads of the step's tenants wait from closing on. */
  readonly gatesMs: number
  /** For the answering side to reach H. */
  readonly reachMs: number
}

export const rampLimits: RampLimits = { holdMs: 3000, nearMs: 3000, refuseBehind: true, gatesMs: 2500, reachMs: 4000 }

export type RampState =
  | { readonly kind: 'holding' }
  | { readonly kind: 'closing' }
  | { readonly kind: 'acknowledging' }
  | { readonly kind: 'measuring' }
  | { readonly kind: 'reaching'; readonly needed: ShardVectors; readonly untilMs: number }
  | { readonly kind: 'settling'; readonly way: 'toward' | 'back'; readonly reason: string | null }
  | { readonly kind: 'ended'; readonly outcome: 'moved' | 'back' | 'lost' | 'refused'; readonly reason: string | null }

export type RampEvent =
  /** Whether the fleet stands still: the step goes on either way. `behind`: what the other side lacks of what it has applied; null: nothing, or it does not stand. */
  | { readonly kind: 'held'; readonly held: boolean; readonly behind: string | null }
  | { readonly kind: 'closed' }
  | { readonly kind: 'close refused'; readonly reason: string }
  | { readonly kind: 'acknowledged'; readonly silent: readonly string[] }
  | { readonly kind: 'measured'; readonly needed: ShardVectors; readonly nowMs: number }
  | { readonly kind: 'positions'; readonly at: ShardVectors; readonly nowMs: number }
  /** The compare-and-set of opening or going back; false: somebody else changed the rule. */
  | { readonly kind: 'settled'; readonly done: boolean }
  | { readonly kind: 'failed'; readonly reason: string }

export type RampEffect = 'hold' | 'close' | 'await gates' | 'measure' | 'look' | 'open' | 'back' | 'none'

export type RampDecision = { readonly state: RampState; readonly effect: RampEffect }

export const rampStart: RampDecision = { state: { kind: 'holding' }, effect: 'hold' }

export function nextRamp(state: RampState, event: RampEvent, limits: RampLimits): RampDecision {
  if (event.kind === 'failed')
    return state.kind === 'holding' || state.kind === 'closing' ? ended('refused', event.reason) : giveUp(state, event.reason)
  switch (state.kind) {
    case 'holding':
      if (event.kind !== 'held') return unexpected(state)
      if (event.behind !== null && limits.refuseBehind) return ended('refused', `the other side does not catch up: ${event.behind}`)
      return { state: { kind: 'closing' }, effect: 'close' }
    case 'closing':
      if (event.kind === 'close refused') return ended('refused', event.reason)
      return event.kind === 'closed' ? { state: { kind: 'acknowledging' }, effect: 'await gates' } : unexpected(state)
    case 'acknowledging':
      if (event.kind !== 'acknowledged') return unexpected(state)
      if (event.silent.length > 0) return giveUp(state, `gates that have not acknowledged: ${event.silent.join(', ')}`)
      return { state: { kind: 'measuring' }, effect: 'measure' }
    case 'measuring':
      if (event.kind !== 'measured') return unexpected(state)
      return { state: { kind: 'reaching', needed: event.needed, untilMs: event.nowMs + limits.reachMs }, effect: 'look' }
    case 'reaching': {
      if (event.kind !== 'positions') return unexpected(state)
      const behind = behindOf(state.needed, event.at)
      if (behind === null) return { state: { kind: 'settling', way: 'toward', reason: null }, effect: 'open' }
      if (event.nowMs >= state.untilMs) return giveUp(state, `not in time: ${behind}`)
      return { state, effect: 'look' }
    }
    case 'settling':
      if (event.kind !== 'settled') return unexpected(state)
      if (!event.done) return ended('lost', 'another step or controller changed the read rule')
      return ended(state.way === 'toward' ? 'moved' : 'back', state.reason)
    case 'ended':
      return { state, effect: 'none' }
  }
}

function giveUp(state: RampState, reason: string): RampDecision {
  // Whether an opening that failed took effect is for the compare-and-set of going back to find out.
  if (state.kind === 'ended' || (state.kind === 'settling' && state.way === 'back')) return ended('lost', reason)
  return { state: { kind: 'settling', way: 'back', reason }, effect: 'back' }
}

function ended(outcome: Extract<RampState, { kind: 'ended' }>['outcome'], reason: string | null): RampDecision {
  return { state: { kind: 'ended', outcome, reason }, effect: 'none' }
}

function unexpected(state: RampState): RampDecision {
  return giveUp(state, `an event that does not belong to ${state.kind}`)
}

/** What each answering shard must have applied: of every shard being left that holds keys of its range, the furthest, per topic partition. */
export function neededBy(left: ShardVectors, answering: readonly string[]): ShardVectors {
  const out = new Map<string, Map<string, bigint>>()
  for (const shard of answering) {
    const range = parseKeyRange(shard)
    const needed = new Map<string, bigint>()
    for (const [other, vector] of left) {
      if (!keyRangesIntersect(parseKeyRange(other), range)) continue
      for (const [partition, next] of vector) if (next > (needed.get(partition) ?? -1n)) needed.set(partition, next)
    }
    out.set(shard, needed)
  }
  return out
}

/** Null: all are at or past what they need. Else the first that is not, in words. */
export function behindOf(needed: ShardVectors, at: ShardVectors): string | null {
  for (const [shard, vector] of needed) {
    const there = at.get(shard)
    if (there === undefined) return `the positions of shard ${shard} are not known`
    for (const [partition, next] of vector) {
      const has = there.get(partition)
      if (has === undefined || has < next) return `shard ${shard} is at ${has ?? 'no position'} of ${partition}, and ${next} was read`
    }
  }
  return null
}
