/**
 * What the gate knows of the world: an immutable picture put together from the topology's records. It is made anew after
 * every change; only `ShardTraffic` objects go on from picture to picture, so that what was begun under an older one is
 * still counted. Pure.
 */
import { mainBranch } from '../topology/dualwrite-records.ts'
import type { ReadRule } from '../topology/dualwrite-records.ts'
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { parseKeyRange } from '../keyspace/key-range.ts'
import type { Snapshot } from '../topology/store.ts'
import { replicaKeyspace } from '../topology/replica-name.ts'
import type {
  KeyspaceRecord,
  RoutingComponent,
  RoutingRecord,
  ServerRecord,
  ServerSecret,
  ShardRecord,
  UserRecord,
  VSchemaRecord,
} from '../topology/records.ts'

/** What goes on at one shard, by its uid: counted while it runs, whatever becomes of routing meanwhile. */
export type ShardTraffic = {
  readonly uid: string
  /** Autocommit writes sent and not answered. */
  writes: number
  /** Transactions that ran a statement here and have not ended. */
  readonly transactions: Set<OpenTransaction>
}

/** What the hold rules need of a transaction. */
export type OpenTransaction = {
  /** Rolls back for real and makes the client's next statement fail with 1213. */
  expel(keyspace: string): void
}

export type ShardView = {
  readonly keyspace: string
  readonly name: string
  readonly uid: string
  readonly schema: string
  readonly server: ServerRecord
  readonly account: { readonly user: string; readonly password: string }
  readonly traffic: ShardTraffic
  readonly component: ComponentView
  /**
   * Null: the shard's primary is meant. Otherwise any one of these is (`app@replica`), `server` is the primary that they follow, and `uid` is
   * another one than the primary's: a transaction stays on the replica that it began on, and is none of the primary's.
   */
  readonly replicas: readonly ReplicaView[] | null
}

export type ReplicaView = Pick<ShardView, 'server' | 'account'> & {
  /** For measuring how far it is behind: the side that does not serve has `account` locked on its primary. */
  readonly measuring: { readonly user: string; readonly password: string }
}

export type ComponentView = {
  readonly key: string
  readonly range: string
  readonly epoch: number
  readonly phase: RoutingComponent['phase']
  readonly hold: { readonly sinceMs: number; readonly untilMs: number } | null
  /** Shards that serve the primary, in key order. */
  readonly serving: readonly ShardView[]
  /** Uids of the other side's shards too: what may still be counted there. */
  readonly uids: readonly string[]
}

export type KeyspaceView = {
  readonly name: string
  readonly record: KeyspaceRecord
  readonly role: 'primary' | 'replica'
  /** Version of the routing record. */
  readonly version: number
  readonly components: readonly ComponentView[]
  /** All serving shards in key order. */
  readonly shards: readonly ShardView[]
  /** The shard that holds a keyspace id. */
  readonly index: KeyRangeIndex<ShardView>
  /** Why it can't be routed, or null. */
  readonly notReady: string | null
  readonly vschema: VSchemaRecord | null
  readonly vschemaVersion: number
  /** Another one after each DDL through a gate: columns may be others. */
  readonly ddlVersion: number
  readonly held: boolean
  /** Which branch serves reads; null: this keyspace itself, always. */
  readonly reads: { readonly rule: ReadRule; readonly version: number } | null
  /** Client writes are refused, but for these tables. */
  readonly writes: { readonly except: ReadonlySet<string> } | null
}

export type View = {
  readonly keyspaces: ReadonlyMap<string, KeyspaceView>
  readonly users: ReadonlyMap<string, UserRecord>
  readonly serverVersion: string
  /** Every server tells a client that asks for it more of its columns (MariaDB 10.5 and later). */
  readonly extendedMetadata: boolean
}

export const emptyView: View = { keyspaces: new Map(), users: new Map(), serverVersion: '', extendedMetadata: false }

