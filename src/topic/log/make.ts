/** Makes, grows and removes embedded logs. */
import { basename } from 'node:path'
import { rename, rm, mkdir } from 'node:fs/promises'
import { randomBytes, randomUUID } from 'node:crypto'
import { systemClock } from '../../base/clock.ts'
import { topicErrors } from '../errors.ts'
import type { TopicSpec } from '../topic.ts'
import { makeTopicFolder, partitionDir, readTopicFile, writeTopicFile, writeWhole } from './folder.ts'
import { AppendLock } from './lock.ts'
import { emptyPartition, encodeState, readState, stateFile } from './state.ts'

const segmentBytesDefault = 16 << 20
const segmentMsDefault = 7 * 86_400_000
export const partitionsMax = 1024

export async function createLog(dir: string, spec: TopicSpec): Promise<void> {
  if (!Number.isInteger(spec.partitions) || spec.partitions < 1 || spec.partitions > partitionsMax)
    throw topicErrors.badRequest({ topic: basename(dir), reason: `${spec.partitions} partitions: 1 to ${partitionsMax} are possible` })
  const text = (value: bigint | null | undefined): string | null => (value === undefined || value === null ? null : String(value))
  await makeTopicFolder(dir, {
    partitions: spec.partitions,
    retentionMs: text(spec.retentionMs),
    retentionBytes: text(spec.retentionBytes),
    retentionMsOwn: spec.retentionMs !== undefined,
    segmentBytes: Math.min(spec.segmentBytes ?? segmentBytesDefault, 1 << 30),
    segmentMs: spec.segmentMs ?? segmentMsDefault,
  })
}

/** More partitions: every open read and producer of the topic stops with SW-TOPIC-002. */
export async function addLogPartitions(dir: string, partitions: number): Promise<void> {
  const lock = new AppendLock(dir, systemClock, 10_000)
  try {
    await lock.hold(async () => {
      const file = await readTopicFile(dir)
      const state = readState(dir)
      if (partitions <= file.partitions || partitions > partitionsMax || state === null)
        throw topicErrors.badRequest({
          topic: basename(dir),
          reason: `it has ${file.partitions} partitions; ${partitions} is not possible`,
        })
      for (let partition = file.partitions; partition < partitions; partition++)
        await mkdir(partitionDir(dir, partition), { recursive: true })
      const rows = [...state.partitions, ...Array.from({ length: partitions - file.partitions }, () => emptyPartition)]
      await writeTopicFile(dir, { ...file, partitions })
      await writeWhole(stateFile(dir), encodeState({ session: randomBytes(8).readBigUInt64LE(0), sequence: 0n, partitions: rows }))
    })
  } finally {
    lock.close()
  }
}

export async function removeLog(dir: string): Promise<void> {
  await readTopicFile(dir)
  const away = `${dir}.${randomUUID()}.gone`
  await rename(dir, away)
  await rm(away, { recursive: true, force: true })
}
