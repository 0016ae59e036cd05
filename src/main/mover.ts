import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { systemClock } from '../base/clock.ts'
import { dimensionWriter } from '../ingest/dimension-writer.ts'
import { Mover } from '../move/mover.ts'
import { Verifier } from '../verify/verifier.ts'
import { collectBuffers } from './collect-buffers.ts'
import { needArgument, processArguments } from './arguments.ts'
import { runChild } from './child.ts'
import { fileLog } from './log.ts'
import { openTopology } from './topology.ts'

const args = processArguments('mover', ['data-dir', 'topology', 'lease-ms'], process.argv.slice(2))
const dataDir = needArgument('mover', args, 'data-dir')
const log = fileLog(join(dataDir, 'logs', 'mover.log'), 'mover')
const store = openTopology(args['topology'], dataDir)
const id = `mover-${process.pid}-${randomUUID().slice(0, 8)}`
const mover = new Mover({
  store,
  id,
  pid: process.pid,
  clock: systemClock,
  log,
  ...(args['lease-ms'] === undefined ? {} : { config: { leaseMs: Number(args['lease-ms']) } }),
  mergeWriter: dimensionWriter,
  rssBytes: () => process.memoryUsage.rss(),
  kill: () => process.kill(process.pid, 'SIGKILL'),
})
const stopCollecting = collectBuffers()
const child = runChild(log, async () => {
  await running
  stopCollecting()
  await store[Symbol.asyncDispose]()
})
// What a report says for users is what is waited for; this is who waits, for a stream that stands still though nothing should hold it.
process.on('SIGUSR2', () => log.info({ streams: mover.standing() }, 'what every stream is at'))
const verifier = new Verifier({ store, id, clock: systemClock, log })
const running = Promise.all([mover.run(child.stopping), verifier.run(child.stopping)])
running.catch(child.fail)
child.ready(null)
