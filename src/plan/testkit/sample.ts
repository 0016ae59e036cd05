/** The published shape: 4 → 8 shards, eight days kept, 10,000 writes a second; everything known, nothing in the way. */
import type { Fact, Figure, PlanFacts, PlanFigures, PlanInput } from '../figures.ts'
import { day } from '../text.ts'

export const given = (value: Figure['value']): Figure => ({ value, source: 'given', note: 'test' })
export const fact = <T>(value: T | 'unknown'): Fact<T> => ({ value, source: 'given', note: 'test' })

export function sample(figures: { [K in keyof PlanFigures]?: Figure['value'] } = {}, facts: Partial<PlanFacts> = {}): PlanInput {
  const base: { [K in keyof PlanFigures]: Figure['value'] } = {
    sourceBytes: 400e9,
    dimensionBytes: 0,
    readBytesPerSecond: 200e6,
    targetWriteBytesPerSecond: 20e6,
    copyDuty: 0.8,
    keySeconds: 600,
    binlogBytesPerSecond: 4e6,
    applyBytesPerSecond: 16e6,
    lagShare: 1,
    binlogRetentionSeconds: 3 * day,
    outageBudgetSeconds: 0.1 * day,
    bloat: 0.2,
    storeRetentionSeconds: 8 * day,
    topicRetentionSeconds: 3 * day,
    marginSeconds: 0.1 * day,
    eventsPerSecond: 10_000,
    fleetEventsPerSecond: 30_000,
    holdSeconds: 7 * day,
    undoSeconds: 7 * day,
    steadyStateBytes: 500e9,
    growthPerDay: 0,
    targetFreeBytes: 4e12,
    sourceFreeBytes: 1e12,
    consumers: 32,
    shardHourCost: 1,
    consumerHourCost: 0.1,
    eventBytes: 600,
  }
  const all = { ...base, ...figures }
  return {
    keyspace: 'insights',
    shardsNow: 4,
    shardsWanted: 8,
    figures: Object.fromEntries(Object.entries(all).map(([name, value]) => [name, given(value)])) as unknown as PlanFigures,
    facts: {
      otherWriters: fact([]),
      neverExpires: fact([]),
      dimensionTables: fact([]),
      topicTables: fact(['hourly', 'minutely', 'slow']),
      deterministic: fact(true),
      crossDatabase: fact([]),
      readYourWrites: fact(false),
      pauseAllowed: fact(true),
      productionMayFeelCopy: fact(true),
      rebuilds: fact(false),
      twoClusters: fact(true),
      retentionMayBeRaised: fact(true),
      ...facts,
    },
  }
}