/** The prefixes that a view is made of; all must have been read once. */
export type Records = {
  keyspaces: Snapshot
  shards: Snapshot
  servers: Snapshot
  secrets: Snapshot
  vschemas: Snapshot
  ddls: Snapshot
  routings: Snapshot
  users: Snapshot
  reads: Snapshot
}

export function buildView(records: Records, trafficOf: (uid: string) => ShardTraffic): View {
  const servers = byKey<ServerRecord>(records.servers, 'servers/')
  const secrets = byKey<ServerSecret>(records.secrets, 'secrets/')
  const shardRecords = byKey<ShardRecord>(records.shards, 'shards/')
  const keyspaces = new Map<string, KeyspaceView>()
  for (const entry of records.keyspaces.entries.values()) {
    const record = entry.value as unknown as KeyspaceRecord
    const routing = records.routings.entries.get(`routing/${record.name}`)
    // A branch has its keyspace's own.
    const vschema = records.vschemas.entries.get(`vschema/${record.branchOf ?? record.name}`)
    const ruleEntry = records.reads.entries.get(`reads/${record.branchOf ?? record.name}`)
    const rule = ruleEntry === undefined ? null : (ruleEntry.value as unknown as ReadRule)
    const components: ComponentView[] = []
    let notReady: string | null = routing === undefined ? 'it has no routing record' : null
    for (const c of routing === undefined ? [] : (routing.value as unknown as RoutingRecord).components) {
      const serving: ShardView[] = []
      const uids: string[] = []
      for (const name of c.other) {
        const other = shardRecords.get(`${record.name}/${name}`)
        if (other !== undefined) uids.push(other.uid)
      }
      const component: ComponentView = {
        key: `${record.name}/${c.range}`,
        range: c.range,
        epoch: c.epoch,
        phase: c.phase,
        hold: c.hold,
        serving,
        uids,
      }
      for (const name of c.serving.primary) {
        const shard = shardRecords.get(`${record.name}/${name}`)
        const server = shard === undefined ? undefined : servers.get(shard.serverId)
        const secret = shard === undefined ? undefined : secrets.get(shard.serverId)
        if (shard === undefined || server === undefined || secret === undefined) {
          notReady = `the record of ${shard === undefined ? `shard ${name}` : server === undefined ? `server ${shard.serverId}` : `the account on ${shard.serverId}`} is missing`
          continue
        }
        uids.push(shard.uid)
        serving.push({
          keyspace: record.name,
          name,
          uid: shard.uid,
          schema: shard.schema,
          server,
          account: secret.gate,
          traffic: trafficOf(shard.uid),
          component,
          replicas: null,
        })
      }
      components.push(component)
    }
    const view: KeyspaceView = {
      ...inKeyOrder(components, notReady),
      name: record.name,
      record,
      role: 'primary',
      version: routing?.version ?? 0,
      components,
      vschema: vschema === undefined ? null : (vschema.value as unknown as VSchemaRecord),
      vschemaVersion: vschema?.version ?? 0,
      ddlVersion: records.ddls.entries.get(`ddl/${record.name}`)?.version ?? 0,
      held: components.some((c) => c.hold !== null),
      reads: ruleEntry === undefined || rule === null || record.branchOf !== undefined ? null : { rule, version: ruleEntry.version },
      writes: rule?.writes === 'refused' ? { except: new Set(rule.writable) } : null,
    }
    keyspaces.set(record.name, view)
    // To read the one branch, whatever the rule says.
    if (rule !== null && record.branchOf === undefined) {
      const name = `${record.name}@${mainBranch}`
      keyspaces.set(name, { ...view, name, reads: null })
    }
    if (record.branchOf === undefined && routing !== undefined) {
      const known = { servers, secrets, shards: shardRecords, trafficOf }
      const replicas = replicaView(view, routing.value as unknown as RoutingRecord, known)
      keyspaces.set(replicas.name, replicas)
    }
  }
  const users = byKey<UserRecord>(records.users, 'users/')
  const first = [...servers.values()].sort((a, b) => (a.id < b.id ? -1 : 1))[0]
  return {
    keyspaces,
    users,
    serverVersion: first?.version ?? '',
    extendedMetadata: servers.size > 0 && [...servers.values()].every(tellsMoreOfColumns),
  }
}

