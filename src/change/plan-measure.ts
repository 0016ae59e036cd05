/**
 * The figures and facts of a plan, measured where they can be: sizes and retentions by the servers, rates by two looks, the topic by its broker,
 * the row's life by the definition, other writers by the binlog. What can't be measured is assumed and says so, or unknown. Reads only.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { TableDefinition, TopicDefinition } from '../ingest/definition.ts'
import { allTables } from '../ingest/definition.ts'
import { readSchema } from '../mysql/introspect.ts'
import type { Amount, Fact, Figure, OtherWriter, PlanInput } from '../plan/figures.ts'
import { openTopic } from '../topic/open.ts'
import { mainBranch } from '../topology/dualwrite-records.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord, ShardRecord } from '../topology/records.ts'
import { servesPrimary } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, readRecord } from '../topology/typed.ts'
import type { Evidence } from '../verify/ladder/evidence.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { fleetsOf } from './branch-positions.ts'
import { freeBytes, growthOf, sizeOf, steadyBytes } from './branch-size.ts'
import type { TableGrowth } from './branch-size.ts'
import { changeErrors } from './errors.ts'
import { lookForWriters } from './other-writers.ts'
import { withServer } from './servers.ts'
import { topicFacts, topicRate } from './topic-facts.ts'

export type MeasureRequest = {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly loadDefinition: (path: string) => Promise<TopicDefinition>
  readonly keyspace: string
  readonly shardsWanted: number
  readonly definition: string | undefined
  readonly topic: string | undefined
  readonly sampleMs: number
  readonly signal: AbortSignal
}

const measured = (value: Amount, note: string): Figure => ({ value, source: 'measured', note })
const given = (value: Amount, note: string): Figure => ({ value, source: 'given', note })
const assumed = (value: Amount, note: string): Figure => ({ value, source: 'assumed', note })

/** Each copies at what this project's own benches reached on two cores; a copy of your own replaces them. */
const readMost = 60e6
const writeMost = 15e6
const applyMost = 8e6

export async function measurePlan(x: MeasureRequest): Promise<PlanInput> {
  const { store, keyspace } = x
  const routing = await readRecord<RoutingRecord>(store, keys.routing(keyspace))
  if (routing === null) throw changeErrors.noKeyspace({ keyspace })
  const shards = (await listRecords<ShardRecord>(store, keys.shards(keyspace)))
    .map((record) => record.value)
    .filter((shard) => servesPrimary(routing.value, shard.name))
  const fleets = await fleetsOf(store, keyspace, mainBranch)
  const topics = await definitionsOf(x, fleets)
  const tables = topics.flatMap(({ definition }) => allTables(definition))
  const [size, retention, look, source, topic] = await Promise.all([
    sizeOf(store, shards, null),
    binlogRetention(store, shards),
    lookForWriters({ store, clock: x.clock, shards, forMs: x.sampleMs, signal: x.signal }),
    firstSchema(store, shards),
    topicOf(x, topics),
  ])
  const growth = await growthIn(x, shards, fleets, tables)
  const dimensions = tables.filter((table) => table.kind === 'dimension').map((table) => table.table)
  const rd = storeRetention(topics.length, tables)
  const free = await freeBytes(store, shards)
  const n = x.shardsWanted
  const servers = new Set(shards.map((shard) => shard.serverId)).size
  const dimensionBytes = dimensions.reduce((sum, name) => sum + (size.byTable.get(name) ?? 0), 0)
  const capacity = await capacityOf(store, keyspace)
  const steady = steadyOf(size.byTable, growth)
  const hold = typeof rd.value === 'number' ? rd.value : 7 * 86_400
  const short = (seconds: number): number =>
    Math.min(seconds, typeof topic.retention.value === 'number' ? topic.retention.value * 0.05 : seconds)
  return {
    keyspace,
    shardsNow: shards.length,
    shardsWanted: n,
    figures: {
      sourceBytes: measured(size.bytes, `data and indexes of ${size.byTable.size} tables on ${shards.length} shards`),
      dimensionBytes: measured(dimensionBytes, dimensions.length === 0 ? 'no dimension tables' : `of ${dimensions.join(', ')}`),
      readBytesPerSecond: assumed(readMost * servers, `${readMost / 1e6} MB/s for each of ${servers} source servers`),
      targetWriteBytesPerSecond: assumed(writeMost, 'as the copy bench of two cores'),
      copyDuty: assumed(0.8, 'the copy gives way to clients a fifth of the time'),
      keySeconds: assumed(Math.ceil(size.bytes / (n * 40e6)), '40 MB/s for each target'),
      binlogBytesPerSecond:
        look.kind === 'looked'
          ? measured(look.binlogBytesPerSecond, `growth of all binlogs in ${look.forMs} ms`)
          : measured('unknown', look.reason),
      applyBytesPerSecond: assumed(applyMost * n, `${applyMost / 1e6} MB/s for each of ${n} targets`),
      lagShare: assumed(1, 'as if nothing were applied while the copy runs: the careful end'),
      binlogRetentionSeconds: retention,
      outageBudgetSeconds: assumed(short(3600), 'an hour (less where the topic holds less than a day)'),
      bloat: assumed(0.2, 'pages filled in another order'),
      storeRetentionSeconds: rd,
      topicRetentionSeconds: topic.retention,
      marginSeconds: assumed(short(3600), 'an hour (less where the topic holds less than a day)'),
      eventsPerSecond: topic.rate,
      fleetEventsPerSecond: capacity,
      holdSeconds: assumed(hold, typeof rd.value === 'number' ? 'one retention of the rows' : 'a week'),
      undoSeconds: assumed(hold, 'as long as the hold'),
      steadyStateBytes: steady,
      growthPerDay: growthFigure(growth),
      targetFreeBytes:
        free === null
          ? measured('unknown', 'disks of attached servers are not visible')
          : measured(free, 'free where the present servers keep their data'),
      sourceFreeBytes:
        free === null
          ? measured('unknown', 'disks of attached servers are not visible')
          : measured(free, 'free on the disks of the sources'),
      consumers: measured(
        fleets.reduce((sum, fleet) => sum + fleet.consumers, 0),
        fleets.length === 0 ? 'no fleet' : `of ${fleets.map((fleet) => fleet.name).join(', ')}`,
      ),
      shardHourCost: assumed(1, 'an hour of a shard is the unit of cost'),
      consumerHourCost: assumed(0.25, 'a quarter of a shard’s'),
      eventBytes: topic.bytes,
    },
    facts: {
      otherWriters: writersFact(look),
      neverExpires: eternal(topics.length, tables, source.tables),
      dimensionTables: { value: dimensions, source: 'given', note: 'by the definitions' },
      topicTables: {
        value: tables.map((table) => table.table),
        source: 'given',
        note:
          topics.length === 0
            ? 'no fleet fills this keyspace and no --definition was given'
            : `by ${topics.map(({ definition }) => definition.topic).join(', ')}`,
      },
      deterministic: said<boolean>('unknown', 'DualWrite create tries two scratch branches'),
      crossDatabase: {
        value: source.foreignKeys,
        source: 'measured',
        note: 'foreign keys of the first shard; transactions over databases by the look at the binlog',
      },
      readYourWrites: said(false, 'nobody said that reads must see their own synchronous writes'),
      pauseAllowed: said(true, 'a pause of writes well under a second'),
      productionMayFeelCopy: said(true, 'one scan of each source, one more binlog reader'),
      rebuilds: said(false, 'same schema, hash, engine and version'),
      twoClusters: said(true, 'nobody said otherwise'),
      retentionMayBeRaised: said(false, 'DualWrite create --raise-retention tries it'),
    },
  }
}

