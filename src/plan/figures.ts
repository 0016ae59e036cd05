/**
 * What a plan is computed from. Every figure says where it comes from, and may be unknown: an unknown figure never counts as zero, and a
 * way that needs it does not fit until it is measured, given or assumed by somebody (promise 6).
 */

/** `unbounded`: without end (rows that never expire, a topic that keeps everything). JSON-safe, unlike Infinity. */
export type Amount = number | 'unbounded' | 'unknown'

/** `measured` on the servers and topics; `given` by the operator or a definition; `assumed` by us until one of these is there. */
export type FigureSource = 'measured' | 'given' | 'assumed'

export type Figure = {
  readonly value: Amount
  readonly source: FigureSource
  /** How it was measured, or why it is assumed so. */
  readonly note: string
}

export type Unit = 'bytes' | 'bytes/s' | 'seconds' | 'events/s' | 'count' | 'ratio' | 'bytes/day'

/** Facts that are not amounts. `unknown` never counts as the convenient answer. */
export type Fact<T> = { readonly value: T | 'unknown'; readonly source: FigureSource; readonly note: string }

/** Symbols are those of PROTOCOLS 5; see docs/planning.md. */
export type PlanFigures = {
  /** S: bytes of the shards that are replaced, as their tables stand now. */
  readonly sourceBytes: Figure
  /** Of it, in dimension tables (those that never expire and are copied by `hybrid`). */
  readonly dimensionBytes: Figure
  /** Rr: what all sources together can be read at, bytes/s. */
  readonly readBytesPerSecond: Figure
  /** Wt: what one target takes, bytes/s. */
  readonly targetWriteBytesPerSecond: Figure
  /** Share of the time in which the copy may run at all. */
  readonly copyDuty: Figure
  /** T_keys: building secondary keys after the copy. */
  readonly keySeconds: Figure
  /** b: what the sources log, bytes/s. */
  readonly binlogBytesPerSecond: Figure
  /** a: binlog bytes/s that the targets can apply. */
  readonly applyBytesPerSecond: Figure
  /** Of the copy's time, the part by which the tail is behind at its end: 1 when nothing is applied meanwhile. */
  readonly lagShare: Figure
  /** Rb: how far back the binlogs of all sources reach. */
  readonly binlogRetentionSeconds: Figure
  readonly outageBudgetSeconds: Figure
  /** Growth of the data on targets over its source by pages half filled. */
  readonly bloat: Figure
  /** Rd: how long rows live; unbounded when those of some table never expire. */
  readonly storeRetentionSeconds: Figure
  /** Rk: what the topic surely holds, the least of its partitions. */
  readonly topicRetentionSeconds: Figure
  /** m: kept between the topic's oldest record and where a fleet is pinned. */
  readonly marginSeconds: Figure
  /** r: records/s that producers write. */
  readonly eventsPerSecond: Figure
  /** w: records/s that the new fleet can sustain on the new shards. */
  readonly fleetEventsPerSecond: Figure
  /** H: how long both sides are kept after the switch. */
  readonly holdSeconds: Figure
  /** For how long going back shall stay possible. */
  readonly undoSeconds: Figure
  /** What the new branch will hold when its retention is full: by growth measured, not today's size. */
  readonly steadyStateBytes: Figure
  /** Growth of distinct rows a day, as a share. */
  readonly growthPerDay: Figure
  /** Free on the disks of all targets together. */
  readonly targetFreeBytes: Figure
  /** Least free share on the disks of the sources, bytes together. */
  readonly sourceFreeBytes: Figure
  /** Consumer processes of the fleet of today. */
  readonly consumers: Figure
  /** What an hour of one shard and of one consumer costs, in any currency: 1 and 1 when not given. */
  readonly shardHourCost: Figure
  readonly consumerHourCost: Figure
  /** Bytes of one topic record. */
  readonly eventBytes: Figure
}

export type FigureName = keyof PlanFigures

/** `tables` empty: which ones is not known. */
export type OtherWriter = { readonly who: string; readonly tables: readonly string[] }

export type PlanFacts = {
  /** Writers on the present shards that are not the fleet. */
  readonly otherWriters: Fact<readonly OtherWriter[]>
  /** Tables whose rows never expire and that are not declared as dimensions. */
  readonly neverExpires: Fact<readonly string[]>
  readonly dimensionTables: Fact<readonly string[]>
  /** The tables that are filled from a topic at all. */
  readonly topicTables: Fact<readonly string[]>
  /** The same messages give the same rows. */
  readonly deterministic: Fact<boolean>
  /** Foreign keys that leave the database, and transactions over several: named. */
  readonly crossDatabase: Fact<readonly string[]>
  /** Reads must see their own synchronous writes. */
  readonly readYourWrites: Fact<boolean>
  /** A write pause of well under a second can be afforded. */
  readonly pauseAllowed: Fact<boolean>
  /** Production may feel one scan and one more binlog reader. */
  readonly productionMayFeelCopy: Fact<boolean>
  /** Schema, hash, engine or version change with the move. */
  readonly rebuilds: Fact<boolean>
  /** Two full sets of shards for T_ready + H can be afforded. */
  readonly twoClusters: Fact<boolean>
  /** The topic's retention may be raised by us. */
  readonly retentionMayBeRaised: Fact<boolean>
}

export type FactName = keyof PlanFacts

export type PlanInput = {
  readonly keyspace: string
  /** Shards that are replaced, and that replace them. */
  readonly shardsNow: number
  readonly shardsWanted: number
  readonly figures: PlanFigures
  readonly facts: PlanFacts
}
