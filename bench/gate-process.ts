/** The gate of bench/gate.ts, in a process of its own so that its CPU time can be told: port of the server in, port of the gate out. */
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from '../src/gate/testkit/world.ts'

const serverPort = Number(process.argv[2])
const store = new MemoryStore()
await addServer(store, 's1', serverPort)
await addUser(store, 'bench', 'bench')
await addKeyspace(store, 'sbtest', [{ name: '-', serverId: 's1', schema: 'sbtest' }])
await addKeyspace(
  store,
  'sharded',
  ['-40', '40-80', '80-c0', 'c0-'].map((name) => ({ name, serverId: 's1', schema: `sharded_${name.replace('-', '_')}` })),
  {
    sharded: true,
    vschema: {
      sharded: true,
      vindexes: { hash: { type: 'hash' } },
      tables: { sbtest1: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
    },
  },
)
const { port } = await startGate(store)
process.stdout.write(`PORT ${port}\n`)
process.on('disconnect', () => process.exit(0))
process.stdin.on('end', () => process.exit(0)).resume()
