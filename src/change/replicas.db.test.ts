import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { currentPosition, executedContains } from '../binlog/position.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { Mover } from '../move/mover.ts'
import { seenSql } from '../move/seen.ts'
import { ControllerDied } from '../switch/crash-points.ts'
import { keys } from '../topology/keys.ts'
import type { LeaderRecord, ServerSecret, ShardRecord, StreamRecord, StreamReport } from '../topology/records.ts'
import { listRecords, readRecord, updateRecord } from '../topology/typed.ts'
import { follow as startReplica, forgetOwn, replicates, replicaSettings } from '../../test/kit/replication.ts'
import { flavours } from '../../test/kit/servers.ts'
import type { TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import type { Leadership } from '../workflow/context.ts'
import { settlePrimaryChange } from './primary-change.ts'
import { addReplica, removeReplica } from './replicas.ts'
import { setPrimary, type PrimaryFailpoint } from './set-primary.ts'
import { Office, rootOf, testServer } from './testkit/office.ts'

for (const flavour of flavours()) {
  describe(`replicas of a shard, ${flavour}`, () => {
    let first: TestServer
    let second: TestServer
    let third: TestServer
    let office: Office
    let attached: Office | null = null
    const stopMover = new AbortController()
    let moving: Promise<void> = Promise.resolve()
    const extra = replicaSettings(flavour)
    const place = { keyspace: 'app', shard: '-' }
    const id = (server: TestServer): string => `127.0.0.1:${server.port}`
    const boss = (server: TestServer) => ({ host: '127.0.0.1', port: server.port, user: 'boss', password: 'x' })
    const client = (server: TestServer): Promise<Connection> =>
      connect({ host: '127.0.0.1', port: server.port, user: 'app', password: 'app' })

    before(async () => {
      ;[first, second, third] = (await Promise.all([0, 1, 2].map(() => testServer({ flavour, durability: 'full', extra })))) as [
        TestServer,
        TestServer,
        TestServer,
      ]
      {
        await using root = await rootOf(second)
        await forgetOwn(root)
        await follow(second, first)
      }
      {
        await using root = await rootOf(first)
        await root.query("CREATE USER app@'%' IDENTIFIED BY 'app'")
        await root.query("GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO app@'%'")
        await root.query("CREATE USER boss@'%' IDENTIFIED BY 'x'")
        await root.query("GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION")
        await root.query('CREATE DATABASE app')
        await root.query('CREATE TABLE app.t (id INT NOT NULL PRIMARY KEY, who VARCHAR(20)) ENGINE=InnoDB')
        await root.query("INSERT INTO app.t VALUES (1, 'first'), (2, 'first')")
      }
      {
        await using root = await rootOf(third)
        await root.query("CREATE USER boss@'%' IDENTIFIED BY 'x'")
        await root.query("GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION")
      }
      office = await Office.open(flavour)
      await office.keyspace('app', first, 'app', ['t'])
      attached = office
      const mover = new Mover({
        store: office.store,
        id: 'mover-1',
        pid: process.pid,
        clock: systemClock,
        log: silentLog,
        rssBytes: () => 0,
        kill: () => undefined,
      })
      moving = mover.run(stopMover.signal)
    })
    after(async () => {
      stopMover.abort()
      await moving
      await office[Symbol.asyncDispose]()
      await Promise.all([first, second, third].map((server) => server[Symbol.asyncDispose]()))
    })

    /** By our own account where a fence has locked everybody's. */
    async function asAdmin(server: TestServer): Promise<Connection> {
      const secret = attached === null ? null : await readRecord<ServerSecret>(attached.store, keys.secret(id(server)))
      if (secret === null) return rootOf(server)
      return connect({ host: '127.0.0.1', port: server.port, ...secret.value.admin })
    }
    async function follow(replica: TestServer, source: TestServer): Promise<void> {
      await using from = await asAdmin(source)
      await using to = await asAdmin(replica)
      await startReplica(to, from, source.port)
    }
    async function lead(): Promise<Leadership> {
      const leader = await readRecord<LeaderRecord>(office.store, keys.leader)
      return { token: 1, fence: { key: keys.leader, version: leader?.version ?? 0 }, signal: new AbortController().signal }
    }
    const make = async (server: TestServer, oldIsDown = false, failpoint?: PrimaryFailpoint): Promise<string[]> =>
      setPrimary(
        office.world,
        office.pool,
        await lead(),
        { ...place, server: id(server), oldIsDown, catchUpMs: 10_000, actor: 'anna', id: 'r-1' },
        failpoint,
      )
    const dieAt =
      (where: string): PrimaryFailpoint =>
      async (point) => {
        if (point === where) throw new ControllerDied()
      }
    const streamRuns = async (): Promise<boolean> => {
      const reports = [...(await office.store.list('reports/')).entries.values()].map((entry) => entry.value as { state?: string })
      return reports.length > 0 && reports.every(({ state }) => state === 'running')
    }
    const write = async (server: TestServer, n: number): Promise<void> => {
      await using connection = await client(server)
      await connection.query(`INSERT INTO app.t VALUES (${n}, 'w')`)
    }
    const onTargets = (): Promise<number> =>
      office.pool.run(id(third), async ({ connection }) =>
        Number(await connection.value('SELECT (SELECT COUNT(*) FROM app_00_80.t) + (SELECT COUNT(*) FROM app_80_ff.t)')),
      )

    test('only a running, read-only replica of the primary is taken', async () => {
      await assert.rejects(addReplica(office.world, place, boss(third)), { code: 'SW-CHANGE-045', message: /replicates from nobody/ })
      await until('the account to replicate', async () => (await connect(boss(second))).close().then(() => true), 20_000)
      await using root = await rootOf(second)
      await root.query('SET GLOBAL read_only = 0')
      await assert.rejects(addReplica(office.world, place, boss(second)), { code: 'SW-CHANGE-045', message: /read_only=0/ })
      await root.query('SET GLOBAL read_only = 1')
      await assert.rejects(make(second), { code: 'SW-CHANGE-046' })
      await addReplica(office.world, place, boss(second))
      await addReplica(office.world, place, boss(second))
      assert.deepEqual((await readRecord<ShardRecord>(office.store, keys.shard('app', '-')))?.value.replicas, [id(second)])
    })

    test('promise 9: a controller that dies before the commit leaves a change that is taken back: writes, streams, replica', async () => {
      const made = await office.create('app', 'w', { targetServers: [{ ...boss(third) }], autoStart: true })
      assert.equal(made.state, 'done', JSON.stringify(made.errors))
      await until('the copy', async () => (await onTargets()) === 2, 30_000)
      await until('the stream', streamRuns, 20_000)
      const change = keys.primaryChange(place.keyspace, place.shard)
      let n = 10
      for (const point of ['oldClosed', 'newClosed']) {
        await assert.rejects(make(second, false, dieAt(point)), ControllerDied)
        await assert.rejects(client(first), 'closed')
        await settlePrimaryChange(office.world, office.pool, await lead(), change)
        assert.equal(await office.store.get(change), null)
        await write(first, ++n)
        await until('the stream to go on', async () => (await streamRuns()) && (await onTargets()) === 2 + n - 10, 20_000)
        await until(
          'the replica to replicate, and to be read',
          async () => {
            await using reader = await client(second)
            return (await reader.value(`SELECT COUNT(*) FROM app.t WHERE id = ${n}`)) === '1'
          },
          20_000,
        )
        await assert.rejects(write(second, 50), { kind: 'readOnly' }, 'a replica takes no writes')
      }
      {
        await using root = await rootOf(first)
        await root.query('DELETE FROM app.t WHERE id > 2')
      }
      await until('that too', async () => (await onTargets()) === 2, 20_000)
    })

    test('promises 1, 2: the primary changes under writes and a running stream: none is lost, the old one is closed first, the stream goes on', async () => {
      const acked: number[] = []
      let server = first
      let running = true
      const writing = (async () => {
        let connection: Connection | null = null
        for (let n = 100; running; n++) {
          try {
            connection ??= await client(server)
            await connection.query(`INSERT INTO app.t VALUES (${n}, 'w')`)
            acked.push(n)
          } catch {
            connection?.destroy()
            connection = null
            server = server === first ? second : first
          }
          await systemClock.sleep(3)
        }
        connection?.destroy()
      })()
      await until('writes', () => acked.length > 20, 20_000)
      // Its controller dies right after the commit; whoever asks again, or leads next, opens it.
      await assert.rejects(make(second, false, dieAt('committed')), ControllerDied)
      assert.match((await make(second)).join('\n'), /is the primary of app\/-/)
      const then = acked.length
      await until('writes on the new primary', () => acked.length > then + 20, 20_000)
      running = false
      await writing
      await assert.rejects(client(first), 'the old primary takes no clients')
      await using now = await client(second)
      const ids = new Set((await now.allText('SELECT id FROM app.t')).map((row) => Number(row['id'])))
      assert.deepEqual(
        acked.filter((n) => !ids.has(n)),
        [],
        'acknowledged and lost',
      )
      const [stream] = await listRecords<StreamRecord>(office.store, keys.streams)
      assert.equal(stream?.value.source.serverId, id(second))
      await until('the stream to bring all of it', async () => (await onTargets()) === ids.size, 15_000).catch(async (error: unknown) => {
        throw new Error(JSON.stringify([...(await office.store.list('reports/')).entries.values()].map((entry) => entry.value)), {
          cause: error,
        })
      })
      assert.match((await make(second)).join(), /already/, 'asked for again: nothing to do')
    })

    test('a replica that misses what a stream has read is refused, though the old primary is given up', async () => {
      await follow(first, second)
      // Our administrator opens nothing there: it is attached by our own account, which no fence locks.
      const admin = await readRecord<{ v: 1; admin: { user: string; password: string } }>(office.store, keys.secret(id(second)))
      assert(admin !== null)
      await until(
        'replication to run',
        async () => {
          await using connection = await connect({ host: '127.0.0.1', port: first.port, ...admin.value.admin })
          return await replicates(connection)
        },
        20_000,
      )
      await addReplica(office.world, place, { host: '127.0.0.1', port: first.port, ...admin.value.admin })
      await using stopped = await connect({ host: '127.0.0.1', port: first.port, ...admin.value.admin })
      await using writer = await client(second)
      // What was read and is in no position yet: a mover that died, as if it had left rows out for it.
      const [found] = await listRecords<StreamRecord>(office.store, keys.streams)
      const stream = found ?? assert.fail('no stream')
      const wanted = (state: StreamRecord['wanted']) =>
        updateRecord<StreamRecord>(office.store, stream.key, (now) => (now === null ? null : { ...now, wanted: state }), [])
      await wanted('stopped')
      await until('the stream to stop', async () => {
        const report = await readRecord<StreamReport>(office.store, keys.report(stream.value.workflowUid, stream.value.uid))
        return report?.value.state === 'stopped'
      })
      await using root = await rootOf(second)
      const stood = await currentPosition(root)
      await until('the replica to have what is in a position', () => executedContains(stopped, stood), 20_000)
      await stopped.query('STOP REPLICA')
      await writer.query("INSERT INTO app.t VALUES (9998, 'read')")
      const read = await currentPosition(root)
      const target = { streamUid: stream.value.uid, targetUid: stream.value.targets[0]?.uid ?? '', workflowUid: stream.value.workflowUid }
      await office.pool.run(id(third), ({ connection }) => connection.query(seenSql(target, 0, read)))
      await assert.rejects(make(first, true), { code: 'SW-CHANGE-072', message: /the stream from - to/ })
      await office.pool.run(id(third), ({ connection }) => connection.query('DELETE FROM _shardwright.move_seen WHERE writer = 0'))
      await wanted('running')
      await until('the stream to go on', streamRuns, 20_000)
      await writer.query("INSERT INTO app.t VALUES (9999, 'late')")
      const before_ = await onTargets()
      await until('the stream to read it', async () => (await onTargets()) >= before_, 20_000)
      await until('its position to be stored', async () => {
        const rows = await office.pool.run(id(third), ({ connection }) =>
          connection.allText('SELECT id FROM app_00_80.t WHERE id = 9999 UNION ALL SELECT id FROM app_80_ff.t WHERE id = 9999'),
        )
        return rows.length === 1
      })
      await assert.rejects(make(first, true), { code: 'SW-CHANGE-072', message: /the stream from - to/ })
      assert.equal((await readRecord<ShardRecord>(office.store, keys.shard('app', '-')))?.value.serverId, id(second))
      await removeReplica(office.world, place, id(first))
      await assert.rejects(removeReplica(office.world, place, id(first)), { code: 'SW-CHANGE-046' })
    })
  })
}
