/**
 * Reads chunks of one table after another and hands their rows, encoded, to the targets (PROTOCOLS 1.3, 1.4).
 *
 * The order that makes a chunk right: a generation of touched keys is begun, then a low marker committed, then the read sent; when its
 * first row is here (the read's snapshot stands), the high marker is sent. The next chunk is read meanwhile; its low marker may be the high
 * marker of this one, since that was committed before its read is sent.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection, RowBatch } from '../mysql/connection.ts'
import { quoteIdentifier, quoteQualified } from '../sql/quote.ts'
import type { Chunk, ChunkPart, SegmentPool } from './chunk.ts'
import type { Failpoints } from './crash-points.ts'
import { moveErrors } from './errors.ts'
import type { Markers } from './markers.ts'
import { nowhere, type Router } from './router.ts'
import { RowEncoder } from './row-encoder.ts'
import { asBytes, insertHead, orderBy, rangeCondition, splitLiterals, type WriteMode } from './statements.ts'
import type { ScanRange } from './scan.ts'
import type { TablePlan } from './table-plan.ts'

/** PROTOCOLS 1.3. */
export const chunkBytesMax = 16 << 20
const chunkMs = 500
/** Fewer are not asked for because a server is slow: each chunk has its own cost. */
const timedRowsMin = 100
/** Head and packet around a row. */
const statementRestBytes = 1024

export type ChunkReaderOptions = {
  sourceName: string
  targets: readonly { schema: string; mode: WriteMode; statementBytesMax: number; name: string }[]
  router: Router
  markers: Markers
  pool: SegmentPool
  clock: Clock
  failpoints: Failpoints
  /** What a chunk aims at: whichever comes first. */
  chunkBytes: number
  chunkRows: number
  segmentBytes: number
  /** Waits until memory, the throttle and the rate allow another chunk. */
  admit: (signal: AbortSignal) => Promise<void>
  onRows: (table: TablePlan, rows: number, bytes: number) => void
  /** How long a chunk's read took. */
  onRead: (ms: number) => void
  /** The chunk is complete and its high marker committed. */
  onChunk: (chunk: Chunk, targets: readonly number[]) => void
}

export class ChunkReader {
  readonly #options: ChunkReaderOptions
  readonly #conn: Connection
  readonly #keyName: string
  readonly #table: TablePlan
  readonly #encoder: RowEncoder
  readonly #heads: readonly string[]
  #rowsPerChunk: number

  constructor(options: ChunkReaderOptions, conn: Connection, table: TablePlan, keyName: string, averageRowBytes: number) {
    this.#options = options
    this.#conn = conn
    this.#table = table
    this.#keyName = keyName
    this.#encoder = new RowEncoder(table, 'selected')
    this.#heads = options.targets.map(({ schema, mode }) => insertHead(table, mode === 'one-source' ? 'REPLACE' : 'INSERT', schema))
    this.#rowsPerChunk = this.#clamp(options.chunkBytes / Math.max(32, averageRowBytes))
  }

  /** Reads a range in chunks. High markers are awaited in the background; `settled` collects their failures. */
  async read(range: ScanRange, signal: AbortSignal, settled: (work: Promise<void>) => void): Promise<void> {
    let lo = range.lo
    while (!signal.aborted) {
      await this.#options.admit(signal)
      if (signal.aborted) return
      const limit = range.exactPath === null ? this.#rowsPerChunk : null
      const { chunk, high, whole } = await this.#readChunk(range, lo, limit)
      settled(this.#deliver(chunk, high, range.targets))
      if (whole) return
      lo = chunk.hi
    }
  }

  async #deliver(chunk: Chunk, high: Promise<number>, targets: readonly number[]): Promise<void> {
    chunk.highMarker = await high
    await this.#options.failpoints.hit('copy.afterRead')
    this.#options.onChunk(chunk, targets)
  }

