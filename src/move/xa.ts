/**
 * Rows of XA transactions between PREPARE and their outcome (PROTOCOLS 1.9): kept in a table of ours on each target, written before the target's
 * position can pass the PREPARE, removed after its position has passed the outcome.
 *
 * An application may use an xid again as soon as its outcome is known, and the reader runs ahead of what is applied: so rows are kept by the place of their PREPARE in the stream's
 * order too, and an outcome is that of the last PREPARE before it. A later PREPARE takes nothing from one whose COMMIT is read again after a crash.
 *
 * Why a crash loses nothing: all of `prepare` is stored and committed before the group's stamp exists, so a position past it implies the rows are there;
 * storing again after a restart, at the same place, replaces equal rows. A leftover of an outcome that was applied is harmless: a commit of its xid behind a later PREPARE finds
 * the later rows.
 *
 * One above the memory budget is stored in parts as it is read, and applied in parts under the intent of its commit, like any large transaction (1.5).
 *
 * On MariaDB a marker does not prove that an earlier XA COMMIT is visible: while tables are copied, its rows stay here, marked, until the server has forgotten the xid, so that a run that begins behind
 * the commit learns their keys from here (`xa-upkeep.ts`, docs/decisions/026).
 *
 * Rows are kept as literals in the order of the columns, without their names. A server lets nobody alter, rename, truncate or drop a table that a prepared XA transaction has written before that has
 * its outcome, also when its session has ended or the server has started again (*tried*: `xa-ddl.db.test.ts`): so they are of the definition that is in force at their commit.
 *
 * MariaDB says that an XA ROLLBACK is done before it would stand a crash (*tried* on 10.11: the last of 20, three times of three; of XA COMMIT none of three): the xid is prepared once more then, and its
 * coordinator rolls it back again, which changes nothing here. Who commits it instead stops the stream (SW-MOVE-020): its rows are gone, as a replica's are.
 *
 * What was prepared before the stream's position and committed behind it has no rows here. That is right only before the stream's first marker (source-start.ts).
 */
import type { Flavour } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'
import type { Failpoints } from './crash-points.ts'
import { moveErrors } from './errors.ts'
import type { Lane } from './lane.ts'
import { changeBytes, rowLiteral, rowText, type Change } from './pending.ts'
import { seenBy, seenSql } from './seen.ts'
import type { TablePlan } from './table-plan.ts'
import { compareCoordinates, moveSchema, streamWhere, type Coordinate } from './tables.ts'

export type AddressedChange = { target: number; change: Change }

export interface XaStore {
  /** Keeps what a transaction that will be prepared at this place has changed; one above the memory budget comes in parts, numbered from 0. */
  prepare(xid: string, at: Coordinate, changes: readonly AddressedChange[], part: number): Promise<void>
  /** `large`: more than `bytesMax`, to be read by `parts`. Null: it was prepared before the stream's position. */
  commit(xid: string, at: Coordinate, bytesMax: number): Promise<readonly AddressedChange[] | 'large' | null>
  /** What was kept for one target of the transaction that was committed last by this xid, in order, a few megabytes at a time. */
  parts(xid: string, target: number): AsyncIterable<readonly AddressedChange[]>
  rollback(xid: string, at: Coordinate): Promise<void>
  /** Removes what was kept of one that was to be prepared at this place and never was. */
  torn(xid: string, at: Coordinate): Promise<void>
}

/** What is known when rows of XA transactions may be removed. */
export type XaForget = {
  /** The least ordinal of the targets' stored positions. */
  readonly stored: number
  /** Where the tail stands. */
  readonly read: { readonly ordinal: number; readonly marker: number }
  /** Xids that the source knows, asked after the last call; null: it need not be asked. */
  readonly known: ReadonlySet<string> | null
  /** This run's first marker: what earlier runs have read stands before it. */
  readonly firstMarker: number
}

/** Changes are kept in documents that end in a line's end, which JSON never contains; a row of ours holds at most so much of one. */
const pieceBytes = 1 << 20
const endOfDocument = 0x0a
const removedAtOnce = 200
/** Read at once: a part of a transaction that is applied in parts. */
const yieldBytes = 4 << 20

