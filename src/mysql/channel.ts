/**
 * The command engine over one socket: frames in, exchanges answered in the order they were written. No promise and no copy
 * per packet: an exchange is called with ranges of the chunk the socket gave.
 *
 * Argument for order: MySQL answers commands of a connection strictly in order, so the head of `#queue` owns every packet
 * until it says that the answer is complete. Commands without an answer are written without an exchange.
 */
import type { Socket } from 'node:net'
import { FrameParser, type PacketSize } from '../wire/frames.ts'
import { ConnectionLost } from './errors.ts'
import { Outgoing } from './outgoing.ts'

/** How long a server may take to answer what is outstanding and close, once we said goodbye. */
const QUIT_MS = 5_000

/** Takes the answer to one command. */
export interface Exchange {
  /** One packet, `data[start, end)`, header before it unless `joined`. True when it was the last of the answer. */
  packet(data: Buffer, start: number, end: number, nextSequence: number, joined: boolean): boolean
  /** After all packets of one read were given: streams hand on what they gathered. */
  chunkEnd?(): void
  /** The connection is gone; `error` says whether the command had been sent. */
  fail(error: Error): void
  /** True: packets above 16 MiB come frame by frame. */
  readonly rawFrames?: boolean
  /** Where the beginning of a packet tells how large it is: so large its buffer is made. */
  readonly packetSize?: PacketSize
}

const unaskedReason = 'the server sent what no command had asked for'

export class Channel {
  readonly server: string
  #socket: Socket
  readonly #out: Outgoing
  #queue: Exchange[] = []
  #head = 0
  #parser: FrameParser
  #pauses = 0
  #closed = false
  #closing = false
  #error: Error | undefined
  #closeListeners: ((error: Error | undefined) => void)[] = []
  #onData: (chunk: Buffer) => void
  #onGone: () => void
  #onError: (error: Error) => void

