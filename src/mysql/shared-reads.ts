/**
 * Sockets that read into one buffer of the process. Otherwise Node allocates 64 KiB for each read and shrinks it to what came: 7 µs of CPU for each
 * forwarded query, two reads (measured by bench/gate.ts beside the same proxy without), and memory for each connection that reads.
 *
 * Why one buffer is enough: a read fills it and calls back before anything else runs, and what came is copied out first. Listeners of `data` see no
 * difference. A TLS session laid over such a socket reads by its own listener and is not concerned.
 */
import net from 'node:net'

const sharedBytes = 1 << 16
const shared = Buffer.allocUnsafeSlow(sharedBytes)

function readsInto(piece: (bytes: number) => Buffer): net.OnReadOpts {
  return {
    buffer: shared,
    callback(this: unknown, bytes: number): boolean {
      const chunk = piece(bytes)
      shared.copy(chunk, 0, 0, bytes)
      // Node calls it as a method of the socket.
      ;(this as net.Socket).emit('data', chunk)
      return true
    },
  }
}

let slab = shared
let used = sharedBytes

/**
 * What servers answer is mostly more than Node's own pool takes (4 KiB), and a buffer of its own for each read is dear to make and to collect: pieces of one large buffer
 * are not. It lives as long as any piece of it: so for connections to servers only, which are few, and whose answers nobody keeps without a copy.
 */
function pieceOfSlab(bytes: number): Buffer {
  if (used + bytes > sharedBytes) {
    slab = Buffer.allocUnsafeSlow(sharedBytes)
    used = 0
  }
  used += bytes
  return slab.subarray(used - bytes, used)
}

/** For `net.connect`. */
export const sharedReads = readsInto(pieceOfSlab)

const acceptedReads = readsInto((bytes) => Buffer.allocUnsafe(bytes))

type Handle = { reading?: boolean }

/**
 * The same for a socket that a server with `pauseOnConnect` accepted: its handle moves to a socket that is made so. Node has no public way to say this
 * beforehand; where the handle is not where it has been since Node 0.10, the socket given stays as it is.
 */
export function withSharedReads(accepted: net.Socket): net.Socket {
  const held = accepted as unknown as { _handle: Handle | null }
  const handle = held._handle
  if (handle === null || handle === undefined) return accepted
  held._handle = null
  const options = { handle, onread: acceptedReads, allowHalfOpen: false } as unknown as net.SocketConstructorOpts
  const socket = new net.Socket(options)
  socket.on('close', () => accepted.destroy())
  return socket
}
