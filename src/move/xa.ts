/**
 * Rows of XA transactions between PREPARE and their outcome (PROTOCOLS 1.9): kept in a table of ours on each target, written before the target's
 * position can pass the PREPARE, removed after its position has passed the outcome.
 *
 * Why a crash loses nothing: `prepare` is stored and committed before the group's stamp exists, so a position past it implies the rows are there;
 * storing again after a restart replaces equal rows. A leftover of an outcome that was applied is harmless: its xid is not committed again
 * unless prepared again, which replaces it.
 *
 * What was prepared before the stream's position and committed behind it has no rows here. That is right only before the stream's first marker (source-start.ts).
 */
import { quoteString } from '../sql/quote.ts'
import { moveErrors } from './errors.ts'
import type { Lane } from './lane.ts'
import type { Change } from './pending.ts'
import type { TablePlan } from './table-plan.ts'
import { moveSchema } from './tables.ts'

export type AddressedChange = { target: number; change: Change }

export interface XaStore {
  prepare(xid: string, changes: readonly AddressedChange[]): Promise<void>
  /** Null: it was prepared before the stream's position. */
  commit(xid: string): Promise<AddressedChange[] | null>
  rollback(xid: string): Promise<void>
  /** Removes what was committed before every target's stored position. `stored`: the least of their ordinals. */
  forget(stored: number, read: number): Promise<void>
}

const partBytes = 1 << 20

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

  constructor(options: XaStoreOptions) {
    this.#options = options
  }

  async prepare(xid: string, changes: readonly AddressedChange[]): Promise<void> {
    this.#done.delete(xid)
    await Promise.all(
      this.#options.targets.map(async ({ uid, lane }, number) => {
        const own = changes
          .filter(({ target }) => target === number)
          .map(({ change }) => [change.table.name, change.key, change.row, change.images])
        const text = Buffer.from(JSON.stringify(own), 'utf8')
        const statements: Buffer[] = [Buffer.from(`DELETE FROM ${moveSchema}.move_xa WHERE ${this.#where(uid, xid)}`)]
        for (let part = 0; part === 0 || part * partBytes < text.length; part++) {
          const hex = text.subarray(part * partBytes, (part + 1) * partBytes).toString('hex')
          statements.push(
            Buffer.from(
              `INSERT INTO ${moveSchema}.move_xa (stream_uid, target_uid, xid, part, workflow_uid, changes) VALUES (
          ${quoteString(this.#options.streamUid)}, ${quoteString(uid)}, ${quoteString(xid)}, ${part}, ${quoteString(this.#options.workflowUid)}, x'${hex}')`,
            ),
          )
        }
        await lane.transaction(statements)
      }),
    )
  }

  async commit(xid: string): Promise<AddressedChange[] | null> {
    const changes: AddressedChange[] = []
    let absent = 0
    for (const [target, { uid, lane }] of this.#options.targets.entries()) {
      const rows = await lane.read(`SELECT changes FROM ${moveSchema}.move_xa WHERE ${this.#where(uid, xid)} ORDER BY part`)
      if (rows.length === 0) {
        absent++
        continue
      }
      const text = Buffer.concat(rows.map((row) => row.changes ?? Buffer.alloc(0))).toString('utf8')
      for (const [name, key, row, images] of JSON.parse(text) as [string, string, string | null, string[] | null][]) {
        const table = this.#options.plans.get(name)
        if (table !== undefined) changes.push({ target, change: { table, key, row, images } })
      }
    }
    if (absent === this.#options.targets.length) return null
    if (absent > 0) throw moveErrors.xaUnknown({ source: this.#options.sourceName, xid, at: 'XA COMMIT' })
    this.#done.set(xid, null)
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
