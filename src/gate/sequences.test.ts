/** Of ids that a sequence gives: those of one taker are consecutive, whoever draws beside it, and none is given twice. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import type { Core } from './core.ts'
import { Sequences } from './sequences.ts'

const { signal } = new AbortController()

/** Gate processes over one table of a sequence. */
function processes(count: number, cache: number): Sequences[] {
  let next = 1n
  // The row is locked from BEGIN to COMMIT.
  let free = Promise.resolve()
  let release = (): void => {}
  const connection = {
    async query(sql: string): Promise<void> {
      if (sql === 'BEGIN') {
        const before = free
        let end = (): void => {}
        free = new Promise((resolve) => (end = resolve))
        await before
        release = end
      } else if (sql === 'COMMIT') release()
      else next = BigInt(/SET next_id = (\d+)/.exec(sql)?.[1] ?? 0)
    },
    one: () => Promise.resolve({ next_id: Buffer.from(String(next)), cache: Buffer.from(String(cache)) }),
    destroy() {},
  }
  const shard = { traffic: { writes: 0 }, keyspace: 'ids', name: '-' }
  const core = {
    clock: systemClock,
    config: { sharedReadMs: 1_000 },
    holds: { active: false },
    ready: () => Promise.resolve({ shards: [shard], version: 1 }),
    pools: { connect: () => Promise.resolve(connection) },
  } as unknown as Core
  return Array.from({ length: count }, () => new Sequences(core))
}

test('ids of one statement are consecutive where a block ends within it and another process has drawn the next', async () => {
  const [a, b] = processes(2, 10) as [Sequences, Sequences]
  const given: bigint[] = []
  const take = async (from: Sequences, count: number): Promise<bigint> => {
    const ids = await from.take({ keyspace: 'ids', table: 's' }, 'app', count, signal)
    assert.equal(ids.length, count)
    for (const [i, id] of ids.entries()) assert.equal(id, (ids[0] as bigint) + BigInt(i), ids.join())
    given.push(...ids)
    return ids[0] ?? 0n
  }
  assert.equal(await take(a, 8), 1n)
  assert.equal(await take(b, 3), 11n)
  assert.equal(await take(a, 5), 21n)
  assert.equal(await take(b, 25), 31n)
  assert.equal(await take(a, 5), 26n)
  assert.equal(await take(b, 1), 56n, 'more than a block was wanted, and taken')
  // What is left is one with what comes next where nobody was served between.
  assert.equal(await take(b, 12), 57n)
  await Promise.all(Array.from({ length: 60 }, (_, i) => take(i % 2 === 0 ? a : b, 1 + ((i * 7) % 23))))
  assert.equal(new Set(given).size, given.length)
})
