/**
 * A MySQL document as an expression that makes the same binary document: its text, in which the values whose types text does not tell (`binlog/json-types.ts`) are set, each by an expression of
 * its type:
 *
 *     JSON_REPLACE(_utf8mb4'{"at": "2024-02-29", "n": [12.340]}',_utf8mb4'$."at"',CAST('2024-02-29' AS DATE),_utf8mb4'$."n"[0]',12.340)
 *
 * JSON keeps the type of the field that a value comes from. So what no function makes (bits, a TIMESTAMP, BINARY, a DECIMAL with room before its first digit) comes from a column of JSON_TABLE, which may have any type
 * but TINYBLOB: a member of that kind, and of kinds that servers no longer make, stays the string that it prints as (*tried*, 9.7.4).
 * ERROR ON ERROR, and warnings that are refused (`warnings.ts`): a value that can't be made is not to become null.
 */
import { decimalBytes } from '../binlog/decimal.ts'
import { documentTextEnd } from '../binlog/json-types.ts'

const maxSigned = 9_223_372_036_854_775_807n

/** The SQL expression for a document with listed values; null where its text as a literal does. */
export function jsonExpression(data: Buffer, from: number, end: number): string | null {
  const textEnd = documentTextEnd(data, from, end)
  if (textEnd === end) return null
  const text = data.toString('latin1', from, textEnd)
  const list = JSON.parse(data.toString('latin1', textEnd + 1, end - 1)) as string[]
  const wanted = new Map(list.map((entry) => [entry.slice(0, entry.indexOf(' ')), entry.slice(entry.indexOf(' ') + 1)]))
  const replaced: string[] = []
  const literal = (string: string): string => `_utf8mb4'${string.replaceAll(/['\\]/g, '\\$&')}'`
  for (const { path, value, type } of listedValues(text, wanted)) {
    const expression = valueExpression(type, value)
    if (expression !== null) replaced.push(`${literal(path)},${expression}`)
  }
  return replaced.length === 0 ? literal(text) : `JSON_REPLACE(${literal(text)},${replaced.join(',')})`
}

type Listed = { readonly path: string; readonly value: string; readonly type: string }
export type Container = { readonly path: () => string; readonly kind: 'm' | 'e'; readonly entries: Entry[] }
type Entry = { readonly key: string; readonly from: number; end: number; container: Container | null }

/** All that are wanted, or it throws: one that is not found would be written as another type. */
function listedValues(text: string, wanted: ReadonlyMap<string, string>): Listed[] {
  const found: Listed[] = []
  const root = documentTree(text)
  const rootType = wanted.get('r')
  if (rootType !== undefined) found.push({ path: '$', value: text, type: rootType })
  const counts = { m: 0, e: 0 }
  const walk = ({ path, kind, entries }: Container): void => {
    for (const { key, from, end } of entries) {
      const type = wanted.get(`${kind}${++counts[kind]}`)
      if (type !== undefined) found.push({ path: path() + key, value: text.slice(from, end), type })
    }
    for (const { container } of entries) if (container !== null) walk(container)
  }
  if (root !== null) walk(root)
  if (found.length !== wanted.size) throw new Error(`a JSON document without ${wanted.size - found.length} of its listed values`)
  return found
}

/** Of text that a server printed; null: it is a scalar. */
export function documentTree(text: string): Container | null {
  const open: Container[] = []
  let root: Container | null = null
  let key = ''
  for (let at = 0; at < text.length;) {
    const char = text[at] as string
    const inside = open[open.length - 1]
    if (char === '{' || char === '[') {
      const entry = inside === undefined ? null : begin(inside, key, at)
      const container: Container = {
        path: () => (entry === null || inside === undefined ? '$' : inside.path() + entry.key),
        kind: char === '{' ? 'm' : 'e',
        entries: [],
      }
      if (entry === null) root = container
      else entry.container = container
      open.push(container)
      key = ''
      at++
    } else if (char === '}' || char === ']') {
      open.pop()
      at++
    } else if (char === ',' || char === ':' || char === ' ') at++
    else {
      const end = char === '"' ? stringEnd(text, at) : scalarEnd(text, at)
      if (inside === undefined) return null
      if (inside.kind === 'm' && key === '') key = `.${text.slice(at, end)}`
      else {
        begin(inside, key, at).end = end
        key = ''
      }
      at = end
    }
  }
  return root
}

function begin({ kind, entries }: Container, key: string, from: number): Entry {
  const entry: Entry = { key: kind === 'm' ? key : `[${entries.length}]`, from, end: from, container: null }
  entries.push(entry)
  return entry
}

