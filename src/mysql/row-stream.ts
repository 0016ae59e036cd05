/**
 * A streamed result set. Rows of one read from the socket make one batch: a buffer and the spans of its cells. The socket is
 * paused while more than the bound waits, so memory is the bound, one read and the largest row.
 */
import { scanBinaryRow } from '../wire/binary-row.ts'
import { AnswerScanner, part } from '../wire/answer.ts'
import { columnType } from '../wire/column-types.ts'
import { decodeColumnDefinition } from '../wire/column-definition.ts'
import { com } from '../wire/commands.ts'
import { scanTextRow } from '../wire/text-row.ts'
import { frame } from '../wire/frames.ts'
import type { Channel, Exchange } from './channel.ts'
import type { Column, RowBatch, RowStream } from './connection.ts'
import { BinaryRows } from './binary-rows.ts'
import { SpannedRows } from './spanned-rows.ts'
import { deprecatesEof, noteRefused, serverError, type Owner } from './exchanges.ts'

export class RowStreamExchange implements Exchange, RowStream, AsyncIterator<RowBatch> {
  readonly columns: Column[] = []
  readonly #owner: Owner
  readonly #channel: Channel
  readonly #scanner: AnswerScanner
  readonly #bytesMax: number
  readonly #onColumns: (stream: RowStream) => void
  readonly #onError: (error: Error) => void
  readonly #form: 'text' | 'binary'
  /** Of an execution: where each row's packet begins and ends. */
  #packets: number[] = []
  #exactColumns: readonly Column[] = []
  #announced = false
  #firstSetEnded = false
  #data: Buffer | null = null
  #spans: Int32Array = new Int32Array(0)
  #spansUsed = 0
  #rows = 0
  #rowBytes = 0
  #queue: { batch: RowBatch; bytes: number }[] = []
  #queuedBytes = 0
  #paused = false
  #discarding = false
  #done = false
  #error: Error | null = null
  #wake: (() => void) | null = null

  /** @param form `binary`: the answer of an execution; its cells are made text for whoever asks for them */
  constructor(
    owner: Owner,
    channel: Channel,
    bytesMax: number,
    onColumns: (stream: RowStream) => void,
    onError: (error: Error) => void,
    form: 'text' | 'binary' = 'text',
  ) {
    this.#form = form
    this.#owner = owner
    this.#channel = channel
    this.#bytesMax = bytesMax
    this.#onColumns = onColumns
    this.#onError = onError
    this.#scanner = new AnswerScanner(deprecatesEof(owner), com.query)
  }

  get bufferedBytes(): number {
    return this.#queuedBytes
  }

  get ended(): boolean {
    return this.#done
  }

  get warnings(): number {
    return this.#scanner.warnings
  }

  packet(data: Buffer, start: number, end: number, nextSequence: number): boolean {
    switch (this.#scanner.scan(data, start, end)) {
      case part.row:
        if (!this.#firstSetEnded && !this.#discarding) this.#row(data, start, end)
        return false
      case part.column:
        if (this.#firstSetEnded) return false
        this.columns.push(decodeColumnDefinition(data, start, end, this.#owner.extendedMetadata))
        if (this.columns.length === this.#scanner.columnCount) this.#announce()
        return false
      case part.error:
        this.#flush()
        noteRefused(this.#owner)
        this.#finish(serverError(this.#owner, data, start, end))
        return true
      case part.infile:
        this.#channel.write(frame(Buffer.alloc(0), nextSequence))
        return false
      case part.ok:
        this.#announce()
        this.#firstSetEnded = true
        break
      case part.rowsEnd:
        this.#flush()
        this.#firstSetEnded = true
        break
      default:
    }
    if (!this.#scanner.done) return false
    this.#owner.status = this.#scanner.status
    this.#finish(null)
    return true
  }

  chunkEnd(): void {
    this.#flush()
  }

  fail(error: Error): void {
    this.#finish(error)
  }

  #row(data: Buffer, start: number, end: number): void {
    if (data !== this.#data) {
      this.#flush()
      this.#data = data
    }
    const width = this.columns.length
    const needed = this.#spansUsed + 2 * width
    if (needed > this.#spans.length) {
      const larger = new Int32Array(Math.max(needed, this.#spans.length * 2, 256))
      larger.set(this.#spans)
      this.#spans = larger
    }
    if (this.#form === 'text') scanTextRow(data, start, end, width, this.#spans, this.#spansUsed)
    else {
      scanBinaryRow(data, start, end, this.columns, this.#spans, this.#spansUsed)
      this.#packets.push(start, end)
    }
    this.#spansUsed = needed
    this.#rows++
    this.#rowBytes += end - start
  }

  /** Real numbers with every digit that they have: the text form shows fewer, and whoever asks for the binary one wants them all. */
  #exact(): readonly Column[] {
    if (this.#exactColumns.length !== this.columns.length)
      this.#exactColumns = this.columns.map((column) =>
        column.type === columnType.float || column.type === columnType.double ? { ...column, decimals: 31 } : column,
      )
    return this.#exactColumns
  }

  #flush(): void {
    if (this.#data === null) return
    const spans = this.#spans.subarray(0, this.#spansUsed)
    const batch =
      this.#form === 'text'
        ? new SpannedRows(this.#data, spans, this.#rows, this.columns.length)
        : new BinaryRows(this.#data, Int32Array.from(this.#packets), spans, this.#exact())
    this.#packets = []
    const bytes = this.#rowBytes
    // The next batch gets a new array of about this size: the old one belongs to the reader now.
    this.#spans = new Int32Array(this.#spansUsed)
    this.#data = null
    this.#spansUsed = 0
    this.#rows = 0
    this.#rowBytes = 0
    if (this.#discarding) return
    this.#queue.push({ batch, bytes })
    this.#queuedBytes += bytes
    if (this.#queuedBytes > this.#bytesMax && !this.#paused) {
      this.#paused = true
      this.#channel.pause()
    }
    this.#notify()
  }

  #announce(): void {
    if (this.#announced) return
    this.#announced = true
    this.#onColumns(this)
  }

  #finish(error: Error | null): void {
    this.#done = true
    this.#error = error
    this.#unpause()
    if (!this.#announced && error !== null) {
      this.#announced = true
      this.#onError(error)
    }
    this.#notify()
  }

  #unpause(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#channel.resume()
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  [Symbol.asyncIterator](): AsyncIterator<RowBatch> {
    return this
  }

  async next(): Promise<IteratorResult<RowBatch>> {
    for (;;) {
      const head = this.#queue.shift()
      if (head !== undefined) {
        this.#queuedBytes -= head.bytes
        if (this.#queuedBytes * 2 <= this.#bytesMax) this.#unpause()
        return { done: false, value: head.batch }
      }
      if (this.#done) {
        const error = this.#error
        this.#error = null
        if (error !== null) throw error
        return { done: true, value: undefined }
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async return(): Promise<IteratorResult<RowBatch>> {
    this.#discarding = true
    this.#queue = []
    this.#queuedBytes = 0
    this.#unpause()
    return { done: true, value: undefined }
  }
}
