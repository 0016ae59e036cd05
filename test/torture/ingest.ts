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
for (let seed = Number(values.seed); seed < Number(values.seed) + Number(values.seeds); seed++) {
  const startedMs = performance.now()
  const say = (line: string): void =>
    void process.stdout.write(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${line}\n`)
  say(`seed ${seed}, ${flavour}, ${values.kafka ? 'Kafka, three brokers' : 'embedded log'}, ${values.seconds} s`)
  try {
    const result = await tortureIngest({ seed, seconds: Number(values.seconds), flavour, kafka: install, say })
    say(`exact on both branches: ${result.records} records (${result.acknowledged} acknowledged), ${result.harms} harms: ${result.summary}`)
  } catch (error) {
    say(`FAILED: ${error instanceof Error ? (error.stack ?? error.message).slice(0, 4000) : String(error)}`)
    say(`again: npm run torture:ingest -- --seed ${seed} --seconds ${values.seconds} --flavour ${flavour}${values.kafka ? ' --kafka' : ''}`)
    process.exit(1)
  }
}
process.exit(0)
