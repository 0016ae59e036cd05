/** Promise 7 and 11: `SET @a = (SELECT …)` whose server is lost in the midst of a large answer is asked again, or an error: nothing of it has reached the client. */
import assert from 'node:assert/strict'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { after, before, test } from 'node:test'
import { addKeyspace, addServer } from './testkit/world.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const bytes = 1 << 20
const endBytes = 9
let world: GateOnServer
let between: Server
/** What a server may still say on a connection before that one is cut; counted down once. */
let cutAfter = Infinity

before(async () => {
  world = await gateOnServer({ keyspaces: { one: 'one' } })
  const { serverPort: port } = world
  between = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port })
    for (const socket of [near, far]) socket.on('error', () => {})
    near.pipe(far)
    far.on('close', () => near.destroy())
    near.on('close', () => far.destroy())
    far.on('data', (data) => {
      cutAfter -= data.length
      if (cutAfter > 0) {
        near.write(data)
        return
      }
      cutAfter = Infinity
      // The row is whole, the packet behind it does not come.
      near.end(data.subarray(0, data.length - endBytes), () => far.destroy())
    })
  })
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve))
  await addServer(world.store, 's2', (between.address() as AddressInfo).port, 'mariadb')
  const shards = ['far_80', 'far_end'].map((schema, i) => ({ name: ['-80', '80-'][i] as string, serverId: 's2', schema }))
  for (const { schema } of shards) {
    await world.admin.query(`CREATE DATABASE ${schema}`)
    await world.admin.query(`CREATE TABLE ${schema}.t (id BIGINT PRIMARY KEY, big MEDIUMTEXT)`)
    await world.admin.query(`CREATE FUNCTION ${schema}.same(v MEDIUMTEXT) RETURNS MEDIUMTEXT DETERMINISTIC NO SQL RETURN v`)
  }
  const vschema = {
    sharded: true,
    vindexes: { hash: { type: 'hash' } },
    tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
  }
  await addKeyspace(world.store, 'far', shards, { sharded: true, vschema })
})
after(async () => {
  await world?.stop()
  between?.close()
})

test('what only reads is asked again; what calls a stored function is an error', async () => {
  const c = await world.session('far')
  try {
    await c.query(`INSERT INTO t VALUES (1, REPEAT('x', ${bytes}))`)
    await c.query('SELECT 1 FROM t WHERE id = 1')
    cutAfter = bytes + 20
    assert.equal(await codeOf(c, 'SET @a = (SELECT big FROM t WHERE id = 1)'), 'done')
    assert.equal(cutAfter, Infinity, 'it was cut')
    assert.equal(await c.value('SELECT CHAR_LENGTH(@a)'), String(bytes))
    cutAfter = bytes + 20
    assert.equal(await codeOf(c, 'SET @b = (SELECT same(big) FROM t WHERE id = 1)'), 'SW-GATE-009')
    assert.equal(cutAfter, Infinity)
    assert.equal(await c.value('SELECT @b'), null)
  } finally {
    await c.close()
  }
})
