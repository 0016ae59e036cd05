/** Sessions of a comparison that nobody answers any more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { testServer } from '../../test/kit/servers.ts'
import { Sessions } from './sessions.ts'

besideEachOther('sessions of a comparison', (flavour) => {
  test(`promise 7 on ${flavour}: sessions of a comparison that hang are ended, too`, async () => {
    await using server = await testServer({ flavour })
    await using proxy = await FaultProxy.start({ host: server.host, port: server.port })
    const address = { id: 's', name: 's', flavour, connect: { ...server.config, host: proxy.host, port: proxy.port } }
    const stop = new AbortController()
    await using sessions = new Sessions({
      addresses: async () => address,
      clock: systemClock,
      perServerMax: 2,
      signal: stop.signal,
      hangMs: 500,
    })
    await using plain = await sessions.plain('s')
    const lost = async (ask: () => Promise<unknown>): Promise<void> => {
      proxy.loseConnected()
      await assert.rejects(ask(), (error: Error) => /hung: no answer/.test(String(error.cause)))
    }
    await lost(() => plain.value('SELECT 1'))
    await sessions.reader('s', (conn) => lost(() => conn.value('SELECT 1')))
    assert.equal(await sessions.reader('s', (conn) => conn.value('SELECT 1')), '1')
    stop.abort()
  })
})
