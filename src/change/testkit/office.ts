/** A leader of its own with the reshard workflow, over real servers and a store in memory: verbs are asked for and waited for. No mover, no gate. */
import { randomUUID } from 'node:crypto'
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { connect } from '../../mysql/connect.ts'
import type { Connection } from '../../mysql/connection.ts'
import type { Provisioner } from '../../mysql/provisioning.ts'
import { ClaimPool } from '../../switch/claim.ts'
import { noSwitchFailpoint } from '../../switch/crash-points.ts'
import type { SwitchFailpoint } from '../../switch/crash-points.ts'
import { keys } from '../../topology/keys.ts'
import { MemoryStore } from '../../topology/memory.ts'
import type { CreationSecret, Installation, LeaderRecord, VSchemaRecord } from '../../topology/records.ts'
import type { Json } from '../../topology/store.ts'
import { put, readRecord, updateRecord } from '../../topology/typed.ts'
import type { Leadership } from '../../workflow/context.ts'
import { runEngine } from '../../workflow/engine.ts'
import type { ActionRecord, WorkflowRecord } from '../../workflow/records.ts'
import { requestAction, requestCreate } from '../../workflow/requests.ts'
import { testServer } from '../../../test/kit/servers.ts'
import type { TestServer } from '../../../test/kit/servers.ts'
import { createKeyspace } from '../keyspaces.ts'
import { reshardDefinition } from '../reshard.ts'
import { normaliseReshardSpec, withoutPasswords } from '../reshard-spec.ts'
import type { World } from '../servers.ts'

/** Of tests with attached servers only. */
export const nothingIsMade: Provisioner = {
  name: 'none',
  flavours: async () => [],
  provision: () => Promise.reject(new Error('this test has attached servers only')),
  ensureRunning: () => Promise.reject(new Error('nothing was provisioned')),
  stop: async () => undefined,
  remove: async () => 'removed',
  list: async () => [],
  settingsGiven: () => [],
  keepSettings: () => Promise.reject(new Error('nothing was provisioned')),
  place: async () => null,
}

/** One shard in two, begun by hand. */
export function splitSpec() {
  return {
    sourceShards: ['-'],
    targetShards: ['-80', '80-'],
    autoStart: false,
    stopAfterCopy: false,
    onDdl: 'stop' as const,
    deferSecondaryKeys: true,
    allowUnfenced: [] as string[],
    failpoints: {},
  }
}

export class Office implements AsyncDisposable {
  readonly store: MemoryStore
  readonly world: World
  readonly pool: ClaimPool
  readonly #end: AbortController
  readonly #engine: Promise<void>

  private constructor(world: World, pool: ClaimPool, leadership: Leadership, end: AbortController, switchFailpoint: SwitchFailpoint) {
    this.world = world
    this.store = world.store as MemoryStore
    this.pool = pool
    this.#end = end
    this.#engine = runEngine({
      store: world.store,
      clock: systemClock,
      log: silentLog,
      definitions: [reshardDefinition({ ...world, pool, switchFailpoint })],
      leadership,
    })
  }

  static async open(flavour: 'mariadb' | 'mysql', switchFailpoint = noSwitchFailpoint, provisioner = nothingIsMade): Promise<Office> {
    const store = new MemoryStore()
    const installationId = randomUUID()
    const leader: LeaderRecord = { v: 1, holder: 'test', token: 1, address: '' }
    const result = await store.commit(
      [],
      [put<Installation>(keys.installation, { v: 1, id: installationId, createdAtMs: 0 }), put(keys.leader, leader)],
    )
    if (!result.ok) throw new Error('no lead')
    const end = new AbortController()
    const leadership: Leadership = { token: 1, fence: { key: keys.leader, version: result.revision }, signal: end.signal }
    const pool = new ClaimPool({ store, installationId, leadership, clock: systemClock, log: silentLog })
    const world: World = { store, provisioner, flavour, clock: systemClock, log: silentLog }
    return new Office(world, pool, leadership, end, switchFailpoint)
  }

  /** Attaches a server's schema as a keyspace that is sharded by `column` of each of its tables. */
  async keyspace(name: string, server: TestServer, schema: string, tables: readonly string[], column = 'id'): Promise<void> {
    await createKeyspace(this.world, { name, server: { ...server.config, schema } })
    const one = { column_vindexes: [{ column, name: 'hash' }] }
    const vschema = { sharded: true, vindexes: { hash: { type: 'hash' } }, tables: Object.fromEntries(tables.map((table) => [table, one])) }
    await updateRecord<VSchemaRecord>(this.store, keys.vschema(name), () => ({ v: 1, vschema }))
  }

  async create(keyspace: string, name: string, given: Record<string, unknown>): Promise<ActionRecord> {
    const { spec, passwords } = withoutPasswords(
      normaliseReshardSpec({
        ...splitSpec(),
        ...given,
      } as {
        sourceShards: string[]
        targetShards: string[]
        targetServers?: readonly { host: string; port: number; password?: string }[]
      }),
    )
    const request = {
      id: randomUUID(),
      keyspace,
      name,
      kind: 'reshard',
      spec: spec as unknown as Json,
      data: {},
      args: {},
      nowMs: Date.now(),
    }
    const { workflow, action } = await requestCreate(this.store, request, (uid) => [
      put<CreationSecret>(keys.creationSecret(uid), { v: 1, passwords }),
    ])
    return this.#ended(workflow.uid, action.id)
  }

  async act(keyspace: string, name: string, verb: string, args: Record<string, unknown> = {}): Promise<ActionRecord> {
    const id = randomUUID()
    await requestAction(this.store, { keyspace, name, id, verb, args: args as Json, nowMs: Date.now() })
    const workflow = await this.workflow(keyspace, name)
    return this.#ended(workflow.uid, id)
  }

  async workflow(keyspace: string, name: string): Promise<WorkflowRecord> {
    const record = await readRecord<WorkflowRecord>(this.store, keys.workflow(keyspace, name))
    if (record === null) throw new Error(`no workflow ${name}`)
    return record.value
  }

  async #ended(uid: string, id: string): Promise<ActionRecord> {
    for await (const snapshot of this.store.watch(keys.actionsOf(uid), AbortSignal.timeout(60_000))) {
      const action = snapshot.entries.get(keys.action(uid, id))?.value as unknown as ActionRecord | undefined
      if (action?.state === 'done' || action?.state === 'failed') return action
    }
    throw new Error('the action did not end in time')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort()
    await this.#engine
    await this.pool[Symbol.asyncDispose]()
    await this.store[Symbol.asyncDispose]()
  }
}

export function rootOf(server: TestServer): Promise<Connection> {
  return connect({ socketPath: server.socketPath, user: server.config.user, password: server.config.password })
}

export { testServer }
