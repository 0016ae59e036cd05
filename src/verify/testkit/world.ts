/** Shards on real servers with a real mover and verifier over a topology in memory, for tests of comparisons. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { serverPair, type ServerPair, type ServerPairs } from '../../../test/kit/server-pairs.ts'
import type { TestServer } from '../../../test/kit/servers.ts'
import { systemClock } from '../../base/clock.ts'
import { silentLog, type Log } from '../../base/log.ts'
import { keyRangesIntersect, parseKeyRange } from '../../keyspace/key-range.ts'
import type { Addresses } from '../../move/access.ts'
import { Mover } from '../../move/mover.ts'
import { createTargetTables } from '../../move/schema-copy.ts'
import { ensureMoveTables } from '../../move/tables.ts'
import { connect } from '../../mysql/connect.ts'
import type { Connection } from '../../mysql/connection.ts'
import { quoteIdentifier } from '../../sql/quote.ts'
import { keys } from '../../topology/keys.ts'
import { MemoryStore } from '../../topology/memory.ts'
import type { RoutingRecord, ShardRef, StreamRecord, StreamReport, StreamTable, VdiffRecord, VdiffReport } from '../../topology/records.ts'
import { put, readRecord } from '../../topology/typed.ts'
import { Verifier } from '../verifier.ts'

export type TestTable = { name: string; ddl: string; shardKey: string | null }

export const itemTable: TestTable = {
  name: 'item',
  shardKey: 'owner',
  ddl: `CREATE TABLE item (id BIGINT NOT NULL PRIMARY KEY, owner INT NOT NULL, a VARCHAR(40) NULL, b VARCHAR(40) NULL, n INT NULL, KEY n (n)) DEFAULT CHARSET=utf8mb4`,
}

export type WorldOptions = {
  flavour: 'mariadb' | 'mysql'
  sources: string[]
  targets: string[]
  tables?: TestTable[]
  /** How schemas are called; by their side and shard unless said. */
  schemaOf?: (side: 's' | 't', shard: string) => string
  log?: Log
  bufferPoolMb?: number
  workers?: number
  restMs?: number
  onDdl?: StreamRecord['options']['onDdl']
}

export type AskedVdiff = { repair?: boolean; tables?: string[]; shards?: string[]; continuous?: boolean }

export class VerifyWorld implements AsyncDisposable {
  readonly options: WorldOptions
  readonly tables: readonly TestTable[]
  readonly source: TestServer
  readonly target: TestServer
  readonly s: Connection
  readonly t: Connection
  readonly store = new MemoryStore()
  readonly sources: ShardRef[]
  readonly targets: ShardRef[]
  readonly addresses: Addresses
  #ownsServers = true
  #running: { abort: AbortController; done: Promise<unknown> }[] = []

  constructor(options: WorldOptions, source: TestServer, target: TestServer, s: Connection, t: Connection) {
    this.options = options
    this.tables = options.tables ?? [itemTable]
    this.source = source
    this.target = target
    this.s = s
    this.t = t
    const { schemaOf = (side, shard) => `${side}_${shard.replace('-', '_')}` } = options
    const ref =
      (side: 's' | 't', serverId: string) =>
      (shard: string): ShardRef => ({ shard, uid: `${side}${shard}`, serverId, schema: schemaOf(side, shard) })
    this.sources = options.sources.map(ref('s', 'source'))
    this.targets = options.targets.map(ref('t', 'target'))
    this.addresses = async (id) => {
      const { flavour, config } = id === 'source' ? source : target
      return { id, name: id, flavour, connect: config }
    }
  }

