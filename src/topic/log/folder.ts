/**
 * A log topic's folder:
 *
 *   topic.json        what it was made with; rewritten whole when retention or the partition count changes
 *   state             how far each partition goes (state.ts)
 *   lock              who may append (lock.ts)
 *   <partition>/      <base offset>.log segments, <base offset>.index beside each, epochs (epochs.ts)
 */
import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { topicErrors } from '../errors.ts'
import { emptyPartition, encodeState, stateFile } from './state.ts'

export type TopicFile = {
  readonly v: 1
  readonly id: string
  readonly partitions: number
  readonly retentionMs: string | null
  readonly retentionBytes: string | null
  /** False: `retentionMs` is the default (unlimited). */
  readonly retentionMsOwn: boolean
  readonly segmentBytes: number
  readonly segmentMs: number
}

export const partitionDir = (dir: string, partition: number): string => join(dir, String(partition))
export const segmentFile = (dir: string, partition: number, base: bigint): string =>
  join(partitionDir(dir, partition), `${String(base).padStart(20, '0')}.log`)
export const indexFile = (dir: string, partition: number, base: bigint): string =>
  join(partitionDir(dir, partition), `${String(base).padStart(20, '0')}.index`)

/** Base offsets of a partition's segments, in order. */
export async function segmentsOf(dir: string, partition: number): Promise<bigint[]> {
  const names = await readdir(partitionDir(dir, partition))
  return names
    .filter((name) => /^\d{20}\.log$/.test(name))
    .map((name) => BigInt(name.slice(0, 20)))
    .sort((a, b) => (a < b ? -1 : 1))
}

export async function readTopicFile(dir: string): Promise<TopicFile> {
  let text: string
  try {
    text = await readFile(join(dir, 'topic.json'), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw topicErrors.noTopic({ topic: basename(dir), where: dirname(dir) }, error)
    throw topicErrors.diskTrouble({ dir, reason: (error as Error).message }, error)
  }
  const file = parse(dir, text)
  if (file.v !== 1) throw topicErrors.newerLog({ dir, found: file.v, known: 1 })
  return file
}

function parse(dir: string, text: string): TopicFile {
  try {
    return JSON.parse(text) as TopicFile
  } catch (error) {
    throw topicErrors.logDamaged({ file: join(dir, 'topic.json'), position: 0, reason: (error as Error).message }, error)
  }
}

/** Whole or not at all, on disk before it returns. Callers hold the topic's lock, or make the topic. */
export async function writeWhole(file: string, bytes: string | Uint8Array): Promise<void> {
  const temporary = `${file}.new`
  const handle = await open(temporary, 'w', 0o644)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
  await syncDir(dirname(file))
}

/** A new file's name is durable only when its folder is. */
export async function syncDir(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export async function writeTopicFile(dir: string, file: TopicFile): Promise<void> {
  await writeWhole(join(dir, 'topic.json'), `${JSON.stringify(file, null, 2)}\n`)
}

/** Makes an empty topic. It appears under its name whole or not at all; made twice at once, one gets SW-TOPIC-014. */
export async function makeTopicFolder(dir: string, spec: Omit<TopicFile, 'v' | 'id'>): Promise<void> {
  const temporary = `${dir}.${randomUUID()}.new`
  await mkdir(temporary, { recursive: true })
  try {
    for (let partition = 0; partition < spec.partitions; partition++) await mkdir(partitionDir(temporary, partition))
    await writeTopicFile(temporary, { v: 1, id: randomUUID(), ...spec })
    const partitions = Array.from({ length: spec.partitions }, () => emptyPartition)
    await writeWhole(stateFile(temporary), encodeState({ session: 0n, sequence: 0n, partitions }))
    await rename(temporary, dir)
    await syncDir(dirname(dir))
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') {
      const there = await readTopicFile(dir).catch(() => null)
      throw topicErrors.topicExists({ topic: dir, partitions: there?.partitions ?? 'unknown' }, error)
    }
    throw topicErrors.diskTrouble({ dir, reason: (error as Error).message }, error)
  }
}
