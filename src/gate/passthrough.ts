/**
 * What the gate must know of a statement that goes to an unsharded keyspace's one server as it is: whether it writes, whether
 * it may be read again, whether it leaves state on the connection, and which ones the gate answers or keeps itself. Only the
 * first words and single tokens are looked at, so every dialect passes; in doubt it is a write. Pure; cached by the lexer's key.
 */
import { Kind, tokenKind, type Lexed } from '../sql/lexer.ts'
import { asksLastGtid, drawnAt, notTheGtid } from './drawn.ts'
import { mayConcernAccounts } from './own-account.ts'
import { refusedQuestion } from './of-connections.ts'
import type { Pin } from './plan/plan.ts'
import { callsStored, rereadable } from './pure-functions.ts'
import { isOfDiagnostics, sessionCallAt, type SessionCall } from './session-calls.ts'
import type { SetAssignments } from './set-statement.ts'
import { parseSet } from './set-statement.ts'
import { Words } from './statement-words.ts'

export type Relay = {
  readonly kind: 'relay'
  readonly effect: 'read' | 'lock' | 'write'
  /** A read whose second execution can not be told from one: it may be sent again after a lost connection. */
  readonly rereadable: boolean
  /** A locking read that changes nothing: it calls nothing that could. */
  readonly onlyLocks: boolean
  readonly pins: readonly Pin[]
  /** Ends the session's transaction first, as the server would. */
  readonly implicitCommit: boolean
  /** Names LAST_INSERT_ID or its like: the connection must know the session's. */
  readonly lastInsertId: boolean
  /** Must run on the connection of the statement before it, while that is at hand. */
  readonly needsPrevious: 'diagnostics' | 'found-rows' | 'conditions' | null
  /** Leaves what FOUND_ROWS() asks for. */
  readonly leavesFoundRows: boolean
  /** Tokens that name the keyspace before a dot, for when the database has another name. */
  readonly qualifiers: readonly number[]
  /** What the session knows and a server would answer for its own connection. */
  readonly sessionCalls: readonly SessionCall[]
  /** False: several statements in one (CALL), of which some may stand when the server says no. */
  readonly whole: boolean
  /** Nothing in it can name another keyspace, or a place of the session's: it goes to the session's own. */
  readonly plain: boolean
  /** Asks for named locks, which have one home. */
  readonly locks: boolean
  /** Asks who holds one (used-locks.ts). */
  readonly usedLocks: boolean
  /** Names user variables. */
  readonly readsVariables: boolean
  /** Sets LAST_INSERT_ID() where no OK tells it. */
  readonly setsInsertId: boolean
  /** About accounts of the server, of which the gate's own is one. */
  readonly accounts: boolean
  /** Sequences that it takes a number of; and those of which it asks what was taken last, and had not taken itself by then. */
  readonly draws: readonly string[]
  readonly asksDrawn: readonly string[]
  /** DROP DATABASE: who runs it where it is in use has none. */
  readonly dropsSchema: boolean
  /** Its first word is none that the gate knows: it may leave anything, unless the server knows it neither. */
  readonly unread: boolean
  /** SELECT or DO that reads no table, nor calls what may. */
  readonly usesNoTable: boolean
}

export type Passthrough =
  | Relay
  | { readonly kind: 'begin'; readonly readOnly: boolean | null; readonly snapshot: boolean }
  | { readonly kind: 'commit' | 'rollback'; readonly chain: boolean; readonly release: boolean }
  | { readonly kind: 'savepoint'; readonly verb: 'savepoint' | 'rollback-to' | 'release-savepoint'; readonly name: string }
  | { readonly kind: 'set'; readonly assignments: SetAssignments; readonly usesNoTable: boolean }
  | { readonly kind: 'use'; readonly keyspace: string }
  | { readonly kind: 'kill'; readonly what: 'connection' | 'query'; readonly id: number }
  | { readonly kind: 'unlock-tables' }
  | { readonly kind: 'show'; readonly what: 'databases' | 'processlist' | 'grants'; readonly like: string | null; readonly full: boolean }
  /** `SELECT CONNECTION_ID()`, `SELECT ROW_COUNT()`, `SELECT DATABASE()` and nothing else. */
  | { readonly kind: 'local'; readonly value: LocalValue; readonly label: string }
  | { readonly kind: 'refuse'; readonly construct: string; readonly reason: string; readonly fix: string }
  | { readonly kind: 'empty' }

