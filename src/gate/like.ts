/**
 * SQL's LIKE, without regard to case. At a `%` the last one only is gone back to, so that no pattern of a client's takes longer than its length times that of
 * the name: as a regular expression, one of twenty `%_` held up every session of the gate for half a minute.
 */
export function matchesLike(name: string, pattern: string): boolean {
  const text = [...name.toLowerCase()]
  const parts = partsOf(pattern.toLowerCase())
  let at = 0
  let part = 0
  // Behind the last `%`, and what of the text is taken by it.
  let behind = -1
  let taken = 0
  while (at < text.length) {
    const wanted = parts[part]
    if (wanted === any) {
      behind = ++part
      taken = at
    } else if (wanted !== undefined && (wanted === one || wanted === text[at])) {
      at++
      part++
    } else if (behind >= 0) {
      at = ++taken
      part = behind
    } else return false
  }
  while (parts[part] === any) part++
  return part === parts.length
}

const any = Symbol('%')
const one = Symbol('_')

function partsOf(pattern: string): (string | typeof any | typeof one)[] {
  const characters = [...pattern]
  const parts: (string | typeof any | typeof one)[] = []
  for (let i = 0; i < characters.length; i++) {
    const c = characters[i] as string
    if (c === '\\' && i + 1 < characters.length) parts.push(characters[++i] as string)
    else parts.push(c === '%' ? any : c === '_' ? one : c)
  }
  return parts
}
