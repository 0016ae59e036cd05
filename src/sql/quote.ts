/**
 * Quoting for text that we write ourselves.
 *
 * Holds for sessions whose character set has no multi-byte character that ends in an ASCII byte (utf8mb4, latin1,
 * binary, ascii: the only ones that our own connections use, never gbk, sjis or big5) and whose sql_mode has neither
 * NO_BACKSLASH_ESCAPES nor ANSI_QUOTES (fixed for our sessions, followed by the gate for its clients').
 *
 * Why it is safe: inside '…' the server gives a meaning to `'`, `\` and nothing else; both are always written as an
 * escape of two ASCII bytes, so no byte of the value can end the literal. NUL, newlines and ^Z are escaped for the
 * sake of logs and of clients that read our text, not of the server.
 */

/** A name in backticks; backticks inside are doubled, as the server prints them. */
export function quoteIdentifier(name: string): string {
  return name.includes('`') ? '`' + name.replaceAll('`', '``') + '`' : '`' + name + '`'
}

/** `schema`.`table` */
export function quoteQualified(schema: string, name: string): string {
  return quoteIdentifier(schema) + '.' + quoteIdentifier(name)
}

/** Text as a literal in single quotes, in the character set of the connection that it is sent on. */
export function quoteString(text: string): string {
  // Most texts need no escape: one scan is several times cheaper than the replacement.
  return needsEscape.test(text) ? "'" + text.replace(escaped, (char) => escapes[char] ?? char) + "'" : "'" + text + "'"
}

const needsEscape = /[\0\n\r\x1a'\\]/
const escaped = /[\0\n\r\x1a'\\]/g
const escapes: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\n': '\\n',
  '\r': '\\r',
  '\x1a': '\\Z',
  "'": "\\'",
  '\\': '\\\\',
}

/** For each byte 0, or the ASCII letter that follows the backslash in its escape. */
const escapeOf = new Uint8Array(256)
escapeOf[0x00] = 0x30
escapeOf[0x0a] = 0x6e
escapeOf[0x0d] = 0x72
escapeOf[0x1a] = 0x5a
escapeOf[0x27] = 0x27
escapeOf[0x5c] = 0x5c

/** How many bytes `writeLiteral` writes for these bytes, both quotes included. */
export function literalLength(bytes: Uint8Array): number {
  let length = bytes.length + 2
  for (let i = 0; i < bytes.length; i++) if (escapeOf[bytes[i] as number] !== 0) length++
  return length
}

/**
 * Writes `'…'` of these bytes into `target` at `offset` and returns the offset behind it. The caller has made room:
 * `literalLength(bytes)`, at most `2 * bytes.length + 2`.
 */
export function writeLiteral(target: Uint8Array, offset: number, bytes: Uint8Array): number {
  let at = offset
  target[at++] = 0x27
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number
    const escape = escapeOf[byte] as number
    if (escape !== 0) {
      target[at++] = 0x5c
      target[at++] = escape
    } else {
      target[at++] = byte
    }
  }
  target[at++] = 0x27
  return at
}

/** Bytes as `'…'`, without an introducer: the server reads them in the connection's character set. */
export function escapeLiteral(bytes: Uint8Array): Buffer {
  const length = literalLength(bytes)
  const target = Buffer.allocUnsafe(length)
  writeLiteral(target, 0, bytes)
  return target
}

/** Bytes, or text in UTF-8, as X'…': a value of type binary, the same under any character set and sql_mode. */
export function quoteHex(bytes: Buffer | string): string {
  return `X'${(typeof bytes === 'string' ? Buffer.from(bytes) : bytes).toString('hex')}'`
}

const binaryIntroducer = Buffer.from('_binary')

/** Bytes as `_binary'…'`: a value of type binary, converted by nobody on its way into a binary column. */
export function escapeBinaryLiteral(bytes: Uint8Array): Buffer {
  const target = Buffer.allocUnsafe(binaryIntroducer.length + literalLength(bytes))
  binaryIntroducer.copy(target)
  writeLiteral(target, binaryIntroducer.length, bytes)
  return target
}
