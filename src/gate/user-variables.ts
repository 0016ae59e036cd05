/** User variables of a session in a sharded keyspace that a connection has: one that a statement on an unsharded keyspace has set them on. */
import type { RawRow, Result } from '../mysql/connection.ts'
import { Kind, type Lexed, tokenEnd, tokenKind, tokenStart } from '../sql/lexer.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { nullValue, type Value } from '../sql/value.ts'
import { valueOfAnswer } from './evaluate.ts'
import { askedCells, askedOfText, keptNumber, keptText } from './kept-values.ts'
import { userVariableName } from './set-statement.ts'
import type { SessionSettings } from './settings.ts'

type Text = Extract<Value, { type: 'text' }>

/** @param shown what the variable says it is */
export async function textOn(
  name: string,
  shown: Text,
  settings: SessionSettings,
  ask: (sql: string) => Promise<Result | null>,
): Promise<Value> {
  const own = await ask(`SELECT ${askedOfText(name)}, COLLATION(${name}) = @@collation_connection`)
  return asKept(own?.kind === 'rows' ? own.rows[0] : undefined, shown, settings)
}

/**
 * What a user variable is that a connection has.
 *
 * @param ask of the connection, brought to the session's settings; null: there is none
 * Errors: SW-GATE-100.
 */
export async function variableOn(name: string, settings: SessionSettings, ask: (sql: string) => Promise<Result | null>): Promise<Value> {
  const at = `@${quoteIdentifier(name)}`
  const answer = await ask(`SELECT ${at}`)
  const value = answer === null ? nullValue : valueOfAnswer(answer)
  return value.type === 'text' ? await textOn(at, value, settings, ask) : keptNumber(value)
}

/** The user variables that a statement names, in lower case. */
export function userVariablesOf(lexed: Lexed): ReadonlySet<string> {
  const names = new Set<string>()
  for (let i = 0; i < lexed.count; i++)
    if (tokenKind(lexed, i) === Kind.UserVariable)
      names.add(userVariableName(lexed.bytes.toString('utf8', tokenStart(lexed, i), tokenEnd(lexed, i))))
  return names
}

/**
 * A text of the collation that the client's own have goes into statements as it is.
 * @param row the answer to `askedOfText`, and whether it is of that collation
 */
export function asKept(row: RawRow | undefined, shown: Text, settings: SessionSettings): Value {
  // Texts come in one character set and are sent in another: what has bytes of its own in each would be another text.
  const isOneCharset =
    settings.get('character_set_client') === settings.get('character_set_results') || shown.bytes.every((byte) => byte > 0 && byte < 0x80)
  return row?.[askedCells]?.toString() === '1' && isOneCharset ? shown : keptText(row, shown)
}
