/**
 * A JSON document of MySQL whose values have types that its text does not tell, as an expression that makes the same one elsewhere: it is asked for with the type of each of its values, and
 * put together from them. What no expression makes (bits, a TIMESTAMP, bytes other than VARBINARY) is refused, as are two values of one spelling and several types, which the types
 * do not tell apart. Pure. (Tried on 9.7: JSON_ARRAY(1.50) holds a DECIMAL, CAST('1.50' AS JSON) a DOUBLE, CAST(… AS TIME(6)) a TIME, x'00' bytes of type 15.)
 */
import { quoteString } from '../sql/quote.ts'

/** What text tells. */
const carriedTypes = "'OBJECT', 'ARRAY', 'BOOLEAN', 'NULL', 'INTEGER', 'UNSIGNED INTEGER', 'DOUBLE', 'STRING'"
/** No document's text begins with it. */
export const typedMark = 0x21
const nestingMax = 100

/** Its text, or, of one with other types, `!` and `[text, type, [[type, text], …] of members, the same of elements]`. */
export function fetchedDocument(name: string): string {
  const values = (path: string): string => `JSON_TABLE(${name}, '${path}' COLUMNS (v JSON PATH '$')) _sw_j WHERE JSON_TYPE(_sw_j.v)`
  const others = (path: string): string => `EXISTS (SELECT 1 FROM ${values(path)} NOT IN (${carriedTypes}))`
  const types = (path: string): string =>
    `(SELECT JSON_ARRAYAGG(JSON_ARRAY(JSON_TYPE(_sw_j.v), CAST(_sw_j.v AS CHAR))) FROM ${values(path)} NOT IN ('OBJECT', 'ARRAY'))`
  return (
    `CASE WHEN ${name} IS NULL THEN NULL WHEN JSON_TYPE(${name}) NOT IN (${carriedTypes}) OR ${others('$**.*')} OR ${others('$**[*]')} ` +
    `THEN CONCAT('!', JSON_ARRAY(CAST(${name} AS CHAR), JSON_TYPE(${name}), ${types('$**.*')}, ${types('$**[*]')})) ELSE CAST(${name} AS CHAR) END`
  )
}

class Leaf {
  readonly source: string
  constructor(source: string) {
    this.source = source
  }
}

/** null: it can't be made elsewhere. @param cell what follows the mark */
export function documentMaker(cell: Buffer): Buffer | null {
  const [text, type, members, elements] = JSON.parse(cell.toString('utf8')) as [string, string, Typed | null, Typed | null]
  const types = new Map<string, Set<string>>()
  for (const [ofValue, spelt] of [[type, text] as const, ...(members ?? []), ...(elements ?? [])]) {
    const known = types.get(spelt)
    if (known === undefined) types.set(spelt, new Set([ofValue]))
    else known.add(ofValue)
  }
  const root: unknown = JSON.parse(text, spellings)
  const expression = made(root, types, 0)
  if (expression === null) return null
  return Buffer.from(root instanceof Leaf ? `CAST(${expression} AS JSON)` : expression)
}
type Typed = readonly (readonly [type: string, text: string])[]

/** Numbers as they are written. */
function spellings(this: unknown, _key: string, value: unknown, context?: { readonly source?: string }): unknown {
  return typeof value === 'object' && value !== null ? value : new Leaf(context?.source ?? '')
}

function made(node: unknown, types: ReadonlyMap<string, ReadonlySet<string>>, depth: number): string | null {
  if (depth > nestingMax) return null
  if (node instanceof Leaf) return leaf(node.source, types.get(node.source))
  const parts: string[] = []
  for (const [key, value] of Object.entries(node as object)) {
    const part = made(value, types, depth + 1)
    if (part === null) return null
    if (!Array.isArray(node)) parts.push(quoteString(key))
    parts.push(part)
  }
  return `${Array.isArray(node) ? 'JSON_ARRAY' : 'JSON_OBJECT'}(${parts.join(', ')})`
}

function leaf(source: string, types: ReadonlySet<string> | undefined): string | null {
  // No string is spelt so; and JSON_TABLE gives a null as SQL's.
  if (source === 'null') return "CAST('null' AS JSON)"
  const [type] = types ?? []
  if (type === undefined || types?.size !== 1) return null
  const quoted = /^"([-0-9 :.]+)"$/.exec(source)?.[1]
  switch (type) {
    case 'BOOLEAN':
    case 'INTEGER':
    case 'UNSIGNED INTEGER':
    case 'DOUBLE':
    case 'STRING':
      return `CAST(${quoteString(source)} AS JSON)`
    case 'DECIMAL':
      if (/^-?\d+\.\d+$/.test(source)) return source
      return /^-?\d+$/.test(source) ? `CAST(${source} AS DECIMAL(65, 0))` : null
    case 'DATE':
      return quoted === undefined ? null : `CAST('${quoted}' AS DATE)`
    case 'DATETIME':
    case 'TIME':
      return quoted === undefined ? null : `CAST('${quoted}' AS ${type}(6))`
    case 'BLOB': {
      // In lines of 76 characters, whose breaks are written \n.
      const bytes = /^"base64:type15:((?:[A-Za-z0-9+/=]|\\n)*)"$/.exec(source)?.[1]?.replaceAll('\\n', '')
      return bytes === undefined ? null : `x'${Buffer.from(bytes, 'base64').toString('hex')}'`
    }
    default:
      return null
  }
}
