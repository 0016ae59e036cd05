/**
 * Where the decoders of one part of a rows event read and write: the event's bytes in, canonical bytes and spans out.
 *
 * `out` is [copy of the part's event bytes | text]. A value whose canonical bytes stand in the event as they are (characters, blobs, bits)
 * costs one span into the copy; only numbers, dates and the like are written as text behind it. No object or closure is made per value, and the
 * part owns its bytes: one copy of the event instead of one for each value; a row of megabytes has the event's own.
 */
import { Buffer } from 'node:buffer'

/** Thrown by decoders at a read beyond the event's end; the group decoder turns it into SW-BINLOG-005 with coordinates. */
export class Truncated extends Error {
  override name = 'Truncated'
}

/** Thrown by decoders at bytes that no value of the column's type has; becomes SW-BINLOG-018 with coordinates. */
export class BadValue extends Error {
  override name = 'BadValue'
}

const empty: Buffer = Buffer.alloc(0)

export class RowSink {
  source: Buffer = empty
  /** Next byte to read in `source`. */
  position = 0
  end = 0
  out: Buffer = empty
  /** Next byte to write in `out`. */
  textAt = 0
  spans: Int32Array = new Int32Array(0)
  spanAt = 0
  #base = 0

  /** Starts a part: `out` begins with a copy of source[from, from + copyBytes). */
  begin(source: Buffer, from: number, end: number, copyBytes: number, textBytes: number): void {
    this.source = source
    this.position = from
    this.end = end
    this.#base = from
    this.out = Buffer.allocUnsafe(copyBytes + textBytes)
    source.copy(this.out, 0, from, from + copyBytes)
    this.textAt = copyBytes
  }

  /** The same without a copy, for the last row of an event: `out` is the event itself and the room behind it, which must be the caller's to write to. */
  beginInPlace(source: Buffer, from: number, room: number): void {
    this.source = source
    this.position = from
    this.end = source.length
    this.#base = 0
    this.out = Buffer.from(source.buffer, source.byteOffset, source.length + room)
    this.textAt = source.length
  }

  /** Offset of the next byte to read; moves past `length` bytes. */
  take(length: number): number {
    const at = this.position
    if (at + length > this.end) throw new Truncated(`${length} bytes wanted, ${this.end - at} left`)
    this.position = at + length
    return at
  }

  /** Room for `bytes` more bytes of text. */
  reserve(bytes: number): void {
    if (this.textAt + bytes <= this.out.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.textAt + bytes, Math.ceil(this.out.length * 1.5)))
    this.out.copy(grown)
    this.out = grown
  }

  /** The cell is the next `length` bytes of the event as they are. */
  raw(length: number): void {
    const at = this.take(length) - this.#base
    this.spans[this.spanAt++] = at
    this.spans[this.spanAt++] = at + length
  }

  /** The cell is out[textAt, end), just written. */
  text(end: number): void {
    this.spans[this.spanAt++] = this.textAt
    this.spans[this.spanAt++] = end
    this.textAt = end
  }

  /** The cell is these bytes. */
  bytes(value: Buffer): void {
    this.reserve(value.length)
    value.copy(this.out, this.textAt)
    this.text(this.textAt + value.length)
  }

  ascii(value: string): void {
    this.reserve(value.length)
    this.out.write(value, this.textAt, 'latin1')
    this.text(this.textAt + value.length)
  }

  null(): void {
    this.spans[this.spanAt++] = -1
    this.spans[this.spanAt++] = -1
  }
}
