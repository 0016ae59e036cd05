/**
 * The formulas of PROTOCOLS 5, on plain numbers; Infinity means never. docs/planning.md derives each. Times are seconds, rates per second.
 *
 * One is mended: a fleet is never pinned further back than rows live, so the depth is min(Rk − m, Rd) where the protocol writes Rk − m. With
 * Rk ≤ Rd + m nothing changes; with a topic that keeps thirty days for rows that live eight, catching up takes eight days' records, not thirty's.
 */

/** T_copy = max(S/Rr, S/(N·Wt)) / duty + T_keys */
export function copySeconds(x: {
  bytes: number
  readBytesPerSecond: number
  targets: number
  targetWriteBytesPerSecond: number
  duty: number
  keySeconds: number
}): number {
  if (x.bytes === 0) return x.keySeconds
  const scan = Math.max(x.bytes / x.readBytesPerSecond, x.bytes / (x.targets * x.targetWriteBytesPerSecond))
  return scan / x.duty + x.keySeconds
}

/** T_drain = b·lag/(a − b): never, unless a > b. `lag` is the time by which the tail is behind when the copy ends. */
export function drainSeconds(x: { binlogBytesPerSecond: number; applyBytesPerSecond: number; lagSeconds: number }): number {
  if (x.binlogBytesPerSecond === 0 || x.lagSeconds === 0) return 0
  if (x.applyBytesPerSecond <= x.binlogBytesPerSecond) return Infinity
  return (x.binlogBytesPerSecond * x.lagSeconds) / (x.applyBytesPerSecond - x.binlogBytesPerSecond)
}

/** Rb ≥ 1.5 × (greatest lag + outage budget) */
export function binlogRetentionNeeded(greatestLagSeconds: number, outageBudgetSeconds: number): number {
  return 1.5 * (greatestLagSeconds + outageBudgetSeconds)
}

/** How far back a fleet is pinned: what the topic surely holds less the margin, and never further than rows live. */
export function pinDepthSeconds(x: { storeRetentionSeconds: number; topicRetentionSeconds: number; marginSeconds: number }): number {
  return Math.max(0, Math.min(x.topicRetentionSeconds - x.marginSeconds, x.storeRetentionSeconds))
}

/** depth·r/(w − r): never, unless w > r. */
export function catchUpSeconds(depthSeconds: number, r: number, w: number): number {
  if (depthSeconds === 0 || r === 0) return 0
  if (w <= r) return Infinity
  return (depthSeconds * r) / (w - r)
}

/** T_ready of `wait`: the window fills at the speed of time. */
export function waitReadySeconds(storeRetentionSeconds: number): number {
  return storeRetentionSeconds
}

/** T_ready of `pin` and `pin+wait`: both the backlog is read and the window has filled. */
export function pinReadySeconds(storeRetentionSeconds: number, depthSeconds: number, r: number, w: number): number {
  return Math.max(catchUpSeconds(depthSeconds, r, w), storeRetentionSeconds - depthSeconds)
}

/** w ≥ r·(1 + depth/D): what a fleet must sustain to have read a backlog by a deadline. */
export function rateForDeadline(depthSeconds: number, r: number, deadlineSeconds: number): number {
  return r * (1 + depthSeconds / deadlineSeconds)
}

/** L6: a fleet held for d seconds while producers wrote r, and drained in T after, sustains w = r·(1 + d/T). */
export function capacityFromDrain(r: number, heldSeconds: number, drainedSeconds: number): number {
  return r * (1 + heldSeconds / drainedSeconds)
}

/** E = (w_new/w_old)/(N_new/N_old). `linear` is said only from 0.9. */
export function scalingEfficiency(x: { wNew: number; wOld: number; shardsNew: number; shardsOld: number }): number {
  return x.wNew / x.wOld / (x.shardsNew / x.shardsOld)
}

export const linearFrom = 0.9
/** Below this share of headroom no way is worth it: the new shards would be full when they serve. */
export const headroomLeast = 1.3
/** Above this share of what can be applied, the tail of a copy drains too slowly to trust. */
export const applyShareMost = 0.7
