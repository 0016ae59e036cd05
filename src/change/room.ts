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

/** `room` null: it could not be asked. `binlogBytesPerSecond`: as it is written just now; null where it was not looked at. */
export type RoomOf = { readonly serverId: string; readonly room: ServerRoom | null; readonly binlogBytesPerSecond: number | null }

export type RoomQuestion = {
  readonly sources: RoomSide
  readonly targets: RoomSide
  readonly rooms: readonly RoomOf[]
  /** Servers that are still to be made: where. */
  readonly made: { readonly servers: readonly string[]; readonly place: Place | null }
  /** Of the rows, on all sources together. */
  readonly dataBytes: number
}

/** A vdiff's sessions on a server, and what the controller keeps there. */
const vdiffSessions = 8
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

/** What comes to one disk, with how many servers on it, is added up. */
function diskFindings({ targets, rooms, made, dataBytes }: RoomQuestion): Findings {
  const errors: SwError[] = []
  const notes: string[] = []
  const servers = [...new Set(targets.map(({ serverId }) => serverId))]
  const share = (serverId: string): number =>
    (dataBytes * targets.filter((target) => target.serverId === serverId).length) / Math.max(1, targets.length)
  const disks = new Map<string, { place: Place; freeBytes: number; servers: string[]; bytes: number }>()
  for (const serverId of servers) {
    const place = made.servers.includes(serverId) ? made.place : (rooms.find((one) => one.serverId === serverId)?.room?.data ?? null)
    const disk = place?.disk ?? null
    if (place === null || disk === null) {
      const where = place === null ? 'the disk that it keeps its data on' : `what df says there of ${place.dir}`
      notes.push(
        `room on ${serverId} is unknown: it takes about ${megabytes(share(serverId))} of rows, and as much of binlog; look at ${where}`,
      )
      continue
    }
    const known = disks.get(disk.device) ?? { place, freeBytes: disk.freeBytes, servers: [], bytes: 0 }
    disks.set(disk.device, { ...known, servers: [...known.servers, serverId], bytes: known.bytes + share(serverId) })
  }
  for (const { place, freeBytes, servers: names, bytes } of disks.values()) {
    const server = names.join(', ')
    const free = megabytes(freeBytes)
    if (freeBytes < bytes) errors.push(roomErrors.noRoom({ server, dir: place.dir, free, needed: megabytes(bytes) }))
    else if (freeBytes < 2 * bytes)
      notes.push(
        `room on ${server} is short: ${free} are free in ${place.dir}, about ${megabytes(bytes)} of rows come there, and as much of binlog`,
      )
    else notes.push(`room on ${server}: ${free} are free in ${place.dir}`)
  }
  return { errors, notes }
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
  for (const { serverId, room, binlogBytesPerSecond: rate } of rooms) {
    if (room === null) continue
    const limit = room.binlogBytesMax
    const seconds = (bytes: number): number => (rate === null || rate <= 0 ? Infinity : bytes / rate)
    if (limit !== null && seconds(limit.bytes) < retentionLeastS)
      errors.push(
        roomErrors.binlogLimited({
          server: serverId,
          setting: limit.setting,
          max: megabytes(limit.bytes),
          seconds: Math.round(seconds(limit.bytes)),
        }),
      )
    else if (limit !== null)
      notes.push(
        `${serverId} keeps ${megabytes(limit.bytes)} of binlog at most (${limit.setting}), however long its retention: a stream that stands still for longer than that lasts has to begin again`,
      )
    if (rate === null || !sources.some((source) => source.serverId === serverId)) continue
    const { dir, disk } = room.binlog
    const written = rate < 1_000 ? 'writes hardly any binlog just now' : `writes ${megabytes(rate)} of binlog a second just now`
    if (disk === null) notes.push(`room for the binlog of ${serverId} is unknown: it ${written}; look at what df says there of ${dir}`)
    else if (seconds(disk.freeBytes) < retentionLeastS)
      errors.push(
        roomErrors.noBinlogRoom({ server: serverId, dir, free: megabytes(disk.freeBytes), seconds: Math.round(seconds(disk.freeBytes)) }),
      )
    else {
      const lasts = seconds(disk.freeBytes) === Infinity ? '' : `, which last for ${hours(seconds(disk.freeBytes))}`
      notes.push(`room for the binlog of ${serverId}: it ${written}; ${megabytes(disk.freeBytes)} are free in ${dir}${lasts}`)
    }
  }
  return { errors, notes }
}

function megabytes(bytes: number): string {
  if (bytes >= 10e9) return `${Math.round(bytes / 1e9)} GB`
  return bytes >= 10e6 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e6).toFixed(1)} MB`
}

function hours(seconds: number): string {
  return seconds >= 2 * 3600 ? `${Math.round(seconds / 3600)} hours` : `${Math.round(seconds / 60)} minutes`
}
