import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { Place, ServerRoom } from '../mysql/server-room.ts'
import { steadyRate } from './room-look.ts'
import { connectionsNeeded, roomFindings, type RoomQuestion } from './room.ts'

const place = (freeBytes: number | null, device = 'a'): Place => ({ dir: '/data', disk: freeBytes === null ? null : { freeBytes, device } })
/** The binlog lies beside the data, unless said. */
const room = (change: Partial<ServerRoom> = {}): ServerRoom => ({
  data: place(100e9),
  binlog: change.data ?? place(100e9),
  connectionsMax: 500,
  connectionsNow: 10,
  connectionsPeak: 20,
  binlogBytesMax: null,
  binlogPacked: false,
  ...change,
})
const sources = [{ shard: '-', serverId: 's' }]
const targets = ['-40', '40-80', '80-c0', 'c0-'].map((shard, i) => ({ shard, serverId: i < 2 ? 't1' : 't2' }))
const question = (
  change: Partial<RoomQuestion> & {
    s?: Partial<ServerRoom>
    rate?: number
    kept?: number
    retentionS?: number
    t1?: Partial<ServerRoom>
    t2?: Partial<ServerRoom>
  },
): RoomQuestion => ({
  sources,
  targets,
  dataBytes: 40e9,
  made: { servers: [], place: null },
  rooms: [
    {
      serverId: 's',
      room: room(change.s),
      binlog: { bytesPerSecond: change.rate ?? 0, bytesNow: change.kept ?? 0, retentionS: change.retentionS ?? 0 },
    },
    { serverId: 't1', room: room(change.t1), binlog: null },
    { serverId: 't2', room: room(change.t2), binlog: null },
  ],
  ...change,
})
const errors = (change: Parameters<typeof question>[0]): string[] => roomFindings(question(change)).errors.map(({ message }) => message)
const notes = (change: Parameters<typeof question>[0]): string => roomFindings(question(change)).notes.join('\n')

test('disks that cannot hold half of the rows are refused, one that cannot hold its share and its binlog is said to be short; servers on one disk share it', () => {
  assert.deepEqual(errors({}), [])
  assert.match(notes({}), /room on t1, t2: 100 GB are free in \/data/)
  const both = (bytes: number): Parameters<typeof question>[0] => ({ t1: { data: place(bytes) }, t2: { data: place(bytes) } })
  assert.match(notes(both(70e9)), /room on t1, t2 is short: 70 GB are free in \/data, about 40 GB/)
  assert.deepEqual(errors(both(41e9)), [], 'the server may count pages that deletes have emptied')
  assert.match(notes(both(41e9)), /room on t1, t2 is short: 41 GB are free/)
  assert.match(errors(both(19e9)).join(), /^19 GB are free on t1, t2 in \/data, and about 40 GB of rows come there/)
  assert.match(errors(both(39e9)).join(), /^39 GB are free on t1, t2 in \/data, and about 40 GB of rows and 40 GB of binlog come there/)
  const apart = (a: number, b: number): Parameters<typeof question>[0] => ({ t1: { data: place(a, 'b') }, t2: { data: place(b, 'c') } })
  assert.deepEqual(errors(apart(39e9, 1e9)), [])
  assert.match(notes(apart(39e9, 1e9)), /room on t1 is short: .*about 20 GB.*\nroom on t2 is short: 1000 MB are free .*about 20 GB/)
  assert.match(errors(apart(10e9, 9e9)).join(), /^19 GB are free on t1, t2/)
})

test('a binlog that lies on another disk than the data is looked at there: what the copy writes of it has to fit', () => {
  const apart = (data: number, log: number, change: Partial<ServerRoom> = {}): Parameters<typeof question>[0] => ({
    t1: { data: place(data, 'd'), binlog: { ...place(log, 'l'), dir: '/log' }, ...change },
    t2: { data: place(data, 'd'), binlog: { ...place(log, 'l'), dir: '/log' }, ...change },
  })
  assert.deepEqual(errors(apart(100e9, 100e9)), [])
  assert.match(
    notes(apart(100e9, 100e9)),
    /room on t1, t2: 100 GB are free in \/data\nroom for the binlog of t1, t2, as a target: 100 GB are free in \/log/,
  )
  assert.match(notes(apart(45e9, 45e9)), /room on t1, t2: 45 GB/, 'rows alone are no more than that')
  assert.match(
    notes(apart(100e9, 30e9)),
    /room for the binlog of t1, t2, as a target, is short: 30 GB are free in \/log, about 40 GB of it/,
  )
  assert.match(errors(apart(100e9, 19e9)).join(), /^19 GB are free on t1, t2 in \/log, and about 40 GB of binlog come there/)
  assert.match(errors(apart(19e9, 100e9)).join(), /^19 GB are free on t1, t2 in \/data, and about 40 GB of rows come there/)
  // What is purged by its size, or compressed, may need less.
  const limited = { binlogBytesMax: { setting: 'max_binlog_total_size', bytes: 5e9 } }
  assert.deepEqual(errors(apart(100e9, 11e9, limited)), [])
  assert.match(errors(apart(100e9, 9e9, limited)).join(), /about 10 GB of binlog come there/)
  assert.deepEqual(errors(apart(100e9, 1e9, { binlogPacked: true })), [])
  assert.match(notes(apart(100e9, 1e9, { binlogPacked: true })), /is short: 1000 MB are free in \/log/)
  const unseen = { t1: { data: place(100e9), binlog: place(null) } }
  assert.deepEqual(errors(unseen), [])
  assert.match(notes(unseen), /room for the binlog of t1 is unknown: a copy writes about 20 GB of it; look at what df says there of \/data/)
})

