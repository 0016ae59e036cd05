/**
 * WRITE_ROWS, UPDATE_ROWS, DELETE_ROWS, v1 and v2, and MariaDB's compressed v1.
 *
 *     table id (6) flags (2) [v2: extra length (2, itself included) extra] | columns (lenenc) | present bits (before, or only image) |
 *     [update: present bits (after)] | rows: image, or before image and after image
 *     image := null bits of the present columns | values in column order
 *
 * Decoded in parts of some size, so that one event of a gigabyte does not become two; a row is never split. One that is larger than a part is not copied where that can be helped: an UPDATE of a row of 17 MiB has it twice.
 */
import { assert } from '../base/assert.ts'
import { Buffer } from 'node:buffer'
import { ByteReader } from './byte-reader.ts'
import type { DecodedTable } from './decoded-table.ts'
import { binlogErrors } from './errors.ts'
import { unpackMariadb } from './mariadb-compressed.ts'
import { SpannedRows } from '../mysql/spanned-rows.ts'
import { BadValue, RowSink, Truncated } from './row-sink.ts'
import type { ChangeKind, Coordinates, RowsEvent } from './source.ts'

export type RowsHeader = {
  readonly tableId: number
  /** STMT_END_F: the statement's last rows event; table ids end with it. */
  readonly endOfStatement: boolean
  /** Neither USE_SQL_FOREIGN_KEY_F (MySQL from 9.6 on: the server follows foreign keys, and logs the rows) nor NO_FOREIGN_KEY_CHECKS_F (nobody does). */
  readonly engineCascades: boolean
  readonly bodyAt: number
}

const stmtEnd = 1
const noForeignKeyChecks = 2
/** Not in the manual; *tried* on 9.7.4, as SHOW BINLOG EVENTS names it. */
const useSqlForeignKey = 0x10

/** MySQL and MariaDB send this id with only STMT_END_F to drop all table maps. */
export const dummyTableId = 0xffffff

export function parseRowsHeader(body: Buffer, version: 1 | 2): RowsHeader {
  const reader = new ByteReader(body)
  const tableId = reader.u48()
  const flags = reader.u16()
  if (version === 2) reader.skip(reader.u16() - 2)
  return {
    tableId,
    endOfStatement: (flags & stmtEnd) !== 0,
    engineCascades: (flags & (useSqlForeignKey | noForeignKeyChecks)) === 0,
    bodyAt: reader.position,
  }
}

export const rowsPartBytes = 1 << 20

export type RowsShape = {
  readonly change: ChangeKind
  readonly compressed: boolean
  readonly engineCascades: boolean
  readonly at: Coordinates
  /** Bytes behind the body that nobody else uses. */
  readonly room: number
}

// Scratch spans grow to the widest part seen and are reused: decoding is synchronous, so one pair for the process is enough.
let beforeScratch: Int32Array = new Int32Array(4096)
let afterScratch: Int32Array = new Int32Array(4096)

/** The parts of one rows event, decoded one at a time. */
export class RowsParts {
  readonly #decoded: DecodedTable
  readonly #shape: RowsShape
  #body: Buffer
  readonly #partBytes: number
  readonly #sink = new RowSink()
  #position: number

  /** @throws partialRowImage, definitionMismatch; BadValue and Truncated raw (the group decoder adds coordinates) */
  constructor(body: Buffer, bodyAt: number, decoded: DecodedTable, shape: RowsShape, partBytes = rowsPartBytes) {
    this.#decoded = decoded
    this.#shape = shape
    this.#partBytes = partBytes
    const width = decoded.decoders.length
    const table = `${decoded.table.schema}.${decoded.table.name}`
    const reader = new ByteReader(body, bodyAt)
    const columns = reader.lenenc()
    if (columns !== width) {
      throw binlogErrors.definitionMismatch({ table, difference: `${columns} columns in the row event, ${width} in its table map` })
    }
    for (let image = shape.change === 'update' ? 2 : 1; image > 0; image--) {
      if (!allSet(reader.bytes((width + 7) >> 3), width)) throw binlogErrors.partialRowImage({ table })
    }
    if (shape.compressed) {
      this.#body = unpackMariadb(reader.rest())
      this.#position = 0
    } else {
      this.#body = body
      this.#position = reader.position
    }
  }

