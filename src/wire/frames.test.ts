import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { commandPieces, frame, FRAME_BYTES_MAX, FrameParser, frameCommand, renumber } from './frames.ts'
import { Writer } from './writer.ts'

type Seen = { payload: string; nextSequence: number }

function parse(chunks: Buffer[], options?: { join?: boolean }): Seen[] {
  const seen: Seen[] = []
  const parser = new FrameParser((data, start, end, nextSequence) => {
    seen.push({ payload: data.toString('hex', start, end), nextSequence })
  }, options)
  for (const chunk of chunks) parser.feed(chunk)
  assert.equal(parser.heldBytes, 0, 'nothing is left over')
  return seen
}

function cut(stream: Buffer, cuts: number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].sort((a, b) => a - b)
  const chunks: Buffer[] = []
  let from = 0
  for (const to of [...at, stream.length]) {
    chunks.push(stream.subarray(from, to))
    from = to
  }
  return chunks
}

test('any split of the byte stream gives the same packets', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 }),
      fc.array(fc.nat({ max: 4000 }), { maxLength: 40 }),
      (payloads, cuts) => {
        const stream = Buffer.concat(payloads.map((payload, i) => frame(payload, i & 0xff)))
        const seen = parse(cut(stream, cuts))
        assert.deepEqual(
          seen,
          payloads.map((payload, i) => ({ payload: Buffer.from(payload).toString('hex'), nextSequence: (i + 1) & 0xff })),
        )
      },
    ),
  )
})

test('one byte at a time', () => {
  const stream = Buffer.concat([frame(Buffer.from('abc')), frame(Buffer.alloc(0), 1), frame(Buffer.alloc(300, 7), 2)])
  assert.equal(parse([...stream].map((byte) => Buffer.from([byte]))).length, 3)
})

for (const extra of [-1, 0, 1, FRAME_BYTES_MAX, FRAME_BYTES_MAX + 5]) {
  test(`a payload of 16 MiB - 1 ${extra < 0 ? '-' : '+'} ${Math.abs(extra)} bytes is split, joined, and numbered on`, () => {
    const payload = Buffer.alloc(FRAME_BYTES_MAX + extra)
    payload.writeUInt32LE(0xdeadbeef, payload.length - 4)
    payload[0] = 42
    const stream = Buffer.concat([frame(payload, 254), frame(Buffer.from('next'), 9)])
    const frames = Math.floor(payload.length / FRAME_BYTES_MAX) + 1
    assert.equal(stream.length, payload.length + 4 * frames + 8)
    for (const cuts of [[], [3], [1 << 16, 1 << 20, FRAME_BYTES_MAX + 3, FRAME_BYTES_MAX + 4, FRAME_BYTES_MAX + 6]]) {
      const seen: [number, number, number][] = []
      const parser = new FrameParser((data, start, end, nextSequence) => {
        seen.push([end - start, data[start] as number, nextSequence])
        if (end - start > 10) assert.equal(data.readUInt32LE(end - 4), 0xdeadbeef)
      })
      for (const chunk of cut(stream, cuts)) parser.feed(chunk)
      assert.deepEqual(seen, [
        [payload.length, 42, (254 + frames) & 0xff],
        [4, 0x6e, 10],
      ])
    }
    assert.equal(parse([stream], { join: false }).length, frames + 1, 'raw frames are given one by one')
    const w = new Writer()
    w.beginFrame().bytes(payload)
    assert.equal(w.endFrame(254), (254 + frames) & 0xff)
    assert.ok(w.take().equals(frame(payload, 254)), 'the writer splits alike')
  })
}

test('a large packet in small pieces is put together once, not at every piece', { timeout: 20_000 }, () => {
  const stream = frame(Buffer.alloc(60 << 20, 1))
  let packets = 0
  const parser = new FrameParser(() => packets++)
  const startMs = performance.now()
  for (let at = 0; at < stream.length; at += 8192) parser.feed(stream.subarray(at, at + 8192))
  assert.equal(packets, 1)
  // Copying what is held at each of 7,680 pieces would move 230 GB.
  assert.ok(performance.now() - startMs < 10_000)
})