test('of uneven ranges the rows that come to a server go by their width, and nothing is refused for it', () => {
  const wide = [
    { shard: '-f0', serverId: 't1' },
    { shard: 'f0-', serverId: 't2' },
  ]
  const uneven = { dataBytes: 500e9, targets: wide, t1: { data: place(1_200e9, 'b') }, t2: { data: place(100e9, 'c') } }
  assert.deepEqual(errors(uneven), [], 'half of 500 GB by number')
  assert.match(notes(uneven), /room on t1: 1200 GB .*\nroom on t2: 100 GB are free/)
  const short = { ...uneven, t1: { data: place(450e9, 'b') } }
  assert.match(notes(short), /room on t1 is short: 450 GB are free in \/data, about 469 GB/)
})

test('a disk that cannot be seen is unknown, with what to look at; so is where servers are to be made, unless that is known', () => {
  assert.match(notes({ t1: { data: place(null) } }), /room on t1 is unknown: it takes about 20 GB of rows, .* df says there of \/data/)
  const rooms: RoomQuestion['rooms'] = [{ serverId: 't1', room: null, binlog: null }]
  assert.match(notes({ rooms }), /room on t1 is unknown/)
  const made = { servers: ['t1', 't2'], place: place(1e9) }
  assert.match(errors({ rooms: [], made }).join(), /1000 MB are free on t1, t2/)
})

test('connections: what lanes, readers, the binlog’s readers, vdiff and control take on a server, in both directions, must be left', () => {
  // vdiff and control 13; as a source 4 and 2 readers; four streams back, each with 4 lanes and 2 more.
  assert.equal(connectionsNeeded('s', sources, targets), 13 + 6 + 4 * 6)
  // Two shards: 2 lanes each and 2 more, and each is read for the way back.
  assert.equal(connectionsNeeded('t1', sources, targets), 13 + 2 * 4 + 2 * 4)
  assert.match(errors({ s: { connectionsMax: 52 } }).join(), /s takes 52 connections, of which 10 are open, and the move takes up to 43/)
  assert.deepEqual(errors({ s: { connectionsMax: 53 } }), [])
  assert.match(notes({ s: { connectionsMax: 60 } }), /s takes 60 connections .* and has had 20 at once: the move takes up to 43/)
  assert.doesNotMatch(notes({ s: { connectionsMax: 63 } }), /connections/)
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

test('binlog that is purged as it is written, by its size or by its age, needs no more room than it has', () => {
  const full = { binlog: place(1e9), binlogBytesMax: { setting: 'max_binlog_total_size', bytes: 20e9 } }
  assert.deepEqual(errors({ rate: 2e6, s: full, kept: 20e9 }), [])
  assert.match(notes({ rate: 2e6, s: full, kept: 20e9 }), /1000 MB are free in \/data$/m)
  assert.match(
    errors({ rate: 2e6, s: full, kept: 5e9 }).join(),
    /fills them in 500 s/,
    'it comes to the limit later than to the end of its disk',
  )
  const byAge = { rate: 2e6, s: { binlog: place(1e9) }, retentionS: 86_400 }
  assert.deepEqual(errors({ ...byAge, kept: 173e9 }), [])
  assert.match(errors({ ...byAge, kept: 100e9 }).join(), /fills them in 500 s/)
})

test('a rate that would be refused is looked at once more, for longer: it may have been one large transaction', async () => {
  const looks: number[] = []
  const sample =
    (...rates: number[]) =>
    (ms: number): Promise<number> => (looks.push(ms), Promise.resolve(rates.shift() ?? NaN))
  const refused = (rate: number): boolean => rate > 100e6
  assert.equal(await steadyRate(sample(1e6), refused), 1e6)
  assert.equal(await steadyRate(sample(128e6, 20e6), refused), 20e6)
  assert.equal(await steadyRate(sample(128e6, 130e6), refused), 128e6)
  assert.deepEqual(looks, [500, 500, 3_000, 500, 3_000])
})