export type XaStoreOptions = {
  streamUid: string
  workflowUid: string
  sourceName: string
  targets: readonly OnTarget[]
  plans: ReadonlyMap<string, TablePlan>
  /** Tables are being copied. */
  copying: () => boolean
  /** Of the source's commits (mysql/flavour/). */
  proof: Flavour['xaProof']
  /** Position of all that was read, with the group in hand. */
  read: () => string
  failpoints: Failpoints
}

type OnTarget = { readonly uid: string; readonly lane: Lane }
/** `ordinal`: its commit was read before; null: not known yet. `earlier`: by an earlier run. */
type Done = { readonly xid: string; readonly at: Coordinate; readonly ordinal: number | null; readonly earlier: boolean; proven: boolean }

/** `lane` is a writer of its own on each target, under the stream's epoch. */
export class TargetXaStore implements XaStore {
  readonly #options: XaStoreOptions
  /** Given out at their commit: removable once every target has stored a position past it, and readers of the source see it. */
  #done: Done[] = []
  /** Of these, xids that the source knew when it was asked last. */
  #known: ReadonlySet<string> = new Set()
  /** The one that is being given out in parts. */
  #large: { readonly xid: string; readonly at: Coordinate } | null = null
  /** Pieces stored of the transaction that is being read, by target. */
  #pieces: number[] = []

  constructor(options: XaStoreOptions) {
    this.#options = options
  }

