/** `shardwright topic check`: a definition held against every table of a branch that it would write, all problems at once. */
import type { Store } from '../topology/store.ts'
import { connectConsumer, ingestAddressesOf, type IngestAddresses } from './access.ts'
import { allTables, type TopicDefinition } from './definition.ts'
import { relativeErrorDefault } from './table-plan.ts'
import { checkDefinition, readBranch, readTables } from './fleet-plan.ts'
import type { Topic } from '../topic/topic.ts'

export type TopicCheck = {
  readonly topic: string
  readonly version: number
  readonly digest: string
  readonly shards: readonly string[]
  readonly tables: readonly {
    readonly table: string
    readonly kind: string
    readonly key: readonly string[]
    readonly merges: readonly string[]
    readonly retentionMs: number | null
  }[]
  readonly problems: readonly {
    readonly shard: string
    readonly table: string
    readonly column: string | null
    readonly problem: string
    readonly fix: string
  }[]
  /** Nothing wrong, but worth knowing. */
  readonly notes: readonly string[]
}

/** Of either kind of topic: the embedded log's are UUIDs as text, Kafka's are shorter. */
const idCharactersMax = 36

/** Columns that keep an order hold the topic's id: where the topic is not to be had, the longest there is has to fit. */
async function topicIdOf(url: string, openTopic: (url: string) => Promise<Topic>): Promise<{ id: string; notes: string[] }> {
  try {
    await using topic = await openTopic(url)
    return { id: topic.id, notes: [] }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const note = `the topic ${url} could not be opened (${reason}): columns that keep an order are held against the longest id that a topic can have`
    return { id: 'x'.repeat(idCharactersMax), notes: [note] }
  }
}

export async function checkTopic(
  store: Store,
  definition: TopicDefinition,
  on: { keyspace: string; branch: string; topicUrl?: string | undefined },
  openTopic: (url: string) => Promise<Topic>,
  signal: AbortSignal,
  addresses: IngestAddresses = ingestAddressesOf(store),
): Promise<TopicCheck> {
  const branch = await readBranch(store, on.keyspace, on.branch)
  const shards = await Promise.all(
    branch.shards.map(async (shard) => {
      await using connection = await connectConsumer(await addresses(shard.serverId), 60_000, signal)
      return await readTables(connection, shard, definition)
    }),
  )
  const { id, notes } = await topicIdOf(on.topicUrl ?? definition.topic, openTopic)
  const { problems } = checkDefinition(definition, id, branch, shards)
  for (const table of allTables(definition)) {
    const info = shards[0]?.tables.get(table.table)
    if (table.retentionMs !== null && info !== undefined && !info.partitioned)
      notes.push(
        `${table.table} expires and has no partitions: its rows are deleted a thousand at a time, which costs more than dropping partitions by ${table.bucket?.column}`,
      )
    if (table.bucket !== null && table.retentionMs === null)
      notes.push(`${table.table} has a bucket and no retention: its rows never expire, which a dual-write refuses`)
    if (table.kind === 'coalesced' && table.eventId !== null)
      notes.push(`${table.table} counts events by id: one row an event is kept beside it, and coalescing saves nothing on those`)
  }
  return {
    topic: definition.topic,
    version: definition.version,
    digest: definition.digest,
    shards: shards.map(({ shard }) => shard),
    tables: definition.tables.map(({ table, kind, keyColumns, columns, retentionMs }) => ({
      table,
      kind,
      key: keyColumns,
      merges: Object.entries(columns)
        .filter(([, { merge }]) => merge !== 'key')
        .map(([name, { merge, relativeError }]) =>
          merge === 'sketch' ? `${name} sketch (relative error ${relativeError ?? relativeErrorDefault})` : `${name} ${merge}`,
        ),
      retentionMs,
    })),
    problems,
    notes,
  }
}
