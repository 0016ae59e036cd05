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
import { ShapedSelect } from './document-shapes.ts'
import { moveErrors } from './errors.ts'
import { fieldsMax } from './json-literal.ts'
import type { Markers } from './markers.ts'
import { keyTextOf, takesParameters, type KeyText } from './parameter-rows.ts'
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

export type CopyTarget = {
  readonly schema: string
  readonly mode: WriteMode
  readonly statementBytesMax: number
  readonly name: string
  /** Its server takes many rows as parameters of one statement (`parameter-rows.ts`). */
  readonly parameterRows: boolean
}

export type ChunkReaderOptions = {
  sourceName: string
  targets: readonly CopyTarget[]
  router: Router
  markers: Markers
  pool: SegmentPool
  clock: Clock
  failpoints: Failpoints
  /** What a chunk aims at: whichever comes first. */
  chunkBytes: number
  chunkRows: number
  segmentBytes: number
  /** Of what the source has sent and was not looked at yet. */
  readBufferBytes: () => number
  /** Waits until memory, the throttle and the rate allow another chunk. */
  admit: (signal: AbortSignal) => Promise<void>
  onRows: (table: TablePlan, rows: number, bytes: number) => void
  /** How long a chunk's read took. */
  onRead: (ms: number) => void
  /** Its low marker stands and its read is sent now. */
  onBegin: (chunk: Chunk) => void
  /** It is complete, and its high marker is on its way. */
  onDelivering: () => void
  /** The chunk is complete and its high marker committed. */
  onChunk: (chunk: Chunk, targets: readonly number[]) => void
  /** Waits until a chunk waits for no target any more; returns those that it was thrown away for. */
  ended: (chunk: Chunk, signal: AbortSignal) => Promise<readonly number[]>
  /** No chunk has more rows than this. */
  rowsMax: number
}

export class ChunkReader {
  readonly #options: ChunkReaderOptions
  readonly #conn: Connection
  readonly #keyName: string
  readonly #table: TablePlan
  readonly #encoder: RowEncoder
  readonly #select: ShapedSelect
  /** By target: what its segments begin with; a KeyText where rows are parameters. */
  readonly #forms: readonly (string | KeyText)[]
  #rowsPerChunk: number
  #rowsMax: number

