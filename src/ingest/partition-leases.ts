/**
 * Who has which partition, in the topology (PROTOCOLS 4.1). Two records: the lease, which ends with its holder's store lease, and the epoch, which outlives
 * it. Acquiring is one commit on both: the lease must be absent, and the epoch grows by one. Renewing is the store's and touches neither.
 */
import { isSwError } from '../base/errors.ts'
import type { PartitionEpoch, PartitionLease } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { Store } from '../topology/store.ts'
import { absent, put, readRecord, recordsOf, unchanged, type Versioned } from '../topology/typed.ts'
import type { VersionFrom } from './decide.ts'
import { ingestErrors } from './errors.ts'

export type Acquired = { readonly epoch: bigint; readonly start: bigint; readonly versions: readonly VersionFrom[] }

export class PartitionLeases {
  readonly #store: Store
  readonly #fleet: string
  /** One process start. */
  readonly #me: string

  constructor(store: Store, fleet: string, me: string) {
    this.#store = store
    this.#fleet = fleet
    this.#me = me
  }

  /**
   * Null: another one has it, or was quicker.
   * @param accept throws when this code must not have a partition whose records were decoded by these versions
   * @throws SW-INGEST-009 when the start offset is not the one that the partition began with
   */
  async acquire(
    partition: number,
    start: bigint,
    leaseId: string,
    accept: (versions: readonly VersionFrom[]) => void = () => undefined,
  ): Promise<Acquired | null> {
    const leaseKey = keys.partitionLease(this.#fleet, partition)
    if ((await this.#store.get(leaseKey)) !== null) return null
    const before = await this.#epoch(partition)
    const record = before?.value ?? { v: 1, epoch: 0 }
    if (record.start !== undefined && record.start !== String(start))
      throw ingestErrors.startChanged({ fleet: this.#fleet, partition, start: record.start, now: String(start) })
    accept(record.versions ?? [])
    const epoch = record.epoch + 1
    const lease: PartitionLease = { v: 1, fleet: this.#fleet, partition, holder: this.#me, epoch }
    const epochKey = keys.partitionEpoch(this.#fleet, partition)
    try {
      const result = await this.#store.commit(
        [absent(leaseKey), before === null ? absent(epochKey) : unchanged(before)],
        [put(leaseKey, lease, leaseId), put<PartitionEpoch>(epochKey, { ...record, epoch, start: String(start) })],
      )
      if (!result.ok) return null
    } catch (error) {
      // Not known: what stands there says it. Holder and epoch together are ours alone.
      if (!isSwError(error, 'SW-TOPOLOGY-002') || !(await this.stands(partition, BigInt(epoch)))) throw error
    }
    return { epoch: BigInt(epoch), start, versions: record.versions ?? [] }
  }

  async stands(partition: number, epoch: bigint): Promise<boolean> {
    const lease = await readRecord<PartitionLease>(this.#store, keys.partitionLease(this.#fleet, partition))
    return lease !== null && lease.value.holder === this.#me && BigInt(lease.value.epoch) === epoch
  }

  /** The partitions that are ours, with the epochs under which they are. */
  async mine(): Promise<Map<number, bigint>> {
    const leases = recordsOf<PartitionLease>(await this.#store.list(keys.partitionLeasesOf(this.#fleet)))
    return new Map(leases.filter(({ value }) => value.holder === this.#me).map(({ value }) => [value.partition, BigInt(value.epoch)]))
  }

  /** False: the partition is not ours any more. */
  async fixVersions(partition: number, epoch: bigint, versions: readonly VersionFrom[]): Promise<boolean> {
    const lease = await readRecord<PartitionLease>(this.#store, keys.partitionLease(this.#fleet, partition))
    const before = await this.#epoch(partition)
    if (lease === null || before === null || lease.value.holder !== this.#me || BigInt(lease.value.epoch) !== epoch) return false
    const result = await this.#store.commit(
      [unchanged(lease), unchanged(before)],
      [put<PartitionEpoch>(before.key, { ...before.value, versions: [...versions] })],
    )
    return result.ok
  }

  async release(partition: number): Promise<void> {
    const lease = await readRecord<PartitionLease>(this.#store, keys.partitionLease(this.#fleet, partition))
    if (lease === null || lease.value.holder !== this.#me) return
    await this.#store.commit([unchanged(lease)], [{ key: lease.key, value: undefined }])
  }

  #epoch(partition: number): Promise<Versioned<PartitionEpoch> | null> {
    return readRecord<PartitionEpoch>(this.#store, keys.partitionEpoch(this.#fleet, partition))
  }
}
