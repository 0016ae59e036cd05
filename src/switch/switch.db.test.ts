import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { defaultSwitchLimits } from './context.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { fresh, old, tableOf, World } from './testkit/world.ts'
import { planSwitch } from './plan.ts'
import { switchTraffic } from './switch-traffic.ts'
import { switchReportText } from './report.ts'

export const limits = { ...defaultSwitchLimits, warmMs: 5_000, graceMs: 200, limitMs: 4_000, holdsReportMs: 50 }
const request = { keyspace: 'app', workflow: 'w', shards: null, dryRun: false, limits, undo: 'shardwright reshard reversetraffic' }

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`switch on ${flavour}`, { skip: !flavourAvailable(flavour) }, () => {
    let world: World
    before(async () => {
      world = await World.start(flavour)
    })
    after(() => world.stop())

    test('there and back: rows are on the side that serves, the other refuses clients', async () => {
      const context = await world.leader()
      {
        await using client = await world.client(world.f)
        await client.query(`INSERT INTO ${tableOf(1, old)} VALUES (1, 'a', 0), (2, 'a', 0), (3, 'a', 0)`)
        await assert.rejects(world.client(world.n), { errno: flavour === 'mysql' ? 3118 : 4151 })
      }
      const there = await switchTraffic(context, { ...request, to: fresh })
      assert.equal(there.outcome, 'switched', switchReportText(there))
      assert.deepEqual(await world.ids(fresh), [1, 2, 3])
      assert.deepEqual((await world.routing()).components[0]?.serving.primary, fresh)
      await assert.rejects(world.client(world.f), { errno: flavour === 'mysql' ? 3118 : 4151 })
      {
        await using client = await world.client(world.n)
        await client.query(`INSERT INTO ${tableOf(4, fresh)} VALUES (4, 'b', 0)`)
        await client.query(`DELETE FROM ${tableOf(2, fresh)} WHERE id = 2`)
      }
      const back = await switchTraffic(context, { ...request, to: old })
      assert.equal(back.outcome, 'switched', switchReportText(back))
      assert.deepEqual(await world.ids(old), [1, 3, 4])
      await using client = await world.client(world.f)
      await client.query(`INSERT INTO ${tableOf(5, old)} VALUES (5, 'b', 0)`)
      await assert.rejects(world.client(world.n), { errno: flavour === 'mysql' ? 3118 : 4151 })
    })

    test('1.11 views that were made or altered after create are told, and made before the switch, both ways; one that cannot be made refuses it', async () => {
      const context = await world.leader()
      await using f = await world.admin('f')
      await using n = await world.admin('n')
      const ask = (to: readonly string[], more = {}) => switchTraffic(context, { ...request, to, ...more })
      const shown = async (connection: typeof f, schema: string, view: string): Promise<string> =>
        String((await connection.allText(`SHOW CREATE VIEW ${schema}.${view}`))[0]?.['Create View'])
      await f.query('CREATE VIEW app__.evens AS SELECT id FROM app__.t WHERE id % 2 = 0')
      await f.query("CREATE DEFINER = app@'%' VIEW app__.over_evens AS SELECT id FROM app__.evens")
      await n.query('CREATE VIEW app__80.evens AS SELECT id, who FROM app__80.t')
      const dry = await ask(fresh, { dryRun: true })
      const told = dry.notes.filter((note) => note.startsWith('views'))
      assert.deepEqual(told, [
        'views of - are not on -80 as they are there; the switch makes them: evens (another), over_evens (missing)',
        'views of - are not on 80- as they are there; the switch makes them: evens (missing), over_evens (missing)',
      ])
      await f.query('CREATE DATABASE elsewhere')
      await f.query('CREATE TABLE elsewhere.t (id INT PRIMARY KEY)')
      await f.query('CREATE VIEW app__.far AS SELECT id FROM elsewhere.t')
      await assert.rejects(
        ask(fresh),
        (error: Error & { code?: string }) =>
          error.code === 'SW-SWITCH-054' && /the view far of - cannot be made on -80: .*elsewhere/.test(error.message),
      )
      assert.equal((await world.routing()).components[0]?.phase, 'stable')
      // Queries of it fail wherever they come.
      await f.query('CREATE TABLE elsewhere.gone (id INT PRIMARY KEY)')
      await f.query('CREATE VIEW app__.broken AS SELECT id FROM elsewhere.gone')
      await f.query('DROP TABLE elsewhere.gone')
      // Whoever has read a view, and has not ended, is waited for, but not for ever.
      await using backup = await world.admin('n')
      await n.query('ALTER VIEW app__80.evens AS SELECT id FROM app__80.t')
      await backup.pipeline(['BEGIN', 'SELECT * FROM app__80.evens'])
      await assert.rejects(
        ask(fresh, { allowDifferences: ['far'] }),
        (error: Error & { code?: string }) =>
          error.code === 'SW-SWITCH-054' && /the view evens .* on -80: Lock wait timeout/.test(error.message),
      )
      await backup.query('COMMIT')
      const there = await ask(fresh, { allowDifferences: ['far'] })
      assert.equal(there.outcome, 'switched', switchReportText(there))
      assert(
        there.notes.some((note) => note.startsWith('the view broken of - is not made on -80: queries of it fail there too')),
        switchReportText(there),
      )
      for (const schema of ['app__80', 'app_80_']) {
        assert.match(await shown(n, schema, 'over_evens'), new RegExp(`DEFINER=.app.@.%. .*FROM? .*${schema}.\\..evens`, 'i'))
        assert.match(await shown(n, schema, 'evens'), / (%|MOD) 2/)
      }
      for (const schema of ['app__80', 'app_80_']) await n.query(`ALTER VIEW ${schema}.evens AS SELECT id FROM ${schema}.t WHERE id > 7`)
      // Nor may it delay a way back.
      await n.query('CREATE DATABASE nearby')
      await n.query('CREATE TABLE nearby.t (id INT PRIMARY KEY)')
      await n.query('CREATE VIEW app__80.near AS SELECT id FROM nearby.t')
      const back = await ask(old, { limits: { ...limits, replicas: 'told' } })
      assert.equal(back.outcome, 'switched', switchReportText(back))
      assert(
        back.notes.some((note) => /^the view near of -80 is not made on -: .*nearby/.test(note)),
        switchReportText(back),
      )
      assert.match(await shown(f, 'app__', 'evens'), /> 7/)
      await n.query('DROP VIEW app__80.near')
      await n.query('DROP DATABASE nearby')
      // Whether queries of it fail where it comes from, nobody can say who only waited there.
      {
        await using holding = await world.admin('f')
        await holding.query('LOCK TABLES elsewhere.t WRITE')
        await assert.rejects(ask(fresh), (error: Error & { code?: string }) => error.code === 'SW-SWITCH-054')
      }
      for (const view of ['app__.far', 'app__.broken', 'app__.over_evens', 'app__.evens']) await f.query(`DROP VIEW ${view}`)
      for (const schema of ['app__80', 'app_80_']) await n.query(`DROP VIEW ${schema}.over_evens, ${schema}.evens`)
      await f.query('DROP DATABASE elsewhere')
    })

    test('no session reads the old side once the new one takes writes: read-your-writes', async () => {
      const context = await world.leader()
      await using reader = await world.client(world.f)
      await using slow = await world.client(world.f)
      let slowEnded = false
      let over = false
      const slowRead = slow.query('SELECT SLEEP(5)').then(
        () => undefined,
        () => {
          slowEnded = true
        },
      )
      const seen = (async () => {
        for (let id = 101; !over; id += 2) {
          const client = await world.client(world.n).catch(() => null)
          if (client === null) continue
          await client.query(`INSERT INTO ${tableOf(id, fresh)} VALUES (${id}, 'first', 0)`)
          // The new side has taken a write: whoever was connected to the old one must be gone by now.
          const alive = await reader.query('SELECT 1').then(
            () => true,
            () => false,
          )
          await client.close()
          return { alive, slowEnded }
        }
        return null
      })()
      const report = await switchTraffic(context, { ...request, to: fresh }).finally(() => setTimeout(() => (over = true), 3_000))
      assert.equal(report.outcome, 'switched', switchReportText(report))
      assert.deepEqual(await seen, { alive: false, slowEnded: true })
      await slowRead
      assert(
        report.killed.some((session) => session.query?.includes('SLEEP') === true),
        'and it is named',
      )
      await switchTraffic(context, { ...request, to: old })
    })

    test('partial plans: reference tables come back from one shard of the side', async () => {
      const plan = await planSwitch(world.store, { keyspace: 'app', workflow: 'w', shards: null })
      assert.deepEqual(plan.back.map((stream) => [stream.source.shard, stream.movesReference, stream.copy]).sort(), [
        ['-80', true, 'none'],
        ['80-', false, 'none'],
      ])
      await assert.rejects(planSwitch(world.store, { keyspace: 'app', workflow: 'w', shards: ['-80'] }), { code: 'SW-KEYSPACE-009' })
    })

    test('a dry run says what it would do, by the same order, and touches nothing', async () => {
      const context = await world.leader()
      const before_ = await world.store.list('')
      const report = await switchTraffic(context, { ...request, to: fresh, dryRun: true })
      assert.equal(report.outcome, 'dry run')
      assert(report.notes.some((line) => line.includes('point of no return')))
      assert(
        report.notes.some((line) => /^expected stall: about \d+ ms now \(no transaction is open; /.test(line)),
        report.notes.join('\n'),
      )
      assert.deepEqual([report.stallMs, report.steps], [null, []], 'what the rehearsal took is nobody’s stall')
      const after_ = await world.store.list('')
      assert.deepEqual(after_.entries.get('routing/app'), before_.entries.get('routing/app'))
    })
  })
}
