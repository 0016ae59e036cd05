/** A mover as a process of its own, for tests that stop and kill one: `node mover-process.ts STORE.sqlite ID [CONFIG]`. What a mover does each minute this one does at once. */
import { systemClock, type Clock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { SqliteStore } from '../../topology/sqlite.ts'
import type { MoverConfig } from '../config.ts'
import { Mover } from '../mover.ts'
import { smallConfig } from './small-config.ts'

const [file = '', id = '', config = '{}'] = process.argv.slice(2)
const hurried: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms === 60_000 ? 500 : ms, signal) }
const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
const mover = new Mover({
  store: new SqliteStore(file),
  id,
  pid: process.pid,
  clock: hurried,
  log: silentLog,
  config: { ...smallConfig, leaseMs: 1000, ...(JSON.parse(config) as Partial<MoverConfig>) },
  rssBytes: () => process.memoryUsage.rss(),
  kill: () => process.kill(process.pid, 'SIGKILL'),
})
process.stdout.write('up\n')
await mover.run(stop.signal)
process.exit(0)
