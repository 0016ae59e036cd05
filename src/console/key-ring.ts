/**
 * The key space as a ring: fractions of a turn, clockwise from twelve o'clock, where 00 and the top of the key space meet.
 * Geometry only; nothing here knows a page.
 */
export type Arc = { readonly start: number; readonly end: number }

/** Enough of a keyspace id to place an arc by sight: 48 bits are exact in a double. */
const bytesSeen = 6

/** The part of the turn that a printed range takes (`-40`, `40-80`, `c0-`, `-`, `0`); null when it is no range. */
export function arcOf(range: string): Arc | null {
  if (range === '0') return { start: 0, end: 1 }
  const match = /^((?:[0-9a-f]{2})*)-((?:[0-9a-f]{2})*)$/i.exec(range)
  if (match === null) return null
  const [, from = '', to = ''] = match
  const arc = { start: from === '' ? 0 : fraction(from), end: to === '' ? 1 : fraction(to) }
  return arc.start < arc.end ? arc : null
}

function fraction(hex: string): number {
  const head = hex.slice(0, bytesSeen * 2).padEnd(bytesSeen * 2, '0')
  return Number.parseInt(head, 16) / 2 ** (bytesSeen * 8)
}

export type Sector = {
  readonly arc: Arc
  readonly inner: number
  readonly outer: number
  /** Between neighbours, along the rim. */ readonly gap: number
}

/** SVG path of a sector of a ring around 0,0. A share of it, from its start, when `share` is less than 1. */
export function sectorPath({ arc, inner, outer, gap }: Sector, share = 1): string {
  const turn = arc.end - arc.start
  // Half a gap goes off each end, but never more than a third of a narrow sector.
  const pad = (radius: number): number => Math.min(gap / 2 / (2 * Math.PI * radius), turn / 6)
  const points = (radius: number): { from: string; to: string; large: number } => {
    const start = arc.start + pad(radius)
    const end = start + (turn - 2 * pad(radius)) * Math.min(Math.max(share, 0), 1)
    return { from: pointAt(radius, start), to: pointAt(radius, end), large: end - start > 0.5 ? 1 : 0 }
  }
  const out = points(outer)
  const back = points(inner)
  return `M${out.from}A${outer} ${outer} 0 ${out.large} 1 ${out.to}L${back.to}A${inner} ${inner} 0 ${back.large} 0 ${back.from}Z`
}

export function pointAt(radius: number, turn: number): string {
  const { x, y } = coordinates(radius, turn)
  return `${round(x)} ${round(y)}`
}

export function coordinates(radius: number, turn: number): { x: number; y: number } {
  const angle = turn * 2 * Math.PI
  return { x: Math.sin(angle) * radius, y: -Math.cos(angle) * radius }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
