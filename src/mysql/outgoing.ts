/**
 * What goes out on a socket, in order. A statement of megabytes goes by slices, each when the one before it has gone. So whoever looks sees that it goes (`bytesGone`): to the server a session is asleep until all of a command is there (*tried* on both),
 * which over a slow line takes longer than anybody would wait for one that hangs. And a socket that encrypts has a slice in memory twice, not all of it.
 */
import type { Socket } from 'node:net'

const sliceBytes = 256 << 10
/** Behind what waits for it, more than this is written by itself. */
const copiedBytesMax = 1 << 16

export class Outgoing {
  #socket: Socket
  #waiting: Buffer[] = []
  /** Goes out with what comes next, or by itself once nothing else is to do. */
  #ahead: Buffer | null = null
  #flushing: NodeJS.Immediate | null = null
  #slicing = false
  #ending = false
  #idle: (() => void)[] = []
  /** Of slices: those that the system has taken. */
  bytesGone = 0

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** For an upgrade, when nothing is on its way. */
  set socket(socket: Socket) {
    this.#socket = socket
  }

  /** False: wait for `drain` before there is more. */
  write(bytes: Buffer): boolean {
    if (!this.#slicing) return this.#socket.write(this.#behindAhead(bytes))
    this.#flush()
    this.#waiting.push(bytes)
    return false
  }

  /** Little that more follows at once: both are one call into the system then, at both ends, and not two. */
  writeAhead(bytes: Buffer): void {
    this.#ahead = this.#ahead === null ? bytes : Buffer.concat([this.#ahead, bytes])
    this.#flushing ??= setImmediate(() => this.#flush())
  }

  /** What is to be written now: what waits and this, unless it is too large to be copied. */
  #behindAhead(bytes: Buffer): Buffer {
    const ahead = this.#ahead
    if (ahead === null) return bytes
    if (bytes.length > copiedBytesMax) {
      this.#flush()
      return bytes
    }
    this.#forgetAhead()
    return Buffer.concat([ahead, bytes])
  }

  #flush(): void {
    const ahead = this.#ahead
    if (ahead === null) return
    this.#forgetAhead()
    this.write(ahead)
  }

  #forgetAhead(): void {
    this.#ahead = null
    if (this.#flushing !== null) clearImmediate(this.#flushing)
    this.#flushing = null
  }

  writeSliced(pieces: readonly Buffer[]): void {
    this.#flush()
    this.#waiting.push(...pieces)
    if (!this.#slicing) this.#slice()
  }

  /** The last bytes: nothing is written behind them. */
  end(bytes: Buffer): void {
    this.#flush()
    if (!this.#slicing) {
      this.#socket.end(bytes)
      return
    }
    this.#waiting.push(bytes)
    this.#ending = true
  }

  async drain(): Promise<void> {
    if (this.#slicing) await new Promise<void>((resolve) => this.#idle.push(resolve))
    const socket = this.#socket
    if (socket.destroyed || !socket.writableNeedDrain) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        socket.off('drain', done)
        socket.off('close', done)
        resolve()
      }
      socket.on('drain', done)
      socket.on('close', done)
    })
  }

  /** The socket is gone. */
  forget(): void {
    this.#waiting = []
    this.#forgetAhead()
    this.#rest()
  }

  #slice(): void {
    const slice = this.#nextSlice()
    const bytes = slice.reduce((sum, { length }) => sum + length, 0)
    const last = slice.pop()
    if (last === undefined || this.#socket.destroyed) {
      this.#rest()
      return
    }
    this.#slicing = true
    this.#socket.cork()
    for (const piece of slice) this.#socket.write(piece)
    this.#socket.write(last, (error) => {
      if (error != null) return this.forget()
      this.bytesGone += bytes
      this.#slice()
    })
    this.#socket.uncork()
  }

  #nextSlice(): Buffer[] {
    const slice: Buffer[] = []
    for (let room = sliceBytes; room > 0;) {
      const [piece] = this.#waiting
      if (piece === undefined) break
      if (piece.length > room) this.#waiting[0] = piece.subarray(room)
      else this.#waiting.shift()
      slice.push(piece.subarray(0, room))
      room -= piece.length
    }
    return slice
  }

  #rest(): void {
    this.#slicing = false
    if (this.#ending) this.#socket.end()
    this.#ending = false
    const idle = this.#idle
    this.#idle = []
    for (const resolve of idle) resolve()
  }
}
