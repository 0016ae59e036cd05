/** How answers become results: one class for whole results, one for streamed rows, one for raw packets. */
import { AnswerScanner, part } from '../wire/answer.ts'
import { capability, serverStatus } from '../wire/capabilities.ts'
import { decodeColumnDefinition } from '../wire/column-definition.ts'
import { com } from '../wire/commands.ts'
import { decodeErr } from '../wire/err.ts'
import { decodeLocalInfile } from '../wire/local-infile.ts'
import { decodeOk } from '../wire/ok.ts'
import { decodeTextRow } from '../wire/text-row.ts'
import type { Exchange } from './channel.ts'
import type { Column, ErrorText, OkResult, RawRow, Result, ResultSet } from './connection.ts'
import { ServerError } from './errors.ts'

/** What an exchange needs of its connection. */
export type Owner = {
  readonly server: string
  readonly capabilities: number
  /** MariaDB says more of each column. */
  readonly extendedMetadata: boolean
  /** Kept up to date by every answer. */
  status: number
  lastInsertId: bigint | null
  readonly told: ErrorText | null
}

export function deprecatesEof(owner: Owner): boolean {
  return (owner.capabilities & capability.deprecateEof) !== 0
}

export function serverError(owner: Pick<Owner, 'server'> & Partial<Owner>, data: Buffer, start: number, end: number): ServerError {
  const err = decodeErr(data, start, end)
  const message = owner.told == null ? null : owner.told(err.errno, Buffer.from(err.message))
  if (message !== null) return new ServerError(err.errno, err.sqlState, message.toString(), owner.server)
  return new ServerError(err.errno, err.sqlState, err.message, owner.server)
}

/** An error tells no status, nor whether a row before it has drawn an id. Without autocommit the statement may have begun a transaction all the same, and left locks in it. */
export function noteRefused(owner: Owner): void {
  owner.lastInsertId = null
  if ((owner.status & serverStatus.autocommit) === 0) owner.status |= serverStatus.inTransaction
}

export type RowDecoder = (data: Buffer, start: number, end: number, columns: readonly Column[]) => RawRow

export const textRowDecoder: RowDecoder = (data, start, end, columns) => decodeTextRow(data, start, end, columns.length)

export type ResultCallbacks = {
  resolve(results: Result[]): void
  reject(error: Error): void
  /** The server asks for a file; whoever answers writes frames from `nextSequence` on. */
  infile(file: string, nextSequence: number): void
}

/** All results of a command, whole. */
export class ResultExchange implements Exchange {
  readonly #owner: Owner
  readonly #scanner: AnswerScanner
  readonly #callbacks: ResultCallbacks
  readonly #decodeRow: RowDecoder
  readonly #results: Result[] = []
  #set: ResultSet | null = null

  constructor(owner: Owner, callbacks: ResultCallbacks, decodeRow: RowDecoder = textRowDecoder) {
    this.#owner = owner
    this.#callbacks = callbacks
    this.#decodeRow = decodeRow
    this.#scanner = new AnswerScanner(deprecatesEof(owner), com.query)
  }

  packet(data: Buffer, start: number, end: number, nextSequence: number): boolean {
    const scanner = this.#scanner
    switch (scanner.scan(data, start, end)) {
      case part.row: {
        const set = this.#set as ResultSet
        set.rows.push(this.#decodeRow(data, start, end, set.columns))
        return false
      }
      case part.columnCount:
        this.#set = { kind: 'rows', columns: [], rows: [], warnings: 0, status: 0 }
        this.#results.push(this.#set)
        return false
      case part.column:
        ;(this.#set as ResultSet).columns.push(decodeColumnDefinition(data, start, end, this.#owner.extendedMetadata))
        return false
      case part.rowsEnd:
        if (this.#set !== null) {
          this.#set.status = scanner.status
          this.#set.warnings = scanner.warnings
        }
        this.#set = null
        break
      case part.ok:
        this.#results.push(okResult(data, start, end, this.#owner))
        break
      case part.error:
        noteRefused(this.#owner)
        this.#callbacks.reject(serverError(this.#owner, data, start, end))
        return true
      case part.infile:
        this.#callbacks.infile(decodeLocalInfile(data, start, end), nextSequence)
        return false
      default:
    }
    if (!scanner.done) return false
    this.#owner.status = scanner.status
    this.#callbacks.resolve(this.#results)
    return true
  }

  fail(error: Error): void {
    this.#callbacks.reject(error)
  }
}

function okResult(data: Buffer, start: number, end: number, owner: Owner): OkResult {
  if (data[start] === 0xfe) {
    return { kind: 'ok', affectedRows: 0n, insertId: 0n, warnings: 0, status: 0, info: '' }
  }
  const ok = decodeOk(data, start, end, owner.capabilities)
  if (ok.insertId !== 0n) owner.lastInsertId = null
  return { kind: 'ok', affectedRows: ok.affectedRows, insertId: ok.insertId, warnings: ok.warnings, status: ok.status, info: ok.info }
}

export type PreparedHead = { id: number; paramCount: number; columns: Column[] }

/** ER_UNSUPPORTED_PS */
const unsupportedPrepare = 1295

/** COM_STMT_PREPARE's answer. */
export class PrepareExchange implements Exchange {
  readonly #owner: Owner
  readonly #scanner: AnswerScanner
  readonly #resolve: (head: PreparedHead) => void
  readonly #reject: (error: Error) => void
  #head: PreparedHead = { id: 0, paramCount: 0, columns: [] }
  #definitions = 0

  constructor(owner: Owner, resolve: (head: PreparedHead) => void, reject: (error: Error) => void) {
    this.#owner = owner
    this.#resolve = resolve
    this.#reject = reject
    this.#scanner = new AnswerScanner(deprecatesEof(owner), com.stmtPrepare)
  }

  packet(data: Buffer, start: number, end: number): boolean {
    switch (this.#scanner.scan(data, start, end)) {
      case part.error:
        this.#reject(serverError(this.#owner, data, start, end))
        return true
      case part.ok:
        this.#reject(new ServerError(unsupportedPrepare, 'HY000', 'the server did not prepare the statement, and did not say why'))
        return true
      case part.prepareHead:
        this.#head = { id: data.readUInt32LE(start + 1), paramCount: data.readUInt16LE(start + 7), columns: [] }
        break
      case part.column:
        if (this.#definitions++ >= this.#head.paramCount)
          this.#head.columns.push(decodeColumnDefinition(data, start, end, this.#owner.extendedMetadata))
        break
      default:
    }
    if (!this.#scanner.done) return false
    this.#resolve(this.#head)
    return true
  }

  fail(error: Error): void {
    this.#reject(error)
  }
}
