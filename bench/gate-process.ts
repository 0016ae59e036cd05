/**
 * The gate of the gate's benches, in a process of its own: port of the server in, port of the gate out.
 *
 *     node bench/gate-process.ts SERVER_PORT [PORT]             on this port, beside others of its kind
 *     node bench/gate-process.ts SERVER_PORT 0 PORT[,PORT…]     with a keyspace `app` over these MySQL servers, a shard each
 *
 * BENCH_FLAVOUR: of the server.
 */
import { randomUUID } from 'node:crypto'
import { systemClock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { Gate } from '../src/gate/gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore } from '../src/gate/testkit/world.ts'
import { shardedNames } from './gate-kit.ts'
import { generateShardRanges } from '../src/keyspace/even-shards.ts'

const serverPort = Number(process.argv[2])
const port = Number(process.argv[3] ?? 0)
const store = new MemoryStore()
await addServer(store, 's1', serverPort, process.env['BENCH_FLAVOUR'] === 'mysql' ? 'mysql' : 'mariadb')
await addUser(store, 'bench', 'bench')
await addKeyspace(store, 'sbtest', [{ name: '-', serverId: 's1', schema: 'sbtest' }])
for (const count of [4, 16]) {
  const schemas = shardedNames(count)
  await addKeyspace(
    store,
    `sharded${count}`,
    generateShardRanges(count).map((name, i) => ({ name, serverId: 's1', schema: schemas[i] ?? '' })),
    {
      sharded: true,
      vschema: hashed(),
    },
  )
}
const [, , , , others] = process.argv
if (others !== undefined) {
  const ports = others.split(',').map(Number)
  for (const one of ports) await addServer(store, `m${one}`, one, 'mysql')
  const ranges = generateShardRanges(ports.length)
  const vschema = hashed()
  await addKeyspace(
    store,
    'app',
    ranges.map((name, i) => ({ name, serverId: `m${ports[i]}`, schema: 'app' })),
    ports.length === 1 ? {} : { sharded: true, vschema },
  )
}
const gate = new Gate({
  store,
  listen: { host: '127.0.0.1', port, reusePort: port !== 0 },
  log: silentLog,
  clock: systemClock,
  id: randomUUID(),
  pid: process.pid,
})
process.stdout.write(`PORT ${(await gate.start()).port}\n`)
process.stdin.on('end', () => process.exit(0)).resume()

function hashed(): object {
  return {
    sharded: true,
    vindexes: { hash: { type: 'hash' } },
    tables: { sbtest1: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
  }
}
