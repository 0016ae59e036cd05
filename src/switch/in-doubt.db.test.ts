/** Of a transaction over several shards the side that goes may be the only one to know the outcome: docs/decisions/015. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import type { Connection } from '../mysql/connection.ts'
import { keys } from '../topology/keys.ts'
import type { ServerRecord, ServerSecret, ShardRecord } from '../topology/records.ts'
import { initialRouting } from '../topology/routing.ts'
import { put } from '../topology/typed.ts'
import { attachServer } from './attach.ts'
import { defaultSwitchLimits } from './context.ts'
import { requireNoneInDoubt } from './in-doubt.ts'
import { switchReportText } from './report.ts'
import { until } from '../../test/kit/until.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { endLeftInDoubt } from './strays.ts'
import { switchTraffic } from './switch-traffic.ts'
import { TestServer } from './testkit/servers.ts'
import { connectApp, fresh, installationId, old, World } from './testkit/world.ts'

const limits = { ...defaultSwitchLimits, warmMs: 5_000, graceMs: 200, limitMs: 4_000, holdsReportMs: 50, freshMs: 60_000 }
const request = { keyspace: 'app', workflow: 'w', shards: null, dryRun: false, limits, undo: 'shardwright reshard reversetraffic' }

besideEachOther('transactions in doubt', (flavour) => {
  describe(`transactions in doubt at a switch on ${flavour}`, () => {
    let world: World
    /** Serves another keyspace. */
    let far: TestServer
    let root: Connection
    let decider: Connection

    before(async () => {
      ;[world, far] = await Promise.all([World.start(flavour), TestServer.start(flavour)])
      root = await far.root()
      decider = await world.admin('f')
      const account = (user: string): { user: string; password: string } => ({ user, password: randomUUID() })
      const secret: ServerSecret = { v: 1, admin: account('sw_admin'), mover: account('sw_mover'), gate: account('sw_gate') }
      const { serverVersion: version } = root
      const address = { host: '127.0.0.1', port: far.port, socketPath: null }
      const record: ServerRecord = { v: 1, id: 'far', flavour, version, ...address, provisioned: true, dataDir: null }
      const place = { serverId: 'far', schema: 'other', madeBy: null, provisioned: true }
      const shard: ShardRecord = { v: 1, keyspace: 'other', name: '-', uid: 'uid-other', ...place }
      await world.store.commit(
        [],
        [
          put(keys.server('far'), record),
          put(keys.secret('far'), secret),
          put(keys.shard('other', '-'), shard),
          put(keys.routing('other'), initialRouting(['-'])),
        ],
      )
      await attachServer(root, { serverId: 'far', installationId, secret, otherAccounts: 'drop' })
      await root.query("CREATE USER app@'%' IDENTIFIED BY 'app'")
      await root.query("GRANT SELECT, INSERT ON *.* TO app@'%'")
      if (flavour === 'mysql') await root.query("GRANT XA_RECOVER_ADMIN ON *.* TO app@'%'")
      await root.query('CREATE DATABASE other')
      await root.query('CREATE TABLE other.t (id INT AUTO_INCREMENT PRIMARY KEY)')
      await decider.query(
        'CREATE TABLE _shardwright.control_decision (gtrid VARBINARY(64) NOT NULL PRIMARY KEY, outcome VARCHAR(8) NOT NULL, at DATETIME NOT NULL)',
      )
    })
    after(async () => {
      await root?.close()
      await decider?.close()
      await world?.stop()
      await far?.stop()
    })

    const prepare = async (gate: Connection, gtrid: string): Promise<void> => {
      for (const sql of ['XA START', 'INSERT INTO other.t VALUES (NULL)', 'XA END', 'XA PREPARE'])
        await gate.query(sql.startsWith('XA') ? `${sql} '${gtrid}','uid-other'` : sql)
    }
    /** Prepared far away, by a gate that is gone. */
    const leaveInDoubt = async (gtrid: string): Promise<void> => {
      await using gate = await connectApp(far)
      await prepare(gate, gtrid)
    }
    const servesNow = async (): Promise<unknown> => (await world.routing()).components[0]?.serving.primary

    test('promise 1: a side that decided a transaction which is in doubt elsewhere is not left', async () => {
      const context = await world.leader()
      const gtrid = 'sw1-aa-uid-'
      await decider.query(`INSERT INTO _shardwright.control_decision VALUES ('${gtrid}', 'commit', UTC_TIMESTAMP())`)
      await leaveInDoubt(gtrid)
      await leaveInDoubt('sw1-bb-uid-elsewhere')
      await assert.rejects(switchTraffic(context, { ...request, to: fresh }), { code: 'SW-SWITCH-053', message: /sw1-aa-uid- on far/ })
      assert.deepEqual(await servesNow(), old)
      await root.query(`XA COMMIT '${gtrid}','uid-other'`)
      const report = await switchTraffic(context, { ...request, to: fresh })
      assert.equal(report.outcome, 'switched', switchReportText(report))
      await root.query("XA ROLLBACK 'sw1-bb-uid-elsewhere','uid-other'")
      await switchTraffic(context, { ...request, to: old })
    })

    test('promise 1: nor one that decided it after the first look, before the fence', async () => {
      const context = await world.leader({
        failpoint: async (point) => {
          if (point === 'drained') await leaveInDoubt('sw1-cc-uid-')
        },
      })
      const report = await switchTraffic(context, { ...request, to: fresh })
      assert.equal(report.outcome, 'given up', switchReportText(report))
      assert.match(switchReportText(report), /SW-SWITCH-053/)
      assert.deepEqual(await servesNow(), old)
      await root.query("XA ROLLBACK 'sw1-cc-uid-','uid-other'")
    })

    test('promise 9: a server of another keyspace that says nothing keeps no switch beyond its time, nor the look at what is in doubt', async () => {
      const context = await world.leader({ failpoint: async (point) => void (point === 'drained' && process.kill(far.pid, 'SIGSTOP')) })
      const started = performance.now()
      try {
        const report = await switchTraffic(context, { ...request, to: fresh })
        assert.equal(report.outcome, 'given up', switchReportText(report))
        assert.match(switchReportText(report), /SW-SWITCH-02[46]/)
        assert.deepEqual(await servesNow(), old)
        await endLeftInDoubt(context, 'app')
        assert.ok(performance.now() - started < 25_000, 'it was waited for')
      } finally {
        process.kill(far.pid, 'SIGCONT')
      }
    })

    test('what another workflow does on a server keeps no switch waiting', async () => {
      const context = await world.leader()
      const { connection } = await context.pool.claimed('far')
      const busy = connection.query('DO SLEEP(6)')
      const report = await switchTraffic(context, { ...request, to: fresh })
      assert.equal(report.outcome, 'switched', switchReportText(report))
      await busy
      const back = await switchTraffic(context, { ...request, to: old })
      assert.equal(back.outcome, 'switched', switchReportText(back))
    })

    test('promise 1: what is prepared behind the look, by a gate that dies, is ended as the closed side has decided it, or never will', async () => {
      const context = await world.leader()
      const report = await switchTraffic(context, { ...request, to: fresh })
      assert.equal(report.outcome, 'switched', switchReportText(report))
      const before = Number(await root.value('SELECT COUNT(*) FROM other.t'))
      // Its session lives: MariaDB ends it for nobody else, which keeps no other from its end.
      const alive = flavour === 'mariadb' ? await connectApp(far) : null
      if (alive !== null) await prepare(alive, 'sw1-d0-uid-')
      await leaveInDoubt('sw1-dd-uid-')
      await leaveInDoubt('sw1-ee-uid-')
      await decider.query("INSERT INTO _shardwright.control_decision VALUES ('sw1-ee-uid-', 'commit', UTC_TIMESTAMP())")
      await until('both are ended', async () => {
        await endLeftInDoubt(context, 'app')
        return (await context.pool.run('far', ({ connection }) => connection.all('XA RECOVER'))).length === (alive === null ? 0 : 1)
      })
      await alive?.query("XA ROLLBACK 'sw1-d0-uid-','uid-other'")
      await alive?.close()
      assert.equal(Number(await root.value('SELECT COUNT(*) FROM other.t')), before + 1)
      // Whoever wakes up late finds it decided.
      assert.equal(await decider.value("SELECT outcome FROM _shardwright.control_decision WHERE gtrid = 'sw1-dd-uid-'"), 'rollback')
      await switchTraffic(context, { ...request, to: old })
    })

    test('promise 6: a server that can not be asked may have one', async () => {
      const context = await world.leader()
      const shards = [{ uid: 'uid-', serverId: 'f' }]
      await requireNoneInDoubt(context, shards, 0, AbortSignal.timeout(30_000))
      await context.pool.release('far')
      await far.kill9()
      try {
        await assert.rejects(requireNoneInDoubt(context, shards, 0, AbortSignal.timeout(30_000)), { code: 'SW-SWITCH-024' })
      } finally {
        await far.up()
      }
    })
  })
})
