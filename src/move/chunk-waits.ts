/**
 * Chunks that met another stream's row where they were to land (PROTOCOLS 1.6), of one target.
 *
 * Nothing but that stream takes its row away, now or hours later, and whoever tries again meanwhile sends the chunk in vain. So one chunk of a table stands for all of them: they are tried one at a time, each in its turn, with a pause
 * that grows for as long as none of the table lands. Trying again needs no fresh marker: a chunk that may land past its high marker may at any later place.
 */
import type { Clock } from '../base/clock.ts'
import type { Waiting } from './applier-options.ts'
import type { Chunk } from './chunk.ts'
import type { TablePlan } from './table-plan.ts'

const [pauseMsMin, pauseMsMax] = [50, 2_000]

type OfTable = { readonly chunks: Chunk[]; inVain: number; againAtMs: number; readonly sinceMs: number; why: string }

export class ChunkWaits {
  readonly #clock: Pick<Clock, 'nowMs' | 'monotonicMs'>
  readonly #shard: string
  readonly #tables = new Map<TablePlan, OfTable>()

  constructor(clock: Pick<Clock, 'nowMs' | 'monotonicMs'>, shard: string) {
    this.#clock = clock
    this.#shard = shard
  }

  /** It did not land, by this message of the server. */
  collided(chunk: Chunk, why: string): void {
    const { table } = chunk
    let waits = this.#tables.get(table)
    if (waits === undefined) this.#tables.set(table, (waits = { chunks: [], inVain: 0, againAtMs: 0, sinceMs: this.#clock.nowMs(), why }))
    // Its turn comes again behind the others'.
    const wasFirst = waits.chunks[0] === chunk
    if (wasFirst) waits.chunks.shift()
    waits.chunks.push(chunk)
    waits.why = why
    if (!wasFirst && waits.chunks.length > 1) return
    waits.againAtMs = this.#clock.monotonicMs() + Math.min(pauseMsMax, pauseMsMin * 2 ** waits.inVain)
    waits.inVain = Math.min(waits.inVain + 1, 10)
  }

  /** It has landed, or will not. */
  ended(chunk: Chunk, how: 'landed' | 'taken back'): void {
    const waits = this.#tables.get(chunk.table)
    const at = waits?.chunks.indexOf(chunk) ?? -1
    if (waits === undefined || at === -1) return
    waits.chunks.splice(at, 1)
    if (waits.chunks.length === 0) this.#tables.delete(chunk.table)
    // What stood in the way of one has gone: the others may be as far.
    else if (how === 'landed') [waits.inVain, waits.againAtMs] = [0, 0]
  }

  mayLand(chunk: Chunk): boolean {
    const waits = this.#tables.get(chunk.table)
    if (waits === undefined || !waits.chunks.includes(chunk)) return true
    return waits.chunks[0] === chunk && this.#clock.monotonicMs() >= waits.againAtMs
  }

  /** After so long some chunk may be tried again, though nobody rings; null: none waits. At least the least pause, whenever the clock is looked at. */
  get lookAgainMs(): number | null {
    if (this.#tables.size === 0) return null
    const againAtMs = Math.min(...[...this.#tables.values()].map((waits) => waits.againAtMs))
    return Math.max(pauseMsMin, Math.ceil(againAtMs - this.#clock.monotonicMs()))
  }

  get waiting(): Waiting | null {
    const [first] = this.#tables
    if (first === undefined) return null
    const [{ name }, { chunks, sinceMs, why }] = first
    const more = chunks.length === 1 ? '' : `; ${chunks.length} ranges of this table wait so`
    return {
      what: `a row of another source on ${this.#shard} that a copied row of ${name} collides with: ${why}${more}`,
      sinceMs,
      ends: 'the other stream comes to the change that takes its row away, and the range is tried again; if it lasts, two sources hold the same value: correct one of them',
      reason: 'collision',
    }
  }
}
