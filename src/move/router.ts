/**
 * Which target a row belongs to: its shard key through the vindex, the keyspace id through the targets' key ranges. In batches,
 * since some vindexes cost less then (numbers under `hash`: no object for each value and id).
 */
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { parseKeyRange } from '../keyspace/key-range.ts'
import type { VindexValue } from '../keyspace/vindex.ts'
import type { RowBatch } from '../mysql/connection.ts'
import type { RowEncoder } from './row-encoder.ts'

/** What `route` gives for a row that no target holds. */
export const nowhere = -1

export class Router {
  readonly #index: KeyRangeIndex<number>

  constructor(targetShards: readonly string[]) {
    this.#index = new KeyRangeIndex(targetShards.map((shard, value) => ({ range: parseKeyRange(shard), value })))
  }

  /** Target numbers of all rows of a batch, in order. */
  route(encoder: RowEncoder, batch: RowBatch): Int32Array {
    const { plan } = encoder
    const targets = new Int32Array(batch.length)
    const { vindex } = plan
    if (vindex === null) return targets
    const single = plan.shardKey.length === 1 ? plan.shardKey[0] : undefined
    const ids = single?.toUtf8 === null ? (vindex.mapTexts?.(encoder.column(batch, single.index), single.type, batch.length) ?? null) : null
    if (ids !== null) {
      for (let row = 0; row < batch.length; row++) targets[row] = this.#index.findEight(ids, row * 8) ?? nowhere
      return targets
    }
    if (single !== undefined && vindex.mapMany !== undefined) {
      const { toUtf8, index } = single
      const column = new Array<Uint8Array | null>(batch.length)
      for (let row = 0; row < batch.length; row++) {
        const bytes = encoder.cell(batch, row, index)
        column[row] = bytes === null || toUtf8 === null ? bytes : toUtf8(bytes)
      }
      const ids = vindex.mapMany(single.type, column)
      for (let row = 0; row < batch.length; row++) {
        const id = ids[row]
        targets[row] = id === null || id === undefined ? nowhere : (this.#index.find(id) ?? nowhere)
      }
      return targets
    }
    for (let row = 0; row < batch.length; row++) {
      const values = plan.shardKey.map(({ index, type, toUtf8 }): VindexValue => {
        const bytes = encoder.cell(batch, row, index)
        if (bytes === null) return { type: 'NULL', bytes: empty }
        return { type, bytes: toUtf8 === null ? bytes : toUtf8(bytes) }
      })
      const id = vindex.map(values)
      targets[row] = id === null ? nowhere : (this.#index.find(id) ?? nowhere)
    }
    return targets
  }
}

/** Whether every row has the same shard key in both batches: then one routing does for both (nearly every update). */
export function sameShardKeys(encoder: RowEncoder, before: RowBatch, after: RowBatch): boolean {
  for (const { index } of encoder.plan.shardKey) {
    for (let row = 0; row < before.length; row++) if (!encoder.sameCell(before, after, row, index)) return false
  }
  return true
}

const empty = new Uint8Array(0)
