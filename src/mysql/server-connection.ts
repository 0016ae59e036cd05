/**
 * The server's side of the protocol, for the gate: `acceptClient` does greeting, TLS and authentication; then commands come
 * one at a time and answers go out as frames. One command is in hand at once: the next is given after `ready()`, and what
 * the client sends meanwhile is held, bounded, with the socket paused.
 */
import type { Socket } from 'node:net'
import { TLSSocket, type SecureContext } from 'node:tls'
import { cachingSha2, encodeAuthMoreData, encodeAuthSwitch } from '../wire/auth-messages.ts'
import { capability, has, serverStatus } from '../wire/capabilities.ts'
import { decodeChangeUser } from '../wire/change-user.ts'
import { collation } from '../wire/column-types.ts'
import { writeErr } from '../wire/err.ts'
import { frame, FRAME_BYTES_MAX, FrameParser, HEADER_BYTES } from '../wire/frames.ts'
import { decodeHandshakeResponse, encodeGreeting } from '../wire/handshake.ts'
import { writeOk, type Ok } from '../wire/ok.ts'
import { Writer } from '../wire/writer.ts'
import { isServerPlugin, makeScramble, verifyResponse, type ServerAuthPlugin, type StoredPassword } from './auth-server.ts'
import { mysqlErrors } from './errors.ts'

const EMPTY = Buffer.alloc(0)
/** What a client may send ahead of its answers before its socket is paused. */
const AHEAD_BYTES_MAX = 1 << 18
const HANDSHAKE_TIMEOUT_MS = 10_000

/** What is offered unless told otherwise: neither compression, query attributes, session tracking nor deprecateEof. */
export const gateCapabilities: number =
  (capability.longPassword | capability.foundRows | capability.longFlag | capability.connectWithDb | capability.localFiles |
    capability.ignoreSpace | capability.protocol41 | capability.interactive | capability.transactions | capability.reserved |
    capability.secureConnection | capability.multiStatements | capability.multiResults | capability.psMultiResults |
    capability.pluginAuth | capability.connectAttrs | capability.pluginAuthLenenc) >>> 0

export type AcceptOptions = {
  serverVersion: string
  threadId: number
  /** Named in the greeting; a client that prefers the other one is asked by an auth switch. */
  plugin: ServerAuthPlugin
  /** Null or rejected: access denied. */
  authenticate(user: string, address: string): StoredPassword | null | Promise<StoredPassword | null>
  capabilities?: number
  secureContext?: SecureContext
  /** Refuse clients that don't ask for TLS. */
  tlsRequired?: boolean
  collation?: number
  packetBytesMax?: number
  handshakeTimeoutMs?: number
  random?: (bytes: number) => Buffer
}

export type ClientCommand = {
  /** The command byte; `data[start]`. */
  readonly com: number
  /** The payload is `data[start, end)`; a view of what was read, valid as long as it is kept. */
  readonly data: Buffer
  readonly start: number
  readonly end: number
  /** With header(s), as the client sent it, sequence 0: for `Connection.relay`. */
  framed(): Buffer
}

class Command implements ClientCommand {
  readonly com: number
  readonly data: Buffer
  readonly start: number
  readonly end: number
  readonly #joined: boolean

  constructor(data: Buffer, start: number, end: number, joined: boolean) {
    this.com = data[start] ?? -1
    this.data = data
    this.start = start
    this.end = end
    this.#joined = joined
  }

  framed(): Buffer {
    if (this.#joined) return frame(this.data.subarray(this.start, this.end))
    return this.data.subarray(this.start - HEADER_BYTES, this.end)
  }
}

export class ServerConnection {
  readonly threadId: number
  readonly address: string
  user = ''
  database = ''
  attributes: Record<string, string> = {}
  capabilities = 0
  collation: number = collation.utf8mb4
  tls = false
  /** Of the next frame of ours when it is the first of an answer: 1 for commands, more after a handshake. */
  sequence = 0

