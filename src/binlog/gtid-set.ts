/**
 * MySQL's executed GTID set: `uuid:1-5:8,uuid:tag:3`. Kept as half-open intervals by SID (uuid, or uuid:tag). Intervals are small safe
 * integers; a counter beyond 2^53 is refused. Adding the next number of the last interval, which is nearly always what happens, is O(1).
 */
import { Buffer } from 'node:buffer'

type Interval = { start: number; end: number }

export class GtidSet {
  readonly #bySid = new Map<string, Interval[]>()

  /** @throws RangeError for text that is no GTID set */
  static parse(text: string): GtidSet {
    const set = new GtidSet()
    for (const part of text.replace(/\s+/g, '').split(',')) {
      if (part === '') continue
      const [uuid, ...rest] = part.toLowerCase().split(':')
      if (uuid === undefined || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid) || rest.length === 0) {
        throw new RangeError(`not a GTID set: ${part}`)
      }
      let sid = uuid
      for (const item of rest) {
        const numbers = /^(\d+)(?:-(\d+))?$/.exec(item)
        if (numbers === null) {
          if (!/^[a-z_][a-z0-9_]{0,31}$/.test(item)) throw new RangeError(`not a GTID set: ${part}`)
          sid = `${uuid}:${item}`
          continue
        }
        const start = Number(numbers[1])
        const end = Number(numbers[2] ?? numbers[1])
        if (start < 1 || end < start || !Number.isSafeInteger(end)) throw new RangeError(`not a GTID set: ${part}`)
        set.#addInterval(sid, start, end + 1)
      }
    }
    return set
  }

  /** @param sid `uuid` or `uuid:tag`, lower case */
  add(sid: string, number: number): void {
    const intervals = this.#bySid.get(sid)
    const last = intervals?.at(-1)
    if (last !== undefined && last.end === number) last.end = number + 1
    else this.#addInterval(sid, number, number + 1)
  }

  has(sid: string, number: number): boolean {
    return (this.#bySid.get(sid) ?? []).some(({ start, end }) => start <= number && number < end)
  }

  contains(other: GtidSet): boolean {
    for (const [sid, intervals] of other.#bySid) {
      const mine = this.#bySid.get(sid) ?? []
      if (!intervals.every((wanted) => mine.some((have) => have.start <= wanted.start && wanted.end <= have.end))) return false
    }
    return true
  }

  /** How many numbers it has that the other lacks. */
  countWithout(other: GtidSet): number {
    return this.#count() - this.intersection(other).#count()
  }

  #count(): number {
    let count = 0
    for (const intervals of this.#bySid.values()) for (const { start, end } of intervals) count += end - start
    return count
  }

  /** What both have. */
  intersection(other: GtidSet): GtidSet {
    const both = new GtidSet()
    for (const [sid, intervals] of this.#bySid) {
      for (const mine of intervals) {
        for (const theirs of other.#bySid.get(sid) ?? []) {
          const [start, end] = [Math.max(mine.start, theirs.start), Math.min(mine.end, theirs.end)]
          if (start < end) both.#addInterval(sid, start, end)
        }
      }
    }
    return both
  }

  clone(): GtidSet {
    const copy = new GtidSet()
    for (const [sid, intervals] of this.#bySid)
      copy.#bySid.set(
        sid,
        intervals.map((interval) => ({ ...interval })),
      )
    return copy
  }

  toString(): string {
    const parts: string[] = []
    for (const [sid, intervals] of this.#bySid) {
      let text = sid
      for (const { start, end } of intervals) text += end - start === 1 ? `:${start}` : `:${start}-${end - 1}`
      parts.push(text)
    }
    return parts.join(',')
  }

  get hasTags(): boolean {
    for (const sid of this.#bySid.keys()) if (sid.length > 36) return true
    return false
  }

  /**
   * COM_BINLOG_DUMP_GTID's form (Gtid_set::encode). Without tags: SID count (8), per SID: 16 bytes, interval count (8), intervals (8 + 8, half-open).
   * With tags the count's bytes 0 and 7 are the format 1 and the count stands between, shifted by 8; each SID has its tag's length (×2) and bytes.
   */
  encode(): Buffer {
    const tagged = this.hasTags
    const chunks: Buffer[] = []
    const u64 = (value: bigint): void => {
      const bytes = Buffer.alloc(8)
      bytes.writeBigUInt64LE(value)
      chunks.push(bytes)
    }
    const count = BigInt(this.#bySid.size)
    u64(tagged ? (1n << 56n) | (count << 8n) | 1n : count)
    const sids = [...this.#bySid.keys()].sort()
    for (const sid of sids) {
      chunks.push(Buffer.from(sid.slice(0, 36).replaceAll('-', ''), 'hex'))
      if (tagged) {
        const tag = Buffer.from(sid.slice(37), 'latin1')
        chunks.push(Buffer.from([tag.length * 2]), tag)
      }
      const intervals = this.#bySid.get(sid) ?? []
      u64(BigInt(intervals.length))
      for (const { start, end } of intervals) {
        u64(BigInt(start))
        u64(BigInt(end))
      }
    }
    return Buffer.concat(chunks)
  }

  #addInterval(sid: string, start: number, end: number): void {
    const intervals = this.#bySid.get(sid)
    if (intervals === undefined) {
      this.#bySid.set(sid, [{ start, end }])
      return
    }
    const merged: Interval[] = []
    let added = { start, end }
    for (const interval of intervals) {
      if (interval.end < added.start || added.end < interval.start) merged.push(interval)
      else added = { start: Math.min(added.start, interval.start), end: Math.max(added.end, interval.end) }
    }
    merged.push(added)
    merged.sort((a, b) => a.start - b.start)
    this.#bySid.set(sid, merged)
  }
}