function stringEnd(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (char === 0x5c) i++
    else if (char === 0x22) return i + 1
  }
  return text.length
}

function scalarEnd(text: string, at: number): number {
  let end = at + 1
  while (end < text.length && !', ]}'.includes(text[end] as string)) end++
  return end
}

/**
 * Columns of JSON_TABLE in a text. For each a server makes a table, of 60 kB and 0.15 ms (measured, 9.7.4): a megabyte of them would be 400 MB there, so a statement has no more than so many,
 * unless a row alone has.
 */
export function fieldsIn(text: string | Buffer): number {
  let count = 0
  for (let at = text.indexOf(ofField); at >= 0; at = text.indexOf(ofField, at + ofField.length)) count++
  return count
}
const ofField = 'JSON_TABLE('
export const fieldsMax = 500

/** From a column of that type. */
function column(type: string, document: string): string {
  return `(SELECT v FROM JSON_TABLE(${document},_utf8mb4'$[*]' COLUMNS(v ${type} PATH _utf8mb4'$' ERROR ON ERROR)) t)`
}

/** Null: what the text gives is the nearest that there is. */
function valueExpression(listed: string, text: string): string | null {
  const [, type = '', size = ''] = /^(.*?)(?: (\d+))?$/.exec(listed) ?? []
  const string = text.slice(1, -1)
  switch (type) {
    case 'UNSIGNED INTEGER':
      return BigInt(text) > maxSigned ? null : `CAST(${text} AS UNSIGNED)`
    case 'DECIMAL':
      return decimalExpression(text, Number(size))
    case 'DATE':
      return `CAST('${string}' AS DATE)`
    case 'TIME':
    case 'DATETIME':
      return `CAST('${string}' AS ${type}(6))`
    case 'TIMESTAMP':
      // Of another time zone it may lie hours beyond what a column holds in ours.
      return isTimestamp(string) ? column('TIMESTAMP(6)', `_utf8mb4'["${string}"]'`) : `CAST('${string}' AS DATETIME(6))`
    default:
      return bytesExpression(string)
  }
}

function isTimestamp(text: string): boolean {
  return text === '0000-00-00 00:00:00.000000' || (text >= '1970-01-01 00:00:01' && text <= '2038-01-19 03:14:07.999999')
}

function bytesExpression(string: string): string | null {
  const [, code, base64 = ''] = /^base64:type(\d+):(.*)$/.exec(string) ?? []
  // In lines, whose ends are escaped.
  const bytes = Buffer.from(base64.replaceAll('\\n', ''), 'base64')
  const literal = `x'${bytes.toString('hex')}'`
  switch (code) {
    case '15':
      return literal
    case '16':
      return bytes.length < 1 || bytes.length > 8
        ? null
        : column(`BIT(${8 * bytes.length})`, `_utf8mb4'[${BigInt(`0x${bytes.toString('hex')}`)}]'`)
    case '254':
      return bytes.length > 255 ? null : column(`BINARY(${bytes.length})`, `JSON_ARRAY(${literal})`)
    case '252':
      return `(SELECT IF(1,${literal},v) FROM JSON_TABLE(_utf8mb4'[null]',_utf8mb4'$[*]' COLUMNS(v BLOB PATH _utf8mb4'$')) t)`
    // By the longest that it might be.
    case '250':
      return `IF(1,${literal},REPEAT(x'00',70000))`
    case '251':
      return `IF(1,${literal},REPEAT(x'00',17000000))`
    default:
      return null
  }
}

/**
 * @param size bytes that it takes alone: 3 before it, 2 for precision and scale
 */
function decimalExpression(text: string, size: number): string {
  const [integer = '', fraction = ''] = text.replace('-', '').split('.')
  const scale = fraction.length
  const digits = integer.length
  const literal = scale === 0 ? `${text}.` : text
  const bytes = (integerDigits: number): number => 5 + decimalBytes(integerDigits + scale, scale)
  // A literal has its digits, a CAST whole words of nine, a column what it was declared with.
  if (bytes(digits) === size) return literal
  if (integer === '0' && scale > 0 && bytes(0) === size) return literal.replace('0.', '.')
  if (bytes(9 * Math.ceil(digits / 9)) === size) return `CAST('${text}' AS DECIMAL(65,${scale}))`
  for (let declared = digits; declared + scale <= 65; declared++)
    if (bytes(declared) === size) return column(`DECIMAL(${declared + scale},${scale})`, `_utf8mb4'["${text}"]'`)
  return literal
}
