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
