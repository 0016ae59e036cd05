/** What bytes are in SQL text, and where what they begin ends. */
import { near, sqlErrors } from './errors.ts'

export type LexerMode = {
  /** `"` quotes names, not strings. */
  readonly ansiQuotes: boolean
  /** `\` is an ordinary character in strings. */
  readonly noBackslashEscapes: boolean
  /** `||` joins text, and binds tighter than any other operator; else it is OR. */
  readonly pipesAsConcat?: boolean
}

// What a byte can begin.
export const Space = 1
export const Letter = 2
export const Digit = 3
export const Single = 4
export const Double = 5
export const Backtick = 6
export const Dot = 7
export const Dash = 8
export const Slash = 9
export const Hash = 10
export const Question = 11
export const At = 12
export const Semicolon = 13
export const Star = 14
export const Other = 15

export const classes = new Uint8Array(256)
classes.fill(Letter, 0x80)
for (const char of ' \t\n\r\f\v') classes[char.charCodeAt(0)] = Space
for (let c = 0x30; c <= 0x39; c++) classes[c] = Digit
for (let c = 0; c < 26; c++) classes[0x41 + c] = classes[0x61 + c] = Letter
for (const char of '_$') classes[char.charCodeAt(0)] = Letter
for (const char of '=<>!+%&|^~(),:{}[]\\') classes[char.charCodeAt(0)] = Other
for (const [char, value] of [
  ["'", Single],
  ['"', Double],
  ['`', Backtick],
  ['.', Dot],
  ['-', Dash],
  ['/', Slash],
  ['#', Hash],
  ['?', Question],
  ['@', At],
  [';', Semicolon],
  ['*', Star],
] as const)
  classes[char.charCodeAt(0)] = value

export function isNameByte(kind: number): boolean {
  return kind === Letter || kind === Digit
}

export function isHexDigit(byte: number | undefined): boolean {
  return byte !== undefined && ((byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66))
}

export function stringEnd(bytes: Buffer, open: number, mode: LexerMode): number {
  const quote = bytes[open] as number
  const length = bytes.length
  let at = open + 1
  for (; at < length; at++) {
    const byte = bytes[at] as number
    if (byte === quote) {
      if (bytes[at + 1] !== quote) return at + 1
      at++
    } else if (byte === 0x5c && !mode.noBackslashEscapes) at++
  }
  throw sqlErrors.unterminatedString({ offset: open, near: near(bytes, open) })
}

export function quotedNameEnd(bytes: Buffer, open: number, quote: number): number {
  for (let at = open + 1; at < bytes.length; at++) {
    if (bytes[at] !== quote) continue
    if (bytes[at + 1] !== quote) return at + 1
    at++
  }
  throw sqlErrors.unterminatedString({ offset: open, near: near(bytes, open) })
}

export function lineEnd(bytes: Buffer, from: number): number {
  const at = bytes.indexOf(0x0a, from)
  return at < 0 ? bytes.length : at + 1
}

export function commentEnd(bytes: Buffer, open: number): number {
  const at = bytes.indexOf('*/', open + 2, 'latin1')
  if (at < 0) throw sqlErrors.unterminatedComment({ offset: open, near: near(bytes, open) })
  return at + 2
}

/** `@name`, `@'name'`, `@@name`, `@@session.name`, `@@`name``; a lone `@` too (user@host). */
export function variableEnd(bytes: Buffer, start: number, mode: LexerMode): number {
  let at = start + 1
  if (bytes[at] === 0x40) at++
  for (;;) {
    const byte = bytes[at]
    if (byte === 0x60) at = quotedNameEnd(bytes, at, 0x60)
    else if ((byte === 0x27 || byte === 0x22) && at === start + 1) return stringEnd(bytes, at, mode)
    else if (byte !== undefined && (byte === 0x2e || isNameByte(classes[byte] as number))) at++
    else return at
  }
}

/** `<=>`, `<=`, `>=`, `<>`, `!=`, `:=`, `||`, `&&`, `<<`, `>>`, else one character. */
export function operatorEnd(bytes: Buffer, at: number): number {
  const a = bytes[at] as number
  const b = bytes[at + 1]
  switch (a) {
    case 0x3c: // <
      if (b === 0x3d) return bytes[at + 2] === 0x3e ? at + 3 : at + 2
      return b === 0x3e || b === 0x3c ? at + 2 : at + 1
    case 0x3e: // >
      return b === 0x3d || b === 0x3e ? at + 2 : at + 1
    case 0x21: // !
    case 0x3a: // :
      return b === 0x3d ? at + 2 : at + 1
    case 0x7c: // |
    case 0x26: // &
      return b === a ? at + 2 : at + 1
    default:
      return at + 1
  }
}

/** Whether anything but white space, comments and `;` follows. */
export function hasMore(bytes: Buffer, from: number): boolean {
  let at = from
  while (at < bytes.length) {
    const kind = classes[bytes[at] as number]
    if (kind === Space || kind === Semicolon) at++
    else if (kind === Hash) at = lineEnd(bytes, at)
    else if (kind === Dash && bytes[at + 1] === 0x2d && (at + 2 >= bytes.length || (bytes[at + 2] as number) <= 0x20))
      at = lineEnd(bytes, at)
    else if (kind === Slash && bytes[at + 1] === 0x2a) {
      // What it holds is executed, by MariaDB at least.
      if (bytes[at + 2] === 0x21 || (bytes[at + 2] === 0x4d && bytes[at + 3] === 0x21)) return true
      const end = bytes.indexOf('*/', at + 2, 'latin1')
      if (end < 0) return true
      at = end + 2
    } else return true
  }
  return false
}
