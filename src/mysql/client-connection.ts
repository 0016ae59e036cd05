/** `Connection` over a channel: each method builds a command and the exchange that takes its answer. */
import { decodeBinaryRow } from '../wire/binary-row.ts'
import { has, mariadbCapability, serverStatus } from '../wire/capabilities.ts'
import { encodeChangeUser } from '../wire/change-user.ts'
import { com, hasNoAnswer } from '../wire/commands.ts'
import { commandPieces, frame, frameCommand, HEADER_BYTES, type PacketSize } from '../wire/frames.ts'
import type { Greeting, HandshakeResponse } from '../wire/handshake.ts'
import { bulkHeadOfTexts } from '../wire/stmt-bulk.ts'
import { encodeStmtClose } from '../wire/stmt-commands.ts'
import { encodeExecute } from '../wire/stmt-execute.ts'
import { authResponse } from './auth-client.ts'
import type { Channel } from './channel.ts'
import { authenticate, handshakeCollation, PacketPromise } from './auth-exchange.ts'
import type {
  Connection,
  ConnectOptions,
  ErrorText,
  FlavourName,
  OkResult,
  PacketStream,
  ParamValue,
  PreparedStatement,
  RawRow,
  RelaySink,
  Result,
  RowStream,
} from './connection.ts'
import { mysqlErrors } from './errors.ts'
import { PrepareExchange, ResultExchange, type Owner, type PreparedHead, type RowDecoder } from './exchanges.ts'
import { sendInfile } from './infile.ts'
import { PacketStreamExchange } from './packet-stream.ts'
import { RelayExchange } from './relay.ts'
import { RowStreamExchange } from './row-stream.ts'
import type { Statement } from './statement.ts'

/** Above this a statement is written as it is, not copied behind its header. */
const largeStatementBytes = 1 << 20
/** The collations are those of the handshake, which a server may be told to ignore (skip-character-set-client-handshake), or undo (init_connect): what is sent and answered would be read in another charset. */
const namesSql: Readonly<Record<FlavourName, string>> = {
  mysql: 'SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci',
  mariadb: 'SET NAMES utf8mb4 COLLATE utf8mb4_general_ci',
}
const EMPTY = Buffer.alloc(0)
const BUFFER_BYTES_MAX = 1 << 20

const binaryRowDecoder: RowDecoder = (data, start, end, columns): RawRow => decodeBinaryRow(data, start, end, columns)

export class ClientConnection implements Connection, Owner {
  readonly server: string
  readonly threadId: number
  readonly serverVersion: string
  readonly versionNumber: number
  readonly flavour: FlavourName
  readonly tls: boolean
  readonly capabilities: number
  readonly extendedMetadata: boolean
  readonly bulkOperations: boolean
  status: number = serverStatus.autocommit
  lastInsertId: bigint | null = 0n
  told: ErrorText | null = null
  readonly #channel: Channel
  readonly #options: ConnectOptions
  readonly #greeting: Greeting

  constructor(
    channel: Channel,
    options: ConnectOptions,
    greeting: Greeting,
    flavour: FlavourName,
    agreed: Pick<HandshakeResponse, 'capabilities' | 'extendedCapabilities'>,
    tls: boolean,
  ) {
    this.#channel = channel
    this.#options = options
    this.#greeting = greeting
    this.server = channel.server
    this.threadId = greeting.threadId
    this.serverVersion = greeting.serverVersion.replace(/^5\.5\.5-(?=\d+\.)/, '')
    this.versionNumber = versionNumberOf(this.serverVersion)
    this.flavour = flavour
    this.capabilities = agreed.capabilities
    this.extendedMetadata = has(agreed.extendedCapabilities, mariadbCapability.extendedMetadata)
    this.bulkOperations = has(agreed.extendedCapabilities, mariadbCapability.stmtBulkOperations)
    this.tls = tls
  }

  get open(): boolean {
    return this.#channel.open
  }

  get outstanding(): number {
    return this.#channel.outstanding
  }

  get bytesReceived(): number {
    return this.#channel.bytesReceived
  }

  get bytesGone(): number {
    return this.#channel.bytesGone
  }

  get inTransaction(): boolean {
    return (this.status & serverStatus.inTransaction) !== 0
  }

