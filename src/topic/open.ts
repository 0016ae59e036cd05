/** Topics by address (`url.ts`): `log://` the embedded log, `kafka://` Kafka. The Kafka client is loaded only when one is named. */
import { systemClock, type Clock } from '../base/clock.ts'
import { silentLog, type Log } from '../base/log.ts'
import type { Topic, TopicProducer, TopicSpec } from './topic.ts'
import { addLogPartitions, createLog, removeLog } from './log/make.ts'
import { LogProducer } from './log/producer.ts'
import { LogTopic } from './log/log-topic.ts'
import { parseTopicUrl } from './url.ts'

export type OpenOptions = { readonly clock?: Clock; readonly log?: Log }

/** @throws SW-TOPIC-007 bad address, -008 no such topic, -005 not reached, -006 refused */
export async function openTopic(url: string, options: OpenOptions = {}): Promise<Topic> {
  const { clock, log } = filled(options)
  const address = parseTopicUrl(url)
  if (address.kind === 'log') return LogTopic.open(address.dir, { clock })
  const { KafkaTopic } = await import('./kafka/kafka-topic.ts')
  return KafkaTopic.open(address, { clock, log })
}

export async function openProducer(url: string, options: OpenOptions = {}): Promise<TopicProducer> {
  const { clock, log } = filled(options)
  const address = parseTopicUrl(url)
  if (address.kind === 'log') return LogProducer.open(address.dir, { clock, log })
  const { KafkaProducer } = await import('./kafka/kafka-producer.ts')
  return KafkaProducer.open(address, { clock, log })
}

/** @throws SW-TOPIC-014 when it is there already */
export async function createTopic(url: string, spec: TopicSpec, options: OpenOptions = {}): Promise<void> {
  const address = parseTopicUrl(url)
  if (address.kind === 'log') return createLog(address.dir, spec)
  const { createKafkaTopic } = await import('./kafka/kafka-admin.ts')
  return createKafkaTopic(address, spec, filled(options).clock)
}

/** For tests and demonstrations: a topic's partitions are its owner's to change. */
export async function addPartitions(url: string, partitions: number, options: OpenOptions = {}): Promise<void> {
  const address = parseTopicUrl(url)
  if (address.kind === 'log') return addLogPartitions(address.dir, partitions)
  const { addKafkaPartitions } = await import('./kafka/kafka-admin.ts')
  return addKafkaPartitions(address, partitions, filled(options).clock)
}

/** For tests and demonstrations. */
export async function deleteTopic(url: string, options: OpenOptions = {}): Promise<void> {
  const address = parseTopicUrl(url)
  if (address.kind === 'log') return removeLog(address.dir)
  const { deleteKafkaTopic } = await import('./kafka/kafka-admin.ts')
  return deleteKafkaTopic(address, filled(options).clock)
}

function filled(options: OpenOptions): { clock: Clock; log: Log } {
  return { clock: options.clock ?? systemClock, log: options.log ?? silentLog }
}
