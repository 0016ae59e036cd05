import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

  test(`create looks at the disk of a target’s binlog, on ${flavour}, also where that is another than its data’s`, async (t) => {
    const other = await anotherDisk()
    if (other === null) return t.skip('there is one disk only')
    try {
      await using server = await testServer({ flavour, durability: 'full' })
      await using target = await testServer({ flavour, durability: 'full', extra: { 'log-bin': join(other, 'binlog') } })
      await using root = await connect(server.config)
      await using there = await connect(target.config)
      const { data, binlog } = await readServerRoom(there, { host: '127.0.0.1', dataDir: null })
      assert.equal(binlog.dir, other)
      assert.ok(data.disk !== null && binlog.disk !== null && binlog.disk.device !== data.disk.device)
      await root.query('CREATE DATABASE app')
      await root.query('CREATE TABLE app.a (id INT NOT NULL PRIMARY KEY) ENGINE=InnoDB')
      await using office = await Office.open(flavour)
      await office.keyspace('app', server, 'app', ['a'])
      const targetServers = [{ host: '127.0.0.1', port: target.port, user: 'root', password: '' }]
      const { lines } = await planReshardCreate(office.world, 'app', 'w', { ...splitSpec(), targetServers })
      const said = lines.join('\n')
      assert.match(said, new RegExp(`room on 127.0.0.1:${target.port}: .* are free in ${data.dir}`))
      assert.match(said, new RegExp(`room for the binlog of 127.0.0.1:${target.port}, as a target: .* are free in ${other}`))
    } finally {
      await rm(other, { recursive: true, force: true })
    }
  })
}

/** A directory of ours on another disk than that of tests' servers; null: there is none. */
async function anotherDisk(): Promise<string | null> {
  const used = (await stat(tmpdir())).dev
  for (const dir of ['/dev/shm', '/var/tmp', '/tmp'])
    if ((await stat(dir).catch(() => null))?.dev !== used) return mkdtemp(join(dir, 'shardwright-binlog-')).catch(() => null)
  return null
}
