/**
 * Statements about accounts, and whether they mean one of ours. To a server every client of the gate is the gate's own account: a client that sets "its" password there, or is granted
 * or refused something, would do it to all of them, and with another password the gate can connect no more.
 */
import { Kind, tokenKind, type Lexed, type LexerMode } from '../sql/lexer.ts'
import { literalValue } from '../sql/literal.ts'
import { gateErrors } from './errors.ts'
import { refusedQuestion } from './of-connections.ts'
import { lexStatement } from './statement-text.ts'
import { Words } from './statement-words.ts'
import type { KeyspaceView } from './view.ts'

/** Behind these a statement begins within another one. */
const before = new Set('; : BEGIN ATOMIC THEN ELSE DO LOOP REPEAT FOR ) DETERMINISTIC DATA SQL DEFINER INVOKER'.split(' '))
const holders = new Set([
  'CREATE',
  'ALTER',
  'SET',
  'BEGIN',
  'IF',
  'WHILE',
  'LOOP',
  'REPEAT',
  'FOR',
  'CASE',
  'DECLARE',
  'PREPARE',
  'EXECUTE',
])
const ofAccounts = new Set(['USER', 'ROLE'])
/** The other two of this installation: who passes the fence is nobody's to change from here. */
const others = new Set(['sw_admin', 'sw_mover'])

/** The tokens with which statements about accounts begin: the first, or any within a block or routine. */
function beginnings(words: Words, count: number): number[] {
  const all = holders.has(words.at(0)) || words.raw(1) === ':'
  const found: number[] = []
  for (let i = 0; i < (all ? count : 1); i++)
    if ((i === 0 || before.has(words.at(i - 1)) || words.raw(i - 1).startsWith("'")) && isOfAccounts(words, i)) found.push(i)
  return found
}

function isOfAccounts(words: Words, at: number): boolean {
  const second = words.at(at + 1)
  switch (words.at(at)) {
    case 'SET':
      return second === 'PASSWORD' || (second === 'DEFAULT' && words.at(at + 2) === 'ROLE')
    case 'CREATE':
      return ofAccounts.has(second) || (second === 'OR' && ofAccounts.has(words.at(at + 3)))
    case 'ALTER':
    case 'DROP':
      return ofAccounts.has(second)
    case 'RENAME':
      return second === 'USER'
    case 'GRANT':
    case 'REVOKE':
      return true
    default:
      return false
  }
}

/** Whether a statement must be looked at by `refuseOwnAccountsOf` whenever it comes: literals name accounts, and they are in no key. */
export function mayConcernAccounts(words: Words, count: number): boolean {
  return words.at(0) === 'PREPARE' || (words.at(0) === 'EXECUTE' && words.at(1) === 'IMMEDIATE') || beginnings(words, count).length > 0
}

/** Errors: SW-GATE-012 it would act on the account by which the gate is on the keyspace's server, or a text within it ask about connections (of-connections.ts). What a text that is no literal makes (PREPARE s FROM @text) can not be seen. */
export function refuseOwnAccountsOf(keyspace: KeyspaceView | undefined, lexed: Lexed, mode: LexerMode): void {
  const user = keyspace?.shards[0]?.account.user
  if (user !== undefined) refuseAccount(lexed, mode, user)
}

function refuseAccount(lexed: Lexed, mode: LexerMode, user: string): void {
  const words = new Words(lexed)
  const from = words.at(0) === 'PREPARE' ? 3 : words.at(0) === 'EXECUTE' && words.at(1) === 'IMMEDIATE' ? 2 : null
  if (from !== null) {
    let to = from
    while (to < lexed.count && tokenKind(lexed, to) === Kind.String) to++
    const value = to === from ? null : literalValue(lexed, { from, to })
    if (value?.type !== 'text') return
    const text = lexStatement(value.bytes, mode)
    const question = refusedQuestion(new Words(text), text, true)
    if (question !== null) throw gateErrors.notForwarded(question)
    refuseAccount(text, mode, user)
    return
  }
  const own = new Set([...others, user])
  for (const at of beginnings(words, lexed.count)) {
    if (!meansOwn(words, lexed, at, own)) continue
    const verb = words.at(at) === 'SET' && words.at(at + 1) === 'DEFAULT' ? 'SET DEFAULT ROLE' : verbOf(words, at)
    throw gateErrors.notForwarded({
      construct: `${verb} of an account of Shardwright's own`,
      reason: `on servers every client of the gate is the gate's account ${user}, without which, or with another password, it reaches none of them`,
      fix: "clients' accounts are the gate's: `shardwright user` sets their passwords and rights; for another account of the server, name it",
    })
  }
}

function verbOf(words: Words, at: number): string {
  return words.at(at) === 'GRANT' || words.at(at) === 'REVOKE' ? words.at(at) : `${words.at(at)} ${words.at(at + 1)}`
}

function meansOwn(words: Words, lexed: Lexed, at: number, own: ReadonlySet<string>): boolean {
  let named = words.at(at) !== 'SET'
  for (let i = at + 1; i < lexed.count && words.at(i) !== ';'; i++) {
    const word = words.at(i)
    // SET PASSWORD FOR, SET DEFAULT ROLE … FOR (MariaDB) and TO (MySQL); without it, the session's.
    if (word === 'FOR' || (word === 'TO' && words.at(at + 1) === 'DEFAULT')) named = true
    if (word === 'CURRENT_USER' && words.raw(i + 1) !== '.') return true
    if (['USER', 'SESSION_USER', 'SYSTEM_USER'].includes(word) && words.raw(i + 1) === '(') return true
    if (words.raw(i + 1) !== '.' && own.has(nameAt(words, lexed, i))) return true
  }
  return !named
}

function nameAt(words: Words, lexed: Lexed, token: number): string {
  const kind = tokenKind(lexed, token)
  if (kind === Kind.Word || kind === Kind.QuotedName) return words.name(token)
  if (kind !== Kind.String) return ''
  const value = literalValue(lexed, { from: token, to: token + 1 })
  return value?.type === 'text' ? value.bytes.toString('utf8') : ''
}
