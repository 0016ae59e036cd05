/**
 * The socket of a client of ours: packets in, frames out. One command is in hand at once: the next is given after `ready()`,
 * and what the client sends meanwhile is held, bounded, with the socket paused.
 */
import type { Socket } from 'node:net'
import { TLSSocket, type SecureContext } from 'node:tls'
import { frame, FRAME_BYTES_MAX, FrameParser, HEADER_BYTES } from '../wire/frames.ts'
import { mysqlErrors } from './errors.ts'

const EMPTY = Buffer.alloc(0)
/** What a client may send ahead of its answers before its socket is paused. */
const AHEAD_BYTES_MAX = 1 << 18
/** No packet of a client that is not authenticated yet may be larger: strangers get no memory. */
const UNKNOWN_BYTES_MAX = 1 << 16

export type ClientCommand = {
  /** The command byte; `data[start]`. */
  readonly com: number
  /** The payload is `data[start, end)`; a view of what was read, valid as long as it is kept. */
  readonly data: Buffer
  readonly start: number
  readonly end: number
  /** Without header(s), however many frames it came in. */
  readonly payload: Buffer
  /** With header(s), sequence 0: for `Connection.relay`. What was changed in the payload is in it. */
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

  get payload(): Buffer {
    return this.data.subarray(this.start, this.end)
  }

  framed(): Buffer {
    if (this.#joined) return frame(this.payload)
    return this.data.subarray(this.start - HEADER_BYTES, this.end)
  }
}

/** Takes what would be written. */
export type Capture = {
  take(frames: Buffer): void
  /** An answer begins: what came of one that broke off, and is asked for again, is none. */
  restart(): void
}

/** Shorter answers are copied where they have to wait. */
const pieceBytesMax = 1 << 14

export class ServerChannel {
  readonly address: string
  tls = false
  /** Of the next frame of ours when it is the first of an answer: 1 for commands, more in a handshake. */
  sequence = 0
  /** What is done to frames before they are written; null: nothing. */
  rewrite: ((frames: Buffer) => Buffer) | null = null
  /** Null: the client gets it. */
  capture: Capture | null = null

  #socket: Socket
  readonly #parser: FrameParser
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
  #left = false
  #closeListeners: ((error: Error | undefined) => void)[] = []
  #taken = -1
  #takenAtMs = 0
  #drainListeners: (() => void)[] = []
  #error: Error | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    this.address = socket.remoteAddress ?? 'localhost'
    this.#parser = new FrameParser((data, start, end, nextSequence, joined) => this.#packet(data, start, end, nextSequence, joined), {
      packetBytesMax: UNKNOWN_BYTES_MAX,
    })
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

  /** Since when the client has taken nothing of what is written; null: nothing waits. Seen from one call to the next. */
  stalledSince(nowMs: number): number | null {
    const { bytesWritten, writableLength } = this.#socket
    const taken = writableLength === 0 ? -1 : bytesWritten - writableLength
    if (taken !== this.#taken) {
      this.#taken = taken
      this.#takenAtMs = nowMs
    }
    return taken < 0 ? null : this.#takenAtMs
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

  /** A packet above the bound, once all of it has gone by; without a listener its client is cut off. `sequence`: of the answer. */
  onTooLarge(listener: (sequence: number) => void): void {
    this.#parser.onTooLarge = (sequence) => {
      this.#parser.stop()
      listener(sequence)
    }
  }

  write(frames: Buffer): void {
    if (this.#closed) return
    if (this.capture !== null) this.capture.take(frames)
    else {
      const told = this.rewrite === null ? frames : this.rewrite(frames)
      // What a server sent is a piece of a larger buffer, which all of it is kept for as long as this client takes nothing.
      const isKept = this.#socket.writableLength > 0 && told.length < pieceBytesMax
      this.#socket.write(isKept ? Buffer.from(told) : told)
    }
  }

  /** Calls back once the client has taken what was written, or is gone. */
  onDrain(listener: () => void): void {
    if (this.#closed || !this.#socket.writableNeedDrain) queueMicrotask(listener)
    else this.#drainListeners.push(listener)
  }

  close(): void {
    if (!this.#closed) this.#socket.end()
  }

  /**
   * The last that the client is told. It takes this for the answer of a command that is on its way: so none is given any more. Told again, it is cut off: it does not close its side.
   */
  leave(frames: Buffer): void {
    if (this.#left) return this.destroy()
    this.write(frames)
    this.#left = true
    this.#handler = null
    // What it has sent is read on, to nowhere: what lies unread at a closed socket has the system tell the client a reset, and not what was written.
    this.#ahead = []
    this.#aheadBytes = 0
    if (this.#aheadPaused) this.resume()
    this.#aheadPaused = false
    this.close()
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

  /** For authenticated clients. */
  protected allowPackets(bytesMax: number): void {
    this.#parser.packetBytesMax = bytesMax
  }

  /** The next packet as a payload. `stop`: what follows may be TLS, so it must not be parsed. */
  protected nextPacket(stop: boolean): Promise<Buffer> {
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

  protected startTls(secureContext: SecureContext): void {
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
    if (this.#left) return
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
