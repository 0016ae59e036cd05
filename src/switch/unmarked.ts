/**
 * What was written on a closed server by somebody who is neither an applier nor we (promise 2): by an account that may pass the fence, or
 * while the server stood open though it must not. Found in the binlog from where it stood when it was closed: every transaction that changes
 * rows and carries no applier row, which is the mark of all that streams write (PROTOCOLS 1.8); and every TRUNCATE and DROP, which takes rows away
 * that no event names, unless it is announced as ours (PROTOCOLS 1.13).
 *
 * Where the search begins is written on the server itself under its fence (`control_closed`), and moved on when a search has come to its
 * end: a marker of ours, written just before and read again. What can't be read (purged, undecodable) is told as unknown, never as nothing
 * (promise 6).
 */
import { createHash } from 'node:crypto'
import { bumpControlMarker, chooseControlTable, controlSchema, controlSightings } from '../binlog/control-schema.ts'
import { currentPosition } from '../binlog/position.ts'
import type { Position, QueryEvent, TableChooser } from '../binlog/source.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
import { openTail } from '../binlog/tail.ts'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import type { ClaimedServer } from './claim.ts'
import { ensureControlTables } from './control-schema.ts'
import { readFenceNote } from './fence-note.ts'
import { connectOptions } from './server-access.ts'

export type Unmarked = {
  readonly gtid: string
  readonly at: string
  readonly committedAtMs: number
  /** `schema.table`, or the statement where it was logged as text. */
  readonly what: readonly string[]
  readonly rows: number
}

export type Search =
  | { readonly kind: 'searched'; readonly found: readonly Unmarked[]; /** More than are listed. */ readonly more: number }
  /** It was not noted where the server stood when it was closed; it is now. */
  | { readonly kind: 'begun' }
  | { readonly kind: 'unknown'; readonly reason: string }

const foundMax = 100

/**
 * Under the fence: from here on nothing but streams and we may write. `schemas` are those of the side that is closed: where armed triggers stand, the
 * rest of the server is somebody else's.
 */
export async function noteClosed(connection: Connection, schemas: readonly string[]): Promise<void> {
  await keepPosition(connection, await scopeOf(connection, schemas), await currentPosition(connection))
}

/** Null: the whole server. */
async function scopeOf(connection: Connection, schemas: readonly string[]): Promise<readonly string[] | null> {
  return (await readFenceNote(connection))?.kind === 'triggers' ? schemas.toSorted() : null
}

function rowOf(scope: readonly string[] | null): { table: string; column: string; value: string } {
  if (scope === null) return { table: 'control_closed', column: 'id', value: '1' }
  const name = createHash('sha256').update(JSON.stringify(scope)).digest('hex').slice(0, 32)
  return { table: 'control_closed_schemas', column: 'scope', value: quoteString(name) }
}

async function keepPosition(connection: Connection, scope: readonly string[] | null, position: string): Promise<void> {
  const { table, column, value } = rowOf(scope)
  await connection.query(`REPLACE INTO ${controlSchema}.${table} (${column}, position) VALUES (${value}, ${quoteString(position)})`)
}

/**
 * Searches from where the server (or these schemas of it) was closed, or from where the last search ended, to now. `untilClean`: what is found is found
 * again by the next search, for as long as the server is not closed anew.
 */
export async function searchUnmarked(
  server: ClaimedServer,
  schemas: readonly string[],
  clock: Clock,
  signal: AbortSignal,
  how: 'once' | 'untilClean' = 'once',
): Promise<Search> {
  const { connection } = server
  await ensureControlTables(connection)
  const scope = await scopeOf(connection, schemas)
  const { table, column, value } = rowOf(scope)
  const from = await connection.value(`SELECT position FROM ${controlSchema}.${table} WHERE ${column} = ${value}`)
  if (from === undefined || from === null) {
    await noteClosed(connection, schemas)
    return { kind: 'begun' }
  }
  const marker = await bumpControlMarker(connection)
  try {
    const { found, more, end } = await readUntil(server, scope, from as Position, marker, clock, signal)
    if (how === 'once' || found.length === 0) await keepPosition(connection, scope, end)
    return { kind: 'searched', found, more }
  } catch (error) {
    signal.throwIfAborted()
    return { kind: 'unknown', reason: error instanceof Error ? error.message : String(error) }
  }
}

