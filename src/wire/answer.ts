/**
 * What each packet of an answer is, told one after another without decoding rows.
 *
 *   answer  := OK | ERR | infile (then OK | ERR) | set (more set …)
 *   set     := column count · columns · [EOF] · rows · end     end = EOF, OK with 0xfe under deprecateEof, or ERR
 *   prepare := head (statement id, counts) · parameters · [EOF] · columns · [EOF]
 *   [EOF] is absent under deprecateEof. An OK or end with moreResultsExist in its status begins another result.
 *   An EOF after columns that says cursorExists ends the answer: rows come by COM_STMT_FETCH.
 *
 * 0xfe begins an end and not a row since a row that begins so has a first cell ≥ 16 MiB, hence a packet longer than any end.
 */
import { serverStatus } from './capabilities.ts'
import { com } from './commands.ts'
import { wireErrors } from './errors.ts'
import { FRAME_BYTES_MAX } from './frames.ts'

export const part = {
  ok: 1,
  error: 2,
  infile: 3,
  columnCount: 4,
  column: 5,
  columnsEnd: 6,
  row: 7,
  rowsEnd: 8,
  prepareHead: 9,
  other: 10,
} as const

const start = 0
const columns = 1
const columnsEof = 2
const rows = 3
const fieldList = 4
const definitions = 5
const definitionsEof = 6
const single = 7
const prepareHead = 8

export class AnswerScanner {
  readonly #deprecateEof: boolean
  #state: number
  #left = 0
  /** Definitions of a prepare that follow the current ones. */
  #leftAfter = 0
  /** The frame before was full, so this one continues its packet (raw frames only). */
  #continues = false
  done = false
  status = 0
  warnings = 0
  columnCount = 0
  /** A result set was begun: what came cannot be taken back. */
  hadRows = false
  /** Rows so far, of all results. */
  rows = 0

  constructor(deprecateEof: boolean, command: number = com.query) {
    this.#deprecateEof = deprecateEof
    switch (command) {
      case com.stmtFetch:
        this.#state = rows
        break
      case com.fieldList:
        this.#state = fieldList
        break
      case com.stmtPrepare:
        this.#state = prepareHead
        break
      case com.statistics:
        this.#state = single
        break
      default:
        this.#state = start
    }
  }

  /** For raw frames: a frame that continues the packet before is `part.other`. */
  scanFrame(data: Buffer, from: number, end: number): number {
    const full = end - from === FRAME_BYTES_MAX
    if (this.#continues) {
      this.#continues = full
      return part.other
    }
    this.#continues = full
    return this.scan(data, from, end)
  }

  scan(data: Buffer, from: number, end: number): number {
    const first = from < end ? (data[from] as number) : -1
    switch (this.#state) {
      case rows:
        if (first === 0xfe && end - from < (this.#deprecateEof ? FRAME_BYTES_MAX : 9)) {
          this.#end(data, from, end)
          return part.rowsEnd
        }
        if (first === 0xff) return this.#failed()
        this.rows++
        return part.row
      case start:
        if (first === 0x00) {
          this.#ok(data, from, end)
          return part.ok
        }
        if (first === 0xff) return this.#failed()
        if (first === 0xfb) return part.infile
        if (first === 0xfe && end - from < 1000) {
          this.#end(data, from, end)
          return part.ok
        }
        if (first <= 0) throw wireErrors.malformed({ detail: 'an empty packet where an answer should begin' })
        this.columnCount = columnCountOf(data, from, end)
        this.#left = this.columnCount
        this.#state = columns
        this.hadRows = true
        return part.columnCount
      case columns:
        if (first === 0xff) return this.#failed()
        if (--this.#left === 0) this.#state = this.#deprecateEof ? rows : columnsEof
        return part.column
      case columnsEof:
        this.#readEof(data, from, end)
        this.#state = rows
        if ((this.status & serverStatus.cursorExists) !== 0) this.done = true
        return part.columnsEnd
      case single:
        this.done = true
        return first === 0xff ? part.error : part.other
      case fieldList:
        if (first === 0xff) return this.#failed()
        if (first === 0xfe) {
          this.#end(data, from, end)
          return part.rowsEnd
        }
        this.hadRows = true
        return part.column
      case prepareHead: {
        if (first === 0xff) return this.#failed()
        // MySQL 9.7, to a SET of what the account may not set: nothing is prepared, and nothing said of it.
        if (first === 0 && end - from < 9) {
          this.#ok(data, from, end)
          return part.ok
        }
        if (first !== 0) throw wireErrors.malformed({ detail: 'answer to a prepare' })
        this.columnCount = data.readUInt16LE(from + 5)
        const params = data.readUInt16LE(from + 7)
        this.#left = params > 0 ? params : this.columnCount
        this.#leftAfter = params > 0 ? this.columnCount : 0
        this.#state = definitions
        this.done = this.#left === 0
        return part.prepareHead
      }
      case definitions:
        if (--this.#left === 0) this.#nextDefinitions(!this.#deprecateEof)
        return part.column
      default:
        this.#nextDefinitions(false)
        return part.columnsEnd
    }
  }

  #nextDefinitions(eofFirst: boolean): void {
    if (eofFirst) {
      this.#state = definitionsEof
      return
    }
    this.#state = definitions
    this.#left = this.#leftAfter
    this.#leftAfter = 0
    this.done = this.#left === 0
  }

  #failed(): number {
    this.done = true
    return part.error
  }

  #readEof(data: Buffer, from: number, end: number): void {
    if (end - from < 5) throw wireErrors.malformed({ detail: 'EOF packet too short' })
    this.warnings = data.readUInt16LE(from + 1)
    this.status = data.readUInt16LE(from + 3)
  }

  #end(data: Buffer, from: number, end: number): void {
    if (this.#deprecateEof && end - from >= 7) this.#readOk(data, from, end)
    else this.#readEof(data, from, end)
    this.#more()
  }

  #ok(data: Buffer, from: number, end: number): void {
    this.#readOk(data, from, end)
    this.#more()
  }

  #more(): void {
    if ((this.status & serverStatus.moreResultsExist) !== 0) this.#state = start
    else this.done = true
  }

  #readOk(data: Buffer, from: number, end: number): void {
    let at = from + 1
    at += lenencBytes(data[at] as number)
    at += lenencBytes(data[at] as number)
    if (at + 4 > end) throw wireErrors.malformed({ detail: 'OK packet too short' })
    this.status = data.readUInt16LE(at)
    this.warnings = data.readUInt16LE(at + 2)
  }
}

function lenencBytes(first: number): number {
  return first < 0xfb ? 1 : first === 0xfc ? 3 : first === 0xfd ? 4 : 9
}

function columnCountOf(data: Buffer, from: number, end: number): number {
  const first = data[from] as number
  if (first < 0xfb) return first
  if (first === 0xfc && end - from >= 3) return data.readUInt16LE(from + 1)
  throw wireErrors.malformed({ detail: `column count begins with 0x${first.toString(16)}` })
}
