/** Triggers and events that move with the switch, with the real mover: what they do is done once, on whichever side serves. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { keys } from '../topology/keys.ts'
import { updateRecord } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { until } from '../../test/kit/until.ts'
import { ControllerDied } from './crash-points.ts'
import { defaultSwitchLimits } from './context.ts'
import type { SwitchContext } from './context.ts'
import { recoverAll } from './recover.ts'
import { switchReportText } from './report.ts'
import type { SwitchReport } from './report.ts'
import { watchKeyspace } from './strays.ts'
import { switchTraffic } from './switch-traffic.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { fresh, old, tableOf, World } from './testkit/world.ts'

const limits = { ...defaultSwitchLimits, graceMs: 200, holdsReportMs: 1 }
const request = { keyspace: 'app', workflow: 'w', shards: null, dryRun: false, limits, undo: '' }

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`triggers and events move with the switch, ${flavour}`, { skip: !flavourAvailable(flavour) }, () => {
    let world: World
    before(async () => {
      world = await World.start(flavour, 'real')
      await using f = await world.admin('f')
      await f.query('SET GLOBAL event_scheduler = ON')
      await f.query("CREATE USER boss@'%' IDENTIFIED BY 'x' ACCOUNT LOCK")
      await f.query("GRANT SELECT, INSERT, UPDATE, TRIGGER, EVENT ON *.* TO boss@'%'")
      await f.useDatabase('app__')
      await f.query("CREATE DEFINER = 'boss'@'%' TRIGGER counts BEFORE INSERT ON t FOR EACH ROW SET NEW.n = NEW.n + 1")
      await f.query(
        "CREATE DEFINER = 'boss'@'%' EVENT ticks ON SCHEDULE EVERY 1 HOUR COMMENT 'x' DO UPDATE t SET who = 'event' WHERE id = -1",
      )
      await using n = await world.admin('n')
      await n.query("CREATE USER boss@'%' IDENTIFIED BY 'x' ACCOUNT LOCK")
      await n.query("GRANT SELECT, INSERT, UPDATE, TRIGGER, EVENT ON *.* TO boss@'%'")
    })
    after(() => world.stop())

    async function standing(): Promise<Record<string, string>> {
      const found: Record<string, string> = {}
      for (const id of ['f', 'n'] as const) {
        await using admin = await world.admin(id)
        const rows = await admin.allText(
          `SELECT TRIGGER_SCHEMA AS s, TRIGGER_NAME AS n, DEFINER AS d FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA LIKE 'app%'
           UNION ALL SELECT EVENT_SCHEMA, CONCAT(EVENT_NAME, ' ', STATUS), DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA LIKE 'app%' ORDER BY 1, 2`,
        )
        for (const row of rows) found[row['s'] ?? ''] = [found[row['s'] ?? ''], `${row['n']} ${row['d']}`].filter(Boolean).join(', ')
      }
      return found
    }
    /** Right after a switch, on a busy machine, the lag of the way back may not have been measured yet. */
    async function measured(context: SwitchContext, to: typeof old): Promise<SwitchReport> {
      let report: SwitchReport | null = null
      await until(
        'the lag to be known',
        async () => {
          report = await switchTraffic(context, { ...request, to })
          return !report.blockers.some((blocker) => blocker.code === 'SW-SWITCH-013')
        },
        20_000,
      )
      assert(report !== null)
      return report
    }
    const whole = 'counts boss@%, ticks ENABLED boss@%'
    const onOld = { app__: whole, app__80: 'ticks DISABLED boss@%', app_80_: 'ticks DISABLED boss@%' }
    const onNew = { app__: 'ticks DISABLED boss@%', app__80: whole, app_80_: whole }

    test('without --triggers at-switch they refuse the switch', async () => {
      const report = await switchTraffic(await world.leader(), { ...request, to: fresh })
      assert.equal(report.outcome, 'refused')
      assert.deepEqual(report.blockers.map((blocker) => blocker.code).toSorted(), ['SW-SWITCH-020', 'SW-SWITCH-021'])
    })

    test('promises 1, 5: there and back: they stand where the record says, and do once what they do', async () => {
      await updateRecord<WorkflowRecord>(world.store, keys.workflow('app', 'w'), (w) =>
        w === null ? null : { ...w, spec: { triggers: 'at-switch' } },
      )
      const context = await world.leader()
      {
        await using client = await world.client(world.f)
        await client.query(`INSERT INTO ${tableOf(1, old)} VALUES (1, 'a', 0)`)
      }
      const there = await switchTraffic(context, { ...request, to: fresh })
      assert.equal(there.outcome, 'switched', switchReportText(there))
      assert(there.notes.includes('1 triggers and 1 events moved'))
      assert.deepEqual(await standing(), onNew)
      {
        await using client = await world.client(world.n)
        await client.query(`INSERT INTO ${tableOf(2, fresh)} VALUES (2, 'b', 0)`)
      }
      await until('the way back to bring the row', async () => (await world.ids(old)).includes(2), 10_000)
      await using f = await world.admin('f')
      assert.deepEqual(await f.allText('SELECT id, n FROM app__.t ORDER BY id'), [
        { id: '1', n: '1' },
        { id: '2', n: '1' },
      ])
      const back = await measured(context, old)
      assert.equal(back.outcome, 'switched', switchReportText(back))
      assert.deepEqual(await standing(), onOld)
    })

    test('a follower that was down in step 10 and kept its triggers loses them at the next look', async () => {
      {
        await using n = await world.admin('n')
        await n.query('CREATE TRIGGER app__80.counts BEFORE INSERT ON app__80.t FOR EACH ROW SET NEW.n = NEW.n + 1')
      }
      await watchKeyspace(await world.leader(), 'app')
      assert.deepEqual(await standing(), onOld)
    })

    test('promise 1: one that came while the switch was under way is not lost: the switch is given up', async () => {
      const context = await world.leader({
        failpoint: async (point) => {
          if (point !== 'held') return
          await using f = await world.admin('f')
          await f.query('CREATE TRIGGER app__.late BEFORE UPDATE ON app__.t FOR EACH ROW SET NEW.n = OLD.n')
        },
      })
      const report = await switchTraffic(context, { ...request, to: fresh })
      assert.equal(report.outcome, 'given up')
      assert.equal(report.error?.code, 'SW-SWITCH-039')
      await using f = await world.admin('f')
      await f.query('DROP TRIGGER app__.late')
      assert.deepEqual(await standing(), onOld)
    })

    for (const point of ['wayBackProven', 'decided'] as const) {
      test(`the controller dies at ${point}: the next one puts both sides right by the record`, async () => {
        const dying = await world.leader({
          failpoint: (at) => (at === point ? Promise.reject(new ControllerDied(point)) : Promise.resolve()),
        })
        await assert.rejects(switchTraffic(dying, { ...request, to: fresh }), ControllerDied)
        const next = await world.leader()
        await recoverAll(next, limits)
        assert.deepEqual(await standing(), point === 'decided' ? onNew : onOld)
        if (point === 'decided') assert.equal((await measured(next, old)).outcome, 'switched')
      })
    }
  })
}
