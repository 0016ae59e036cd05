import { randomUUID } from 'node:crypto'
import { systemClock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { Consumer } from '../ingest/consumer.ts'
import type { ConsumerConfig } from '../ingest/consumer-options.ts'
import { loadDefinition } from '../ingest/load-definition.ts'
import { openTopic } from '../topic/open.ts'
import type { Store } from '../topology/store.ts'
import { ingestFailpointsOf } from './failpoint.ts'

/** A consumer of a fleet that is this process. */
export function consumerOf(parts: { store: Store; fleet: string; log: Log; config?: Partial<ConsumerConfig> }): Consumer {
  const { store, fleet, log } = parts
  return new Consumer({
    store,
    fleet,
    id: `consume-${process.pid}-${randomUUID().slice(0, 8)}`,
    pid: process.pid,
    clock: systemClock,
    log,
    openTopic: (url) => openTopic(url, { clock: systemClock, log }),
    loadDefinition: (record) => loadDefinition(record.definitionPath),
    config: parts.config ?? {},
    failpoints: ingestFailpointsOf(process.env['SHARDWRIGHT_INGEST_FAILPOINT_FILE']),
    rssBytes: () => process.memoryUsage.rss(),
    cpuMs: () => process.cpuUsage().user / 1000 + process.cpuUsage().system / 1000,
  })
}
