/** One consumer of one branch's fleet: `consume --data-dir D --branch insights@wide`. `up` runs as many as the fleet's record says; by hand it is `shardwright consume`. */
import { join } from 'node:path'
import { needArgument, processArguments } from './arguments.ts'
import { runChild } from './child.ts'
import { consumerOf } from './consumer-of.ts'
import { fileLog } from './log.ts'
import { openTopology } from './topology.ts'

const args = processArguments('consume', ['data-dir', 'topology', 'branch', 'lease-ms', 'purge-ms'], process.argv.slice(2))
const dataDir = needArgument('consume', args, 'data-dir')
const fleet = needArgument('consume', args, 'branch')
const log = fileLog(join(dataDir, 'logs', 'consume.log'), `consume ${fleet}`)
const store = openTopology(args['topology'], dataDir)
const child = runChild(log, async () => {
  await running
  await store[Symbol.asyncDispose]()
})
const consumer = consumerOf({
  store,
  fleet,
  log,
  config: {
    ...(args['lease-ms'] === undefined ? {} : { leaseMs: Number(args['lease-ms']), pingMs: Math.max(200, Number(args['lease-ms']) / 4) }),
    ...(args['purge-ms'] === undefined ? {} : { purgeMs: Number(args['purge-ms']) }),
  },
})
const running = consumer.run(child.stopping)
running.catch(child.fail)
child.ready(null)