async function readUntil(
  server: ClaimedServer,
  scope: readonly string[] | null,
  position: Position,
  marker: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<{ found: Unmarked[]; more: number; end: Position }> {
  const schemas = await server.connection.allText(
    "SELECT SCHEMA_NAME AS s FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')",
  )
  const definitions = new Map<string, Awaited<ReturnType<typeof readTableDefinitions>>>()
  const within = (schema: string): boolean => scope === null || schema === controlSchema || scope.includes(schema)
  for (const row of schemas.filter((one) => within(one['s'] ?? '')))
    definitions.set(row['s'] ?? '', await readTableDefinitions(server.connection, row['s'] ?? ''))
  const others = await server.connection.allText(
    "SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t FROM information_schema.TABLES WHERE TABLE_TYPE <> 'VIEW' AND ENGINE <> 'InnoDB'",
  )
  const standing = new Set(others.map((row) => `${row['s']}.${row['t']}`))
  const table: TableChooser = (schema, name) => {
    const control = chooseControlTable(schema, name)
    if (control !== null) return control
    const columns = definitions.get(schema)?.get(name)
    return columns === undefined ? { kind: 'skip' } : { kind: 'decode', columns, rollsBack: !standing.has(`${schema}.${name}`) }
  }
  await using tail = await openTail({ connect: connectOptions(server.access, 'mover'), position, table, clock, signal })
  const found: Unmarked[] = []
  let more = 0
  const ours = new AnnouncedHere()
  let group = { gtid: '', committedAtMs: 0, at: '', marked: false, what: new Set<string>(), rows: 0, ends: false }
  for (;;) {
    const event = tail.tryNext() ?? (await tail.next())
    switch (event.kind) {
      case 'begin':
        group = {
          gtid: event.gtid,
          committedAtMs: event.committedAtMs,
          at: `${event.at.file}:${event.at.offset}`,
          marked: false,
          what: new Set(),
          rows: 0,
          ends: false,
        }
        break
      case 'rows':
        if (event.table.schema === controlSchema) {
          if (event.table.name === 'move_applier') group.marked = true
          for (const one of controlSightings(event)) {
            if (one.kind === 'controlMarker' && one.number >= marker) group.ends = true
            if (one.kind === 'ddlAnnounced') ours.announced(one)
          }
          break
        }
        group.rows += event.length
        if (group.what.size < 20) group.what.add(`${event.table.schema}.${event.table.name}`)
        break
      case 'query':
        // Text in place of rows: what it changed cannot be told.
        if (!concerns(event, scope)) break
        if (event.statement.kind === 'other' || (!ours.came(event) && takesRows(event)))
          group.what.add(event.text.toString('utf8').slice(0, 120))
        break
      case 'commit':
      case 'xaPrepare':
        if (!group.marked && group.what.size > 0) {
          const { gtid, at, committedAtMs, rows } = group
          if (found.length < foundMax) found.push({ gtid, at, committedAtMs, rows, what: [...group.what] })
          else more++
        }
        if (group.ends) return { found, more, end: event.position }
        break
      default:
        break
    }
  }
}

/** Where only some schemas are closed, a statement that names none of them is somebody else's. */
function concerns({ statement, schema, text }: QueryEvent, scope: readonly string[] | null): boolean {
  if (scope === null) return true
  if (statement.kind !== 'ddl') return scope.includes(schema) || scope.some((one) => text.includes(one))
  const ofSchema = /^(DATABASE|SCHEMA)$/i.test(statement.object)
  return statement.objects.some((object) => scope.includes(ofSchema ? object.name : (object.schema ?? schema)))
}

/** Of tables of clients: a trial of ours drops its own (mysql/cascade-probe.ts), as rows of our schema are none of theirs. */
export function takesRows({ statement, schema }: Pick<QueryEvent, 'statement' | 'schema'>): boolean {
  if (statement.kind !== 'ddl' || !['TRUNCATE', 'DROP'].includes(statement.verb.toUpperCase())) return false
  const what = statement.object.toUpperCase()
  if (what !== 'TABLE') return ['DATABASE', 'SCHEMA'].includes(what)
  return statement.objects.length === 0 || statement.objects.some((object) => (object.schema ?? schema) !== controlSchema)
}

/** Announced and not come yet. Whatever else is logged in between, an announcement stands until its own statement comes or it is taken back. */
export class AnnouncedHere {
  readonly #verbs = new Map<string, string>()

  announced({ verb, schema, name }: { readonly verb: string; readonly schema: string; readonly name: string }): void {
    if (verb === '') this.#verbs.delete(keyOf(schema, name))
    else this.#verbs.set(keyOf(schema, name), verb.toUpperCase())
  }

  /** Whether every object of the statement was announced for it; the next one is not ours then. */
  came({ statement, schema }: Pick<QueryEvent, 'statement' | 'schema'>): boolean {
    if (statement.kind !== 'ddl') return false
    const places = statement.objects.map((object) => keyOf(object.schema ?? schema, object.name))
    const mine = places.filter((place) => this.#verbs.get(place) === statement.verb.toUpperCase())
    for (const place of mine) this.#verbs.delete(place)
    return places.length > 0 && mine.length === places.length
  }
}

function keyOf(schema: string, name: string): string {
  return `${schema}\0${name}`.toLowerCase()
}

/** `open`: it stood open to everybody; then nothing found must mean that nothing was written. */
export function unmarkedText(server: string, search: Search, open = false): string[] {
  switch (search.kind) {
    case 'begun':
      return open
        ? [`${server}: what was written there while it must not be is unknown: where it stood when it was closed was not noted`]
        : []
    case 'unknown':
      return [`${server}: what was written there while it must not be is unknown: ${search.reason}`]
    case 'searched':
      return [
        ...search.found.map(
          (one) =>
            `${server}: ${one.gtid} at ${one.at} changed ${one.rows} rows of ${one.what.join(', ')}, and no stream of ours wrote it (${new Date(one.committedAtMs).toISOString()})`,
        ),
        ...(search.more === 0 ? [] : [`${server}: and ${search.more} more`]),
      ]
    default:
      return search satisfies never
  }
}
