/**
 * The collation table of und.bin.gz, decoded: for each code point its collation elements, or how to find them. Made by
 * scripts/generate-collation (its head describes the format); see NOTICE for where it comes from.
 *
 * An element is one number: primary weight × 256 + combining class.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { assert } from '../../base/assert.ts'

export type Contraction = { readonly firstState: number; readonly stateCount: number; readonly resultOffset: number }

/** What `CollationTable.entry` says of a code point: kind in the low two bits, the rest depends on it. */
export const entryKind = { single: 0, several: 1, contraction: 2, decomposition: 3 } as const

export type CollationTable = {
  /** -1 when the table lacks the code point; kind `single`: the primary weight above the kind; else an index of the list of its kind. */
  entry(codePoint: number): number
  readonly several: readonly (readonly number[])[]
  readonly contractions: readonly Contraction[]
  readonly decompositions: readonly Uint8Array[]
  /** Four bytes a state: low, high, next, index. */
  readonly states: Uint8Array
  readonly results: readonly (readonly number[])[]
  /** Leading class, trailing class, whether a normalisation segment may begin here: leading << 9 | trailing << 1 | begins. */
  readonly marks: ReadonlyMap<number, number>
  isIdeograph(codePoint: number): boolean
}

const pageBits = 8
const pageSize = 1 << pageBits
const codePoints = 0x110000

let loaded: CollationTable | null = null

/** Decoded at the first call (about 10 ms) and kept: keyspaces without such a vindex pay nothing. */
export function collationTable(): CollationTable {
  loaded ??= decode(gunzipSync(readFileSync(new URL('und.bin.gz', import.meta.url))))
  return loaded
}

function decode(bytes: Uint8Array): CollationTable {
  let at = 0
  const next = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]
      assert(byte !== undefined, 'the collation table ends early')
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  const times = <T>(read: () => T): T[] => Array.from({ length: next() }, read)
  const element = (): number => {
    const primary = next()
    return primary * 256 + next()
  }

  const several: number[][] = []
  const contractions: Contraction[] = []
  const decompositions: Uint8Array[] = []
  const payload = (kind: number): number => {
    switch (kind) {
      case entryKind.single:
        return next()
      case entryKind.several:
        return several.push(times(element)) - 1
      case entryKind.contraction:
        return contractions.push({ firstState: next(), stateCount: next(), resultOffset: next() }) - 1
      default:
        assert(kind === entryKind.decomposition, 'the collation table has an unknown kind')
        return decompositions.push(Buffer.from(String.fromCodePoint(...times(next)))) - 1
    }
  }
  const pages = new Uint16Array(codePoints >> pageBits)
  const entries: Int32Array[] = [new Int32Array(pageSize).fill(-1)]
  let codePoint = 0
  for (let left = next(); left > 0; left--) {
    codePoint += next()
    const page = codePoint >> pageBits
    if (pages[page] === 0) pages[page] = entries.push(new Int32Array(pageSize).fill(-1)) - 1
    const kind = next()
    ;(entries[pages[page] as number] as Int32Array)[codePoint & (pageSize - 1)] = payload(kind) * 4 + kind
  }

  const stateBytes = next() * 4
  const states = bytes.subarray(at, at + stateBytes)
  at += stateBytes
  const results = times(() => times(element))

  const marks = new Map<number, number>()
  let mark = 0
  for (let left = next(); left > 0; left--) {
    mark += next()
    const leading = next()
    const trailing = next()
    marks.set(mark, (leading << 9) | (trailing << 1) | next())
  }

  let end = 0
  const ideographs = times(() => {
    const start = end + next()
    end = start + next()
    return { start, end }
  })
  assert(at === bytes.length, 'the collation table goes on after its end')
  return {
    entry: (point) => (entries[pages[point >> pageBits] as number] as Int32Array)[point & (pageSize - 1)] as number,
    several,
    contractions,
    decompositions,
    states,
    results,
    marks,
    isIdeograph: (point) => ideographs.some((range) => point >= range.start && point < range.end),
  }
}
