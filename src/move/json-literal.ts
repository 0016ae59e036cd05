/**
 * MySQL's JSON keeps numbers as they were made: a DECIMAL in it prints `12.340`, and read back from that text it becomes a DOUBLE that prints
 * `12.34`. So numbers that a DOUBLE or an integer would not print alike are set as SQL decimals:
 *
 *     JSON_REPLACE(_utf8mb4'[12.340, "x"]','$[0]',12.340)
 *
 * Then the target prints the same text, byte for byte. What text does not tell stays unknown: a DATE within JSON arrives as the string that it prints as
 * (docs/decisions/008).
 */
import { doubleText } from '../binlog/double-text.ts'

const quote = 0x22
const maxUnsigned = 18_446_744_073_709_551_615n
const minSigned = -9_223_372_036_854_775_808n

/** The SQL expression for a document of this text (canonical, as the server prints it); null where its text as a literal does. */
export function jsonExpression(data: Buffer, from: number, end: number): string | null {
  if (!hasOddNumber(data, from, end)) return null
  const replaced: string[] = []
  const parser = new PathParser(data, from, end, (path, number) => replaced.push(`_utf8mb4'${escaped(path)}',${number}`))
  parser.value('$')
  return `JSON_REPLACE(_utf8mb4'${escaped(data.toString('latin1', from, end))}',${replaced.join(',')})`
}

function hasOddNumber(data: Buffer, from: number, end: number): boolean {
  for (let i = from; i < end;) {
    const byte = data[i] as number
    if (byte === quote) i = stringEnd(data, i, end)
    else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
      const next = numberEnd(data, i, end)
      if (isOdd(data, i, next)) return true
      i = next
    } else i++
  }
  return false
}

function stringEnd(data: Buffer, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    if (data[i] === 0x5c) i++
    else if (data[i] === quote) return i + 1
  }
  return end
}

function numberEnd(data: Buffer, at: number, end: number): number {
  let i = at + 1
  for (; i < end; i++) {
    const byte = data[i] as number
    if (!((byte >= 0x30 && byte <= 0x39) || byte === 0x2e || byte === 0x65 || byte === 0x45 || byte === 0x2b || byte === 0x2d)) break
  }
  return i
}

/** Whether the number, parsed from its text, would print otherwise. */
function isOdd(data: Buffer, from: number, end: number): boolean {
  // Integers of up to 15 digits are what most numbers are.
  let plain = end - from <= 15
  for (let i = from + 1; plain && i < end; i++) plain = (data[i] as number) >= 0x30 && (data[i] as number) <= 0x39
  if (plain) return false
  const text = data.toString('latin1', from, end)
  if (/^-?\d+$/.test(text)) {
    const value = BigInt(text)
    return value > maxUnsigned || value < minSigned
  }
  // Only a DOUBLE prints an exponent.
  if (/e/i.test(text)) return false
  const printed = doubleText(Number(text))
  return printed !== text && `${printed}.0` !== text
}

function escaped(text: string): string {
  return text.replaceAll(/['\\]/g, '\\$&')
}

class PathParser {
  readonly #data: Buffer
  readonly #end: number
  readonly #onOdd: (path: string, number: string) => void
  #at: number

  constructor(data: Buffer, from: number, end: number, onOdd: (path: string, number: string) => void) {
    this.#data = data
    this.#at = from
    this.#end = end
    this.#onOdd = onOdd
  }

  value(path: string): void {
    const byte = this.#skip()
    const from = this.#at
    if (byte === quote) this.#at = stringEnd(this.#data, from, this.#end)
    else if (byte === 0x7b) this.#members(path, 0x7d)
    else if (byte === 0x5b) this.#members(path, 0x5d)
    else {
      this.#at = numberEnd(this.#data, from, this.#end)
      if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
        if (isOdd(this.#data, from, this.#at)) this.#onOdd(path, this.#data.toString('latin1', from, this.#at))
      } else while (this.#at < this.#end && (this.#data[this.#at] as number) >= 0x61) this.#at++
    }
  }

  #members(path: string, close: number): void {
    this.#at++
    for (let n = 0; this.#skip() !== close && this.#at < this.#end; n++) {
      let member = `${path}[${n}]`
      if (close === 0x7d) {
        const from = this.#at
        this.#at = stringEnd(this.#data, from, this.#end)
        member = `${path}.${this.#data.toString('latin1', from, this.#at)}`
        this.#skip()
        this.#at++
      }
      this.value(member)
      if (this.#skip() === 0x2c) this.#at++
    }
    this.#at++
  }

  /** The next byte that is no white space. */
  #skip(): number {
    while (this.#at < this.#end && (this.#data[this.#at] as number) <= 0x20) this.#at++
    return this.#data[this.#at] ?? 0
  }
}
