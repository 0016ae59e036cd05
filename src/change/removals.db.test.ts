/** What stood for branches and scratches is removed from real servers: their schemas, their positions, and nothing else. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { ensureIngestTables, table as ingestTable } from '../ingest/tables.ts'
import { connect } from '../mysql/connect.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { Installation, ServerRecord, ServerSecret, ShardRecord } from '../topology/records.ts'
import { put } from '../topology/typed.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { finishRemoval, scratchPut } from './removals.ts'
import { withServerFor } from './servers.ts'
import type { World } from './servers.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  test(`promise 12 on ${flavour}: of a scratch whose maker died, its schemas and positions go and its server stays, however early it died`, async () => {
    const { source } = await servers.of(flavour)
    await using admin = await connect(source.config)
    await using store = new MemoryStore()
    const account = { user: source.config.user, password: source.config.password ?? '' }
    const record = { socketPath: null, ...source.config, v: 1, id: 'made', flavour, provisioned: true } as unknown as ServerRecord
    await store.commit(
      [],
      [
        put<Installation>(keys.installation, { v: 1, id: 'mine', createdAtMs: 0 }),
        put(keys.server('made'), record),
        put<ServerSecret>(keys.secret('made'), { v: 1, admin: account, mover: account, gate: account }),
      ],
    )
    const provisioner = { list: async () => [], remove: () => assert.fail('the server holds what somebody kept') }
    const world = { store, provisioner, clock: systemClock, log: silentLog, flavour } as unknown as World
    const shards = ['_sw_scratch_1_a', '_sw_scratch_1_b'].map((schema): ShardRecord => ({
      v: 1,
      keyspace: 'scratch',
      name: '-',
      uid: schema,
      serverId: 'made',
      schema,
      madeBy: null,
      provisioned: true,
    }))
    const has = async (schema: string): Promise<boolean> =>
      (await admin.allText(`SHOW DATABASES LIKE '${schema.replaceAll('_', '\\_')}'`)).length > 0
    await admin.query('CREATE DATABASE kept')
    await admin.query('CREATE DATABASE _sw_scratch_1_a')
    await store.commit([], [scratchPut('scratch-1', shards, ['gone'], 0)])
    // Before any table for positions was there.
    await finishRemoval(world, 'scratch-1')
    assert.equal(await store.get(keys.removal('scratch-1')), null)
    assert.deepEqual([await has('_sw_scratch_1_a'), await has('kept')], [false, true])

    await ensureIngestTables(admin)
    const { position } = ingestTable
    const rows = ['gone', 'stays'].map((branch) => `('x','${branch}','t',0,1,0,0,0,0,0,0,0,0,0)`)
    await admin.query(`INSERT INTO ${position} VALUES ${rows.join(',')}`)
    // Somebody who was paused before a DROP has the lock still.
    await using paused = await connect(source.config)
    await paused.value("SELECT GET_LOCK('sw:mine:removal', 1)")
    // Of another installation, or of an application: neither is waited for.
    await using stranger = await connect(source.config)
    for (const name of ['sw:other:removal', 'sw:removal']) await stranger.value(`SELECT GET_LOCK('${name}', 1)`)
    await admin.query('CREATE DATABASE _sw_scratch_1_b')
    await store.commit([], [scratchPut('scratch-1', shards, ['gone'], 0)])
    let ended = false
    const finishing = finishRemoval(world, 'scratch-1').finally(() => (ended = true))
    for (let look = 0; look < 500; look++) {
      if ((await admin.allText('SHOW PROCESSLIST')).some(({ Info }) => Info?.includes("GET_LOCK('sw:mine:removal'"))) break
      await systemClock.sleep(10)
    }
    assert.deepEqual([ended, await has('_sw_scratch_1_b')], [false, true])
    await paused.query('DO RELEASE_ALL_LOCKS()')
    await finishing
    assert.equal(await has('_sw_scratch_1_b'), false)
    assert.deepEqual(await admin.allText(`SELECT branch_id AS b FROM ${position}`), [{ b: 'stays' }])
    assert.equal(await store.get(keys.removal('scratch-1')), null)
    assert.notEqual(await store.get(keys.server('made')), null)

    // A client that has used a table there and is idle since.
    await admin.query('CREATE DATABASE _sw_scratch_1_a')
    await admin.query('CREATE TABLE _sw_scratch_1_a.t (id INT PRIMARY KEY)')
    await using client = await connect(source.config)
    await client.query('BEGIN')
    await client.query('INSERT INTO _sw_scratch_1_a.t VALUES (1)')
    await admin.query('CREATE DATABASE _sw_scratch_1_b')
    await store.commit([], [scratchPut('held', shards.slice(0, 1), [], 0), scratchPut('other', shards.slice(1), [], 0)])
    const held = { code: 'SW-CHANGE-069', message: new RegExp(`_sw_scratch_1_a on made .*session ${client.threadId} of `) }
    await assert.rejects(finishRemoval(world, 'held'), held, 'it does not wait for a year')
    assert.equal(await store.get(keys.removing('held')), null)
    await finishRemoval(world, 'other')
    assert.deepEqual([await has('_sw_scratch_1_a'), await has('_sw_scratch_1_b')], [true, false])
    await client.query('ROLLBACK')
    await finishRemoval(world, 'held')
    assert.deepEqual([await has('_sw_scratch_1_a'), await store.get(keys.removal('held'))], [false, null])
    // And for a server that is busy without end it is not waited, either.
    const slow = withServerFor(world, 'made', { ms: 200, doing: 'a nap' }, (connection) => connection.query('DO SLEEP(60)'))
    await assert.rejects(slow, { code: 'SW-CHANGE-070', message: /made was at it for 0\.2 s: a nap/ })
  })
}
