import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import type { Store } from '../topology/store.ts'
import type { Topic } from '../topic/topic.ts'
import type { IngestAddresses } from './access.ts'
import type { IngestFailpoints } from './crash-points.ts'
import type { TopicDefinition } from './definition.ts'
import type { LaneConfig } from './shard-lane.ts'

export type ConsumerConfig = LaneConfig & {
  readonly leaseMs: number
  readonly reconcileMs: number
  readonly reportMs: number
  /** Bytes of one read of the topic, and of records waiting for shards (promise 8). */
  readonly readBytesMax: number
  readonly queuedBytesMax: number
  readonly purgeMs: number
  /** A partition that is read to its end, and whose newest event has been the same for so long, holds back no expiry. */
  readonly restMs: number
  /** How many whole partitions by time there are past now; 0: they are made by somebody else. */
  readonly partitionsAhead: number
}

export const consumerDefaults: ConsumerConfig = {
  batchRecords: 200,
  batchRecordsMax: 1000,
  lingerMs: 20,
  lazyMs: 1000,
  pingMs: 2000,
  repeatsMax: 30,
  leaseMs: 10_000,
  reconcileMs: 200,
  reportMs: 1000,
  readBytesMax: 2 << 20,
  queuedBytesMax: 16 << 20,
  purgeMs: 30_000,
  restMs: 600_000,
  partitionsAhead: 2,
}

export type ConsumerOptions = {
  readonly store: Store
  /** Name of its FleetRecord. */
  readonly fleet: string
  /** One process start. */
  readonly id: string
  readonly pid: number
  readonly clock: Clock
  readonly log: Log
  readonly openTopic: (url: string) => Promise<Topic>
  readonly loadDefinition: (fleet: FleetRecord) => Promise<TopicDefinition>
  /** From the topology's records unless given. */
  readonly addresses?: IngestAddresses
  readonly config?: Partial<ConsumerConfig>
  readonly failpoints?: IngestFailpoints
  readonly rssBytes: () => number
  /** Of this process, user and system, since it started; absent: not told. */
  readonly cpuMs?: () => number
}
