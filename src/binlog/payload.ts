/**
 * TRANSACTION_PAYLOAD_EVENT: fields (kind, length, value: all lenenc; 1 compression: 0 zstd, 255 none; 2 plain size; 3 compressed size; 0 end), then
 * the payload: whole events with header and without checksum.
 *
 * Small payloads are unpacked at once, on the spot; larger ones are streamed through zstd, so that a transaction of many gigabytes that
 * compresses well passes in bounded memory (promise 8).
 */
import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import { createZstdDecompress, zstdDecompressSync } from 'node:zlib'
import { ByteReader } from './byte-reader.ts'
import { eventHeaderBytes } from './event-types.ts'
import { BadValue } from './row-sink.ts'

/** Payloads of up to this many plain bytes are unpacked in one call. */
export const payloadAtOnceBytesMax = 4 << 20
const sliceBytes = 64 << 10

export type PayloadHeader = { readonly compression: number; readonly plainBytes: number | null; readonly payload: Buffer }

export function parsePayload(body: Buffer): PayloadHeader {
  const reader = new ByteReader(body)
  let compression = 255
  let plainBytes: number | null = null
  let payloadBytes: number | null = null
  for (;;) {
    const kind = reader.lenenc()
    if (kind === 0) break
    const field = new ByteReader(reader.bytes(reader.lenenc()))
    if (kind === 1) payloadBytes = field.lenenc()
    else if (kind === 2) compression = field.lenenc()
    else if (kind === 3) plainBytes = field.lenenc()
  }
  return { compression, plainBytes, payload: payloadBytes === null ? reader.rest() : reader.bytes(payloadBytes) }
}

/** The events inside, one after the other. `take` gives undefined when more must be unpacked first (`fill`) or at the end (`done`). */
export class PayloadEvents {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  #stream: Readable | null = null
  #chunks: AsyncIterator<Buffer> | null = null
  #left: number | null

  constructor(body: Buffer, atOnceBytesMax = payloadAtOnceBytesMax) {
    const { compression, plainBytes, payload } = parsePayload(body)
    if (compression !== 0 && compression !== 255) throw new BadValue(`compression ${compression} of a transaction`)
    this.#left = plainBytes
    if (compression === 255) this.#bytes = payload
    else if (plainBytes !== null && plainBytes <= atOnceBytesMax) {
      try {
        this.#bytes = zstdDecompressSync(payload, { maxOutputLength: plainBytes + 1 })
      } catch (error) {
        throw new BadValue(`zstd: ${error instanceof Error ? error.message : String(error)}`)
      }
      if (this.#bytes.length !== plainBytes) throw new BadValue(`${this.#bytes.length} bytes unpacked where ${plainBytes} were promised`)
    } else {
      const zstd = createZstdDecompress()
      Readable.from(slices(payload), { objectMode: false })
        .on('error', (error) => zstd.destroy(error))
        .pipe(zstd)
      // The iterator listens only from its first `next` on; an error before that must not end the process. It is still told by `next`.
      zstd.on('error', () => {})
      this.#stream = zstd
      this.#chunks = zstd[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    }
  }

  get done(): boolean {
    return this.#chunks === null && this.#at === this.#bytes.length
  }

  take(): Buffer | undefined {
    const left = this.#bytes.length - this.#at
    const size = left < eventHeaderBytes ? null : this.#bytes.readUInt32LE(this.#at + 9)
    if (size !== null && size < eventHeaderBytes) throw new BadValue(`an event of ${size} bytes in a compressed transaction`)
    if (size === null || size > left) {
      if (this.#chunks === null && left > 0) throw new BadValue('a compressed transaction ends in the middle of an event')
      return undefined
    }
    const event = this.#bytes.subarray(this.#at, this.#at + size)
    this.#at += size
    return event
  }

  /** Unpacks until the next event is whole, or all is unpacked. */
  async fill(): Promise<void> {
    const chunks = this.#chunks
    if (chunks === null) return
    const parts = [this.#bytes.subarray(this.#at)]
    let bytes = this.#bytes.length - this.#at
    let wanted = eventSize(parts[0] as Buffer)
    try {
      while (bytes < wanted) {
        const { done, value } = await chunks.next()
        if (done === true) {
          this.#chunks = null
          if (this.#left !== null && this.#left !== 0)
            throw new BadValue(`${this.#left} bytes too few or too many in a compressed transaction`)
          break
        }
        parts.push(value)
        bytes += value.length
        if (this.#left !== null) this.#left -= value.length
        if (wanted === eventHeaderBytes && bytes >= eventHeaderBytes) {
          const joined = Buffer.concat(parts)
          parts.length = 0
          parts.push(joined)
          wanted = eventSize(joined)
        }
      }
    } catch (error) {
      if (error instanceof BadValue) throw error
      throw new BadValue(`zstd: ${error instanceof Error ? error.message : String(error)}`)
    }
    this.#bytes = Buffer.concat(parts)
    this.#at = 0
  }

  close(): void {
    this.#stream?.destroy()
    this.#chunks = null
  }
}

function eventSize(start: Buffer): number {
  return start.length < eventHeaderBytes ? eventHeaderBytes : Math.max(start.readUInt32LE(9), eventHeaderBytes)
}

function* slices(payload: Buffer): Generator<Buffer> {
  for (let at = 0; at < payload.length; at += sliceBytes) yield payload.subarray(at, at + sliceBytes)
}
