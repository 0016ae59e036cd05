/**
 * Promise 1, PROTOCOLS 1.4, 1.10: a source dies in mid-copy and its replica, which has all of it, is made the primary: the stream goes on there from its GTIDs and ends
 * with the same rows.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { follow, forgetOwn, replicaSettings } from '../../test/kit/replication.ts'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { currentPosition, executedContains } from '../binlog/position.ts'
import { connect } from '../mysql/connect.ts'
import { fill, World } from './testkit/world.ts'

for (const flavour of flavours()) {
  test(`promise 1, 1.10 on ${flavour}: the source is killed in mid-copy, its replica takes its place: the copy goes on there, the same rows`, async () => {
    const options = { flavour, extra: replicaSettings(flavour) }
    const [primary, replica] = await Promise.all([testServer(options), testServer(options)])
    await using _primary = primary
    await using _replica = replica
    const r = await connect(replica.config)
    await using p = await connect(primary.config)
    await forgetOwn(r)
    await follow(r, p, primary.port)
    await using targetServer = await testServer({ flavour })
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, { source: primary, target: targetServer })
    await fill(world, 0, 1500, 3000)
    const schema = world.sourceRefs[0]!.schema
    const record = world.record(0)
    let paced = true
    const running = world.start(record, { pace: () => (paced ? { copyBytesPerSecondMax: 60_000 } : {}) })
    const copied = (): number => world.reports.get(record.uid)?.copy.rowsDone ?? 0
    await world.until('rows of the copy', () => copied() > 100)
    await world.s.query('UPDATE item SET v = v + 1, owner = owner + 1 WHERE id % 3 = 0')
    await world.s.query(`INSERT INTO item VALUES (100001, 5, NULL, 'before', 0)`)
    // Nothing more is written, our markers among it, until the replica has it all.
    await p.query('FLUSH TABLES WITH READ LOCK')
    const position = await currentPosition(p)
    await until('the replica to have it all', () => executedContains(r, position))
    assert.equal(world.state(record.uid), 'copying', 'the copy is not over yet')
    await primary.kill9()
    await r.query('STOP REPLICA')
    await r.query('RESET REPLICA ALL')
    await r.query('SET GLOBAL read_only = 0')
    ;(world as { source: TestServer }).source = replica
    world.s = r
    await r.useDatabase(schema)
    await r.query('UPDATE item SET v = v + 10, owner = owner + 1 WHERE id % 5 = 0')
    await r.query('DELETE FROM item WHERE id % 7 = 0')
    paced = false
    await world.untilRunning(record.uid)
    await r.query(`INSERT INTO item VALUES (100002, 5, NULL, 'after', 0)`)
    await world.drain(record.uid)
    assert.ok((await world.assertEqual()) > 1000)
    await running.stop()
  })
}
