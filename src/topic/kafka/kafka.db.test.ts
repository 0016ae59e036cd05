// Against a real broker, when Java and Maven are there; otherwise one test that says what is missing.
import { test } from 'node:test'
import { kafkaForTests, startKafka } from '../../../test/kit/kafka.ts'
import { topicConformance } from '../conformance.ts'

const { install, missing } = await kafkaForTests()
if (install === null) {
  test('topic: Kafka', { skip: missing }, () => undefined)
} else {
  topicConformance('Kafka', async () => {
    const kafka = await startKafka(install)
    return { url: (name) => kafka.url(name), close: () => kafka.destroy() }
  })
}
