import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { flavours, localServers, testServer } from '../../test/kit/servers.ts'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import type { LocalServer } from './local-server.ts'
import { identify } from './process-identity.ts'
import type { ServerRecord } from './server-record.ts'

const quick = { durability: 'relaxed', bufferPoolBytes: 64 * 1024 * 1024, redoLogBytes: 48 * 1024 * 1024 } as const

function temporaryDir(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'sw-local-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

function open(server: LocalServer, password = ''): Promise<Connection> {
  return connect({ host: server.host, port: server.port, user: 'root', password })
}

for (const flavour of flavours()) {
  test(`${flavour}: a server is adopted, not started twice, and comes back with its data after kill -9`, async () => {
    using dir = temporaryDir()
    const servers = localServers()
    const request = { id: 'one', flavour, dir: join(dir.path, 'one'), settings: quick }
    try {
      // Two starts at once: the directory's lock lets one start it and the other adopt it.
      const [a, b] = await Promise.all([servers.start(request), localServers().start(request)])
      assert.equal(a.pid, b.pid)
      assert.deepEqual([a.adopted, b.adopted].sort(), [false, true])
      {
        await using connection = await open(a)
        await connection.query('CREATE DATABASE d')
        await connection.query('CREATE TABLE d.t (a INT PRIMARY KEY)')
        await connection.query('INSERT INTO d.t VALUES (7)')
      }
      await servers.kill9(request.dir)
      assert.equal(identify(a.pid), null)
      assert.equal(await servers.find(request.dir), null)
      const back = await servers.start(request)
      assert.equal(back.adopted, false)
      assert.equal(back.port, a.port)
      {
        await using connection = await open(back)
        assert.equal(await connection.value('SELECT a FROM d.t'), '7')
      }
      await servers.stop(request.dir)
      assert.equal(identify(back.pid), null)
      await servers.stop(request.dir)
    } finally {
      await servers.destroy(request.dir)
    }
  })

  test(`${flavour}: a provisioned server is durable, logs full rows with GTIDs, and listens on loopback only`, async () => {
    await using server = await testServer({ flavour, durability: 'full' })
    await using connection = await connect(server.config)
    const variable = async (name: string): Promise<string | null | undefined> =>
      (await connection.allText(`SHOW GLOBAL VARIABLES LIKE '${name}'`))[0]?.['Value']
    const expected: Record<string, string> = {
      sync_binlog: '1',
      innodb_flush_log_at_trx_commit: '1',
      log_bin: 'ON',
      binlog_format: 'ROW',
      binlog_row_image: 'FULL',
      binlog_row_metadata: 'FULL',
      bind_address: '127.0.0.1',
      skip_name_resolve: 'ON',
      character_set_server: 'utf8mb4',
      local_infile: 'ON',
      event_scheduler: 'OFF',
      ...(flavour === 'mysql' ? { gtid_mode: 'ON', enforce_gtid_consistency: 'ON' } : { gtid_strict_mode: 'ON' }),
    }
    const actual: Record<string, unknown> = {}
    for (const name of Object.keys(expected)) actual[name] = await variable(name)
    assert.deepEqual(actual, expected)
  })

  test(`${flavour}: copies of one template are two servers`, async () => {
    await using a = await testServer({ flavour })
    await using b = await testServer({ flavour })
    const identity = async (server: { config: typeof a.config }): Promise<string[]> => {
      await using connection = await connect(server.config)
      const row = await connection.allText(`SELECT @@server_id AS s, ${flavour === 'mysql' ? '@@server_uuid' : '@@gtid_domain_id'} AS u`)
      return [row[0]?.['s'] ?? '', row[0]?.['u'] ?? '']
    }
    const [ofA, ofB] = [await identity(a), await identity(b)]
    assert.notEqual(ofA[0], ofB[0])
    assert.notEqual(ofA[1], ofB[1])
  })

  test(`${flavour}: root's password is set before the first connection`, async () => {
    await using server = await testServer({ flavour, rootPassword: "s'ecre\\t" })
    await using connection = await connect(server.config)
    assert.equal(await connection.value('SELECT 1'), '1')
    await assert.rejects(connect({ ...server.config, password: '' }))
    await server.stop()
    await server.restart()
    await using again = await connect(server.config)
    assert.equal(await again.value('SELECT 1'), '1')
  })
}

test('a taken port moves on and says so', async () => {
  using dir = temporaryDir()
  const holder = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => holder.once('listening', resolve))
  const taken = (holder.address() as { port: number }).port
  const servers = localServers()
  const request = { id: 'p', flavour: 'mariadb', dir: join(dir.path, 'p'), port: taken, settings: quick } as const
  try {
    const server = await servers.start(request)
    assert.notEqual(server.port, taken)
    assert.equal(server.movedFromPort, taken)
  } finally {
    await servers.destroy(request.dir)
    holder.close()
  }
})