  constructor(options: ChunkReaderOptions, conn: Connection, table: TablePlan, keyName: string, averageRowBytes: number) {
    this.#options = options
    this.#conn = conn
    this.#table = table
    this.#keyName = keyName
    this.#encoder = new RowEncoder(table, 'selected')
    this.#select = new ShapedSelect(table)
    const keyText = takesParameters(table) ? keyTextOf(table) : null
    this.#forms = options.targets.map(({ schema, mode, parameterRows }) => {
      if (keyText !== null && parameterRows && mode === 'one-source') return keyText
      return insertHead(table, mode === 'one-source' ? 'REPLACE' : 'INSERT', schema)
    })
    this.#rowsMax = options.rowsMax
    this.#rowsPerChunk = this.#clamp(options.chunkBytes / Math.max(32, averageRowBytes))
  }

  /** Reads a range in chunks. High markers are awaited in the background; `settled` collects their failures. */
  async read(range: ScanRange, signal: AbortSignal, settled: (work: Promise<void>) => void): Promise<void> {
    if (range.exactPath !== null) return this.#readPieces(range, range.exactPath, signal, settled)
    let from = range.lo
    while (!signal.aborted) {
      await this.#options.admit(signal)
      if (signal.aborted) return
      const { chunk, high, to } = await this.#readChunk({ ...range, lo: from }, false)
      chunk.completes = { path: range.nextPath(), lo: from, hi: to ?? range.hi, before: [] }
      settled(this.#deliver(chunk, high, range.targets))
      if (to === null) return
      from = to
    }
  }

  /**
   * A range that is stored as one: it may hold more now than a chunk may have (rows have come since it was first read; the last one is open-ended). Its pieces land one after another, and the
   * range is stored with the last, so that a crash in between has it read again whole; rows of pieces that have landed are then replaced by equal ones, or with several sources left out (`own-rows.ts`). A piece that was thrown away is read again.
   */
  async #readPieces(range: ScanRange, path: string, signal: AbortSignal, settled: (work: Promise<void>) => void): Promise<void> {
    const before = this.#options.targets.map(() => ({ rows: 0, bytes: 0 }))
    let { lo: from, targets } = range
    while (!signal.aborted) {
      await this.#options.admit(signal)
      if (signal.aborted) return
      const { chunk, high, to } = await this.#readChunk({ lo: from, hi: range.hi, targets }, true)
      if (to === null) chunk.completes = { path, lo: range.lo, hi: range.hi, before: before.map((landed) => ({ ...landed })) }
      const parts = chunk.parts.map((part) => ({ rows: part?.rows ?? 0, bytes: part?.bytes ?? 0 }))
      settled(this.#deliver(chunk, high, targets))
      const thrownAway = await this.#options.ended(chunk, signal)
      if (thrownAway.length > 0) {
        this.#rowsMax = Math.max(timedRowsMin, Math.ceil(chunk.rows / 2))
        this.#rowsPerChunk = this.#clamp(this.#rowsPerChunk)
        // Where the last piece has landed the range is stored.
        if (to === null) targets = thrownAway
        continue
      }
      if (to === null) return
      for (const [target, { rows, bytes }] of parts.entries()) {
        const landed = before[target]
        if (landed === undefined) continue
        landed.rows += rows
        landed.bytes += bytes
      }
      from = to
    }
  }

  async #deliver(chunk: Chunk, high: Promise<number>, targets: readonly number[]): Promise<void> {
    this.#options.onDelivering()
    chunk.highMarker = await high
    await this.#options.failpoints.hit('copy.afterRead')
    this.#options.onChunk(chunk, targets)
  }

  /** `to`: the last key that it has; null: it has the rest of the range. */
  async #readChunk(
    { lo, hi, targets }: Pick<ScanRange, 'lo' | 'hi' | 'targets'>,
    piece: boolean,
  ): Promise<{ chunk: Chunk; high: Promise<number>; to: readonly string[] | null }> {
    const { markers, clock } = this.#options
    const table = this.#table
    const limit = this.#rowsPerChunk
    const low = await markers.low()
    const condition = rangeCondition(table, lo, hi)
    const sql =
      `SELECT ${asBytes(this.#select.list)} FROM ${asBytes(quoteQualified(table.schema, table.name))} FORCE INDEX (${asBytes(quoteIdentifier(this.#keyName))})` +
      (condition === '' ? '' : ` WHERE ${condition}`) +
      ` ORDER BY ${orderBy(table)} LIMIT ${limit}`
    const startedMs = clock.monotonicMs()
    const chunk: Chunk = {
      table,
      completes: null,
      generation: low.generation,
      highMarker: 0,
      parts: this.#options.targets.map((_, i): ChunkPart | null => (targets.includes(i) ? { segments: [], rows: 0, bytes: 0 } : null)),
      remaining: targets.length,
      piece,
      thrownAway: [],
      bytes: 0,
      rowBytes: 0,
      rows: 0,
      size: 0,
      readAtMs: 0,
    }
    this.#options.onBegin(chunk)
    const stream = await this.#conn.rows(Buffer.from(sql, 'latin1'), { bufferBytesMax: this.#options.readBufferBytes() })
    let high: Promise<number> | null = null
    let lastKey: string | null = null
    let cut = false
    for await (const batch of stream) {
      if (high === null) this.#select.learn(this.#encoder, batch)
      high ??= markers.write().then((marker) => marker.number)
      lastKey = this.#takeBatch(chunk, batch) ?? lastKey
      if (chunk.bytes > chunkBytesMax) {
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
    const whole = !cut && chunk.rows < limit
    chunk.readAtMs = clock.monotonicMs()
    const ms = chunk.readAtMs - startedMs
    this.#options.onRead(ms)
    this.#adapt(chunk, ms, limit, cut)
    return { chunk, high, to: whole || lastKey === null ? null : splitLiterals(lastKey) }
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
    if (segment === undefined || segment.room < bytesMax || segment.fields >= fieldsMax) {
      const form = this.#forms[target] ?? ''
      segment = typeof form === 'string' ? pool.take(form, bytesMax) : pool.take('', bytesMax, form)
      part.segments.push(segment)
    }
    const { buffer, used, keyText } = segment
    const encoder = this.#encoder
    const end = keyText === null ? encoder.encode(batch, row, buffer, used) : encoder.encodeParameters(batch, row, buffer, used)
    const bytes = end - used
    this.#checkSize(bytes, target)
    segment.fields += encoder.fields
    segment.keyEnds.push(encoder.keyEnd)
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
    const columns = this.#table.keyColumns.map((_, i) => i)
    const out = Buffer.allocUnsafe(this.#encoder.bytesMaxOf(batch, row, columns))
    const end = this.#encoder.encodeSome(batch, row, columns, out, 0)
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
    return Math.max(1, Math.min(this.#options.chunkRows, this.#rowsMax, Math.floor(rows)))
  }
}