export type LocalValue = 'connection-id' | 'row-count' | 'database' | 'last-insert-id' | 'user' | 'account'

const implicitCommitVerbs = new Set([
  'CREATE',
  'ALTER',
  'DROP',
  'TRUNCATE',
  'RENAME',
  'GRANT',
  'REVOKE',
  'ANALYZE',
  'OPTIMIZE',
  'REPAIR',
  'CHECK',
  'CACHE',
  'FLUSH',
  'RESET',
  'INSTALL',
  'UNINSTALL',
  'LOCK',
  'CHANGE',
  'STOP',
  'IMPORT',
])
const refused: Record<string, { reason: string; fix: string }> = {
  XA: { reason: 'a prepared XA transaction outlives its connection and would block every switch', fix: 'use ordinary transactions' },
  SHUTDOWN: { reason: 'clients do not stop servers', fix: 'use shardwright' },
  CLONE: { reason: 'servers are not managed by clients', fix: 'use shardwright' },
}

export function classify(lexed: Lexed): Passthrough {
  if (lexed.count === 0) return { kind: 'empty' }
  const words = new Words(lexed)
  const verb = words.at(0)
  const second = words.at(1)
  const question = refusedQuestion(words, lexed)
  if (question !== null) return { kind: 'refuse', ...question }
  switch (verb) {
    case 'BEGIN':
      if (second === 'NOT') break
      if (!words.only(1, ['WORK'])) return otherForm(verb)
      return { kind: 'begin', readOnly: null, snapshot: false }
    case 'START': {
      if (second !== 'TRANSACTION') break
      if (!words.only(2, ['READ', 'ONLY', 'WRITE', 'WITH', 'CONSISTENT', 'SNAPSHOT', ','])) return otherForm('START TRANSACTION')
      const rest = words.text()
      return {
        kind: 'begin',
        readOnly: / READ ONLY/.test(rest) ? true : / READ WRITE/.test(rest) ? false : null,
        snapshot: / CONSISTENT SNAPSHOT/.test(rest),
      }
    }
    case 'COMMIT':
    case 'ROLLBACK': {
      const rest = words.text()
      if (verb === 'ROLLBACK' && words.has('TO')) {
        const at = words.at(1) === 'WORK' ? 3 : 2
        return savepointOf(words, lexed, 'rollback-to', words.at(at) === 'SAVEPOINT' && lexed.count > at + 1 ? at + 1 : at)
      }
      if (!words.only(1, ['WORK', 'AND', 'NO', 'CHAIN', 'RELEASE'])) return otherForm(verb)
      return {
        kind: verb === 'COMMIT' ? 'commit' : 'rollback',
        chain: / CHAIN/.test(rest) && !/ NO CHAIN/.test(rest),
        release: / RELEASE/.test(rest) && !/ NO RELEASE/.test(rest),
      }
    }
    case 'SAVEPOINT':
      return savepointOf(words, lexed, 'savepoint', 1)
    case 'RELEASE':
      if (second !== 'SAVEPOINT') break
      return savepointOf(words, lexed, 'release-savepoint', 2)
    case 'SET': {
      if (second === 'PASSWORD' || second === 'ROLE' || second === 'DEFAULT' || second === 'STATEMENT' || second === 'RESOURCE') break
      return asksLastGtid(words, lexed) ? notTheGtid : { kind: 'set', assignments: parseSet(lexed), usesNoTable: !words.has('FROM') }
    }
    case 'USE':
      // `USE insights@wide`: to the lexer, what is behind the name is a user variable.
      if (lexed.count !== (words.raw(2).startsWith('@') ? 3 : 2)) return otherForm(verb)
      return { kind: 'use', keyspace: words.name(1) + (words.raw(2).startsWith('@') ? words.raw(2) : '') }
    case 'KILL': {
      const last = lexed.count - 1
      const hard = second === 'HARD' || second === 'SOFT' ? 2 : 1
      const kinds = words.at(hard) === 'QUERY' || words.at(hard) === 'CONNECTION' ? 1 : 0
      if (last !== hard + kinds || ![Kind.Integer, Kind.Parameter].some((kind) => kind === tokenKind(lexed, last))) return otherForm(verb)
      return { kind: 'kill', what: words.at(hard) === 'QUERY' ? 'query' : 'connection', id: Number(words.raw(last)) }
    }
    case 'UNLOCK':
      if (second === 'INSTANCE') break
      if (!words.only(1, ['TABLES', 'TABLE'])) return otherForm(verb)
      return { kind: 'unlock-tables' }
    case 'SHOW':
      if ((second === 'DATABASES' || second === 'SCHEMAS') && lexed.count !== 2 && (lexed.count !== 4 || words.at(2) !== 'LIKE'))
        return otherForm(`SHOW ${second}`)
      if (second === 'DATABASES' || second === 'SCHEMAS') return { kind: 'show', what: 'databases', like: words.like(), full: false }
      if (second === 'PROCESSLIST' || (second === 'FULL' && words.at(2) === 'PROCESSLIST')) {
        if (lexed.count > (second === 'FULL' ? 3 : 2)) return otherForm('SHOW PROCESSLIST')
        return { kind: 'show', what: 'processlist', like: null, full: second === 'FULL' }
      }
      if (second === 'GRANTS' && (lexed.count === 2 || (words.at(2) === 'FOR' && words.at(3) === 'CURRENT_USER')))
        return { kind: 'show', what: 'grants', like: null, full: false }
      break
  }
  const refusal = refused[verb]
  if (refusal !== undefined) return { kind: 'refuse', construct: verb, ...refusal }
  const local = localOf(words, lexed)
  if (asksLastGtid(words, lexed)) return notTheGtid
  return local ?? relayOf(words, lexed, verb, second)
}

