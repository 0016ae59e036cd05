/**
 * Promise 1, 3: death at the crash points of DDL and of XA transactions, and while another takes over: what was half done is done once. As in `crash.db.test.ts`, a run is torn down at the
 * point and another begins from what stands on the targets.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { systemClock, type Clock } from '../base/clock.ts'
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { connect } from '../mysql/connect.ts'
import { isServerError } from '../mysql/errors.ts'
import type { PaceLimits } from '../topology/records.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { type ServerPair, ServerPairs } from '../../test/kit/server-pairs.ts'
import { crashPoints, type CrashPoint } from './crash-points.ts'
import { killAt } from './testkit/kill-at.ts'
import { execOf } from './testkit/samples.ts'
import { fill, World } from './testkit/world.ts'

const servers = new ServerPairs()
const all = process.env['SHARDWRIGHT_CRASH_ALL'] !== undefined
after(() => servers[Symbol.asyncDispose]())

/** What a minute brings comes at once. */
const hurried: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms >= 1_000 && ms <= 60_000 ? 30 : ms, signal) }

besideEachOther('movers that die at statements and XA transactions', (flavour) => {
  const on = (): Promise<ServerPair> => servers.of(flavour)

  for (const point of ['ddl.executed', 'ddl.done', 'ddl.definedOnSomeTargets'] as const)
    for (const skip of [0, 1])
      test(`promises 1, 3: ${flavour}, killed at ${point} (${skip + 1}) of a statement that takes a column away, or makes one narrower: the target that has it already is no other table`, async () => {
        if (!all && flavour === 'mysql' && point !== 'ddl.executed') return
        const ddl =
          'CREATE TABLE item (id BIGINT NOT NULL PRIMARY KEY, owner INT NOT NULL, v INT NOT NULL, gone INT NULL, name VARCHAR(50) NOT NULL)'
        await using world = await World.create(
          { flavour, sources: ['-'], targets: ['-80', '80-'], tables: [{ name: 'item', shardKey: 'owner', ddl }] },
          on(),
        )
        await using s = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
        await s.query(`INSERT INTO item VALUES ${Array.from({ length: 40 }, (_, i) => `(${i}, ${i * 7}, ${i}, ${i}, 'n${i}')`).join(',')}`)
        const record = execOf(world.record(0))
        for (const sql of ['ALTER TABLE item DROP COLUMN gone', 'ALTER TABLE item MODIFY name VARCHAR(20) NOT NULL']) {
          const failpoints = killAt(point, skip)
          let running = world.start(record, { failpoints })
          await world.untilRunning(record.uid)
          await s.query('UPDATE item SET v = v + 1')
          await s.query(sql)
          await s.query('UPDATE item SET v = v + 1')
          await running.done
          assert.match(world.reports.get(record.uid)?.error?.what ?? '', new RegExp(point))
          world.reports.delete(record.uid)
          running = world.start(record)
          await world.untilRunning(record.uid)
          await world.drain(record.uid)
          assert.equal(await world.assertEqual(), 40)
          await running.stop()
          world.reports.delete(record.uid)
        }
      })

  for (const point of crashPoints.filter((name) => name.startsWith('ddl.'))) {
    for (const phase of ['copying', 'following'] as const) {
      if (!all && flavour === 'mysql' && point !== 'ddl.executed') continue
      test(`promises 1, 3: ${flavour}, killed at ${point} while ${phase}, begun again: statements are done once, rows are the same`, async () => {
        const ddl =
          'CREATE TABLE item (id BIGINT NOT NULL, owner INT NOT NULL, a INT NOT NULL, b INT NOT NULL, PRIMARY KEY (id), UNIQUE KEY a (a), KEY b (b))'
        await using world = await World.create(
          { flavour, sources: ['-'], targets: ['-80', '80-'], tables: [{ name: 'item', shardKey: 'owner', ddl }] },
          on(),
        )
        await using s = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
        await s.query(`INSERT INTO item VALUES ${Array.from({ length: 60 }, (_, i) => `(${i}, ${i * 7}, ${i}, ${1000 + i})`).join(',')}`)
        const record = execOf(world.record(0))
        let pace: Partial<PaceLimits> = phase === 'copying' ? { pausedUntilMs: Date.now() + 1e9 } : {}
        const start = (skip: number) => {
          const failpoints = killAt(point, skip)
          return { failpoints, running: world.start(record, { failpoints, pace: () => pace }) }
        }
        let { failpoints, running } = start(1e9)
        if (phase === 'copying') await world.until('copying', () => running.stream.report().state === 'copying')
        else await world.untilRunning(record.uid)
        await running.stop()
        await s.query('ALTER TABLE item CHANGE a b INT NOT NULL, CHANGE b a INT NOT NULL')
        await s.query('UPDATE item SET a = a + 100, b = b + 1000')
        await s.query('ALTER TABLE item DROP INDEX b, ADD INDEX (owner)')
        await s.query('UPDATE item SET a = a + 100, owner = owner + 1')
        // Each run dies at another meeting of the point, of both statements on both targets.
        let died = 0
        for (const skip of [0, 1]) {
          world.reports.delete(record.uid)
          ;({ failpoints, running } = start(skip))
          const marker = await bumpControlMarker(world.s)
          const behind = (): boolean => world.reports.get(record.uid)?.targets.some(({ controlMarker }) => controlMarker < marker) !== false
          await world.until('the point, or all statements behind', () => failpoints.hits > skip || !behind())
          if (failpoints.hits > skip) {
            await running.done
            assert.match(world.reports.get(record.uid)?.error?.what ?? '', new RegExp(point))
            died++
          } else await running.stop()
        }
        assert.ok(died > 0, 'the point was met')
        world.reports.delete(record.uid)
        pace = {}
        ;({ running } = start(1e9))
        await world.untilRunning(record.uid)
        await world.drain(record.uid)
        assert.equal(await world.assertEqual(), 60)
        const keys = async (conn: World['s'], schema: string): Promise<string[]> =>
          ((await conn.allText(`SHOW CREATE TABLE ${schema}.item`))[0]?.['Create Table'] ?? '').split(/,?\n/).toSorted()
        for (const { schema } of world.targetRefs)
          assert.deepEqual(await keys(world.t, schema), await keys(world.s, world.sourceRefs[0]!.schema))
        await running.stop()
      })
    }
  }

  for (const point of crashPoints.filter((name): name is CrashPoint => name.startsWith('xa.'))) {
    test(`promises 1, 3: ${flavour}, killed at ${point}, begun again: XA transactions are there once`, async (t) => {
      if (point === 'xa.marked' && flavour === 'mysql') return t.skip('a marker proves XA commits there')
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
      await fill(world, 0, 300, 3000)
      const record = world.record(0)
      const schema = world.sourceRefs[0]!.schema
      let stopped = false
      let n = 0
      const load = (async () => {
        for (; !stopped; n++) {
          const xid = `'${world.prefix}x${n}'`
          await using one = await connect({ ...world.source.config, database: schema })
          const id = (n * 37) % 3000
          for (const sql of [
            `XA START ${xid}`,
            `UPDATE item SET v = v + 1, owner = owner + 1 WHERE id BETWEEN ${id} AND ${id + 200}`,
            `XA END ${xid}`,
            `XA PREPARE ${xid}`,
          ])
            await one.query(sql)
          await one.query(`XA ${n % 4 === 3 ? 'ROLLBACK' : 'COMMIT'} ${xid}`).catch((error: unknown) => {
            if (!isServerError(error)) throw error
          })
          await systemClock.sleep(15)
        }
      })()
      let died = 0
      let pace: Partial<PaceLimits> = point === 'xa.forgotten' ? {} : { pausedUntilMs: Date.now() + 1e9 }
      for (const skip of [0, 2]) {
        const failpoints = killAt(point, skip)
        const running = world.start(record, { failpoints, clock: hurried, pace: () => pace })
        await Promise.race([running.done, systemClock.sleep(4_000)])
        if (failpoints.hits > skip) {
          await running.done
          assert.match(world.reports.get(record.uid)?.error?.what ?? '', new RegExp(point))
          died++
        } else await running.stop()
        world.reports.delete(record.uid)
        pace = {}
      }
      assert.ok(died > 0, 'the point was met')
      const last = world.start(record, { clock: hurried })
      await world.untilRunning(record.uid)
      stopped = true
      await load
      await world.drain(record.uid)
      assert.equal(await world.assertEqual(), 300)
      await last.stop()
    })
  }
})
