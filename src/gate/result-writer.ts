/**
 * Writes a result set put together at the gate: text rows, or binary ones for prepared statements. Goes out in pieces, and
 * waits for slow clients. Until the first piece is out, nothing of the answer has been passed on.
 */
import { unlessAborted } from '../base/unless-aborted.ts'
import type { BinaryRows } from '../mysql/binary-rows.ts'
import type { ServerConnection } from '../mysql/server-connection.ts'
import type { Column, RawRow } from '../mysql/connection.ts'
import { writeBinaryRow } from '../wire/binary-row.ts'
import { writeEof } from '../wire/eof.ts'
import { writeErr } from '../wire/err.ts'
import { writeTextRow } from '../wire/text-row.ts'
import { Writer } from '../wire/writer.ts'
import { clientError } from './client-error.ts'
import { writeColumns } from './replies.ts'

const pieceBytes = 32 * 1024
/** Of this size Node takes buffers from its pool. */
const firstBytes = 2_000

export class ResultWriter {
  readonly #client: ServerConnection
  readonly #binary: boolean
  readonly #bufferBytesMax: number
  readonly #signal: AbortSignal | null
  #w = new Writer(firstBytes)
  #sequence = 1
  #columns: readonly Column[] = []
  #width = 0
  /** Something went to the client. */
  started = false
  rows = 0
  bytes = 0

  /** @param signal ends the wait for a client that does not read, with its reason */
  constructor(client: ServerConnection, form: 'text' | 'binary', bufferBytesMax: number, signal: AbortSignal | null) {
    this.#client = client
    this.#signal = signal
    this.#binary = form === 'binary'
    this.#bufferBytesMax = bufferBytesMax
  }

  /** With what is not out yet. */
  get bytesSoFar(): number {
    return this.bytes + this.#w.length
  }

  /** Forgets what has not gone out. */
  reset(): void {
    this.#w = new Writer(firstBytes)
    this.#sequence = 1
  }

  columns(columns: readonly Column[], hidden: number, status: number): void {
    this.#width = columns.length - hidden
    this.#columns = columns.slice(0, this.#width)
    this.#sequence = writeColumns(this.#w, this.#columns, status, this.#sequence, this.#client.extendedMetadata)
  }

  /** A promise when the client is slow: wait for it. */
  row(row: RawRow): Promise<void> | undefined {
    const cells = row.length === this.#width ? row : row.slice(0, this.#width)
    this.#w.beginFrame()
    if (this.#binary) writeBinaryRow(this.#w, this.#columns, cells)
    else writeTextRow(this.#w, cells)
    return this.#framed()
  }

  /** A row of an execution for a client's execution, as its server sent it. */
  packet(rows: BinaryRows, row: number): Promise<void> | undefined {
    this.#w.beginFrame()
    rows.writeTo(this.#w, row, this.#width)
    return this.#framed()
  }

  #framed(): Promise<void> | undefined {
    this.#sequence = this.#w.endFrame(this.#sequence)
    this.rows++
    if (this.#w.length < pieceBytes) return undefined
    return this.#flush()
  }

  end(status: number, warnings: number): void {
    this.#w.beginFrame()
    writeEof(this.#w, { warnings: Math.min(warnings, 0xffff), status })
    this.#sequence = this.#w.endFrame(this.#sequence)
    this.#flush()?.catch(() => {})
  }

  /** An error after rows: clients take it in the place of the end. */
  fail(error: unknown): void {
    const { errno, sqlState, message } = clientError(error)
    this.#w.beginFrame()
    writeErr(this.#w, { errno, sqlState, message })
    this.#sequence = this.#w.endFrame(this.#sequence)
    this.#flush()?.catch(() => {})
  }

  #flush(): Promise<void> | undefined {
    this.started = true
    this.bytes += this.#w.length
    this.#client.write(this.#w.take())
    this.#w.reset(firstBytes)
    if (this.#client.bufferedBytes <= this.#bufferBytesMax) return undefined
    return unlessAborted(new Promise<void>((resolve) => this.#client.onDrain(resolve)), this.#signal)
  }
}
