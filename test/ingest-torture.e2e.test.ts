// A short run of the ingest torture (test/torture/README.md); the long ones are `npm run torture:ingest`.
import { describe, test } from 'node:test'
import { kafkaForTests } from './kit/kafka.ts'
import { tortureIngest } from './torture/ingest-run.ts'

const quiet = (): void => undefined

const { install, missing } = await kafkaForTests()

// Each with servers and processes of its own.
describe('tortures of consumers', { concurrency: 2 }, () => {
  test('promise 1: consumers killed, stopped past their leases and dealt out anew, shards killed: both branches exact (embedded log)', () =>
    tortureIngest({
      seed: 20,
      seconds: 0,
      harms: ['consumer stopped past its lease', 'consumer killed', 'shards killed', 'consumer that dies at a crash point'],
      flavour: 'mariadb',
      kafka: null,
      say: quiet,
    }).then(() => undefined))

  test('promise 1: the same on Kafka, a broker killed', { skip: install === null ? missing : false }, () =>
    // One broker: three are started, and killed, by the long runs only.
    tortureIngest({
      seed: 21,
      seconds: 0,
      harms: ['broker killed', 'consumer killed'],
      flavour: 'mariadb',
      kafka: install,
      brokers: 1,
      say: quiet,
    }).then(() => undefined),
  )
})