type Known = {
  readonly servers: ReadonlyMap<string, ServerRecord>
  readonly secrets: ReadonlyMap<string, ServerSecret>
  readonly shards: ReadonlyMap<string, ShardRecord>
  readonly trafficOf: (uid: string) => ShardTraffic
}

function tellsMoreOfColumns({ flavour, version }: ServerRecord): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number)
  return flavour === 'mariadb' && major * 10_000 + minor * 100 + patch >= 10_05_02
}

/**
 * `app@replica`: the same keyspace served by the replicas of those shards that the record's `serving.replica` names, which may have moved before
 * the primaries did. No hold concerns it: it takes no writes.
 */
function replicaView(primary: KeyspaceView, routing: RoutingRecord, { servers, secrets, shards, trafficOf }: Known): KeyspaceView {
  const name = replicaKeyspace(primary.name)
  let notReady: string | null = null
  const components = routing.components.map((c): ComponentView => {
    const serving: ShardView[] = []
    const uids = [...new Set([...c.serving.primary, ...c.other])].flatMap((one) => {
      const shard = shards.get(`${primary.name}/${one}`)
      return shard === undefined ? [] : [replicaUid(shard.uid)]
    })
    const component: ComponentView = {
      key: `${name}/${c.range}`,
      range: c.range,
      epoch: c.epoch,
      phase: c.phase,
      hold: null,
      serving,
      uids,
    }
    for (const one of c.serving.replica) {
      const shard = shards.get(`${primary.name}/${one}`)
      const server = shard === undefined ? undefined : servers.get(shard.serverId)
      const secret = shard === undefined ? undefined : secrets.get(shard.serverId)
      if (shard === undefined || server === undefined || secret === undefined) {
        notReady = `the record of ${shard === undefined ? `shard ${one}` : `server ${shard.serverId}`} is missing`
        continue
      }
      const replicas = (shard.replicas ?? []).flatMap((id): ReplicaView[] => {
        const at = servers.get(id)
        const accounts = secrets.get(id)
        return at === undefined || accounts === undefined ? [] : [{ server: at, account: accounts.gate, measuring: secret.mover }]
      })
      const { uid, schema } = { uid: replicaUid(shard.uid), schema: shard.schema }
      serving.push({
        keyspace: name,
        name: one,
        uid,
        schema,
        server,
        account: secret.gate,
        traffic: trafficOf(uid),
        component,
        replicas,
      })
    }
    return component
  })
  return { ...primary, ...inKeyOrder(components, notReady), name, role: 'replica', components, held: false, reads: null, writes: null }
}

export function replicaUid(uid: string): string {
  return `${uid}@replica`
}

function inKeyOrder(components: readonly ComponentView[], problem: string | null): Pick<KeyspaceView, 'shards' | 'index' | 'notReady'> {
  const shards = components.flatMap((c) => c.serving).sort(byRangeStart)
  let notReady = problem ?? (shards.length === 0 ? 'no shard serves it' : null)
  let index = new KeyRangeIndex<ShardView>([])
  try {
    index = new KeyRangeIndex(shards.map((shard) => ({ range: parseKeyRange(shard.name), value: shard })))
  } catch (error) {
    notReady ??= `its shards do not fit together: ${error instanceof Error ? error.message : String(error)}`
  }
  return { shards, index, notReady }
}

function byKey<T>(snapshot: Snapshot, prefix: string): Map<string, T> {
  const out = new Map<string, T>()
  for (const entry of snapshot.entries.values()) out.set(entry.key.slice(prefix.length), entry.value as unknown as T)
  return out
}

function byRangeStart(a: ShardView, b: ShardView): number {
  const x = startOf(a.name)
  const y = startOf(b.name)
  return x < y ? -1 : x > y ? 1 : 0
}

/** Hex of a shard name's start: key order is text order, as both are compared from the left. */
function startOf(name: string): string {
  return name.slice(0, Math.max(0, name.indexOf('-')))
}
