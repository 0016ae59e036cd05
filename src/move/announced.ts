/**
 * DDL of ours that was announced on a stream's source and has not come by yet (PROTOCOLS 1.13): it passes where another's would stop the stream.
 *
 * An announcement stands until its own statement comes, by verb and object, or is taken back: an ALTER may run for hours, and what others write, other DDL among it, is logged in between.
 * A run that begins behind the announcement must know it too. So it is stored on the targets before any position passes its place, and with the place at which its statement
 * came: a run is told what was announced up to where it begins and came behind that. Of one object the newest counts; an older one was given up by whoever announced again.
 */
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import type { Lane } from './lane.ts'
import { compareCoordinates, moveSchema, streamWhere, type Coordinate } from './tables.ts'
import { seenBy, seenSql } from './seen.ts'
import type { StreamOnTarget } from './takeover.ts'
import type { AnnouncedDdl } from './tail-consumer-options.ts'

export type AnnouncedOn = { readonly on: StreamOnTarget; readonly meta: Connection; readonly xaLane: Lane }

/** No verb takes an announcement of the object back. */
type Seen = AnnouncedDdl

export class Announced {
  readonly #targets: readonly AnnouncedOn[]
  readonly #pending = new Map<string, Seen>()
  /** Of the group in hand. */
  #seen: Seen[] = []
  #came: Seen[] = []

  constructor(targets: readonly AnnouncedOn[]) {
    this.#targets = targets
  }

  get pending(): readonly AnnouncedDdl[] {
    return [...this.#pending.values()]
  }

  /** What earlier runs saw, for one that begins at `start`. */
  async load(start: Coordinate): Promise<void> {
    for (const { on, meta } of this.#targets) {
      const rows = await meta.allText(
        `SELECT object_schema, object_name, verb, at_marker, at_groups, came_marker, came_groups FROM ${moveSchema}.move_announced WHERE ${streamWhere(on)} ORDER BY at_marker, at_groups`,
      )
      for (const row of rows) {
        const ddl = { verb: row.verb ?? '', schema: row.object_schema ?? '', name: row.object_name ?? '' }
        if (compareCoordinates(placeOf(row.at_marker, row.at_groups), start) > 0) continue
        const came = row.came_marker === null ? null : placeOf(row.came_marker, row.came_groups)
        if (ddl.verb === '' || (came !== null && compareCoordinates(came, start) <= 0)) this.#pending.delete(keyOf(ddl))
        else this.#pending.set(keyOf(ddl), ddl)
      }
    }
  }

  /** An announcement in the group in hand. */
  announced(ddl: AnnouncedDdl): void {
    this.#seen.push(ddl)
  }

  /** The group in hand is the statement itself, on these objects. */
  came(verb: string, objects: readonly { readonly schema: string; readonly name: string }[]): void {
    for (const object of objects) {
      const ddl = this.#pending.get(keyOf(object))
      if (ddl !== undefined && ddl.verb.toUpperCase() === verb.toUpperCase()) this.#came.push(ddl)
    }
  }

  /** Of the group in hand. */
  get any(): boolean {
    return this.#seen.length > 0 || this.#came.length > 0
  }

  /** Before the group in hand counts as read, where it had any of this. `read`: with it. */
  endGroup(at: Coordinate, read: string): Promise<void> {
    const [seen, came] = [this.#seen, this.#came]
    this.abandonGroup()
    return this.#store(at, read, seen, came)
  }

  abandonGroup(): void {
    this.#seen = []
    this.#came = []
  }

  async #store(at: Coordinate, read: string, seen: readonly Seen[], came: readonly Seen[]): Promise<void> {
    await Promise.all(
      this.#targets.map(({ on, xaLane }) =>
        xaLane.transaction([
          seenSql(on, seenBy.tail, read),
          ...seen.map((ddl) => announcedSql(on, ddl, at)),
          ...came.map((ddl) => cameSql(on, ddl, at)),
        ]),
      ),
    )
    for (const ddl of came) this.#pending.delete(keyOf(ddl))
    for (const ddl of seen) {
      if (ddl.verb === '') this.#pending.delete(keyOf(ddl))
      else this.#pending.set(keyOf(ddl), ddl)
    }
  }
}

function announcedSql(on: StreamOnTarget, { verb, schema, name }: Seen, at: Coordinate): string {
  const texts = [on.streamUid, on.targetUid, on.workflowUid, schema, name, verb].map(quoteString).join(', ')
  return `REPLACE INTO ${moveSchema}.move_announced (stream_uid, target_uid, workflow_uid, object_schema, object_name, verb, at_marker, at_groups) VALUES (${texts}, ${at.marker}, ${at.groups})`
}

/** Of the newest only: it is the one that stood. */
function cameSql(on: StreamOnTarget, { schema, name }: Seen, at: Coordinate): string {
  return `UPDATE ${moveSchema}.move_announced SET came_marker = ${at.marker}, came_groups = ${at.groups} WHERE ${streamWhere(on)} AND object_schema = ${quoteString(schema)} AND object_name = ${quoteString(name)}
    AND (at_marker < ${at.marker} OR (at_marker = ${at.marker} AND at_groups <= ${at.groups})) ORDER BY at_marker DESC, at_groups DESC LIMIT 1`
}

function placeOf(marker: string | null | undefined, groups: string | null | undefined): Coordinate {
  return { marker: Number(marker), groups: Number(groups) }
}

function keyOf({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${schema}\0${name}`.toLowerCase()
}