test('a command is framed as its byte and its argument', () => {
  assert.ok(frameCommand(3, 'sélect').equals(frame(Buffer.from('\x03sélect'))))
  assert.ok(
    frameCommand(3, Buffer.alloc(FRAME_BYTES_MAX, 1)).equals(frame(Buffer.concat([Buffer.from([3]), Buffer.alloc(FRAME_BYTES_MAX, 1)]))),
  )
})

test('pieces of a command are its frames', () => {
  for (const bytes of [0, 5, FRAME_BYTES_MAX - 2, FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX, 2 * FRAME_BYTES_MAX - 1, 2 * FRAME_BYTES_MAX + 7]) {
    const argument = Buffer.alloc(bytes, 7)
    if (bytes > 0) argument[bytes - 1] = 9
    const whole = frame(Buffer.concat([Buffer.from([3]), argument]))
    const cuts = [[], [0], [1, 3], [FRAME_BYTES_MAX - 2, FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX + 3]]
    for (const at of cuts) assert.ok(Buffer.concat(commandPieces(3, cut(argument, at))).equals(whole), `${bytes} cut at ${at.join()}`)
  }
})

test('a packet above the bound is refused before it is gathered', () => {
  const parser = new FrameParser(() => {}, { packetBytesMax: 100 })
  assert.throws(() => parser.feed(Buffer.from([101, 0, 0, 0])), { code: 'SW-WIRE-003' })
})

test('stop keeps the rest of the chunk unparsed', () => {
  const seen: string[] = []
  const parser: FrameParser = new FrameParser((data, start, end) => {
    seen.push(data.toString('latin1', start, end))
    parser.stop()
  })
  parser.feed(Buffer.concat([frame(Buffer.from('one')), Buffer.from('tls bytes')]))
  assert.deepEqual(seen, ['one'])
  assert.equal(parser.unparsed().toString(), 'tls bytes')
  assert.equal(parser.heldBytes, 0)
})

test('renumber counts on, modulo 256', () => {
  const frames = Buffer.concat([frame(Buffer.from('a'), 1), frame(Buffer.from('bc'), 2)])
  assert.equal(renumber(frames, 255), 1)
  assert.deepEqual(
    parse([frames]).map((packet) => packet.nextSequence),
    [0, 1],
  )
})

test('a packet above the bound goes by where somebody is told of it: once, with what its answer continues, and nothing of it is held', () => {
  const stream = Buffer.concat([frame(Buffer.from('one')), frame(Buffer.alloc(FRAME_BYTES_MAX + 500, 1), 3), frame(Buffer.from('two'), 9)])
  const ends = [FRAME_BYTES_MAX + 5, FRAME_BYTES_MAX + 7, FRAME_BYTES_MAX + 11, FRAME_BYTES_MAX + 13, FRAME_BYTES_MAX + 15]
  for (const cuts of [[], [8], [12, 13], ...ends.map((end) => [1 << 20, end]), ends])
    for (const packetBytesMax of [100, FRAME_BYTES_MAX + 100]) {
      const seen: (string | number)[] = []
      const parser = new FrameParser((data, start, end) => seen.push(data.toString('latin1', start, end)), { packetBytesMax })
      parser.onTooLarge = (sequence) => seen.push(sequence)
      let mostHeld = 0
      for (const chunk of cut(stream, cuts)) {
        parser.feed(chunk)
        mostHeld = Math.max(mostHeld, parser.heldBytes)
      }
      assert.deepEqual(seen, ['one', 5, 'two'])
      assert.equal(parser.heldBytes, 0)
      if (packetBytesMax === 100) assert.ok(mostHeld < 4, `${mostHeld} bytes were held`)
    }
})
