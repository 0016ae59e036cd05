/**
 * A keyspace of one shard on one server (f) and the two shards of a reshard on another (n), or on two (n, m), for the tests of this room. The mover is a
 * stand-in: on each new control marker it makes the targets equal to the source and reports the marker. It is right only because rows stand still when it
 * matters (under the fence); what the real mover does is `move/`'s business and `test/`'s.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import type { Connection } from '../../mysql/connection.ts'
import { keys } from '../../topology/keys.ts'
import { MemoryStore } from '../../topology/memory.ts'
import type {
  Flavour,
  KeyspaceRecord,
  LeaderRecord,
  RoutingRecord,
  ServerRecord,
  ServerSecret,
  ShardRecord,
  StreamRecord,
  StreamReport,
} from '../../topology/records.ts'
import { attachWorkflow, initialRouting } from '../../topology/routing.ts'
import type { Store } from '../../topology/store.ts'
import { listRecords, put, readRecord, recordsOf } from '../../topology/typed.ts'
import { Mover } from '../../move/mover.ts'
import { currentPosition } from '../../binlog/position.ts'
import type { Leadership } from '../../workflow/context.ts'
import type { WorkflowRecord } from '../../workflow/records.ts'
import { attachServer } from '../attach.ts'
import { ClaimPool } from '../claim.ts'
import { noSwitchFailpoint } from '../crash-points.ts'
import type { SwitchFailpoint } from '../crash-points.ts'
import type { SwitchContext } from '../context.ts'
import { closeServer } from '../fence.ts'
import { connectAs, readServerAccess } from '../server-access.ts'
import { TestServer } from './servers.ts'

export const installationId = 'test-installation'
export const old = ['-']
export const fresh = ['-80', '80-']

export type ServerId = 'f' | 'n' | 'm'

const schemaOf = (shard: string): string => `app_${shard.replace('-', '_')}`

export class World {
  readonly store: Store = new MemoryStore()
  readonly f: TestServer
  readonly n: TestServer
  readonly m: TestServer | null
  readonly workflowUid = randomUUID()
  #token = 0
  #mover: FakeMover | null = null
  #pools: ClaimPool[] = []
  #real = false
  #stopReal: (() => Promise<void>) | null = null

  private constructor(f: TestServer, n: TestServer, m: TestServer | null) {
    this.f = f
    this.n = n
    this.m = m
  }

  static async start(flavour: Flavour, mover: 'stand-in' | 'real' = 'stand-in', targetServers: 1 | 2 = 1): Promise<World> {
    const [f, n, m] = await Promise.all([
      TestServer.start(flavour),
      TestServer.start(flavour),
      targetServers === 2 ? TestServer.start(flavour) : null,
    ])
    const world = new World(f, n, m)
    world.#real = mover === 'real'
    await world.#setUp()
    return world
  }

  async #setUp(): Promise<void> {
    for (const id of this.serverIds) {
      const server = this.server(id)
      const shards = [...old, ...fresh].filter((shard) => this.serverOf(shard) === id)
      await using root = await server.root()
      const account = (user: string): { user: string; password: string } => ({ user, password: randomUUID() })
      const secret: ServerSecret = { v: 1, admin: account('sw_admin'), mover: account('sw_mover'), gate: account('sw_gate') }
      const record: ServerRecord = {
        v: 1,
        id,
        flavour: server.flavour,
        version: root.serverVersion,
        host: '127.0.0.1',
        port: server.port,
        socketPath: null,
        provisioned: true,
        dataDir: null,
      }
      await this.store.commit([], [put(keys.server(id), record), put(keys.secret(id), secret)])
      for (const shard of shards) {
        const schema = schemaOf(shard)
        await root.query(`CREATE DATABASE ${schema}`)
        // The real mover makes the targets' tables.
        if (!this.#real || shard === '-')
          await root.query(
            `CREATE TABLE ${schema}.t (id INT NOT NULL PRIMARY KEY, who VARCHAR(40) NOT NULL, n INT NOT NULL DEFAULT 0) ENGINE=InnoDB`,
          )
        const shardRecord: ShardRecord = {
          v: 1,
          keyspace: 'app',
          name: shard,
          uid: `uid${shard}`,
          serverId: id,
          schema,
          madeBy: shard === '-' ? null : this.workflowUid,
          provisioned: true,
        }
        await this.store.commit([], [put(keys.shard('app', shard), shardRecord)])
      }
      await attachServer(root, { serverId: id, installationId, secret, otherAccounts: 'drop' })
      await root.query("CREATE USER app@'%' IDENTIFIED BY 'app'")
      await root.query("GRANT SELECT, INSERT, UPDATE, DELETE, XA_PLACEHOLDER ON *.* TO app@'%'".replace(', XA_PLACEHOLDER', ''))
    }
    const keyspace: KeyspaceRecord = { v: 1, name: 'app', uid: randomUUID(), sharded: true, allowUnfenced: [], transactionMode: 'multi' }
    const workflow: WorkflowRecord = {
      v: 1,
      uid: this.workflowUid,
      keyspace: 'app',
      name: 'w',
      kind: 'reshard',
      state: 'running',
      ended: false,
      spec: null,
      data: null,
      createdAtMs: 0,
      journal: [],
    }
    const routing = attachWorkflow(initialRouting(old), { workflow: 'w', sources: old, targets: fresh, token: 0 })
    if (!routing.ok) throw routing.error
    const ref = (shard: string) => ({ shard, uid: `uid${shard}`, serverId: this.serverOf(shard), schema: schemaOf(shard) })
    const stream: StreamRecord = {
      v: 1,
      uid: 'forward',
      workflowUid: this.workflowUid,
      workflow: 'w',
      keyspace: 'app',
      direction: 'forward',
      wanted: 'running',
      generation: 1,
      source: ref('-'),
      targets: fresh.map(ref),
      tables: [{ name: 't', reference: false, vindex: { type: 'reverse_bits', params: {}, columns: ['id'] } }],
      movesReference: true,
      copy: 'full',
      options: { onDdl: 'stop', deferSecondaryKeys: false, stopAfterCopy: false, copyBytesPerSecondMax: null, failpoints: {} },
    }
    await this.store.commit(
      [],
      [
        put(keys.keyspace('app'), keyspace),
        put(keys.workflow('app', 'w'), workflow),
        put(keys.routing('app'), routing.record),
        put(keys.stream(this.workflowUid, 'forward'), stream),
      ],
    )
    const context = await this.leader()
    // Targets are closed from creation.
    for (const id of this.serverIds.slice(1))
      await context.pool.run(id, (server) => closeServer(server, { allowUnfenced: [] }, systemClock))
    this.startMover()
    const limit = AbortSignal.timeout(10_000)
    for await (const snapshot of this.store.watch(keys.reportsOf(this.workflowUid), limit)) {
      const [report] = recordsOf<StreamReport>(snapshot)
      if (report?.value.state === 'failed') throw new Error(JSON.stringify(report.value.error))
      if (report?.value.state === 'running' && report.value.targets.every((target) => target.lag !== null)) return
    }
    throw new Error('the mover never reported')
  }

  /** A new leader: a larger token, and every commit under an older one's fence fails. */
  async leader(options: { failpoint?: SwitchFailpoint; signal?: AbortSignal } = {}): Promise<SwitchContext> {
    const token = ++this.#token
    const record: LeaderRecord = { v: 1, holder: `h${token}`, token, address: '' }
    const result = await this.store.commit([], [put(keys.leader, record)])
    if (!result.ok) throw new Error('no lead')
    const leadership: Leadership = {
      token,
      fence: { key: keys.leader, version: result.revision },
      signal: options.signal ?? new AbortController().signal,
    }
    const pool = new ClaimPool({ store: this.store, installationId, leadership, clock: systemClock, log: silentLog })
    this.#pools.push(pool)
    return {
      store: this.store,
      leadership,
      pool,
      clock: systemClock,
      log: silentLog,
      readPosition: currentPosition,
      failpoint: options.failpoint ?? noSwitchFailpoint,
    }
  }

  startMover(): void {
    if (this.#real) return this.#startReal()
    this.#mover = new FakeMover(this.store, this.workflowUid)
  }

  #startReal(): void {
    const stop = new AbortController()
    const mover = new Mover({
      store: this.store,
      id: randomUUID(),
      pid: process.pid,
      clock: systemClock,
      log: silentLog,
      rssBytes: () => 0,
      kill: () => undefined,
    })
    const done = mover.run(stop.signal)
    this.#stopReal = async () => {
      stop.abort()
      await done
    }
  }

  async stopMover(): Promise<void> {
    await this.#stopReal?.()
    this.#stopReal = null
    await this.#mover?.stop()
    this.#mover = null
  }

  async routing(): Promise<RoutingRecord> {
    const record = await readRecord<RoutingRecord>(this.store, keys.routing('app'))
    if (record === null) throw new Error('no routing')
    return record.value
  }

  get serverIds(): ServerId[] {
    return this.m === null ? ['f', 'n'] : ['f', 'n', 'm']
  }

  serverOf(shard: string): ServerId {
    if (shard === '-') return 'f'
    return shard === '80-' && this.m !== null ? 'm' : 'n'
  }

  server(id: ServerId): TestServer {
    const server = this[id]
    if (server === null) throw new Error('this world has one target server')
    return server
  }

  client(server: TestServer): Promise<Connection> {
    return connectApp(server)
  }

  /** Ids on a side, by shard, read as admin. */
  async ids(side: readonly string[]): Promise<number[]> {
    const ids: number[] = []
    for (const shard of side) {
      await using admin = await this.admin(this.serverOf(shard))
      ids.push(...(await admin.allText(`SELECT id FROM ${schemaOf(shard)}.t`)).map((row) => Number(row['id'])))
    }
    return ids.sort((a, b) => a - b)
  }

  async admin(id: ServerId): Promise<Connection> {
    return connectAs(await readServerAccess(this.store, id), 'admin')
  }

  async stop(): Promise<void> {
    await this.stopMover()
    await Promise.all(this.#pools.map((pool) => pool[Symbol.asyncDispose]()))
    await Promise.all(this.serverIds.map((id) => this.server(id).stop()))
    await this.store[Symbol.asyncDispose]()
  }
}

