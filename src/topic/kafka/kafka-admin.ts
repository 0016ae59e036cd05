/** Kafka topics: making, growing, deleting, and their retention. */
import { ConfigResourceTypes, IncrementalAlterConfigOperationTypes } from '@platformatic/kafka'
import type { Clock } from '../../base/clock.ts'
import { topicErrors } from '../errors.ts'
import type { Retention, TopicSpec } from '../topic.ts'
import type { KafkaAddress } from '../url.ts'
import { asUnreachable, hasApiError, isRefusal, asRefusal, reasonOf, withAdmin } from './client.ts'

const settleLimitMs = 20_000
/** describeConfigs: who set a value (KIP-226). */
const setOnTopic = 1

export async function createKafkaTopic(address: KafkaAddress, spec: TopicSpec, clock: Clock): Promise<void> {
  const configs = [
    ...(spec.retentionMs === undefined ? [] : [{ name: 'retention.ms', value: String(spec.retentionMs ?? -1n) }]),
    ...(spec.retentionBytes === undefined ? [] : [{ name: 'retention.bytes', value: String(spec.retentionBytes ?? -1n) }]),
    ...(spec.segmentBytes === undefined ? [] : [{ name: 'segment.bytes', value: String(spec.segmentBytes) }]),
    ...(spec.segmentMs === undefined ? [] : [{ name: 'segment.ms', value: String(spec.segmentMs) }]),
  ]
  const { topic } = address
  await withAdmin(address, async (admin) => {
    const started = clock.monotonicMs()
    for (let isMade = false; ;) {
      try {
        if (!isMade) await admin.createTopics({ topics: [topic], partitions: spec.partitions, replicas: spec.replicas ?? -1, configs })
        isMade = true
        const found = (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)
        if (found?.partitionsCount === spec.partitions && found.partitions.every((partition) => partition.leader >= 0)) return
      } catch (error) {
        if (isRefusal(error)) throw asRefusal(error, address, 'making it')
        if (!isMade && hasApiError(error, 'TOPIC_ALREADY_EXISTS')) throw topicErrors.topicExists({ topic, partitions: 'some' }, error)
        if (clock.monotonicMs() - started > settleLimitMs) throw asUnreachable(error, address)
      }
      admin.clearMetadata()
      await clock.sleep(100)
    }
  })
}

export async function addKafkaPartitions(address: KafkaAddress, partitions: number, clock: Clock): Promise<void> {
  await withAdmin(address, async (admin) => {
    await admin.createPartitions({ topics: [{ name: address.topic, count: partitions, assignments: null }] })
    const started = clock.monotonicMs()
    for (;;) {
      const found = (await admin.metadata({ topics: [address.topic], forceUpdate: true })).topics.get(address.topic)
      if (found?.partitionsCount === partitions) return
      if (clock.monotonicMs() - started > settleLimitMs) throw asUnreachable(new Error('the new partitions do not appear'), address)
      await clock.sleep(100)
    }
  })
}

export async function deleteKafkaTopic(address: KafkaAddress, clock: Clock): Promise<void> {
  await withAdmin(address, async (admin) => {
    if (!(await admin.listTopics()).includes(address.topic))
      throw topicErrors.noTopic({ topic: address.topic, where: address.brokers.join(',') })
    await admin.deleteTopics({ topics: [address.topic] })
    const started = clock.monotonicMs()
    while ((await admin.listTopics()).includes(address.topic)) {
      if (clock.monotonicMs() - started > settleLimitMs) throw asUnreachable(new Error('the topic does not go'), address)
      await clock.sleep(100)
    }
  })
}

export async function retentionOf(address: KafkaAddress): Promise<Retention> {
  return withAdmin(address, async (admin) => {
    const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: address.topic }
    const found = await admin.describeConfigs({ resources: [{ ...resource, configurationKeys: ['retention.ms', 'retention.bytes'] }] })
    const configs = found[0]?.configs ?? []
    const value = (name: string): bigint | null => {
      const text = configs.find((config) => config.name === name)?.value ?? null
      if (text === null)
        throw topicErrors.notAllowed({ topic: address.topic, action: 'reading its configuration', reason: `${name} is not told` })
      return BigInt(text) < 0n ? null : BigInt(text)
    }
    const source = configs.find((config) => config.name === 'retention.ms')?.configSource
    return { ms: value('retention.ms'), bytes: value('retention.bytes'), msFrom: source === setOnTopic ? 'topic' : 'default' }
  })
}

/** Changes this one setting and nothing else of the topic; returns when the brokers tell it back. */
export async function setRetention(address: KafkaAddress, ms: bigint | null | 'default', clock: Clock): Promise<void> {
  const operation =
    ms === 'default'
      ? { name: 'retention.ms', configOperation: IncrementalAlterConfigOperationTypes.DELETE, value: null }
      : { name: 'retention.ms', configOperation: IncrementalAlterConfigOperationTypes.SET, value: String(ms ?? -1n) }
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: address.topic }
  try {
    await withAdmin(address, (admin) => admin.incrementalAlterConfigs({ resources: [{ ...resource, configs: [operation] }] }))
  } catch (error) {
    throw topicErrors.retentionRefused({ topic: address.topic, reason: reasonOf(error), wanted: String(ms ?? -1n) }, error)
  }
  const started = clock.monotonicMs()
  for (;;) {
    const now = await retentionOf(address)
    if (ms === 'default' ? now.msFrom === 'default' : now.msFrom === 'topic' && now.ms === ms) return
    if (clock.monotonicMs() - started > settleLimitMs)
      throw topicErrors.retentionRefused({ topic: address.topic, reason: 'the brokers do not show the change', wanted: String(ms ?? -1n) })
    await clock.sleep(100)
  }
}