  /** Next part, or undefined when all rows were given. */
  next(): RowsEvent | undefined {
    const left = this.#body.length - this.#position
    if (left === 0) return undefined
    const part = this.#decode(Math.min(left, this.#partBytes))
    if (typeof part !== 'number') return part
    // A single row larger than a part: by itself. The last one may keep the event's own bytes, whose room nobody needs any more.
    const inPlace = this.#shape.room > 0 && part === left
    const alone = this.#decode(part, inPlace)
    assert(typeof alone !== 'number', 'a row has the size that it had')
    return alone
  }

  /** Whole rows that fit in `copyBytes`; or, when not even one does, the bytes of that one. */
  #decode(copyBytes: number, inPlace = false): RowsEvent | number {
    const sink = this.#sink
    const start = this.#position
    const limit = start + copyBytes
    const { decoders, table } = this.#decoded
    const width = decoders.length
    const { change, at } = this.#shape
    const update = change === 'update'
    // Text is mostly shorter than the binary of a row of mixed types; the sink grows when it is not.
    if (inPlace) sink.beginInPlace(this.#body, start, this.#shape.room)
    else sink.begin(this.#body, start, this.#body.length, copyBytes, 64 + Math.min(copyBytes >> 1, textBytesMax))
    let rows = 0
    let spansUsed = 0
    let before = beforeScratch
    let after = afterScratch
    let textAt = sink.textAt
    while (sink.position < this.#body.length) {
      if (spansUsed + 2 * width > before.length) {
        before = beforeScratch = grown(before)
        after = afterScratch = grown(after)
      }
      const rowAt = sink.position
      this.#image(change === 'insert' ? after : before, spansUsed)
      if (update) this.#image(after, spansUsed)
      if (sink.position === rowAt) throw new BadValue('a row of no bytes')
      if (sink.position > limit) {
        if (rows === 0) return sink.position - rowAt
        sink.position = rowAt
        break
      }
      textAt = sink.textAt
      spansUsed += 2 * width
      rows++
    }
    this.#position = sink.position
    const data = sink.out.subarray(0, textAt)
    sink.out = noBytes
    sink.source = noBytes
    // The event itself is let go with its last row, not when somebody asks for more.
    if (this.#position === this.#body.length) {
      this.#body = noBytes
      this.#position = 0
    }
    const batch = (spans: Int32Array): SpannedRows => new SpannedRows(data, spans.slice(0, spansUsed), rows, width)
    return {
      kind: 'rows',
      table,
      change,
      length: rows,
      before: change === 'insert' ? null : batch(before),
      after: change === 'delete' ? null : batch(after),
      bytes: data.length + spansUsed * (update ? 8 : 4),
      engineCascades: this.#shape.engineCascades,
      at,
    }
  }

  #image(spans: Int32Array, spanAt: number): void {
    const sink = this.#sink
    const { decoders, table } = this.#decoded
    const width = decoders.length
    sink.spans = spans
    sink.spanAt = spanAt
    const { source } = sink
    const nulls = sink.take((width + 7) >> 3)
    try {
      for (let column = 0; column < width; column++) {
        if (((source[nulls + (column >> 3)] as number) & (1 << (column & 7))) !== 0) sink.null()
        else (decoders[column] as (sink: RowSink) => void)(sink)
      }
    } catch (error) {
      if (!(error instanceof BadValue) && !(error instanceof Truncated)) throw error
      const column = table.columns[(sink.spanAt - spanAt) >> 1]?.name ?? '?'
      throw binlogErrors.badValue({ table: `${table.schema}.${table.name}`, column, reason: error.message }, error)
    }
  }
}

const noBytes = Buffer.alloc(0)
/** Rows of megabytes are hardly ever numbers. */
const textBytesMax = 1 << 20

function grown(spans: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(spans.length * 2)
  larger.set(spans)
  return larger
}

function allSet(bits: Buffer, count: number): boolean {
  for (let i = 0; i < count; i++) if (((bits[i >> 3] as number) & (1 << (i & 7))) === 0) return false
  return true
}
