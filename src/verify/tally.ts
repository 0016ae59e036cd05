/** Counts and samples of differences, of a chunk or a table. */
import { keyText } from '../move/key-text.ts'
import type { VdiffTable } from '../topology/records.ts'
import type { Finding } from './judge.ts'

export const samplesMax = 20

export type Tally = Pick<VdiffTable, 'rowsCompared' | 'missing' | 'extra' | 'misplaced' | 'different' | 'samples'> & {
  orphans: number
  repaired: number
}

export function newTally(): Tally {
  return { rowsCompared: 0, missing: 0, extra: 0, misplaced: 0, different: 0, orphans: 0, samples: [], repaired: 0 }
}

export function addFinding(tally: Tally, { kind, key, target, columns }: Finding, shards: readonly { readonly shard: string }[]): void {
  tally[kind]++
  if (tally.samples.length < samplesMax)
    tally.samples.push({ kind, key: keyText(key), shard: shards[target]?.shard ?? '', columns: [...columns] })
}

export function addTally(into: Tally, from: Tally): void {
  into.rowsCompared += from.rowsCompared
  into.missing += from.missing
  into.extra += from.extra
  into.misplaced += from.misplaced
  into.different += from.different
  into.orphans += from.orphans
  into.repaired += from.repaired
  for (const sample of from.samples) if (into.samples.length < samplesMax) into.samples.push(sample)
}

export function differences(tally: Pick<VdiffTable, 'missing' | 'extra' | 'misplaced' | 'different' | 'orphans'>): number {
  return tally.missing + tally.extra + tally.misplaced + tally.different + (tally.orphans ?? 0)
}
