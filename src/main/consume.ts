/** One consumer of one branch's fleet: `consume --data-dir D --branch insights@wide`. `up` runs as many as the fleet's record says. */
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { systemClock } from '../base/clock.ts'
import { Consumer } from '../ingest/consumer.ts'
import { loadDefinition } from '../ingest/load-definition.ts'
import { openTopic } from '../topic/open.ts'
import { needArgument, processArguments } from './arguments.ts'
import { runChild } from './child.ts'
import { ingestFailpointsOf } from './failpoint.ts'
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
const consumer = new Consumer({
  store,
  fleet,
  id: `consume-${process.pid}-${randomUUID().slice(0, 8)}`,
  pid: process.pid,
  clock: systemClock,
  log,
  openTopic: (url) => openTopic(url, { clock: systemClock, log }),
  loadDefinition: (record) => loadDefinition(record.definitionPath),
  config: {
    ...(args['lease-ms'] === undefined ? {} : { leaseMs: Number(args['lease-ms']), pingMs: Math.max(200, Number(args['lease-ms']) / 4) }),
    ...(args['purge-ms'] === undefined ? {} : { purgeMs: Number(args['purge-ms']) }),
  },
  failpoints: ingestFailpointsOf(process.env['SHARDWRIGHT_INGEST_FAILPOINT_FILE']),
  rssBytes: () => process.memoryUsage.rss(),
})
const running = consumer.run(child.stopping)
running.catch(child.fail)
child.ready(null)