export async function connectApp(server: TestServer): Promise<Connection> {
  const { connect } = await import('../../mysql/connect.ts')
  return connect({ host: '127.0.0.1', port: server.port, user: 'app', password: 'app' })
}

/** The shard of an id in these tests, by reverse_bits: odd ones are above. */
export function shardOf(id: number, side: readonly string[]): string {
  return side.length === 1 ? '-' : id % 2 === 0 ? '-80' : '80-'
}

export function tableOf(id: number, side: readonly string[]): string {
  return `${schemaOf(shardOf(id, side))}.t`
}

class FakeMover {
  readonly #store: Store
  readonly #workflowUid: string
  #stopped = false
  readonly #done: Promise<void>
  readonly #connections = new Map<string, Connection>()
  readonly #applied = new Map<string, number>()

  constructor(store: Store, workflowUid: string) {
    this.#store = store
    this.#workflowUid = workflowUid
    this.#done = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
    for (const connection of this.#connections.values()) connection.destroy()
  }

  async #connection(serverId: string): Promise<Connection> {
    const held = this.#connections.get(serverId)
    if (held?.open === true) return held
    const connection = await connectAs(await readServerAccess(this.#store, serverId), 'mover')
    this.#connections.set(serverId, connection)
    return connection
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      for (const { value: stream } of await listRecords<StreamRecord>(this.#store, keys.streamsOf(this.#workflowUid))) {
        await this.#follow(stream).catch(() => undefined)
      }
      await delay(2)
    }
  }

  async #follow(stream: StreamRecord): Promise<void> {
    const source = await this.#connection(stream.source.serverId)
    const marker = Number(await source.value('SELECT n FROM _shardwright.control_marker'))
    const before = this.#applied.get(stream.uid)
    if (before === marker) return
    const routing = await readRecord<RoutingRecord>(this.#store, keys.routing('app'))
    const serves = routing?.value.components.some((c) => c.serving.primary.includes(stream.source.shard)) === true
    for (const target of stream.targets) {
      const connection = await this.#connection(target.serverId)
      // As the applier's account, through whatever fence stands.
      const probe = await connection.query(`DELETE FROM ${target.schema}.t WHERE 1 = 0`)
      if (probe.kind !== 'ok') throw new Error('no')
      if (serves) await makeEqual(source, connection, stream, target.shard, target.schema)
    }
    const now = Date.now()
    const report: StreamReport = {
      v: 1,
      streamUid: stream.uid,
      mover: 'fake',
      generation: stream.generation,
      atMs: now,
      state: 'running',
      waiting: null,
      error: null,
      copy: {
        rowsDone: 0,
        rowsEstimated: 0,
        bytesDone: 0,
        bytesEstimated: 0,
        rowsPerSecond: null,
        etaMs: null,
        sourceRowsRead: 0,
        tables: [],
      },
      applied: { transactions: 0, rowChanges: 0, rowChangesPerSecond: null },
      targets: stream.targets.map((target) => ({
        shard: target.shard,
        position: null,
        controlMarker: marker,
        lag: { atMs: now, transactions: 0, bytes: 0, markerAgeMs: 0 },
      })),
      headroom: null,
      resumed: null,
    }
    await this.#store.commit([], [put(keys.report(this.#workflowUid, stream.uid), report)])
    this.#applied.set(stream.uid, marker)
  }
}

async function makeEqual(source: Connection, target: Connection, stream: StreamRecord, shard: string, schema: string): Promise<void> {
  const side = stream.targets.map((t) => t.shard)
  const mine = (row: Record<string, string | null>): boolean => side.length === 1 || shardOf(Number(row['id']), side) === shard
  const [want, have] = await Promise.all([
    source.allText(`SELECT id, who, n FROM ${stream.source.schema}.t`),
    target.allText(`SELECT id, who, n FROM ${schema}.t`),
  ])
  const wanted = new Map(want.filter(mine).map((row) => [row['id'], row]))
  const ownSource = (id: string | null | undefined): boolean =>
    shardOf(Number(id), stream.source.shard === '-' ? old : fresh) === stream.source.shard
  const gone = have.filter((row) => !wanted.has(row['id'] ?? '') && ownSource(row['id'])).map((row) => row['id'])
  const there = new Map(have.map((row) => [row['id'], row]))
  const changed = [...wanted.values()].filter((row) => JSON.stringify(there.get(row['id'] ?? '')) !== JSON.stringify(row))
  if (gone.length > 0) await target.query(`DELETE FROM ${schema}.t WHERE id IN (${gone.join(', ')})`)
  if (changed.length > 0)
    await target.query(`REPLACE INTO ${schema}.t VALUES ${changed.map((row) => `(${row['id']}, '${row['who']}', ${row['n']})`).join(', ')}`)
}