  async #readChunk(
    range: ScanRange,
    lo: readonly string[] | null,
    limit: number | null,
  ): Promise<{ chunk: Chunk; high: Promise<number>; whole: boolean }> {
    const { markers, clock } = this.#options
    const table = this.#table
    const low = await markers.low()
    const condition = rangeCondition(table.keyColumns, lo, range.hi)
    const sql =
      `SELECT ${asBytes(table.selectList)} FROM ${asBytes(quoteQualified(table.schema, table.name))} FORCE INDEX (${asBytes(quoteIdentifier(this.#keyName))})` +
      (condition === '' ? '' : ` WHERE ${condition}`) +
      ` ORDER BY ${orderBy(table.keyColumns)}` +
      (limit === null ? '' : ` LIMIT ${limit}`)
    const startedMs = clock.monotonicMs()
    const stream = await this.#conn.rows(Buffer.from(sql, 'latin1'), { bufferBytesMax: 2 << 20 })
    const chunk: Chunk = {
      table,
      path: range.nextPath(),
      lo,
      hi: range.hi,
      generation: low.generation,
      highMarker: 0,
      parts: this.#options.targets.map((_, i): ChunkPart | null =>
        range.targets.includes(i) ? { segments: [], rows: 0, bytes: 0 } : null,
      ),
      remaining: range.targets.length,
      bytes: 0,
      rowBytes: 0,
      rows: 0,
      size: 0,
      readAtMs: 0,
    }
    let high: Promise<number> | null = null
    let lastKey: string | null = null
    let cut = false
    for await (const batch of stream) {
      high ??= markers.write().then((marker) => marker.number)
      lastKey = this.#takeBatch(chunk, batch) ?? lastKey
      if (chunk.bytes > chunkBytesMax && limit !== null) {
        cut = true
        break
      }
    }
    high ??= markers.write().then((marker) => marker.number)
    // It is awaited by whoever delivers the chunk; a failure before that must not be an unhandled one.
    high.catch(() => undefined)
    let memory = 0
    for (const part of chunk.parts) for (const segment of part?.segments ?? []) memory += segment.buffer.length
    chunk.rowBytes = chunk.bytes
    chunk.size = Math.max(chunk.rowBytes / this.#options.chunkBytes, chunk.rows / this.#options.chunkRows)
    chunk.bytes = memory
    const whole = limit === null || (!cut && chunk.rows < limit)
    if (!whole && lastKey !== null) chunk.hi = splitLiterals(lastKey)
    chunk.readAtMs = clock.monotonicMs()
    const ms = chunk.readAtMs - startedMs
    this.#options.onRead(ms)
    if (limit !== null) this.#adapt(chunk, ms, limit, cut)
    return { chunk, high, whole }
  }

  /** Encodes a batch into the parts of its targets; returns the literal of its last key. */
  #takeBatch(chunk: Chunk, batch: RowBatch): string | null {
    const { router, targets } = this.#options
    const encoder = this.#encoder
    const table = this.#table
    const routed = table.reference ? null : router.route(encoder, batch)
    const before = chunk.bytes
    for (let row = 0; row < batch.length; row++) {
      const bytesMax = encoder.bytesMax(batch, row)
      if (routed === null) {
        for (let target = 0; target < targets.length; target++) this.#put(chunk, target, batch, row, bytesMax)
        continue
      }
      const target = routed[row] as number
      if (target === nowhere) this.#unroutable(batch, row)
      this.#put(chunk, target, batch, row, bytesMax)
    }
    chunk.rows += batch.length
    this.#options.onRows(table, batch.length, chunk.bytes - before)
    if (batch.length === 0) return null
    return this.#keyLiteral(batch, batch.length - 1)
  }

  #put(chunk: Chunk, target: number, batch: RowBatch, row: number, bytesMax: number): void {
    const part = chunk.parts[target]
    if (part === null || part === undefined) return
    const { pool } = this.#options
    let segment = part.segments[part.segments.length - 1]
    if (segment === undefined || segment.room < bytesMax) {
      segment = pool.take(this.#heads[target] ?? '', bytesMax)
      part.segments.push(segment)
    }
    const end = this.#encoder.encode(batch, row, segment.buffer, segment.used)
    const bytes = end - segment.used
    this.#checkSize(bytes, target)
    segment.keyEnds.push(this.#encoder.keyEnd)
    segment.rowEnds.push(end)
    segment.used = end
    part.rows++
    part.bytes += bytes
    chunk.bytes += bytes
  }

  #checkSize(rowBytes: number, target: number): void {
    const { statementBytesMax: max = 0, name } = this.#options.targets[target] ?? {}
    const bytes = rowBytes + statementRestBytes
    if (bytes > max) throw moveErrors.rowTooLarge({ table: this.#table.name, bytes, target: name, max })
  }

  #keyLiteral(batch: RowBatch, row: number): string {
    const out = Buffer.allocUnsafe(this.#encoder.bytesMax(batch, row))
    const end = this.#encoder.encodeSome(
      batch,
      row,
      this.#table.keyColumns.map((_, i) => i),
      out,
      0,
    )
    return out.toString('latin1', 0, end)
  }

  #unroutable(batch: RowBatch, row: number): never {
    const out = Buffer.allocUnsafe(this.#encoder.bytesMax(batch, row))
    const end = this.#encoder.encodeSome(
      batch,
      row,
      this.#table.shardKey.map(({ index }) => index),
      out,
      0,
    )
    throw moveErrors.unroutable({
      table: this.#table.name,
      source: this.#options.sourceName,
      key: this.#keyLiteral(batch, row),
      shardKey: out.toString('latin1', 0, end),
      at: 'copy',
    })
  }

  /**
   * Half a second a chunk at most, and the bytes aimed at. What is behind a cut was sent in vain: rows of 15 MiB that were
   * asked for a hundred at a time were sent many times each.
   */
  #adapt(chunk: Chunk, ms: number, limit: number, cut: boolean): void {
    if (chunk.rows < Math.min(limit, 100) && !cut) return
    let used = 0
    for (const part of chunk.parts) used += part?.bytes ?? 0
    const byBytes = (this.#options.chunkBytes / Math.max(1, used)) * chunk.rows
    const byTime = Math.max(timedRowsMin, (chunkMs / Math.max(1, ms)) * chunk.rows)
    // Behind a cut the next rows are as large as its last; how many small ones came before them says nothing.
    this.#rowsPerChunk = cut ? 1 : this.#clamp(Math.min(byBytes, byTime, limit * 4))
  }
  #clamp(rows: number): number {
    return Math.max(1, Math.min(this.#options.chunkRows, Math.floor(rows)))
  }
}
