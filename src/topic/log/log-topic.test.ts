/** A read of the embedded log whose attempt fails when it has records of one partition already: nothing of them is lost, and nothing comes twice. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mock, test } from 'node:test'
import { topicErrors } from '../errors.ts'
import { createTopic, openProducer, openTopic } from '../open.ts'
import type { TopicRecord } from '../topic.ts'
import { PartitionCursor } from './cursor.ts'

/** Three partitions of `count` records each; `fails` is called in place of the take of partition 1, once for each that it is to do. */
async function readThrough(
  count: number,
  fails: readonly ((send: () => Promise<unknown>) => Promise<never>)[],
): Promise<{ got: TopicRecord[]; sent: number; troubles: number }> {
  const dir = mkdtempSync(join(tmpdir(), 'sw-log-again-'))
  const url = `log://${dir}/t`
  await createTopic(url, { partitions: 3 })
  await using producer = await openProducer(url)
  const record = (partition: number) => ({ partition, key: null, value: Buffer.alloc(100, partition) })
  for (let i = 0; i < 3; i++) await producer.send(Array.from({ length: count }, () => record(i)))
  let sent = 3 * count
  const left = [...fails]
  const { take } = PartitionCursor.prototype
  const mocked = mock.method(PartitionCursor.prototype, 'take', async function (this: PartitionCursor, ...args: Parameters<typeof take>) {
    const fail = this.partition === 1 ? left.shift() : undefined
    if (fail === undefined) return take.apply(this, args)
    // Also this one has gone some way when it fails.
    await take.apply(this, [args[0], 150, []])
    return fail(async () => {
      await producer.send([record(2)])
      sent++
    })
  })
  const got: TopicRecord[] = []
  let troubles = 0
  try {
    await using topic = await openTopic(url)
    const stop = new AbortController()
    const limit = setTimeout(() => stop.abort(), 10_000)
    // Small batches, so that an attempt begins in the middle of one on disk.
    for await (const batch of topic.read(new Map([0, 1, 2].map((partition) => [partition, { offset: 0n }])), {
      bytesMax: 700,
      signal: stop.signal,
      idleMs: 50,
      onTrouble: () => troubles++,
    })) {
      got.push(...batch.records)
      if (got.length >= sent && batch.records.length === 0) stop.abort()
    }
    clearTimeout(limit)
  } finally {
    mocked.mock.restore()
    rmSync(dir, { recursive: true })
  }
  assert.equal(left.length, 0, 'every failure was met')
  return { got, sent, troubles }
}

function assertWhole({ got, sent }: { got: readonly TopicRecord[]; sent: number }): void {
  for (let partition = 0; partition < 3; partition++) {
    const offsets = got.filter((record) => record.partition === partition).map(({ offset }) => Number(offset))
    assert.deepEqual(
      offsets,
      Array.from({ length: offsets.length }, (_, i) => i),
      `partition ${partition}`,
    )
  }
  assert.equal(got.length, sent)
}

const gone = async (send: () => Promise<unknown>): Promise<never> => {
  // Retention took the segment away, and the log went on meanwhile: the attempt is made again under the state of now.
  await send()
  throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
}

test('an attempt that fails in its second partition gives back what it took of the first: the next one brings it', async () => {
  assertWhole(await readThrough(20, [gone]))
})

test('so when both attempts fail because the log can not be read just now, and reading goes on later', async () => {
  const unreachable = async (): Promise<never> => {
    throw topicErrors.unreachable({ topic: 't', reason: 'torn', where: 'state' })
  }
  const found = await readThrough(20, [unreachable, gone, unreachable])
  assertWhole(found)
  assert.equal(found.troubles, 2)
})
