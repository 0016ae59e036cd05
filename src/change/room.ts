/**
 * Whether a move has room: disk for the rows on the targets, connections for all that reads and writes, binlog on both sides. What is certainly too little is refused; what is short, and
 * what cannot be known from here, is said, with what to look at.
 */
import type { SwError } from '../base/errors.ts'
import { keyRangesIntersect, parseKeyRange } from '../keyspace/key-range.ts'
import { lanesOf, moverDefaults } from '../move/config.ts'
import type { Place, ServerRoom } from '../mysql/server-room.ts'
import { roomErrors } from './room-errors.ts'
import { retentionLeastS } from './source-checks.ts'

export type RoomSide = readonly { readonly shard: string; readonly serverId: string }[]

/** `bytesPerSecond`: as it is written just now. `retentionS` 0: it is never purged by its age. */
export type BinlogUse = { readonly bytesPerSecond: number; readonly bytesNow: number; readonly retentionS: number }

/** `room` null: it could not be asked. `binlog` null: how fast it is written was not looked at, as of a server that is only a target; where it lies, `room` says. */
export type RoomOf = { readonly serverId: string; readonly room: ServerRoom | null; readonly binlog: BinlogUse | null }

export type RoomQuestion = {
  readonly sources: RoomSide
  readonly targets: RoomSide
  readonly rooms: readonly RoomOf[]
  /** Servers that are still to be made: where. */
  readonly made: { readonly servers: readonly string[]; readonly place: Place | null }
  /** Of the rows, on all sources together. */
  readonly dataBytes: number
}

/** A vdiff's sessions on a server (those of `verify/sessions.ts`, one that locks, one that repairs), and what the controller keeps there. */
const vdiffSessions = 9
const controlSessions = 4
/** A stream's on its source: markers, questions, the binlog, a statement of DDL; on a target, beside its lanes: one for XA, questions. */
const sourceSessions = 4
const targetSessions = 2

/** At most at once on one server, in either direction: both run from the first switch on. */
export function connectionsNeeded(serverId: string, sources: RoomSide, targets: RoomSide): number {
  let needed = vdiffSessions + controlSessions
  for (const [from, to, readers] of [
    [sources, targets, moverDefaults.readers],
    [targets, sources, 0],
  ] as const) {
    for (const source of from) {
      const fed = to.filter((target) => keyRangesIntersect(parseKeyRange(source.shard), parseKeyRange(target.shard)))
      if (source.serverId === serverId) needed += sourceSessions + readers
      needed += fed.filter((target) => target.serverId === serverId).length * (targetSessions + lanesOf(moverDefaults, fed.length))
    }
  }
  return needed
}

export function roomFindings(question: RoomQuestion): { errors: SwError[]; notes: string[] } {
  const errors: SwError[] = []
  const notes: string[] = []
  const connections = connectionFindings(question)
  for (const part of [diskFindings(question), connections, binlogFindings(question)]) {
    errors.push(...part.errors)
    notes.push(...part.notes)
  }
  return { errors, notes }
}

type Findings = { errors: SwError[]; notes: string[] }

/** What a target puts on one disk: rows, and the binlog of them, which a copy writes too and which is about as large. */
type Use = {
  readonly serverId: string
  readonly what: 'rows' | 'binlog'
  readonly place: Place
  readonly bytes: number
  readonly least: number
}
type Disk = { readonly freeBytes: number; readonly uses: readonly Use[] }

/**
 * What comes to one disk, of how many servers and of what, is added up, by the width of the ranges. That is a guess: a vindex need not spread rows evenly, and the server's figure counts
 * pages that deletes have emptied, and no secondary keys. So it is refused only where half of all rows, or the binlog of half of them, or both, have no room on all disks together that they go to. (`least` says what surely
 * comes: of binlog nothing where the server packs it.)
 */
