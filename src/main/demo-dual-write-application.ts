/** Agents and dashboards of the dual-write demonstration, a process of their own; options come as one JSON argument, reports go up by IPC. */
import { systemClock as clock } from '../base/clock.ts'
import { runAgents, type Produced } from '../demo/dual-write/agents.ts'
import { seeded } from '../demo/dual-write/events.ts'
import { Readers } from '../demo/dual-write/readers.ts'
import { watchParent } from '../local/parent-watch.ts'
import { openProducer } from '../topic/open.ts'

export type DualWriteApplicationOptions = {
  readonly summariesUrl: string
  readonly slowUrl: string
  readonly ledgerFile: string
  readonly seed: number
  readonly databases: number
  readonly patterns: number
  readonly summariesPerSecond: number
  readonly slowPerSecond: number
  readonly gatePort: number
  readonly user: string
  readonly password: string
  readonly database: string
  readonly readsPerSecond: number
  readonly everyMs: number
  readonly keptMs: number
}

const given = JSON.parse(process.argv[2] ?? '{}') as DualWriteApplicationOptions
const producing = new AbortController()
const reading = new AbortController()
process.on('message', (message) => {
  if (message === 'stop producing') producing.abort()
  if (message === 'stop') {
    producing.abort()
    reading.abort()
  }
})
process.on('SIGINT', () => {})
watchParent({ onGone: () => process.exit(0) })

const produced: Produced = { summaries: 0, slowQueries: 0, unknown: 0 }
const [summaries, slowQueries] = await Promise.all([openProducer(given.summariesUrl), openProducer(given.slowUrl)])
const agents = runAgents({ ...given, summaries, slowQueries, agents: 4, clock }, producing.signal, produced).then(async () => {
  await Promise.all([summaries.close(), slowQueries.close()])
  process.send?.({ producingEnded: produced })
})
const readers = new Readers({ ...given, host: '127.0.0.1', port: given.gatePort, clients: 6, clock, random: seeded(given.seed + 1) })
const running = readers.run(reading.signal)
const report = setInterval(() => process.send?.({ second: readers.takeSecond(), produced }), 1000)
await Promise.all([agents, running])
clearInterval(report)
process.send?.({ second: readers.takeSecond(), produced })
process.disconnect?.()
