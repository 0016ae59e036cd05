import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { Channel, type Exchange } from './channel.ts'
import { ConnectionLost } from './errors.ts'

/** ERR 1927 08S01, as a packet that nobody asked for. */
const goodbye = Buffer.concat([Buffer.from([0x23, 0, 0, 0, 0xff, 0x87, 0x07]), Buffer.from('#08S01Connection was killed by root')])
goodbye[0] = goodbye.length - 4

test("promise 11: what is sent behind a server's goodbye was not sent, though the end of its stream has not come", () => {
  const written: Buffer[] = []
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk)
      done()
    },
  })
  const channel = new Channel(socket as unknown as Socket, 'here')
  const closed: (Error | undefined)[] = []
  channel.onClose((error) => closed.push(error))
  socket.emit('data', goodbye)
  assert.ok(!channel.open)
  assert.match(closed[0]?.message ?? '', /Connection was killed/)
  const failed: Error[] = []
  const exchange: Exchange = { packet: () => true, fail: (error) => failed.push(error) }
  channel.send(Buffer.from([1, 0, 0, 0, 0x0e]), exchange)
  const [error] = failed
  assert.ok(error instanceof ConnectionLost && error.outcome === 'nothingSent')
  assert.deepEqual(written, [])
})
