/** PROTOCOLS 4.10: which instant rows expire by. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TopicTime, type PartitionSeen } from './topic-time.ts'

const restMs = 1000
/** Newest event of each partition, `+` behind it where it is read to its end. */
const seen = (...partitions: readonly (readonly [number | null, 'read' | 'behind'])[]): Map<number, PartitionSeen> =>
  new Map(partitions.map(([newestMs, how], partition) => [partition, { newestMs, readToEnd: how === 'read' }]))

/** The same is seen at 0 and at each of these. */
function looks(of: ReadonlyMap<number, PartitionSeen>, partitions: number, ...atMs: number[]): (number | null)[][] {
  const time = new TopicTime(restMs)
  return [0, ...atMs].map((at) => {
    const { ms, heldBy } = time.look(of, partitions, { wallMs: 1e15, monotonicMs: at })
    return [ms, heldBy]
  })
}

test('4.10: one clock that runs ahead moves nothing while another partition has none such, and never beyond our own; unknown is not zero', () => {
  assert.deepEqual(looks(seen([100, 'read'], [9e15, 'read']), 2), [[100, 0]])
  assert.deepEqual(looks(seen([9e15, 'read']), 1), [[1e15, 0]])
  assert.deepEqual(looks(seen([100, 'behind'], [null, 'behind']), 2), [[null, 1]])
  assert.deepEqual(looks(seen([100, 'behind']), 2, 5000), [[null, 1], [null, 1]], 'one that nothing is known of') // prettier-ignore
})

test('4.10: a partition that is empty, or lost its producer, holds nothing back once it has rested; one that is behind does, for as long as it is', () => {
  const events = { ms: 5000, at: 0 }
  const run = (other: readonly [number | null, 'read' | 'behind']): (number | null)[][] => {
    const time = new TopicTime(restMs)
    return [0, 999, 1000, 9000].map((at) => {
      const { ms, heldBy } = time.look(seen([events.ms + at, 'read'], other), 2, { wallMs: 1e15, monotonicMs: at })
      return [ms, heldBy]
    })
  }
  assert.deepEqual(run([null, 'read']), [[null, 1], [null, 1], [6000, 0], [14000, 0]]) // prettier-ignore
  assert.deepEqual(run([70, 'read']), [[70, 1], [70, 1], [6000, 0], [14000, 0]]) // prettier-ignore
  assert.deepEqual(run([null, 'behind']), Array(4).fill([null, 1]))
  assert.deepEqual(run([70, 'behind']), Array(4).fill([70, 1]))
})

test('4.10: an event ends the rest, and begins it anew', () => {
  const time = new TopicTime(restMs)
  const look = (at: number, other: number): number | null =>
    time.look(seen([50_000 + at, 'read'], [other, 'read']), 2, { wallMs: 1e15, monotonicMs: at }).ms
  assert.deepEqual([look(0, 70), look(1000, 70)], [70, 51_000])
  // It comes back with what it had kept: those rows are late or not by the floor that stands, and time goes by it again.
  assert.deepEqual([look(1500, 80), look(2400, 80), look(2500, 80)], [80, 80, 52_500])
})

test('4.10: when all rest, time stands where those that had events say; a topic without any has none', () => {
  assert.deepEqual(looks(seen([300, 'read'], [200, 'read'], [null, 'read']), 3, 1000), [[null, 2], [200, null]]) // prettier-ignore
  assert.deepEqual(looks(seen([null, 'read'], [null, 'read']), 2, 1000), [[null, 0], [null, null]]) // prettier-ignore
})
