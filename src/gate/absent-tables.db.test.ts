/** Tables that are not there, on a server that is slow to say what there is: who asks for them is told so, and does not wait. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const delayMs = 12

for (const flavour of flavours())
  describe(flavour, () => {
    let world: GateOnServer
    let proxy: FaultProxy
    let c: Connection

    before(async () => {
      world = await gateOnServer({
        keyspaces: { shop: { t: 'by id', r: 'reference', m: 'by id', n: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, a BIGINT)', 'r (id BIGINT PRIMARY KEY, a BIGINT)'],
        flavour,
        through: async (port) => {
          proxy = await FaultProxy.start({ host: '127.0.0.1', port })
          proxy.intercept = (bytes, _from, pass) => {
            setTimeout(() => pass(bytes), delayMs)
            return true
          }
          return proxy.port
        },
      })
      c = await world.session('shop')
    })
    after(async () => {
      await c?.close()
      await world?.stop()
      await proxy?.[Symbol.asyncDispose]()
    })

    test('promise 10: beside one that is there', { timeout: 60_000 }, async () => {
      for (const other of ['t', 'r'])
        for (let i = 0; i < 3; i++)
          await assert.rejects(c.query(`SELECT 1 FROM ${other} JOIN m ON m.id = ${other}.id`), /1146.*Table '\w+\.m' doesn't exist/)
    })

    test('promise 10: in a text that takes longer to be read than that is believed', { timeout: 60_000 }, async () => {
      const ids = Array.from({ length: 60_000 }, (_, i) => 1_000_000 + i).join(',')
      await assert.rejects(c.query(`SELECT 1 FROM m WHERE id IN (${ids})`), /1146.*Table '\w+\.m' doesn't exist/)
      await assert.rejects(c.query(`DELETE FROM m WHERE id IN (${ids})`), /1146.*Table '\w+\.m' doesn't exist/)
    })

    test('promise 10: two, of which one was asked for a moment before', { timeout: 60_000 }, async () => {
      const { signal } = new AbortController()
      for (const table of ['m', 'n']) {
        await world.gate.core.catalog.load('shop', [table], signal)
        await assert.rejects(c.query(`SELECT '${table}' FROM m JOIN n ON m.id = n.id`), /1146.*Table '\w+\.m' doesn't exist/)
      }
    })
  })
