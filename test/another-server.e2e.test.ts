/** Another server answers at a known address: a failover behind it that the topology has not been told of, to a replica that may lack what was acknowledged. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import mysql from 'mysql2/promise'
import { systemClock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { acceptServer } from '../src/change/accept-server.ts'
import { createKeyspace } from '../src/change/keyspaces.ts'
import { shardLog } from '../src/change/replicas.ts'
import { connectServer } from '../src/change/servers.ts'
import { Office, rootOf } from '../src/change/testkit/office.ts'
import { Gate } from '../src/gate/gate.ts'
import { addUser } from '../src/gate/testkit/world.ts'
import { addressesOf, connectWriter } from '../src/move/access.ts'
import { ingestAddressesOf, connectConsumer } from '../src/ingest/access.ts'
import { readAudit } from '../src/workflow/audit.ts'
import { FaultProxy } from './kit/fault-proxy.ts'
import { follow, forgetOwn, replicaSettings } from './kit/replication.ts'
import { flavours, testServer } from './kit/servers.ts'
import { until } from './kit/until.ts'

for (const flavour of flavours()) {
  test(`promises 1, 2: nothing is sent to another server than the one attached, until it is accepted by name (${flavour})`, async () => {
    const extra = replicaSettings(flavour)
    const [first, second] = await Promise.all([
      testServer({ flavour, durability: 'full', extra }),
      testServer({ flavour, durability: 'full', extra }),
    ])
    await using address = await FaultProxy.start({ host: '127.0.0.1', port: first.port })
    await using replica = await rootOf(second)
    {
      await using root = await rootOf(first)
      await root.query("CREATE USER boss@'%' IDENTIFIED BY 'x'")
      await root.query("GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION")
      await root.query('CREATE DATABASE app')
      await root.query('CREATE TABLE app.t (id INT NOT NULL PRIMARY KEY) ENGINE=InnoDB')
      await forgetOwn(replica)
      await follow(replica, root, first.port)
    }
    const office = await Office.open(flavour)
    const at = `127.0.0.1:${address.port}`
    await createKeyspace(office.world, {
      name: 'app',
      server: { host: '127.0.0.1', port: address.port, user: 'boss', password: 'x', schema: 'app' },
    })
    await addUser(office.store, 'app', 'secret')
    const gate = new Gate({
      store: office.store,
      listen: { host: '127.0.0.1', port: 0 },
      log: silentLog,
      clock: systemClock,
      id: 'gate-1',
      pid: process.pid,
    })
    const { port } = await gate.start()
    const on = await mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
    const rows = async (): Promise<string> => (await replica.allText('SELECT id FROM app.t ORDER BY id')).map((row) => row['id']).join(',')
    try {
      await on.query('INSERT INTO t VALUES (1)')
      await until('the replica', async () => (await rows()) === '1')
      // The failover: the replica takes writes, and the address leads to it. What the first one acknowledged last is not there.
      await replica.query('STOP REPLICA')
      await on.query('INSERT INTO t VALUES (2)')
      await replica.query('SET GLOBAL read_only = 0')
      address.target = { host: '127.0.0.1', port: second.port }
      address.cut()
      await assert.rejects(on.query('INSERT INTO t VALUES (3)'), 'over a connection that is gone')
      await assert.rejects(on.query('INSERT INTO t VALUES (3)'), /another server answers at .*shardwright server accept/)
      await assert.rejects(on.query('SELECT * FROM t'), /another server answers/, 'reads would go back in time')
      const refused = { code: 'SW-MYSQL-019' }
      await assert.rejects(
        addressesOf(office.store)(at).then((to) => connectWriter(to)),
        refused,
        'movers',
      )
      await assert.rejects(
        ingestAddressesOf(office.store)(at).then((to) => connectConsumer(to, 5_000)),
        refused,
        'consumers',
      )
      await assert.rejects(connectServer(office.store, at, 'admin'), { code: 'SW-CHANGE-012' }, 'the controller')
      await assert.rejects(
        office.pool.run(at, async () => undefined),
        /another server answers/,
        'no fence is laid on it',
      )
      assert.equal(await rows(), '1')

      const { was, is } = await acceptServer(office.world, { server: at, actor: 'anna' })
      assert.notEqual(was, is)
      await until('the gate to hear of it', () =>
        on.query('INSERT INTO t VALUES (4)').then(
          () => true,
          () => false,
        ),
      )
      assert.equal(await rows(), '1,4')
      const said = (await readAudit(office.store, 'app', shardLog('-'))).at(-1)
      assert.deepEqual([said?.actor, said?.what, said?.inputs], ['anna', `server accept ${at}`, { was, is }])
    } finally {
      await on.end()
      await gate.stop()
      await office[Symbol.asyncDispose]()
      await Promise.all([first[Symbol.asyncDispose](), second[Symbol.asyncDispose]()])
    }
  })
}
