/**
 * Relays an answer as raw frames: runs of whole frames go to the sink as one slice of the chunk they came in, so a result set
 * of a thousand rows costs one scan of its headers and a few slices. Only the last packet of the answer is looked into.
 */
import { AnswerScanner, part } from '../wire/answer.ts'
import { com } from '../wire/commands.ts'
import { decodeErr } from '../wire/err.ts'
import { frame, HEADER_BYTES } from '../wire/frames.ts'
import type { Channel, Exchange } from './channel.ts'
import type { RelaySink } from './connection.ts'
import { deprecatesEof, noteRefused, type Owner } from './exchanges.ts'

/** Of an ERR packet, before its text: 0xff, number, # and SQLSTATE. */
const errorHeadBytes = 9

export class RelayExchange implements Exchange {
  readonly rawFrames = true
  readonly #owner: Owner
  readonly #channel: Channel
  readonly #sink: RelaySink
  readonly #scanner: AnswerScanner
  readonly #command: number
  #data: Buffer | null = null
  #from = 0
  #to = 0

  constructor(owner: Owner, channel: Channel, sink: RelaySink, command: number) {
    this.#owner = owner
    this.#channel = channel
    this.#sink = sink
    this.#command = command
    this.#scanner = new AnswerScanner(deprecatesEof(owner), command)
  }

  packet(data: Buffer, start: number, end: number, nextSequence: number): boolean {
    const scanner = this.#scanner
    const kind = scanner.scanFrame(data, start, end)
    if (scanner.done) {
      this.#flush()
      const frameBytes = data.subarray(start - HEADER_BYTES, end)
      if (kind === part.error) {
        if (this.#command === com.query || this.#command === com.stmtExecute) noteRefused(this.#owner)
        const told = this.#told(data, start, end)
        const frame = told ?? frameBytes
        const err = decodeErr(frame, HEADER_BYTES, frame.length)
        this.#sink.end({ kind: 'error', frame, ...err, hadRows: scanner.hadRows, rows: scanner.rows })
      } else {
        // The answer to a prepare or to statistics has no status: the connection's stands.
        if (kind === part.ok || kind === part.rowsEnd || (kind === part.columnsEnd && this.#command !== com.stmtPrepare)) {
          this.#owner.status = scanner.status
        }
        const { warnings, hadRows, rows } = scanner
        this.#sink.end({ kind: 'ok', frame: frameBytes, status: this.#owner.status, warnings, hadRows, rows })
      }
      return true
    }
    if (kind === part.infile) {
      this.#flush()
      if (this.#sink.infile !== undefined) this.#sink.infile(data.subarray(start - HEADER_BYTES, end))
      else this.#channel.write(frame(Buffer.alloc(0), nextSequence))
      return false
    }
    if (data !== this.#data) {
      this.#flush()
      this.#data = data
      this.#from = start - HEADER_BYTES
    }
    this.#to = end
    return false
  }

  chunkEnd(): void {
    this.#flush()
  }

  fail(error: Error): void {
    this.#sink.fail(error)
  }

  /** The frame of an error in other words; null: as it came. */
  #told(data: Buffer, start: number, end: number): Buffer | null {
    const words = start + errorHeadBytes
    if (this.#owner.told === null || end <= words) return null
    const text = this.#owner.told(data.readUInt16LE(start + 1), data.subarray(words, end))
    if (text === null) return null
    const frame = Buffer.concat([data.subarray(start - HEADER_BYTES, words), text])
    frame.writeUIntLE(frame.length - HEADER_BYTES, 0, 3)
    return frame
  }

  #flush(): void {
    const data = this.#data
    if (data === null) return
    this.#data = null
    this.#sink.bytes(this.#from === 0 && this.#to === data.length ? data : data.subarray(this.#from, this.#to), this.#scanner.rows)
  }
}
