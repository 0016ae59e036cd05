/** What a lane sends when, against something that keeps positions as a server does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../../test/kit/until.ts'
import { systemClock } from '../base/clock.ts'
import { ServerError } from '../mysql/errors.ts'
import type { Chunk, Item } from './batch.ts'
import { noIngestFailpoints } from './crash-points.ts'
import { ShardLane, type LaneOptions } from './shard-lane.ts'
import { PositionKeeper } from './testkit/position-keeper.ts'

const config = { batchRecords: 10, batchRecordsMax: 20, lingerMs: 1, lazyMs: 40, pingMs: 1000, repeatsMax: 3 }

/** Records [from, to) of a partition that make no rows: what moves is positions. */
function chunk(partition: number, from: number, to: number, items = true): Chunk {
  const list = Array.from({ length: items ? to - from : 0 }, (_, i): Item => ({
    record: { partition, offset: BigInt(from + i), timestampMs: 0, key: null, value: null },
    eventTimeMs: 1,
    rows: [],
    dead: null,
  }))
  return { partition, to: BigInt(to), leaderEpoch: 0, items: list, bytes: list.length }
}

class Bench implements AsyncDisposable {
  readonly server = new PositionKeeper()
  readonly lane: ShardLane
  readonly #stop = new AbortController()
  #running: Promise<void> | null = null

  constructor(options: Partial<LaneOptions> = {}) {
    this.lane = new ShardLane({
      shard: '-',
      schema: 's',
      key: { shardUid: 'u', branchId: 'b', topicId: 't' },
      tables: () => [],
      connect: async () => this.server.connection(),
      leaseStands: async () => true,
      config,
      clock: systemClock,
      failpoints: noIngestFailpoints,
      onWentBack: () => assert.fail('it did not go back'),
      onLost: () => assert.fail('nobody else has it'),
      onNoPartition: async () => false,
      onPoison: () => assert.fail('no poison'),
      onTrouble: (error) => assert.fail(String(error)),
      onWritten: () => undefined,
      isHeld: () => false,
      ...options,
    })
  }

  async start(...partitions: number[]): Promise<void> {
    for (const partition of partitions) await this.lane.fence(partition, 1n, 0n, this.#stop.signal)
    this.#running = this.lane.run(this.#stop.signal)
  }

  next(partition: number): bigint {
    return this.server.positions.get(partition)?.next ?? -1n
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
  }
}

test('4.6: positions move over offsets without rows also behind a backlog that never ends', async () => {
  let fed = 0
  const feed = (): void => {
    // Faster than it is written: 20 records and 20 offsets of another partition that has nothing for this shard.
    for (; bench.lane.hungry; fed += 20) {
      bench.lane.push(chunk(0, fed, fed + 20))
      bench.lane.push(chunk(1, fed, fed + 20, false))
      bench.lane.push(chunk(2, fed, fed + 20, false))
    }
  }
  await using bench = new Bench({ onWritten: feed })
  await bench.start(0, 1, 2)
  feed()
  await until('a backlog of some length', () => bench.next(0) > 200n)
  const at = bench.next(0)
  await until('positions without rows', () => bench.next(1) >= at && bench.next(2) >= at, 10_000)
  // Lazily: not one transaction more for it, and not with each.
  const along = bench.server.committed.filter((sqls) => sqls.length > 1).length
  assert.ok(along > 0 && along < bench.server.committed.length / 2, `${along} of ${bench.server.committed.length}`)
  assert.ok(bench.server.committed.every((sqls) => sqls.some((sql) => /partition_no=0 /.test(sql))))
})

test('a record that stops its partition leaves what is queued of the partitions whose positions were to move along', async () => {
  const poisoned: string[] = []
  await using bench = new Bench({
    config: { ...config, lazyMs: 0 },
    onPoison: ({ record }) => {
      poisoned.push(`${record.partition}/${record.offset}`)
      return false
    },
  })
  let refusals = 0
  bench.server.refuse = (sql) => {
    if (!/SET next_offset=.*partition_no=0 /s.test(sql)) return
    // Records of the other partition wait by now.
    if (refusals++ === 0) bench.lane.push(chunk(1, 7, 30))
    throw new ServerError(4025, '23000', 'CONSTRAINT `small` failed')
  }
  await bench.start(0, 1)
  bench.lane.push(chunk(1, 0, 7, false))
  bench.lane.push(chunk(0, 0, 1))
  const committed = (): string[] => bench.server.committed.flat().filter((sql) => /partition_no=1 /.test(sql))
  await until('all of the other partition', () => committed().some((sql) => sql.includes('next_offset=30,')), 10_000)
  assert.deepEqual([poisoned, bench.next(0)], [['0/0'], 0n])
  const records = committed().reduce((sum, sql) => sum + Number(/records=records\+(\d+)/.exec(sql)?.[1]), 0)
  assert.equal(records, 23, 'each record of it once')
})