function savepointOf(words: Words, lexed: Lexed, verb: 'savepoint' | 'rollback-to' | 'release-savepoint', at: number): Passthrough {
  const isName = lexed.count === at + 1 && [Kind.Word, Kind.QuotedName].includes(tokenKind(lexed, at) as typeof Kind.Word)
  return isName ? { kind: 'savepoint', verb, name: words.name(at) } : otherForm(verb.toUpperCase().replace('-', ' '))
}

/** The gate answers it itself, and what stands behind what it knows would be passed over. */
function otherForm(construct: string): Passthrough {
  return {
    kind: 'refuse',
    construct: `this form of ${construct}`,
    reason: 'the gate answers it itself and does not know it',
    fix: 'use a plainer form',
  }
}

/** In others (DEFINER = CURRENT_USER, GRANT …) it is the server's to read. */
const rowVerbs = new Set(['SELECT', 'INSERT', 'REPLACE', 'UPDATE', 'DELETE', 'WITH', '(', 'DO', 'VALUES'])
/** Statements of their own, which may hold others: what those leave on the connection, or commit, can not be seen. MariaDB takes the blocks. */
const routineVerbs = new Set(['CALL', 'EXECUTE', 'BEGIN', 'IF', 'WHILE', 'LOOP', 'REPEAT', 'FOR', 'CASE', 'DECLARE'])

/** Statements that leave nothing on a connection, or what is looked for below; whatever else there is may leave anything. */
const readVerbs = new Set(
  (
    'SELECT ( WITH VALUES TABLE SHOW DESC DESCRIBE EXPLAIN HELP CHECKSUM INSERT REPLACE UPDATE DELETE DO LOAD CREATE ALTER DROP TRUNCATE RENAME GRANT REVOKE ANALYZE OPTIMIZE REPAIR CHECK CACHE ' +
    'FLUSH RESET INSTALL UNINSTALL LOCK UNLOCK CHANGE STOP START IMPORT PURGE GET SIGNAL RESIGNAL PREPARE EXECUTE DEALLOCATE HANDLER KILL'
  ).split(' '),
)

/** A role, a resource group, a lock of backups. */
function leavesState(words: Words, count: number, verb: string, second: string): boolean {
  if (verb === 'LOCK') return second === 'INSTANCE'
  if (verb !== 'SET') return false
  if (second !== 'STATEMENT') return second === 'ROLE' || second === 'RESOURCE'
  // MariaDB's SET STATEMENT … FOR: of what is behind it.
  for (let i = 2; i < count; i++) if (words.at(i) === 'FOR') return !readVerbs.has(words.at(i + 1)) || words.at(i + 1) === 'EXECUTE'
  return true
}

