/** What a new shard begins with when the rows of old ones meet in it (PROTOCOLS 4.17). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergePositions, type CarriedPosition, type OldPositions } from './carry.ts'

const row = (change: Partial<CarriedPosition> = {}): CarriedPosition => ({
  branchId: 'b',
  topicId: 't',
  partition: 0,
  epoch: 3n,
  next: 50n,
  leaderEpoch: 1,
  start: 10n,
  ranges: 4n,
  records: 40n,
  lateRows: 1n,
  deadRecords: 2n,
  newestMs: 100,
  ...change,
})
const old = (shard: string, positions: CarriedPosition[], counts = true): OldPositions => ({ shard, positions, counts })

test('rule 17: two old shards that stand alike: the greatest epoch, which refuses whoever was refused on either, and one account', () => {
  const { positions, disagreements } = mergePositions([
    old('-80', [row({ epoch: 3n, newestMs: 100 })]),
    old('80-', [row({ epoch: 5n, leaderEpoch: 2, newestMs: 90 })]),
  ])
  assert.deepEqual(disagreements, [])
  assert.deepEqual(positions, [row({ epoch: 5n, leaderEpoch: 2, ranges: 8n, records: 80n, lateRows: 2n, deadRecords: 4n })])
})

test('rule 17: two old shards that do not stand alike: no position is made up, both are named', () => {
  const { positions, disagreements } = mergePositions([
    old('-80', [row(), row({ partition: 1, next: 7n, start: 7n })]),
    old('80-', [row({ next: 51n })]),
  ])
  assert.deepEqual(
    positions.map(({ partition, next }) => [partition, next]),
    [[1, 7n]],
    'a missing row means the start offset, so it agrees with one that stands there (rule 2)',
  )
  assert.deepEqual(disagreements, [
    {
      topicId: 't',
      partition: 0,
      at: [
        { shard: '-80', next: 50n },
        { shard: '80-', next: 51n },
      ],
    },
  ])
  assert.equal(
    mergePositions([old('-80', [row()]), old('80-', [])]).disagreements.length,
    1,
    'a missing row is no agreement with a later one',
  )
  assert.equal(mergePositions([old('-80', [row()]), old('80-', [row({ start: 11n })])]).disagreements.length, 1)
})

test('rule 17: of the new shards of a split one goes on with the account, so that sums over shards stay', () => {
  const first = mergePositions([old('-', [row()])]).positions[0]
  const second = mergePositions([old('-', [row()], false)]).positions[0]
  assert.equal(first?.records, 40n)
  assert.equal(second?.records, 0n)
  assert.equal(second?.next, 50n)
})
