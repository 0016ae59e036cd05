/**
 * One fleet as its record wants it, from one consumer: which partitions it holds, fenced on every shard before anything is read (`partition-reader.ts`), and the lanes
 * that write.
 * A session ends, and another begins, when anything changes that it was built on: definition, topic, the shards that serve, the generation.
 */
import { Wakeup } from '../base/wakeup.ts'
import { isSwError } from '../base/errors.ts'
import type { FleetRecord, FleetReport } from '../topology/dualwrite-records.ts'
import type { KeptLease } from '../topology/kept-lease.ts'
import type { ErrorView } from '../topology/records.ts'
import type { Topic } from '../topic/topic.ts'
import { connectConsumer, ingestAddressesOf } from './access.ts'
import { noIngestFailpoints, type IngestFailpoints } from './crash-points.ts'
import { consumerDefaults, type ConsumerConfig, type ConsumerOptions } from './consumer-options.ts'
import { decideVersion, fixVersion, share } from './decide.ts'
import { allTables, type TopicDefinition } from './definition.ts'
import { viewOf } from './error-view.ts'
import { ingestErrors } from './errors.ts'
import { checkDefinition, readBranch, readTables, type Branch } from './fleet-plan.ts'
import { reportOf } from './fleet-report.ts'
import type { HeldPartition } from './held-partition.ts'
import { PartitionLeases, type Acquired } from './partition-leases.ts'
import { PartitionReader } from './partition-reader.ts'
import { morePartitions, purgeOnce } from './purge-round.ts'
import { RecordRouter } from './record-router.ts'
import { ShardLane } from './shard-lane.ts'
import { ensureIngestTables } from './tables.ts'
import { TopicTime, type TopicNow } from './topic-time.ts'

export class FleetSession {
  readonly options: ConsumerOptions
  readonly config: ConsumerConfig
  readonly topic: Topic
  readonly definition: TopicDefinition
  readonly branch: Branch
  /** By shard, then by writer. */
  readonly lanes: readonly (readonly ShardLane[])[]
  readonly held = new Map<number, HeldPartition>()
  fleet: FleetRecord
  trouble: { error: ErrorView; atMs: number } | null = null
  readonly topicTime: TopicTime
  /** By what rows expire, where this consumer says it for the keyspace. */
  expiry: TopicNow | null = null
  readonly #failpoints: IngestFailpoints
  readonly #leases: PartitionLeases
  readonly #reader: PartitionReader
  readonly #bell = new Wakeup()
  readonly #stop = new AbortController()
  readonly #lease: KeptLease
  #running: Promise<unknown>[] = []
  #reconciling: Promise<void> | null = null
  #draining = false
  readonly #askAgainAtMs = new Map<number, number>()
  #failure: { error: unknown } | null = null
  #purgedAtMs = -Infinity
  /** A purge that had begun when the fleet was told to hold goes on to its end. */
  purging = false

  private constructor(parts: {
    options: ConsumerOptions
    config: ConsumerConfig
    fleet: FleetRecord
    topic: Topic
    definition: TopicDefinition
    branch: Branch
    router: RecordRouter
    lease: KeptLease
  }) {
    this.options = parts.options
    this.config = parts.config
    this.fleet = parts.fleet
    this.topic = parts.topic
    this.definition = parts.definition
    this.branch = parts.branch
    this.#lease = parts.lease
    this.topicTime = new TopicTime(parts.config.restMs)
    this.#failpoints = parts.options.failpoints ?? noIngestFailpoints
    this.#leases = new PartitionLeases(parts.options.store, parts.fleet.name, parts.options.id)
    this.lanes = parts.branch.shards.map((_, shard) => Array.from({ length: Math.max(1, parts.fleet.writers) }, () => this.#lane(shard)))
    this.#reader = new PartitionReader({
      topic: parts.topic,
      router: parts.router,
      config: parts.config,
      poison: parts.definition.poison,
      shardNames: parts.branch.shards.map(({ name }) => name),
      lanes: this.lanes,
      laneOf: (shard, partition) => this.laneOf(shard, partition),
      held: this.held,
      fleet: () => this.fleet,
      bell: this.#bell,
      onTrouble: (error) => this.#troubled(error),
      clock: parts.options.clock,
      log: parts.options.log,
    })
  }

