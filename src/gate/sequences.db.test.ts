/** Ids of a sequence: those of one statement are consecutive, whatever other gate processes draw beside it, and none is given twice. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { gateOnServer } from './testkit/gate-on-server.ts'
import { startGate } from './testkit/world.ts'

for (const flavour of flavours())
  test(`promise 10: ${flavour}: ids of one INSERT are consecutive across blocks, between two gate processes and many sessions`, async () => {
    const world = await gateOnServer({
      flavour,
      keyspaces: {
        ids: 'ids',
        shop: {
          shards: ['-80', '80-'],
          vindexes: { hash: { type: 'hash' } },
          tables: {
            t: { column_vindexes: [{ column: 'k', name: 'hash' }], auto_increment: { column: 'id', sequence: 'ids.t_seq' } },
          },
        },
      },
      tables: ['t (id BIGINT PRIMARY KEY, k INT, who VARCHAR(20))'],
      sequences: { t: 1 },
    })
    const second = await startGate(world.store, {}, undefined, 'gate-2')
    const there = (): Promise<Connection> => world.session('shop', { port: second.port })
    try {
      let statements = 0
      const insert = async (c: Connection, count: number): Promise<void> => {
        const who = `s${++statements}`
        const said = await c.query(`INSERT INTO t (k, who) VALUES ${Array.from({ length: count }, (_, i) => `(${i}, '${who}')`).join()}`)
        assert.ok(said.kind === 'ok')
        const first = said.insertId
        const stored = await c.query(`SELECT id FROM t WHERE who = '${who}' ORDER BY id`)
        const ids = stored.kind === 'rows' ? stored.rows.map(([id]) => BigInt(String(id))) : []
        assert.deepEqual(
          ids,
          Array.from({ length: count }, (_, i) => first + BigInt(i)),
          `${who}, ${count} rows`,
        )
        assert.equal(await c.value('SELECT LAST_INSERT_ID()'), String(first))
      }
      const [a, b] = [await world.session('shop'), await there()]
      // Blocks are of 100. Both have one; then it ends amid a statement of the first.
      await insert(a, 90)
      await insert(b, 5)
      await insert(a, 30)
      await insert(b, 250)
      await insert(a, 99)
      // What a block has left is one with the next where nobody was served between.
      await insert(a, 100)
      const sessions = await Promise.all([1, 2, 3, 4].flatMap(() => [world.session('shop'), there()]))
      await Promise.all(
        sessions.map(async (c, i) => {
          for (let n = 0; n < 8; n++) await insert(c, 1 + ((i * 37 + n * 23) % 130))
        }),
      )
      for (const c of [a, b, ...sessions]) await c.close()
    } finally {
      await second.gate.stop()
      await world.stop()
    }
  })
