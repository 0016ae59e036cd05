/** The switch with the real mover: rows come by binlog, ways back are real streams, clients write past the gates all the time. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { defaultSwitchLimits } from './context.ts'
import { recoverAll } from './recover.ts'
import { switchReportText } from './report.ts'
import { retire } from './retire.ts'
import { connectAs, readServerAccess } from './server-access.ts'
import { switchTraffic } from './switch-traffic.ts'
import { Ledger } from './testkit/ledger.ts'
import { until } from '../../test/kit/until.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { fresh, old, World } from './testkit/world.ts'

const limits = { ...defaultSwitchLimits, graceMs: 200, holdsReportMs: 1 }
const request = { keyspace: 'app', workflow: 'w', shards: null, dryRun: false, limits, undo: '' }

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`switch with the real mover on ${flavour}`, { skip: !flavourAvailable(flavour) }, () => {
    let world: World
    before(async () => {
      world = await World.start(flavour, 'real')
    })
    after(() => world.stop())

    test('promises 1, 2, 5: there, back and there again under writes: both sides hold every acknowledged row', async (t) => {
      const context = await world.leader()
      await using ledger = new Ledger(world, 1_000, 4)
      const hundredMore = (enough = ledger.acked.size + 100) => until('a hundred writes more', () => ledger.acked.size >= enough)
      const stalls: number[] = []
      for (const to of [fresh, old, fresh]) {
        await hundredMore()
        const report = await switchTraffic(context, { ...request, to })
        assert.equal(report.outcome, 'switched', switchReportText(report))
        stalls.push(report.stallMs ?? Infinity)
        t.diagnostic(switchReportText(report))
      }
      await hundredMore()
      await ledger.stop()
      const serving = new Set(await world.ids(fresh))
      assert.deepEqual(
        [...ledger.acked].filter((id) => !serving.has(id)),
        [],
        'acknowledged and lost',
      )
      assert.deepEqual(
        [...ledger.refused].filter((id) => serving.has(id)),
        [],
        'refused and there',
      )
      t.diagnostic(
        `stalls ${stalls.map((ms) => Math.round(ms)).join(', ')} ms; ${ledger.acked.size} acknowledged, ${ledger.refused.size} refused`,
      )
      assert(Math.max(...stalls) < 1_000, `stalls of ${stalls.join(', ')} ms`)
      // The way back holds everything: both sides agree once the last marker has come through.
      const limit = Date.now() + 10_000
      const want = [...serving].sort((a, b) => a - b)
      for (;;) {
        const back = await world.ids(old)
        if (JSON.stringify(back) === JSON.stringify(want)) break
        assert(Date.now() < limit, `the old side has ${back.length} rows, the new one ${want.length}`)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    })

    test('1.6: two rows that collide where they come together stop the switch, both named; with one of them gone it goes on', async () => {
      const context = await world.leader()
      if ((await world.routing()).components[0]?.serving.primary.join() === old.join()) {
        const there = await switchTraffic(context, { ...request, to: fresh })
        assert.equal(there.outcome, 'switched', switchReportText(there))
      }
      await world.clear(fresh)
      await using f = await world.admin('f')
      await using n = await world.admin('n')
      await until('the old side to be empty', async () => (await world.ids(old)).length === 0, 10_000)
      // A key that the sharded side could not keep, and does not have.
      await f.query('SET SESSION sql_log_bin = 0')
      await f.query('ALTER TABLE app__.t ADD UNIQUE KEY one_who (who)')
      await n.query("INSERT INTO app__80.t VALUES (2, 'Anna', 0)")
      await until('the first to be there', async () => (await world.ids(old)).length === 1, 10_000)
      await n.query("INSERT INTO app_80_.t VALUES (3, 'anna', 0)")
      // However long ago the second row came: the check before the switch is not to be the one that tells.
      const ask = { ...request, to: old, limits: { ...limits, warmMs: 2_500, lagMs: 60_000, freshMs: 60_000 } }
      const told = (async (): Promise<void> => {
        for (const limit = Date.now() + 20_000; ;) {
          const report = await switchTraffic(context, ask)
          // Nor one that comes before a stream knows how far behind it is.
          if (report.outcome !== 'refused' || Date.now() > limit) assert.fail(switchReportText(report))
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
      })()
      await assert.rejects(told, (error: Error & { code?: string }) => {
        assert.match(
          error.message,
          /80- → -.*collides with, row 3 of 80- and row 2 of -80: .*Duplicate entry 'anna' for key '(t\.)?one_who'/,
        )
        return error.code === 'SW-SWITCH-008'
      })
      assert.equal((await world.routing()).components[0]?.phase, 'stable')
      await n.query('DELETE FROM app__80.t WHERE id = 2')
      await until('the other to be there', async () => (await world.ids(old)).join() === '3', 10_000)
      const back = await switchTraffic(context, { ...request, to: old })
      assert.equal(back.outcome, 'switched', switchReportText(back))
      await f.query('ALTER TABLE app__.t DROP KEY one_who')
      const again = await switchTraffic(context, { ...request, to: fresh })
      assert.equal(again.outcome, 'switched', switchReportText(again))
    })

    test('complete is refused while the wrong side serves; then it removes the old side and nothing else, and may be repeated', async () => {
      let context = await world.leader()
      const ask = {
        keyspace: 'app',
        workflow: 'w',
        workflowUid: world.workflowUid,
        tables: ['t'],
        dropSource: false,
        madeOn: [],
        keepData: false,
      } as const
      await assert.rejects(retire(context, { ...ask, verb: 'cancel', stays: old, goes: fresh }), { code: 'SW-TOPOLOGY-006' })
      const before_ = await world.ids(fresh)
      // Half way: retiring is committed, and the server of the side that goes is down.
      await world.f.kill9()
      await assert.rejects(retire(context, { ...ask, verb: 'complete', stays: fresh, goes: old }), { code: 'SW-SWITCH-024' })
      assert.equal((await world.routing()).components[0]?.phase, 'retiring')
      await world.f.up()
      context = await world.leader()
      assert.deepEqual(
        (await recoverAll(context)).map(({ gaveUp, opened, retiring }) => [gaveUp, opened, retiring]),
        [[[], [], [{ range: '-', workflow: 'w' }]]],
      )
      const back = await switchTraffic(context, { ...request, to: old })
      assert.equal(back.outcome, 'refused')
      assert(
        back.blockers.some(({ code, what }) => code === 'SW-SWITCH-011' && what.includes('retiring')),
        'no switch back from then on',
      )
      // A mover that was paused in the middle of a transaction holds the table that is to go.
      await using paused = await connectAs(await readServerAccess(world.store, 'f'), 'mover')
      await paused.query('BEGIN')
      await paused.query("INSERT INTO app__.t VALUES (999999, 'paused', 0)")
      const done = await retire(context, { ...ask, verb: 'complete', stays: fresh, goes: old })
      assert.deepEqual(done.emptyServers, ['f'])
      assert.deepEqual(await world.ids(fresh), before_)
      await using admin = await world.admin('f')
      assert.equal(await admin.value("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'app__'"), '0')
      assert.deepEqual(
        (await world.routing()).components.map((c) => [c.range, c.workflow, c.phase, c.other]),
        [
          ['-80', null, 'stable', []],
          ['80-', null, 'stable', []],
        ],
      )
      assert.equal((await world.store.list(`streams/${world.workflowUid}/`)).entries.size, 0)
      await retire(context, { ...ask, verb: 'complete', stays: fresh, goes: old })
      await assert.rejects(switchTraffic(context, { ...request, to: old }), { code: 'SW-SWITCH-011' })
    })
  })
}
