/**
 * Text to collation elements, as golang.org/x/text/collate does it (its quirks included: they decide on which shard a row
 * stands). Three things make this more than a table: contractions (several code points have one weight, and combining marks that don't
 * take part may stand between them), Hangul syllables, which stand for their letters, and code points that the table
 * lacks, whose weight is computed.
 */
import { collationTable, entryKind, type CollationTable, type Contraction } from './table.ts'

const noIndex = 0xff
const finalState = 0
const hangul = { first: 0xac00, last: 0xd7a3, leading: 0x1100, vowel: 0x1161, trailing: 0x11a7, vowels: 21, trailings: 28 }

export type Decoded = { codePoint: number; length: number }

/** The code point at `at` of valid UTF-8. */
export function decodeAt(text: Uint8Array, at: number, into: Decoded): void {
  const first = text[at] as number
  const follow = (i: number): number => (text[at + i] as number) & 0x3f
  if (first < 0x80) {
    into.codePoint = first
    into.length = 1
  } else if (first < 0xe0) {
    into.codePoint = ((first & 0x1f) << 6) | follow(1)
    into.length = 2
  } else if (first < 0xf0) {
    into.codePoint = ((first & 0x0f) << 12) | (follow(1) << 6) | follow(2)
    into.length = 3
  } else {
    into.codePoint = ((first & 0x07) << 18) | (follow(1) << 12) | (follow(2) << 6) | follow(3)
    into.length = 4
  }
}

/** Appends the elements of what stands at `at` of valid UTF-8 (one code point, or a contraction); returns the bytes used. */
export function appendElements(elements: number[], text: Uint8Array, at: number): number {
  const table = collationTable()
  const decoded = { codePoint: 0, length: 0 }
  decodeAt(text, at, decoded)
  const { codePoint, length } = decoded
  const entry = table.entry(codePoint)
  if (entry === -1) {
    if (codePoint >= hangul.first && codePoint <= hangul.last) appendHangul(table, elements, codePoint)
    else elements.push(implicitPrimary(table, codePoint) * 256)
    return length
  }
  const payload = entry >> 2
  switch (entry & 3) {
    case entryKind.single:
      elements.push(payload * 256)
      return length
    case entryKind.several:
      elements.push(...(table.several[payload] as readonly number[]))
      return length
    case entryKind.contraction:
      return length + appendContraction(table, elements, table.contractions[payload] as Contraction, text.subarray(at + length))
    default: {
      const parts = table.decompositions[payload] as Uint8Array
      for (let i = 0; i < parts.length;) i += appendElements(elements, parts, i)
      return length
    }
  }
}

/** The weight of a code point that the table lacks, by the offsets of UCA's implicit weights. */
function implicitPrimary(table: CollationTable, codePoint: number): number {
  if (!table.isIdeograph(codePoint)) return codePoint + 0x50000
  const common = (codePoint >= 0x4e00 && codePoint <= 0x9fff) || (codePoint >= 0xf900 && codePoint <= 0xfaff)
  return codePoint + (common ? 0x10000 : 0x20000)
}

function appendHangul(table: CollationTable, elements: number[], codePoint: number): void {
  const index = codePoint - hangul.first
  const letters = [
    hangul.leading + Math.floor(index / (hangul.vowels * hangul.trailings)),
    hangul.vowel + (Math.floor(index / hangul.trailings) % hangul.vowels),
    hangul.trailing + (index % hangul.trailings),
  ]
  if (letters[2] === hangul.trailing) letters.pop()
  for (const letter of letters) elements.push((table.entry(letter) >> 2) * 256)
}

/** Walks the trie of contractions over UTF-8 bytes; keeps its place only at ends of code points. */
class ContractionScan {
  text: Uint8Array
  readonly #states: Uint8Array
  #base: number
  #count: number
  /** The result of the longest match so far, and where it ended. */
  index = 0
  end = 0
  done = false

  constructor(table: CollationTable, { firstState, stateCount }: Contraction, text: Uint8Array) {
    this.#states = table.states
    this.#base = firstState
    this.#count = stateCount
    this.text = text
  }

  /** Goes on from `at`; returns the end of the last code point that fits. */
  scan(at: number): number {
    const { text } = this
    const states = this.#states
    let fits = at
    let base = this.#base
    let count = this.#count
    for (let i = 0; i < count && at < text.length;) {
      const state = (base + i) * 4
      const low = states[state] as number
      const high = states[state + 1] as number
      const next = states[state + 2] as number
      const index = states[state + 3] as number
      const byte = text[at] as number
      if (byte === low) {
        at++
        if (index !== noIndex) {
          this.index = index
          this.end = at
        }
        if (next === finalState) {
          this.done = true
          return at
        }
        base += high + count
        count = next
        i = 0
        if (at >= text.length || !isContinuation(text[at] as number)) {
          this.#base = base
          this.#count = count
          fits = at
        }
        continue
      }
      if (byte > low && next === finalState && byte <= high) {
        at++
        this.done = true
        this.index = byte - low + index
        this.end = at
        return at
      }
      i++
    }
    return fits
  }
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}

/** Appends what the contraction gives, then the marks that it jumped over; returns the bytes of `rest` used. */
function appendContraction(table: CollationTable, elements: number[], contraction: Contraction, rest: Uint8Array): number {
  const scan = new ContractionScan(table, contraction, rest)
  const jumped: Uint8Array[] = []
  let jumpedUsed = 0
  let at = scan.scan(0)
  if (!scan.done && at < rest.length && (rest[at] as number) >= 0x80) {
    const decoded = { codePoint: 0, length: 0 }
    const markAt = (i: number): number => {
      decodeAt(rest, i, decoded)
      return table.marks.get(decoded.codePoint) ?? 1
    }
    let from = at
    let mark = markAt(at)
    at += decoded.length
    if (mark >> 9 !== 0) {
      let trailing = (mark >> 1) & 0xff
      // A gap may only stand within one normalisation segment.
      const end = segmentEnd(rest, at, markAt, decoded)
      scan.text = rest.subarray(0, end)
      while (at < rest.length && !scan.done && (rest[at] as number) >= 0x80) {
        mark = markAt(at)
        const length = decoded.length
        const leading = mark >> 9
        if (leading === 0 || trailing >= leading) break
        trailing = (mark >> 1) & 0xff
        const after = scan.scan(at)
        if (after !== at) {
          jumped.push(rest.subarray(from, at))
          if (scan.end === after) jumpedUsed = jumped.length
          at = from = after
        } else {
          at += length
        }
      }
    }
  }
  elements.push(...(table.results[scan.index + contraction.resultOffset] as readonly number[]))
  if (jumpedUsed > 0) {
    const marks = Buffer.concat(jumped.slice(0, jumpedUsed))
    for (let i = 0; i < marks.length;) i += appendElements(elements, marks, i)
  }
  return scan.end
}

/** Where the next segment begins: at a code point that begins one, or after 30 that don't. */
function segmentEnd(text: Uint8Array, at: number, markAt: (at: number) => number, decoded: Decoded): number {
  for (let count = 0; at < text.length; at += decoded.length) {
    if ((markAt(at) & 1) === 1 || ++count > 30) return at
  }
  return text.length
}