function said<T>(value: T | 'unknown', note: string): Fact<T> {
  return { value, source: 'assumed', note }
}

type TopicOf = { readonly definition: TopicDefinition; readonly url: string }

async function definitionsOf(x: MeasureRequest, fleets: readonly FleetRecord[]): Promise<TopicOf[]> {
  if (x.definition !== undefined) {
    const definition = await x.loadDefinition(x.definition)
    return [{ definition, url: x.topic ?? fleets.find((fleet) => fleet.definitionPath === x.definition)?.topicUrl ?? definition.topic }]
  }
  return Promise.all(fleets.map(async (fleet) => ({ definition: await x.loadDefinition(fleet.definitionPath), url: fleet.topicUrl })))
}

/** The longest life of a row; unbounded rows are a fact of their own. */
function storeRetention(topics: number, tables: readonly TableDefinition[]): Figure {
  if (topics === 0) return measured('unknown', 'only a definition says how long rows live')
  const lives = tables.flatMap((table) => (table.retentionMs === null ? [] : [table.retentionMs / 1000]))
  if (lives.length === 0) return given('unbounded', 'no table expires')
  return given(Math.max(...lives), 'the longest retention of the definitions')
}

function eternal(topics: number, tables: readonly TableDefinition[], there: readonly string[]): Fact<readonly string[]> {
  if (topics === 0) return { value: there, source: 'measured', note: 'no definition says that rows of these tables expire' }
  const known = new Map(tables.map((table) => [table.table, table]))
  const value = there.filter((name) => {
    const table = known.get(name)
    return table === undefined || (table.kind !== 'dimension' && table.retentionMs === null)
  })
  return { value, source: 'measured', note: 'tables that no definition fills or expires' }
}

function writersFact(look: Awaited<ReturnType<typeof lookForWriters>>): Fact<readonly OtherWriter[]> {
  if (look.kind === 'unknown') return { value: 'unknown', source: 'measured', note: look.reason }
  return {
    value: look.found.map((found) => ({
      who: found.seen[0] ?? `somebody at ${found.server}`,
      tables: found.tables.map((table) => table.slice(table.indexOf('.') + 1)),
    })),
    source: 'measured',
    note: `by the binlogs, tailed for ${look.forMs} ms`,
  }
}

