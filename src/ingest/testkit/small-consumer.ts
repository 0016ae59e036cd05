import type { ConsumerConfig } from '../consumer-options.ts'

/** Short leases and small batches: so that little data meets every rule. */
export const smallConsumer: Partial<ConsumerConfig> = {
  leaseMs: 1500,
  reconcileMs: 50,
  reportMs: 50,
  batchRecords: 50,
  batchRecordsMax: 100,
  lingerMs: 5,
  lazyMs: 50,
  pingMs: 400,
  purgeMs: 1e9,
}