  constructor(socket: Socket, server: string) {
    this.server = server
    this.#socket = socket
    this.#out = new Outgoing(socket)
    this.#parser = new FrameParser((data, start, end, nextSequence, joined) => {
      const exchange = this.#queue[this.#head]
      if (exchange === undefined) {
        // Unasked: the server says goodbye (shutdown, idle timeout) with an ERR before it closes. Anything else is out of step. What were sent now it would not read: it is closed
        // at once, so that whoever would use it is told that nothing was sent.
        this.#unasked(data, start, end)
        return
      }
      if (exchange.packet(data, start, end, nextSequence, joined)) {
        exchange.chunkEnd?.()
        this.#shift()
      }
    })
    this.#onData = (chunk) => {
      try {
        this.#parser.feed(chunk)
        this.#queue[this.#head]?.chunkEnd?.()
        // The beginning of a packet that belongs to no command would become part of the next one's answer.
        if (this.#parser.heldBytes > 0 && this.outstanding === 0) this.destroy(new Error(unaskedReason))
      } catch (error) {
        this.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    }
    this.#onError = (error) => {
      this.#error ??= error
    }
    this.#onGone = () => this.#gone()
    this.#listen(socket)
  }

  get socket(): Socket {
    return this.#socket
  }

  get open(): boolean {
    return !this.#closed && !this.#closing
  }

  get outstanding(): number {
    return this.#queue.length - this.#head
  }

  /** Bytes that ever came: it stands still while nothing comes. */
  get bytesReceived(): number {
    return this.#socket.bytesRead
  }

  /** Of statements of megabytes, bytes that have gone out. */
  get bytesGone(): number {
    return this.#out.bytesGone
  }

  #listen(socket: Socket): void {
    socket.on('data', this.#onData)
    socket.on('error', this.#onError)
    socket.on('end', this.#onGone)
    socket.on('close', this.#onGone)
  }

  /** Takes the socket away for a TLS upgrade in mid-handshake. */
  swapSocket(make: (plain: Socket) => Socket): void {
    const plain = this.#socket
    plain.off('data', this.#onData)
    plain.off('end', this.#onGone)
    plain.off('close', this.#onGone)
    this.#socket = make(plain)
    this.#out.socket = this.#socket
    this.#listen(this.#socket)
  }

  /** Writes a command's frames and queues who takes its answer. Frames in pieces are megabytes. */
  send(frames: Buffer | readonly Buffer[], exchange: Exchange): void {
    if (!this.#takes(exchange)) return
    if (Buffer.isBuffer(frames)) this.#out.write(frames)
    else this.#out.writeSliced(frames)
  }

  /** The same of a small command that another one follows at once (BEGIN before a transaction's first statement): both go out in one write. When none follows, it goes by itself. */
  sendAhead(frames: Buffer, exchange: Exchange): void {
    if (this.#takes(exchange)) this.#out.writeAhead(frames)
  }

  /** Queues who takes the answer; false: nothing is sent any more, and it was told so. */
  #takes(exchange: Exchange): boolean {
    if (this.#closed || this.#closing) {
      exchange.fail(new ConnectionLost('nothingSent', this.server, this.#error))
      return false
    }
    this.#queue.push(exchange)
    if (this.outstanding === 1) this.#readFor(exchange)
    return true
  }

  /** Expects an answer without having sent anything: the greeting. */
  expect(exchange: Exchange): void {
    this.#queue.push(exchange)
  }

  /** More frames for the exchange at hand (auth, LOCAL INFILE), or a command without answer. False: wait for `drain`. */
  write(frames: Buffer): boolean {
    if (this.#closed) return true
    return this.#out.write(frames)
  }

  drain(): Promise<void> {
    return this.#closed ? Promise.resolve() : this.#out.drain()
  }

  cork(): void {
    this.#socket.cork()
  }

  uncork(): void {
    this.#socket.uncork()
  }

  pause(): void {
    if (this.#pauses++ === 0) this.#socket.pause()
  }

  resume(): void {
    if (this.#pauses > 0 && --this.#pauses === 0) this.#socket.resume()
  }

  /** No more commands; the socket ends after what is outstanding, by the server's hand, or is cut after 5 s. */
  quit(frames: Buffer): Promise<void> {
    if (this.#closed) return Promise.resolve()
    if (!this.#closing) {
      this.#closing = true
      this.#out.end(frames)
      // A server that is gone, or a stream that nobody reads on, must not hold the caller for ever.
      const timer = setTimeout(() => this.#socket.destroy(), QUIT_MS)
      this.onClose(() => clearTimeout(timer))
    }
    return new Promise((resolve) => this.onClose(() => resolve()))
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

  #shift(): void {
    this.#head++
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0
      this.#head = 0
    } else if (this.#head > 256) {
      this.#queue.splice(0, this.#head)
      this.#head = 0
    }
    this.#readFor(this.#queue[this.#head])
  }

  #readFor(exchange: Exchange | undefined): void {
    this.#parser.join = exchange?.rawFrames !== true
    this.#parser.packetSize = exchange?.packetSize ?? null
  }

  #unasked(data: Buffer, start: number, end: number): void {
    this.destroy(new Error(data[start] === 0xff ? data.toString('utf8', start + 3, end) : unaskedReason))
  }

  #gone(): void {
    if (this.#closed) return
    this.#closed = true
    const planned = this.#closing && this.#error === undefined && this.outstanding === 0
    if (!planned) this.#error ??= new Error('the server closed the connection')
    this.#socket.destroy()
    this.#out.forget()
    const waiting = this.#queue.slice(this.#head)
    this.#queue = []
    this.#head = 0
    for (const exchange of waiting) exchange.fail(new ConnectionLost('outcomeUnknown', this.server, this.#error))
    const listeners = this.#closeListeners
    this.#closeListeners = []
    for (const listener of listeners) listener(planned ? undefined : this.#error)
  }
}
