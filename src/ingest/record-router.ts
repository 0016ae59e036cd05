/** Records to what each shard gets of them. */
import type { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { toHex } from '../keyspace/keyspace-id.ts'
import type { TopicRecord } from '../topic/topic.ts'
import type { Item } from './batch.ts'
import type { Cell } from './codec.ts'
import { versionAt, type VersionFrom } from './decide.ts'
import { ingestErrors } from './errors.ts'
import { keyspaceIdOf, makeRows, type MadeRow, type Maker } from './made-row.ts'

/** Shard keys repeat: their shards are kept, up to so many. */
const cacheMax = 50_000

export class RecordRouter {
  readonly #makers: ReadonlyMap<number, Maker>
  readonly #index: KeyRangeIndex<number>
  readonly #shards: number
  readonly #topicId: string
  readonly #cache = new Map<string, number>()

  constructor(options: { makers: ReadonlyMap<number, Maker>; index: KeyRangeIndex<number>; shards: number; topicId: string }) {
    this.#makers = options.makers
    this.#index = options.index
    this.#shards = options.shards
    this.#topicId = options.topicId
  }

  /** Items by shard, of the shards that it concerns. @throws what makes the record poison */
  route(record: TopicRecord, versions: readonly VersionFrom[]): Map<number, Item> {
    const version = versionAt(versions, record.offset)
    const maker = version === null ? undefined : this.#makers.get(version)
    if (maker === undefined) throw ingestErrors.versionMissing({ topic: this.#topicId, version, has: [...this.#makers.keys()].join(', ') })
    const { rows, eventTimeMs } = makeRows(maker, record, this.#topicId)
    const out = new Map<number, Item>()
    const add = (shard: number, row: MadeRow): void => {
      const item = out.get(shard)
      if (item === undefined) out.set(shard, { record, eventTimeMs, rows: [row], dead: null })
      else (item.rows as MadeRow[]).push(row)
    }
    for (const row of rows) {
      const shard = this.#shardOf(row)
      if (shard === everywhere) for (let i = 0; i < this.#shards; i++) add(i, row)
      else add(shard, row)
    }
    if (out.size > 1) for (const item of out.values()) item.shards = out.size
    return out
  }

  #shardOf(row: MadeRow): number {
    const { plan } = row
    if (plan.vindex === null) return this.#shards === 1 ? 0 : everywhere
    // By what the vindex gets, and by nothing coarser: values that the server takes for equal (trailing spaces) may have other keyspace ids.
    let key = `${plan.vindex.name}/`
    for (const i of plan.shardKey) {
      const value = plan.columns[i]?.codec.vindexValue(row.cells[i] as Cell)
      if (value !== undefined) key += `${value.type} ${value.bytes.length} ${latin1(value.bytes)}`
    }
    const known = this.#cache.get(key)
    if (known !== undefined) return known
    const id = keyspaceIdOf(row)
    const shard = id === null ? everywhere : this.#index.find(id)
    if (shard === undefined) throw ingestErrors.noServing({ keyspace: this.#topicId, id: id === null ? '' : toHex(id) })
    if (this.#cache.size >= cacheMax) this.#cache.clear()
    this.#cache.set(key, shard)
    return shard
  }
}

function latin1(bytes: Uint8Array): string {
  return (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes)).toString('latin1')
}

const everywhere = -1