function relayOf(words: Words, lexed: Lexed, verb: string, second: string): Relay {
  const pins = new Set<Pin>()
  let effect: Relay['effect'] = 'write'
  let lastInsertId = false
  let needsPrevious: Relay['needsPrevious'] = null
  let leavesFoundRows = false
  const qualifiers: number[] = []
  const sessionCalls: SessionCall[] = []
  const routine = routineVerbs.has(verb) || words.raw(1) === ':'
  const draws: string[] = []
  const asksDrawn: string[] = []
  let locks = false
  let usedLocks = false
  let readsVariables = false
  let setsInsertId = false
  const assigning = verb === 'CALL' || verb === 'GET' || verb === 'LOAD' || verb === 'EXECUTE' || (verb === 'SELECT' && words.has('INTO'))
  const reading = verb === 'SELECT' || verb === '(' || verb === 'VALUES' || verb === 'TABLE' || verb === 'WITH'
  if (reading || ['SHOW', 'DESC', 'DESCRIBE', 'EXPLAIN', 'HELP', 'CHECKSUM'].includes(verb)) effect = 'read'
  if (verb === 'SHOW' && (['WARNINGS', 'ERRORS'].includes(second) || second === 'COUNT')) needsPrevious = 'diagnostics'
  if (verb === 'GET') needsPrevious = 'conditions'
  for (let i = 0; i < lexed.count; i++) {
    const kind = tokenKind(lexed, i)
    if (kind === Kind.UserVariable) readsVariables = true
    if (rowVerbs.has(verb)) {
      const call = sessionCallAt(words, lexed, i)
      if (call !== null) sessionCalls.push(call)
      if (call !== null && isOfDiagnostics(call)) needsPrevious = 'diagnostics'
    }
    // Reading one that this session has not set gives NULL on every clean connection; setting one needs the same from then on.
    if (kind === Kind.UserVariable && (assigning || words.raw(i + 1) === ':=')) pins.add('user-variable')
    if (kind === Kind.SystemVariable && /^@@(session\.|local\.)?(last_insert_id|identity)$/i.test(words.raw(i))) lastInsertId = true
    if (kind === Kind.QuotedName || kind === Kind.Word) {
      if (words.raw(i + 1) === '.' && words.raw(i - 1) !== '.') qualifiers.push(i)
    }
    if (kind !== Kind.Word) continue
    const word = words.at(i)
    const called = words.raw(i + 1) === '('
    switch (word) {
      case 'LAST_INSERT_ID':
        lastInsertId = true
        if (reading && called && words.raw(i + 2) !== ')') setsInsertId = true
        break
      case 'SQL_CALC_FOUND_ROWS':
        leavesFoundRows = true
        break
      case 'FOUND_ROWS':
        if (called) needsPrevious = 'found-rows'
        break
      case 'GET_LOCK':
      case 'RELEASE_LOCK':
      case 'RELEASE_ALL_LOCKS':
        if (called) pins.add('get-lock')
        locks ||= called
        break
      case 'IS_FREE_LOCK':
      case 'IS_USED_LOCK':
        locks ||= called
        usedLocks ||= called && word === 'IS_USED_LOCK' && rowVerbs.has(verb)
        break
      case 'NEXTVAL':
      case 'SETVAL':
      case 'NEXT':
      case 'LASTVAL':
      case 'PREVIOUS': {
        const drawn = rowVerbs.has(verb) ? drawnAt(words, i) : null
        if (drawn?.how === 'draws') draws.push(drawn.sequence)
        if (drawn?.how === 'asks' && !draws.includes(drawn.sequence)) asksDrawn.push(drawn.sequence)
        if (effect === 'read' && (drawn?.how === 'draws' || (word === 'SETVAL' && called))) effect = 'write'
        break
      }
      case 'UPDATE':
        if (reading && ['FOR', 'NO'].includes(words.at(i - 1))) effect = effect === 'write' ? 'write' : 'lock'
        else if (verb === 'WITH') effect = 'write'
        break
      case 'SHARE':
        if (reading && ['FOR', 'IN'].includes(words.at(i - 1))) effect = effect === 'write' ? 'write' : 'lock'
        break
      case 'DELETE':
      case 'INSERT':
      case 'REPLACE':
        if (verb === 'WITH' && !called) effect = 'write'
        break
      case 'INTO':
        if (reading) effect = 'write'
        break
      case 'ANALYZE':
        if (verb === 'EXPLAIN') effect = 'write'
        break
    }
  }
  if (verb === 'SHOW') {
    const schema = shownSchema(words, lexed.count)
    if (schema !== null) qualifiers.push(schema)
  }
  const temporary = (verb === 'CREATE' || verb === 'DROP') && words.text().slice(0, 60).includes(' TEMPORARY')
  if (temporary) pins.add('temporary-table')
  const unread = !routine && verb !== 'SET' && !readVerbs.has(verb)
  if (unread || leavesState(words, lexed.count, verb, second)) pins.add('server-state')
  else if (verb === 'LOCK' || verb === 'HANDLER' || (verb === 'FLUSH' && (words.has('LOCK') || words.has('EXPORT')))) pins.add('handler')
  if (verb === 'PREPARE' || verb === 'EXECUTE' || verb === 'DEALLOCATE' || (verb === 'DROP' && second === 'PREPARE')) pins.add('unknown')
  const stored = rowVerbs.has(verb) && callsStored(lexed)
  if (routine || stored) pins.add('routine')
  const pure = effect !== 'write' && pins.size === 0 && rereadable(lexed)
  return {
    kind: 'relay',
    effect,
    pins: [...pins],
    lastInsertId,
    needsPrevious,
    leavesFoundRows,
    qualifiers,
    sessionCalls,
    whole: !routine,
    plain: qualifiers.length === 0 && !locks && !readsVariables,
    locks,
    usedLocks,
    readsVariables,
    setsInsertId,
    draws,
    asksDrawn,
    dropsSchema: verb === 'DROP' && (second === 'DATABASE' || second === 'SCHEMA'),
    unread,
    usesNoTable: (verb === 'SELECT' || verb === 'DO') && !stored && !words.has('FROM'),
    accounts: mayConcernAccounts(words, lexed.count),
    rereadable: effect === 'read' && pure,
    onlyLocks: effect === 'lock' && pure,
    implicitCommit: implicitCommitVerbs.has(verb) && !temporary && !commitsNothing(verb, second),
  }
}

