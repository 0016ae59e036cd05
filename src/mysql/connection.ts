/**
 * The contract of a connection to one server, client side. `connect` in `connect.ts` makes one.
 *
 * Bytes stay bytes: a row is what the server sent. Commands may be issued without waiting for earlier ones: they are written
 * at once and answered in order (pipelining). Every method rejects with
 * - `ServerError` (errno, sqlState): the server said no; the connection is still good;
 * - `ConnectionLost` with `outcome: 'nothingSent'` (safe to repeat elsewhere) or `'outcomeUnknown'` (promise 11: read, don't repeat).
 * Both are in `errors.ts`.
 */
import type { Buffer } from 'node:buffer'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { PacketSize } from '../wire/frames.ts'
import type { Statement } from './statement.ts'

export type FlavourName = 'mysql' | 'mariadb'

/** A column definition (protocol 41). `type` is a `columnType` of wire/column-types.ts, `flags` of the same file. */
export type Column = {
  schema: string
  table: string
  orgTable: string
  name: string
  orgName: string
  charset: number
  length: number
  type: number
  flags: number
  decimals: number
  /** What MariaDB says beyond it, as it came. */
  extended?: Buffer
}

/** One row, in text protocol bytes as the server sent them; NULL is null. The buffers are views: copy what you keep for long. */
export type RawRow = (Buffer | null)[]

export type ResultSet = {
  kind: 'rows'
  columns: Column[]
  rows: RawRow[]
  warnings: number
  /** Server status flags (`serverStatus` of wire/capabilities.ts). */
  status: number
}

export type OkResult = {
  kind: 'ok'
  affectedRows: bigint
  insertId: bigint
  warnings: number
  status: number
  info: string
}

export type Result = ResultSet | OkResult

/**
 * Rows of one read from the socket, undecoded: cell (r, c) is `data[start, end)` with `start = spans[2*(r*width+c)]` and
 * `end = spans[2*(r*width+c)+1]`; start -1 is NULL. Hot paths splice from `data` by spans; `cell` and `row` are for the rest.
 */
export interface RowBatch {
  readonly data: Buffer
  readonly spans: Int32Array
  readonly length: number
  readonly width: number
  cell(row: number, column: number): Buffer | null
  row(row: number): RawRow
  rows(): RawRow[]
}

/**
 * A streamed result set: batches as they arrive; the socket is paused while more than the bound is unread. Leaving the loop
 * early reads and throws away the rest (or `destroy` the connection, or KILL QUERY from another). The iterator is consumed once.
 */
export interface RowStream extends AsyncIterable<RowBatch> {
  readonly columns: Column[]
  /** Bytes received but not yet taken. */
  readonly bufferedBytes: number
  /** As the end of the answer says; 0 before. */
  readonly warnings: number
  /** All of the answer is here: nothing of it keeps the connection any more. */
  readonly ended: boolean
}

/** Values for a prepared statement. Numbers must be integers within 2^53 or finite doubles. */
export type ParamValue = null | bigint | number | string | Buffer

export interface PreparedStatement {
  readonly id: number
  readonly paramCount: number
  readonly columns: Column[]
  /** Rows come in the text form, as `query` gives them. */
  execute(params: readonly ParamValue[]): Promise<Result>
  /** Once for each row, all or none of them, in one answer: rows as `wire/stmt-bulk.ts` has them, all parameters texts. Where `bulkOperations` says that it may be. */
  executeRows(rows: readonly Buffer[]): Promise<Result>
  close(): void
}

/** Raw packets of one answer (payloads without header, joined when above 16 MiB), pulled; the socket is paused beyond the bound. */
export interface PacketStream {
  /** Next packet, or null after the EOF packet. Rejects with ServerError on ERR. */
  next(): Promise<Buffer | null>
  /** Next packet if one is here already. */
  tryNext(): Buffer | undefined
  readonly bufferedBytes: number
  /** Reads of the socket so far: grows while a packet of many megabytes comes in, unlike `bufferedBytes`. */
  readonly activity: number
}

/** The end of a relayed answer. `frame` is its last packet with header, as the server sent it. */
export type RelayEnd =
  | { kind: 'ok'; frame: Buffer; status: number; warnings: number; hadRows: boolean; rows: number }
  | { kind: 'error'; frame: Buffer; errno: number; sqlState: string; message: string; hadRows: boolean; rows: number }

/** What whoever reads an error or a warning is told instead of its text; null: the text. Codes are a server's numbers. */
export type ErrorText = (code: number, text: Buffer) => Buffer | null

/**
 * Takes an answer as raw frames. Sequence ids are the server's: right for the client when it is answered this one command.
 * `bytes` gets whole frames, many at a time, never the very last packet, which goes to `end`.
 */
export interface RelaySink {
  bytes(frames: Buffer, rowsSoFar: number): void
  /** The server asks for a LOCAL INFILE: send it frames by `relayData`, the empty one last. Without this method we send the empty one. */
  infile?(frame: Buffer): void
  end(end: RelayEnd): void
  fail(error: Error): void
}

export interface Connection extends AsyncDisposable {
  /** Address, for messages. */
  readonly server: string
  readonly threadId: number
  readonly serverVersion: string
  /** Numeric version for comparison: major * 10000 + minor * 100 + patch. */
  readonly versionNumber: number
  readonly flavour: FlavourName
  readonly tls: boolean
  /** Capability flags in force (client's and server's). */
  readonly capabilities: number
  readonly extendedMetadata: boolean
  /** Prepared statements may be executed with many rows at once. */
  readonly bulkOperations: boolean
  /** Status flags of the last answer. */
  readonly status: number
  /** As the last answer told; after an error without autocommit, which tells nothing, true. */
  readonly inTransaction: boolean
  /**
   * What LAST_INSERT_ID() is there: 0 after connecting and after a reset. Null: an answer since has named an id, which may have been given, or has told nothing.
   * Whoever relays statements, or sets it, keeps it.
   */
  lastInsertId: bigint | null
  /** Of errors, also of those that are relayed. */
  told: ErrorText | null
  /** False once closed, lost or destroyed. */
  readonly open: boolean
  /** Commands written and not answered. */
  readonly outstanding: number
  /** Bytes that ever came from the server: stands still while nothing comes. */
  readonly bytesReceived: number
  /** Of statements of megabytes, bytes that ever went out: grows while one goes over a slow line. */
  readonly bytesGone: number