test('a process that merely has the recorded pid is never signalled', async () => {
  using dir = temporaryDir()
  const servers = localServers()
  const request = { id: 'v', flavour: 'mariadb', dir: join(dir.path, 'v'), settings: quick } as const
  const bystander = spawn('sleep', ['600'])
  try {
    await servers.start(request)
    await servers.kill9(request.dir)
    const file = join(request.dir, 'local.json')
    const record = JSON.parse(readFileSync(file, 'utf8')) as ServerRecord
    assert.ok(record.process)
    // As if the pid had come round again: the number is that of a live process, the start time is not.
    writeFileSync(file, JSON.stringify({ ...record, process: { ...record.process, pid: bystander.pid } }))
    await servers.stop(request.dir)
    await servers.kill9(request.dir)
    await assert.rejects(servers.pause(request.dir, 'SIGSTOP'), { code: 'SW-LOCAL-008' })
    assert.ok(identify(bystander.pid ?? 0))
  } finally {
    bystander.kill('SIGKILL')
    await servers.destroy(request.dir)
  }
})

test('a server whose record was lost between its start and its writing is adopted', async () => {
  using dir = temporaryDir()
  const servers = localServers()
  const request = { id: 'r', flavour: 'mariadb', dir: join(dir.path, 'r'), settings: quick } as const
  try {
    const server = await servers.start(request)
    const file = join(request.dir, 'local.json')
    const record = JSON.parse(readFileSync(file, 'utf8')) as ServerRecord
    writeFileSync(file, JSON.stringify({ ...record, process: null }))
    const again = await servers.start(request)
    assert.equal(again.pid, server.pid)
    assert.equal(again.adopted, true)
  } finally {
    await servers.destroy(request.dir)
  }
})

test('supervision starts a crashed server again, and leaves alone one that was stopped', { timeout: 30_000 }, async () => {
  using dir = temporaryDir()
  const servers = localServers()
  const request = { id: 's', flavour: 'mariadb', dir: join(dir.path, 's'), settings: quick } as const
  const stop = new AbortController()
  try {
    const server = await servers.start(request)
    let restarted: (server: LocalServer) => void = () => {}
    const restart = new Promise<LocalServer>((resolve) => (restarted = resolve))
    const supervising = servers.supervise([request], stop.signal, (again) => restarted(again))
    process.kill(server.pid, 'SIGKILL')
    const back = await restart
    assert.notEqual(back.pid, server.pid)
    assert.equal(back.port, server.port)
    await servers.stop(request.dir)
    await systemClock.sleep(600)
    assert.equal(await servers.find(request.dir), null)
    stop.abort()
    await supervising
  } finally {
    stop.abort()
    await servers.destroy(request.dir)
  }
})

test('a server that cannot start says why, in its own words', async () => {
  using dir = temporaryDir()
  const servers = localServers()
  const request = {
    id: 'x',
    flavour: 'mariadb',
    dir: join(dir.path, 'x'),
    settings: { ...quick, extra: { 'no-such-setting': 1 } },
  } as const
  try {
    await assert.rejects(
      servers.start(request),
      (error: Error & { code: string }) => error.code === 'SW-LOCAL-004' && /no-such-setting/.test(error.message),
    )
    // The mistake put right, it starts.
    const server = await servers.start({ ...request, settings: { ...quick, extra: {} } })
    assert.equal(server.adopted, false)
  } finally {
    await servers.destroy(request.dir)
  }
})

test('a directory of one flavour is not started as the other', { skip: !flavours().includes('mysql') }, async () => {
  using dir = temporaryDir()
  const servers = localServers()
  const path = join(dir.path, 'f')
  try {
    await servers.start({ id: 'f', flavour: 'mariadb', dir: path, settings: quick })
    await assert.rejects(servers.start({ id: 'f', flavour: 'mysql', dir: path }), { code: 'SW-LOCAL-007' })
  } finally {
    await servers.destroy(path)
  }
})
