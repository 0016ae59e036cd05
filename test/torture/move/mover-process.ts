/** A mover with its verifier as a process: `node mover-process.ts STORE.sqlite ID CONFIG-JSON`. */
import { systemClock } from '../../../src/base/clock.ts'
import type { Log } from '../../../src/base/log.ts'
import type { MoverConfig } from '../../../src/move/config.ts'
import { Mover } from '../../../src/move/mover.ts'
import { SqliteStore } from '../../../src/topology/sqlite.ts'
import { Verifier } from '../../../src/verify/verifier.ts'

const [file = '', id = '', config = '{}'] = process.argv.slice(2)
const loud = process.env['SHARDWRIGHT_TORTURE_LOG'] !== undefined
const say =
  (level: string) =>
  (fields: unknown, text?: string): void => {
    if (!loud && level !== 'error') return
    const error = (fields as { err?: unknown }).err
    process.stderr.write(
      `    [${id} ${level}] ${text ?? ''} ${error instanceof Error ? (loud ? error.stack : error.message) : JSON.stringify(fields)}\n`,
    )
  }
const log: Log = {
  info: () => undefined,
  debug: () => undefined,
  warn: say('warn'),
  error: say('error'),
  child: () => log,
} as unknown as Log
const store = new SqliteStore(file)
const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
const mover = new Mover({
  store,
  id,
  pid: process.pid,
  clock: systemClock,
  log,
  config: JSON.parse(config) as Partial<MoverConfig>,
  rssBytes: () => process.memoryUsage.rss(),
  kill: () => process.kill(process.pid, 'SIGKILL'),
})
process.on('SIGUSR2', () => void process.stderr.write(`    [${id}] ${JSON.stringify(mover.standing())}\n`))
const verifier = new Verifier({ store, id, clock: systemClock, log })
process.stdout.write('up\n')
await Promise.all([mover.run(stop.signal), verifier.run(stop.signal)])
process.exit(0)
