/** A consumer as a process of its own, for tests that kill one: `node consumer-process.ts STORE.sqlite FLEET PORT FLAVOUR POINT SKIP VERSION CONFIG`. */
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { openTopic } from '../../topic/open.ts'
import { SqliteStore } from '../../topology/sqlite.ts'
import { Consumer } from '../consumer.ts'
import { queryStats } from './query-stats.ts'
import { smallConsumer } from './small-consumer.ts'

const [file = '', fleet = '', port = '', flavour = '', point = '', skip = '0', version = '1', config = '{}'] = process.argv.slice(2)
const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
let hits = 0
const definition = version === '1' ? queryStats() : queryStats({ version: 2, factor: 100, previous: [queryStats()] })
const consumer = new Consumer({
  store: new SqliteStore(file),
  fleet,
  id: `p${process.pid}`,
  pid: process.pid,
  clock: systemClock,
  log: silentLog,
  openTopic: (url) => openTopic(url),
  loadDefinition: async () => definition,
  addresses: async () => ({
    flavour: flavour as 'mariadb' | 'mysql',
    connect: { host: '127.0.0.1', port: Number(port), user: 'root', password: '' },
  }),
  config: { ...smallConsumer, purgeMs: 50, ...(JSON.parse(config) as object) },
  failpoints: {
    hit(at) {
      if (at !== point || hits++ !== Number(skip)) return undefined
      process.kill(process.pid, 'SIGKILL')
      return new Promise(() => undefined)
    },
  },
  rssBytes: () => process.memoryUsage.rss(),
  cpuMs: () => process.cpuUsage().user / 1000 + process.cpuUsage().system / 1000,
})
process.stdout.write('up\n')
await consumer.run(stop.signal)
process.exit(0)
