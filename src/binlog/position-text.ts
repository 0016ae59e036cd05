/**
 * The text of a Position: `kind;file:offset;value`.
 *
 * - `mysql`   value is the executed GTID set; file and offset only tell where it was read;
 * - `mariadb` value is the GTID state, one per domain; likewise;
 * - `file`    MySQL with gtid_mode=OFF: file and offset are the position, value is the server's uuid, without which they mean nothing.
 */
import { binlogErrors } from './errors.ts'
import { GtidSet } from './gtid-set.ts'
import { MariadbGtidState } from './mariadb-gtid.ts'
import type { Coordinates, Position } from './source.ts'

export type PositionParts =
  | { readonly kind: 'mysql'; readonly at: Coordinates; readonly executed: GtidSet }
  | { readonly kind: 'mariadb'; readonly at: Coordinates; readonly state: MariadbGtidState }
  | { readonly kind: 'file'; readonly at: Coordinates; readonly serverUuid: string }

export function positionText(kind: PositionParts['kind'], at: Coordinates, value: string): Position {
  return `${kind};${at.file}:${at.offset};${value}` as Position
}

export function positionTextOf(position: PositionParts, at: Coordinates): Position {
  if (position.kind === 'mysql') return positionText('mysql', at, position.executed.toString())
  if (position.kind === 'mariadb') return positionText('mariadb', at, position.state.toString())
  return positionText('file', at, position.serverUuid)
}

/** @throws badPosition */
export function parsePosition(text: string): PositionParts {
  const match = /^(mysql|mariadb|file);([^;]*):(\d+);(.*)$/s.exec(text)
  if (match === null) throw binlogErrors.badPosition({ flavour: 'mysql or mariadb', position: text })
  const at = { file: match[2] ?? '', offset: Number(match[3]) }
  const value = match[4] ?? ''
  try {
    if (match[1] === 'mysql') return { kind: 'mysql', at, executed: GtidSet.parse(value) }
    if (match[1] === 'mariadb') return { kind: 'mariadb', at, state: MariadbGtidState.parse(value) }
    return { kind: 'file', at, serverUuid: value }
  } catch (error) {
    throw binlogErrors.badPosition({ flavour: match[1], position: text }, error)
  }
}
