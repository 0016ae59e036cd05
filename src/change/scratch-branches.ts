/**
 * Whether the same messages give the same rows: two scratch branches of one shard each are filled from the same records by real consumers, one in
 * small batches by one writer, one in large ones by several and under another clock (`ingest/other-clock.ts`), and their digests are compared,
 * sketches included. What depends on the clock, on chance, on state between records or on how batches are cut shows as a table that differs.
 *
 * They stand in schemas of their own on a server of the new branch, under a topology of their own in memory, and are removed whatever happens.
 */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { silentLog } from '../base/log.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
import { Consumer } from '../ingest/consumer.ts'
import { allTables } from '../ingest/definition.ts'
import type { TopicDefinition } from '../ingest/definition.ts'
import { underOtherClock } from '../ingest/other-clock.ts'
import { ensureIngestTables, table as ingestTable } from '../ingest/tables.ts'
import { addressesOf, connectReader } from '../move/access.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { openTopic } from '../topic/open.ts'
import type { FleetRecord, FleetReport } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { KeyspaceRecord, ServerRecord, ServerSecret, ShardRecord, VSchemaRecord } from '../topology/records.ts'
import { initialRouting } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, put, readRecord } from '../topology/typed.ts'
import { comparedColumns, sideColumns, sketchColumns } from '../verify/ladder/buckets-sql.ts'
import { rowDigestNumber } from '../verify/row-text.ts'
import { forgetPositions, scratchPut } from './removals.ts'
import { connectServer } from './servers.ts'

export type ScratchAnswer =
  | { readonly kind: 'same'; readonly records: number; readonly rows: number }
  | { readonly kind: 'differ'; readonly records: number; readonly tables: readonly string[] }
  | { readonly kind: 'unknown'; readonly reason: string }

/** Without any position having moved. */
const limitMs = 60_000

