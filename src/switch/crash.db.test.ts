/**
 * A controller dies, or pauses and wakes up late, at every crash point, while clients write past the gates to both sides. The next leader recovers by
 * the record alone; then nothing acknowledged is lost, nothing refused is there, what serves is open, the other side is closed, and the
 * switch can be made.
 */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { Connection } from '../mysql/connection.ts'
import type { SwitchContext } from './context.ts'
import { defaultSwitchLimits } from './context.ts'
import { ControllerDied, switchCrashPoints } from './crash-points.ts'
import type { SwitchCrashPoint } from './crash-points.ts'
import { fenceState, isClosed } from './fence.ts'
import { recoverAll, recoverAtLead } from './recover.ts'
import { switchReportText } from './report.ts'
import { switchTraffic } from './switch-traffic.ts'
import { Ledger } from './testkit/ledger.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { mainFlavour } from '../../test/kit/servers.ts'
import { fresh, old, schemaOf, World } from './testkit/world.ts'

const limits = { ...defaultSwitchLimits, freshMs: 60_000, warmMs: 10_000, graceMs: 100, limitMs: 6_000, holdsReportMs: 1 }
const request = { keyspace: 'app', workflow: 'w', shards: null, dryRun: false, limits, undo: '' }
/** From here on the record says that the new side serves. */
const decidedPoints: readonly SwitchCrashPoint[] = ['decided', 'killed', 'fence.writable', 'opened', 'stable']

