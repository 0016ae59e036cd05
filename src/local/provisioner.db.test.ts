import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { flavours, localServers } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import { endpointOptions, type ProvisionRequest } from '../mysql/provisioning.ts'
import { LocalProvisioner } from './provisioner.ts'

const accounts = {
  admin: { user: 'sw_admin', password: "a'd\\min" },
  mover: { user: 'sw_mover', password: 'm' },
  gate: { user: 'sw_gate', password: 'g' },
}

async function destroyAll(provisioner: LocalProvisioner): Promise<void> {
  await Promise.all((await provisioner.list()).map(({ id, which }) => provisioner.remove(id, which)))
}

for (const flavour of flavours()) {
  test(`${flavour}: a provisioned server has no admin but ours, is closed when asked, and is provisioned once`, async () => {
    const root = mkdtempSync(join(tmpdir(), 'sw-prov-'))
    const servers = localServers()
    const provisioner = new LocalProvisioner(servers, { root, flavours: flavours() })
    const request: ProvisionRequest = { id: 'app-40-80', flavour, schemas: ['app_40_80'], accounts, closed: true }
    try {
      const endpoint = await provisioner.provision(request)
      const options = endpointOptions(endpoint, accounts.admin)
      {
        await using admin = await connect(options)
        const users = (await admin.allText("SELECT User AS u FROM mysql.user WHERE User NOT LIKE 'm%.%' ORDER BY 1")).map((row) => row['u'])
        assert.deepEqual(users, ['sw_admin', 'sw_gate', 'sw_mover'])
        assert.equal(await admin.value('SELECT @@GLOBAL.read_only'), '1')
        assert.equal(await admin.value("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'app_40_80'"), '1')
      }
      await assert.rejects(connect(endpointOptions(endpoint, { user: 'root', password: '' })), 'root must be gone')
      await assert.rejects(connect(endpointOptions(endpoint, accounts.gate)), /lock/i)
      {
        await using mover = await connect(endpointOptions(endpoint, accounts.mover))
        await mover.query('CREATE TABLE app_40_80.t (a INT PRIMARY KEY)')
      }

      const again = await provisioner.provision(request)
      assert.equal(again.port, endpoint.port)
      {
        await using admin = await connect(options)
        assert.equal(await admin.value("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'app_40_80'"), '1')
      }

      await servers.kill9(join(root, 'app-40-80'))
      const back = await provisioner.ensureRunning('app-40-80')
      assert.equal(back.port, endpoint.port)
      await assert.rejects(connect(endpointOptions(back, accounts.gate)), /lock/i, 'the account lock outlives a crash')

      await assert.rejects(provisioner.ensureRunning('other'), { code: 'SW-LOCAL-012' })
      const which = (await provisioner.list())[0]?.which ?? ''
      assert.equal(await provisioner.remove('app-40-80', which), 'removed')
      assert.equal(await provisioner.remove('app-40-80', which), 'removed')
      assert.deepEqual(await provisioner.list(), [])
      assert.deepEqual(
        readdirSync(root).filter((name) => name.startsWith('app')),
        [],
      )
      // Whoever judged the first and was paused until now.
      const anew = await provisioner.provision(request)
      assert.equal(await provisioner.remove('app-40-80', which), 'another')
      assert.equal(await provisioner.remove('app-40-80', null), 'another')
      assert.deepEqual(
        (await provisioner.list()).map(({ id }) => id),
        ['app-40-80'],
      )
      await using still = await connect(endpointOptions(anew, accounts.admin))
      assert.equal(await still.value('SELECT 1'), '1')
    } finally {
      await servers.destroy(join(root, 'app-40-80'))
      rmSync(root, { recursive: true, force: true })
    }
  })

  test(`${flavour}: provisioning that was broken off before its record was closed goes on`, async () => {
    const root = mkdtempSync(join(tmpdir(), 'sw-prov-'))
    const provisioner = new LocalProvisioner(localServers(), { root, flavours: flavours() })
    const request: ProvisionRequest = { id: 'app', flavour, schemas: ['app'], accounts, closed: false }
    try {
      const stop = new AbortController()
      // Aborted while it furnishes: everything is done but the record.
      const broken = provisioner.provision(request, stop.signal)
      setImmediate(() => stop.abort(new Error('broken off')))
      await assert.rejects(broken, /broken off/)
      const endpoint = await provisioner.provision(request)
      await using gate = await connect({ ...endpointOptions(endpoint, accounts.gate), database: 'app' })
      assert.equal(await gate.value('SELECT @@GLOBAL.read_only'), '0')
    } finally {
      await destroyAll(provisioner)
      rmSync(root, { recursive: true, force: true })
    }
  })
}

test('servers provisioned at once get a port each, and keep it', async () => {
  const root = mkdtempSync(join(tmpdir(), 'sw-prov-'))
  const provisioner = new LocalProvisioner(localServers(), { root, flavours: flavours() })
  const ids = ['a', 'b', 'c', 'd']
  try {
    const endpoints = await Promise.all(
      ids.map((id) => provisioner.provision({ id, flavour: 'mariadb', schemas: [], accounts, closed: false })),
    )
    const ports = endpoints.map((endpoint) => endpoint.port)
    assert.equal(new Set(ports).size, ids.length)
    await provisioner.stop('a')
    // A newcomer does not get the port of a server that merely stands still.
    const newcomer = await provisioner.provision({ id: 'e', flavour: 'mariadb', schemas: [], accounts, closed: false })
    assert.ok(!ports.includes(newcomer.port))
    assert.equal((await provisioner.ensureRunning('a')).port, ports[0])
  } finally {
    await destroyAll(provisioner)
    rmSync(root, { recursive: true, force: true })
  }
})
