/**
 * IS_USED_LOCK(name) names who holds the lock by the server's number of a connection. The server is asked for that, and the text gets the number of the session which has the connection: the one that CONNECTION_ID() and KILL
 * know. A session of another gate process has one too, which only that process could tell: then the answer is told where the number itself is not (compared with CONNECTION_ID(), IS NULL), and refused elsewhere.
 */
import { Kind, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { onServer } from './on-server.ts'
import type { Runner } from './runner.ts'
import { SessionConnections } from './session-connections.ts'
import type { SessionCall } from './session-calls.ts'
import { lexStatement, modeOf } from './statement-text.ts'
import { Words } from './statement-words.ts'

const name = 'IS_USED_LOCK'
const comparisons = new Set(['=', '<=>', '<>', '!='])
/** Behind these an operand begins that no operator before it binds. */
const before = new Set(['SELECT', '(', ',', 'AND', 'OR', 'WHERE', 'WHEN', 'THEN', 'ELSE', 'DO'])

/** What stands in a text for the calls. @param home the keyspace whose server has the locks. Errors: SW-GATE-012; those of asking. */
export async function usedLocks(core: Core, runner: Runner, home: string, sql: Buffer, signal: AbortSignal): Promise<SessionCall[]> {
  const mode = modeOf(runner.settings)
  const lexed = lexStatement(sql, mode)
  const words = new Words(lexed)
  const places: { readonly at: number; readonly text: string; readonly compared: boolean }[] = []
  for (let i = 0; i < lexed.count; i++) {
    const word = words.at(i)
    if (words.raw(i + 1) !== '(') continue
    if (word === 'GET_LOCK' || word === 'RELEASE_LOCK' || word === 'RELEASE_ALL_LOCKS')
      throw refused(`${name}() beside ${word}()`, 'the gate asks for it before the statement runs', 'ask for it in a statement of its own')
    if (word !== name) continue
    const kind = tokenKind(lexed, i + 2)
    if ((kind !== Kind.String && kind !== Kind.Integer && kind !== Kind.Hex) || words.raw(i + 3) !== ')')
      throw refused(
        `${name}() of an expression`,
        "the gate asks for it before the statement runs, by the lock's name",
        'name the lock by a text',
      )
    const text = lexed.bytes.toString('latin1', tokenStart(lexed, i + 2), tokenEnd(lexed, i + 2))
    places.push({ at: i, text, compared: tellsNoNumber(words, lexed, i) })
  }
  const asked = Buffer.from(`SELECT ${places.map(({ text }) => `${name}(${text})`).join(', ')}`, 'latin1')
  const holders = await onServer(core, runner, home, signal, async ({ connection }, shard) => {
    const result = await connection.query(asked)
    const row = result.kind === 'rows' ? (result.rows[0] ?? []) : []
    return row.map((cell) => (cell === null ? null : (core.pools.holderOf(shard, Number(cell)) ?? 'unknown')))
  })
  return places.map(({ at, compared }, i) => {
    const holder = holders[i] ?? null
    if (holder !== null && !(holder instanceof SessionConnections) && !compared)
      throw refused(
        `${name}() of a lock that a session of another gate process holds, or a client of the server`,
        'its number is not known here',
        'compare it with CONNECTION_ID(), or ask whether it is NULL',
      )
    // No session has the number 0.
    const text = holder === null ? 'NULL' : holder instanceof SessionConnections ? `CAST(${holder.session} AS UNSIGNED)` : '0'
    return { from: at, to: at + 4, what: 'connection-id', text }
  })
}

function tellsNoNumber(words: Words, lexed: Lexed, at: number): boolean {
  const isId = (i: number): boolean => words.at(i) === 'CONNECTION_ID' && words.raw(i + 1) === '(' && words.raw(i + 2) === ')'
  const ends = (i: number): boolean => i >= lexed.count || [')', ','].includes(words.raw(i)) || tokenKind(lexed, i) !== Kind.Operator
  const end = at + 4
  if (isId(at - 4) && comparisons.has(words.raw(at - 1))) return before.has(words.at(at - 5)) && ends(end)
  if (!before.has(words.at(at - 1))) return false
  if (comparisons.has(words.raw(end)) && isId(end + 1)) return ends(end + 4)
  return words.at(end) === 'IS' && (words.at(end + 1) === 'NULL' || (words.at(end + 1) === 'NOT' && words.at(end + 2) === 'NULL'))
}

function refused(construct: string, reason: string, fix: string): Error {
  return gateErrors.notForwarded({ construct, reason, fix })
}
