import { FRAME_BYTES_MAX, HEADER_BYTES } from '../wire/frames.ts'
import type { Channel } from './channel.ts'

/** No frame of a file is larger: servers hold each in memory and refuse those above max_allowed_packet. */
const PIECE_BYTES_MAX = 1 << 20

/**
 * Sends a file's bytes as frames and the empty frame that ends it, also when the source throws (the exchange must end for the
 * connection to stay usable); then rethrows. Waits for the socket to drain, so memory is one piece and the socket's buffer.
 */
export async function sendInfile(channel: Channel, source: AsyncIterable<Buffer> | Iterable<Buffer>, sequence: number): Promise<void> {
  const header = (length: number): Buffer => {
    const out = Buffer.allocUnsafe(HEADER_BYTES)
    out.writeUInt32LE((Math.min(length, FRAME_BYTES_MAX) | (sequence << 24)) >>> 0, 0)
    sequence = (sequence + 1) & 0xff
    return out
  }
  try {
    for await (const chunk of source) {
      if (!channel.open) return
      for (let at = 0; at < chunk.length; at += PIECE_BYTES_MAX) {
        const piece = chunk.subarray(at, at + PIECE_BYTES_MAX)
        channel.cork()
        channel.write(header(piece.length))
        const room = channel.write(piece)
        channel.uncork()
        if (!room) await channel.drain()
      }
    }
  } finally {
    channel.write(header(0))
  }
}
