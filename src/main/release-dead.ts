/**
 * A child that the operating system says has ended can do nothing any more: what it held by a lease is let go at once, and whoever comes next
 * need not wait for the lease to run out. (A control that dies in the middle of a switch would hold writes that long.)
 *
 * Why it is safe: records are found by the process id in their holder's name, and a name belongs to one start of one process. The
 * record goes only in the version that was read, and what its holder prepared fails on that version from then on, as after a lease's end.
 */
import type { ConsumerRecord, PartitionLease } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { LeaderRecord, StreamOwner } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, readRecord } from '../topology/typed.ts'

/** Returns the keys that were let go. */
export async function releaseDead(store: Store, pid: number): Promise<string[]> {
  const its = (holder: string): boolean => /^[a-z]+-(\d+)-/.exec(holder)?.[1] === String(pid)
  const held: { key: string; version: number }[] = []
  const leader = await readRecord<LeaderRecord>(store, keys.leader)
  if (leader !== null && its(leader.value.holder)) held.push(leader)
  for (const owner of await listRecords<StreamOwner>(store, keys.streamOwners)) if (its(owner.value.mover)) held.push(owner)
  for (const prefix of [keys.movers, keys.gates]) {
    for (const record of await listRecords<{ v: 1; id: string }>(store, prefix)) if (its(record.value.id)) held.push(record)
  }
  for (const consumer of await listRecords<ConsumerRecord>(store, keys.consumers)) if (its(consumer.value.id)) held.push(consumer)
  for (const lease of await listRecords<PartitionLease>(store, 'ingest/')) if (its(lease.value.holder)) held.push(lease)
  const released: string[] = []
  for (const { key, version } of held) {
    const result = await store.commit([{ key, version }], [{ key, value: undefined }])
    if (result.ok) released.push(key)
  }
  return released
}
