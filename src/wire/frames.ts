/**
 * Framing: header of 3 bytes little-endian length and 1 byte sequence id, then the payload. A payload of 16 MiB − 1 bytes or
 * more is sent as frames of exactly 16 MiB − 1 and a last shorter one, which may be empty; sequence ids count on modulo 256.
 *
 * `FrameParser` works in place: packets are ranges of the chunk they came in. Only what a chunk leaves unfinished is copied,
 * once, when the missing bytes are here; so there is no per-byte work and no quadratic growth for large packets.
 */
import { assert } from '../base/assert.ts'
import { wireErrors } from './errors.ts'

export const FRAME_BYTES_MAX = 0xffffff
export const HEADER_BYTES = 4

/** One command or answer packet as frames, beginning with `sequence`. */
export function frame(payload: Uint8Array, sequence = 0): Buffer {
  const frames = Math.floor(payload.length / FRAME_BYTES_MAX) + 1
  const out = Buffer.allocUnsafe(payload.length + frames * HEADER_BYTES)
  let from = 0
  let at = 0
  for (let i = 0; i < frames; i++) {
    const length = Math.min(FRAME_BYTES_MAX, payload.length - from)
    out.writeUInt32LE((length | (((sequence + i) & 0xff) << 24)) >>> 0, at)
    out.set(length === payload.length ? payload : payload.subarray(from, from + length), at + HEADER_BYTES)
    from += length
    at += HEADER_BYTES + length
  }
  return out
}

/** A command byte and its argument, framed with sequence 0: the shape of nearly everything a client sends. */
export function frameCommand(command: number, argument: string | Uint8Array): Buffer {
  const bytes = typeof argument === 'string' ? Buffer.byteLength(argument) : argument.length
  if (bytes + 1 >= FRAME_BYTES_MAX) return Buffer.concat(commandPieces(command, [Buffer.from(argument)]))
  const out = Buffer.allocUnsafe(HEADER_BYTES + 1 + bytes)
  out.writeUInt32LE(bytes + 1, 0)
  out[HEADER_BYTES] = command
  if (typeof argument === 'string') out.write(argument, HEADER_BYTES + 1, bytes, 'utf8')
  else out.set(argument, HEADER_BYTES + 1)
  return out
}

/** The same frames in pieces, without a copy of the argument: for those of megabytes. The argument may come in pieces itself. */
export function commandPieces(command: number, argument: readonly Buffer[]): Buffer[] {
  const frames: Buffer[] = []
  let left = argument.reduce((bytes, piece) => bytes + piece.length, 1)
  let piece = 0
  let from = 0
  for (let sequence = 0; ; sequence++) {
    const length = Math.min(FRAME_BYTES_MAX, left)
    const head = Buffer.allocUnsafe(sequence === 0 ? HEADER_BYTES + 1 : HEADER_BYTES)
    head.writeUInt32LE((length | ((sequence & 0xff) << 24)) >>> 0, 0)
    if (sequence === 0) head[HEADER_BYTES] = command
    frames.push(head)
    for (let room = sequence === 0 ? length - 1 : length; room > 0;) {
      const bytes = argument[piece]?.subarray(from, from + room)
      assert(bytes !== undefined, 'a frame has no more than the argument')
      if (bytes.length > 0) frames.push(bytes)
      room -= bytes.length
      from += bytes.length
      if (from < (argument[piece]?.length ?? 0)) continue
      piece++
      from = 0
    }
    left -= length
    if (length < FRAME_BYTES_MAX) return frames
  }
}

/** Rewrites the sequence ids of whole frames in place, counting from `sequence`; returns the next one. */
export function renumber(frames: Buffer, sequence: number): number {
  let at = 0
  while (at < frames.length) {
    const length = frames.readUIntLE(at, 3)
    frames[at + 3] = sequence
    sequence = (sequence + 1) & 0xff
    at += HEADER_BYTES + length
  }
  assert(at === frames.length, 'renumber needs whole frames')
  return sequence
}

/**
 * Takes one payload: `data[start, end)`. Its header lies at `start - 4` unless `joined` (several frames put together).
 * `sequence` is that of the (first) frame, `nextSequence` what follows.
 */
export type PacketHandler = (data: Buffer, start: number, end: number, nextSequence: number, joined: boolean) => void

export type FrameParserOptions = {
  /** False: each frame is given as it is, above 16 MiB too. Default true. May be changed between packets. */
  join?: boolean
  /** A packet above this throws, or goes by and is told (`onTooLarge`). Default: 1 GiB, the protocol's own limit. */
  packetBytesMax?: number
}

/** Told of a packet above the bound when all of it has gone by, with what the sequence of its answer is. */
export type TooLargeHandler = (nextSequence: number) => void

