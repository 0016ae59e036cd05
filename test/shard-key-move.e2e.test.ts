/**
 * A row whose shard key changes by an UPDATE moves between shards: while the row itself is being moved, in a split and in a
 * merge. It must end on exactly one shard, the right one (promises 1, 3). The gate refuses such an UPDATE as soon as the
 * vschema says that the keyspace is sharded (asserted), so the writers here are clients that go past it, as a batch job would.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import mysql from 'mysql2/promise'
import { systemClock } from '../src/base/clock.ts'
import { homesOf } from '../src/demo/final-check.ts'
import type { ShardAddress } from '../src/demo/final-check.ts'
import { ranges } from '../src/demo/story.ts'
import { database, table } from '../src/demo/workload.ts'
import { Installation, connectionOf } from './kit/installation.ts'
import { until } from './kit/until.ts'
import { ReshardUnderTest } from './kit/workflow.ts'

const rows = 6000

test('promises 1, 3: rows whose shard key changes while they move end on exactly one shard', { timeout: 300_000 }, async (t) => {
  await using installation = await Installation.start({ rows, leaseMs: 2000 })
  const stop = [new AbortController(), new AbortController()] as const
  try {
    await t.test('in a split, by clients of the source', async () => {
      const split = ReshardUnderTest.even(installation.client, 1, 4)
      const users = new Map<number, number>()
      let moves = 0
      const writers = [0, 1, 2].map((writer) =>
        installation.onExisting(async (connection) => {
          await connection.query(`USE ${database}`)
          await moveUsers(connection, { stop: stop[0].signal, users, first: 1 + writer, step: 3, onMove: () => moves++ })
        }),
      )
      await until('writers to have begun', () => users.size > 50)
      await split.create()
      await split.untilFollowing()
      // Changes, not rows: on a quick machine every row has changed by then.
      const copied = moves
      await until('rows to change their key after the copy', () => moves > copied + 100)
      stop[0].abort()
      await Promise.all(writers)
      await split.act('switchtraffic')
      await installation.throughGate((connection) => connection.query(`UPDATE ${table} SET user_id = 5 WHERE log_id = 1`))
      users.set(1, 5)
      await everyRowOnce(installation, ranges(4), users)
      const vdiff = await split.vdiff()
      assert.equal(vdiff.state, 'clean', JSON.stringify(vdiff.tables))
      t.diagnostic(`${users.size} rows changed their shard key, in ${moves} changes, ${copied} of them before the copy was done`)
      await split.act('complete')
    })
    await t.test('in a merge, by transactions over two sources', async () => {
      const merge = ReshardUnderTest.even(installation.client, 4, 2)
      const moved: Moved = { users: new Map(), moves: 0 }
      const addresses = await installation.addresses(ranges(4))
      const writer = moveBetween(addresses, moved, stop[1].signal)
      await until('the writer to have begun', () => moved.moves > 20)
      await merge.create()
      await merge.untilFollowing()
      const copied = moved.moves
      await until('rows to move after the copy', () => moved.moves > copied + 50)
      stop[1].abort()
      await writer
      await merge.actWhenReady('switchtraffic')
      await everyRowOnce(installation, ranges(2), moved.users)
      const vdiff = await merge.vdiff()
      assert.equal(vdiff.state, 'clean', JSON.stringify(vdiff.tables))
      const asked = { dryRun: true, requireVdiff: true }
      await merge.actWhenReady('reversetraffic', asked)
      const [old = ''] = ranges(4)
      await installation.onShard(old, (connection) => connection.query(`ALTER TABLE ${table} ADD COLUMN late INT NULL`))
      const refused = await merge.outcome(await merge.ask('reversetraffic', asked))
      assert.deepEqual(
        refused.errors.map(({ code }) => code),
        ['SW-CHANGE-021'],
      )
      assert.match(refused.errors[0]?.what ?? '', /was altered since it was compared/)
      t.diagnostic(`${moved.moves} moves of rows between sources, ${copied} of them before the copy was done`)
      await merge.act('complete')
    })
  } catch (error) {
    throw installation.describe(error)
  } finally {
    for (const writers of stop) writers.abort()
  }
})

type Moves = {
  readonly stop: AbortSignal
  readonly users: Map<number, number>
  readonly first: number
  readonly step: number
  readonly onMove: () => void
}

/** Gives row after row another user, round and round: some rows change their shard several times. */
async function moveUsers(connection: mysql.Connection, { stop, users, first, step, onMove }: Moves): Promise<void> {
  for (let round = 1; !stop.aborted; round++) {
    for (let logId = first; logId <= rows && !stop.aborted; logId += step) {
      const user = 1 + ((logId * 31 + round * 977) % 20_000)
      const [result] = await connection.query(`UPDATE ${table} SET user_id = ?, reps = reps + 1 WHERE log_id = ?`, [user, logId])
      assert.equal((result as { affectedRows: number }).affectedRows, 1)
      users.set(logId, user)
      onMove()
      // It is the moves that count, not how many: as fast as a source can, none could follow on every machine.
      await systemClock.sleep(1)
    }
  }
}

