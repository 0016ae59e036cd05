import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../mysql/connect.ts'
import { binlogWritten, diskOf, diskToBeOf, readServerRoom } from '../mysql/server-room.ts'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { planReshardCreate } from './reshard-plan.ts'
import { Office, splitSpec } from './testkit/office.ts'

for (const flavour of flavours()) {
  test(`create looks at the room that a move needs, on ${flavour}: disk of a server of this machine, connections, what it writes of binlog`, async () => {
    await using server = await testServer({ flavour, durability: 'full' })
    await using root = await connect(server.config)
    const here = await readServerRoom(root, { host: '127.0.0.1', dataDir: null })
    assert.ok(here.data.disk !== null && here.data.disk.freeBytes > 0 && here.binlog.disk !== null)
    assert.ok(here.connectionsNow >= 1 && here.connectionsPeak >= here.connectionsNow && here.connectionsMax > 10)
    // A container's: of its own word nothing here is looked at that is not there.
    assert.equal(await diskOf(`${here.data.dir}/no-such`), null)
    assert.deepEqual((await diskToBeOf(`${here.data.dir}/no-such/dir`))?.device, here.data.disk.device, 'where we are to make it')
    const elsewhere = await readServerRoom(root, { host: '192.0.2.7', dataDir: null })
    assert.equal(elsewhere.data.disk, null)
    assert.match(elsewhere.data.dir, /^\//)
    const { files } = await binlogWritten(root, null)
    await root.query('CREATE DATABASE app')
    await root.query('CREATE TABLE app.a (id INT NOT NULL PRIMARY KEY, x LONGBLOB) ENGINE=InnoDB')
    await root.query('FLUSH BINARY LOGS')
    await root.query("INSERT INTO app.a VALUES (1, REPEAT('x', 300000))")
    const { bytes } = await binlogWritten(root, files)
    assert.ok(bytes > 300_000 && bytes < 400_000, `${bytes} bytes in two files`)

    await using office = await Office.open(flavour)
    await office.keyspace('app', server, 'app', ['a'])
    const plan = () => planReshardCreate(office.world, 'app', 'w', splitSpec())
    const { lines } = await plan()
    const id = `127.0.0.1:${server.port}`
    assert.match(lines.join('\n'), new RegExp(`room for the binlog of ${id}: .* are free in /`))
    assert.match(lines.join('\n'), /room on .* is unknown: .*look at/)
    await root.query('SET GLOBAL max_connections = 30')
    await assert.rejects(plan(), (error: Error) => /takes 30 connections, of which \d+ are open/.test(error.message))
  })
}
