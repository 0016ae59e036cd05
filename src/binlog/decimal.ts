/**
 * DECIMAL as stored (`decimal2bin`): groups of nine digits in big-endian words of 1–4 bytes, integer part first, its leftover digits
 * leading, the fraction's trailing; the top bit flipped so that it sorts, all bits inverted when negative.
 */
import { putPadded, putU32 } from './integer-text.ts'
import type { RowSink } from './row-sink.ts'

const bytesOfDigits = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4] as const

export function decimalBytes(precision: number, scale: number): number {
  const integer = precision - scale
  return (
    Math.floor(integer / 9) * 4 + (bytesOfDigits[integer % 9] as number) + Math.floor(scale / 9) * 4 + (bytesOfDigits[scale % 9] as number)
  )
}

type Word = { readonly at: number; readonly bytes: number; readonly digits: number }

/** Decoder of a DECIMAL(precision, scale). Leaves exactly what the server prints: no leading zeros, all of the scale. */
export function decimalDecoder(precision: number, scale: number): (sink: RowSink) => void {
  const size = decimalBytes(precision, scale)
  const textBytesMax = precision + 3
  const integerWords: Word[] = []
  const fractionWords: Word[] = []
  let at = 0
  const add = (words: Word[], digits: number): void => {
    if (digits === 0) return
    const bytes = bytesOfDigits[digits] as number
    words.push({ at, bytes, digits })
    at += bytes
  }
  const integer = precision - scale
  add(integerWords, integer % 9)
  for (let i = 0; i < Math.floor(integer / 9); i++) add(integerWords, 9)
  for (let i = 0; i < Math.floor(scale / 9); i++) add(fractionWords, 9)
  add(fractionWords, scale % 9)

  return (sink) => {
    const start = sink.take(size)
    sink.reserve(textBytesMax)
    const { source, out } = sink
    const negative = ((source[start] as number) & 0x80) === 0
    const invert = negative ? 0xff : 0
    let end = sink.textAt
    if (negative) out[end++] = 45
    let leading = true
    for (const word of integerWords) {
      const value = wordValue(source, start, word, invert)
      if (!leading) end = putPadded(out, end, value, word.digits)
      else if (value !== 0) {
        end = putU32(out, end, value)
        leading = false
      }
    }
    if (leading) out[end++] = 48
    if (scale > 0) {
      out[end++] = 46
      for (const word of fractionWords) end = putPadded(out, end, wordValue(source, start, word, invert), word.digits)
    }
    sink.text(end)
  }
}

function wordValue(source: Buffer, start: number, word: Word, invert: number): number {
  let value = 0
  for (let i = 0; i < word.bytes; i++) {
    let byte = (source[start + word.at + i] as number) ^ invert
    if (word.at + i === 0) byte ^= 0x80
    value = value * 256 + byte
  }
  // Sound data never exceeds its digits; damaged data must not write beyond the room made.
  return word.digits === 9 ? Math.min(value, 999_999_999) : Math.min(value, 10 ** word.digits - 1)
}
