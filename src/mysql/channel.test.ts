import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { commandPieces, FrameParser } from '../wire/frames.ts'
import { Channel, type Exchange } from './channel.ts'
import { ConnectionLost } from './errors.ts'

/** ERR 1927 08S01, as a packet that nobody asked for. */
const goodbye = Buffer.concat([Buffer.from([0x23, 0, 0, 0, 0xff, 0x87, 0x07]), Buffer.from('#08S01Connection was killed by root')])
goodbye[0] = goodbye.length - 4

function open(): { channel: Channel; written: Buffer[]; socket: Duplex } {
  const written: Buffer[] = []
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk)
      done()
    },
  })
  return { channel: new Channel(socket as unknown as Socket, 'here'), written, socket }
}

const begin = Buffer.from([6, 0, 0, 0, 3, 0x42, 0x45, 0x47, 0x49, 0x4e])
const ping = Buffer.from([1, 0, 0, 0, 0x0e])
const ok = Buffer.from([7, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0])
const answered = (by: string, log: string[]): Exchange => ({
  packet: () => log.push(by) > 0,
  fail: (error) => log.push(`${by}: ${error.message}`),
})

test('what is sent ahead goes out in one write with what follows, and is answered in order', () => {
  const { channel, written, socket } = open()
  const log: string[] = []
  channel.sendAhead(begin, answered('begin', log))
  assert.deepEqual([written, channel.outstanding], [[], 1])
  channel.send(ping, answered('ping', log))
  assert.deepEqual(written, [Buffer.concat([begin, ping])])
  socket.emit('data', Buffer.concat([ok, ok]))
  assert.deepEqual(log, ['begin', 'ping'])
})

test('what is sent ahead goes by itself when nothing follows, before what has no answer, and before the end', async () => {
  const { channel, written } = open()
  const log: string[] = []
  channel.sendAhead(begin, answered('begin', log))
  channel.sendAhead(begin, answered('begin', log))
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(written, [Buffer.concat([begin, begin])])
  channel.sendAhead(begin, answered('begin', log))
  channel.write(ping)
  assert.deepEqual(written.slice(1), [Buffer.concat([begin, ping])])
  const large = Buffer.alloc(100_000)
  channel.sendAhead(begin, answered('begin', log))
  channel.send(large, answered('large', log))
  assert.deepEqual(written.slice(2), [begin, large])
  channel.sendAhead(begin, answered('begin', log))
  void channel.quit(ping)
  assert.deepEqual(written.slice(4), [begin, ping])
  channel.destroy()
})

test('promise 11: what waited when the connection was cut is never written, and what follows it was not sent', async () => {
  const { channel, written, socket } = open()
  const log: string[] = []
  const failed: Error[] = []
  channel.sendAhead(begin, answered('begin', log))
  socket.emit('close')
  channel.send(ping, { packet: () => true, fail: (error) => failed.push(error) })
  await new Promise((resolve) => setImmediate(resolve))
  const [error] = failed
  assert.ok(error instanceof ConnectionLost && error.outcome === 'nothingSent')
  assert.deepEqual(written, [])
})

test("promise 11: what is sent behind a server's goodbye was not sent, though the end of its stream has not come", () => {
  const { channel, written, socket } = open()
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

test('a statement of megabytes goes by slices, of which one is with the socket at a time; what is sent behind it comes behind it, the goodbye too', async () => {
  const written: Buffer[] = []
  let taken: (() => void) | null = null
  const socket = new Duplex({
    read() {},
    writev(chunks, done) {
      written.push(...chunks.map(({ chunk }) => chunk as Buffer))
      taken = done
    },
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk)
      taken = done
    },
  })
  const takes = async (): Promise<void> => {
    const done = taken
    taken = null
    done?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const channel = new Channel(socket as unknown as Socket, 'here')
  const exchange: Exchange = { packet: () => true, fail: () => undefined }
  const row = Buffer.alloc(17 << 20, 7)
  const bytesWritten = (): number => written.reduce((sum, { length }) => sum + length, 0)
  channel.send(commandPieces(3, [Buffer.from('REPLACE '), row, Buffer.from(' TAIL')]), exchange)
  channel.send(Buffer.from([1, 0, 0, 0, 0x0e]), exchange)
  assert.equal(channel.write(Buffer.from([0, 0, 0, 1])), false, 'it waits')
  let drained = false
  const draining = channel.drain().then(() => (drained = true))
  channel.quit(Buffer.from([1, 0, 0, 0, 0x01])).catch(() => undefined)
  for (let slices = 1; taken !== null; slices++) {
    assert.ok(bytesWritten() <= slices * (256 << 10), `${bytesWritten()} bytes with the socket after ${slices} slices`)
    assert.equal(drained, false)
    const before = channel.bytesGone
    await takes()
    assert.ok(channel.bytesGone > before)
    assert.ok(slices < 100)
  }
  await draining
  assert.ok(socket.writableEnded)
  // Views of the row, not copies.
  assert.ok(written.filter(({ buffer }) => buffer === row.buffer).reduce((sum, { length }) => sum + length, 0) === row.length)
  const packets: Buffer[] = []
  const parser = new FrameParser((data, start, end) => packets.push(Buffer.from(data.subarray(start, end))))
  for (const bytes of written) parser.feed(bytes)
  assert.deepEqual(
    packets.map(({ length }) => length),
    [1 + 8 + row.length + 5, 1, 0, 1],
  )
  assert.equal(packets[0]?.toString('latin1', 1, 9), 'REPLACE ')
  assert.ok(packets[0]?.subarray(9, 9 + row.length).equals(row))
  channel.destroy()
})
