/**
 * A chunk: the rows of a key range as one consistent read saw them, already encoded per target, waiting to land.
 *
 * Rows are written straight into segments of about a megabyte that begin with the INSERT's head, so that an untouched segment is
 * sent as it stands: no copy, no object per row. A segment keeps where its rows and their keys end for the case that some are dropped. Where rows are
 * sent as parameters (`parameter-rows.ts`) there is no head, and what their keys are called is `keyText`'s to say.
 */
import type { KeyText } from './parameter-rows.ts'
import type { TablePlan } from './table-plan.ts'

export class Segment {
  readonly buffer: Buffer
  readonly headBytes: number
  used: number
  /** Rows are parameters; null: literals. */
  readonly keyText: KeyText | null
  /** Columns of JSON_TABLE in it (`json-literal.ts`). */
  fields = 0
  /** Ends of rows, with their trailing comma, and of the keys in them. */
  readonly rowEnds: number[] = []
  readonly keyEnds: number[] = []

  constructor(buffer: Buffer, head: string, keyText: KeyText | null = null) {
    this.buffer = buffer
    this.keyText = keyText
    this.headBytes = buffer.write(head, 0, 'latin1')
    this.used = this.headBytes
  }

  get rows(): number {
    return this.rowEnds.length
  }

  get room(): number {
    return this.buffer.length - this.used
  }

  /** The INSERT as it stands, with what follows its rows. */
  statement(tail = ''): Buffer {
    const rows = this.buffer.subarray(0, this.used - 1)
    return tail === '' ? rows : Buffer.concat([rows, Buffer.from(tail, 'latin1')])
  }

  /** The rows alone: literals each with its trailing comma, which LOAD DATA reads (`bulk-load.ts`), or parameters. */
  rowsAlone(): Buffer {
    return this.buffer.subarray(this.headBytes, this.used)
  }

  key(row: number): string {
    if (this.keyText !== null) return this.keyText(this.buffer, this.#start(row))
    return this.buffer.toString('latin1', this.#start(row) + 1, this.keyEnds[row])
  }

  /** A row's literals without the parentheses. */
  rowLiteral(row: number): string {
    return this.buffer.toString('latin1', this.#start(row) + 1, (this.rowEnds[row] as number) - 2)
  }

  /** The segment without the rows that `drop` names; null when none is left. */
  without(drop: (key: string) => boolean): Segment | null {
    const kept: number[] = []
    for (let row = 0; row < this.rowEnds.length; row++) if (!drop(this.key(row))) kept.push(row)
    if (kept.length === this.rowEnds.length) return this
    if (kept.length === 0) return null
    const out = new Segment(Buffer.allocUnsafe(this.used), this.buffer.toString('latin1', 0, this.headBytes), this.keyText)
    for (const row of kept) {
      const start = this.#start(row)
      const moved = out.used - start
      out.used += this.buffer.copy(out.buffer, out.used, start, this.rowEnds[row])
      out.rowEnds.push(out.used)
      out.keyEnds.push((this.keyEnds[row] as number) + moved)
    }
    return out
  }

  #start(row: number): number {
    return row === 0 ? this.headBytes : (this.rowEnds[row - 1] as number)
  }
}

/** Segment buffers are used again: allocating a gigabyte in megabytes is what makes RSS grow. */
export class SegmentPool {
  readonly #free: Buffer[] = []
  readonly #size: number
  readonly #keepMax: () => number
  outstandingBytes = 0
  #ended = false

  constructor(size: number, keepMax: () => number) {
    this.#size = size
    this.#keepMax = keepMax
  }

  take(head: string, rowBytesMax: number, keyText: KeyText | null = null): Segment {
    const needed = head.length + rowBytesMax
    const buffer = needed > this.#size ? Buffer.allocUnsafeSlow(needed) : (this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size))
    this.outstandingBytes += buffer.length
    return new Segment(buffer, head, keyText)
  }

  giveBack(segment: Segment): void {
    this.outstandingBytes -= segment.buffer.length
    if (!this.#ended && segment.buffer.length === this.#size && this.#free.length < this.#keepMax()) this.#free.push(segment.buffer)
  }

  get keptBytes(): number {
    return this.#free.length * this.#size
  }

  /** The copy is over, and its stream goes on for weeks: nothing is kept from here on. */
  end(): void {
    this.#ended = true
    this.#free.length = 0
  }
}

export type ChunkPart = { segments: Segment[]; rows: number; bytes: number }

/** A range of a table's scan (`scan.ts`) whose rows have all landed on a target. */
export type Completion = {
  readonly path: string
  /** Rows with lo < key <= hi, by the key columns' literals; null is open. */
  readonly lo: readonly string[] | null
  readonly hi: readonly string[] | null
  /** By target number: what landed of it before this chunk. */
  readonly before: readonly { readonly rows: number; readonly bytes: number }[]
}

export type Chunk = {
  readonly table: TablePlan
  /** What is stored with its rows; null: they are a piece of a range that is stored when its last piece lands. */
  completes: Completion | null
  /** Generation of touched keys begun before its low marker; null: thrown away, what was touched since is not known any more. */
  generation: number | null
  /** Number of its high marker: it may land on a target that has applied past it. */
  highMarker: number
  /** By target number; null where it has landed already (a resumed chunk), or was given to nobody. */
  readonly parts: (ChunkPart | null)[]
  /** Targets that it must still land on. */
  remaining: number
  /** A piece of a range that is stored as one: whoever reads that reads it again if it is thrown away. */
  readonly piece: boolean
  /** Targets that it was thrown away for, before it landed there. */
  readonly thrownAway: number[]
  /** Memory it holds. */
  bytes: number
  /** Of its rows as read, for all its targets. */
  rowBytes: number
  rows: number
  /** 1: as many rows or bytes as a chunk aims at. */
  size: number
  /** Monotonic: when its rows were here. */
  readAtMs: number
}
