/** KILL reaches a session at whichever gate process it is. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import mysql from 'mysql2/promise'
import { besideEachOther } from '../../test/kit/beside.ts'
import { until } from '../../test/kit/until.ts'
import { keys } from '../topology/keys.ts'
import type { Gate } from './gate.ts'
import { gateOnServer, password, type GateOnServer } from './testkit/gate-on-server.ts'
import { startGate } from './testkit/world.ts'

besideEachOther('kills', (flavour) => {
  let world: GateOnServer
  let other: { gate: Gate; port: number }

  before(async () => {
    world = await gateOnServer({ flavour, keyspaces: { one: 'one' }, tables: ['t (id BIGINT PRIMARY KEY)'], users: { guest: {} } })
    other = await startGate(world.store, {}, undefined, 'gate-2')
  })
  after(async () => {
    await other?.gate.stop()
    await world?.stop()
  })

  const atOther = (user = 'app'): Promise<mysql.Connection> =>
    mysql.createConnection({ host: '127.0.0.1', port: other.port, user, password, database: 'one' })
  const fails = (promise: Promise<unknown>, errno: number): Promise<void> =>
    assert.rejects(promise, (error: { errno?: number; message: string }) => error.errno === errno || assert.fail(error.message))

  test('KILL QUERY and KILL by a connection to another process stop what runs, and only sessions of the same user', async () => {
    const [mine, there, guest] = [await world.client('app', 'one'), await atOther(), await atOther('guest')]
    const id = mine.threadId
    const runs = (): boolean => world.gate.core.sessions.get(Number(id))?.doing.command === 'Query'
    const slow = mine.query('SELECT SLEEP(20)').then(
      ([rows]) => rows,
      (error: { errno: number }) => error.errno,
    )
    await until('it runs', runs)
    await fails(guest.query(`KILL QUERY ${id}`), 1094)
    assert.ok(runs())
    await there.query(`KILL QUERY ${id}`)
    const said = await slow
    // MariaDB lets SLEEP answer.
    assert.ok(said === 1317 || JSON.stringify(said).includes(':1'), JSON.stringify(said))
    assert.deepEqual((await mine.query('SELECT 1 AS x'))[0], [{ x: 1 }])
    mine.on('error', () => {})
    await there.query(`KILL ${id}`)
    await until('it is gone', () => world.gate.core.sessions.size === 0)
    await fails(there.query(`KILL ${id}`), 1094)
    await fails(there.query(`KILL ${Number(there.threadId) + 1000}`), 1094)
    await fails(there.query('KILL 2147483647'), 1094)
    assert.equal((await world.store.list('kills/')).entries.size, 0, 'nothing is left of what was asked')
    await there.end()
    await guest.end()
  })

  test('a gate that takes the slot of another does not number its sessions as that did', async () => {
    const [here, there] = [await world.client('app'), await atOther()]
    const [a, b] = [here, there].map((c) => Number(c.threadId) % 0x100000)
    assert.ok(Math.abs((a ?? 0) - (b ?? 0)) > 20, `${a}, ${b}`)
    await here.end()
    await there.end()
  })

  test("no two gates have the same numbers, also after a lease has ended; a gate's numbers are free when it has gone", async () => {
    const third = await startGate(world.store, {}, undefined, 'gate-3')
    const slots = [world.gate, other.gate, third.gate].map((gate) => gate.core.membership.slot)
    assert.equal(new Set(slots).size, 3)
    await third.gate.core.membership.revive()
    assert.equal(third.gate.core.membership.slot, slots[2])
    assert.deepEqual((await world.store.get(keys.gateThreads(slots[2] ?? -1)))?.value, { v: 1, gate: 'gate-3' })
    await third.gate.stop()
    await until('it is free', async () => (await world.store.get(keys.gateThreads(slots[2] ?? -1))) === null)
    const c = await atOther()
    await fails(c.query(`KILL ${(slots[2] ?? 0) * 0x100000 + 1}`), 1094)
    await c.end()
  })
})
