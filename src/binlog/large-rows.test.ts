/** Promise 8: a row of megabytes is not copied out of its event, where the event's buffer is its own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { frame, FrameParser, roomBehind } from '../wire/frames.ts'
import { columnDecoder } from './column-decoder.ts'
import type { DecodedTable } from './decoded-table.ts'
import { columnType } from './event-types.ts'
import { RowsParts } from './rows-event.ts'
import type { RowsEvent } from './source.ts'

const column = (type: number, meta: number) => {
  const mapped = { type, meta, nullable: false, unsigned: false, collation: undefined, name: undefined, members: undefined }
  const decoder = columnDecoder(mapped, { unsigned: false, binaryLength: 0, mariadbText: null })
  assert.ok(decoder !== null)
  return decoder
}
const table = { schema: 's', name: 't', columns: [] }
const decoded: DecodedTable = { table, decoders: [column(columnType.long, 0), column(columnType.blob, 4)] }
const at = { file: 'f', offset: 4 }

function image(id: number, bytes: number): Buffer {
  const out = Buffer.alloc(1 + 4 + 4 + bytes, id)
  out[0] = 0
  out.writeInt32LE(id - 1_000_000_000, 1)
  out.writeUInt32LE(bytes, 5)
  return out
}

/** Columns, which of them are there, rows. */
function bodyOf(images: readonly Buffer[], change: 'insert' | 'update'): Buffer {
  return Buffer.concat([Buffer.from(change === 'update' ? [2, 3, 3] : [2, 3]), ...images])
}

/** The body as a server sends it: in a packet that comes in pieces. */
function received(body: Buffer): Buffer {
  const packets: Buffer[] = []
  const parser = new FrameParser((data, start, end) => packets.push(data.subarray(start, end)))
  parser.packetSize = () => body.length
  const sent = frame(body)
  for (let from = 0; from < sent.length; from += 60_000) parser.feed(sent.subarray(from, from + 60_000))
  assert.equal(packets.length, 1)
  return packets[0] as Buffer
}

function partsOf(body: Buffer, change: 'insert' | 'update', room: number): RowsEvent[] {
  const parts = new RowsParts(body, 0, decoded, { change, compressed: false, engineCascades: false, at, room })
  const events: RowsEvent[] = []
  for (let part = parts.next(); part !== undefined; part = parts.next()) events.push(part)
  return events
}

function isRow(batch: RowsEvent['before'], row: number, id: number, bytes: number): void {
  assert.equal(batch?.cell(row, 0)?.toString(), String(id - 1_000_000_000))
  assert.ok(batch?.cell(row, 1)?.equals(Buffer.alloc(bytes, id)))
}

test('promise 8: an update of a row of 17 MiB is decoded where its event is', () => {
  const bytes = 17 << 20
  const packet = received(bodyOf([image(1, bytes), image(2, bytes)], 'update'))
  const { arrayBuffers } = process.memoryUsage()
  const [event] = partsOf(packet, 'update', roomBehind(packet))
  const more = process.memoryUsage().arrayBuffers - arrayBuffers
  // What was tried first: as much as a part may have.
  assert.ok(more < 4 << 20, `${more} bytes more`)
  assert.equal(event?.after?.data.buffer, packet.buffer)
  isRow(event?.before ?? null, 0, 1, bytes)
  isRow(event?.after ?? null, 0, 2, bytes)
})

test('several such rows, or one behind others, have bytes of their own each', () => {
  const bytes = 2 << 20
  const rows = [image(1, 10), image(2, bytes), image(3, 10), image(4, bytes), image(5, bytes)]
  const packet = received(bodyOf(rows, 'insert'))
  const events = partsOf(packet, 'insert', roomBehind(packet))
  assert.deepEqual(
    events.map(({ length }) => length),
    [1, 1, 1, 1, 1],
  )
  for (const [i, { after }] of events.entries()) isRow(after, 0, i + 1, i === 0 || i === 2 ? 10 : bytes)
  assert.equal(events.filter(({ after }) => after?.data.buffer === packet.buffer).length, 1)
})

test('without room behind the event, or with too little, nothing is written behind it', () => {
  const bytes = 2 << 20
  const body = bodyOf([image(1, bytes)], 'insert')
  for (const room of [0, 5]) {
    const all = Buffer.concat([body, Buffer.alloc(100, 0xaa)])
    const [event] = partsOf(all.subarray(0, body.length), 'insert', room)
    isRow(event?.after ?? null, 0, 1, bytes)
    assert.ok(all.subarray(body.length + room).equals(Buffer.alloc(100 - room, 0xaa)))
  }
})
