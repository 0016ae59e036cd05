/**
 * Who writes a keyspace's tables besides its fleet. Its binlogs are tailed for a moment (`foreign-groups.ts`). The binlog names no user, so the
 * sessions that run such statements meanwhile are noted too: they name who, the binlog proves that.
 *
 * A writer that was silent for that moment is not found: the finding of none says for how long was looked. `writers-watch.ts` goes on looking.
 */
import { controlSchema } from '../binlog/control-schema.ts'
import { currentPosition } from '../binlog/position.ts'
import { openTail } from '../binlog/tail.ts'
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { fleetMark } from '../ingest/tables.ts'
import { addressesOf, connectPlain } from '../move/access.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import type { ServerSecret, ShardRecord } from '../topology/records.ts'
import { keys } from '../topology/keys.ts'
import type { Store } from '../topology/store.ts'
import { readRecord } from '../topology/typed.ts'
import { ForeignGroups } from './foreign-groups.ts'

export type ForeignWrites = {
  readonly server: string
  /** `schema.table`, or the statement where the binlog has its text. */
  readonly tables: readonly string[]
  readonly transactions: number
  /** GTID and coordinates of the first. */
  readonly first: string
  /** Schemas of others that the same transactions wrote. */
  readonly alsoWrote: readonly string[]
  /** `user@host: statement` of sessions seen meanwhile. */
  readonly seen: readonly string[]
}

export type WritersLook =
  | { readonly kind: 'looked'; readonly forMs: number; readonly found: readonly ForeignWrites[]; readonly binlogBytesPerSecond: number }
  | { readonly kind: 'unknown'; readonly reason: string }

export async function lookForWriters(world: {
  readonly store: Store
  readonly clock: Clock
  readonly shards: readonly ShardRecord[]
  readonly forMs: number
  readonly signal: AbortSignal
}): Promise<WritersLook> {
  const servers = [...new Set(world.shards.map((shard) => shard.serverId))]
  try {
    const looks = await Promise.all(servers.map((id) => lookAt(world, id)))
    return {
      kind: 'looked',
      forMs: world.forMs,
      found: looks.flatMap((look) => (look.writes === null ? [] : [look.writes])),
      binlogBytesPerSecond: looks.reduce((sum, look) => sum + look.bytes, 0) / (world.forMs / 1000),
    }
  } catch (error) {
    world.signal.throwIfAborted()
    return {
      kind: 'unknown',
      reason: isSwError(error) ? `${error.code} ${error.message}` : error instanceof Error ? error.message : String(error),
    }
  }
}

async function lookAt(
  world: {
    readonly store: Store
    readonly clock: Clock
    readonly shards: readonly ShardRecord[]
    readonly forMs: number
    readonly signal: AbortSignal
  },
  serverId: string,
): Promise<{ writes: ForeignWrites | null; bytes: number }> {
  const { store, clock, forMs } = world
  const schemas = world.shards.filter((shard) => shard.serverId === serverId).map((shard) => shard.schema)
  const address = await addressesOf(store)(serverId)
  const connection = await connectPlain(address, world.signal)
  try {
    const groups = new ForeignGroups(schemas)
    const before = await binlogEnd(connection)
    const position = await currentPosition(connection)
    const time = AbortSignal.any([AbortSignal.timeout(forMs), world.signal])
    const seen = new Set<string>()
    const watching = watchSessions(world, serverId, seen, time)
    await using tail = await openTail({
      connect: address.connect,
      position,
      table: ForeignGroups.table,
      clock,
      signal: world.signal,
      heartbeatMs: 500,
    })
    // A quiet server says so by heartbeats: the loop turns at least twice a second.
    while (!time.aborted) groups.take(tail.tryNext() ?? (await tail.next()))
    await watching
    world.signal.throwIfAborted()
    const bytes = Math.max(0, (await binlogEnd(connection)) - before)
    return { writes: groups.transactions === 0 ? null : foreignWrites(serverId, groups, seen), bytes }
  } finally {
    connection.destroy()
  }
}

export function foreignWrites(server: string, groups: ForeignGroups, seen: ReadonlySet<string>): ForeignWrites {
  const { tables, transactions, first, alsoWrote } = groups
  return { server, tables: [...tables], transactions, first, alsoWrote: [...alsoWrote], seen: [...seen].slice(0, 10) }
}

export function foreignText(found: ForeignWrites): string {
  const { server, transactions, tables, first, alsoWrote, seen } = found
  return `${server}: ${transactions} ${transactions === 1 ? 'transaction' : 'transactions'} of ${tables.join(', ')} were not the fleet's; the first ${first}${alsoWrote.length === 0 ? '' : `; they also wrote ${alsoWrote.join(', ')}`}${seen.length === 0 ? '' : `; seen meanwhile: ${seen.join(' | ')}`}`
}

/** Bytes of all binlogs together: grows with what is logged, unless a file is purged meanwhile. */
async function binlogEnd(connection: Awaited<ReturnType<typeof connectPlain>>): Promise<number> {
  const rows = await connection.allText('SHOW BINARY LOGS')
  return rows.reduce((sum, row) => sum + Number(row['File_size'] ?? 0), 0)
}

const writes = /^\s*(?:\/\*.*?\*\/\s*)?(insert|update|delete|replace|load)\b/i

/** A statement that writes, and none of a fleet: these begin with its mark, or write rows of ours. */
export function isForeignWrite(query: string): boolean {
  return writes.test(query) && !query.startsWith(fleetMark) && !query.includes(`${controlSchema}.ingest_`)
}

/** The gate's own account is not left out: clients of the gate and consumers sign in as it, and the binlog has told them apart. */
export async function watchSessions(
  world: { readonly store: Store; readonly clock: Clock },
  serverId: string,
  seen: Set<string>,
  time: AbortSignal,
): Promise<void> {
  const secret = (await readRecord<ServerSecret>(world.store, keys.secret(serverId)))?.value
  const connection = await connectPlain(await addressesOf(world.store)(serverId), time).catch(() => null)
  if (connection === null) return
  try {
    while (!time.aborted) {
      for (const session of await flavourOf(connection).sessions(connection, 'whole')) {
        if (session.query === null || !isForeignWrite(session.query)) continue
        if (secret !== undefined && (session.user === secret.admin.user || session.user === secret.mover.user)) continue
        if (seen.size < 50)
          seen.add(`${session.user}@${session.host.replace(/:\d+$/, '')}: ${session.query.replace(/\s+/g, ' ').slice(0, 120)}`)
      }
      await world.clock.sleep(50, time).catch(() => undefined)
    }
  } catch {
    // Who is only told beside what; the binlog decides.
  } finally {
    connection.destroy()
  }
}
