/** A mover as a process of its own, for tests that stop and kill one: `node mover-process.ts STORE.sqlite ID`. */
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { SqliteStore } from '../../topology/sqlite.ts'
import { Mover } from '../mover.ts'
import { smallConfig } from './small-config.ts'

const [file = '', id = ''] = process.argv.slice(2)
const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
const mover = new Mover({
  store: new SqliteStore(file),
  id,
  pid: process.pid,
  clock: systemClock,
  log: silentLog,
  config: { ...smallConfig, leaseMs: 1000 },
  rssBytes: () => process.memoryUsage.rss(),
  kill: () => process.kill(process.pid, 'SIGKILL'),
})
process.stdout.write('up\n')
await mover.run(stop.signal)
process.exit(0)
