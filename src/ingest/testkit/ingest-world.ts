/** A branch on real servers, a topic in the embedded log, and what every event should have become: for tests of consumers. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { parseKeyRange } from '../../keyspace/key-range.ts'
import { KeyRangeIndex } from '../../keyspace/key-range-index.ts'
import { createVindex } from '../../keyspace/vindexes/create.ts'
import { connect } from '../../mysql/connect.ts'
import type { Connection } from '../../mysql/connection.ts'
import { createTopic, openProducer, openTopic } from '../../topic/open.ts'
import type { SentRecord, Topic, TopicProducer } from '../../topic/topic.ts'
import { branchKeyspace, type FleetRecord, type FleetReport } from '../../topology/dualwrite-records.ts'
import { keys } from '../../topology/keys.ts'
import type { KeyspaceRecord, ServerRecord, ServerSecret, ShardRecord, VSchemaRecord } from '../../topology/records.ts'
import { initialRouting } from '../../topology/routing.ts'
import { SqliteStore } from '../../topology/sqlite.ts'
import { listRecords, put, readRecord, updateRecord } from '../../topology/typed.ts'
import type { TestServer } from '../../../test/kit/servers.ts'
import { Consumer } from '../consumer.ts'
import type { ConsumerConfig } from '../consumer-options.ts'
import type { IngestFailpoints } from '../crash-points.ts'
import { DDSketch } from '../ddsketch.ts'
import type { TopicDefinition } from '../definition.ts'
import { smallConsumer } from './small-consumer.ts'
import { hourMs, queryStats, queryTables, queryVschema, type QueryEvent } from './query-stats.ts'

let count = 0

export type Sent = QueryEvent & SentRecord

export class IngestWorld implements AsyncDisposable {
  readonly server: TestServer
  readonly dir: string
  readonly store: SqliteStore
  readonly url: string
  readonly keyspace: string
  admin: Connection
  topic!: Topic
  producer!: TopicProducer
  readonly sent: Sent[] = []
  readonly #consumers: { stop: () => Promise<void> }[] = []
  #ids = 0

  private constructor(server: TestServer, admin: Connection, url: string | null) {
    this.server = server
    this.admin = admin
    this.dir = mkdtempSync(join(tmpdir(), 'sw-ingest-'))
    this.store = new SqliteStore(join(this.dir, 'topology.sqlite'))
    this.keyspace = `q${process.pid}_${++count}`
    this.url = url ?? `log://${this.dir}/queries`
  }

  /** @param url a topic that is to be made; the embedded log unless said */
  static async create(server: TestServer, partitions = 4, url: string | null = null): Promise<IngestWorld> {
    const world = new IngestWorld(server, await connect(server.config), url)
    await createTopic(world.url, { partitions })
    world.topic = await openTopic(world.url)
    world.producer = await openProducer(world.url)
    return world
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#consumers.map(({ stop }) => stop()))
    await this.producer.close()
    await this.topic.close()
    await this.store[Symbol.asyncDispose]()
    this.admin.destroy()
    rmSync(this.dir, { recursive: true, force: true })
  }

  /** After the server was killed and is back. */
  async reconnect(): Promise<void> {
    this.admin.destroy()
    this.admin = await connect(this.server.config)
  }

  /** For what reaches shards by the topology: the record of the server that all of them are on. */
  async addServer(): Promise<void> {
    const { host, port, user, password } = this.server.config
    const account = { user, password }
    const { flavour } = this.server
    const record: ServerRecord = {
      v: 1,
      id: 'server',
      flavour,
      version: '',
      host,
      port,
      socketPath: null,
      provisioned: false,
      dataDir: null,
    }
    const secret: ServerSecret = { v: 1, admin: account, mover: account, gate: account }
    await this.store.commit([], [put(keys.server('server'), record), put(keys.secret('server'), secret)])
  }

  schema(branch: string, shard: string): string {
    return `${this.keyspace}_${branch}_${shard.replace('-', '_')}`
  }

  async branch(
    branch: string,
    shards: readonly string[],
    tables: readonly string[] = queryTables,
    vschema: object = queryVschema,
  ): Promise<void> {
    const name = branchKeyspace(this.keyspace, branch)
    const keyspace: KeyspaceRecord = { v: 1, name, uid: `uid-${name}`, sharded: true, allowUnfenced: [], transactionMode: 'multi' }
    const records = shards.map((shard): ShardRecord => ({
      v: 1,
      keyspace: name,
      name: shard,
      uid: `${name}/${shard}`,
      serverId: 'server',
      schema: this.schema(branch, shard),
      madeBy: null,
      provisioned: false,
    }))
    for (const { schema } of records) {
      await this.admin.query(`CREATE DATABASE ${schema}`)
      await this.admin.useDatabase(schema)
      for (const ddl of tables) await this.admin.query(ddl)
    }
    await this.store.commit(
      [],
      [
        put(keys.keyspace(name), keyspace),
        ...records.map((record) => put(keys.shard(name, record.name), record)),
        put<VSchemaRecord>(keys.vschema(this.keyspace), { v: 1, vschema }),
        put(keys.routing(name), initialRouting(shards)),
      ],
    )
  }

  async fleet(branch: string, change: Partial<FleetRecord> = {}, definition: TopicDefinition = queryStats()): Promise<FleetRecord> {
    const name = branchKeyspace(this.keyspace, branch)
    const start = await this.topic.startOffsets()
    const record: FleetRecord = {
      v: 1,
      name,
      keyspace: this.keyspace,
      branch,
      branchId: `branch-${branch}`,
      definitionPath: 'test',
      definitionDigest: definition.digest,
      definitionVersion: definition.version,
      topicUrl: this.url,
      topicId: this.topic.id,
      startOffsets: Object.fromEntries([...start].map(([partition, offset]) => [partition, String(offset)])),
      wanted: 'running',
      generation: 1,
      batchRecordsMax: 1000,
      writers: 2,
      consumers: 1,
      holdAt: null,
      madeBy: null,
      purgeHeldUntilMs: 0,
      ...change,
    }
    await this.store.commit([], [put(keys.fleet(name), record)])
    return record
  }

  async fleetRecord(branch: string): Promise<FleetRecord> {
    return (await readRecord<FleetRecord>(this.store, keys.fleet(branchKeyspace(this.keyspace, branch))))!.value
  }

  change(branch: string, change: Partial<FleetRecord>): Promise<unknown> {
    return updateRecord<FleetRecord>(this.store, keys.fleet(branchKeyspace(this.keyspace, branch)), (fleet) =>
      fleet === null ? null : { ...fleet, ...change },
    )
  }

  consumer(
    branch: string,
    options: {
      definition?: TopicDefinition
      /** As the fleet's record says, from its file. */
      loads?: (record: FleetRecord) => Promise<TopicDefinition>
      config?: Partial<ConsumerConfig>
      failpoints?: IngestFailpoints
      addresses?: (serverId: string) => { host: string; port: number }
    } = {},
  ): { id: string; stop: () => Promise<void>; done: Promise<void> } {
    const id = `c${++this.#ids}`
    const abort = new AbortController()
    const consumer = new Consumer({
      store: this.store,
      fleet: branchKeyspace(this.keyspace, branch),
      id,
      pid: process.pid,
      clock: systemClock,
      log:
        process.env['INGEST_LOG'] === undefined
          ? silentLog
          : {
              ...silentLog,
              warn: (f, m) => console.error(m, f),
              error: (f, m) => console.error(m, f),
              info: (f, m) => console.error(m, f),
            },
      openTopic: (url) => openTopic(url),
      loadDefinition: options.loads ?? (async () => options.definition ?? queryStats()),
      addresses: async (serverId) => ({
        flavour: this.server.flavour,
        connect: { ...this.server.config, ...options.addresses?.(serverId) },
      }),
      config: { ...smallConsumer, ...options.config },
      ...(options.failpoints === undefined ? {} : { failpoints: options.failpoints }),
      rssBytes: () => 0,
    })
    const done = consumer.run(abort.signal)
    const stop = async (): Promise<void> => {
      abort.abort()
      await done
    }
    this.#consumers.push({ stop })
    return { id, stop, done }
  }

  async send(events: readonly QueryEvent[]): Promise<Sent[]> {
    const sent = await this.producer.send(
      events.map((event) => ({
        key: Buffer.from(`${event.db}/${event.fp}`),
        value: Buffer.from(JSON.stringify(event)),
        timestampMs: event.at,
      })),
    )
    const all = events.map((event, i) => ({ ...event, ...(sent[i] as SentRecord) }))
    this.sent.push(...all)
    return all
  }

  reports(branch: string): Promise<FleetReport[]> {
    return listRecords<FleetReport>(this.store, keys.fleetReportsOf(branchKeyspace(this.keyspace, branch))).then((all) =>
      all.map(({ value }) => value),
    )
  }

  async shards(branch: string): Promise<ShardRecord[]> {
    const name = branchKeyspace(this.keyspace, branch)
    const routing = await readRecord<{ v: 1; components: { serving: { primary: string[] } }[] }>(this.store, keys.routing(name))
    const names = routing?.value.components.flatMap(({ serving }) => serving.primary) ?? []
    return Promise.all(names.map(async (shard) => (await readRecord<ShardRecord>(this.store, keys.shard(name, shard)))!.value))
  }

  /** Until every shard's position of every partition stands at the topic's end. */
  async caughtUp(branch: string, limitMs = 60_000, everyMs = 20): Promise<void> {
    const ends = await this.topic.endOffsets()
    await this.until(
      `${branch} caught up`,
      async () => {
        const failed = (await this.reports(branch)).find(
          ({ state, partitions }) => state === 'failed' || partitions.some(({ error }) => error !== null),
        )
        if (failed !== undefined) assert.fail(`the fleet of ${branch} failed: ${JSON.stringify(failed)}`)
        const positions = await this.positions(branch)
        return (await this.shards(branch)).every(({ uid }) =>
          [...ends].every(([partition, end]) => end === 0n || positions.get(`${uid} ${partition}`)?.next === end),
        )
      },
      limitMs,
      everyMs,
    )
  }

  async until(what: string, condition: () => Promise<boolean>, limitMs = 60_000, everyMs = 20): Promise<void> {
    const end = performance.now() + limitMs
    while (!(await condition())) {
      if (performance.now() > end) assert.fail(`no ${what} within ${limitMs} ms`)
      await systemClock.sleep(everyMs)
    }
  }

  async positions(
    branch: string,
  ): Promise<Map<string, { next: bigint; epoch: bigint; start: bigint; taken: bigint; records: bigint; late: bigint; dead: bigint }>> {
    const rows = await this.admin
      .allText(
        `SELECT * FROM _shardwright.ingest_position WHERE branch_id='branch-${branch}' AND shard_uid LIKE '${branchKeyspace(this.keyspace, branch)}/%'`,
      )
      .catch(() => [])
    const n = (text: string | null | undefined): bigint => BigInt(text ?? 0)
    return new Map(
      rows.map((row) => [
        `${row['shard_uid']} ${row['partition_no']}`,
        {
          next: n(row['next_offset']),
          epoch: n(row['epoch']),
          start: n(row['start_offset']),
          taken: n(row['taken']),
          records: n(row['records']),
          late: n(row['late_rows']),
          dead: n(row['dead_records']),
        },
      ]),
    )
  }

  async rows(branch: string, shard: string, sql: string): Promise<Record<string, string | null>[]> {
    return this.admin.allText(sql.replaceAll('{}', this.schema(branch, shard)))
  }

  /** Every event that was sent from `from` on stands in the branch exactly once, on the shard that its key says; and nothing else does. */
  async assertExact(branch: string, events: readonly Sent[] = this.sent): Promise<void> {
    const shards = await this.shards(branch)
    const index = new KeyRangeIndex(shards.map(({ name }) => ({ range: parseKeyRange(name), value: name })))
    const hash = createVindex('hash', 'hash')
    const shardOf = (db: number): string => index.find(hash.map([{ type: 'UINT32', bytes: Buffer.from(String(db)) }])!)!
    const hours = new Map<string, { queries: number; ms: number; records: number; fastest: number; slowest: number; sketch: DDSketch }>()
    const slow = new Set<string>()
    const patterns = new Map<string, { at: number; partition: number; offset: bigint; text: string; slowest: number }>()
    for (const event of events) {
      const { db, fp, at, n, ms, partition, offset, text } = event
      const shard = shardOf(db)
      const hour = `${shard} ${db} ${fp} ${stamp(Math.floor(at / hourMs) * hourMs)}`
      const sum = hours.get(hour) ?? { queries: 0, ms: 0, records: 0, fastest: Infinity, slowest: -Infinity, sketch: new DDSketch() }
      hours.set(hour, sum)
      sum.queries += n
      sum.ms += ms
      sum.records++
      sum.fastest = Math.min(sum.fastest, ms)
      sum.slowest = Math.max(sum.slowest, ms)
      sum.sketch.add(ms)
      if (event.slow === true) slow.add(`${shard} ${db} ${partition} ${offset} ${ms} ${text}`)
      const key = `${shard} ${db} ${fp}`
      const last = patterns.get(key)
      const newer =
        last === undefined ||
        at > last.at ||
        (at === last.at && (partition > last.partition || (partition === last.partition && offset > last.offset)))
      patterns.set(key, { ...(newer ? { at, partition, offset, text } : last), slowest: Math.max(last?.slowest ?? -Infinity, ms) })
    }
    const found = { hours: new Map<string, string>(), slow: new Set<string>(), patterns: new Map<string, string>() }
    for (const { name } of shards) {
      for (const row of await this.rows(branch, name, 'SELECT *, HEX(latency) AS sketch FROM {}.query_hour'))
        found.hours.set(
          `${name} ${row['database_id']} ${row['fingerprint']} ${row['hour']}`,
          `${row['queries']} ${row['cost']} ${row['records']} ${row['fastest']} ${row['slowest']} ${row['sketch']}`,
        )
      for (const row of await this.rows(branch, name, 'SELECT * FROM {}.slow_query'))
        found.slow.add(`${name} ${row['database_id']} ${row['from_partition']} ${row['from_offset']} ${row['ms']} ${row['text']}`)
      for (const row of await this.rows(branch, name, 'SELECT * FROM {}.pattern'))
        found.patterns.set(`${name} ${row['database_id']} ${row['fingerprint']}`, `${row['text']} ${row['slowest']}`)
    }
    const cost = (sum: { ms: number; records: number }): string => `${sum.ms}.${String(sum.records).padStart(6, '0')}`
    const expected = new Map(
      [...hours].map(([key, s]) => [
        key,
        `${s.queries} ${cost(s)} ${s.records} ${s.fastest} ${s.slowest} ${s.sketch.encode().toString('hex').toUpperCase()}`,
      ]),
    )
    const sorted = <V>(map: Map<string, V>): [string, V][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
    assert.deepEqual(sorted(found.hours), sorted(expected))
    assert.deepEqual([...found.slow].sort(), [...slow].sort())
    assert.deepEqual(sorted(found.patterns), sorted(new Map([...patterns].map(([key, p]) => [key, `${p.text} ${p.slowest}`]))))
  }
}

function stamp(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
}