  readonly #options: AcceptOptions
  #socket: Socket
  readonly #parser: FrameParser
  #scramble: Buffer
  #handler: ((command: ClientCommand) => void) | null = null
  #waiter: ((payload: Buffer) => void) | null = null
  #waiterFailed: ((error: Error) => void) | null = null
  #infile: ((frame: Buffer, last: boolean) => void) | null = null
  #infileContinues = false
  #busy = true
  #pumping = false
  #ahead: Buffer[] = []
  #aheadBytes = 0
  #aheadPaused = false
  #pauses = 0
  #closed = false
  #closeListeners: ((error: Error | undefined) => void)[] = []
  #drainListeners: (() => void)[] = []
  #error: Error | undefined

  constructor(socket: Socket, options: AcceptOptions) {
    this.#options = options
    this.#socket = socket
    this.threadId = options.threadId
    this.address = socket.remoteAddress ?? 'localhost'
    this.#scramble = makeScramble(options.random)
    const packetBytesMax = options.packetBytesMax ?? 1 << 26
    this.#parser = new FrameParser((data, start, end, nextSequence, joined) => this.#packet(data, start, end, nextSequence, joined), { packetBytesMax })
    socket.setNoDelay(true)
    this.#listen(socket)
  }

  get open(): boolean {
    return !this.#closed
  }

  /** Bytes written that the client has not taken. */
  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  // --- commands

  /** Starts giving commands. The handler must call `ready()` when its answer is written. */
  onCommand(handler: (command: ClientCommand) => void): void {
    this.#handler = handler
  }

  /** The answer is out (or there is none): the next command may come. */
  ready(): void {
    this.#busy = false
    this.#pump()
  }

  /** The client's next packets are a file: frames with header as sent, until the empty one. */
  expectInfile(handler: (frame: Buffer, last: boolean) => void): void {
    this.#infile = handler
    this.#infileContinues = false
    this.#parser.join = false
    this.#pump()
  }

