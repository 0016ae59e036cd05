/**
 * Of each column a server tells which schema it is from: that of the shard. Clients know it by the keyspace's name, and some write it before a table of their own
 * accord (JDBC's updatable results), so that is what they are told.
 */
import type { Column } from '../mysql/connection.ts'
import { HEADER_BYTES } from '../wire/frames.ts'
import type { KeyspaceView, ShardView } from './view.ts'

/** The catalog, "def", with its length: every column definition begins so. */
const catalogBytes = 4

type Names = { readonly from: Buffer; readonly to: Buffer }

const known = new WeakMap<ShardView, Names | null>()

function namesOf(shard: ShardView): Names | null {
  let names = known.get(shard)
  if (names === undefined) {
    const to = databaseOf(shard)
    names = to === shard.schema ? null : { from: Buffer.from(shard.schema), to: Buffer.from(to) }
    known.set(shard, names)
  }
  return names
}

/** What clients call the schema. */
export function databaseOf({ keyspace }: Pick<ShardView, 'keyspace'>): string {
  const at = keyspace.indexOf('@')
  return at < 0 ? keyspace : keyspace.slice(0, at)
}

/** SHOW whose answer has the database's name in it, which is another one on the server. */
export function showsDatabase({ shards }: Pick<KeyspaceView, 'shards'>, sql: Buffer): boolean {
  // The letters S and h, small or capital: this is asked of every statement.
  if (((sql[0] as number) | 0x20) !== 0x73 || ((sql[1] as number) | 0x20) !== 0x68) return false
  if (shards[0] === undefined || shards[0].schema === databaseOf(shards[0])) return false
  return /^SHOW\s+((FULL|EXTENDED)\s+)*(TABLES|CREATE\s+(DATABASE|SCHEMA))\b/i.test(sql.toString('latin1', 0, 100))
}

/** For one answer; null: its columns are named right as they are. */
export function columnNames(shard: ShardView): ColumnNames | null {
  const names = namesOf(shard)
  return names === null ? null : new ColumnNames(names)
}

/** For decoded columns; undefined: as they are. */
export function inKeyspace(shard: ShardView): ((column: Column) => Column) | undefined {
  if (namesOf(shard) === null) return undefined
  const database = databaseOf(shard)
  return (column) => (column.schema === shard.schema ? { ...column, schema: database } : column)
}

/** Whole frames of one answer in, the same with the columns renamed out. */
export class ColumnNames {
  readonly #names: Names
  /** Definitions that are still to come; -1: how many is not known yet. */
  #left = -1

  constructor(names: Names) {
    this.#names = names
  }

  rewrite(frames: Buffer): Buffer {
    if (this.#left === 0) return frames
    const parts: Buffer[] = []
    let copied = 0
    for (let at = 0; at < frames.length && this.#left !== 0;) {
      const end = frameEnd(frames, at)
      if (this.#left < 0) this.#left = columnCount(frames, at + HEADER_BYTES, end)
      else {
        this.#left--
        copied = rename(frames, at, end, this.#names, parts, copied)
      }
      at = end
    }
    if (copied === 0) return frames
    parts.push(frames.subarray(copied))
    return Buffer.concat(parts)
  }
}

/** The answer to a PREPARE, with parameters and columns. */
export function renamedPrepared(answer: Buffer, shard: ShardView): Buffer {
  const names = namesOf(shard)
  if (names === null) return answer
  const parts: Buffer[] = []
  let copied = 0
  for (let at = frameEnd(answer, 0); at < answer.length; at = frameEnd(answer, at))
    copied = rename(answer, at, frameEnd(answer, at), names, parts, copied)
  return Buffer.concat([...parts, answer.subarray(copied)])
}

function frameEnd(frames: Buffer, at: number): number {
  return at + HEADER_BYTES + frames.readUIntLE(at, 3)
}

/** 0: no rows come. */
function columnCount(data: Buffer, start: number, end: number): number {
  const first = start < end ? (data[start] as number) : 0
  if (first < 0xfb) return first
  return first === 0xfc && end - start >= 3 ? data.readUInt16LE(start + 1) : 0
}

/** Up to where the frames have been copied. */
function rename(frames: Buffer, at: number, end: number, { from, to }: Names, parts: Buffer[], copied: number): number {
  const schema = at + HEADER_BYTES + catalogBytes
  if (frames[schema] !== from.length || frames.compare(from, 0, from.length, schema + 1, schema + 1 + from.length) !== 0) return copied
  if (at > copied) parts.push(frames.subarray(copied, at))
  const head = Buffer.allocUnsafe(HEADER_BYTES + catalogBytes + 1 + to.length)
  frames.copy(head, 0, at, schema)
  head.writeUIntLE(end - at - HEADER_BYTES - from.length + to.length, 0, 3)
  head[schema - at] = to.length
  to.copy(head, schema - at + 1)
  parts.push(head, frames.subarray(schema + 1 + from.length, end))
  return end
}
