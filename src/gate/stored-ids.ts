/**
 * Which id an INSERT of several rows names where rows may be left out (IGNORE), or met by ON DUPLICATE KEY UPDATE with ids that the client gave. A server names the first id that it drew and
 * stored, and LAST_INSERT_ID() is that; where it stored none that it drew, the last row's: what was given or drawn for it, or the id of the row that it met, changed or left as it was.
 *
 * Shards' counts do not tell which rows they took: before the COMMIT they are asked, and only when some were left out or the last row's id is not told.
 */
import type { OkResult } from '../mysql/connection.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import type { Routed, RoutedPlan } from './plan/plan.ts'
import type { Runner } from './runner.ts'
import type { WriteHooks } from './scatter-parts.ts'
import { numbersOf } from './scatter-summary.ts'
import type { Transaction } from './transaction.ts'
import type { ShardView } from './view.ts'

/** In one question. */
const idsMax = 1000

type Of = Pick<Routed<ShardView>, 'ofSeveral' | 'firstId'>

/** On one shard its answer may tell it: of ids that the client gave, where the column is an AUTO_INCREMENT. */
export function asksForStored(plan: RoutedPlan, routed: Of): boolean {
  return mayAsk(plan, routed) && (routed.firstId !== null || plan.insert?.sequence?.ofServer === false)
}

function mayAsk({ insert }: RoutedPlan, { ofSeveral, firstId }: Of): boolean {
  return ofSeveral !== undefined && (insert?.onDuplicate === true) === (firstId === null)
}

type Said = { readonly affectedRows: bigint; readonly insertId: bigint; readonly info: string }

export class StoredIds implements WriteHooks {
  readonly #runner: Runner
  readonly #plan: RoutedPlan
  readonly #routed: Routed<ShardView>
  readonly #kept: WriteHooks | null
  /** The first that was drawn and is stored. */
  #first: bigint | null
  #last: bigint | null = null

  /** Null: what the shards say tells it. */
  static of(plan: RoutedPlan, routed: Routed<ShardView>, runner: Runner, kept: WriteHooks | null): StoredIds | null {
    return mayAsk(plan, routed) ? new StoredIds(plan, routed, runner, kept) : null
  }

  constructor(plan: RoutedPlan, routed: Routed<ShardView>, runner: Runner, kept: WriteHooks | null) {
    this.#plan = plan
    this.#routed = routed
    this.#runner = runner
    this.#kept = kept
    this.#first = routed.firstId
  }

  async beforeCommit(results: readonly OkResult[], on: Transaction): Promise<void> {
    await this.#kept?.beforeCommit(results, on)
    let affected = 0n
    for (const { affectedRows } of results) affected += affectedRows
    if (affected === 0n) return
    if (this.#plan.insert?.onDuplicate === true) await this.#askLast(results, on)
    else if (affected < BigInt(this.#plan.insert?.rows.length ?? 0)) await this.#askFirst(results, on)
  }

  async end(): Promise<void> {
    await this.#kept?.end()
  }

  /** @param before what LAST_INSERT_ID() was; `last` of the answer is what it is now */
  named({ affectedRows, insertId, info }: Said, before: bigint): { insertId: bigint; last: bigint } {
    // All were met and left as they were, and the client counts found rows.
    const said = numbersOf(info)
    if (affectedRows === 0n || (said !== null && said[0] === said[1] && affectedRows === said[0])) return { insertId: 0n, last: before }
    if (this.#first !== null) return { insertId: this.#first, last: this.#first }
    return { insertId: this.#last ?? insertId, last: before }
  }

  async #askFirst(results: readonly OkResult[], on: Transaction): Promise<void> {
    const { ofSeveral, sends } = this.#routed
    this.#first = null
    this.#last = ofSeveral?.last ?? null
    for (const [i, { shard }] of sends.entries()) {
      if (results[i]?.affectedRows === 0n) continue
      const drawn = (ofSeveral?.drawn ?? []).filter((one) => one.shard === shard).map(({ id }) => id)
      // They grow from row to row.
      for (let from = 0; from < drawn.length; from += idsMax) {
        const found = await this.#firstOf(drawn.slice(from, from + idsMax), shard, on)
        if (found === null) continue
        if (this.#first === null || found < this.#first) this.#first = found
        break
      }
    }
  }

  /** Its shard has named none: it was met and left as it was, or the column is no AUTO_INCREMENT there. Whom it met by another key than the id is not known. */
  async #askLast(results: readonly OkResult[], on: Transaction): Promise<void> {
    const { ofSeveral, lastRowAt = -1, sends } = this.#routed
    const at = sends[lastRowAt]
    if (at === undefined || results[lastRowAt]?.insertId !== 0n || ofSeveral?.last == null) return
    this.#last = await this.#firstOf([ofSeveral.last], at.shard, on)
  }

  async #firstOf(ids: readonly bigint[], shard: ShardView, on: Transaction): Promise<bigint | null> {
    const { insert, tables } = this.#plan
    const column = quoteIdentifier(insert?.sequence?.column ?? insert?.counted?.column ?? '')
    const { backend } = await this.#runner.openBranch(on, shard, this.#runner.settings.own)
    const found = await backend.connection.value(
      `SELECT MIN(${column}) FROM ${quoteIdentifier(tables[0] ?? '')} WHERE ${column} IN (${ids.join()})`,
    )
    return found == null ? null : BigInt.asUintN(64, BigInt(found))
  }
}
