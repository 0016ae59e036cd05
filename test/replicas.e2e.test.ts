/** Replicas, primaries and gates on real servers: two of a source shard, two of its target, one gate, one mover, one leader in this process. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import mysql from 'mysql2/promise'
import { systemClock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { watchGivenUp } from '../src/change/given-up.ts'
import { addReplica, shardLog } from '../src/change/replicas.ts'
import { setPrimary } from '../src/change/set-primary.ts'
import { Office, rootOf } from '../src/change/testkit/office.ts'
import { Gate } from '../src/gate/gate.ts'
import { addUser } from '../src/gate/testkit/world.ts'
import { Mover } from '../src/move/mover.ts'
import { connect } from '../src/mysql/connect.ts'
import type { Connection } from '../src/mysql/connection.ts'
import { KeyspaceTurns } from '../src/switch/turns.ts'
import { keys } from '../src/topology/keys.ts'
import type { GivenUpServer, LeaderRecord, RoutingRecord, ServerSecret } from '../src/topology/records.ts'
import { readRecord } from '../src/topology/typed.ts'
import { readAudit } from '../src/workflow/audit.ts'
import type { ActionRecord } from '../src/workflow/records.ts'
import type { Leadership } from '../src/workflow/context.ts'
import { follow, forgetOwn, replicates, replicaSettings } from './kit/replication.ts'
import { flavours, testServer, type TestServer } from './kit/servers.ts'
import { until } from './kit/until.ts'

const switchArgs = {
  tabletTypes: ['primary', 'replica', 'rdonly'],
  shards: [],
  timeoutMs: 30_000,
  maxLagMs: 10_000,
  requireVdiff: false,
  enableReverse: true,
  allowDifferences: [],
  allowUnfenced: [],
  keepData: false,
  dropSource: false,
  dryRun: false,
}

for (const flavour of flavours()) {
  describe(`replicas and primaries, ${flavour}`, () => {
    let servers: TestServer[]
    let office: Office
    let gate: Gate
    let port: number
    const stop = new AbortController()
    let running: Promise<unknown> = Promise.resolve()
    const turns = new KeyspaceTurns()
    const id = (n: number): string => `127.0.0.1:${servers[n]?.port}`
    const place = { keyspace: 'app', shard: '-' }

    before(async () => {
      servers = await Promise.all([0, 1, 2, 3].map(() => testServer({ flavour, durability: 'full', extra: replicaSettings(flavour) })))
      for (const n of [0, 2]) {
        await using primary = await rootOf(at(n))
        await using replica = await rootOf(at(n + 1))
        await primary.query("CREATE USER app@'%' IDENTIFIED BY 'app'")
        await primary.query("GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO app@'%'")
        await primary.query("CREATE USER boss@'%' IDENTIFIED BY 'x'")
        await primary.query("GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION")
        await forgetOwn(replica)
        await follow(replica, primary, at(n).port)
      }
      await using primary = await rootOf(at(0))
      await primary.query('CREATE DATABASE app')
      await primary.query('CREATE TABLE app.t (id INT NOT NULL PRIMARY KEY, who VARCHAR(20)) ENGINE=InnoDB')
      office = await Office.open(flavour)
      await office.keyspace('app', at(0), 'app', ['t'])
      await addUser(office.store, 'app', 'secret')
      const mover = new Mover({
        store: office.store,
        id: 'mover-1',
        pid: process.pid,
        clock: systemClock,
        log: silentLog,
        rssBytes: () => 0,
        kill: () => undefined,
      })
      const leadership = { ...(await lead()), signal: stop.signal }
      running = Promise.all([mover.run(stop.signal), watchGivenUp(office.world, office.pool, turns, leadership, 100)])
      gate = new Gate({
        store: office.store,
        listen: { host: '127.0.0.1', port: 0 },
        log: silentLog,
        clock: systemClock,
        id: 'gate-1',
        pid: process.pid,
        config: { replicaCheckMs: 50, replicaLagMaxMs: 10_000 },
      })
      ;({ port } = await gate.start())
    })
    after(async () => {
      stop.abort()
      await running
      await gate.stop()
      await office[Symbol.asyncDispose]()
      await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
    })

    function at(n: number): TestServer {
      return servers[n] as TestServer
    }
    async function lead(): Promise<Leadership> {
      const leader = await readRecord<LeaderRecord>(office.store, keys.leader)
      return { token: 1, fence: { key: keys.leader, version: leader?.version ?? 0 }, signal: stop.signal }
    }
    const boss = (n: number) => ({ host: '127.0.0.1', port: at(n).port, user: 'boss', password: 'x' })
    const client = (database: string): Promise<mysql.Connection> =>
      mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database })
    const direct = (n: number): Promise<Connection> => connect({ host: '127.0.0.1', port: at(n).port, user: 'app', password: 'app' })
    async function scalar(on: mysql.Connection, sql: string): Promise<unknown> {
      const [rows] = await on.query({ sql, rowsAsArray: true })
      return (rows as unknown[][])[0]?.[0]
    }
    const joined = (n: number, shard = '-'): Promise<unknown> =>
      until(`server ${n} as a replica`, () => addReplica(office.world, { keyspace: 'app', shard }, boss(n)).then(() => true))
    const make = async (n: number, oldIsDown = false): Promise<string[]> => {
      let said: string[] = []
      const leadership = await lead()
      await turns.run('app', async () => {
        said = await setPrimary(office.world, office.pool, leadership, {
          ...place,
          server: id(n),
          oldIsDown,
          catchUpMs: 10_000,
          actor: 'anna',
          id: 'r-1',
        })
      })
      return said
    }
    /** Our own account, which no fence locks. */
    async function asAdmin(n: number, known = n): Promise<Connection> {
      const secret = await readRecord<ServerSecret>(office.store, keys.secret(id(known)))
      assert(secret !== null)
      return connect({ host: '127.0.0.1', port: at(n).port, ...secret.value.admin })
    }

    test('promises 1, 2, 9: set-primary under load at a gate: writes wait at it, none fails, none is lost, and the log says who and what', async () => {
      await joined(1)
      const acked: number[] = []
      const failed: string[] = []
      let going = true
      let next = 1
      const writers = [0, 1, 2, 3].map(async (n) => {
        const on = await client('app')
        while (going) {
          const row = next++
          try {
            if (n === 0) await on.query(`INSERT INTO t VALUES (${row}, 'text')`)
            else if (n === 1) await on.execute("INSERT INTO t VALUES (?, 'prepared')", [row])
            else {
              await on.query('BEGIN')
              await on.query(`INSERT INTO t VALUES (${row}, 'transaction')`)
              await on.query('COMMIT')
            }
            acked.push(row)
          } catch (error) {
            failed.push(String(error))
          }
        }
        await on.end()
      })
      await until('writes', () => acked.length > 100)
      const said = await make(1)
      const then = acked.length
      await until('writes on the new primary', () => acked.length > then + 100)
      going = false
      await Promise.all(writers)
      assert.deepEqual(failed, [])
      assert.match(said.join('\n'), /1 gates hold writes/)
      await using now = await direct(1)
      const there = new Set((await now.allText('SELECT id FROM app.t')).map((row) => Number(row['id'])))
      assert.deepEqual(
        acked.filter((row) => !there.has(row)),
        [],
        'acknowledged and lost',
      )
      await assert.rejects(direct(0), 'the old primary takes no clients')
      const routing = await readRecord<RoutingRecord>(office.store, keys.routing('app'))
      assert.equal(routing?.value.components[0]?.hold, null, 'gates let go')
      const log = await readAudit(office.store, 'app', shardLog('-'))
      assert.deepEqual([log[0]?.kind, log[0]?.actor, log.at(-1)?.kind, log.at(-1)?.outcome], ['request', 'anna', 'outcome', 'done'])
      assert.deepEqual(log[0]?.inputs, { server: id(1), oldIsDown: false, catchUpMs: 10_000 })
      for (const step of [/is closed/, /is the primary of app\/-/, /takes writes/])
        assert(
          log.some(({ what }) => step.test(what)),
          String(step),
        )
      await assert.rejects(make(3), { code: 'SW-CHANGE-046' })
      const refused = (await readAudit(office.store, 'app', shardLog('-'))).at(-1)
      assert.deepEqual([refused?.kind, refused?.outcome.slice(0, 13)], ['refusal', 'SW-CHANGE-046'])
    })

    test('the old primary is taken back as a replica: read at @replica, written by nobody', async () => {
      await using to = await asAdmin(0)
      await using from = await asAdmin(1)
      await follow(to, from, at(1).port)
      const { user, password } = (await readRecord<ServerSecret>(office.store, keys.secret(id(0))))?.value.admin ?? {
        user: '',
        password: '',
      }
      await until('it to replicate', () => replicates(to))
      await turns.run(
        'app',
        async () => void (await addReplica(office.world, place, { host: '127.0.0.1', port: at(0).port, user, password })),
      )
      assert.equal(await office.store.get(keys.givenUp(id(0))), null)
      const on = await client('app@replica')
      await until('reads there', async () => Number(await scalar(on, 'SELECT @@port')) === at(0).port)
      await on.end()
      await using past = await direct(0)
      await assert.rejects(past.query("INSERT INTO app.t VALUES (0, 'x')"), { kind: 'readOnly' })
    })

    test('promise 6: replica reads move first, to replicas that can be read, and never leave a reshard that can not be ended', async () => {
      const act = async (verb: string, args: Record<string, unknown> = {}): Promise<ActionRecord> =>
        office.act('app', 'w', verb, { ...switchArgs, ...args })
      const done = async (verb: string, args: Record<string, unknown> = {}): Promise<void> => {
        const action = await act(verb, args)
        assert.equal(action.state, 'done', `${verb}: ${JSON.stringify(action.errors)}`)
      }
      const refused = async (code: string, verb: string, args: Record<string, unknown> = {}): Promise<string> => {
        const { errors } = await act(verb, args)
        const found = errors.find((error) => error.code === code)
        assert(found !== undefined, `${verb}: ${JSON.stringify(errors)}`)
        return `${found.what} ${found.fix}`
      }
      const replicaOnly = { tabletTypes: ['replica'] }
      const created = await office.create('app', 'w', { targetServers: [boss(2)], autoStart: true })
      assert.equal(created.state, 'done', JSON.stringify(created.errors))
      await until('the stream to run', async () => {
        const reports = [...(await office.store.list(keys.reports)).entries.values()].map(
          ({ value }) => value as { state?: string; targets?: { lag: unknown }[] },
        )
        return reports.length > 0 && reports.every(({ state, targets }) => state === 'running' && targets?.every(({ lag }) => lag !== null))
      })
      assert.match(await refused('SW-SWITCH-040', 'switchtraffic'), /up to 1: -80 0, 80- 0.*--allow-fewer-replicas/)
      assert.match(await refused('SW-SWITCH-042', 'switchtraffic', replicaOnly), /add-replica app\//)
      for (const shard of ['-80', '80-']) await joined(3, shard)
      await using follower = await asAdmin(3)
      await follower.query('STOP REPLICA')
      assert.match(await refused('SW-SWITCH-041', 'switchtraffic', replicaOnly), /its replication does not run/)
      assert.match(await refused('SW-SWITCH-041', 'switchtraffic'), /remove-replica/)
      await follower.query('START REPLICA')
      await until('it to replicate', () => replicates(follower))
      await done('switchtraffic', replicaOnly)

      const reading = await client('app@replica')
      const writing = await client('app')
      const readAt = (n: number): Promise<unknown> =>
        until(`replica reads on ${n}`, async () => Number(await scalar(reading, 'SELECT @@port').catch(() => 0)) === at(n).port)
      const writeAt = async (n: number): Promise<void> => assert.equal(Number(await scalar(writing, 'SELECT @@port')), at(n).port)
      await readAt(3)
      await writeAt(1)
      await writing.query("INSERT INTO t VALUES (500001, 'through the stream')")
      await until(
        'the row at the new replicas',
        async () => Number(await scalar(reading, 'SELECT COUNT(*) FROM t WHERE id = 500001')) === 1,
      )
      // Neither end takes the ground away under them, and each says what would do.
      assert.match(await refused('SW-CHANGE-023', 'complete'), /the sources still serve/)
      assert.match(await refused('SW-CHANGE-023', 'cancel'), /replica reads of - are still .* reversetraffic --tablet-types replica/)
      await done('reversetraffic', replicaOnly)
      await readAt(0)
      await done('switchtraffic', replicaOnly)
      await done('switchtraffic')
      await writeAt(2)
      await readAt(3)
      await done('reversetraffic', replicaOnly)
      await readAt(0)
      await writeAt(2)
      assert.match(await refused('SW-CHANGE-023', 'complete'), /replica reads of - are still .* switchtraffic --tablet-types replica/)
      await done('switchtraffic')
      await readAt(3)
      await done('complete', { dryRun: true })
      await done('reversetraffic')
      await writeAt(1)
      await readAt(0)
      await done('cancel')
      await readAt(0)
      await reading.end()
      await writing.end()
    })

    test('promise 2: a primary that was down when it was given up is closed as soon as it is seen again, by whoever leads', async () => {
      await at(1).kill9()
      const said = await make(0, true)
      assert.match(said.join('\n'), /is closed as soon as it is seen again/)
      const on = await client('app')
      await on.query("INSERT INTO t VALUES (1000000, 'after')")
      await on.end()
      assert.equal((await readRecord<GivenUpServer>(office.store, keys.givenUp(id(1))))?.value.closed, false)
      await at(1).restart()
      await until('it to be closed', () =>
        direct(1).then(
          (c) => c.close().then(() => false),
          () => true,
        ),
      )
      await until('the record to say so', async () => (await readRecord<GivenUpServer>(office.store, keys.givenUp(id(1))))?.value.closed)
      await using root = await asAdmin(1)
      assert.equal(await root.value('SELECT @@GLOBAL.read_only'), '1')
      // Opened by somebody, it is closed again.
      await root.query("ALTER USER app@'%' ACCOUNT UNLOCK")
      await root.query('SET GLOBAL read_only = 0')
      await until('it to be closed again', async () => (await root.value('SELECT @@GLOBAL.read_only')) === '1')
      await until('the log to tell', async () =>
        (await readAudit(office.store, 'app', shardLog('-'))).some(({ what }) => /was open and is closed again/.test(what)),
      )
    })
  })
}