  async prepare(xid: string, at: Coordinate, changes: readonly AddressedChange[], part: number): Promise<void> {
    if (part === 0) this.#pieces = this.#options.targets.map(() => 0)
    // Prepared again: the server had forgotten it after the commit before.
    if (this.#known.has(xid)) for (const done of this.#done) if (done.xid === xid) done.proven = true
    await Promise.all(
      this.#options.targets.map((_, number) =>
        this.#store(
          { xid, at },
          part,
          number,
          changes.filter(({ target }) => target === number),
        ),
      ),
    )
    await this.#options.failpoints.hit('xa.kept')
  }

  /** A document at a time, in transactions of their own: nothing rests on their being one, and rows of megabytes are in memory as text once. */
  async #store(
    { xid, at: place }: { xid: string; at: Coordinate },
    part: number,
    number: number,
    changes: readonly AddressedChange[],
  ): Promise<void> {
    const { targets, streamUid, workflowUid } = this.#options
    const on = targets[number]
    if (on === undefined) return
    const read = this.#seen(on.uid, this.#options.read())
    let statements = [read]
    if (part === 0) statements.push(`DELETE FROM ${moveSchema}.move_xa WHERE ${this.#where(on.uid, xid)} AND ${preparedAt(place)}`)
    const names = [streamUid, on.uid, xid].map(quoteString).join(', ')
    for (let at = 0; part === 0 || at < changes.length;) {
      const document: [string, string, string | null, readonly string[] | null][] = []
      for (let bytes = 0; at < changes.length && bytes < pieceBytes; at++) {
        const change = changes[at]?.change
        if (change === undefined) break
        document.push([change.table.name, change.key, change.row === null ? null : rowText(change.row), change.images])
        bytes += changeBytes(change)
      }
      const text = Buffer.from(`${JSON.stringify(document)}\n`, 'utf8')
      for (let from = 0; from < text.length; from += pieceBytes) {
        const piece = this.#pieces[number] ?? 0
        const hex = text.toString('hex', from, Math.min(from + pieceBytes, text.length))
        statements.push(
          `INSERT INTO ${moveSchema}.move_xa (stream_uid, target_uid, xid, at_marker, at_groups, part, workflow_uid, changes) VALUES (${names}, ${place.marker}, ${place.groups}, ${piece}, ${quoteString(workflowUid)}, x'${hex}')`,
        )
        await on.lane.transaction(statements)
        statements = []
        this.#pieces[number] = piece + 1
      }
      if (at >= changes.length) return
    }
  }

  async commit(xid: string, at: Coordinate, bytesMax: number): Promise<readonly AddressedChange[] | 'large' | null> {
    const { targets, sourceName } = this.#options
    let absent = 0
    let bytes = 0
    let prepared: Coordinate | null = null
    for (const target of targets) {
      const kept = await this.#last(target, xid, at)
      if (kept === null) {
        absent++
        continue
      }
      if (prepared !== null && compareCoordinates(prepared, kept.at) !== 0)
        throw moveErrors.xaUnknown({ source: sourceName, xid, at: 'XA COMMIT' })
      prepared = kept.at
      bytes += kept.bytes
    }
    if (prepared === null) return null
    if (absent > 0) throw moveErrors.xaUnknown({ source: sourceName, xid, at: 'XA COMMIT' })
    const place = prepared
    if (this.#options.proof === 'recover' && this.#options.copying()) {
      const mark = (uid: string): string =>
        `UPDATE ${moveSchema}.move_xa SET committed = 1 WHERE ${this.#where(uid, xid)} AND ${preparedAt(place)}`
      const read = this.#options.read()
      await Promise.all(targets.map(({ uid, lane }) => lane.transaction([this.#seen(uid, read), mark(uid)])))
      await this.#options.failpoints.hit('xa.marked')
    }
    this.#done.push({ xid, at: place, ordinal: null, earlier: false, proven: this.#options.proof === 'marker' })
    this.#large = { xid, at: place }
    if (bytes > bytesMax) return 'large'
    const changes: AddressedChange[] = []
    for (const target of targets.keys()) for await (const part of this.parts(xid, target)) changes.push(...part)
    return changes
  }

  /** What earlier runs marked as committed: it is removed with the rest. Gives the keys of those of which a reader may not see the rows yet. */
  async *committedBefore(known: ReadonlySet<string>): AsyncIterable<{ xid: string; table: TablePlan; key: string }> {
    const { targets, streamUid } = this.#options
    const noted = new Set<string>()
    for (const [target, { uid, lane }] of targets.entries()) {
      const rows = await lane.read(
        `SELECT DISTINCT xid, at_marker, at_groups FROM ${moveSchema}.move_xa WHERE ${streamWhere({ streamUid, targetUid: uid })} AND committed = 1`,
      )
      for (const row of rows) {
        const [xid, at] = [row.xid?.toString() ?? '', placeOf(row)]
        const place = `${at.marker}/${at.groups}`
        if (!noted.has(place)) this.#done.push({ xid, at, ordinal: null, earlier: true, proven: !known.has(xid) })
        noted.add(place)
        if (!known.has(xid)) continue
        for await (const part of this.#partsOf(xid, at, target)) for (const { change } of part) yield { xid, ...change }
      }
    }
  }

  async *parts(xid: string, target: number): AsyncIterable<readonly AddressedChange[]> {
    if (this.#large?.xid === xid) yield* this.#partsOf(xid, this.#large.at, target)
  }

  async *#partsOf(xid: string, place: Coordinate, target: number): AsyncIterable<readonly AddressedChange[]> {
    const on = this.#options.targets[target]
    if (on === undefined) return
    let pieces: Buffer[] = []
    let changes: AddressedChange[] = []
    let bytesRead = 0
    for (let piece = 0; ; piece++) {
      const [row] = await on.lane.read(
        `SELECT changes FROM ${moveSchema}.move_xa WHERE ${this.#where(on.uid, xid)} AND ${preparedAt(place)} AND part = ${piece}`,
      )
      const bytes = row?.changes ?? null
      if (bytes !== null) pieces.push(bytes)
      if (pieces.length > 0 && (bytes === null || bytes.at(-1) === endOfDocument)) {
        const text = Buffer.concat(pieces)
        changes.push(...this.#parse(text, target))
        bytesRead += text.length
        pieces = []
      }
      if (changes.length > 0 && (bytes === null || bytesRead >= yieldBytes)) {
        yield changes
        changes = []
        bytesRead = 0
      }
      if (bytes === null) return
    }
  }

  #parse(text: Buffer, target: number): AddressedChange[] {
    const changes: AddressedChange[] = []
    for (const [name, key, row, images] of JSON.parse(text.toString('utf8')) as [string, string, string | null, string[] | null][]) {
      const table = this.#options.plans.get(name)
      // A stream moves the same tables all its life: whatever brought this, its rows are not to be passed over (promise 4).
      if (table === undefined)
        throw moveErrors.internal({
          stream: this.#options.streamUid,
          reason: `rows of an XA transaction are kept of ${name}, which it does not move`,
        })
      changes.push({ target, change: { table, key, row: row === null ? null : rowLiteral(row), images } })
    }
    return changes
  }

  /** There is something to remove, now or later. */
  get keeps(): boolean {
    return this.#done.length > 0
  }

  /** Removes what was committed before every target's stored position and is visible on the source: a run that begins now needs neither rows nor keys of it. */
  async forget({ stored, read, known, firstMarker }: XaForget): Promise<void> {
    const { targets, copying } = this.#options
    const removable: Done[] = []
    const rest: Done[] = []
    for (const done of this.#done) {
      // Asked after its commit had been read, which the call before this one has seen.
      const proven = done.proven || (done.ordinal !== null && known?.has(done.xid) !== true)
      if (done.ordinal !== null && stored >= done.ordinal && (proven || !copying())) removable.push(done)
      // The group in hand may be its commit, and is no part of what is read yet.
      else rest.push({ ...done, proven, ordinal: done.ordinal ?? (done.earlier && read.marker < firstMarker ? null : read.ordinal + 1) })
    }
    this.#done = rest
    this.#known = new Set(rest.map(({ xid }) => xid).filter((xid) => known?.has(xid) === true))
    for (let from = 0; from < removable.length; from += removedAtOnce) {
      const some = removable.slice(from, from + removedAtOnce)
      await Promise.all(targets.map((target) => this.#remove(target, some, null)))
      await this.#options.failpoints.hit('xa.forgotten')
    }
  }

  /** Of the last only: one of this xid that was committed before may be read again. */
  async rollback(xid: string, at: Coordinate): Promise<void> {
    await Promise.all(
      this.#options.targets.map(async (target) => {
        const kept = await this.#last(target, xid, at)
        if (kept !== null) await this.#remove(target, [{ xid, at: kept.at }], this.#options.read())
      }),
    )
  }

  async torn(xid: string, at: Coordinate): Promise<void> {
    const read = this.#options.read()
    await Promise.all(this.#options.targets.map((target) => this.#remove(target, [{ xid, at }], read)))
  }

  #seen(targetUid: string, read: string): string {
    const { streamUid, workflowUid } = this.#options
    return seenSql({ streamUid, targetUid, workflowUid }, seenBy.tail, read)
  }

  /** `read`: by what they are not needed any more; null: by what every target has stored. */
  async #remove({ uid, lane }: OnTarget, prepared: readonly { xid: string; at: Coordinate }[], read: string | null): Promise<void> {
    const which = prepared.map(({ xid, at }) => `(${this.#where(uid, xid)} AND ${preparedAt(at)})`)
    const seen = read === null ? [] : [this.#seen(uid, read)]
    await lane.transaction([...seen, `DELETE FROM ${moveSchema}.move_xa WHERE ${which.join(' OR ')}`])
  }

  /** The last that was prepared by this xid up to a place. */
  async #last({ uid, lane }: OnTarget, xid: string, { marker, groups }: Coordinate): Promise<{ at: Coordinate; bytes: number } | null> {
    const [kept] = await lane.read(
      `SELECT at_marker, at_groups, SUM(LENGTH(changes)) AS bytes FROM ${moveSchema}.move_xa
      WHERE ${this.#where(uid, xid)} AND (at_marker < ${marker} OR (at_marker = ${marker} AND at_groups <= ${groups}))
      GROUP BY at_marker, at_groups ORDER BY at_marker DESC, at_groups DESC LIMIT 1`,
    )
    return kept === undefined ? null : { at: placeOf(kept), bytes: Number(kept.bytes?.toString()) }
  }

  #where(targetUid: string, xid: string): string {
    return `${streamWhere({ streamUid: this.#options.streamUid, targetUid })} AND xid = ${quoteString(xid)}`
  }
}

function preparedAt({ marker, groups }: Coordinate): string {
  return `at_marker = ${marker} AND at_groups = ${groups}`
}

function placeOf(row: Readonly<Record<string, Buffer | null>>): Coordinate {
  return { marker: Number(row.at_marker?.toString()), groups: Number(row.at_groups?.toString()) }
}
