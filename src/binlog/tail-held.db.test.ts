/** A tail that is not read for longer than the server lets a client not read: a rebuild of keys stops the rounds, and with them the tail, for hours. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { besideEachOther } from '../../test/kit/beside.ts'
import { testServer } from '../../test/kit/servers.ts'
import { ensureControlSchema } from './control-schema.ts'
import { currentPosition } from './position.ts'
import { chooserOf, copySession, eventsUntilNow, flatten, tailOf } from './testkit/collect.ts'

besideEachOther('tails that nobody reads', (flavour) => {
  test(`promise 8 on ${flavour}: a tail whose reader stands still is not dropped by the source`, async () => {
    await using server = await testServer({ flavour })
    await using connection = await copySession(server.config)
    await ensureControlSchema(connection)
    await connection.query('SET GLOBAL net_write_timeout = 1')
    await connection.query('SET GLOBAL net_retry_count = 1')
    await connection.query('CREATE DATABASE held')
    await connection.query('CREATE TABLE held.t (id INT PRIMARY KEY, v LONGTEXT)')
    const start = await currentPosition(connection)
    // Far more than what both sockets hold.
    for (let id = 0; id < 60; id++) await connection.query(`INSERT INTO held.t VALUES (${id}, REPEAT('v', 1000000))`)
    await using tail = await tailOf(server.config, start, await chooserOf(connection, 'held'), { bufferBytesMax: 1 << 20 })
    const first = await tail.next()
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    const events = [first, ...(await eventsUntilNow(tail, connection))]
    assert.equal(flatten(events, 'held').length, 60)
  })
})