/** Where the two flavours differ: at the fence and at what it lets out. On MySQL these, unless SHARDWRIGHT_TEST_FLAVOURS asks for it: then all. */
const onMysql: readonly SwitchCrashPoint[] = ['fence.accountsLocked', 'closed', 'killed', 'fence.writable']

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`crash points of a switch on ${flavour}`, { skip: !flavourAvailable(flavour) }, () => {
    let world: World
    let firstId = 1_000
    before(async () => {
      world = await World.start(flavour)
    })
    after(() => world.stop())

    beforeEach(async () => world.clear(await serving()))
    const serving = async (): Promise<readonly string[]> => (await world.routing()).components[0]?.serving.primary ?? []
    const otherOf = (side: readonly string[]): readonly string[] => (side.length === 1 ? fresh : old)

    async function check(context: SwitchContext, ledger: Ledger): Promise<void> {
      const component = (await world.routing()).components[0]
      assert.equal(component?.phase, 'stable')
      assert.equal(component?.hold, null)
      const side = await serving()
      const ids = new Set(await world.ids(side))
      assert.deepEqual(
        [...ledger.acked].filter((id) => !ids.has(id)),
        [],
        'acknowledged and lost',
      )
      assert.deepEqual(
        [...ledger.refused].filter((id) => ids.has(id)),
        [],
        'refused and there',
      )
      const [open, closed] = side.length === 1 ? (['f', 'n'] as const) : (['n', 'f'] as const)
      await (await world.client(open === 'f' ? world.f : world.n)).close()
      const state = await context.pool.run(closed, ({ connection, ours }) => fenceState(connection, ours, { allowUnfenced: [] }))
      assert(isClosed(state), 'the side that does not serve is open')
    }

    for (const point of mainFlavour().includes(flavour) ? switchCrashPoints : onMysql) {
      for (const how of ['dies', 'pauses'] as const) {
        test(`promises 1, 2, 9: the controller ${how} at ${point}`, async () => {
          const from = await serving()
          await using ledger = new Ledger(world, (firstId += 100_000))
          let wake: () => void = () => undefined
          let reached: () => void = () => undefined
          const atPoint = new Promise<void>((resolve) => (reached = resolve))
          const paused = new Promise<void>((resolve) => (wake = resolve))
          let hit = false
          const stale = await world.leader({
            failpoint: async (here) => {
              if (here !== point || hit) return
              hit = true
              reached()
              if (how === 'dies') throw new ControllerDied(point)
              await paused
            },
          })
          const run = switchTraffic(stale, { ...request, to: otherOf(from) }).then(
            (report) => report,
            (error: unknown) => error,
          )
          const early = await Promise.race([atPoint, run])
          assert(hit, `never came to ${point}: ${early instanceof Error ? early.stack : JSON.stringify(early)}`)
          if (how === 'dies') assert((await run) instanceof ControllerDied)

          const next = await world.leader()
          await recoverAll(next, limits)
          const expected = decidedPoints.includes(point) ? otherOf(from) : from
          assert.deepEqual(await serving(), expected)
          if (how === 'pauses') {
            const during = await world.routing()
            wake()
            const outcome = await run
            const harmless = outcome instanceof Error || (point === 'stable' && (outcome as { outcome: string }).outcome === 'switched')
            assert(harmless, `a controller that woke up late went on: ${JSON.stringify(outcome)}`)
            assert.deepEqual(await world.routing(), during, 'and changed nothing')
          }
          await ledger.stop()
          await check(next, ledger)
          assert(ledger.acked.size > 0)

          await using again = new Ledger(world, (firstId += 100_000))
          const report = await switchTraffic(next, { ...request, to: otherOf(expected) })
          assert.equal(report.outcome, 'switched', switchReportText(report))
          await again.stop()
          await check(next, again)
        })
      }
    }

    test('a server that serves is killed -9 before the decision: given up, and open once it is back', async () => {
      const from = await serving()
      const server = from.length === 1 ? world.f : world.n
      await using ledger = new Ledger(world, (firstId += 100_000))
      let restarted: Promise<void> = Promise.resolve()
      const context = await world.leader({
        failpoint: async (here) => {
          if (here !== 'closed') return
          await server.kill9()
          restarted = server.up()
        },
      })
      const report = await switchTraffic(context, { ...request, to: otherOf(from) })
      await restarted
      assert(report.outcome === 'given up' || report.outcome === 'switched', switchReportText(report))
      await ledger.stop()
      await check(context, ledger)
    })

    test('the side left behind is down when the new side opens: it delays nothing, and is closed when it is back', async () => {
      const from = await serving()
      const server = from.length === 1 ? world.f : world.n
      await using ledger = new Ledger(world, (firstId += 100_000))
      const context = await world.leader({ failpoint: async (here) => (here === 'decided' ? server.kill9() : undefined) })
      const report = await switchTraffic(context, { ...request, to: otherOf(from) })
      assert.equal(report.outcome, 'switched', switchReportText(report))
      await ledger.stop()
      await server.up()
      await check(context, ledger)
    })

    test('a stream that does not drain in time: given up, clients go on where they were', async () => {
      const from = await serving()
      await using ledger = new Ledger(world, (firstId += 100_000))
      const context = await world.leader({ failpoint: async (here) => (here === 'tablesLocked' ? world.stopMover() : undefined) })
      const report = await switchTraffic(context, { ...request, limits: { ...limits, drainMs: 300 }, to: otherOf(from) })
      assert.equal(report.outcome, 'given up')
      assert.equal(report.error?.code, 'SW-SWITCH-008')
      assert((report.stallMs ?? Infinity) < 2_000)
      const acked = ledger.acked.size
      while (ledger.acked.size === acked) await new Promise((resolve) => setTimeout(resolve, 5))
      await ledger.stop()
      await check(context, ledger)
      world.startMover()
    })

    for (const [what, code, change, undo] of [
      [
        'the new side is opened after the preflight',
        'SW-SWITCH-005',
        async (_serving: Connection, other: Connection) => void (await other.query("ALTER USER app@'%' ACCOUNT UNLOCK")),
        async (_serving: Connection, other: Connection) => void (await other.query("ALTER USER app@'%' ACCOUNT LOCK")),
      ],
      [
        'an XA transaction is prepared on another table after the preflight',
        'SW-SWITCH-018',
        async (serving: Connection) => {
          await serving.query('CREATE TABLE IF NOT EXISTS _shardwright.elsewhere (id INT PRIMARY KEY)')
          for (const sql of ["XA START 'x'", 'INSERT INTO _shardwright.elsewhere VALUES (1)', "XA END 'x'", "XA PREPARE 'x'"])
            await serving.query(sql)
        },
        async (serving: Connection) => {
          for (const sql of ["XA ROLLBACK 'x'", 'DROP TABLE _shardwright.elsewhere']) await serving.query(sql)
        },
      ],
      [
        'a table comes to the side that goes after the preflight',
        'SW-SWITCH-034',
        async (serving: Connection, _other: Connection, schema: string) =>
          void (await serving.query(`CREATE TABLE ${schema}.late (id INT PRIMARY KEY)`)),
        async (serving: Connection, _other: Connection, schema: string) => void (await serving.query(`DROP TABLE ${schema}.late`)),
      ],
    ] as const) {
      test(`${what}: given up, and named`, async () => {
        const from = await serving()
        const schema = schemaOf(from[0] ?? '')
        const [servingId, otherId] = from.length === 1 ? (['f', 'n'] as const) : (['n', 'f'] as const)
        await using ledger = new Ledger(world, (firstId += 100_000))
        await using on = await world.admin(servingId)
        await using other = await world.admin(otherId)
        const context = await world.leader({ failpoint: async (here) => (here === 'held' ? change(on, other, schema) : undefined) })
        const report = await switchTraffic(context, { ...request, to: otherOf(from) })
        await undo(on, other, schema)
        assert.equal(report.outcome, 'given up', switchReportText(report))
        assert.equal(report.error?.code, code)
        await ledger.stop()
        await check(context, ledger)
      })
    }

    test('the applier of the way back cannot pass the fence: given up, and the stream named', async () => {
      const from = await serving()
      const passes = flavour === 'mysql' ? 'CONNECTION_ADMIN' : 'READ_ONLY ADMIN'
      await using ledger = new Ledger(world, (firstId += 100_000))
      await using root = await world.admin(from.length === 1 ? 'f' : 'n')
      const context = await world.leader({
        failpoint: async (here) => {
          if (here !== 'locksReleased') return
          await root.query(`REVOKE ${passes} ON *.* FROM sw_mover@'%'`)
          // A session has the rights that its account had at its login.
          for (const row of await root.allText('SHOW PROCESSLIST')) if (row['User'] === 'sw_mover') await root.query(`KILL ${row['Id']}`)
        },
      })
      const report = await switchTraffic(context, { ...request, limits: { ...limits, drainMs: 700 }, to: otherOf(from) })
      await root.query(`GRANT ${passes} ON *.* TO sw_mover@'%'`)
      await world.stopMover()
      world.startMover()
      assert.equal(report.outcome, 'given up', switchReportText(report))
      assert.equal(report.error?.code, 'SW-SWITCH-032', switchReportText(report))
      await ledger.stop()
      await check(context, ledger)
    })

    test('time is up while a statement hangs on a server: cut, given up, and nothing closes it again afterwards', async () => {
      const from = await serving()
      const servingId = from.length === 1 ? 'f' : 'n'
      const hung: { threadId: number }[] = []
      const context = await world.leader({
        failpoint: async (here) => {
          if (here !== 'fence.accountsLocked') return
          const { connection } = await context.pool.claimed(servingId)
          hung.push(connection)
          await connection.query('DO SLEEP(30)')
        },
      })
      const report = await switchTraffic(context, { ...request, limits: { ...limits, limitMs: 400 }, to: otherOf(from) })
      assert.equal(report.outcome, 'given up')
      assert.equal(report.error?.code, 'SW-SWITCH-026')
      await using ledger = new Ledger(world, (firstId += 100_000))
      while (ledger.acked.size < 20) await new Promise((resolve) => setTimeout(resolve, 5))
      await ledger.stop()
      await check(context, ledger)
      assert.equal(hung.length, 1)
    })

    test('the new side is open at the start: refused before anything is touched, named; closed again, it goes', async () => {
      const from = await serving()
      const other = from.length === 1 ? 'n' : 'f'
      await using admin = await world.admin(other)
      await admin.query("ALTER USER app@'%' ACCOUNT UNLOCK")
      const context = await world.leader()
      const refused = await switchTraffic(context, { ...request, to: otherOf(from) })
      assert.equal(refused.outcome, 'refused')
      assert(
        refused.blockers.some((blocker) => blocker.code === 'SW-SWITCH-005' && blocker.what.includes('app@%')),
        switchReportText(refused),
      )
      // A new leader closes it again, and leaves what serves alone.
      const next = await world.leader()
      await recoverAtLead(next)
      await using ledger = new Ledger(world, (firstId += 100_000))
      while (ledger.acked.size < 5) await new Promise((resolve) => setTimeout(resolve, 5))
      await ledger.stop()
      await check(next, ledger)
    })
  })
}
