/**
 * Of groups that are read from one position on: whether a later position of the same stream has them already.
 *
 * By GTID, not by their place: another server may have them in another order (a replica that commits in parallel, or several domains), and a count of groups would then
 * take one for another. Groups that depend on each other stand in one order everywhere.
 *
 * MySQL: whether the later position's set has it. MariaDB: a position names the last GTID of each domain, and within a domain all servers have one order; so a group is had until the one
 * named has come by. Should it never come (it was filtered), a higher number ends it: what is applied again then is applied in order.
 */
import { GtidSet } from './gtid-set.ts'
import { MariadbGtidState, parseMariadbGtid } from './mariadb-gtid.ts'
import { parsePosition, positionText } from './position-text.ts'
import type { Coordinates, Position } from './source.ts'

/**
 * A position before which both have all groups: where a tail for both begins. Of two places in one order it is the earlier; after a failover neither may have all that the other has. `a` is
 * the earlier where only places tell.
 */
export function commonPosition(a: string, b: string): Position {
  const [one, other] = [parsePosition(a), parsePosition(b)]
  if (one.kind === 'mysql' && other.kind === 'mysql')
    return other.executed.contains(one.executed)
      ? (a as Position)
      : positionText('mysql', one.at, one.executed.intersection(other.executed).toString())
  if (one.kind !== 'mariadb' || other.kind !== 'mariadb') return a as Position
  const state = new MariadbGtidState()
  for (const [domain, gtid] of one.state.entries()) {
    const there = other.state.get(domain)
    // A domain that one has nothing of begins at its beginning.
    if (there !== undefined) state.set(domain, parseMariadbGtid(gtid).sequence <= parseMariadbGtid(there).sequence ? gtid : there)
  }
  return positionText('mariadb', one.at, state.toString())
}

/** Whether all groups of `b` are in `a`; false where that can't be told. */
export function positionContains(a: string, b: string): boolean {
  const [one, other] = [parsePosition(a), parsePosition(b)]
  if (one.kind === 'mysql' && other.kind === 'mysql') return one.executed.contains(other.executed)
  if (one.kind === 'mariadb' && other.kind === 'mariadb')
    return other.state.entries().every(([domain, gtid]) => {
      const here = one.state.get(domain)
      return here !== undefined && parseMariadbGtid(here).sequence >= parseMariadbGtid(gtid).sequence
    })
  return one.kind === 'file' && other.kind === 'file' && one.serverUuid === other.serverUuid && compareFiles(one.at, other.at) >= 0
}

/** A position by which both have been read: of a domain, or of files, the later. */
export function positionOfBoth(a: string, b: string): Position {
  const [one, other] = [parsePosition(a), parsePosition(b)]
  if (one.kind === 'mysql' && other.kind === 'mysql')
    return positionText('mysql', other.at, GtidSet.parse(`${one.executed.toString()},${other.executed.toString()}`).toString())
  if (one.kind === 'mariadb' && other.kind === 'mariadb') {
    const state = other.state.clone()
    for (const [domain, gtid] of one.state.entries()) {
      const there = other.state.get(domain)
      if (there === undefined || parseMariadbGtid(there).sequence < parseMariadbGtid(gtid).sequence) state.set(domain, gtid)
    }
    return positionText('mariadb', other.at, state.toString())
  }
  return (one.kind === 'file' && other.kind === 'file' && compareFiles(one.at, other.at) > 0 ? a : b) as Position
}

/** Names end in a number that only counts upwards, with as many digits until it overflows. */
function compareFiles(a: Coordinates, b: Coordinates): number {
  if (a.file === b.file) return a.offset - b.offset
  return a.file.length - b.file.length || (a.file < b.file ? -1 : 1)
}

/** The position with one more group, which begins at `gtid` (as a tail's `begin` names it) and may not have ended. */
export function positionWithin(position: string, gtid: string): Position {
  const parts = parsePosition(position)
  if (parts.kind === 'mysql') {
    const executed = parts.executed.clone()
    executed.add(...numbered(gtid))
    return positionText('mysql', parts.at, executed.toString())
  }
  if (parts.kind === 'mariadb') {
    const state = parts.state.clone()
    state.set(parseMariadbGtid(gtid).domain, gtid)
    return positionText('mariadb', parts.at, state.toString())
  }
  const [file, offset] = numbered(gtid)
  return positionText('file', { file, offset: offset + 1 }, parts.serverUuid)
}

/** A group's name in MySQL, or its place in files: a number, and of what. */
function numbered(group: string): [of: string, number: number] {
  const at = group.lastIndexOf(':')
  return [group.slice(0, at), Number(group.slice(at + 1))]
}

/** Asked once for each group in order. Null: positions without GTIDs, of one server, whose order is its own. */
export function groupsWithin(from: string, until: string): ((gtid: string) => boolean) | null {
  const start = parsePosition(from)
  const end = parsePosition(until)
  if (start.kind === 'mysql' && end.kind === 'mysql') {
    return (gtid) => end.executed.has(...numbered(gtid))
  }
  if (start.kind !== 'mariadb' || end.kind !== 'mariadb') return null
  const last = new Map(end.state.entries().filter(([domain, gtid]) => start.state.get(domain) !== gtid))
  return (gtid) => {
    const { domain, sequence } = parseMariadbGtid(gtid)
    const until = last.get(domain)
    if (until === undefined) return false
    const beyond = sequence > parseMariadbGtid(until).sequence
    if (gtid === until || beyond) last.delete(domain)
    return !beyond
  }
}
