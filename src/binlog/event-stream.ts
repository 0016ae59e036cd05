/**
 * One binlog event's frame: header, checksum and coordinates; and what the stream tells about itself (format description, rotate, checksum
 * algorithm).
 *
 *     header := timestamp (4) type (1) server id (4) size (4) end position (4) flags (2)
 */
import type { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { ByteReader } from './byte-reader.ts'
import { binlogErrors } from './errors.ts'
import { checksumBytes, eventFlag, eventHeaderBytes, eventType } from './event-types.ts'
import { Truncated } from './row-sink.ts'
import type { Coordinates } from './source.ts'

export type BinlogEvent = {
  readonly type: number
  readonly timestamp: number
  readonly serverId: number
  readonly artificial: boolean
  /** Without header and checksum. */
  readonly body: Buffer
  /** Bytes behind the body that nobody else uses (`roomBehind` of frames.ts). */
  readonly room: number
  readonly at: Coordinates
}

/** Of an event that has begun to come; null: too little of it is here. */
export function sizeInHeader(beginning: Buffer): number | null {
  return beginning.length < 13 ? null : beginning.readUInt32LE(9)
}

const crc32Algorithm = 1

export class EventStream {
  #checksum: boolean
  #file = ''
  #end = 0

  /** @param checksum what was negotiated; format descriptions correct it */
  constructor(checksum: boolean, file = '', offset = 0) {
    this.#checksum = checksum
    this.#file = file
    this.#end = offset
  }

  /** Whether events carry a CRC32, which is verified. */
  get checked(): boolean {
    return this.#checksum
  }

  /** The end of the last event. */
  get position(): Coordinates {
    return { file: this.#file, offset: this.#end }
  }

  /**
   * @param packet a whole event
   * @param room bytes behind it that nobody else uses
   * @throws badChecksum (coordinates filled by the caller), Truncated
   */
  read(packet: Buffer, room = 0): BinlogEvent {
    if (packet.length < eventHeaderBytes) throw new Truncated('event header')
    const type = packet[4] as number
    const size = packet.readUInt32LE(9)
    const endPosition = packet.readUInt32LE(13)
    const artificial = (packet.readUInt16LE(17) & eventFlag.artificial) !== 0
    if (size !== packet.length) throw new Truncated(`an event of ${size} bytes came with ${packet.length}`)
    const at = this.#advance(size, endPosition, artificial || type === eventType.heartbeat || type === eventType.heartbeatV2)
    const end = packet.length - this.#checksumBytes(packet, type)
    const body = packet.subarray(eventHeaderBytes, end)
    if (type === eventType.rotate) {
      const reader = new ByteReader(body)
      this.#end = Number(reader.u64())
      this.#file = reader.rest().toString('utf8')
    }
    return {
      type,
      timestamp: packet.readUInt32LE(0),
      serverId: packet.readUInt32LE(5),
      artificial,
      body,
      room: room + packet.length - end,
      at,
    }
  }

  /** An event out of a compressed transaction: no checksum, its coordinates are the whole's. */
  readInner(event: Buffer, at: Coordinates): BinlogEvent {
    return {
      type: event[4] as number,
      timestamp: event.readUInt32LE(0),
      serverId: event.readUInt32LE(5),
      artificial: false,
      body: event.subarray(eventHeaderBytes),
      room: 0,
      at,
    }
  }

  /** End positions have 32 bits and files can be larger: the sum of sizes is kept as long as both agree in their low bits. */
  #advance(size: number, endPosition: number, madeUp: boolean): Coordinates {
    if (madeUp || endPosition === 0) return { file: this.#file, offset: this.#end }
    const summed = this.#end + size
    this.#end = summed % 2 ** 32 === endPosition ? summed : endPosition
    return { file: this.#file, offset: Math.max(this.#end - size, 0) }
  }

  #checksumBytes(packet: Buffer, type: number): number {
    if (type === eventType.formatDescription) {
      // Always carries algorithm and checksum at its end, whatever the algorithm.
      if (packet.length < eventHeaderBytes + 57 + 5) throw new Truncated('format description')
      this.#checksum = packet[packet.length - checksumBytes - 1] === crc32Algorithm
      if (this.#checksum) verify(packet)
      return checksumBytes
    }
    // The first rotate comes before any format description, so it tells by itself.
    if (type === eventType.rotate) return sound(packet) ? checksumBytes : 0
    if (!this.#checksum) return 0
    verify(packet)
    return checksumBytes
  }
}

function sound(packet: Buffer): boolean {
  const end = packet.length - checksumBytes
  return end >= eventHeaderBytes && crc32(packet.subarray(0, end)) === packet.readUInt32LE(end)
}

function verify(packet: Buffer): void {
  if (!sound(packet)) throw binlogErrors.badChecksum()
}