  /** The first result; further ones (multi statements, CALL) are read and dropped, an error among them rejects. */
  query(sql: Statement): Promise<Result>
  queryMulti(sql: string | Buffer): Promise<Result[]>
  /** Streams; resolves when the columns are here. A statement without rows gives a stream of no columns and no batches. */
  rows(sql: string | Buffer, options?: { bufferBytesMax?: number }): Promise<RowStream>
  /** The same of a framed COM_STMT_EXECUTE; rows come in the text form. */
  executedRows(framed: Buffer, options?: { bufferBytesMax?: number }): Promise<RowStream>
  /** The same of one whose answer is an outcome, or few rows. */
  executed(framed: Buffer): Promise<Result>
  /**
   * Writes all statements at once. Resolves with all results, rejects with the first error after all were answered: later
   * statements have run too unless they failed. `pipelineSettled` tells each.
   */
  pipeline(sqls: readonly Statement[]): Promise<Result[]>
  pipelineSettled(sqls: readonly Statement[]): Promise<PromiseSettledResult<Result>[]>
  all(sql: string | Buffer): Promise<Record<string, Buffer | null>[]>
  /** Rows as text (utf8 decoded): for metadata. */
  allText(sql: string | Buffer): Promise<Record<string, string | null>[]>
  one(sql: string | Buffer): Promise<Record<string, Buffer | null> | undefined>
  /** First column of the first row as text; undefined when there is no row. */
  value(sql: string | Buffer): Promise<string | null | undefined>
  /** LOAD DATA LOCAL INFILE 'anything' …: `source` is the file. A source that throws ends the load, which the server may have half done. */
  loadData(sql: string | Buffer, source: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<OkResult>
  prepare(sql: string | Buffer): Promise<PreparedStatement>
  ping(): Promise<void>
  /** COM_RESET_CONNECTION; runs `sessionSql` again. */
  reset(): Promise<void>
  changeUser(options: { user: string; password: string; database?: string }): Promise<void>
  useDatabase(name: string): Promise<void>

  /** A command answered by one OK (COM_REGISTER_SLAVE …). `payload` begins with the command byte. */
  simpleCommand(payload: Buffer): Promise<OkResult>
  /** A command answered by packets until EOF or ERR (COM_BINLOG_DUMP …). */
  command(payload: Buffer, options?: { bufferBytesMax?: number; packetSize?: PacketSize }): PacketStream
  /** Writes a framed command (sequence 0) as it is; the answer goes to `sink` undecoded. Commands without answer call `end` never. */
  relay(framed: Buffer, sink: RelaySink): void
  /** The same of a small command that the next one goes out with; by itself when none follows at once. */
  relayAhead(framed: Buffer, sink: RelaySink): void
  /** False: the server is slow; go on after `drain`. */
  relayData(frames: Buffer): boolean
  drain(): Promise<void>
  /** Stops and restarts reading the socket, for a relay whose client is slow. Counted: each pause needs its resume. */
  pause(): void
  resume(): void

  /** COM_QUIT after what is outstanding; cut off after 5 s. */
  close(): Promise<void>
  /** At once; everything outstanding is rejected. */
  destroy(error?: Error): void
  /** Called once, at once when already closed. The error is undefined after a `close` of ours. */
  onClose(listener: (error: Error | undefined) => void): void
}

export type ConnectTls = { mode: 'off' } | { mode: 'preferred' | 'required'; options?: TlsOptions }

export type ConnectOptions = {
  host?: string
  port?: number
  /** Unix socket; goes before host and port. */
  socketPath?: string
  user: string
  password?: string
  database?: string
  /** Default off. `preferred` takes what the server offers, unverified; `required` verifies as `options` says. */
  tls?: ConnectTls
  /**
   * Default: utf8mb4, by the handshake. `utf8mb4`: said again behind it, for servers that go by nobody's; `binary`: literals are bytes, results come in the columns' own charsets
   * (character_set_results=NULL); or a collation id for the handshake.
   */
  charset?: 'utf8mb4' | 'binary' | number
  connectTimeoutMs?: number
  /** Whoever else answers is refused with SW-MYSQL-019 (server-identity.ts). */
  identity?: string
  attributes?: Record<string, string>
  /** Run after connecting and after every reset. */
  sessionSql?: readonly string[]
  /** UPDATE counts matched rows, not changed ones. */
  foundRows?: boolean
  multiStatements?: boolean
  /** Default true. The relay's client must have agreed to the same. */
  deprecateEof?: boolean
  /** MariaDB (10.5 and later) says more of columns: that text is JSON, a type's name. Asked for, not required. Default false. */
  extendedMetadata?: boolean
  /** MariaDB's executions of many rows at once. Asked for, not required. Default false. */
  bulkOperations?: boolean
  /** OK packets carry session changes. Default false. */
  sessionTrack?: boolean
  /** Reads go through one buffer of the process (shared-reads.ts): for many connections with small answers. Default false. */
  sharedReads?: boolean
  /** caching_sha2_password without TLS: allow asking the server for its RSA key. Default true. */
  allowPublicKeyRetrieval?: boolean
}