/** The last user of each row that was touched, and how often one went to another shard. */
type Moved = { readonly users: Map<number, number>; moves: number }

/**
 * What a key change is on a sharded keyspace: a delete on one source and an insert on another, in either order of commit. The row
 * keeps its id, so the merge's target sees the same key from two streams.
 */
async function moveBetween(addresses: readonly ShardAddress[], moved: Moved, stop: AbortSignal): Promise<void> {
  const connections = await Promise.all(
    addresses.map((address) => mysql.createConnection({ ...connectionOf(address), supportBigNumbers: true })),
  )
  try {
    const names = addresses.map((address) => address.name)
    const [found] = await connections[0]!.query(`SELECT log_id FROM ${table} ORDER BY log_id LIMIT 400`)
    const ids = (found as { log_id: number }[]).map((row) => row.log_id)
    assert.ok(ids.length > 0, 'the first shard has rows')
    const at = new Map(ids.map((id) => [id, 0]))
    for (let round = 1; !stop.aborted; round++) {
      for (const id of ids) {
        if (stop.aborted) break
        const user = 1 + ((id * 17 + round * 1231) % 20_000)
        const from = at.get(id)!
        const to = names.indexOf(homesOf([user], names).get(user)!)
        const [one] = await connections[from]!.query(`SELECT * FROM ${table} WHERE log_id = ?`, [id])
        const row = { ...(one as Record<string, unknown>[])[0]!, user_id: user }
        if (from === to) {
          await connections[from]!.query(`UPDATE ${table} SET user_id = ? WHERE log_id = ?`, [user, id])
        } else if (round % 2 === 0) {
          await connections[from]!.query(`DELETE FROM ${table} WHERE log_id = ?`, [id])
          await connections[to]!.query(`INSERT INTO ${table} SET ?`, [row])
        } else {
          // For a moment the row stands on both: what a multi-shard transaction without two phases looks like between its commits.
          await connections[to]!.query(`INSERT INTO ${table} SET ?`, [row])
          await connections[from]!.query(`DELETE FROM ${table} WHERE log_id = ?`, [id])
        }
        at.set(id, to)
        moved.users.set(id, user)
        if (from !== to) moved.moves++
      }
    }
  } finally {
    for (const connection of connections) await connection.end()
  }
}

/** Read directly: every row of the table is there once, on its home, and those that were moved belong to their last user. */
async function everyRowOnce(installation: Installation, shards: readonly string[], users: ReadonlyMap<number, number>): Promise<void> {
  const seen = new Map<number, string>()
  for (const shard of shards) {
    await installation.onShard(shard, async (connection) => {
      const [found] = await connection.query(`SELECT log_id, user_id FROM ${table}`)
      const here = found as { log_id: number; user_id: number }[]
      const homes = homesOf(new Set(here.map((row) => row.user_id)), shards)
      for (const { log_id, user_id } of here) {
        assert.equal(seen.get(log_id), undefined, `row ${log_id} is on ${seen.get(log_id)} and on ${shard}`)
        seen.set(log_id, shard)
        assert.equal(homes.get(user_id), shard, `row ${log_id} of user ${user_id}`)
        assert.equal(user_id, users.get(log_id) ?? user_id, `row ${log_id} has an older user`)
      }
    })
  }
  assert.equal(seen.size, rows, 'no row is missing')
}
