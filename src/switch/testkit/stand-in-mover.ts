/** A stand-in for the mover (see `world.ts`): right only because rows stand still when it matters. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '../../mysql/connection.ts'
import { bareReport } from '../../move/stream-report.ts'
import { keys } from '../../topology/keys.ts'
import type { RoutingRecord, StreamRecord, StreamReport } from '../../topology/records.ts'
import type { Store } from '../../topology/store.ts'
import { listRecords, put, readRecord } from '../../topology/typed.ts'
import { connectAs, readServerAccess } from '../server-access.ts'
import { fresh, old, shardOf } from './shards.ts'

export class StandInMover {
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
      // As the applier's account, through whatever fence stands; of the tables only its own are touched where no row is to go, as the real one does.
      const probe = await connection.query('DELETE FROM _shardwright.control_marker WHERE 1 = 0')
      if (probe.kind !== 'ok') throw new Error('no')
      if (serves) await makeEqual(source, connection, stream, target.shard, target.schema)
    }
    const now = Date.now()
    const report: StreamReport = {
      ...bareReport(stream, { mover: 'fake', atMs: now, state: 'running' }),
      targets: stream.targets.map(({ shard }) => ({
        shard,
        position: null,
        controlMarker: marker,
        lag: { atMs: now, transactions: 0, bytes: 0, markerAgeMs: 0 },
      })),
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
  const changes = [
    ...(gone.length > 0 ? [`DELETE FROM ${schema}.t WHERE id IN (${gone.join(', ')})`] : []),
    ...(changed.length > 0
      ? [`REPLACE INTO ${schema}.t VALUES ${changed.map((row) => `(${row['id']}, '${row['who']}', ${row['n']})`).join(', ')}`]
      : []),
  ]
  if (changes.length === 0) return
  // The mark of what streams write (PROTOCOLS 1.8).
  const mark = `INSERT INTO _shardwright.move_applier VALUES ('fake', 'fake', 0, 'fake', 'forward', 1, 'running', 1, 0) ON DUPLICATE KEY UPDATE n = n + 1`
  try {
    for (const sql of ['BEGIN', mark, ...changes, 'COMMIT']) await target.query(sql)
  } catch (error) {
    target.destroy()
    throw error
  }
}
