/**
 * The whole way under traffic: an attached server, 1 → 4 with vdiff, switch, way back, switch, complete, while an application
 * works through the gate. Then what `cancel` removes, and what it leaves alone.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../src/base/clock.ts'
import { Story, ranges } from '../src/demo/story.ts'
import { database } from '../src/demo/workload.ts'
import { Installation } from './kit/installation.ts'
import { until } from './kit/until.ts'
import { ReshardUnderTest } from './kit/workflow.ts'

test('promises 1, 2, 5, 12: 1 → 4 there, back, there and complete under traffic; then a cancel', { timeout: 240_000 }, async (t) => {
  await using installation = await Installation.start({ rows: 10_000 })
  const told: string[] = []
  const application = installation.startApplication()
  const { client } = installation
  try {
    await until('the application to work', () => application.seconds.length >= 2)
    const story = new Story({
      client,
      clock: systemClock,
      say: (line) => void told.push(line),
      steps: [1, 4],
      seconds: application.seconds,
      // As if its stream had found too little of it left.
      beforeSwitch: () =>
        installation.onAttached(async (connection) => {
          const table = '_shardwright.move_retention_raised'
          await connection.query(
            `CREATE TABLE IF NOT EXISTS ${table} (raised_s BIGINT UNSIGNED NOT NULL PRIMARY KEY, before_s BIGINT UNSIGNED NOT NULL)`,
          )
          await connection.query(`REPLACE INTO ${table} VALUES (14400, 7200)`)
          await connection.query('SET GLOBAL binlog_expire_logs_seconds = 14400')
        }),
      quietMs: 700,
    })
    await story.reshard(1, 4)
    assert.deepEqual(
      story.phases.map((phase) => phase.phase),
      ['create', 'copy and catch up', 'vdiff', 'switchtraffic', 'reversetraffic', 'switchtraffic', 'complete'],
    )
    for (const { verb, failed, slowestWriteMs } of story.switches) {
      t.diagnostic(`${verb}: slowest write ${Math.round(slowestWriteMs)} ms`)
      assert.equal(failed, 0, `${verb}: statements that were held and failed`)
    }

    // Another workflow, given up: what it made goes, and nothing else.
    const before = {
      shards: (await client.call('listShards', { keyspace: database })).map((s) => s.name),
      servers: serverDirs(installation),
    }
    const again = ReshardUnderTest.even(client, 4, 8)
    await again.create()
    await again.untilFollowing()
    const made = serverDirs(installation).filter((id) => !before.servers.includes(id))
    assert.ok(made.length > 0, 'the workflow has made servers')
    await again.act('cancel')
    assert.deepEqual(serverDirs(installation), before.servers, 'the servers that it made are gone, the others are not')
    const view = await client.call('showKeyspace', { keyspace: database })
    assert.deepEqual(view.shards.map((s) => s.name).sort(), before.shards.sort())
    assert.ok(view.routing.components.every((c) => c.workflow === null && c.phase === 'stable'))
    const shown = await again.show()
    assert.equal(shown.state, 'cancelled')
    assert.deepEqual(shown.streams, [])
    await until('the application to go on a while', () => application.seconds.length >= 2)
  } catch (error) {
    throw installation.describe(new Error(`${String(error)}\n${told.slice(-25).join('\n')}`, { cause: error }))
  }
  const ended = await application.stop()
  assert.deepEqual(ended.errors, [], 'no error at the client')
  assert.equal(ended.wrongReads, 0, 'the application read its own writes')
  const check = await installation.check(ranges(4))
  t.diagnostic(`${ended.operations} operations, ${check.acknowledged} writes acknowledged, ${check.rows} rows`)
  assert.ok(check.acknowledged > 500, 'the application has written')
  assert.equal(check.unknown, 0)
  assert.deepEqual(
    { lost: check.lost, doubled: check.doubled, misplaced: check.misplaced, ids: check.duplicateIds },
    { lost: [], doubled: [], misplaced: [], ids: [] },
  )
  // The old side was attached, not ours to drop: it keeps its rows, and is closed to clients, root among them.
  await installation.onAttached(async (connection) => {
    const [rows] = await connection.query(`SELECT COUNT(*) AS n FROM ${database}.exercise_log`)
    assert.ok((rows as { n: number }[])[0]!.n > 5000)
    const [kept] = await connection.query('SELECT @@GLOBAL.binlog_expire_logs_seconds AS n')
    assert.equal((kept as { n: number }[])[0]!.n, 7200, 'what a stream had raised is as it was')
  })
  await assert.rejects(
    installation.onExisting((connection) => connection.query('SELECT 1')),
    { errno: 4151 },
  )
})

function serverDirs(installation: Installation): string[] {
  const root = join(installation.dataDir, 'servers')
  return existsSync(root)
    ? readdirSync(root)
        .filter((name) => !name.startsWith('.'))
        .sort()
    : []
}
