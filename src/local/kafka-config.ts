/**
 * The settings of one Kafka node on this machine: broker and controller in one process (KRaft), on loopback. Made for tests
 * and demonstrations: retention is looked at every second and deleted segments leave the disk at once, sessions of
 * a dead broker end after three seconds, small buffers and few threads.
 */
export type KafkaNode = { readonly id: number; readonly port: number; readonly controllerPort: number }

export function kafkaConfig(
  node: KafkaNode,
  nodes: readonly KafkaNode[],
  logDir: string,
  settings: Readonly<Record<string, string>>,
): string {
  const copies = Math.min(nodes.length, 3)
  const inSync = copies > 1 ? copies - 1 : 1
  const lines: Record<string, string | number> = {
    'process.roles': 'broker,controller',
    'node.id': node.id,
    'controller.quorum.voters': nodes.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`).join(','),
    listeners: `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${node.port}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL',
    'log.dirs': logDir,
    'auto.create.topics.enable': 'false',
    'default.replication.factor': copies,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': copies,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': 4,
    'group.initial.rebalance.delay.ms': 0,
    'log.initial.task.delay.ms': 500,
    'log.retention.check.interval.ms': 1000,
    'log.segment.delete.delay.ms': 0,
    'log.cleaner.dedupe.buffer.size': 16777216,
    'controlled.shutdown.enable': nodes.length > 1 ? 'true' : 'false',
    'num.network.threads': 2,
    'num.io.threads': 4,
    'num.replica.fetchers': 1,
    'broker.heartbeat.interval.ms': 500,
    'broker.session.timeout.ms': 3000,
    'controller.quorum.election.timeout.ms': 1000,
    'controller.quorum.fetch.timeout.ms': 2000,
    ...settings,
  }
  return Object.entries(lines)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}