export async function tryTwice(world: {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly keyspace: string
  readonly vschemaOf: string
  /** Where its tables are taken from, and where the scratch is made. */
  readonly model: ShardRecord
  readonly on: ShardRecord
  readonly definition: TopicDefinition
  readonly topicUrl: string
  readonly recordsMax: number
  readonly signal: AbortSignal
}): Promise<ScratchAnswer> {
  const { store, clock, definition, topicUrl, signal } = world
  const tag = randomBytes(4).toString('hex')
  const schemas = [`_sw_scratch_${tag}_a`, `_sw_scratch_${tag}_b`] as const
  const branchIds = schemas.map((schema) => `${schema}-branch`)
  const connection = await connectServer(store, world.on.serverId, 'admin')
  const stop = new AbortController()
  const running: Promise<void>[] = []
  const mine = new MemoryStore(clock)
  const shards = schemas.map((schema, i) => scratchShard(world.on, `scratch${i}`, schema))
  const removal = `scratch-${tag}`
  try {
    // A process that dies leaves nothing that nobody knows of.
    await store.commit([], [scratchPut(removal, shards, branchIds, clock.nowMs() + 3_600_000)])
    const holdAt = await someRecords(topicUrl, world.recordsMax)
    if (holdAt.records === 0) return { kind: 'unknown', reason: 'the topic holds no records yet to try' }
    await ensureIngestTables(connection)
    const tables = allTables(definition)
    const creates = await createStatements(
      world.store,
      world.model,
      tables.map((one) => one.table),
    )
    await records(world, mine)
    for (const [i, schema] of schemas.entries()) {
      await connection.query(`CREATE DATABASE ${quoteIdentifier(schema)} DEFAULT CHARACTER SET utf8mb4`)
      await connection.query(`USE ${quoteIdentifier(schema)}`)
      for (const create of creates) await connection.query(create)
      const keyspace = `scratch${i}`
      const record: KeyspaceRecord = { v: 1, name: keyspace, uid: schema, sharded: true, allowUnfenced: [], transactionMode: 'multi' }
      const fleet: FleetRecord = {
        v: 1,
        name: keyspace,
        keyspace,
        branch: 'main',
        branchId: branchIds[i] ?? '',
        definitionPath: '',
        definitionDigest: definition.digest,
        definitionVersion: definition.version,
        topicUrl,
        topicId: holdAt.topicId,
        startOffsets: holdAt.start,
        wanted: 'running',
        generation: 1,
        batchRecordsMax: i === 0 ? 97 : 1000,
        writers: i === 0 ? 1 : 3,
        consumers: 1,
        holdAt: holdAt.end,
        madeBy: null,
        // Purge would take what one branch has written and the other not yet.
        purgeHeldUntilMs: clock.nowMs() + 3_600_000,
      }
      const vschema = await readRecord<VSchemaRecord>(store, keys.vschema(world.vschemaOf))
      await mine.commit(
        [],
        [
          put(keys.keyspace(keyspace), record),
          put(keys.routing(keyspace), initialRouting(['-'])),
          put(keys.shard(keyspace, '-'), scratchShard(world.on, keyspace, schema)),
          put<VSchemaRecord>(keys.vschema(keyspace), vschema?.value ?? { v: 1, vschema: {} }),
          put(keys.fleet(keyspace), fleet),
        ],
      )
      const consumer = new Consumer({
        store: mine,
        fleet: keyspace,
        id: schema,
        pid: 0,
        clock,
        log: silentLog,
        openTopic: (url) => openTopic(url, { clock }),
        loadDefinition: async () => (i === 0 ? definition : underOtherClock(definition)),
        rssBytes: () => 0,
        config: { batchRecords: i === 0 ? 13 : 500, lazyMs: 200, reportMs: 200, leaseMs: 30_000 },
      })
      running.push(consumer.run(AbortSignal.any([stop.signal, signal])))
    }
    const late = await untilThere(connection, mine, schemas, holdAt, clock, signal)
    if (late !== null) return { kind: 'unknown', reason: late }
    // Digests read bytes: texts of several charsets in one row would not go into one another otherwise (1271).
    const reader = await connectReader(await addressesOf(store)(world.on.serverId), signal)
    const differing: string[] = []
    let rows = 0
    try {
      for (const one of tables) {
        const names = [...comparedColumns(one), ...sketchColumns(one)]
        const [a, b] = [await digestOf(reader, schemas[0], one.table, names), await digestOf(reader, schemas[1], one.table, names)]
        rows += a.rows
        if (a.rows !== b.rows || a.sum !== b.sum) differing.push(`${one.table} (${a.rows} and ${b.rows} rows)`)
      }
    } finally {
      reader.destroy()
    }
    return differing.length === 0
      ? { kind: 'same', records: holdAt.records, rows }
      : { kind: 'differ', records: holdAt.records, tables: differing }
  } catch (error) {
    signal.throwIfAborted()
    return { kind: 'unknown', reason: error instanceof Error ? error.message : String(error) }
  } finally {
    stop.abort(new Error('the scratch branches are removed'))
    await Promise.allSettled(running)
    await mine[Symbol.asyncDispose]()
    // Not now: its record stays, and a leader removes it.
    await removeScratch(connection, schemas, branchIds)
      .then(() => store.commit([], [{ key: keys.removal(removal), value: undefined }]))
      .catch((error: unknown) => world.log.warn({ error }, 'the scratch branches are removed later'))
    await connection.close().catch(() => undefined)
  }
}

function scratchShard(on: ShardRecord, keyspace: string, schema: string): ShardRecord {
  return { v: 1, keyspace, name: '-', uid: schema, serverId: on.serverId, schema, madeBy: null, provisioned: true }
}

