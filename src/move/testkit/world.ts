/**
 * Shards on real servers for tests of the streams: sources on one server, targets on another, a table or more, a random workload that does what hurts
 * (unique values that wander, keys and shard keys that change, rows that move between sources), and the comparison of both sides by reading them.
 */
import assert from 'node:assert/strict'
import { systemClock, type Clock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { bumpControlMarker, ensureControlSchema } from '../../binlog/control-schema.ts'
import { KeyRangeIndex } from '../../keyspace/key-range-index.ts'
import { parseKeyRange } from '../../keyspace/key-range.ts'
import { createVindex } from '../../keyspace/vindexes/create.ts'
import { connect } from '../../mysql/connect.ts'
import type { Connection } from '../../mysql/connection.ts'
import { isServerError } from '../../mysql/errors.ts'
import { quoteIdentifier } from '../../sql/quote.ts'
import type { PaceLimits, ShardRef, StreamRecord, StreamReport, StreamTable } from '../../topology/records.ts'
import { serverPair, type ServerPair } from '../../../test/kit/server-pairs.ts'
import type { TestServer, TestServerOptions } from '../../../test/kit/servers.ts'
import type { MoverConfig } from '../config.ts'
import { noFailpoints, type Failpoints } from '../crash-points.ts'
import { TargetShare } from '../exclusion.ts'
import { MemoryShares } from '../memory-shares.ts'
import { Stream } from '../stream.ts'
import { smallConfig } from './small-config.ts'

export type WorldOptions = {
  flavour: 'mariadb' | 'mysql'
  sources: string[]
  targets: string[]
  tables?: WorldTable[]
  /** Of both servers. */
  settings?: TestServerOptions['extra']
}

/** `vindex`: of a shard key that is text; a number's is `hash`. */
export type WorldTable = { name: string; ddl: string; shardKey: string | null; vindex?: string }

export const itemTable = {
  name: 'item',
  shardKey: 'owner',
  ddl: `CREATE TABLE item (id BIGINT NOT NULL, owner INT NOT NULL, u INT NULL, name VARCHAR(30) CHARACTER SET utf8mb4 NOT NULL, v INT NOT NULL,
    PRIMARY KEY (id), UNIQUE KEY u (u), KEY v (v))`,
}

let count = 0

export class World implements AsyncDisposable {
  readonly options: WorldOptions
  readonly source: TestServer
  readonly target: TestServer
  s: Connection
  t: Connection
  readonly tables: WorldTable[]
  readonly prefix: string
  readonly sourceRefs: ShardRef[]
  readonly targetRefs: ShardRef[]
  readonly shares = new Map<string, TargetShare>()
  reports = new Map<string, StreamReport>()
  /** Of streams that began again by themselves, and why. */
  restarts: StreamReport[] = []
  #onReport: (() => void)[] = []
  readonly #ownsServers: boolean

  constructor(options: WorldOptions, servers: { source: TestServer; target: TestServer; s: Connection; t: Connection; owns: boolean }) {
    this.options = options
    this.source = servers.source
    this.target = servers.target
    this.s = servers.s
    this.t = servers.t
    this.#ownsServers = servers.owns
    this.tables = options.tables ?? [itemTable]
    this.prefix = `w${++count}`
    const ref =
      (side: string, serverId: string) =>
      (shard: string): ShardRef => ({
        shard,
        uid: `${this.prefix}-${side}${shard}`,
        serverId,
        schema: `${this.prefix}_${side}_${shard.replace('-', '_')}`,
      })
    this.sourceRefs = options.sources.map(ref('s', 'source'))
    this.targetRefs = options.targets.map(ref('t', 'target'))
  }

  static async create(options: WorldOptions, on?: ServerPair | Promise<ServerPair>): Promise<World> {
    const { source, target } = await (on ?? serverPair(options.flavour, undefined, options.settings))
    const s = await connect(source.config)
    const t = await connect(target.config)
    const world = new World(options, { source, target, s, t, owns: on === undefined })
    await ensureControlSchema(s)
    for (const { schema } of world.sourceRefs) {
      await s.query(`CREATE DATABASE ${quoteIdentifier(schema)}`)
      await s.useDatabase(schema)
      for (const { ddl } of world.tables) await s.query(ddl)
    }
    for (const { schema } of world.targetRefs) await t.query(`CREATE DATABASE ${quoteIdentifier(schema)}`)
    return world
  }

  readonly #streams: (() => Promise<void>)[] = []

  /** Kills a server and starts it again; connections of this world to it are new afterwards. */
  async kill9(side: 'source' | 'target'): Promise<void> {
    await this[side].kill9()
    await this[side].restart()
    const conn = await connect(this[side].config)
    if (side === 'source') this.s = conn
    else this.t = conn
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#streams) await stop()
    this.s.destroy()
    this.t.destroy()
    if (this.#ownsServers) await Promise.all([this.source[Symbol.asyncDispose](), this.target[Symbol.asyncDispose]()])
  }

  streamTables(): StreamTable[] {
    return this.tables.map(({ name, shardKey, vindex }) => ({
      name,
      reference: shardKey === null,
      vindex: shardKey === null ? null : { type: vindex ?? 'hash', params: {}, columns: [shardKey] },
    }))
  }

  record(source: number, change: Partial<StreamRecord> = {}): StreamRecord {
    const from = this.sourceRefs[source]!
    const range = parseKeyRange(from.shard)
    return {
      v: 1,
      uid: `${this.prefix}-stream${source}`,
      workflowUid: `${this.prefix}-flow`,
      workflow: 'flow',
      keyspace: 'app',
      direction: 'forward',
      wanted: 'running',
      generation: 1,
      source: from,
      targets: this.targetRefs.filter(({ shard }) => overlaps(range, parseKeyRange(shard))),
      tables: this.streamTables(),
      movesReference: source === 0,
      copy: 'full',
      options: { onDdl: 'stop', deferSecondaryKeys: true, stopAfterCopy: false, copyBytesPerSecondMax: null, failpoints: {} },
      ...change,
    }
  }

  /** A stream in this process. Streams of one world share their targets' locks as one mover's do. */
  start(
    record: StreamRecord,
    options: {
      config?: Partial<MoverConfig>
      /** With other streams, as of one mover. */
      memory?: MemoryShares
      pace?: () => Partial<PaceLimits>
      /** Of the source, by the ids that they are asked by. */
      replicas?: Readonly<Record<string, TestServer>>
      failpoints?: Failpoints
      shares?: ReadonlyMap<string, TargetShare>
      clock?: Clock
      copyBefore?: StreamReport['copy']
    } = {},
  ): Running {
    const shares = options.shares ?? this.sharesOf([record])
    const config = { ...smallConfig, ...options.config }
    const stream = new Stream({
      record,
      mover: 'test',
      copyBefore: options.copyBefore ?? null,
      mergeWriter: null,
      clock: options.clock ?? systemClock,
      log: silentLog,
      config,
      memory: options.memory ?? new MemoryShares(config),
      pace: options.pace ?? (() => ({})),
      replicas: async () => Object.keys(options.replicas ?? {}),
      failpoints: options.failpoints ?? noFailpoints,
      shares,
      addresses: async (id) => {
        const server = options.replicas?.[id] ?? (id === 'source' ? this.source : this.target)
        return { id, name: id, flavour: server.flavour, connect: server.config }
      },
      onReport: (made) => {
        const report = made()
        this.reports.set(record.uid, report)
        if (report.state === 'starting' && report.waiting?.reason === 'retry') this.restarts.push(report)
        for (const wake of this.#onReport.splice(0)) wake()
      },
    })
    const abort = new AbortController()
    const done = stream.run(abort.signal)
    this.#streams.push(async () => (abort.abort(), await done))
    return { stream, done, stop: async () => (abort.abort(), await done) }
  }

  sharesOf(records: readonly StreamRecord[]): Map<string, TargetShare> {
    const shares = new Map<string, TargetShare>()
    for (const { uid } of [...this.targetRefs, ...this.sourceRefs]) {
      shares.set(
        uid,
        new TargetShare(
          new Set(
            records
              .filter((record) => record.copy === 'full' && record.targets.some((target) => target.uid === uid))
              .map((record) => record.uid),
          ),
        ),
      )
    }
    return shares
  }

  /** Waits for reports until the condition holds; fails with the last report. */
  async until(what: string, condition: () => boolean, limitMs = 90_000): Promise<void> {
    const end = performance.now() + limitMs
    while (!condition()) {
      if (performance.now() > end)
        assert.fail(`no ${what} within ${limitMs} ms; last reports: ${JSON.stringify([...this.reports.values()], null, 1)}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100)
        this.#onReport.push(() => (clearTimeout(timer), resolve()))
      })
    }
  }

  state(uid: string): string | undefined {
    return this.reports.get(uid)?.state
  }

  async untilRunning(...uids: string[]): Promise<void> {
    await this.until('running stream', () => uids.every((uid) => this.state(uid) === 'running' || this.failIfFailed(uid)))
  }

  failIfFailed(uid: string): boolean {
    const report = this.reports.get(uid)
    if (report?.state === 'failed') assert.fail(`stream ${uid} failed: ${JSON.stringify(report.error)}`)
    return false
  }

  /** A control marker on the source, and the wait until every stream's targets have applied it: everything written before is there then. */
  async drain(...uids: string[]): Promise<void> {
    const number = await bumpControlMarker(this.s)
    await this.until(`marker ${number}`, () =>
      uids.every((uid) => {
        this.failIfFailed(uid)
        return this.reports.get(uid)?.targets.every((target) => target.controlMarker >= number) === true
      }),
    )
  }

  /** Every row of the sources stands on the target that its shard key says, once, alike; and nothing else does. */
  async assertEqual(as: RowsAs = 'whole'): Promise<number> {
    // A server that came back numbers its sessions from the beginning, and who resumes a stream there ends those of its account that it had before: here that is ours.
    if (!this.s.open) this.s = await connect(this.source.config)
    if (!this.t.open) this.t = await connect(this.target.config)
    let rows = 0
    const index = new KeyRangeIndex(this.targetRefs.map(({ shard }, value) => ({ range: parseKeyRange(shard), value })))
    for (const { name, shardKey, vindex: type } of this.tables) {
      const vindex = createVindex(type ?? 'hash', name)
      const expected = this.targetRefs.map(() => new Map<string, string>())
      for (const { schema } of this.sourceRefs.slice(0, shardKey === null ? 1 : undefined)) {
        for (const row of await readRows(this.s, schema, name, shardKey, as)) {
          rows++
          if (shardKey === null) {
            for (const map of expected) map.set(row.text, row.text)
            continue
          }
          const id = vindex.map([{ type: type === undefined ? 'INT64' : 'VARCHAR', bytes: Buffer.from(row.shardKey ?? '') }])
          expected[index.find(id!)!]!.set(row.text, row.text)
        }
      }
      for (const [i, { schema, shard }] of this.targetRefs.entries()) {
        const found = (await readRows(this.t, schema, name, null, as)).map(({ text }) => text)
        const there = new Set(found)
        const missing = [...expected[i]!.keys()].filter((text) => !there.has(text))
        const extra = found.filter((text) => !expected[i]!.has(text))
        assert.deepEqual(
          { shard, missing: missing.slice(0, 5), extra: extra.slice(0, 5), doubles: found.length - there.size },
          { shard, missing: [], extra: [], doubles: 0 },
        )
      }
    }
    return rows
  }
}

export type Running = { stream: Stream; done: Promise<void>; stop: () => Promise<void> }

/** Rows whose hexadecimal digits are too many to be read are compared by the servers' own digests of them. */
export type RowsAs = 'whole' | 'digests'

async function readRows(
  conn: Connection,
  schema: string,
  table: string,
  shardKey: string | null,
  as: RowsAs,
): Promise<{ text: string; shardKey: string | null }[]> {
  const columns = await conn.allText(
    `SELECT COLUMN_NAME c, DATA_TYPE t FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '${schema}' AND TABLE_NAME = '${table}' ORDER BY ORDINAL_POSITION`,
  )
  const list = columns.map((row) => `IFNULL(HEX(${exactly(quoteIdentifier(row.c!), row.t!)}), 'null')`).join(`, ',', `)
  const rows = await conn.allText(
    `SELECT ${as === 'whole' ? `CONCAT(${list})` : `SHA2(CONCAT(${list}), 512)`} AS r${shardKey === null ? '' : `, ${quoteIdentifier(shardKey)} AS k`} FROM ${quoteIdentifier(schema)}.${quoteIdentifier(table)}`,
  )
  return rows.map((row) => ({ text: row.r!, shardKey: row.k ?? null }))
}

/** HEX makes a whole number of each number, and a FLOAT's own text has six digits. */
function exactly(column: string, type: string): string {
  if (type === 'decimal') return `CAST(${column} AS CHAR)`
  return type === 'float' || type === 'double' ? `CAST(${column} * 1e0 AS CHAR)` : column
}

function overlaps(a: ReturnType<typeof parseKeyRange>, b: ReturnType<typeof parseKeyRange>): boolean {
  const before = (end: Uint8Array, start: Uint8Array): boolean =>
    end.length > 0 && Buffer.compare(Buffer.from(end), Buffer.from(start)) <= 0
  return !before(a.end, b.start) && !before(b.end, a.start)
}

/** Numbers from a seed: a failing run is repeated by it. */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Writes to the `item` table of one source as an application does, until stopped. Statements that the server refuses are rolled back. */
export function workload(
  world: World,
  source: number,
  seed: number,
  options: { ids: number; uniques: number; pauseMs?: number },
): { stop: () => Promise<number> } {
  let stopped = false
  let transactions = 0
  const pick = random(seed)
  const schema = world.sourceRefs[source]!.schema
  const work = async (): Promise<void> => {
    const conn = await connect({ ...world.source.config, database: schema })
    try {
      while (!stopped) {
        try {
          await conn.query('BEGIN')
          for (let n = 1 + pick(4); n > 0; n--) await conn.query(randomStatement(pick, options))
          await conn.query(pick(10) === 0 ? 'ROLLBACK' : 'COMMIT')
          transactions++
        } catch (error) {
          if (!isServerError(error)) throw error
          await conn.query('ROLLBACK')
        }
        if (options.pauseMs !== undefined) await systemClock.sleep(options.pauseMs)
      }
    } finally {
      conn.destroy()
    }
  }
  const done = Promise.all([work(), work()])
  return { stop: async () => ((stopped = true), await done, transactions) }
}

function randomStatement(pick: (below: number) => number, { ids, uniques }: { ids: number; uniques: number }): string {
  const id = pick(ids)
  const u = pick(3) === 0 ? 'NULL' : String(pick(uniques))
  const name = ["'a'", "'A'", "'it''s'", "'\\\\'", "'é€😀'", "''", "'  x '", "'\\n\\0'"][pick(8)]!
  switch (pick(8)) {
    case 0:
      return `DELETE FROM item WHERE id = ${id}`
    case 1:
      return `UPDATE item SET owner = ${pick(1000)} WHERE id = ${id}`
    case 2:
      return `UPDATE item SET id = ${pick(ids)} WHERE id = ${id}`
    case 3:
      return `UPDATE item SET u = ${u}, v = v + 1 WHERE id = ${id}`
    case 4: // The row that holds a value gives it away, and somebody else takes it, in one transaction.
      return `UPDATE item SET u = CASE WHEN u = ${pick(uniques)} THEN NULL ELSE u END, v = v + 1 WHERE id BETWEEN ${id} AND ${id + 5}`
    case 5:
      return `UPDATE item SET v = v + 1, name = ${name} WHERE id BETWEEN ${id} AND ${id + pick(20)}`
    default:
      return `REPLACE INTO item VALUES (${id}, ${pick(1000)}, ${u}, ${name}, ${pick(1_000_000)})`
  }
}

/** First rows. */
export async function fill(world: World, source: number, rows: number, ids: number): Promise<void> {
  const schema = world.sourceRefs[source]!.schema
  await world.s.useDatabase(schema)
  const values = Array.from({ length: rows }, (_, i) => `(${i * Math.floor(ids / rows)}, ${(i * 7919) % 1000}, NULL, 'row ${i}', ${i})`)
  for (let at = 0; at < values.length; at += 1000) await world.s.query(`INSERT INTO item VALUES ${values.slice(at, at + 1000).join(',')}`)
}
