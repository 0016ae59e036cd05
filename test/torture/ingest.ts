/** `npm run torture:ingest`: see README.md. */
import { parseArgs } from 'node:util'
import { kafkaForTests } from '../kit/kafka.ts'
import { tortureIngest } from './ingest-run.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    seeds: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '40' },
    flavour: { type: 'string', default: 'mariadb' },
    kafka: { type: 'boolean', default: false },
  },
})
const flavour = values.flavour === 'mysql' ? 'mysql' : 'mariadb'
const { install, missing } = values.kafka ? await kafkaForTests() : { install: null, missing: null }
if (missing !== null) {
  process.stderr.write(`torture:ingest --kafka needs Kafka: ${missing}\n`)
  process.exit(2)
}
let ended: string | null = null
const say = (line: string): void => void process.stdout.write(`${line}\n`)
/** Whatever ends this process, its last line says what, and how to run it again. */
const end = (code: number, why: string): never => {
  ended = why
  say(why)
  process.exit(code)
}
let again = ''
process.on('uncaughtException', (error, origin) =>
  end(1, `FAILED (${origin}): ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${again}`),
)
for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
  ['SIGHUP', 129],
] as const)
  process.on(signal, () => end(code, `ended by ${signal}\n${again}`))
// Nothing left to wait for, and no result: a promise that nobody will settle.
process.on('exit', (code) => {
  if (ended === null)
    process.stdout.write(`FAILED: it ended with code ${code} in the middle of a seed, with nothing left to wait for\n${again}\n`)
})
for (let seed = Number(values.seed); seed < Number(values.seed) + Number(values.seeds); seed++) {
  const startedMs = performance.now()
  const tell = (line: string): void => say(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${line}`)
  again = `again: npm run torture:ingest -- --seed ${seed} --seconds ${values.seconds} --flavour ${flavour}${values.kafka ? ' --kafka' : ''}`
  tell(`seed ${seed}, ${flavour}, ${values.kafka ? 'Kafka, three brokers' : 'embedded log'}, ${values.seconds} s`)
  try {
    const result = await tortureIngest({ seed, seconds: Number(values.seconds), flavour, kafka: install, say: tell })
    tell(
      `exact on both branches: ${result.records} records (${result.acknowledged} acknowledged), ${result.harms} harms: ${result.summary}`,
    )
  } catch (error) {
    end(1, `FAILED: ${error instanceof Error ? (error.stack ?? error.message).slice(0, 4000) : String(error)}\n${again}`)
  }
}
end(0, 'done')