async function removeScratch(connection: Connection, schemas: readonly string[], branchIds: readonly string[]): Promise<void> {
  for (const schema of schemas) await connection.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(schema)}`)
  await forgetPositions(connection, branchIds)
}

/** The server's records, in a topology of the scratch's own: what consumers report there nobody else sees. */
async function records(world: { readonly store: Store; readonly on: ShardRecord }, mine: MemoryStore): Promise<void> {
  const server = await readRecord<ServerRecord>(world.store, keys.server(world.on.serverId))
  const secret = await readRecord<ServerSecret>(world.store, keys.secret(world.on.serverId))
  if (server === null || secret === null) return
  await mine.commit(
    [],
    [
      put(keys.server(world.on.serverId), server.value),
      // Not the gate's account: it may be locked, and need not reach schemas that come and go.
      put<ServerSecret>(keys.secret(world.on.serverId), { ...secret.value, gate: secret.value.admin }),
    ],
  )
}

type Some = {
  readonly topicId: string
  readonly start: { [partition: string]: string }
  readonly end: { [partition: string]: string }
  readonly records: number
}

/** The newest `most` offsets, dealt over the partitions. */
async function someRecords(url: string, most: number): Promise<Some> {
  await using topic = await openTopic(url)
  const [starts, ends] = [await topic.startOffsets(), await topic.endOffsets()]
  const each = BigInt(Math.max(1, Math.floor(most / topic.partitions)))
  const start: { [partition: string]: string } = {}
  const end: { [partition: string]: string } = {}
  let count = 0n
  for (const [partition, last] of ends) {
    const oldest = starts.get(partition) ?? 0n
    const from = last - each > oldest ? last - each : oldest
    start[String(partition)] = String(from)
    end[String(partition)] = String(last)
    count += last - from
  }
  return { topicId: topic.id, start, end, records: Number(count) }
}

async function createStatements(store: Store, model: ShardRecord, tables: readonly string[]): Promise<string[]> {
  const connection = await connectServer(store, model.serverId, 'admin')
  try {
    const out: string[] = []
    for (const name of tables) {
      const row = (await connection.allText(`SHOW CREATE TABLE ${quoteQualified(model.schema, name)}`))[0]
      out.push(row?.['Create Table'] ?? '')
    }
    return out
  } finally {
    await connection.close()
  }
}

async function untilThere(
  connection: Connection,
  store: Store,
  schemas: readonly string[],
  wanted: Some,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | null> {
  let movedAtMs = clock.monotonicMs()
  let stood = ''
  const uids = schemas.map((schema) => quoteString(schema)).join(',')
  for (;;) {
    signal.throwIfAborted()
    const rows = await connection.allText(
      `SELECT shard_uid,partition_no,next_offset FROM ${ingestTable.position} WHERE shard_uid IN (${uids})`,
    )
    const missing = schemas.flatMap((schema) =>
      Object.entries(wanted.end).filter(
        ([partition, end]) =>
          end !== wanted.start[partition] &&
          rows.find((row) => row['shard_uid'] === schema && row['partition_no'] === partition)?.['next_offset'] !== end,
      ),
    )
    if (missing.length === 0) return null
    const reports = (await listRecords<FleetReport>(store, keys.fleetReports)).map((record) => record.value)
    // A partition that stopped does not go on, nor a fleet that cannot run here; what a server refused for a moment (a deadlock, too busy) the consumers
    // try again themselves.
    const unfit = reports.find((report) => report.state === 'failed' && report.error?.code.startsWith('SW-INGEST-') === true)?.error
    const stopped = reports.flatMap((report) => report.partitions).find((one) => one.error !== null)?.error ?? unfit
    if (stopped != null) return `${stopped.code} ${stopped.what}`
    const stands = rows.map((row) => `${row['shard_uid']} ${row['partition_no']} ${row['next_offset']}`).join()
    if (stands !== stood) [stood, movedAtMs] = [stands, clock.monotonicMs()]
    if (clock.monotonicMs() - movedAtMs > limitMs) {
      const trouble = reports.find((report) => report.error !== null)?.error
      return `${missing.length} partitions were not read on for ${limitMs / 1000} s${trouble == null ? '' : `: ${trouble.code} ${trouble.what}`}`
    }
    await clock.sleep(100, signal)
  }
}

async function digestOf(
  connection: Connection,
  schema: string,
  table: string,
  names: readonly string[],
): Promise<{ rows: number; sum: string }> {
  const columns = (await readTableDefinitions(connection, schema)).get(table) ?? []
  const digested = sideColumns(names, [columns]).get(0) ?? []
  const result = await connection.query(
    Buffer.concat([
      Buffer.from(`SELECT COUNT(*),IFNULL(SUM(`),
      Buffer.from(rowDigestNumber(digested), 'latin1'),
      Buffer.from(`),0) FROM ${quoteQualified(schema, table)}`),
    ]),
  )
  const row = result.kind === 'rows' ? result.rows[0] : undefined
  return { rows: Number(row?.[0]?.toString() ?? 0), sum: row?.[1]?.toString() ?? '' }
}
