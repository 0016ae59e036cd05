/** Every place where a consumer's death is interesting, by name. A test walks all of them (`crash.db.test.ts`). */
export const ingestCrashPoints = [
  'lease.acquired',
  'fence.beforeCommit',
  'fence.someShards',
  'version.fixed',
  'write.beforeSend',
  'write.sent',
  'write.beforeCommit',
  'write.commitSent',
  'write.committed',
  'advance.committed',
  'purge.floorRaised',
  'purge.somePartitions',
  'lease.releasing',
] as const

export type IngestCrashPoint = (typeof ingestCrashPoints)[number]

/** What a consumer does there: nothing in production. Tests kill or wait. */
export type IngestFailpoints = { hit(point: IngestCrashPoint): Promise<void> | undefined }

export const noIngestFailpoints: IngestFailpoints = { hit: () => undefined }