  /** Session settings, after connecting and after every reset. */
  async setUp(): Promise<void> {
    const statements: string[] = []
    if (this.#options.charset === 'binary') {
      statements.push('SET character_set_client=binary, character_set_connection=binary, character_set_results=NULL')
    } else if (this.#options.charset === 'utf8mb4') statements.push(namesSql[this.flavour])
    statements.push(...(this.#options.sessionSql ?? []))
    if (statements.length > 0) await this.pipeline(statements)
  }

  async query(sql: Statement): Promise<Result> {
    if (typeof sql === 'string' || (Buffer.isBuffer(sql) && sql.length <= largeStatementBytes))
      return firstOf(await this.#results(frameCommand(com.query, sql)))
    return firstOf(await this.#results(commandPieces(com.query, Buffer.isBuffer(sql) ? [sql] : sql)))
  }

  queryMulti(sql: string | Buffer): Promise<Result[]> {
    return this.#results(frameCommand(com.query, sql))
  }

  #results(frames: Buffer | readonly Buffer[], decodeRow?: RowDecoder): Promise<Result[]> {
    return new Promise((resolve, reject) => {
      let refused: Error | null = null
      const infile = (file: string, nextSequence: number): void => {
        refused = mysqlErrors.localInfileUnasked({ server: this.server, file })
        this.#channel.write(frame(EMPTY, nextSequence))
      }
      const done = (results: Result[]): void => (refused === null ? resolve(results) : reject(refused))
      this.#channel.send(frames, new ResultExchange(this, { resolve: done, reject, infile }, decodeRow))
    })
  }

  rows(sql: string | Buffer, options: { bufferBytesMax?: number } = {}): Promise<RowStream> {
    return new Promise((resolve, reject) => {
      const exchange = new RowStreamExchange(this, this.#channel, options.bufferBytesMax ?? BUFFER_BYTES_MAX, resolve, reject)
      this.#channel.send(frameCommand(com.query, sql), exchange)
    })
  }

  executedRows(framed: Buffer, options: { bufferBytesMax?: number } = {}): Promise<RowStream> {
    return new Promise((resolve, reject) => {
      const bytesMax = options.bufferBytesMax ?? BUFFER_BYTES_MAX
      this.#channel.send(framed, new RowStreamExchange(this, this.#channel, bytesMax, resolve, reject, 'binary'))
    })
  }

  async executed(framed: Buffer): Promise<Result> {
    return firstOf(await this.#results(framed, binaryRowDecoder))
  }

  async pipeline(sqls: readonly Statement[]): Promise<Result[]> {
    const settled = await this.pipelineSettled(sqls)
    return settled.map((answer) => {
      if (answer.status === 'rejected') throw answer.reason
      return answer.value
    })
  }

  pipelineSettled(sqls: readonly Statement[]): Promise<PromiseSettledResult<Result>[]> {
    this.#channel.cork()
    const answers = sqls.map((sql) => this.query(sql))
    this.#channel.uncork()
    return Promise.allSettled(answers)
  }

  async all(sql: string | Buffer): Promise<Record<string, Buffer | null>[]> {
    const result = await this.query(sql)
    if (result.kind === 'ok') return []
    const names = result.columns.map((column) => column.name)
    return result.rows.map((row) => Object.fromEntries(row.map((cell, i) => [names[i], cell])) as Record<string, Buffer | null>)
  }

  async allText(sql: string | Buffer): Promise<Record<string, string | null>[]> {
    const rows = await this.all(sql)
    return rows.map((row) =>
      Object.fromEntries(Object.entries(row).map(([name, cell]) => [name, cell === null ? null : cell.toString('utf8')])),
    )
  }

  async one(sql: string | Buffer): Promise<Record<string, Buffer | null> | undefined> {
    return (await this.all(sql))[0]
  }

  async value(sql: string | Buffer): Promise<string | null | undefined> {
    const result = await this.query(sql)
    if (result.kind === 'ok') return undefined
    const cell = result.rows[0]?.[0]
    return cell === undefined || cell === null ? cell : cell.toString('utf8')
  }

  loadData(sql: string | Buffer, source: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<OkResult> {
    return new Promise((resolve, reject) => {
      let pump: Promise<unknown> = Promise.resolve()
      let failed: unknown
      const infile = (_file: string, nextSequence: number): void => {
        pump = sendInfile(this.#channel, source, nextSequence).catch((error: unknown) => {
          failed = error ?? new Error('the source failed')
        })
      }
      const done = async (results: Result[]): Promise<void> => {
        await pump
        const result = firstOf(results)
        if (failed !== undefined)
          reject(mysqlErrors.sourceFailed({ reason: failed instanceof Error ? failed.message : String(failed) }, failed))
        else if (result.kind === 'ok') resolve(result)
        else reject(mysqlErrors.unexpectedAnswer({ server: this.server, got: 'rows', wanted: 'the outcome of LOAD DATA' }))
      }
      this.#channel.send(
        frameCommand(com.query, sql),
        new ResultExchange(this, { resolve: (results) => void done(results), reject, infile }),
      )
    })
  }

  async prepare(sql: string | Buffer): Promise<PreparedStatement> {
    const head = await new Promise<PreparedHead>((resolve, reject) => {
      this.#channel.send(frameCommand(com.stmtPrepare, sql), new PrepareExchange(this, resolve, reject))
    })
    return {
      ...head,
      execute: (params: readonly ParamValue[]): Promise<Result> => this.executed(frame(encodeExecute(head.id, params, this.capabilities))),
      executeRows: async (rows: readonly Buffer[]): Promise<Result> =>
        firstOf(await this.#results(commandPieces(com.stmtBulkExecute, [bulkHeadOfTexts(head.id, head.paramCount), ...rows]))),
      close: (): void => {
        this.#channel.write(frame(encodeStmtClose(head.id)))
      },
    }
  }

  async ping(): Promise<void> {
    await this.#results(frameCommand(com.ping, EMPTY))
  }

  async reset(): Promise<void> {
    const answered = this.#results(frameCommand(com.resetConnection, EMPTY))
    const [answer] = await Promise.allSettled([answered, this.setUpAfterReset()])
    if (answer.status === 'rejected') throw answer.reason
    this.lastInsertId = 0n
  }

  /** MySQL forgets the handshake's charset at a reset (MariaDB keeps it). */
  async setUpAfterReset(): Promise<void> {
    if (this.flavour === 'mysql' && this.#options.charset !== 'binary') await this.query('SET NAMES utf8mb4')
    await this.setUp()
  }

  async changeUser(to: { user: string; password: string; database?: string }): Promise<void> {
    const packets = new PacketPromise()
    const plugin = 'mysql_native_password'
    // A scramble was used up by the handshake, so the answer is a wrong one on purpose: the server then sends a fresh scramble
    // by an auth switch, which every server does for a response that does not fit.
    const message = encodeChangeUser(
      {
        user: to.user,
        authResponse: authResponse(plugin, to.password, this.#greeting.scramble, false),
        database: to.database ?? '',
        collation: handshakeCollation(this.#options, this.flavour),
        plugin,
        attributes: { _client_name: 'shardwright', ...this.#options.attributes },
      },
      this.capabilities,
    )
    this.#channel.send(frame(message), packets)
    await authenticate(this.#channel, packets, {
      server: this.server,
      user: to.user,
      password: to.password,
      plugin,
      scramble: this.#greeting.scramble,
      clearIsSafe: this.tls || this.#options.socketPath !== undefined,
      allowPublicKey: this.#options.allowPublicKeyRetrieval ?? true,
    })
    this.lastInsertId = 0n
    await this.setUp()
  }

  async useDatabase(name: string): Promise<void> {
    await this.#results(frameCommand(com.initDb, name))
  }

  async simpleCommand(payload: Buffer): Promise<OkResult> {
    const result = firstOf(await this.#results(frame(payload)))
    if (result.kind === 'ok') return result
    throw mysqlErrors.unexpectedAnswer({ server: this.server, got: 'rows', wanted: 'OK' })
  }

  command(payload: Buffer, options: { bufferBytesMax?: number; packetSize?: PacketSize } = {}): PacketStream {
    const exchange = new PacketStreamExchange(this, this.#channel, options.bufferBytesMax ?? BUFFER_BYTES_MAX, options.packetSize)
    this.#channel.send(frame(payload), exchange)
    return exchange
  }

  relay(framed: Buffer, sink: RelaySink): void {
    const command = framed[HEADER_BYTES] as number
    if (hasNoAnswer(command)) this.#channel.write(framed)
    else this.#channel.send(framed, new RelayExchange(this, this.#channel, sink, command))
  }

  relayAhead(framed: Buffer, sink: RelaySink): void {
    this.#channel.sendAhead(framed, new RelayExchange(this, this.#channel, sink, framed[HEADER_BYTES] as number))
  }

  relayData(frames: Buffer): boolean {
    return this.#channel.write(frames)
  }

  drain(): Promise<void> {
    return this.#channel.drain()
  }

  pause(): void {
    this.#channel.pause()
  }

  resume(): void {
    this.#channel.resume()
  }

  close(): Promise<void> {
    return this.#channel.quit(frameCommand(com.quit, EMPTY))
  }

  destroy(error?: Error): void {
    this.#channel.destroy(error)
  }

  onClose(listener: (error: Error | undefined) => void): void {
    this.#channel.onClose(listener)
  }

  /** Ends politely when idle; cuts the connection when something is still running, since nobody waits for it any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.outstanding > 0) this.destroy()
    else await this.close()
  }
}

function firstOf(results: Result[]): Result {
  const first = results[0]
  if (first === undefined) throw mysqlErrors.unexpectedAnswer({ server: '', got: 'nothing', wanted: 'a result' })
  return first
}

export function versionNumberOf(version: string): number {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(version)
  if (match === null) return 0
  return Number(match[1]) * 10000 + Number(match[2]) * 100 + Number(match[3] ?? 0)
}
