/** What a plan says: the ways side by side, and which one to take. Plain data, so that control can send it as it is. */
import type { Amount, PlanInput } from './figures.ts'

export const ways = ['replicate', 'wait', 'pin', 'pin+wait', 'hybrid'] as const
export type Way = (typeof ways)[number]

/** `unknown`: a figure or fact that decides is not known; it says which. Unknown is never taken for `fits`. */
export type Fits = 'fits' | 'borderline' | 'unfit' | 'unknown'

export type Reason = {
  /** `blocks`: unfit; `strains`: borderline; `lacks`: unknown; `speaks for`: an argument, no condition. */
  readonly weight: 'blocks' | 'strains' | 'lacks' | 'speaks for' | 'speaks against'
  readonly text: string
  /** What to do about it; empty for arguments. */
  readonly fix: string
}

export type Cost = {
  /** Against today, while both sides stand. */
  readonly consumers: number
  readonly storage: number
  readonly writes: number
  readonly reads: number
  readonly topicFetches: number
  /** Bytes beside today's at the end. */
  readonly extraBytes: Amount
  readonly shardHours: Amount
  readonly consumerHours: Amount
  /** Both, by what an hour of each costs. */
  readonly total: Amount
}

export type Peak = {
  readonly sourceReadBytesPerSecond: Amount
  readonly targetWriteBytesPerSecond: Amount
  readonly topicFetchEventsPerSecond: Amount
  /** How many times the ordinary fetch of the topic. */
  readonly topicFetchTimes: Amount
  readonly sourceExtraDiskBytes: Amount
  readonly targetDiskBytes: Amount
  /** Expected pause of writes at the switch, ms. */
  readonly writePauseMs: number
}

/** Until when one can walk away, and what that costs. In order. */
export type AbortPoint = { readonly until: string; readonly how: string; readonly costs: string }

export type WayPlan = {
  readonly way: Way
  readonly fits: Fits
  readonly reasons: readonly Reason[]
  readonly readySeconds: Amount
  /** The formula with the numbers put in. */
  readonly readyBecause: string
  readonly phases: readonly { readonly name: string; readonly seconds: Amount }[]
  readonly cost: Cost
  readonly peak: Peak
  readonly abortPoints: readonly AbortPoint[]
}

export type PlanResult = {
  readonly input: PlanInput
  readonly ways: readonly WayPlan[]
  /** Null: none fits as things are. */
  readonly advice: { readonly way: Way | null; readonly because: readonly string[] }
}
