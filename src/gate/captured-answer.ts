/** An answer that the session asked for itself (`SET @a = (SELECT …)`): taken where it would go out to the client. */
import type { Column, RawRow } from '../mysql/connection.ts'
import { ServerError } from '../mysql/errors.ts'
import { decodeColumnDefinition } from '../wire/column-definition.ts'
import { decodeErr } from '../wire/err.ts'
import { FrameParser } from '../wire/frames.ts'
import { Reader } from '../wire/reader.ts'
import { scanTextRow } from '../wire/text-row.ts'
import type { Capture } from '../mysql/server-channel.ts'

const okByte = 0x00
const errorByte = 0xff
const eofByte = 0xfe
/** A row may begin with the same byte, and is longer then. */
const eofBytesMax = 8

export class CapturedAnswer implements Capture {
  readonly #frames: Buffer[] = []

  take(frames: Buffer): void {
    // A copy: what a server sent lies in a buffer that is read into again.
    this.#frames.push(Buffer.from(frames))
  }

  restart(): void {
    this.#frames.length = 0
  }

  /** Throws what the client would have been told. */
  rows(extendedMetadata: boolean): { kind: 'rows'; columns: Column[]; rows: RawRow[] } {
    const packets: Buffer[] = []
    const parser = new FrameParser((data, start, end) => void packets.push(data.subarray(start, end)))
    for (const frames of this.#frames) parser.feed(frames)
    const columns: Column[] = []
    const rows: RawRow[] = []
    let left = -1
    for (const packet of packets) {
      if (packet[0] === errorByte) {
        const { errno, sqlState, message } = decodeErr(packet, 0, packet.length)
        throw new ServerError(errno, sqlState, message)
      }
      if (left < 0) {
        if (packet[0] === okByte) break
        left = new Reader(packet).lenenc()
      } else if (left > 0) {
        columns.push(decodeColumnDefinition(packet, 0, packet.length, extendedMetadata))
        left--
      } else if (packet[0] !== eofByte || packet.length > eofBytesMax) rows.push(rowOf(packet, columns.length))
    }
    return { kind: 'rows', columns, rows }
  }
}

function rowOf(packet: Buffer, width: number): RawRow {
  const spans = new Int32Array(width * 2)
  scanTextRow(packet, 0, packet.length, width, spans, 0)
  return Array.from({ length: width }, (_, i) => {
    const from = spans[2 * i] as number
    return from < 0 ? null : packet.subarray(from, spans[2 * i + 1])
  })
}