  /** On `pairs`, emptied, or on servers that hold nothing yet, where they are given; else on servers of its own. */
  static async create(options: WorldOptions, pairs?: ServerPairs | ServerPair): Promise<VerifyWorld> {
    const { flavour, bufferPoolMb } = options
    const given = pairs === undefined || 'source' in pairs ? pairs : pairs.emptied(flavour)
    const { source, target } = await (given ?? serverPair(flavour, bufferPoolMb))
    const [s, t] = await Promise.all([connect(source.config), connect(target.config)])
    const world = new VerifyWorld(options, source, target, s, t)
    world.#ownsServers = pairs === undefined
    for (const [conn, refs] of [
      [s, world.sources],
      [t, world.targets],
    ] as const) {
      await ensureMoveTables(conn)
      for (const { schema } of refs) await conn.query(`CREATE DATABASE ${quoteIdentifier(schema)} DEFAULT CHARACTER SET utf8mb4`)
    }
    for (const { schema } of world.sources) {
      await s.useDatabase(schema)
      for (const { ddl } of world.tables) await s.query(ddl)
    }
    return world
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopMovers()
    this.s.destroy()
    this.t.destroy()
    if (this.#ownsServers) await Promise.all([this.source[Symbol.asyncDispose](), this.target[Symbol.asyncDispose]()])
    await this.store[Symbol.asyncDispose]()
  }

  /** Makes the targets' tables, writes the records, starts a mover with its verifier, and waits until the streams follow. */
  async start(): Promise<void> {
    for (const target of this.targets) {
      await createTargetTables({
        source: { conn: this.s, schema: this.sources[0]!.schema },
        target: { conn: this.t, schema: target.schema, uid: target.uid, name: target.shard },
        workflowUid: 'flow',
        tables: this.tables.map(({ name }) => name),
        deferSecondaryKeys: true,
      })
    }
    const routing: RoutingRecord = {
      v: 1,
      token: 1,
      components: [
        {
          range: '-',
          workflow: 'flow',
          epoch: 1,
          serving: { primary: this.sources.map(({ shard }) => shard), replica: [] },
          other: this.targets.map(({ shard }) => shard),
          phase: 'stable',
          to: null,
          hold: null,
          retired: false,
        },
      ],
    }
    await this.store.commit(
      [],
      [put(keys.routing('app'), routing), ...this.streams().map((stream) => put(keys.stream('flow', stream.uid), stream))],
    )
    this.startMover('mover-1')
    await this.untilRunning()
  }

  streams(): StreamRecord[] {
    const tables = this.tables.map(({ name, shardKey }): StreamTable => ({
      name,
      reference: shardKey === null,
      vindex: shardKey === null ? null : { type: 'hash', params: {}, columns: [shardKey] },
    }))
    const references = tables.some(({ reference }) => reference)
    return this.sources.map((source, i): StreamRecord => ({
      v: 1,
      uid: `flow-${i}`,
      workflowUid: 'flow',
      workflow: 'flow',
      keyspace: 'app',
      direction: 'forward',
      wanted: 'running',
      generation: 1,
      source,
      targets: this.targets.filter(
        ({ shard }) => (i === 0 && references) || keyRangesIntersect(parseKeyRange(source.shard), parseKeyRange(shard)),
      ),
      tables,
      movesReference: i === 0,
      copy: 'full',
      options: {
        onDdl: this.options.onDdl ?? 'stop',
        deferSecondaryKeys: true,
        stopAfterCopy: false,
        copyBytesPerSecondMax: null,
        failpoints: {},
      },
    }))
  }

  startMover(id: string): void {
    const abort = new AbortController()
    const { store, addresses } = this
    const log = this.options.log ?? silentLog
    const mover = new Mover({ store, id, pid: 1, clock: systemClock, log, addresses, rssBytes: () => 0, kill: () => undefined })
    const { workers, restMs = 100 } = this.options
    const verifier = new Verifier({ store, id, clock: systemClock, log, addresses, restMs, ...(workers === undefined ? {} : { workers }) })
    this.#running.push({ abort, done: Promise.all([mover.run(abort.signal), verifier.run(abort.signal)]) })
  }

  async stopMovers(): Promise<void> {
    for (const { abort } of this.#running) abort.abort()
    await Promise.all(this.#running.map(({ done }) => done))
    this.#running = []
  }

  async untilRunning(): Promise<void> {
    for (const { uid } of this.streams()) {
      await this.until(`stream ${uid} running`, async () => {
        const report = (await readRecord<StreamReport>(this.store, keys.report('flow', uid)))?.value
        assert.notEqual(report?.state, 'failed', JSON.stringify(report?.error))
        return report?.state === 'running'
      })
    }
  }

  async until(what: string, holds: () => Promise<boolean>, limitMs = 60_000): Promise<void> {
    const endMs = performance.now() + limitMs
    while (!(await holds())) {
      if (performance.now() > endMs) assert.fail(`no ${what} within ${limitMs} ms`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** Asks for a comparison and waits for its end. */
  async vdiff(options: AskedVdiff = {}): Promise<VdiffReport> {
    const uid = await this.askVdiff(options)
    return this.vdiffEnded(uid)
  }

  async askVdiff(options: AskedVdiff = {}): Promise<string> {
    const record: VdiffRecord = {
      v: 1,
      uid: randomUUID(),
      workflowUid: 'flow',
      wanted: 'running',
      tables: options.tables ?? null,
      requestedAtMs: Date.now(),
      repair: options.repair ?? false,
      ...(options.continuous === true ? { continuous: true } : {}),
      ...(options.shards === undefined ? {} : { shards: options.shards }),
    }
    await this.store.commit([], [put(keys.vdiff('flow', record.uid), record)])
    return record.uid
  }

  async report(uid: string): Promise<VdiffReport | undefined> {
    return (await readRecord<VdiffReport>(this.store, keys.vdiffReport('flow', uid)))?.value
  }

  async vdiffEnded(uid: string): Promise<VdiffReport> {
    await this.until('end of the vdiff', async () => ((await this.report(uid))?.endedAtMs ?? null) !== null)
    const report = await this.report(uid)
    assert.ok(report !== undefined)
    return report
  }

  /** `schema`.`table` of a shard. */
  on(refs: readonly ShardRef[], shard: string, table: string): string {
    return `${quoteIdentifier(refs.find((ref) => ref.shard === shard)!.schema)}.${quoteIdentifier(table)}`
  }

  /** The shard of the targets on which a row stands. */
  async shardOf(table: string, where: string): Promise<string> {
    for (const { shard } of this.targets)
      if (Number(await this.t.value(`SELECT COUNT(*) FROM ${this.on(this.targets, shard, table)} WHERE ${where}`)) > 0) return shard
    return assert.fail(`no target has ${where}`)
  }
}

/** Counts of a report's table, for comparing. */
export function counts(report: VdiffReport, table = 'item'): { missing: number; extra: number; misplaced: number; different: number } {
  assert.equal(report.error, null, JSON.stringify(report.error))
  const found = report.tables.find(({ name }) => name === table)
  assert.ok(found !== undefined, `table ${table} was not compared`)
  const { missing, extra, misplaced, different } = found
  return { missing, extra, misplaced, different }
}