/** DROP PREPARE, RESET PERSIST, and MariaDB's ANALYZE of a statement. */
function commitsNothing(verb: string, second: string): boolean {
  if (verb === 'ANALYZE') return !['TABLE', 'TABLES', 'LOCAL', 'NO_WRITE_TO_BINLOG'].includes(second)
  return (verb === 'DROP' && second === 'PREPARE') || (verb === 'RESET' && second === 'PERSIST')
}

/** The token of `SHOW TABLES FROM app`, `SHOW COLUMNS FROM t IN app`, `SHOW CREATE DATABASE app`: a schema without a dot. */
function shownSchema(words: Words, count: number): number | null {
  if (words.at(1) === 'CREATE') return ['DATABASE', 'SCHEMA'].includes(words.at(2)) ? count - 1 : null
  const places: number[] = []
  for (let i = 2; i + 1 < count && words.at(i) !== 'WHERE' && words.at(i) !== 'LIKE'; i++)
    if (words.at(i) === 'FROM' || words.at(i) === 'IN') places.push(i + 1)
  const ofTable = [1, 2, 3].some((i) => ['COLUMNS', 'FIELDS', 'INDEX', 'INDEXES', 'KEYS'].includes(words.at(i)))
  return (ofTable ? places[1] : places[0]) ?? null
}

function localOf(words: Words, lexed: Lexed): Passthrough | null {
  if (words.at(0) !== 'SELECT') return null
  if (words.at(1) === 'CURRENT_USER' && lexed.count === 2) return { kind: 'local', value: 'account', label: words.between(1, 2) }
  if (words.raw(2) !== '(' || words.raw(3) !== ')') return null
  const value = (
    {
      CONNECTION_ID: 'connection-id',
      ROW_COUNT: 'row-count',
      DATABASE: 'database',
      SCHEMA: 'database',
      LAST_INSERT_ID: 'last-insert-id',
      USER: 'user',
      SESSION_USER: 'user',
      SYSTEM_USER: 'user',
      CURRENT_USER: 'account',
    } as const
  )[words.at(1) as 'DATABASE']
  if (value === undefined) return null
  if (lexed.count === 4) return { kind: 'local', value, label: words.between(1, 4) }
  // AS 'x' is the server's: what this makes is kept by the text without its literals, and would name the next AS 'y' alike.
  const alias = lexed.count - 1
  const isName = tokenKind(lexed, alias) === Kind.QuotedName || tokenKind(lexed, alias) === Kind.Word
  const isAlias = (alias === 5 && words.at(4) === 'AS') || (alias === 4 && words.at(4) !== 'INTO')
  return isName && isAlias ? { kind: 'local', value, label: words.name(alias) } : null
}

/** It begins no transaction on a server: what was said of the next one stays. */
export function readsNoTable(lexed: Lexed): boolean {
  const words = new Words(lexed)
  return words.at(0) === 'SELECT' && !words.has('FROM') && !callsStored(lexed)
}
