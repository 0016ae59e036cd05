/** Sessions whose client has gone away without a word, or sends nothing any more. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import type mysql from 'mysql2/promise'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'
import { until } from '../../test/kit/until.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

let world: GateOnServer
const idleSessionMs = 1_500

before(async () => {
  world = await gateOnServer({ keyspaces: { one: 'one' }, tables: ['t (id BIGINT PRIMARY KEY)'], config: { idleSessionMs } })
})
after(() => world?.stop())

test('a session that sends nothing is ended, and its transaction; one that asks, or whose statement runs, is not', async () => {
  const [idle, asking, running] = await Promise.all([1, 2, 3].map(() => world.client('app', 'one')))
  let told = ''
  ;(idle as mysql.Connection).on('error', (error: { code?: string }) => (told = String(error.code)))
  await idle?.query('BEGIN')
  await idle?.query('INSERT INTO t VALUES (1)')
  let slept: unknown
  void running?.query('SELECT SLEEP(4) AS s').then(([rows]) => (slept = rows))
  const from = performance.now()
  const others = async (count: number): Promise<boolean> => {
    await asking?.query('SELECT 1')
    return world.gate.core.sessions.size === count
  }
  await until('the idle session is ended', () => others(2))
  assert.ok(performance.now() - from > idleSessionMs - 50)
  await noOpenTransactions(world.admin)
  await assert.rejects(idle?.query('SELECT 1') ?? Promise.resolve())
  assert.notEqual(told, '')
  await until('the long statement is answered', async () => (await others(2)) && slept !== undefined)
  assert.deepEqual(slept, [{ s: 0 }])
  await running?.query('SELECT 1')
  await asking?.query('SELECT 1')
  await running?.end()
  await asking?.end()
})

test('a client whose machine is gone is found out: the kernel is told to ask', { skip: process.platform !== 'linux' }, async () => {
  const c = await world.client('app', 'one')
  await c.query('SELECT 1')
  const hex = world.port.toString(16).toUpperCase().padStart(4, '0')
  const timers = (): (string | undefined)[] =>
    readFileSync('/proc/net/tcp', 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      // Established, on the gate's side.
      .filter(([, local, , state]) => local?.endsWith(`:${hex}`) === true && state === '01')
      .map(([, , , , , timer]) => timer?.slice(0, 2))
  // 01 until the last answer is acknowledged.
  await until('its keepalive timer runs', () => timers().join() === '02', 5_000)
  await c.end()
})
