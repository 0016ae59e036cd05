import { connect } from 'node:net'

/**
 * Whether a server greets on this socket: a first packet of protocol version 10 (as MySQL's handshake begins; 0xff is its
 * refusal, e.g. too many connections, and counts too). The Unix socket in the server's own directory is asked and not the
 * port, since whoever answers there is this server and none that happens to hold the port.
 */
export function greets(socketPath: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path: socketPath })
    let got = Buffer.alloc(0)
    const finish = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(timeoutMs, () => finish(false))
    socket.on('error', () => finish(false))
    socket.on('close', () => finish(false))
    socket.on('data', (bytes) => {
      got = Buffer.concat([got, bytes])
      if (got.length >= 5) finish(got[4] === 10 || got[4] === 0xff)
    })
  })
}
