/** Promise 10: a statement on several shards is not behind what one on a shard has just written, whatever the gate's own clock says. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { systemClock } from '../base/clock.ts'
import { silentLog, type Log } from '../base/log.ts'
import { connect } from '../mysql/connect.ts'
import type { Gate } from './gate.ts'
import { gateOnServer, password, type GateOnServer } from './testkit/gate-on-server.ts'
import { startGate } from './testkit/world.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    const gates: Gate[] = []

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { shop: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, at DATETIME(6) DEFAULT NOW(6))'],
      })
    })
    after(async () => {
      for (const gate of gates) await gate.stop()
      await world.stop()
    })

    for (const aheadMs of [-7_000, 7_000])
      test(`promise 10: NOW() over shards is the servers', also of a gate whose clock is ${aheadMs / 1000} s beside theirs`, async () => {
        const warned: object[] = []
        const log: Log = { ...silentLog, warn: (fields) => void warned.push(fields), child: () => log }
        const clock = { ...systemClock, nowMs: () => Date.now() + aheadMs }
        const { gate, port } = await startGate(world.store, {}, log, `gate${aheadMs}`, { clock })
        gates.push(gate)
        await using c = await connect({ host: '127.0.0.1', port, user: 'app', password, database: 'shop' })
        for (let i = 0; i < 20; i++) {
          for (const id of [1, 2, 3, 4]) await c.query(`INSERT INTO t (id) VALUES (${id})`)
          assert.equal(await c.value('SELECT COUNT(*) FROM t WHERE at <= NOW(6)'), '4')
          await c.query('INSERT INTO t (id) VALUES (5), (6), (7), (8)')
          for (const id of [5, 6, 7, 8]) assert.equal(await c.value(`SELECT at <= NOW(6) FROM t WHERE id = ${id}`), '1')
          await c.query('DELETE FROM t WHERE at <= NOW(6)')
          assert.equal(await c.value('SELECT COUNT(*) FROM t'), '0')
        }
        assert.ok(
          warned.some((fields) => 'skewMs' in fields && Math.abs(Number(fields.skewMs) + aheadMs) < 500),
          JSON.stringify(warned),
        )
      })
  })
}
