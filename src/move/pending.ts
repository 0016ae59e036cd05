/**
 * What a target still has to apply: the last image of each key, and the stamp of the transaction it reaches to. A round is this, taken
 * away whole.
 */
import type { Coordinates } from '../binlog/source.ts'
import type { TablePlan } from './table-plan.ts'

/**
 * A large row is the bytes that its statement is sent from, and in memory once; as text it would be there twice while it is written. The rest are texts, which take less than a buffer of their own would.
 */
export type RowLiteral = string | Buffer

/** From here on a row is bytes. */
export const largeRowBytes = 1 << 20

export function rowLiteral(text: string): RowLiteral {
  return text.length > largeRowBytes ? Buffer.from(text, 'latin1') : text
}

/** As text, for the few who look into a row. */
export function rowText(row: RowLiteral): string {
  return typeof row === 'string' ? row : row.toString('latin1')
}

/** The newest that is known of one key. Texts are latin1 views of literal bytes. */
export type Change = {
  readonly table: TablePlan
  /** Literals of the key's columns, separated by commas. */
  readonly key: string
  /** The whole row as `(…)`; null: it is to be gone. */
  readonly row: RowLiteral | null
  /** Shard-key literals of every image of this key in the round; null where the target has one source (PROTOCOLS 1.6). */
  readonly images: readonly string[] | null
}

/** A place between two groups of the source's binlog, and what had passed until there. */
export type Stamp = {
  /** Groups read in this run of the stream. */
  readonly ordinal: number
  /** Where the last of them ends in the source's files; null: none has come in this run. */
  readonly end: Coordinates | null
  readonly position: string
  readonly marker: number
  readonly groups: number
  readonly controlMarker: number
  /** Our wall clock when the last mover marker of this run that has passed was sent; null: none yet. */
  readonly markerAtMs: number | null
  /** When the source committed what has passed, by its clock; null: nothing of this run yet, and no word of it. */
  readonly committedAtMs: number | null
  /** Row changes for any target, read in this run. */
  readonly rowChanges: number
}

export type Round = {
  readonly changes: ReadonlyMap<TablePlan, ReadonlyMap<string, Change>>
  readonly count: number
  readonly bytes: number
  readonly stamp: Stamp
}

export function changeBytes(change: Change): number {
  return change.key.length + (change.row?.length ?? 0) + imagesBytes(change.images) + 160
}

/** Of a row that is the same on every target. */
export const noImages: readonly string[] = []

/** What images take: in memory, and about as much in a statement that names the key with each. */
export function imagesBytes(images: readonly string[] | null): number {
  return images === null ? 0 : (grown.get(images)?.bytes ?? images.reduce((bytes, image) => bytes + imageBytes(image), 0))
}

function imageBytes(image: string): number {
  return 2 * image.length + 60
}

/**
 * Images of keys that had several, with what is in them: a row whose shard key changes a thousand times before its round is applied has a thousand, and each change adds to them where they are. Only
 * the change that is newest holds on to them: whatever was merged into it is not used any more.
 */
const grown = new WeakMap<readonly string[], { readonly has: Set<string>; bytes: number }>()

export class Pending {
  #changes = new Map<TablePlan, Map<string, Change>>()
  #bytes = 0
  #count = 0

  get bytes(): number {
    return this.#bytes
  }

  get count(): number {
    return this.#count
  }

  /** Takes a change that is newer than all before. */
  add(change: Change): void {
    const keys = this.#of(change.table)
    const older = keys.get(change.key)
    if (older === undefined) {
      keys.set(change.key, change)
      this.#count++
      this.#bytes += changeBytes(change)
      return
    }
    this.#bytes -= changeBytes(older)
    const newer = merge(older, change)
    keys.set(change.key, newer)
    this.#bytes += changeBytes(newer)
  }

  take(stamp: Stamp): Round {
    const round: Round = { changes: this.#changes, count: this.#count, bytes: this.#bytes, stamp }
    this.#changes = new Map()
    this.#bytes = 0
    this.#count = 0
    return round
  }

  /** A round that was not kept goes back in front of what has come since. */
  putBack(round: Round): void {
    for (const [table, changes] of round.changes) {
      const keys = this.#of(table)
      for (const [key, older] of changes) {
        const newer = keys.get(key)
        if (newer === undefined) {
          keys.set(key, older)
          this.#count++
          this.#bytes += changeBytes(older)
        } else {
          this.#bytes -= changeBytes(newer)
          const merged = merge(older, newer)
          keys.set(key, merged)
          this.#bytes += changeBytes(merged)
        }
      }
    }
  }

  *all(): Iterable<Change> {
    for (const keys of this.#changes.values()) yield* keys.values()
  }

  /** Of each table the first in the order in which their keys came; a key that was dropped and comes again is the last. */
  first(count: number): Change[] {
    return [...this.#changes.values()].flatMap((keys) => {
      const found: Change[] = []
      for (const change of keys.values()) {
        if (found.length >= count) break
        found.push(change)
      }
      return found
    })
  }

  /** Changes that leave a row. */
  rows(): Change[] {
    return [...this.all()].filter(({ row }) => row !== null)
  }

  has(table: TablePlan, key: string): boolean {
    return this.#changes.get(table)?.has(key) ?? false
  }

  /** What is known of the same key. */
  of({ table, key }: Change): Change | undefined {
    return this.#changes.get(table)?.get(key)
  }

  /** Takes one out, if it is still this one. */
  drop(change: Change): void {
    const keys = this.#changes.get(change.table)
    if (keys?.get(change.key) !== change) return
    keys.delete(change.key)
    this.#count--
    this.#bytes -= changeBytes(change)
  }

  #of(table: TablePlan): Map<string, Change> {
    let keys = this.#changes.get(table)
    if (keys === undefined) this.#changes.set(table, (keys = new Map()))
    return keys
  }
}

function merge(older: Change, newer: Change): Change {
  const [before, since] = [older.images, newer.images]
  if (before === null || since === null) return newer
  if (before.length === 1 && since.length === 1 && before[0] === since[0]) return newer
  const [images, added] = grown.has(since) && since.length > before.length ? [since, before] : [before, since]
  return { ...newer, images: together(images, added) }
}

/** The first with what it lacks of the second; what has grown already goes on growing. */
function together(images: readonly string[], added: readonly string[]): readonly string[] {
  const known = grown.get(images)
  const list = known === undefined ? [...images] : (images as string[])
  const growing = known ?? { has: new Set(list), bytes: imagesBytes(images) }
  for (const image of added) {
    if (growing.has.has(image)) continue
    growing.has.add(image)
    growing.bytes += imageBytes(image)
    list.push(image)
  }
  grown.set(list, growing)
  return list
}
