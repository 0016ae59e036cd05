import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { systemClock } from '../base/clock.ts'
import { Gate } from '../gate/gate.ts'
import { needArgument, processArguments } from './arguments.ts'
import { runChild } from './child.ts'
import { fileLog } from './log.ts'
import { openTopology } from './topology.ts'

const args = processArguments('gate', ['data-dir', 'topology', 'port', 'host', 'lease-ms', 'replica-lag-max-ms'], process.argv.slice(2))
const dataDir = needArgument('gate', args, 'data-dir')
const log = fileLog(join(dataDir, 'logs', 'gate.log'), 'gate')
const store = openTopology(args['topology'], dataDir)
const gate = new Gate({
  store,
  listen: { host: args['host'] ?? '127.0.0.1', port: Number(needArgument('gate', args, 'port')), reusePort: args['reuse-port'] === 'yes' },
  log,
  clock: systemClock,
  id: `gate-${process.pid}-${randomUUID().slice(0, 8)}`,
  pid: process.pid,
  config: {
    ...(args['lease-ms'] === undefined ? {} : { leaseMs: Number(args['lease-ms']) }),
    ...(args['replica-lag-max-ms'] === undefined ? {} : { replicaLagMaxMs: Number(args['replica-lag-max-ms']) }),
  },
})
const child = runChild(log, async () => {
  await gate.stop(Number(args['drain-ms'] ?? 1000))
  await store[Symbol.asyncDispose]()
})
const { port } = await gate.start()
child.ready(port)
