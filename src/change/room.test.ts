import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { Place, ServerRoom } from '../mysql/server-room.ts'
import { connectionsNeeded, roomFindings, type RoomQuestion } from './room.ts'

const place = (freeBytes: number | null, device = 'a'): Place => ({ dir: '/data', disk: freeBytes === null ? null : { freeBytes, device } })
const room = (change: Partial<ServerRoom> = {}): ServerRoom => ({
  data: place(100e9),
  binlog: place(100e9),
  connectionsMax: 500,
  connectionsNow: 10,
  connectionsPeak: 20,
  binlogBytesMax: null,
  ...change,
})
const sources = [{ shard: '-', serverId: 's' }]
const targets = ['-40', '40-80', '80-c0', 'c0-'].map((shard, i) => ({ shard, serverId: i < 2 ? 't1' : 't2' }))
const question = (
  change: Partial<RoomQuestion> & { s?: Partial<ServerRoom>; rate?: number; t1?: Partial<ServerRoom>; t2?: Partial<ServerRoom> },
): RoomQuestion => ({
  sources,
  targets,
  dataBytes: 40e9,
  made: { servers: [], place: null },
  rooms: [
    { serverId: 's', room: room(change.s), binlogBytesPerSecond: change.rate ?? 0 },
    { serverId: 't1', room: room(change.t1), binlogBytesPerSecond: null },
    { serverId: 't2', room: room(change.t2), binlogBytesPerSecond: null },
  ],
  ...change,
})
const errors = (change: Parameters<typeof question>[0]): string[] => roomFindings(question(change)).errors.map(({ message }) => message)
const notes = (change: Parameters<typeof question>[0]): string => roomFindings(question(change)).notes.join('\n')

test('a disk that cannot hold the rows is refused, one that cannot hold their binlog too is said to be short; servers on one disk share it', () => {
  assert.deepEqual(errors({}), [])
  assert.match(notes({}), /room on t1, t2: 100 GB are free in \/data/)
  assert.match(
    notes({ t1: { data: place(70e9) }, t2: { data: place(70e9) } }),
    /room on t1, t2 is short: 70 GB are free in \/data, about 40 GB/,
  )
  assert.match(
    errors({ t1: { data: place(30e9) }, t2: { data: place(30e9) } }).join(),
    /30 GB are free on t1, t2 in \/data, and about 40 GB/,
  )
  const apart = { t1: { data: place(30e9, 'b') }, t2: { data: place(19e9, 'c') } }
  assert.match(errors(apart).join(), /^19 GB are free on t2/)
  assert.match(notes(apart), /room on t1 is short/)
})

test('a disk that cannot be seen is unknown, with what to look at; so is where servers are to be made, unless that is known', () => {
  assert.match(notes({ t1: { data: place(null) } }), /room on t1 is unknown: it takes about 20 GB of rows, .* df says there of \/data/)
  const rooms: RoomQuestion['rooms'] = [{ serverId: 't1', room: null, binlogBytesPerSecond: null }]
  assert.match(notes({ rooms }), /room on t1 is unknown/)
  const made = { servers: ['t1', 't2'], place: place(1e9) }
  assert.match(errors({ rooms: [], made }).join(), /1000 MB are free on t1, t2/)
})

test('connections: what lanes, readers, the binlog’s readers, vdiff and control take on a server, in both directions, must be left', () => {
  // vdiff and control 12; as a source 4 and 2 readers; four streams back, each with 4 lanes and 2 more.
  assert.equal(connectionsNeeded('s', sources, targets), 12 + 6 + 4 * 6)
  // Two shards: 2 lanes each and 2 more, and each is read for the way back.
  assert.equal(connectionsNeeded('t1', sources, targets), 12 + 2 * 4 + 2 * 4)
  assert.match(errors({ s: { connectionsMax: 51 } }).join(), /s takes 51 connections, of which 10 are open, and the move takes up to 42/)
  assert.deepEqual(errors({ s: { connectionsMax: 52 } }), [])
  assert.match(notes({ s: { connectionsMax: 60 } }), /s takes 60 connections .* and has had 20 at once: the move takes up to 42/)
  assert.doesNotMatch(notes({ s: { connectionsMax: 62 } }), /connections/)
})

test('binlog: a source whose disk, or whose own limit, is full within ten minutes of what it writes now is refused', () => {
  assert.match(notes({}), /room for the binlog of s: it writes hardly any binlog just now; 100 GB are free in \/data/)
  assert.match(notes({ rate: 10e6 }), /10 MB of binlog a second just now; 100 GB are free in \/data, which last for 3 hours/)
  assert.match(errors({ rate: 10e6, s: { binlog: place(5e9) } }).join(), /its binlog, as it is written just now, fills them in 500 s/)
  assert.match(
    notes({ rate: 1e6, s: { binlog: place(null) } }),
    /room for the binlog of s is unknown: it writes 1\.0 MB of binlog a second/,
  )
  const limited = { binlogBytesMax: { setting: 'max_binlog_total_size', bytes: 5e9 } }
  assert.match(errors({ rate: 10e6, s: limited }).join(), /s keeps 5000 MB of binlog at most \(max_binlog_total_size\): 500 s/)
  assert.match(notes({ rate: 1e6, s: limited }), /s keeps 5000 MB of binlog at most/)
  assert.match(notes({ t1: limited }), /t1 keeps 5000 MB of binlog at most/)
})
