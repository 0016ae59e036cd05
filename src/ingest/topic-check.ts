/** `shardwright topic check`: a definition held against every table of a branch that it would write, all problems at once. */
import type { Store } from '../topology/store.ts'
import { connectConsumer, ingestAddressesOf, type IngestAddresses } from './access.ts'
import { allTables, type TopicDefinition } from './definition.ts'
import { checkDefinition, readBranch, readTables } from './fleet-plan.ts'

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

export async function checkTopic(
  store: Store,
  definition: TopicDefinition,
  on: { keyspace: string; branch: string },
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
  const { problems } = checkDefinition(definition, definition.topic, branch, shards)
  const notes: string[] = []
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
        .map(([name, { merge }]) => `${name} ${merge}`),
      retentionMs,
    })),
    problems,
    notes,
  }
}
