/**
 * Rows of XA transactions between PREPARE and their outcome (PROTOCOLS 1.9): kept in a table of ours on each target, written before the target's
 * position can pass the PREPARE, removed after its position has passed the outcome.
 *
 * Why a crash loses nothing: all of `prepare` is stored and committed before the group's stamp exists, so a position past it implies the rows are there;
 * storing again after a restart replaces equal rows. A leftover of an outcome that was applied is harmless: its xid is not committed again
 * unless prepared again, which replaces it.
 *
 * One above the memory budget is stored in parts as it is read, and applied in parts under the intent of its commit, like any large transaction (1.5).
 *
 * What was prepared before the stream's position and committed behind it has no rows here. That is right only before the stream's first marker (source-start.ts).
 */
import { quoteString } from '../sql/quote.ts'
import { moveErrors } from './errors.ts'
import type { Lane } from './lane.ts'
import { changeBytes, type Change } from './pending.ts'
import type { TablePlan } from './table-plan.ts'
import { moveSchema } from './tables.ts'

export type AddressedChange = { target: number; change: Change }

export interface XaStore {
  /** Keeps what a transaction that will be prepared has changed; one above the memory budget comes in parts, numbered from 0. */
  prepare(xid: string, changes: readonly AddressedChange[], part: number): Promise<void>
  /** `large`: more than `bytesMax`, to be read by `parts`. Null: it was prepared before the stream's position. */
  commit(xid: string, bytesMax: number): Promise<readonly AddressedChange[] | 'large' | null>
  /** What was kept of a transaction for one target, in order, a few megabytes at a time. */
  parts(xid: string, target: number): AsyncIterable<readonly AddressedChange[]>
  rollback(xid: string): Promise<void>
  /** Removes what was committed before every target's stored position. `stored`: the least of their ordinals. */
  forget(stored: number, read: number): Promise<void>
}

/** Changes are kept in documents that end in a line's end, which JSON never contains; a row of ours holds at most so much of one. */
const pieceBytes = 1 << 20
const endOfDocument = 0x0a
/** Read at once: a part of a transaction that is applied in parts. */
const yieldBytes = 4 << 20

export type XaStoreOptions = {
  streamUid: string
  workflowUid: string
  sourceName: string
  targets: readonly { uid: string; lane: Lane }[]
  plans: ReadonlyMap<string, TablePlan>
}

/** `lane` is a writer of its own on each target, under the stream's epoch. */
export class TargetXaStore implements XaStore {
  readonly #options: XaStoreOptions
  /** Xids given out at their commit, with the ordinal read by when they were noticed: removable once every target has stored a position past it. */
  readonly #done = new Map<string, number | null>()
  /** Pieces stored of the transaction that is being read, by target. */
  #pieces: number[] = []

  constructor(options: XaStoreOptions) {
    this.#options = options
  }

  async prepare(xid: string, changes: readonly AddressedChange[], part: number): Promise<void> {
    if (part === 0) {
      this.#done.delete(xid)
      this.#pieces = this.#options.targets.map(() => 0)
    }
    await Promise.all(
      this.#options.targets.map((_, number) =>
        this.#store(
          xid,
          part,
          number,
          changes.filter(({ target }) => target === number),
        ),
      ),
    )
  }

  /** A document at a time, in transactions of their own: nothing rests on their being one, and rows of megabytes are in memory as text once. */
  async #store(xid: string, part: number, number: number, changes: readonly AddressedChange[]): Promise<void> {
    const { targets, streamUid, workflowUid } = this.#options
    const on = targets[number]
    if (on === undefined) return
    let statements = part > 0 ? [] : [`DELETE FROM ${moveSchema}.move_xa WHERE ${this.#where(on.uid, xid)}`]
    const names = [streamUid, on.uid, xid].map(quoteString).join(', ')
    for (let at = 0; part === 0 || at < changes.length;) {
      const document: [string, string, string | null, readonly string[] | null][] = []
      for (let bytes = 0; at < changes.length && bytes < pieceBytes; at++) {
        const change = changes[at]?.change
        if (change === undefined) break
        document.push([change.table.name, change.key, change.row, change.images])
        bytes += changeBytes(change)
      }
      const text = Buffer.from(`${JSON.stringify(document)}\n`, 'utf8')
      for (let from = 0; from < text.length; from += pieceBytes) {
        const piece = this.#pieces[number] ?? 0
        const hex = text.toString('hex', from, Math.min(from + pieceBytes, text.length))
        statements.push(
          `INSERT INTO ${moveSchema}.move_xa (stream_uid, target_uid, xid, part, workflow_uid, changes) VALUES (${names}, ${piece}, ${quoteString(workflowUid)}, x'${hex}')`,
        )
        await on.lane.transaction(statements)
        statements = []
        this.#pieces[number] = piece + 1
      }
      if (at >= changes.length) return
    }
  }

  async commit(xid: string, bytesMax: number): Promise<readonly AddressedChange[] | 'large' | null> {
    const { targets, sourceName } = this.#options
    let absent = 0
    let bytes = 0
    for (const { uid, lane } of targets) {
      const [kept] = await lane.read(
        `SELECT COUNT(*) AS pieces, IFNULL(SUM(LENGTH(changes)), 0) AS bytes FROM ${moveSchema}.move_xa WHERE ${this.#where(uid, xid)}`,
      )
      if (kept?.pieces?.toString() === '0') absent++
      bytes += Number(kept?.bytes?.toString())
    }
    if (absent === targets.length) return null
    if (absent > 0) throw moveErrors.xaUnknown({ source: sourceName, xid, at: 'XA COMMIT' })
    this.#done.set(xid, null)
    if (bytes > bytesMax) return 'large'
    const changes: AddressedChange[] = []
    for (const target of targets.keys()) for await (const part of this.parts(xid, target)) changes.push(...part)
    return changes
  }

  async *parts(xid: string, target: number): AsyncIterable<readonly AddressedChange[]> {
    const on = this.#options.targets[target]
    if (on === undefined) return
    let pieces: Buffer[] = []
    let changes: AddressedChange[] = []
    let bytesRead = 0
    for (let piece = 0; ; piece++) {
      const [row] = await on.lane.read(`SELECT changes FROM ${moveSchema}.move_xa WHERE ${this.#where(on.uid, xid)} AND part = ${piece}`)
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
      if (table !== undefined) changes.push({ target, change: { table, key, row, images } })
    }
    return changes
  }

  async forget(stored: number, read: number): Promise<void> {
    for (const [xid, ordinal] of this.#done) {
      if (ordinal === null) this.#done.set(xid, read)
      else if (stored >= ordinal) {
        this.#done.delete(xid)
        await this.rollback(xid)
      }
    }
  }

  async rollback(xid: string): Promise<void> {
    await Promise.all(
      this.#options.targets.map(({ uid, lane }) => lane.transaction([`DELETE FROM ${moveSchema}.move_xa WHERE ${this.#where(uid, xid)}`])),
    )
  }

  #where(targetUid: string, xid: string): string {
    return `stream_uid = ${quoteString(this.#options.streamUid)} AND target_uid = ${quoteString(targetUid)} AND xid = ${quoteString(xid)}`
  }
}
