/**
 * A keyspace of one shard on one server (f) and the two shards of a reshard on another (n), or on two (n, m), for the tests of this room. The mover is a
 * stand-in: on each new control marker it makes the targets equal to the source and reports the marker. It is right only because rows stand still when it
 * matters (under the fence); what the real mover does is `move/`'s business and `test/`'s.
 */
import { randomUUID } from 'node:crypto'
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
import { put, readRecord, recordsOf, updateRecord } from '../../topology/typed.ts'
import { Mover } from '../../move/mover.ts'
import { currentPosition } from '../../binlog/position.ts'
import type { Leadership } from '../../workflow/context.ts'
import type { WorkflowRecord } from '../../workflow/records.ts'
import { attachServer } from '../attach.ts'
import { ClaimPool } from '../claim.ts'
import { noSwitchFailpoint } from '../crash-points.ts'
import type { SwitchFailpoint } from '../crash-points.ts'
import type { SwitchContext } from '../context.ts'
import { closeServer, fenceNewTables, openServer, prepareFence } from '../fence.ts'
import type { FenceKind } from '../fence-kinds.ts'
import { noteClosed } from '../unmarked.ts'
import { connectAs, readServerAccess } from '../server-access.ts'
import { TestServer } from './servers.ts'
import { fresh, old, schemaOf } from './shards.ts'
import { StandInMover } from './stand-in-mover.ts'

export { fresh, old, schemaOf, shardOf, tableOf } from './shards.ts'

export const installationId = 'test-installation'
export type ServerId = 'f' | 'n' | 'm'

export class World {
  readonly store: Store = new MemoryStore()
  readonly f: TestServer
  readonly n: TestServer
  readonly m: TestServer | null
  readonly workflowUid = randomUUID()
  readonly #oneServer: boolean
  #token = 0
  #mover: StandInMover | null = null
  #pools: ClaimPool[] = []
  #real = false
  #stopReal: (() => Promise<void>) | null = null

  private constructor(f: TestServer, n: TestServer, m: TestServer | null) {
    this.#oneServer = n === f
    this.f = f
    this.n = n
    this.m = m
  }

  /** `targetServers`: 0: both sides on one server, under armed triggers. */
  static async start(flavour: Flavour, mover: 'stand-in' | 'real' = 'stand-in', targetServers: 0 | 1 | 2 = 1): Promise<World> {
    const [f, n, m] = await Promise.all([
      TestServer.start(flavour),
      targetServers === 0 ? null : TestServer.start(flavour),
      targetServers === 2 ? TestServer.start(flavour) : null,
    ])
    const world = new World(f, n ?? f, m)
    world.#real = mover === 'real'
    await world.#setUp(targetServers === 0 ? 'triggers' : null)
    return world
  }

  /** The same switch by another fence: the targets are opened and closed again by it. */
  async refence(fence: FenceKind): Promise<void> {
    const context = await this.leader()
    for (const id of this.serverIds.slice(1)) await context.pool.run(id, (server) => openServer(server))
    await updateRecord<WorkflowRecord>(this.store, keys.workflow('app', 'w'), (w) => (w === null ? null : { ...w, spec: { fence } }))
    await this.#closeTargets(context, fence)
  }

  async #closeTargets({ pool }: SwitchContext, fence: FenceKind | null): Promise<void> {
    for (const id of new Set(fresh.map((shard) => this.serverOf(shard)))) {
      const schemas = fresh.filter((shard) => this.serverOf(shard) === id).map(schemaOf)
      await pool.run(id, async (server) => {
        if (fence !== null) await prepareFence(server, schemas, systemClock, fence)
        await closeServer(server, { allowUnfenced: [], schemas }, systemClock)
        if (fence !== null) await noteClosed(server.connection, schemas)
      })
    }
  }

  async #setUp(fence: FenceKind | null): Promise<void> {
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
      spec: fence === null ? null : { fence },
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
    await this.#closeTargets(context, fence)
    this.startMover()
    const limit = AbortSignal.timeout(10_000)
    for await (const snapshot of this.store.watch(keys.reportsOf(this.workflowUid), limit)) {
      const [report] = recordsOf<StreamReport>(snapshot)
      if (report?.value.state === 'failed') throw new Error(JSON.stringify(report.value.error))
      if (report?.value.state !== 'running' || !report.value.targets.every((target) => (target.lag?.markerAgeMs ?? null) !== null)) continue
      // The real mover has made the targets' tables meanwhile.
      if (fence !== null) for (const id of this.serverIds) await context.pool.run(id, (server) => fenceNewTables(server, systemClock))
      return
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
    this.#mover = new StandInMover(this.store, this.workflowUid)
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
    if (this.#oneServer) return ['f']
    return this.m === null ? ['f', 'n'] : ['f', 'n', 'm']
  }

  serverOf(shard: string): ServerId {
    if (shard === '-' || this.#oneServer) return 'f'
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

  /** Takes the rows that earlier tests left from the side that serves: the stand-in compares whole tables at every marker. */
  async clear(side: readonly string[]): Promise<void> {
    for (const shard of side) {
      await using client = await connectApp(this.server(this.serverOf(shard)))
      await client.query(`DELETE FROM ${schemaOf(shard)}.t`)
    }
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
