/** Whether all rows of a range on a target belong there: its shard keys, as one aggregated cell, through the vindex. */
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { keyRangeContains, parseKeyRange, type KeyRange } from '../keyspace/key-range.ts'
import type { VindexValue } from '../keyspace/vindex.ts'
import { LiteralKind, type TablePlan } from '../move/table-plan.ts'

const comma = 0x2c
const colon = 0x3a
const letterN = 0x4e
const empty = new Uint8Array(0)

/**
 * How many of these shard keys lie outside the shard; `incomplete` when the cell was cut by the server: then rows have to be read.
 *
 * @param bytesMax of a cell. One that is as long may have been cut within the last key, of which the rest would be taken for it.
 */
export function countMisplaced(plan: TablePlan, shard: string, cell: Buffer | null, rows: number, bytesMax: number): number | 'incomplete' {
  if (rows === 0) return 0
  const { vindex } = plan
  if (vindex === null) return 0
  if (cell !== null && cell.length >= bytesMax) return 'incomplete'
  const range = parseKeyRange(shard)
  const ids = cell === null ? null : eightByteIds(plan, cell, rows)
  if (ids !== null) {
    const index = new KeyRangeIndex([{ range, value: true }])
    let misplaced = 0
    for (let at = 0; at < ids.length; at += 8) if (index.findEight(ids, at) === undefined) misplaced++
    return misplaced
  }
  const items = cell === null ? [] : split(cell, comma)
  if (items.length !== rows) return 'incomplete'
  const single = plan.shardKey.length === 1 ? plan.shardKey[0] : undefined
  if (single !== undefined && vindex.mapMany !== undefined) {
    const kind = plan.columns[single.index]?.kind
    const column = items.map((item) => decode(item, kind, single.toUtf8))
    let misplaced = 0
    for (const id of vindex.mapMany(single.type, column)) if (!within(range, id)) misplaced++
    return misplaced
  }
  let misplaced = 0
  for (const item of items) {
    const values = split(item, colon).map((part, i): VindexValue => {
      const column = plan.shardKey[i]
      const bytes = column === undefined ? null : decode(part, plan.columns[column.index]?.kind, column.toUtf8)
      return bytes === null || column === undefined ? { type: 'NULL', bytes: empty } : { type: column.type, bytes }
    })
    if (!within(range, vindex.map(values))) misplaced++
  }
  return misplaced
}

/** Without an object for each key, where they are numbers; null: there are not so many, or one of them is none. */
function eightByteIds({ vindex, shardKey, columns }: TablePlan, cell: Buffer, rows: number): Buffer | null {
  const [single, ...others] = shardKey
  if (vindex?.mapTexts === undefined || single === undefined || others.length > 0) return null
  if (columns[single.index]?.kind !== LiteralKind.number) return null
  const spans = new Int32Array(2 * rows)
  let n = 0
  for (let at = 0; at < cell.length; at++) {
    if (cell[at] !== comma) continue
    if (n + 2 >= spans.length) return null
    spans[n + 1] = at
    spans[n + 2] = at + 1
    n += 2
  }
  if (n + 2 !== spans.length) return null
  spans[n + 1] = cell.length
  return vindex.mapTexts({ data: cell, spans, first: 0, step: 2 }, single.type, rows)
}

function within(range: KeyRange, id: Uint8Array | null | undefined): boolean {
  return id !== null && id !== undefined && keyRangeContains(range, id)
}

function decode(item: Buffer, kind: LiteralKind | undefined, toUtf8: ((bytes: Uint8Array) => Uint8Array) | null): Uint8Array | null {
  if (item.length === 1 && item[0] === letterN) return null
  if (kind === LiteralKind.number || kind === LiteralKind.float) return item
  const bytes = Buffer.from(item.toString('latin1'), 'hex')
  return toUtf8 === null ? bytes : toUtf8(bytes)
}

function split(cell: Buffer, separator: number): Buffer[] {
  const items: Buffer[] = []
  let from = 0
  // By hand: the items are a few bytes, and a native search for each costs more than its bytes.
  for (let at = 0; at < cell.length; at++) {
    if (cell[at] !== separator) continue
    items.push(cell.subarray(from, at))
    from = at + 1
  }
  items.push(cell.subarray(from))
  return items
}
