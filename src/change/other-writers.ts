/**
 * Who writes a keyspace's tables besides its fleet. Its binlogs are tailed for a moment: a transaction that changes rows of these tables and carries
 * no position row of a fleet, no mark of its purge and no applier row of a stream (PROTOCOLS 1.8, 4.4) was made by somebody else. The binlog names no user, so the
 * sessions that run such statements meanwhile are noted too: they name who, the binlog proves that.
 *
 * A writer that was silent for that moment is not found: the finding of none says for how long was looked.
 */
import { chooseControlTable, controlSchema } from '../binlog/control-schema.ts'
import { currentPosition } from '../binlog/position.ts'
import type { TableChooser } from '../binlog/source.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
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

export type ForeignWrites = {
  readonly server: string
  /** `schema.table`, or the statement where the binlog has its text. */
  readonly tables: readonly string[]
  readonly transactions: number
  readonly rows: number
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

const marks = new Set(['ingest_position', 'ingest_mark', 'move_applier'])

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
  const schemas = new Set(world.shards.filter((shard) => shard.serverId === serverId).map((shard) => shard.schema))
  const address = await addressesOf(store)(serverId)
  const connection = await connectPlain(address, world.signal)
  try {
    const definitions = new Map<string, Awaited<ReturnType<typeof readTableDefinitions>>>()
    for (const schema of [...schemas, controlSchema]) definitions.set(schema, await readTableDefinitions(connection, schema))
    const others = new Set<string>()
    const table: TableChooser = (schema, name) => {
      const control = chooseControlTable(schema, name)
      if (control !== null) return control
      const columns = definitions.get(schema)?.get(name)
      if (columns === undefined && schema !== controlSchema) others.add(schema)
      return columns === undefined ? { kind: 'skip' } : { kind: 'decode', columns }
    }
    const before = await binlogEnd(connection)
    const position = await currentPosition(connection)
    const time = AbortSignal.any([AbortSignal.timeout(forMs), world.signal])
    const seen = new Set<string>()
    const watching = watchSessions(world, serverId, seen, time)
    const found = { tables: new Set<string>(), also: new Set<string>(), transactions: 0, rows: 0, first: '' }
    await using tail = await openTail({ connect: address.connect, position, table, clock, signal: world.signal, heartbeatMs: 500 })
    let group = { name: '', marked: false, tables: new Set<string>(), rows: 0 }
    while (!time.aborted) {
      // A quiet server says so by heartbeats: the loop turns at least twice a second.
      const event = tail.tryNext() ?? (await tail.next())
      if (event.kind === 'begin') {
        others.clear()
        group = { name: `${event.gtid} at ${event.at.file}:${event.at.offset}`, marked: false, tables: new Set(), rows: 0 }
      } else if (event.kind === 'rows') {
        if (event.table.schema === controlSchema) group.marked ||= marks.has(event.table.name)
        else if (schemas.has(event.table.schema)) {
          group.tables.add(`${event.table.schema}.${event.table.name}`)
          group.rows += event.length
        }
      } else if (event.kind === 'query') {
        if (event.statement.kind === 'other' && schemas.has(event.schema)) group.tables.add(event.text.toString('utf8').slice(0, 160))
      } else if (event.kind === 'commit' || event.kind === 'xaPrepare') {
        if (group.marked || group.tables.size === 0) continue
        found.transactions++
        found.rows += group.rows
        if (found.first === '') found.first = group.name
        for (const one of group.tables) if (found.tables.size < 20) found.tables.add(one)
        for (const one of others) found.also.add(one)
      }
    }
    await watching
    world.signal.throwIfAborted()
    const bytes = Math.max(0, (await binlogEnd(connection)) - before)
    if (found.transactions === 0) return { writes: null, bytes }
    const { transactions, rows, first } = found
    return {
      writes: {
        server: serverId,
        tables: [...found.tables],
        transactions,
        rows,
        first,
        alsoWrote: [...found.also],
        seen: [...seen].slice(0, 10),
      },
      bytes,
    }
  } finally {
    connection.destroy()
  }
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
async function watchSessions(
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
      for (const session of await flavourOf(connection).sessions(connection)) {
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
