import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Chunk, Item } from './batch.ts'
import { LaneQueue } from './lane-queue.ts'

/** Records [from, to) of a partition. */
function chunk(from: number, to: number, partition = 0): Chunk {
  const items = Array.from(
    { length: to - from },
    (_, i) => ({ record: { partition, offset: BigInt(from + i) }, rows: [] }) as unknown as Item,
  )
  return { partition, to: BigInt(to), leaderEpoch: 0, items, bytes: 10 * (to - from) }
}

const offsets = (queue: LaneQueue, limit: number): string =>
  [...queue.take(limit)]
    .map(([partition, { to, items }]) => `${partition}: ${items.map(({ record }) => record.offset).join(' ')} to ${to}`)
    .join('; ')

test('4.6: what was read again, for another shard that went back, is taken once', () => {
  const queue = new LaneQueue()
  queue.push(chunk(10, 14))
  queue.push(chunk(5, 12))
  queue.push(chunk(12, 16))
  assert.equal(offsets(queue, 100), '0: 10 11 12 13 14 15 to 16')
  assert.deepEqual([queue.records, queue.bytes, queue.length], [0, 0, 0])
})

test('4.6: a range without records never takes an end back', () => {
  const queue = new LaneQueue()
  queue.push(chunk(10, 14))
  queue.push({ ...chunk(8, 8), to: 12n })
  assert.equal(offsets(queue, 100), '0: 10 11 12 13 to 14')
})

test('a batch is cut where its next record begins; what is put back comes first; bytes and records are those that are there', () => {
  const queue = new LaneQueue()
  queue.push(chunk(0, 4))
  queue.push(chunk(100, 103, 1))
  queue.push(chunk(4, 10))
  const first = queue.take(6)
  assert.deepEqual(
    [...first].map(([partition, { to, bytes }]) => [partition, to, bytes]),
    [
      [0, 4n, 40],
      [1, 102n, 20],
    ],
  )
  assert.deepEqual([queue.records, queue.bytes], [7, 70])
  queue.putBack([...first].map(([partition, { to, items, bytes }]) => ({ partition, from: 0n, to, leaderEpoch: 0, items, bytes })))
  assert.deepEqual([queue.records, queue.bytes], [13, 130])
  assert.equal(offsets(queue, 12), '0: 0 1 2 3 4 5 6 7 8 to 9; 1: 100 101 102 to 103')
  assert.deepEqual([queue.records, queue.bytes], [1, 10])
})

test('promise 8: ranges without records do not pile up beside a shard that is down, however partitions take turns', () => {
  const queue = new LaneQueue()
  queue.push(chunk(0, 3, 1))
  for (let i = 1; i <= 1000; i++) for (const partition of [0, 1, 2]) queue.push({ ...chunk(0, 0, partition), to: BigInt(10 * i) })
  assert.equal(queue.length, 3)
  // A record of one of them in between, and on.
  queue.push(chunk(10_000, 10_001, 2))
  queue.push({ ...chunk(0, 0, 2), to: 10_050n })
  assert.equal(queue.length, 4)
  assert.equal(offsets(queue, 2), '1: 0 1 to 2')
  queue.push({ ...chunk(0, 0, 1), to: 10_100n })
  assert.equal(offsets(queue, 100), '1: 2 to 10100; 0:  to 10000; 2: 10000 to 10050')
  assert.deepEqual([queue.records, queue.bytes, queue.length], [0, 0, 0])
})

test('what is put back of several chunks of a partition is followed by what came after', () => {
  const queue = new LaneQueue()
  queue.push(chunk(0, 4))
  const [partition, taken] = [...queue.take(100)][0]!
  queue.push({ ...chunk(0, 0), to: 6n })
  queue.putBack([{ partition, from: 0n, to: taken.to, leaderEpoch: 0, items: taken.items, bytes: taken.bytes }])
  queue.push({ ...chunk(0, 0), to: 9n })
  assert.equal(queue.length, 2)
  assert.equal(offsets(queue, 100), '0: 0 1 2 3 to 9')
  queue.push(chunk(9, 10))
  queue.drop(0)
  queue.push({ ...chunk(0, 0), to: 20n })
  assert.equal(offsets(queue, 100), '0:  to 20')
})
