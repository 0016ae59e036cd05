/**
 * Errors and warnings that name a schema: the shard's, which clients know by its keyspace. What in a text is a name, and not a value of the user's that looks like one, depends on which text it is: where
 * there is a value, it stands in quotes before the names; where it is a statement, within quotes.
 */
import type { ErrorText } from '../mysql/connection.ts'
import { databaseOf } from './schema-names.ts'
import type { ShardView } from './view.ts'

/** Of names alone: rights; what is not there, or not what it is taken for; grouping and order; foreign keys and CHECKs. */
const ofNames = new Set([
  1005, 1051, 1052, 1054, 1055, 1109, 1140, 1142, 1143, 1146, 1216, 1217, 1347, 1356, 1370, 1451, 1452, 1831, 3065, 3730, 3780, 4025, 4091,
])
/** Of a value, and then of a column: `Incorrect integer value: 'a' for column …`. */
const ofValues = new Set([1292, 1366])
/** FUNCTION s.f does not exist. */
const ofRoutines = 1305
/** EXPLAIN's: the statement. */
const ofStatements = 1003

const known = new WeakMap<ShardView, { told: ErrorText | null }>()

/** Null: the shard's schema is called as the keyspace is. */
export function toldInKeyspace(shard: ShardView): ErrorText | null {
  let found = known.get(shard)
  if (found === undefined) known.set(shard, (found = { told: shard.schema === databaseOf(shard) ? null : renaming(shard) }))
  return found.told
}

function renaming(shard: ShardView): ErrorText {
  // Byte by byte, whatever the character set of the text is.
  const [from, to] = [shard.schema, databaseOf(shard)].map((name) => Buffer.from(name).toString('latin1')) as [string, string]
  const [quoted, toQuoted] = [from, to].map((name) => `\`${name.replaceAll('`', '``')}\``) as [string, string]
  const plain = escaped(from)
  const inBackquotes = new RegExp(`${escaped(quoted)}(?=\\.\`)`, 'g')
  const inQuotes = new RegExp(`'${plain}(?=\\.[^'\\s])`, 'g')
  const afterValue = new RegExp(`${escaped(quoted)}(?=\\.\`(?:[^\`]|\`\`)+\`\\.\`(?:[^\`]|\`\`)+\`[^\`'"]*$)`)
  const routine = new RegExp(`^([A-Z]+ )${plain}(?=\\.)`)
  const inStatement = new RegExp(`'(?:[^'\\\\]|\\\\.|'')*'|"(?:[^"\\\\]|\\\\.|"")*"|${escaped(quoted)}(?=\\.\`)`, 'gs')
  return (code, bytes) => {
    const text = bytes.toString('latin1')
    if (!text.includes(from)) return null
    const made = ofNames.has(code)
      ? text.replace(inBackquotes, () => toQuoted).replace(inQuotes, () => `'${to}`)
      : ofValues.has(code)
        ? text.replace(afterValue, () => toQuoted)
        : code === ofRoutines
          ? text.replace(routine, (_, what: string) => what + to)
          : code === ofStatements
            ? text.replace(inStatement, (found) => (found === quoted ? toQuoted : found))
            : text
    return made === text ? null : Buffer.from(made, 'latin1')
  }
}

function escaped(name: string): string {
  return name.replaceAll(/[^\w]/g, (letter) => `\\x${letter.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