function diskFindings(question: RoomQuestion): Findings {
  const { targets, dataBytes } = question
  const notes: string[] = []
  const servers = [...new Set(targets.map(({ serverId }) => serverId))]
  const all = targets.reduce((sum, { shard }) => sum + widthOf(shard), 0)
  const share = (serverId: string): number =>
    targets.reduce((sum, target) => sum + (target.serverId === serverId ? (dataBytes * widthOf(target.shard)) / all : 0), 0)
  const uses: Use[] = []
  const unseen = new Set<Use['what']>()
  for (const serverId of servers) {
    const { data, binlog, binlogBytesMax, packed } = placesOf(question, serverId)
    const rows = share(serverId)
    const logged = Math.min(rows, binlogBytesMax ?? Infinity)
    if (data?.disk == null) {
      const where = data === null ? 'the disk that it keeps its data on' : `what df says there of ${data.dir}`
      notes.push(`room on ${serverId} is unknown: it takes about ${megabytes(rows)} of rows, and as much of binlog; look at ${where}`)
      unseen.add('rows').add('binlog')
      continue
    }
    uses.push({ serverId, what: 'rows', place: data, bytes: rows, least: rows / 2 })
    if (binlog?.disk == null) {
      notes.push(
        `room for the binlog of ${serverId} is unknown: a copy writes about ${megabytes(logged)} of it; look at ${binlog === null ? 'the disk that it keeps it on' : `what df says there of ${binlog.dir}`}`,
      )
      unseen.add('binlog')
    } else uses.push({ serverId, what: 'binlog', place: binlog, bytes: logged, least: packed ? 0 : Math.min(rows / 2, logged) })
  }
  const refused = refusedUses(uses, unseen)
  if (refused !== null) return { errors: [refused], notes }
  for (const { freeBytes, uses: here } of disksOf(uses).values()) {
    const ofRows = here.filter(({ what }) => what === 'rows')
    const ofBinlog = here.filter(({ what }) => what === 'binlog')
    const told = ofRows.length > 0 ? ofRows : ofBinlog
    const server = names(told)
    const free = `${megabytes(freeBytes)} are free in ${told[0]?.place.dir}`
    const short = freeBytes < sumOf(here, 'bytes')
    const room = ofRows.length > 0 ? `room on ${server}` : `room for the binlog of ${server}, as a target`
    if (!short) notes.push(`${room}: ${free}`)
    else if (ofRows.length === 0)
      notes.push(`${room}, is short: ${free}, about ${megabytes(sumOf(ofBinlog, 'bytes'))} of it are written while rows are copied`)
    else {
      const rows = sumOf(ofRows, 'bytes')
      const logged = sumOf(ofBinlog, 'bytes')
      const beside = logged === 0 ? '' : logged === rows ? ', and as much of binlog' : `, and ${megabytes(logged)} of binlog`
      notes.push(`${room} is short: ${free}, about ${megabytes(rows)} of rows come there${beside}`)
    }
  }
  return { errors: [], notes }
}

/** `packed`: the server compresses its binlog, by how much nobody knows beforehand. */
type Places = { data: Place | null; binlog: Place | null; binlogBytesMax: number | null; packed: boolean }

/** A server that is still to be made has its binlog beside its data. */
function placesOf({ rooms, made }: RoomQuestion, serverId: string): Places {
  if (made.servers.includes(serverId)) return { data: made.place, binlog: made.place, binlogBytesMax: null, packed: false }
  const room = rooms.find((one) => one.serverId === serverId)?.room
  return {
    data: room?.data ?? null,
    binlog: room?.binlog ?? null,
    binlogBytesMax: room?.binlogBytesMax?.bytes ?? null,
    packed: room?.binlogPacked ?? false,
  }
}

/** Rows on their disks, binlogs on theirs, and both on all. */
function refusedUses(uses: readonly Use[], unseen: ReadonlySet<Use['what']>): SwError | null {
  for (const kinds of [['rows'], ['binlog'], ['rows', 'binlog']] as const) {
    const own = uses.filter(({ what }) => kinds.some((kind) => kind === what))
    if (own.length === 0 || kinds.some((kind) => unseen.has(kind))) continue
    const free = [...disksOf(own).values()].reduce((sum, { freeBytes }) => sum + freeBytes, 0)
    if (free >= sumOf(own, 'least')) continue
    const dir = [...new Set(own.map(({ place }) => place.dir))].join(', ')
    const needed = kinds.map((kind) => {
      const ofKind = own.filter(({ what }) => what === kind)
      return `${megabytes(sumOf(ofKind, 'bytes'))} of ${kind}`
    })
    return roomErrors.noRoom({ server: names(own), dir, free: megabytes(free), needed: needed.join(' and ') })
  }
  return null
}

function disksOf(uses: readonly Use[]): Map<string, Disk> {
  const disks = new Map<string, Disk>()
  for (const use of uses) {
    const { disk } = use.place
    if (disk === null) continue
    const known = disks.get(disk.device) ?? { freeBytes: disk.freeBytes, uses: [] }
    disks.set(disk.device, { ...known, uses: [...known.uses, use] })
  }
  return disks
}

function sumOf(uses: readonly Use[], figure: 'bytes' | 'least'): number {
  return uses.reduce((sum, use) => sum + use[figure], 0)
}

