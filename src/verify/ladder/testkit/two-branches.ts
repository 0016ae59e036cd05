/**
 * Two branches of one keyspace on one real server, filled by real consumers from one embedded log: what the rungs of the ladder are run on, and
 * harmed in. Event time is the test's own: a bucket is a second of it.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testServer } from '../../../../test/kit/servers.ts'
import type { TestServer } from '../../../../test/kit/servers.ts'
import { systemClock } from '../../../base/clock.ts'
import { silentLog } from '../../../base/log.ts'
import { ensureControlSchema } from '../../../binlog/control-schema.ts'
import { Consumer } from '../../../ingest/consumer.ts'
import { defineTopic } from '../../../ingest/definition.ts'
import { ensureIngestTables } from '../../../ingest/tables.ts'
import { connect } from '../../../mysql/connect.ts'
import type { Connection } from '../../../mysql/connection.ts'
import { createTopic, openProducer, openTopic } from '../../../topic/open.ts'
import type { TopicProducer } from '../../../topic/topic.ts'
import { branchKeyspace } from '../../../topology/dualwrite-records.ts'
import type { FleetRecord } from '../../../topology/dualwrite-records.ts'
import { keys } from '../../../topology/keys.ts'
import { MemoryStore } from '../../../topology/memory.ts'
import type { KeyspaceRecord, ServerRecord, ServerSecret, ShardRecord, VSchemaRecord } from '../../../topology/records.ts'
import { initialRouting } from '../../../topology/routing.ts'
import { put, updateRecord } from '../../../topology/typed.ts'
import type { Evidence, Rung } from '../evidence.ts'
import { runRung } from '../ladder.ts'
import { withLadder } from '../open.ts'
import type { LadderOptions, LadderWorld } from '../world.ts'

export const partitions = 3
export const tenants = 40

type Event = { tenant: number; print: number; atMs: number; ms: number; rows: number }

export const definition = defineTopic({
  topic: 'statistics',
  version: 1,
  decode: (record): Event | null => (record.value === null ? null : (JSON.parse(record.value.toString()) as Event)),
  eventTime: (event) => event.atMs,
  tables: {
    hourly: {
      kind: 'coalesced',
      shardKey: ['tenant'],
      key: ['tenant', 'print', 'bucket'],
      bucket: { column: 'bucket', everyMs: 1000 },
      retentionMs: 3_600_000,
      columns: {
        tenant: { merge: 'key' },
        print: { merge: 'key' },
        bucket: { merge: 'key' },
        calls: { merge: 'count' },
        total_rows: { merge: 'sum' },
        slowest: { merge: 'max' },
        times: { merge: 'sketch' },
      },
      map: (event: Event) => ({ tenant: event.tenant, print: event.print, total_rows: event.rows, slowest: event.ms, times: event.ms }),
    },
    slow: {
      kind: 'row',
      shardKey: ['tenant'],
      key: ['tenant', 'part', 'at_offset'],
      bucket: { column: 'at', everyMs: 1000 },
      retentionMs: 3_600_000,
      columns: {
        tenant: { merge: 'key' },
        part: { merge: 'key', from: 'partition' },
        at_offset: { merge: 'key', from: 'offset' },
        at: { merge: 'value' },
        ms: { merge: 'value' },
        // Two charsets in one row, which a server refuses to mix (1271) unless they are read as bytes.
        code: { merge: 'value' },
        label: { merge: 'value' },
      },
      map: (event: Event) =>
        event.ms < 50 ? [] : { tenant: event.tenant, ms: event.ms, code: `c${event.print}`, label: `größe ${event.ms}` },
    },
  },
})

const ddl = [
  `CREATE TABLE hourly (tenant BIGINT NOT NULL, print INT NOT NULL, bucket DATETIME(3) NOT NULL, calls BIGINT NOT NULL, total_rows BIGINT NOT NULL,
    slowest INT NOT NULL, times MEDIUMBLOB NOT NULL, PRIMARY KEY (tenant, print, bucket))`,
  `CREATE TABLE slow (tenant BIGINT NOT NULL, part INT NOT NULL, at_offset BIGINT NOT NULL, at DATETIME(3) NOT NULL, ms INT NOT NULL,
    code CHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, label VARCHAR(40) CHARACTER SET utf8mb4 NULL,
    PRIMARY KEY (tenant, part, at_offset))`,
]

const eventTimeStart = Date.UTC(2026, 0, 1)

export class TwoBranches implements AsyncDisposable {
  readonly store = new MemoryStore()
  readonly server: TestServer
  readonly sql: Connection
  readonly dir: string
  readonly producer: TopicProducer
  readonly #running = new Map<string, { stop: AbortController; done: Promise<void> }>()
  #clockMs = 0

  constructor(server: TestServer, sql: Connection, dir: string, producer: TopicProducer) {
    this.server = server
    this.sql = sql
    this.dir = dir
    this.producer = producer
  }

  /** `newFrom`: where the new branch's fleet starts; `harm`: what is done to its records before it begins. */
  static async create(options: { flavour: 'mariadb' | 'mysql' }): Promise<TwoBranches> {
    const server = await testServer({ flavour: options.flavour, bufferPoolMb: 64 })
    const sql = await connect(server.config)
    const dir = mkdtempSync(join(tmpdir(), 'sw-ladder-'))
    const url = `log://${dir}/statistics`
    await createTopic(url, { partitions })
    const world = new TwoBranches(server, sql, dir, await openProducer(url))
    await world.#records(url)
    return world
  }

  get url(): string {
    return `log://${this.dir}/statistics`
  }

  async #records(url: string): Promise<void> {
    const { store, sql, server } = this
    await using topic = await openTopic(url)
    await ensureControlSchema(sql)
    await ensureIngestTables(sql)
    const account = { user: 'root', password: '' }
    const serverRecord: ServerRecord = {
      v: 1,
      id: 's1',
      flavour: server.flavour,
      version: server.version,
      host: server.host,
      port: server.port,
      socketPath: null,
      provisioned: true,
      dataDir: server.dir,
    }
    await store.commit(
      [],
      [
        put(keys.server('s1'), serverRecord),
        put<ServerSecret>(keys.secret('s1'), { v: 1, admin: account, mover: account, gate: account }),
        put<VSchemaRecord>(keys.vschema('app'), {
          v: 1,
          vschema: {
            sharded: true,
            vindexes: { hash: { type: 'hash' } },
            tables: Object.fromEntries(['hourly', 'slow'].map((name) => [name, { columnVindexes: [{ column: 'tenant', name: 'hash' }] }])),
          },
        }),
      ],
    )
    for (const [branch, shards] of [
      ['main', ['-80', '80-']],
      ['wide', ['-40', '40-80', '80-c0', 'c0-']],
    ] as const) {
      const keyspace = branchKeyspace('app', branch)
      const record: KeyspaceRecord = {
        v: 1,
        name: keyspace,
        uid: `${branch}-uid`,
        sharded: true,
        allowUnfenced: [],
        transactionMode: 'multi',
        ...(branch === 'main' ? {} : { branchOf: 'app', branch }),
      }
      await store.commit([], [put(keys.keyspace(keyspace), record), put(keys.routing(keyspace), initialRouting(shards))])
      for (const name of shards) {
        const schema = schemaOf(branch, name)
        await sql.query(`CREATE DATABASE \`${schema}\` DEFAULT CHARACTER SET utf8mb4`)
        await sql.query(`USE \`${schema}\``)
        for (const statement of ddl) await sql.query(statement)
        const shard: ShardRecord = {
          v: 1,
          keyspace,
          name,
          uid: `${branch}:${name}`,
          serverId: 's1',
          schema,
          madeBy: null,
          provisioned: true,
        }
        await store.commit([], [put(keys.shard(keyspace, name), shard)])
      }
      const fleet: FleetRecord = {
        v: 1,
        name: keyspace,
        keyspace: 'app',
        branch,
        branchId: `${branch}-id`,
        definitionPath: 'definition',
        definitionDigest: definition.digest,
        definitionVersion: 1,
        topicUrl: url,
        topicId: topic.id,
        startOffsets: Object.fromEntries(Array.from({ length: partitions }, (_, p) => [String(p), '0'])),
        wanted: 'running',
        generation: 1,
        batchRecordsMax: 200,
        writers: 2,
        consumers: 1,
        holdAt: null,
        madeBy: null,
        purgeHeldUntilMs: 0,
      }
      await store.commit([], [put(keys.fleet(keyspace), fleet)])
    }
  }

  startFleet(branch: 'main' | 'wide'): void {
    const name = branchKeyspace('app', branch)
    const stop = new AbortController()
    const consumer = new Consumer({
      store: this.store,
      fleet: name,
      id: `${branch}-c1`,
      pid: process.pid,
      clock: systemClock,
      log: silentLog,
      openTopic: (url) => openTopic(url),
      loadDefinition: async () => definition,
      rssBytes: () => 0,
      cpuMs: () => process.cpuUsage().user / 1000,
      config: { reportMs: 100, lazyMs: 100, reconcileMs: 50 },
    })
    this.#running.set(branch, { stop, done: consumer.run(stop.signal) })
  }

  async stopFleets(): Promise<void> {
    for (const { stop } of this.#running.values()) stop.abort(new Error('test ends'))
    await Promise.all([...this.#running.values()].map(({ done }) => done))
    this.#running.clear()
  }

  /** So many records over so many buckets; the partition goes by the tenant, as a key's hash would. */
  async produce(count: number, buckets: number): Promise<void> {
    const records = Array.from({ length: count }, (_, i) => {
      const n = this.#clockMs + i
      const tenant = 1 + ((n * 7919) % tenants)
      const event: Event = {
        tenant,
        print: n % 5,
        atMs: eventTimeStart + this.#clockMs + Math.floor((i * buckets * 1000) / count),
        ms: 1 + ((n * 31) % 97),
        rows: 1 + (n % 11),
      }
      return {
        partition: tenant % partitions,
        key: Buffer.from(String(tenant)),
        value: Buffer.from(JSON.stringify(event)),
        timestampMs: event.atMs,
      }
    })
    for (let at = 0; at < records.length; at += 500) await this.producer.send(records.slice(at, at + 500))
    this.#clockMs += buckets * 1000
  }

  async untilCaughtUp(...branches: ('main' | 'wide')[]): Promise<void> {
    const limit = performance.now() + 60_000
    await using topic = await openTopic(this.url)
    for (;;) {
      const ends = await topic.endOffsets()
      const rows = await this.sql.allText('SELECT branch_id, shard_uid, partition_no, next_offset FROM _shardwright.ingest_position')
      const behind = branches.filter((branch) => {
        const mine = rows.filter((row) => row['branch_id'] === `${branch}-id`)
        const shards = branch === 'main' ? 2 : 4
        return (
          mine.length < shards * partitions ||
          mine.some((row) => BigInt(row['next_offset'] ?? 0) < (ends.get(Number(row['partition_no'])) ?? 0n))
        )
      })
      if (behind.length === 0) return
      if (performance.now() > limit) assert.fail(`${behind.join(', ')} did not catch up: ${JSON.stringify(await this.#reports())}`)
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
  }

  async #reports(): Promise<unknown> {
    return [...(await this.store.list('fleet-reports/')).entries.values()].map((entry) => (entry.value as { error: unknown }).error)
  }

  async fleet(branch: 'main' | 'wide', change: Partial<FleetRecord>): Promise<void> {
    await updateRecord<FleetRecord>(this.store, keys.fleet(branchKeyspace('app', branch)), (fleet) =>
      fleet === null ? null : { ...fleet, ...change },
    )
  }

  async rung(rung: Rung, options: Partial<LadderOptions> = {}): Promise<Evidence> {
    return this.ladder((world) => runRung(rung, world), options)
  }

  async ladder<T>(work: (world: LadderWorld) => Promise<T>, options: Partial<LadderOptions> = {}): Promise<T> {
    return withLadder(
      {
        store: this.store,
        clock: systemClock,
        log: silentLog,
        signal: new AbortController().signal,
        keyspace: 'app',
        branch: 'wide',
        workflowUid: 'w',
        holder: 'a test',
        planVersion: 1,
        definitionDigest: definition.digest,
        loadDefinition: async () => definition,
        throughGate: false,
        options,
      },
      work,
    )
  }

  /** `schema`.`table` of a shard of a branch. */
  at(branch: 'main' | 'wide', shard: string, table: string): string {
    return `\`${schemaOf(branch, shard)}\`.\`${table}\``
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopFleets()
    await this.producer.close()
    this.sql.destroy()
    await this.server[Symbol.asyncDispose]()
    await this.store[Symbol.asyncDispose]()
    rmSync(this.dir, { recursive: true, force: true })
  }
}

function schemaOf(branch: string, shard: string): string {
  return `${branch}_${shard.replace('-', '_')}`
}
