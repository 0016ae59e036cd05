/**
 * By which version of the definition a branch decodes each record, when another branch takes the same topic (PROTOCOLS 4.12, across branches): the offsets from which a new
 * version counts were fixed by the fleet that ran when it came. One that begins before them and decided by itself would decode by its newest version what the other
 * branch decoded by an older one: each bucket of before would differ, or the record would stop it, though nothing is wrong. So it begins with the other one's offsets.
 */
import type { TopicDefinition } from '../ingest/definition.ts'
import type { VersionFrom } from '../ingest/decide.ts'
import type { FleetRecord, Offsets, PartitionEpoch } from '../topology/dualwrite-records.ts'
import { mainBranch } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { Condition, Put, Store } from '../topology/store.ts'
import { absent, listRecords, put, readRecord, unchanged } from '../topology/typed.ts'
import type { Versioned } from '../topology/typed.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'

/** What goes into the commit that makes the fleet. */
export type FirstVersions = { readonly conditions: readonly Condition[]; readonly puts: readonly Put[] }

/** What a consumer that takes the partition finds: the versions of the other branch, the oldest from this one's own start on where that lies before. */
export function versionsFrom(start: bigint, others: readonly VersionFrom[]): VersionFrom[] {
  return others.map((one, i) => (i === 0 && BigInt(one.from) > start ? { version: one.version, from: String(start) } : one))
}

/**
 * For a fleet with these start offsets. Nothing where no other branch takes the topic by this definition.
 *
 * The other fleet's record is a condition: a version that comes meanwhile changes it. What its partitions have of the version that it stands in does not change.
 *
 * @throws SW-DUALWRITE-028 when the other fleet has not fixed yet from where on its version counts
 */
export async function firstVersions(
  store: Store,
  fleet: { readonly name: string; readonly keyspace: string; readonly branch: string; readonly topicId: string; readonly topicUrl: string },
  definition: Pick<TopicDefinition, 'digest' | 'version'>,
  startOffsets: Offsets,
): Promise<FirstVersions> {
  const others = (await listRecords<FleetRecord>(store, keys.fleets)).filter(
    ({ value }) =>
      value.keyspace === fleet.keyspace &&
      value.branch !== fleet.branch &&
      value.topicId === fleet.topicId &&
      value.definitionDigest === definition.digest,
  )
  const other = others.find(({ value }) => value.branch === mainBranch) ?? others[0]
  if (other === undefined) return { conditions: [], puts: [] }
  const conditions: Condition[] = [unchanged(other)]
  const puts: Put[] = []
  const behind: string[] = []
  for (const [partition, start] of Object.entries(startOffsets)) {
    const theirs = (await epochOf(store, other.value.name, partition))?.value.versions ?? []
    // Not begun: when it does, it decodes all by the version that we begin with.
    const newest = theirs.at(-1)
    if (newest === undefined) continue
    if (newest.version < definition.version) behind.push(partition)
    const own = await epochOf(store, fleet.name, partition)
    // A fleet that is made again goes on as it was.
    if (own?.value.versions !== undefined) continue
    const key = keys.partitionEpoch(fleet.name, Number(partition))
    conditions.push(own === null ? absent(key) : unchanged(own))
    puts.push(
      put<PartitionEpoch>(key, { v: 1, epoch: 0, ...own?.value, versions: versionsFrom(BigInt(own?.value.start ?? start), theirs) }),
    )
  }
  if (behind.length > 0)
    throw dualwriteErrors.versionNotTaken({
      fleet: other.value.name,
      version: definition.version,
      partitions: behind.join(', '),
      topic: fleet.topicUrl,
    })
  return { conditions, puts }
}

function epochOf(store: Store, fleet: string, partition: string): Promise<Versioned<PartitionEpoch> | null> {
  return readRecord<PartitionEpoch>(store, keys.partitionEpoch(fleet, Number(partition)))
}
