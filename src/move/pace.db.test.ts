/** PROTOCOLS 1.14 on servers: limits change while a copy runs; headroom is measured, raised or warned about. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { connect } from '../mysql/connect.ts'
import type { PaceLimits } from '../topology/records.ts'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { Headroom } from './headroom.ts'
import { pressureOf, type PressureLimits, type ReplicaLag } from './pressure.ts'
import { fill, World } from './testkit/world.ts'

const noLimits: PressureLimits = { threadsRunningMax: null, historyLengthMax: null, commitLatencyMsMax: null, replicaLagMsMax: null }

for (const flavour of flavours()) {
  describe(`pace on ${flavour}`, () => {
    test('1.14 a limit changes while the copy runs: paused, the tail goes on; resumed, it ends', async () => {
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] })
      await fill(world, 0, 900, 2000)
      let pace: Partial<PaceLimits> = { pausedUntilMs: Date.now() + 3_600_000 }
      const running = world.start(world.record(0), { pace: () => pace })
      await world.until('paused', () => /paused until/.test(running.stream.report().waiting?.what ?? ''))
      assert.equal(running.stream.report().state, 'copying')
      const before = running.stream.report().applied.transactions
      await world.s.query('UPDATE item SET v = v + 1 WHERE id = 1')
      await world.until('the tail goes on', () => running.stream.report().applied.transactions > before)
      assert.equal(running.stream.report().copy.rowsDone < 900, true)
      pace = {}
      await world.untilRunning(world.record(0).uid)
      await world.assertEqual()
      await running.stop()
    })

    test('1.14 headroom: known from the retention and the age of what is applied; raised where permitted, else told', async () => {
      await using server = await testServer({ flavour })
      await using admin = await connect(server.config)
      await admin.query('SET GLOBAL binlog_expire_logs_seconds = 3600')
      let behind: number | null = null
      const headroom = new Headroom({ conn: admin, clock: systemClock, log: silentLog, behindMs: () => behind })
      await headroom.refresh()
      assert.equal(headroom.view(), null, 'unknown until something was applied')
      behind = 600_000
      assert.deepEqual(headroom.view(), { retentionMs: 3_600_000, leftMs: 3_000_000, warning: null })

      behind = 1_900_000
      const raised = new Headroom({ conn: admin, clock: systemClock, log: silentLog, behindMs: () => behind })
      await raised.refresh()
      assert.equal(await admin.value('SELECT @@GLOBAL.binlog_expire_logs_seconds'), '7200')
      assert.match(raised.view()?.warning ?? '', /raised from 3600 to 7200/)

      await admin.query("CREATE USER weak@'%'")
      await admin.query("GRANT REPLICATION CLIENT ON *.* TO weak@'%'")
      await using weak = await connect({ ...server.config, user: 'weak', password: '' })
      behind = 7_000_000
      const warned = new Headroom({ conn: weak, clock: systemClock, log: silentLog, behindMs: () => behind })
      await warned.refresh()
      assert.match(warned.view()?.warning ?? '', /in 200 s at the earliest/)
      assert.equal(await admin.value('SELECT @@GLOBAL.binlog_expire_logs_seconds'), '7200')
    })

    test('1.14 each metric above its limit is named; what is unknown is above it', async () => {
      await using server = await testServer({ flavour })
      await using conn = await connect(server.config)
      let limits = noLimits
      let commitMs: number | null = null
      let lags: ReplicaLag[] = []
      const ask = async (next: Partial<PressureLimits>): Promise<string | null> => {
        limits = { ...noLimits, ...next }
        return pressureOf({ conn, commitMs: () => commitMs, replicaLags: async () => lags }, () => limits, systemClock)()
      }
      assert.equal(await ask({}), null)
      assert.match((await ask({ threadsRunningMax: 0 })) ?? '', /threads at work \(limit 0\)/)
      assert.equal(await ask({ threadsRunningMax: 1000, historyLengthMax: 1e9 }), null)
      assert.match((await ask({ historyLengthMax: -1 })) ?? '', /undo records \(limit -1\)/)
      assert.equal(await ask({ commitLatencyMsMax: 20 }), null)
      commitMs = 31
      assert.equal(await ask({ commitLatencyMsMax: 20 }), 'a commit on the source takes 31 ms (limit 20)')
      lags = [{ name: 'r1', lagMs: 900 }]
      assert.equal(await ask({ replicaLagMsMax: 1000 }), null)
      assert.match((await ask({ replicaLagMsMax: 500 })) ?? '', /r1 is 900 ms behind \(limit 500\)/)
      lags = [{ name: 'r1', lagMs: null }]
      assert.match((await ask({ replicaLagMsMax: 500 })) ?? '', /r1 is behind is unknown/)
    })
  })
}
