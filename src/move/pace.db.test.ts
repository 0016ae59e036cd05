/** PROTOCOLS 1.14 on servers: limits change while a copy runs; headroom is measured, raised or warned about. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { ensureControlSchema, readMarker, writeMarker } from '../binlog/control-schema.ts'
import { connect } from '../mysql/connect.ts'
import type { FlavourName } from '../mysql/connection.ts'
import type { PaceLimits, StreamReport } from '../topology/records.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { Headroom, putBackRetention } from './headroom.ts'
import { markerStream } from './markers.ts'
import { pressureOf, type PressureLimits, type ReplicaLag } from './pressure.ts'
import { MarkerTimes, ReplicaLags } from './replica-lag.ts'
import { holdAt } from './testkit/kill-at.ts'
import { fill, World } from './testkit/world.ts'

const noLimits: PressureLimits = { threadsRunningMax: null, historyLengthMax: null, commitLatencyMsMax: null, replicaLagMsMax: null }

const pairs = new ServerPairs()
const replicas = new Map<FlavourName, Promise<TestServer>>()
after(async () => {
  for (const replica of replicas.values()) await (await replica)[Symbol.asyncDispose]()
  await pairs[Symbol.asyncDispose]()
})

/** One for all tests of a flavour, which follows that flavour's source. */
function replicaOf(flavour: FlavourName): Promise<TestServer> {
  const made = async (): Promise<TestServer> => {
    const { source } = await pairs.of(flavour)
    const replica = await testServer({ flavour })
    await using s = await connect(source.config)
    await using r = await connect(replica.config)
    await s.query("CREATE USER repl@'%' IDENTIFIED BY 'r'")
    await s.query("GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
    if (flavour === 'mysql') await r.query('RESET BINARY LOGS AND GTIDS')
    await r.query(
      flavour === 'mysql'
        ? `CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = ${source.port}, SOURCE_USER = 'repl', SOURCE_PASSWORD = 'r', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1`
        : `CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = ${source.port}, MASTER_USER = 'repl', MASTER_PASSWORD = 'r', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1`,
    )
    await r.query('START REPLICA')
    return replica
  }
  let replica = replicas.get(flavour)
  if (replica === undefined) replicas.set(flavour, (replica = made()))
  return replica
}

for (const flavour of flavours()) {
  describe(`pace on ${flavour}`, () => {
    test('1.14 a limit changes while the copy runs: paused, the tail goes on; resumed, it ends', async () => {
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, pairs.of(flavour))
      await fill(world, 0, 900, 2000)
      let pace: Partial<PaceLimits> = { pausedUntilMs: Date.now() + 3_600_000 }
      const running = world.start(world.record(0), { pace: () => pace })
      assert.equal(running.stream.report().waiting?.reason, 'start', 'promise 7: from its first moment it says what it waits for')
      await world.until('paused', () => /paused until/.test(running.stream.report().waiting?.what ?? ''))
      assert.equal(running.stream.report().throttled?.reason, 'pause')
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
      const { target: server } = await pairs.of(flavour)
      await using admin = await connect(server.config)
      await admin.query('SET GLOBAL binlog_expire_logs_seconds = 3600')
      const [syncBinlog, flush] = [
        await admin.value('SELECT @@GLOBAL.sync_binlog'),
        await admin.value('SELECT @@GLOBAL.innodb_flush_log_at_trx_commit'),
      ]
      await admin.query('SET GLOBAL sync_binlog=1, innodb_flush_log_at_trx_commit=1')
      let behind: number | null = null
      const headroom = new Headroom({ conn: admin, clock: systemClock, log: silentLog, behindMs: () => behind })
      await headroom.refresh()
      assert.equal(headroom.view(), null, 'unknown until something was applied')
      behind = 600_000
      assert.deepEqual(headroom.view(), { retentionMs: 3_600_000, leftMs: 3_000_000, warning: null })
      const looked = async (settings: string): Promise<string | null | undefined> => {
        await admin.query(`SET GLOBAL ${settings}`)
        const look = new Headroom({ conn: admin, clock: systemClock, log: silentLog, behindMs: () => behind })
        await look.refresh()
        return look.view()?.warning
      }
      // 1.10: set while the stream runs.
      assert.match((await looked('sync_binlog=0')) ?? '', /^sync_binlog of the source is 0: .*SET GLOBAL sync_binlog=1$/)
      assert.match(
        (await looked('sync_binlog=1, innodb_flush_log_at_trx_commit=2')) ?? '',
        /^innodb_flush_log_at_trx_commit of the source is 2/,
      )
      assert.equal(await looked('innodb_flush_log_at_trx_commit=1'), null)
      await admin.query(`SET GLOBAL sync_binlog=${syncBinlog}, innodb_flush_log_at_trx_commit=${flush}`)

      behind = 1_900_000
      const raised = new Headroom({ conn: admin, clock: systemClock, log: silentLog, behindMs: () => behind })
      await raised.refresh()
      assert.equal(await admin.value('SELECT @@GLOBAL.binlog_expire_logs_seconds'), '7200')
      assert.match(raised.view()?.warning ?? '', /raised from 3600 to 7200/)
      behind = 4_000_000
      const again = new Headroom({ conn: admin, clock: systemClock, log: silentLog, behindMs: () => behind })
      await again.refresh()
      assert.equal(await admin.value('SELECT @@GLOBAL.binlog_expire_logs_seconds'), '14400')
      assert.equal(await putBackRetention(admin), 3600, 'as it was before the first of them')
      assert.equal(await admin.value('SELECT @@GLOBAL.binlog_expire_logs_seconds'), '3600')
      assert.equal(await putBackRetention(admin), null, 'once')

      const kept = (): Promise<string | null | undefined> => admin.value('SELECT @@GLOBAL.binlog_expire_logs_seconds')
      const raise = async (behindMs: number): Promise<void> => {
        behind = behindMs
        await new Headroom({ conn: admin, clock: systemClock, log: silentLog, behindMs: () => behind }).refresh()
      }
      await raise(1_900_000)
      assert.equal(await kept(), '7200')
      await admin.query('SET GLOBAL binlog_expire_logs_seconds = 7000')
      assert.equal(await putBackRetention(admin), null, 'what somebody else has set since stays')
      assert.equal(await kept(), '7000')
      await admin.query('SET GLOBAL binlog_expire_logs_seconds = 3600')
      await raise(1_900_000)
      await admin.query('SET GLOBAL binlog_expire_logs_seconds = 604800')
      await raise(400_000_000)
      assert.equal(await kept(), '1209600')
      assert.equal(await putBackRetention(admin), 604_800, 'and is what is put back when it was raised in its turn')
      assert.equal(await kept(), '604800')
      await admin.query('SET GLOBAL binlog_expire_logs_seconds = 3600')
      await raise(1_900_000)
      await admin.query('SET GLOBAL binlog_expire_logs_seconds = 1800')
      await raise(1_000_000)
      await admin.query('SET GLOBAL binlog_expire_logs_seconds = 7200')
      assert.equal(await putBackRetention(admin), null, 'by the number of a raise that was over, too')
      assert.equal(await kept(), '7200')
      await admin.query('SET GLOBAL binlog_expire_logs_seconds = 3600')
      await raise(1_900_000)
      // Noted, and it died before it was done.
      await admin.query('INSERT INTO _shardwright.move_retention_raised VALUES (14400, 7200)')
      assert.equal(await putBackRetention(admin), 3600, 'as it was before all of ours')
      assert.equal(await kept(), '3600')
      await admin.query('SET GLOBAL binlog_expire_logs_seconds = 7200')

      await admin.query("CREATE USER weak@'%'")
      await admin.query("GRANT REPLICATION CLIENT ON *.* TO weak@'%'")
      await using weak = await connect({ ...server.config, user: 'weak', password: '' })
      behind = 7_000_000
      const warned = new Headroom({ conn: weak, clock: systemClock, log: silentLog, behindMs: () => behind })
      await warned.refresh()
      assert.match(warned.view()?.warning ?? '', /in 200 s at the earliest/)
      assert.equal(await admin.value('SELECT @@GLOBAL.binlog_expire_logs_seconds'), '7200')
    })

    test('1.14 headroom: known and looked after from the first group on, when a mover comes back after hours, and no marker of its own will come for long', async () => {
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, pairs.of(flavour))
      await fill(world, 0, 10, 100)
      const record = world.record(0)
      const first = world.start(record)
      await world.untilRunning(record.uid)
      await first.stop()
      await world.s.query('SET GLOBAL binlog_expire_logs_seconds = 21600')
      // MySQL has the true time of a commit beside that of its session.
      await world.s.query('SET timestamp = UNIX_TIMESTAMP() - 18000')
      await world.s.query('UPDATE item SET v = v + 1')
      await world.s.query('SET timestamp = UNIX_TIMESTAMP() + 18000')
      await world.s.query('UPDATE item SET v = v + 1')
      await world.s.query('SET timestamp = DEFAULT')
      const failpoints = holdAt('round.beforePosition')
      const running = world.start(record, { failpoints })
      await failpoints.held
      const headroom = (): StreamReport['headroom'] => running.stream.report().headroom
      try {
        await world.until('headroom', () => headroom() !== null)
        if (flavour === 'mariadb') {
          await world.until('what is done about it', () => /raised from 21600 to 43200/.test(headroom()?.warning ?? ''))
          assert.ok(Math.abs((headroom()?.leftMs ?? 0) - 25_200_000) < 60_000, JSON.stringify(headroom()))
        } else assert.ok((headroom()?.leftMs ?? 0) > 21_000_000, JSON.stringify(headroom()))
        assert.equal(running.stream.report().targets[0]?.lag?.markerAgeMs ?? null, null)
      } finally {
        failpoints.letGo()
      }
      await world.drain(record.uid)
      await world.until('up with it', () => (headroom()?.leftMs ?? 0) > (headroom()?.retentionMs ?? 0) - 60_000)
      await running.stop()
      await putBackRetention(world.s)
    })

    test('1.14 each metric above its limit is named; what is unknown is above it', async () => {
      const { target: server } = await pairs.of(flavour)
      await using conn = await connect(server.config)
      let limits = noLimits
      let commitMs: number | null = 5
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
      commitMs = null
      assert.match((await ask({ commitLatencyMsMax: 20 })) ?? '', /takes unknown ms \(limit 20\)/)
      commitMs = 31
      assert.equal(await ask({ commitLatencyMsMax: 20 }), 'a commit on the source takes 31 ms (limit 20)')
      lags = [{ name: 'r1', lagMs: 900 }]
      assert.equal(await ask({ replicaLagMsMax: 1000 }), null)
      assert.match((await ask({ replicaLagMsMax: 500 })) ?? '', /r1 is 900 ms behind \(limit 500\)/)
      lags = [{ name: 'r1', lagMs: null }]
      assert.match((await ask({ replicaLagMsMax: 500 })) ?? '', /r1 is behind is unknown/)
    })

    test('1.14 a replica lags by the age of our first marker that it lacks; one that does not answer is unknown', async () => {
      const { source } = await pairs.of(flavour)
      const replica = await replicaOf(flavour)
      await using s = await connect(source.config)
      {
        await using r = await connect(replica.config)
        await ensureControlSchema(s)
        const sent = new MarkerTimes()
        let number = 0
        const mark = async (): Promise<void> => {
          sent.note(++number, systemClock.nowMs())
          assert.equal((await writeMarker(s, 'w/s', 'mark')).number, number)
        }
        let port = replica.port
        const lags = new ReplicaLags({
          replicas: async () => ['r'],
          addresses: async (id) => ({ id, name: id, flavour, connect: { ...replica.config, host: '127.0.0.1', port } }),
          stream: 'w/s',
          sent,
          clock: systemClock,
        })
        const lag = async (): Promise<number | null | undefined> => (await lags.measure())[0]?.lagMs
        assert.equal(await lag(), null, 'it holds no marker')
        await mark()
        await until('it to follow', async () => (await lag()) === 0, 20_000)
        await r.query('STOP REPLICA')
        await mark()
        const since = systemClock.nowMs()
        await until('a lag that grows', async () => ((await lag()) ?? 0) > 50, 20_000)
        const behind = (await lag()) ?? Infinity
        assert.ok(behind <= systemClock.nowMs() - since + 1_000, `${behind} ms`)
        await mark()
        await r.query('START REPLICA')
        await until('it to follow again', async () => (await lag()) === 0, 20_000)
        lags.close()
        port = 1
        assert.equal(await lag(), null, 'nobody answers')
        lags.close()
      }
    })

    test('1.14, promise 7: what a stream measures on its servers holds its copy: threads, undo, commits, replicas, each named as long as it is above its limit', async () => {
      const replica = await replicaOf(flavour)
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, pairs.of(flavour))
      await fill(world, 0, 600, 2000)
      const schema = world.sourceRefs[0]!.schema
      await using r = await connect(replica.config)
      await using admin = await connect(world.source.config)
      const slow =
        flavour === 'mysql'
          ? ['SET GLOBAL binlog_group_commit_sync_delay = 150000']
          : ['SET GLOBAL binlog_commit_wait_count = 100', 'SET GLOBAL binlog_commit_wait_usec = 150000']
      const quick =
        flavour === 'mysql'
          ? ['SET GLOBAL binlog_group_commit_sync_delay = 0']
          : ['SET GLOBAL binlog_commit_wait_count = 0', 'SET GLOBAL binlog_commit_wait_usec = 100000']
      // All four at once; in the order in which they are asked each is ended, and the next one is what holds the copy.
      const sleepers = await Promise.all(Array.from({ length: 8 }, () => connect(world.source.config)))
      await using reader = await connect({ ...world.source.config, database: schema })
      try {
        await reader.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
        await reader.value('SELECT COUNT(*) FROM item')
        for (let n = 0; n < 60; n++) await world.s.query(`UPDATE item SET v = v + 1 WHERE id < 30`)
        const sleeping = sleepers.map((one) => one.query('SELECT SLEEP(300)').catch(() => undefined))
        const limits: Partial<PaceLimits> = { threadsRunningMax: 8, historyLengthMax: 40, commitLatencyMsMax: 100, replicaLagMsMax: 400 }
        let pace: Partial<PaceLimits> = { ...limits, replicaLagMsMax: null }
        const record = world.record(0)
        const running = world.start(record, { pace: () => pace, replicas: { r1: replica } })
        const held = async (by: RegExp): Promise<void> => {
          await world.until(`held by ${by}`, () => by.test(running.stream.report().throttled?.what ?? ''))
          const { throttled, copy, state } = running.stream.report()
          assert.deepEqual([throttled?.reason, throttled?.ends, state], ['pressure', 'it falls below its limit', 'copying'])
          assert.equal(copy.rowsDone, 0)
        }
        await held(/^the source has ([89]|\d\d+) threads at work \(limit 8\)$/)
        for (const one of sleepers) await admin.query(`KILL ${one.threadId}`)
        await Promise.all(sleeping)
        await held(/^the source keeps ([4-9]\d|\d{3,}) undo records \(limit 40\)$/)
        for (const sql of slow) await admin.query(sql)
        // The middle one of five commits is what counts.
        const name = markerStream(record.workflowUid, record.uid)
        const marks = async (): Promise<number> => (await readMarker(world.s, name, 'mark')) ?? 0
        const before = await marks()
        await until('slow commits', async () => (await marks()) > before + 6)
        await reader.query('COMMIT')
        await held(/^a commit on the source takes \d{3,} ms \(limit 100\)$/)
        // It has some markers of this stream, and gets no more.
        await until('the replica to follow', async () => (await readMarker(r, name, 'mark')) !== null, 30_000)
        await r.query(flavour === 'mysql' ? 'STOP REPLICA SQL_THREAD' : 'STOP SLAVE SQL_THREAD')
        const stoppedMs = systemClock.nowMs()
        await until('markers that it lacks for long', async () => systemClock.nowMs() - stoppedMs > 1_500)
        pace = limits
        for (const sql of quick) await admin.query(sql)
        await held(/^the replica r1 is \d{3,} ms behind \(limit 400\)$/)
        // A limit changes while it runs: no other run, no other reason.
        pace = { ...limits, replicaLagMsMax: 5 }
        await held(/^the replica r1 is \d{3,} ms behind \(limit 5\)$/)
        pace = limits
        await r.query(flavour === 'mysql' ? 'START REPLICA SQL_THREAD' : 'START SLAVE SQL_THREAD')
        await world.untilRunning(record.uid)
        assert.equal(running.stream.report().throttled, null)
        assert.equal(await world.assertEqual(), 600)
        await running.stop()
      } finally {
        for (const sql of quick) await admin.query(sql)
        for (const one of sleepers) one.destroy()
      }
    })
  })
}
