/**
 * Rows held back that are kept on the target (PROTOCOLS 1.6; docs/decisions/008): where rows have been held for some seconds, the position is stored all the same, and the rows that it lacks stand in a table of ours.
 *
 * What is stored is a place X and rows: the target holds, for each key, what the source had at X, but for those rows, of which it has none of ours. Why a crash at any time loses nothing:
 * - rows are kept before the position that needs them is stored, and removed with a position that does not, or later;
 * - one that is kept too early or too long, since whoever wrote it died before the position, is of a place at or below the intent: what is behind X is done again up to there, and brings what the key is by then under that row.
 *
 * Rows are kept as literals in the order of their table's columns. They never outlive its definition: at a statement everything is applied or given up, and what is kept is removed with the position stored there (1.13).
 */
import { createHash } from 'node:crypto'
import { quoteString } from '../sql/quote.ts'
import { moveErrors } from './errors.ts'
import type { Lane } from './lane.ts'
import { changeBytes, rowText, type Change, type Pending } from './pending.ts'
import { moveSchema, streamWhere } from './tables.ts'
import type { TablePlan } from './table-plan.ts'

/** A row above this is not kept: nothing is, as long as it is held. */
const rowBytesMax = 1 << 20
const statementBytesMax = 1 << 20
/** Of a statement beside its rows, and of a row's values beside what is kept: names of 64 characters. */
const headBytesMax = 4_096
const valueBytesMax = 1_024
/** Keys removed by one statement. */
const removedAtOnce = 1_000

export type HeldStoreOf = {
  readonly streamUid: string
  readonly targetUid: string
  readonly workflowUid: string
  /** Of the target: no statement may be longer. */
  readonly packetMax: number
}

type Kept = { readonly change: Change; readonly hash: string }

export class HeldStore {
  readonly #of: HeldStoreOf
  readonly #kept = new Map<TablePlan, Map<string, Kept>>()

  constructor(of: HeldStoreOf) {
    this.#of = of
  }

  /** What an earlier run has kept, and holds back still. */
  async load(lane: Pick<Lane, 'read'>, plans: ReadonlyMap<string, TablePlan>): Promise<Change[]> {
    const found: Change[] = []
    for (let after: { table: string; hash: string } | null = null; ;) {
      const behind = after === null ? '' : ` AND (table_name, key_hash) > (${quoteString(after.table)}, ${quoteString(after.hash)})`
      const rows: Record<string, Buffer | null>[] = await lane.read(
        `SELECT table_name, key_hash, held FROM ${moveSchema}.move_held WHERE ${this.#where}${behind} ORDER BY table_name, key_hash LIMIT 100`,
      )
      for (const row of rows) {
        const [name, key, text, images] = JSON.parse(row.held?.toString('utf8') ?? '[]') as [string, string, string, string[] | null]
        const table = plans.get(name)
        // Nothing of what is kept may be passed over (promise 4).
        if (table === undefined) throw moveErrors.missingTarget({ table: name, target: this.#of.targetUid })
        const change: Change = { table, key, row: text, images }
        this.#keysOf(table).set(key, { change, hash: row.key_hash?.toString() ?? '' })
        found.push(change)
      }
      const last = rows.at(-1)
      if (rows.length < 100 || last === undefined) return found
      after = { table: last.table_name?.toString() ?? '', hash: last.key_hash?.toString() ?? '' }
    }
  }

  /** Whether there is something to remove once nothing is held. */
  get keeps(): boolean {
    return this.#kept.size > 0
  }

  /** Whether all of it may be kept. A byte is two digits or four, and twelve where JSON escapes it: only what may come near the packet is printed to see. */
  mayKeep(held: Pending): boolean {
    const bytesMax = this.#of.packetMax - headBytesMax
    for (const change of held.all()) {
      const bytes = changeBytes(change)
      if (bytes > rowBytesMax || (12 * bytes > bytesMax && printed(change).length > bytesMax)) return false
    }
    return true
  }

  /** Keeps what is held and is not kept yet, in transactions of about a megabyte: before the position is stored. */
  async keep(held: Pending, lane: Pick<Lane, 'transaction'>): Promise<void> {
    const { streamUid, targetUid, workflowUid } = this.#of
    const names = [streamUid, targetUid, workflowUid].map(quoteString).join(', ')
    let values: string[] = []
    let some: Kept[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      if (values.length === 0) return
      await lane.transaction([
        `REPLACE INTO ${moveSchema}.move_held (stream_uid, target_uid, workflow_uid, table_name, key_hash, held) VALUES ${values.join(', ')}`,
      ])
      for (const one of some) this.#keysOf(one.change.table).set(one.change.key, one)
      ;[values, some, bytes] = [[], [], 0]
    }
    for (const change of held.all()) {
      const { table, key } = change
      if (this.#kept.get(table)?.get(key)?.change === change) continue
      const hash = createHash('sha256').update(key, 'latin1').digest('hex')
      const text = printed(change)
      if (bytes + text.length > this.#of.packetMax - headBytesMax) await flush()
      values.push(`(${names}, ${quoteString(table.name)}, '${hash}', x'${text}')`)
      some.push({ change, hash })
      bytes += text.length + valueBytesMax
      if (bytes >= statementBytesMax) await flush()
    }
    await flush()
  }

  /** Removes what is not held any more: with the position. `done`: once it is committed. */
  remove(held: Pending): { readonly statements: string[]; readonly done: () => void } {
    const gone: Kept[] = []
    for (const keys of this.#kept.values()) for (const one of keys.values()) if (held.of(one.change) === undefined) gone.push(one)
    const statements: string[] = []
    for (let at = 0; at < gone.length; at += removedAtOnce) {
      const which = gone.slice(at, at + removedAtOnce).map(({ change, hash }) => `(${quoteString(change.table.name)}, '${hash}')`)
      statements.push(`DELETE FROM ${moveSchema}.move_held WHERE ${this.#where} AND (table_name, key_hash) IN (${which.join(', ')})`)
    }
    const done = (): void => {
      for (const { change } of gone) {
        const keys = this.#kept.get(change.table)
        keys?.delete(change.key)
        if (keys?.size === 0) this.#kept.delete(change.table)
      }
    }
    return { statements, done }
  }

  #keysOf(table: TablePlan): Map<string, Kept> {
    let keys = this.#kept.get(table)
    if (keys === undefined) this.#kept.set(table, (keys = new Map()))
    return keys
  }

  get #where(): string {
    return streamWhere(this.#of)
  }
}

function printed({ table, key, row, images }: Change): string {
  return Buffer.from(JSON.stringify([table.name, key, row === null ? null : rowText(row), images]), 'utf8').toString('hex')
}