  /** @throws what keeps the fleet from running: definition, topic, shards, tables */
  static async open(options: ConsumerOptions, fleet: FleetRecord, lease: KeptLease, signal: AbortSignal): Promise<FleetSession> {
    const config: ConsumerConfig = { ...consumerDefaults, batchRecordsMax: fleet.batchRecordsMax, ...options.config }
    const definition = await options.loadDefinition(fleet)
    if (definition.version !== fleet.definitionVersion || (fleet.definitionDigest !== '' && definition.digest !== fleet.definitionDigest)) {
      const { definitionPath: file, name, definitionDigest: wanted, definitionVersion: version } = fleet
      throw ingestErrors.digestChanged({ file, fleet: name, found: definition.digest, wanted, version })
    }
    const branch = await readBranch(options.store, fleet.keyspace, fleet.branch)
    const addresses = options.addresses ?? ingestAddressesOf(options.store)
    const shards = await Promise.all(
      branch.shards.map(async (shard) => {
        await using connection = await connectConsumer(await addresses(shard.serverId), config.leaseMs, signal)
        await ensureIngestTables(connection)
        // Awaited here: the connection ends with this block.
        return await readTables(connection, shard, definition)
      }),
    )
    const topic = await options.openTopic(fleet.topicUrl)
    try {
      if (topic.id !== fleet.topicId)
        throw ingestErrors.topicChanged({ fleet: fleet.name, wanted: fleet.topicId, url: fleet.topicUrl, found: topic.id })
      const had = Object.keys(fleet.startOffsets).length
      if (topic.partitions !== had)
        throw ingestErrors.partitionsChanged({ fleet: fleet.name, topic: topic.name, has: topic.partitions, had })
      const { makers, problems } = checkDefinition(definition, topic.id, branch, shards)
      if (problems.length > 0) {
        const text = problems.map((p) => `${p.table}${p.column === null ? '' : `.${p.column}`}: ${p.problem}`).join('; ')
        throw ingestErrors.doesNotFit({ topic: definition.topic, keyspace: fleet.keyspace, problems: text })
      }
      const router = new RecordRouter({ makers, index: branch.index, shards: branch.shards.length, topicId: topic.id })
      const session = new FleetSession({ options, config, fleet, topic, definition, branch, router, lease })
      session.#start()
      return session
    } catch (error) {
      await topic.close()
      throw error
    }
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  get records(): number {
    return this.#reader.records
  }

  topicSilentMs(partition: number): number {
    return this.#reader.silentMs(partition)
  }

  get poison(): number {
    return this.#reader.poison
  }

  /** What ended it, if anything did. */
  get failure(): unknown {
    return this.#failure?.error ?? null
  }

  #start(): void {
    const fail = (error: unknown): void => {
      if (this.signal.aborted) return
      this.#failure ??= { error }
      this.#bell.ring()
    }
    this.#running = [...this.lanes.flat().map((lane) => lane.run(this.signal)), this.#reader.run(this.signal)].map((running) =>
      running.catch(fail),
    )
  }

  /**
   * Takes and gives partitions, and purges, as things stand now; goes on behind the caller's back when that takes long: a shard that does not answer must not
   * keep the consumer from reporting, and from being told to stop.
   */
  async reconcile(consumers: readonly string[]): Promise<void> {
    this.#reconciling ??= this.#reconcile(consumers).finally(() => (this.#reconciling = null))
    const patience = new AbortController()
    const late = this.options.clock.sleep(this.config.reconcileMs, patience.signal).catch(() => undefined)
    try {
      await Promise.race([this.#reconciling, late])
    } finally {
      patience.abort()
    }
  }

  async #reconcile(consumers: readonly string[]): Promise<void> {
    await this.#dropLost()
    const mine = share(this.topic.partitions, consumers, this.options.id)
    const holding = [...this.held.keys()].sort((a, b) => a - b)
    for (const partition of holding.slice(mine)) await this.#release(partition)
    for (let i = 0; i < this.topic.partitions && this.held.size < mine && !this.signal.aborted && this.#lease.valid(); i++) {
      // From a place of its own on, so that consumers seldom reach for the same one.
      const partition = (i + Math.max(0, [...consumers].sort().indexOf(this.options.id)) * mine) % this.topic.partitions
      const wait = (this.#askAgainAtMs.get(partition) ?? 0) > this.options.clock.monotonicMs()
      if (!wait && !this.held.has(partition)) await this.#acquire(partition)
    }
    if (this.quiet && !this.#draining) {
      this.#draining = true
      void Promise.all(this.lanes.flat().map((lane) => lane.drain(this.signal))).finally(() => (this.#draining = false))
    }
    await this.#purge()
  }

  /** What the topology gives to another, or to nobody: a store that came back without our lease. */
  async #dropLost(): Promise<void> {
    if (this.held.size === 0) return
    const mine = await this.#leases.mine()
    for (const [partition, { epoch }] of this.held) {
      if (mine.get(partition) === epoch) continue
      this.options.log.warn({ fleet: this.fleet.name, partition }, 'the lease of a partition is not ours any more')
      this.held.delete(partition)
      this.#reader.again()
      await Promise.all(this.lanes.map((_, shard) => this.laneOf(shard, partition).forget(partition)))
    }
  }

  /** Nothing is read: what is queued is written, and positions stand alike on all shards afterwards. */
  get quiet(): boolean {
    return this.fleet.wanted !== 'running' || [...this.held.values()].every((held) => !this.#reader.readable(held))
  }

  /** Quiet, and what was queued is written. */
  get standing(): boolean {
    return this.quiet && this.lanes.every((of) => of.every((lane) => lane.resting))
  }

  /** A new record of the same generation: hold, resume. */
  update(fleet: FleetRecord): void {
    this.fleet = fleet
    this.#reader.again()
  }

  async close(): Promise<void> {
    this.#reader.again()
    // What is read already is better written by us than read again by another.
    if (this.#lease.valid() && this.#failure === null)
      await Promise.race([Promise.all(this.lanes.flat().map((lane) => lane.drain(this.signal))), this.options.clock.sleep(1000)])
    this.#stop.abort()
    this.#bell.ring()
    await Promise.all([...this.#running, this.#reconciling?.catch(() => undefined)])
    for (const partition of this.held.keys()) {
      await this.#failpoints.hit('lease.releasing')
      await this.#leases.release(partition).catch(() => undefined)
    }
    this.held.clear()
    await this.topic.close()
  }

  report(): FleetReport {
    return reportOf(this)
  }

  laneOf(shard: number, partition: number): ShardLane {
    const writers = this.lanes[shard] ?? []
    return writers[partition % writers.length] as ShardLane
  }

  #lane(shardIndex: number): ShardLane {
    const { options, config, fleet, branch } = this
    const shard = branch.shards[shardIndex] as Branch['shards'][number]
    const addresses = options.addresses ?? ingestAddressesOf(options.store)
    return new ShardLane({
      shard: shard.name,
      schema: shard.schema,
      key: { shardUid: shard.uid, branchId: fleet.branchId, topicId: this.topic.id },
      tables: () => allTables(this.definition).map(({ table }) => table),
      connect: async (signal) => connectConsumer(await addresses(shard.serverId), config.leaseMs, signal),
      leaseStands: (partition, epoch) => this.#leases.stands(partition, epoch),
      config,
      clock: options.clock,
      failpoints: this.#failpoints,
      onWentBack: (partition, next, leaderEpoch) => {
        const held = this.held.get(partition)
        if (held === undefined || next >= held.readAt) return
        options.log.warn(
          { fleet: fleet.name, shard: shard.name, partition, next: String(next) },
          'a shard went back: reading again from there',
        )
        held.readAt = next
        held.leaderEpoch = leaderEpoch
        this.#reader.again()
      },
      onLost: (partition, epoch) => {
        const held = this.held.get(partition)
        if (held === undefined || (epoch <= held.epoch && epoch !== held.epoch)) return
        options.log.warn({ fleet: fleet.name, partition, epoch: String(epoch) }, 'another consumer has the partition')
        this.held.delete(partition)
        this.#reader.again()
      },
      onNoPartition: () => morePartitions(this, shard),
      onPoison: (item, error) => this.#reader.refused(item, shard.name, error),
      onTrouble: (error) => this.#troubled(error),
      onWritten: () => this.#bell.ring(),
      isHeld: () => this.fleet.heldShard === shard.name,
    })
  }

  async #acquire(partition: number): Promise<void> {
    const start = BigInt(this.fleet.startOffsets[String(partition)] ?? '0')
    const code = this.definition.version
    let acquired: Acquired | null
    try {
      acquired = await this.#leases.acquire(partition, start, this.#lease.id, (versions) => {
        const decided = decideVersion(versions, code)
        if (decided.kind === 'refuse')
          throw ingestErrors.newerDefinition({ partition, fleet: this.fleet.name, version: decided.version, has: code })
      })
    } catch (error) {
      if (!isSwError(error) || (error.code !== 'SW-INGEST-008' && error.code !== 'SW-INGEST-009')) throw error
      // Nothing here changes by asking again at once.
      this.#askAgainAtMs.set(partition, this.options.clock.monotonicMs() + 2000)
      this.#troubled(error)
      return
    }
    if (acquired === null) return
    await this.#failpoints.hit('lease.acquired')
    const { epoch } = acquired
    const decision = decideVersion(acquired.versions, code)
    const fenced: bigint[] = []
    for (let shard = 0; shard < this.lanes.length; shard++) {
      const position = await this.#fence(shard, partition, epoch, start)
      if (position === null) return this.#giveBack(partition)
      fenced.push(position.next)
      if (shard === 0) await this.#failpoints.hit('fence.someShards')
    }
    let versions = acquired.versions
    if (decision.kind === 'fix') {
      const from = versions.length === 0 ? start : fenced.reduce((max, next) => (next > max ? next : max), 0n)
      versions = fixVersion(versions, this.definition.version, from)
      if (!(await this.#leases.fixVersions(partition, epoch, versions))) return this.#giveBack(partition)
      await this.#failpoints.hit('version.fixed')
    }
    // As the lanes have it now: one that had to connect again meanwhile may stand elsewhere than its fence said, or have lost the partition.
    const standing = this.lanes.map((_, shard) => this.laneOf(shard, partition).position(partition))
    if (standing.some((position) => position === null)) return this.#giveBack(partition)
    const least = standing.filter((position) => position !== null).reduce((a, b) => (b.next < a.next ? b : a))
    this.held.set(partition, {
      partition,
      epoch,
      start,
      versions,
      state: 'running',
      readAt: least.next,
      leaderEpoch: least.leaderEpoch,
      logStart: null,
      highWatermark: null,
      newestMs: null,
      error: null,
    })
    this.options.log.info({ fleet: this.fleet.name, partition, epoch: String(epoch), next: String(least.next) }, 'took a partition')
    this.#reader.again()
  }

  /** Until the shard answers: no batch is built for a shard before its fence, and none for the others without it. */
  async #fence(shard: number, partition: number, epoch: bigint, start: bigint): Promise<{ next: bigint; leaderEpoch: number } | null> {
    const lane = this.laneOf(shard, partition)
    while (!this.signal.aborted && this.#lease.valid()) {
      try {
        return await lane.fence(partition, epoch, start, AbortSignal.any([this.signal, this.#lease.lost]))
      } catch (error) {
        this.#troubled(error)
        await this.options.clock.sleep(100, this.signal).catch(() => undefined)
      }
    }
    return null
  }

  async #giveBack(partition: number): Promise<void> {
    this.#askAgainAtMs.set(partition, this.options.clock.monotonicMs() + 1000)
    await this.#release(partition)
  }

  async #release(partition: number): Promise<void> {
    this.held.delete(partition)
    this.#reader.again()
    await Promise.all(this.lanes.map((_, shard) => this.laneOf(shard, partition).forget(partition)))
    await this.#failpoints.hit('lease.releasing')
    await this.#leases.release(partition)
  }

  #troubled(error: unknown): void {
    this.trouble = { error: viewOf(error), atMs: this.options.clock.nowMs() }
    this.options.log.warn({ fleet: this.fleet.name, err: error }, 'trouble; trying again')
  }

  /** Whoever has partition 0 purges: one at a time is enough, and two do no harm. A fleet that is held does nothing to its shards: who looks whether anybody still uses them counts on it. */
  async #purge(): Promise<void> {
    const { clock, log } = this.options
    if (!this.held.has(0) || this.fleet.wanted !== 'running') return
    // Somebody waits for all branches to have purged alike.
    const everyMs = (this.fleet.floorHeldUntilMs ?? 0) > clock.nowMs() ? Math.min(1000, this.config.purgeMs) : this.config.purgeMs
    if (clock.monotonicMs() - this.#purgedAtMs < everyMs) return
    this.#purgedAtMs = clock.monotonicMs()
    this.purging = true
    await purgeOnce(this)
      .catch((error: unknown) => {
        this.#troubled(error)
        log.warn({ fleet: this.fleet.name, err: error }, 'purge is tried again later')
      })
      .finally(() => (this.purging = false))
  }
}
