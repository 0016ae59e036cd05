/** Raw packets of one answer, pulled: the binlog dump's feed. Ends at EOF or ERR; the socket is paused beyond the bound. */
import { isEof } from '../wire/eof.ts'
import type { PacketSize } from '../wire/frames.ts'
import type { Channel, Exchange } from './channel.ts'
import type { PacketStream } from './connection.ts'
import { serverError, type Owner } from './exchanges.ts'

export class PacketStreamExchange implements Exchange, PacketStream {
  readonly #owner: Owner
  readonly #channel: Channel
  readonly #bytesMax: number
  readonly packetSize?: PacketSize
  #queue: Buffer[] = []
  #head = 0
  #bytes = 0
  #paused = false
  #done = false
  #error: Error | null = null
  #wake: (() => void) | null = null
  activity = 0

  constructor(owner: Owner, channel: Channel, bytesMax: number, packetSize?: PacketSize) {
    if (packetSize !== undefined) this.packetSize = packetSize
    this.#owner = owner
    this.#channel = channel
    this.#bytesMax = bytesMax
  }

  get bufferedBytes(): number {
    return this.#bytes
  }

  packet(data: Buffer, start: number, end: number): boolean {
    if (data[start] === 0xff) {
      this.#finish(serverError(this.#owner, data, start, end))
      return true
    }
    if (isEof(data, start, end)) {
      this.#finish(null)
      return true
    }
    this.#queue.push(data.subarray(start, end))
    this.#bytes += end - start
    if (this.#bytes > this.#bytesMax && !this.#paused) {
      this.#paused = true
      this.#channel.pause()
    }
    return false
  }

  chunkEnd(): void {
    this.activity++
    if (this.#head < this.#queue.length) this.#notify()
  }

  fail(error: Error): void {
    this.#finish(error)
  }

  tryNext(): Buffer | undefined {
    if (this.#head >= this.#queue.length) return undefined
    const packet = this.#queue[this.#head] as Buffer
    // Packets may be megabytes: none is kept until all behind it were taken.
    this.#queue[this.#head++] = taken
    this.#bytes -= packet.length
    if (this.#head === this.#queue.length) {
      this.#queue = []
      this.#head = 0
    } else if (this.#head > 1024) {
      this.#queue.splice(0, this.#head)
      this.#head = 0
    }
    if (this.#paused && this.#bytes * 2 <= this.#bytesMax) {
      this.#paused = false
      this.#channel.resume()
    }
    return packet
  }

  async next(): Promise<Buffer | null> {
    for (;;) {
      const packet = this.tryNext()
      if (packet !== undefined) return packet
      if (this.#done) {
        if (this.#error !== null) throw this.#error
        return null
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #finish(error: Error | null): void {
    this.#done = true
    this.#error = error
    if (this.#paused) {
      this.#paused = false
      this.#channel.resume()
    }
    this.#notify()
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}

const taken = Buffer.alloc(0)