/** Bytes of the packet that begins with these, where its beginning tells; null: not yet, or never. Only a hint. */
export type PacketSize = (beginning: Buffer) => number | null

export class FrameParser {
  join: boolean
  /** Of the answer that is being read. May be changed between packets. */
  packetSize: PacketSize | null = null
  /** May be changed between packets: little before a peer is authenticated. */
  packetBytesMax: number
  /** Null: a packet above the bound throws. Else nothing of it is held: its sender reads no answer before it has sent all of it. */
  onTooLarge: TooLargeHandler | null = null
  readonly #onPacket: PacketHandler
  #held: Buffer[] = []
  #heldBytes = 0
  /** Bytes needed before the first held packet can be complete, as far as known. */
  #neededBytes = 0
  /** Where a large packet is put together piece by piece, instead of in `#held`: its pieces do not pile up beside it. */
  #filling: Buffer | null = null
  /** The frame of a packet above the bound that goes by just now. */
  #passing: { leftBytes: number; last: boolean; sequence: number } | null = null
  #stopped = false

  constructor(onPacket: PacketHandler, options: FrameParserOptions = {}) {
    this.#onPacket = onPacket
    this.join = options.join ?? true
    this.packetBytesMax = options.packetBytesMax ?? 0x40000000
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** From within the handler: the rest of the chunk stays held, unparsed, for `unparsed` (a TLS upgrade) or the next `feed`. */
  stop(): void {
    this.#stopped = true
  }

  /** Takes out what was not parsed. */
  unparsed(): Buffer {
    if (this.#filling !== null) {
      const filled = this.#filling.subarray(0, this.#heldBytes)
      this.#hold(null)
      return filled
    }
    const out = this.#held.length === 1 ? (this.#held[0] as Buffer) : Buffer.concat(this.#held)
    this.#hold(null)
    return out
  }

  feed(chunk: Buffer): void {
    if (this.#passing !== null) return this.#pass(chunk)
    const filling = this.#filling
    if (filling !== null) {
      const taken = Math.min(chunk.length, this.#neededBytes - this.#heldBytes)
      chunk.copy(filling, this.#heldBytes, 0, taken)
      this.#heldBytes += taken
      if (this.#heldBytes < this.#neededBytes) return
      const whole = filling.subarray(0, this.#heldBytes)
      this.#hold(null)
      this.#parse(whole, filling)
      if (taken === chunk.length) return
      if (this.#stopped) this.#hold(chunk.subarray(taken), HEADER_BYTES)
      else this.feed(chunk.subarray(taken))
      return
    }
    let data = chunk
    if (this.#heldBytes > 0) {
      this.#held.push(chunk)
      this.#heldBytes += chunk.length
      if (this.#heldBytes < this.#neededBytes) return
      data = this.#held.length === 1 ? chunk : Buffer.concat(this.#held, this.#heldBytes)
      this.#hold(null)
    }
    this.#parse(data, null)
  }

  /** @param ours the buffer that `data` begins, when it is one of our own filling */
  #parse(data: Buffer, ours: Buffer | null): void {
    this.#stopped = false
    let at = 0
    const end = data.length
    while (at + HEADER_BYTES <= end && !this.#stopped) {
      const length = (data[at] as number) | ((data[at + 1] as number) << 8) | ((data[at + 2] as number) << 16)
      const sequence = data[at + 3] as number
      const packetEnd = at + HEADER_BYTES + length
      if (length === FRAME_BYTES_MAX && this.join) {
        const next = this.#joined(data, at, ours)
        if (next === -1) return
        at = next
        continue
      }
      if (length > this.packetBytesMax) return this.#tooLarge(data, at)
      if (packetEnd > end) {
        this.#hold(at === 0 ? data : data.subarray(at), HEADER_BYTES + length)
        return
      }
      if (ours !== null) ownPackets.add(ours.buffer)
      at = packetEnd
      this.#onPacket(data, packetEnd - length, packetEnd, (sequence + 1) & 0xff, false)
    }
    if (at < end) this.#hold(at === 0 ? data : data.subarray(at), HEADER_BYTES)
  }

  /** A packet of several frames from `at`: hands it over and returns where the next begins, or holds it and returns -1. */
  #joined(data: Buffer, at: number, ours: Buffer | null): number {
    const parts: Buffer[] = []
    let cursor = at
    let total = 0
    for (;;) {
      if (cursor + HEADER_BYTES > data.length) {
        this.#hold(data.subarray(at), cursor - at + HEADER_BYTES, ours)
        return -1
      }
      const length = data.readUIntLE(cursor, 3)
      const sequence = data[cursor + 3] as number
      total += length
      if (total > this.packetBytesMax) {
        this.#tooLarge(data, cursor)
        return -1
      }
      const partEnd = cursor + HEADER_BYTES + length
      if (partEnd > data.length) {
        this.#hold(data.subarray(at), partEnd - at, ours)
        return -1
      }
      parts.push(data.subarray(cursor + HEADER_BYTES, partEnd))
      cursor = partEnd
      if (length < FRAME_BYTES_MAX) {
        const payload = ours === null ? Buffer.concat(parts, total) : inPlace(parts, total)
        if (ours !== null) ownPackets.add(ours.buffer)
        this.#onPacket(payload, 0, payload.length, (sequence + 1) & 0xff, true)
        return cursor
      }
    }
  }

  /** @param at where the frame begins with which the packet is above the bound */
  #tooLarge(data: Buffer, at: number): void {
    if (this.onTooLarge === null) throw wireErrors.packetTooLarge({ maxBytes: this.packetBytesMax })
    this.#passing = passedFrame(data, at)
    this.#pass(data.subarray(at + HEADER_BYTES))
  }

  #pass(chunk: Buffer): void {
    const data = this.#heldBytes === 0 ? chunk : Buffer.concat([...this.#held, chunk])
    this.#hold(null)
    let at = 0
    for (;;) {
      const passing = this.#passing
      if (passing === null) return
      const taken = Math.min(passing.leftBytes, data.length - at)
      passing.leftBytes -= taken
      at += taken
      if (passing.leftBytes > 0) return
      if (passing.last) {
        this.#passing = null
        this.#stopped = false
        this.onTooLarge?.((passing.sequence + 1) & 0xff)
        break
      }
      if (at + HEADER_BYTES > data.length) {
        if (at < data.length) this.#hold(data.subarray(at), HEADER_BYTES)
        return
      }
      this.#passing = passedFrame(data, at)
      at += HEADER_BYTES
    }
    if (at === data.length) return
    if (this.#stopped) this.#hold(data.subarray(at), HEADER_BYTES)
    else this.#parse(data.subarray(at), null)
  }

  #hold(data: Buffer | null, neededBytes = 0, ours: Buffer | null = null): void {
    this.#filling = null
    if (data !== null && neededBytes >= fillBytesMin) {
      const goesOn = ours !== null && data.byteOffset === ours.byteOffset && data.buffer === ours.buffer && ours.length >= neededBytes
      this.#filling = goesOn ? ours : this.#roomFor(data, neededBytes)
    }
    this.#held = data === null || this.#filling !== null ? [] : [data]
    this.#heldBytes = data === null ? 0 : data.length
    this.#neededBytes = neededBytes
  }

  /** Where its size is not known, with room for another frame where this one is full, and as much again as there is: what is not touched is not memory. */
  #roomFor(data: Buffer, neededBytes: number): Buffer {
    const told = this.packetSize?.(data.subarray(HEADER_BYTES)) ?? null
    let bytes = neededBytes
    if (told !== null && told <= this.packetBytesMax) bytes = Math.max(bytes, framedBytes(told))
    else if (neededBytes >= FRAME_BYTES_MAX) bytes += neededBytes + HEADER_BYTES + FRAME_BYTES_MAX
    const room = Buffer.allocUnsafeSlow(bytes + roomBehindBytes)
    data.copy(room)
    return room
  }
}

/** Behind a packet that was put together by itself. */
const roomBehindBytes = 256 << 10

/** Buffers of one packet each, which has come whole. */
const ownPackets = new WeakSet<ArrayBufferLike>()

/** Bytes behind a whole packet, as a handler was given it, that belong to nobody else: whoever takes it apart may write there. */
export function roomBehind(packet: Buffer): number {
  return ownPackets.has(packet.buffer) ? packet.buffer.byteLength - packet.byteOffset - packet.length : 0
}

function framedBytes(payloadBytes: number): number {
  return payloadBytes + HEADER_BYTES * (Math.floor(payloadBytes / FRAME_BYTES_MAX) + 1)
}

function passedFrame(data: Buffer, at: number): { leftBytes: number; last: boolean; sequence: number } {
  const length = data.readUIntLE(at, 3)
  return { leftBytes: length, last: length < FRAME_BYTES_MAX, sequence: data[at + 3] as number }
}

/** Packets from here on are put together in one buffer. */
const fillBytesMin = 1 << 20

/** Payloads of frames that follow each other in one buffer of ours: headers between them are closed up. */
function inPlace(parts: readonly Buffer[], total: number): Buffer {
  const first = parts[0] as Buffer
  const out = Buffer.from(first.buffer, first.byteOffset, total)
  let at = first.length
  for (const part of parts.slice(1)) {
    part.copy(out, at)
    at += part.length
  }
  return out
}
