/** A key's literals as text for people: bytes that are no UTF-8 in hex. */
export function keyText(literals: string): string {
  const bytes = Buffer.from(literals, 'latin1')
  const text = bytes.toString('utf8')
  return Buffer.from(text, 'utf8').equals(bytes) ? text : `x'${bytes.toString('hex')}'`
}
