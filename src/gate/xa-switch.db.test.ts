/** Transactions that are to be all or nothing, and that a switch meets at their first statement. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { connect } from '../mysql/connect.ts'
import { startMariadb } from './testkit/servers.ts'
import { closeServer, doSwitch } from './testkit/switching.ts'
import { addKeyspace, addServer, addUser, changeRouting, MemoryStore, startGate } from './testkit/world.ts'

for (const flavour of flavours())
  test(`promise 1: ${flavour}: a transaction whose first statement was sent again on the new side is decided there`, async () => {
    const servers = await Promise.all([startMariadb({}, flavour), startMariadb({}, flavour)])
    const [onA, onB] = [await servers[0].admin(), await servers[1].admin()]
    const store = new MemoryStore()
    for (const [i, c] of [onA, onB].entries()) {
      for (const schema of i === 0 ? ['whole'] : ['low', 'high']) {
        await c.query(`CREATE DATABASE ${schema}`)
        await c.query(`CREATE TABLE ${schema}.t (id BIGINT PRIMARY KEY, n INT)`)
      }
      await addServer(store, `s${i + 1}`, servers[i]?.port ?? 0, flavour)
    }
    await addUser(store, 'app', 'secret')
    const vschema = {
      sharded: true,
      vindexes: { hash: { type: 'hash' } },
      tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
    }
    await addKeyspace(
      store,
      'app',
      [
        { name: '-', serverId: 's1', schema: 'whole' },
        { name: '-80', serverId: 's2', schema: 'low' },
        { name: '80-', serverId: 's2', schema: 'high' },
      ],
      { serving: ['-'], sharded: true, vschema, mode: 'xa' },
    )
    await changeRouting(store, 'app', (r) => ({
      ...r,
      components: r.components.map((c) => ({ ...c, workflow: 'w', other: ['-80', '80-'] })),
    }))
    await closeServer(onB)
    const { gate, port } = await startGate(store)
    try {
      const c = await connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
      await c.query('SELECT COUNT(*) FROM t')
      const { core } = gate
      const waits = core.afterRefusal.bind(core)
      let refusals = 0
      let over = (): void => {}
      const switched = new Promise<void>((resolve) => (over = resolve))
      // Tried again meanwhile, it might be in the midst of that when the switch ends what runs: 1213.
      core.afterRefusal = async (...refusal) => {
        refusals++
        await switched
        return await waits(...refusal)
      }
      await closeServer(onA)
      await c.query('BEGIN')
      const first = c.query('INSERT INTO t VALUES (1, 1)')
      await until('the old side to refuse it', () => refusals > 0, 20_000)
      await doSwitch(store, 'app', onA, onB, false)
      over()
      await first
      // hash(4) stands on 80-.
      await c.query('INSERT INTO t VALUES (4, 1)')
      await c.query('COMMIT')
      assert.equal(await onB.value('SELECT CONCAT((SELECT COUNT(*) FROM low.t), (SELECT COUNT(*) FROM high.t))'), '11')
      assert.deepEqual(await onB.all('XA RECOVER'), [])
      await c.close()
    } finally {
      await gate.stop()
      await Promise.all([onA.close(), onB.close()])
      await Promise.all(servers.map((server) => server.stop()))
    }
  })