  /** For a slow server behind an upload. Counted: each pause needs its resume. */
  pause(): void {
    if (this.#pauses++ === 0) this.#socket.pause()
  }

  resume(): void {
    if (this.#pauses > 0 && --this.#pauses === 0) this.#socket.resume()
  }

  // --- answers

  write(frames: Buffer): void {
    if (!this.#closed) this.#socket.write(frames)
  }

  /** Calls back once the client has taken what was written, or is gone. */
  onDrain(listener: () => void): void {
    if (this.#closed || !this.#socket.writableNeedDrain) queueMicrotask(listener)
    else this.#drainListeners.push(listener)
  }

  sendOk(ok: Partial<Ok> = {}): void {
    const w = new Writer(64).beginFrame()
    writeOk(w, ok, this.capabilities)
    this.sequence = w.endFrame(this.sequence)
    this.write(w.take())
  }

  sendErr(errno: number, sqlState: string, message: string): void {
    const w = new Writer(64 + message.length).beginFrame()
    writeErr(w, { errno, sqlState, message })
    this.sequence = w.endFrame(this.sequence)
    this.write(w.take())
  }

  close(): void {
    if (!this.#closed) this.#socket.end()
  }

  destroy(error?: Error): void {
    this.#error ??= error
    this.#socket.destroy()
    this.#gone()
  }

  onClose(listener: (error: Error | undefined) => void): void {
    if (this.#closed) listener(this.#error)
    else this.#closeListeners.push(listener)
  }

  // --- handshake

  /** Greeting to a verified user; the OK (or a refusal of the database) is the caller's. False: refused and ended. */
  async handshake(): Promise<boolean> {
    const options = this.#options
    const timer = setTimeout(() => this.destroy(mysqlErrors.connectTimeout({ server: this.address, timeoutMs: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS })), options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS)
    try {
      const offered = ((options.capabilities ?? gateCapabilities) | (options.secureContext === undefined ? 0 : capability.ssl)) >>> 0
      this.write(
        frame(
          encodeGreeting({
            serverVersion: options.serverVersion,
            threadId: options.threadId,
            scramble: this.#scramble,
            capabilities: offered,
            extendedCapabilities: 0,
            collation: options.collation ?? collation.utf8mb4,
            status: serverStatus.autocommit,
            plugin: options.plugin,
          }),
        ),
      )
      let message = decodeHandshakeResponse(await this.#next(true))
      if (message.kind === 'ssl') {
        if (options.secureContext === undefined) return this.#refuse(1043, '08S01', 'Bad handshake')
        await this.#startTls(options.secureContext)
        message = decodeHandshakeResponse(await this.#next(false))
      }
      if (message.kind === 'ssl') return this.#refuse(1043, '08S01', 'Bad handshake')
      if (options.tlsRequired === true && !this.tls) {
        return this.#refuse(3159, 'HY000', 'Connections using insecure transport are prohibited while tls is required')
      }
      this.capabilities = (message.capabilities & offered) >>> 0
      this.collation = message.collation
      this.user = message.user
      this.database = message.database
      this.attributes = message.attributes
      return await this.#verify(message.plugin, message.authResponse, false)
    } finally {
      clearTimeout(timer)
    }
  }

  /** COM_CHANGE_USER: as a handshake. On true `user`, `database` and `collation` are the new ones and OK is the caller's. */
  async changeUser(command: ClientCommand): Promise<boolean> {
    const message = decodeChangeUser(command.data.subarray(command.start, command.end), this.capabilities)
    this.user = message.user
    this.database = message.database
    if (message.collation !== 0) this.collation = message.collation
    this.attributes = message.attributes
    return await this.#verify(message.plugin, message.authResponse, true)
  }

  /** `again`: the scramble was used before, so a fresh one is sent whatever the client answered. */
  async #verify(clientPlugin: string, response: Buffer, again: boolean): Promise<boolean> {
    let plugin = this.#options.plugin
    if (clientPlugin !== plugin || again) {
      if (isServerPlugin(clientPlugin)) plugin = clientPlugin
      this.#scramble = makeScramble(this.#options.random)
      this.write(frame(encodeAuthSwitch({ plugin, data: this.#scramble }), this.sequence))
      response = await this.#next(false)
    }
    const stored = await this.#options.authenticate(this.user, this.address)
    if (!verifyResponse(plugin, response, this.#scramble, stored)) {
      const using = response.length > 0 ? 'YES' : 'NO'
      return this.#refuse(1045, '28000', `Access denied for user '${this.user}'@'${this.address}' (using password: ${using})`)
    }
    if (plugin === 'caching_sha2_password' && response.length > 1) {
      this.write(frame(encodeAuthMoreData(Buffer.from([cachingSha2.fastDone])), this.sequence))
      this.sequence = (this.sequence + 1) & 0xff
    }
    return true
  }

  #refuse(errno: number, sqlState: string, message: string): false {
    this.sendErr(errno, sqlState, message)
    this.close()
    return false
  }

  /** The next packet as a payload. `stop`: what follows may be TLS, so it must not be parsed. */
  #next(stop: boolean): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(this.#error ?? mysqlErrors.connectFailed({ server: this.address, reason: 'the client left' }))
        return
      }
      this.#waiterFailed = reject
      this.#waiter = (payload) => {
        if (stop) this.#parser.stop()
        resolve(payload)
      }
      this.#pump()
    })
  }

  async #startTls(secureContext: SecureContext): Promise<void> {
    const plain = this.#socket
    plain.off('data', this.#onData)
    plain.off('end', this.#onGone)
    plain.off('close', this.#onGone)
    plain.off('drain', this.#onDrained)
    plain.pause()
    const rest = Buffer.concat([this.#parser.unparsed(), ...this.#ahead])
    this.#ahead = []
    this.#aheadBytes = 0
    if (rest.length > 0) plain.unshift(rest)
    const secure = new TLSSocket(plain, { isServer: true, secureContext })
    this.#socket = secure
    this.tls = true
    this.#listen(secure)
  }

  // --- socket

  #listen(socket: Socket): void {
    socket.on('data', this.#onData)
    socket.on('error', this.#onError)
    socket.on('end', this.#onGone)
    socket.on('close', this.#onGone)
    socket.on('drain', this.#onDrained)
  }

  #onError = (error: Error): void => {
    this.#error ??= error
  }

  #onGone = (): void => this.#gone()

  #onDrained = (): void => {
    const listeners = this.#drainListeners
    this.#drainListeners = []
    for (const listener of listeners) listener()
  }

  #onData = (chunk: Buffer): void => {
    this.#ahead.push(chunk)
    this.#aheadBytes += chunk.length
    this.#pump()
    if (this.#aheadBytes > AHEAD_BYTES_MAX && !this.#aheadPaused) {
      this.#aheadPaused = true
      this.pause()
    }
  }

  get #wantsPackets(): boolean {
    return this.#waiter !== null || this.#infile !== null || (!this.#busy && this.#handler !== null)
  }

  /** Gives packets while somebody wants them. Not entered again from within: the loop goes on instead. */
  #pump(): void {
    if (this.#pumping || this.#closed) return
    this.#pumping = true
    try {
      if (this.#parser.heldBytes > 0 && this.#wantsPackets) this.#parser.feed(EMPTY)
      while (this.#ahead.length > 0 && this.#wantsPackets) {
        const chunk = this.#ahead.shift() as Buffer
        this.#aheadBytes -= chunk.length
        if (this.#aheadPaused && this.#aheadBytes <= AHEAD_BYTES_MAX) {
          this.#aheadPaused = false
          this.resume()
        }
        this.#parser.feed(chunk)
      }
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)))
    } finally {
      this.#pumping = false
    }
  }

  #packet(data: Buffer, start: number, end: number, nextSequence: number, joined: boolean): void {
    const waiter = this.#waiter
    if (waiter !== null) {
      this.#waiter = null
      this.sequence = nextSequence
      this.#parser.stop()
      waiter(data.subarray(start, end))
      return
    }
    if (this.#infile !== null) {
      const handler = this.#infile
      const last = start === end && !this.#infileContinues
      this.#infileContinues = end - start === FRAME_BYTES_MAX
      if (last) {
        this.#infile = null
        this.#parser.join = true
        this.#parser.stop()
      }
      handler(data.subarray(start - HEADER_BYTES, end), last)
      return
    }
    this.#busy = true
    this.sequence = 1
    this.#handler?.(new Command(data, start, end, joined))
    if (!this.#wantsPackets) this.#parser.stop()
  }

  #gone(): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.destroy()
    this.#ahead = []
    const failed = this.#waiterFailed
    this.#waiter = null
    this.#waiterFailed = null
    failed?.(this.#error ?? mysqlErrors.connectFailed({ server: this.address, reason: 'the client left' }))
    this.#onDrained()
    const listeners = this.#closeListeners
    this.#closeListeners = []
    for (const listener of listeners) listener(this.#error)
  }
}

/**
 * Greets a client that has connected. Resolves with a verified connection, whose OK is still to be sent (`sendOk`, then
 * `ready`), or null when it was refused or left. Never rejects: a broken client is no error of ours.
 */
export async function acceptClient(socket: Socket, options: AcceptOptions): Promise<ServerConnection | null> {
  const connection = new ServerConnection(socket, options)
  try {
    return (await connection.handshake()) ? connection : null
  } catch (error) {
    connection.destroy(error instanceof Error ? error : undefined)
    return null
  }
}

export function clientHas(connection: ServerConnection, flag: number): boolean {
  return has(connection.capabilities, flag)
}