async function topicOf(x: MeasureRequest, topics: readonly TopicOf[]): Promise<{ retention: Figure; rate: Figure; bytes: Figure }> {
  const nothing = 'no topic: no fleet, and no --definition'
  if (topics.length === 0)
    return { retention: measured('unknown', nothing), rate: measured('unknown', nothing), bytes: measured('unknown', nothing) }
  const found = await Promise.all(
    topics.map(async ({ url }) => {
      await using topic = await openTopic(url, { clock: x.clock, log: x.log })
      const facts = await topicFacts(topic, x.clock)
      return { facts, rate: await topicRate(topic, x.clock, x.sampleMs, x.signal) }
    }),
  )
  const held = found.map(({ facts }) => facts.surelyMs)
  const ends = held.filter((ms) => ms !== null)
  const sizes = found.map(({ rate }) => rate.eventBytes).filter((bytes) => bytes !== null)
  return {
    retention: measured(ends.length === 0 ? 'unbounded' : Math.min(...ends) / 1000, 'as the broker says, the least of its topics'),
    rate: measured(
      found.reduce((sum, { rate }) => sum + rate.eventsPerSecond, 0),
      `growth of the ends in ${x.sampleMs} ms`,
    ),
    bytes: measured(sizes.length === 0 ? 'unknown' : sizes.reduce((a, b) => a + b, 0) / sizes.length, 'of the newest records'),
  }
}

async function binlogRetention(store: Store, shards: readonly ShardRecord[]): Promise<Figure> {
  let least = Infinity
  for (const serverId of new Set(shards.map((shard) => shard.serverId))) {
    const seconds = await withServer(store, serverId, 'admin', async (connection) => {
      const own = await connection.value('SELECT @@GLOBAL.binlog_expire_logs_seconds')
      if (connection.flavour === 'mariadb' && Number(own ?? 0) === 0)
        return Math.round(Number((await connection.value('SELECT @@GLOBAL.expire_logs_days')) ?? 0) * 86_400)
      return Number(own ?? 0)
    })
    if (seconds > 0) least = Math.min(least, seconds)
  }
  return measured(least === Infinity ? 'unbounded' : least, 'binlog_expire_logs_seconds, the least of the servers')
}

async function firstSchema(store: Store, shards: readonly ShardRecord[]): Promise<{ tables: string[]; foreignKeys: string[] }> {
  const shard = shards[0]
  if (shard === undefined) return { tables: [], foreignKeys: [] }
  const schema = await withServer(store, shard.serverId, 'admin', (connection) => readSchema(connection, shard.schema))
  return {
    tables: schema.tables.filter((table) => table.kind === 'BASE TABLE').map((table) => table.name),
    foreignKeys: schema.tables.flatMap((table) =>
      table.foreignKeys
        .filter((key) => key.referencedSchema !== shard.schema)
        .map((key) => `${table.name}.${key.name} → ${key.referencedSchema}`),
    ),
  }
}

async function growthIn(
  x: MeasureRequest,
  shards: readonly ShardRecord[],
  fleets: readonly FleetRecord[],
  tables: readonly TableDefinition[],
): Promise<TableGrowth[]> {
  const fleet = fleets[0]
  return fleet === undefined ? [] : growthOf(x.store, shards, fleet.branchId, tables)
}

function steadyOf(byTable: ReadonlyMap<string, number>, growth: readonly TableGrowth[]): Figure {
  if (growth.length === 0) return measured('unknown', 'only a fleet’s marks say how much of a window is there')
  let bytes = 0
  for (const [name, now] of byTable) {
    const own = growth.find((one) => one.table === name)
    bytes += own === undefined ? now : (steadyBytes(now, own) ?? now)
  }
  return measured(bytes, 'today’s bytes by the part of the window that they stand for, at the rows that buckets have now')
}

function growthFigure(growth: readonly TableGrowth[]): Figure {
  const known = growth.map((one) => one.perDay).filter((perDay) => perDay !== null)
  if (known.length === 0) return assumed(0, 'not measurable yet: too few whole buckets')
  return measured(Math.max(0, ...known), 'rows in a bucket, old ones against new ones; the fastest table')
}

/** By the last L6 of the keyspace. */
async function capacityOf(store: Store, keyspace: string): Promise<Figure> {
  const workflows = (await listRecords<WorkflowRecord>(store, keys.workflowsOf(keyspace))).map((record) => record.value.uid)
  const newest = (await listRecords<Evidence>(store, keys.allEvidence))
    .map((record) => record.value)
    .filter(
      (evidence) =>
        evidence.rung === 'L6' && workflows.includes(evidence.workflowUid) && typeof evidence.numbers['newEventsPerSecond'] === 'number',
    )
    .sort((a, b) => b.atMs - a.atMs)[0]
  if (newest === undefined) return measured('unknown', 'no pause-and-drain yet: DualWrite validate --rung L6 measures it, or --assume w=…')
  const bound = newest.numbers['told'] === 'at least' ? ', which drained too quickly to tell more than that it is at least this' : ''
  return measured(Number(newest.numbers['newEventsPerSecond']), `by L6 at ${new Date(newest.atMs).toISOString()}${bound}`)
}
