import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { systemClock } from '../base/clock.ts'
import { Mover } from '../move/mover.ts'
import { SqliteStore } from '../topology/sqlite.ts'
import { needArgument, processArguments } from './arguments.ts'
import { runChild } from './child.ts'
import { fileLog } from './log.ts'

const args = processArguments('mover', ['data-dir'], process.argv.slice(2))
const dataDir = needArgument('mover', args, 'data-dir')
const log = fileLog(join(dataDir, 'logs', 'mover.log'), 'mover')
const store = new SqliteStore(join(dataDir, 'topology.sqlite'))
const mover = new Mover({
  store,
  id: `mover-${process.pid}-${randomUUID().slice(0, 8)}`,
  pid: process.pid,
  clock: systemClock,
  log,
  rssBytes: () => process.memoryUsage.rss(),
  kill: () => process.kill(process.pid, 'SIGKILL'),
})
const child = runChild(log, async () => {
  await running
  await store[Symbol.asyncDispose]()
})
const running = mover.run(child.stopping)
running.catch(child.fail)
child.ready(null)