function names(uses: readonly Use[]): string {
  return [...new Set(uses.map(({ serverId }) => serverId))].join(', ')
}

/** Of all keyspace ids, from 0 to 1. */
function widthOf(shard: string): number {
  const { start, end } = parseKeyRange(shard)
  const at = (bound: Uint8Array): number => bound.reduceRight((sum, byte) => (sum + byte) / 256, 0)
  return (end.length === 0 ? 1 : at(end)) - at(start)
}

function connectionFindings({ sources, targets, rooms }: RoomQuestion): Findings {
  const errors: SwError[] = []
  const notes: string[] = []
  for (const { serverId, room } of rooms) {
    if (room === null) continue
    const needed = connectionsNeeded(serverId, sources, targets)
    const { connectionsMax: max, connectionsNow: now, connectionsPeak: peak } = room
    if (max - now < needed) errors.push(roomErrors.noConnections({ server: serverId, max, now, needed }))
    else if (max - peak < needed)
      notes.push(
        `${serverId} takes ${max} connections (max_connections), and has had ${peak} at once: the move takes up to ${needed} of its own`,
      )
  }
  return { errors, notes }
}

function binlogFindings({ sources, rooms }: RoomQuestion): Findings {
  const errors: SwError[] = []
  const notes: string[] = []
  for (const { serverId, room, binlog } of rooms) {
    if (room === null) continue
    const refused = binlogRefused(serverId, room, binlog)
    errors.push(...refused)
    const limit = room.binlogBytesMax
    if (limit !== null && refused.length === 0)
      notes.push(
        `${serverId} keeps ${megabytes(limit.bytes)} of binlog at most (${limit.setting}), however long its retention: a stream that stands still for longer than that lasts has to begin again`,
      )
    if (binlog === null || refused.length > 0 || !sources.some((source) => source.serverId === serverId)) continue
    const rate = binlog.bytesPerSecond
    const { dir, disk } = room.binlog
    const written = rate < 1_000 ? 'writes hardly any binlog just now' : `writes ${megabytes(rate)} of binlog a second just now`
    if (disk === null) notes.push(`room for the binlog of ${serverId} is unknown: it ${written}; look at what df says there of ${dir}`)
    else {
      const seconds = secondsOf(disk.freeBytes, binlog)
      const lasts = seconds === Infinity || growsBy(room, binlog) <= disk.freeBytes ? '' : `, which last for ${hours(seconds)}`
      notes.push(`room for the binlog of ${serverId}: it ${written}; ${megabytes(disk.freeBytes)} are free in ${dir}${lasts}`)
    }
  }
  return { errors, notes }
}

/** What it writes within ten minutes at this rate does not fit its own limit, or its disk. */
export function binlogRefused(server: string, room: ServerRoom, binlog: BinlogUse | null): SwError[] {
  if (binlog === null) return []
  const limit = room.binlogBytesMax
  if (limit !== null && secondsOf(limit.bytes, binlog) < retentionLeastS) {
    const { setting, bytes } = limit
    return [roomErrors.binlogLimited({ server, setting, max: megabytes(bytes), seconds: Math.round(secondsOf(bytes, binlog)) })]
  }
  const { dir, disk } = room.binlog
  if (disk === null || growsBy(room, binlog) <= disk.freeBytes || secondsOf(disk.freeBytes, binlog) >= retentionLeastS) return []
  const seconds = Math.round(secondsOf(disk.freeBytes, binlog))
  return [roomErrors.noBinlogRoom({ server, dir, free: megabytes(disk.freeBytes), seconds })]
}

/** From what it has now to where as much is purged, by size or by age, as is written. */
function growsBy(room: ServerRoom, { bytesPerSecond, bytesNow, retentionS }: BinlogUse): number {
  const byAge = retentionS === 0 ? Infinity : bytesPerSecond * retentionS
  return Math.min(room.binlogBytesMax?.bytes ?? Infinity, byAge) - bytesNow
}

function secondsOf(bytes: number, { bytesPerSecond }: BinlogUse): number {
  return bytesPerSecond <= 0 ? Infinity : bytes / bytesPerSecond
}

function megabytes(bytes: number): string {
  if (bytes >= 10e9) return `${Math.round(bytes / 1e9)} GB`
  return bytes >= 10e6 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e6).toFixed(1)} MB`
}

function hours(seconds: number): string {
  return seconds >= 2 * 3600 ? `${Math.round(seconds / 3600)} hours` : `${Math.round(seconds / 60)} minutes`
}
