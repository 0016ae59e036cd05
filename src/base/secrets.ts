/** A password in an address (`kafka://…?sasl=plain&user=a&password=b`) is for who opens it: whatever is shown, told or logged goes through here. Also of JSON text. */
export function withoutPassword(text: string): string {
  return text.includes('password=') ? text.replace(/([?&]password=)[^&\s"'\\]*/g, '$1…') : text
}
