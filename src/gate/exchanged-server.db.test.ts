/** A shard's server is exchanged while the gate does not hear of it: its watch of shards stands still. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import mysql from 'mysql2/promise'
import { keys } from '../topology/keys.ts'
import type { ShardRecord } from '../topology/records.ts'
import type { Snapshot, Store } from '../topology/store.ts'
import { updateRecord } from '../topology/typed.ts'
import { startMariadb } from './testkit/servers.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

/** Every watch of shards tells what is there at first, and nothing more. */
function deafToShards(store: MemoryStore): Store {
  return new Proxy(store, {
    get(target, name) {
      if (name !== 'watch') {
        const value = Reflect.get(target, name) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      }
      return async function* (prefix: string, signal: AbortSignal): AsyncGenerator<Snapshot> {
        if (prefix !== keys.allShards) return yield* target.watch(prefix, signal)
        yield await target.list(prefix)
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      }
    },
  })
}

test('promise 2: a gate that meets read_only reads anew which server a shard is on, and writes there; never again on the old one', async () => {
  const servers = await Promise.all([startMariadb(), startMariadb()])
  const [old, now] = await Promise.all([servers[0].admin(), servers[1].admin()])
  const store = new MemoryStore()
  for (const admin of [old, now]) {
    await admin.query('CREATE DATABASE app')
    await admin.query('CREATE TABLE app.t (id INT PRIMARY KEY)')
  }
  await addServer(store, 's1', servers[0].port)
  await addServer(store, 's2', servers[1].port)
  await addUser(store, 'app', 'secret')
  await addKeyspace(store, 'app', [{ name: '-', serverId: 's1', schema: 'app' }])
  const { gate, port } = await startGate(deafToShards(store) as MemoryStore)
  const on = await mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  try {
    await on.query('INSERT INTO t VALUES (1)')
    await old.query('SET GLOBAL read_only = 1')
    await updateRecord<ShardRecord>(store, keys.shard('app', '-'), (shard) => (shard === null ? null : { ...shard, serverId: 's2' }))
    await on.query('INSERT INTO t VALUES (2)')
    // Open again, it would take them: by now nothing is sent there any more.
    await old.query('SET GLOBAL read_only = 0')
    await on.query('INSERT INTO t VALUES (3)')
    await on.execute('INSERT INTO t VALUES (?)', [4])
    const ids = async (admin: typeof old): Promise<string[]> =>
      (await admin.allText('SELECT id FROM app.t ORDER BY id')).map((row) => row['id'] ?? '')
    assert.deepEqual([await ids(old), await ids(now)], [['1'], ['2', '3', '4']])
  } finally {
    await on.end()
    await gate.stop()
    await Promise.all([old.close(), now.close()])
    await Promise.all(servers.map((server) => server.stop()))
  }
})
