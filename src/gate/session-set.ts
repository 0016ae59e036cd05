/** SET: what the gate keeps of it for the session, and what goes to a server at once. */
import { Kind, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import { ServerError } from '../mysql/errors.ts'
import { gateErrors } from './errors.ts'
import type { SetOne } from './set-statement.ts'
import { setByNames, type SessionSettings } from './settings.ts'

/**
 * - `settings`: what is to be in force afterwards; valid once a server has accepted them.
 * - `autocommitOn`: an open transaction must be committed, as the server would.
 * - `next`: statements to run right before the next transaction.
 * - `variables`: user variables and their expressions (a character a byte), in order.
 * - `pass`: it must be sent to a server as it is (user variables, globals), on a connection that the session keeps if `pin`.
 * - `setsInsertId`: LAST_INSERT_ID() is what the server has then.
 * - `ofOne`: what belongs to one server or connection, for where there are several.
 */
export type SetEffect = {
  settings: SessionSettings
  autocommitOn: boolean
  next: string[]
  variables: { name: string; expression: string }[]
  pass: 'no' | 'yes' | 'pin'
  ofOne: string[]
  setsInsertId: boolean
}

/** In these a byte below 0x80 may be the second of a character: quotes could not be told. */
const unsafeCharsets = new Set(['big5', 'cp932', 'gbk', 'sjis', 'gb18030', 'ucs2', 'utf16', 'utf16le', 'utf32', 'swe7'])

/** In these digits, and the signs of numbers and dates, are other bytes than in ASCII, by which the gate puts answers of shards together; and what it answers itself is none of them. */
const unlikeAscii = new Set(['ucs2', 'utf16', 'utf16le', 'utf32', 'filename'])

const transactionVariables: Readonly<Record<string, 'isolation' | 'access'>> = {
  transaction_isolation: 'isolation',
  tx_isolation: 'isolation',
  transaction_read_only: 'access',
  tx_read_only: 'access',
}

/** They change by themselves as statements run: state of one connection. */
const ofConnection = new Set(['insert_id', 'last_insert_id', 'identity', 'pseudo_thread_id', 'rand_seed1', 'rand_seed2'])

const ofGate = 'transactions and ids are kept by the gate'
const ofShared = 'what it keeps of statements is kept for a connection, which others use too'

/** Under these, statements that the gate answers itself, or sends to any connection, would mean something else. */
const refused: Readonly<Record<string, { readonly off: RegExp; readonly reason: string; readonly fix: string }>> = {
  completion_type: { off: /^(0|NO_CHAIN|DEFAULT)$/i, reason: ofGate, fix: 'write COMMIT AND CHAIN' },
  sql_auto_is_null: { off: /^(0|OFF|FALSE|DEFAULT)$/i, reason: ofGate, fix: 'ask for LAST_INSERT_ID()' },
  // A connection would go on with it in the hands of others: on MariaDB also when it was reset (of-connections.ts).
  profiling: { off: /^(0|OFF|FALSE|DEFAULT)$/i, reason: ofShared, fix: 'connect to the server itself for it' },
  optimizer_trace: {
    off: /^(0|DEFAULT|enabled=off(,one_line=\w+)?|one_line=\w+)$/i,
    reason: ofShared,
    fix: 'connect to the server itself for it',
  },
}

/** What must be asked of a server first (`CONCAT(@@sql_mode, …)`), by the number of the assignment: a second evaluation might give another value. A character of the expression is a byte. */
export function toCompute(lexed: Lexed, assignments: readonly SetOne[]): { readonly at: number; readonly expression: string }[] {
  return assignments.flatMap(({ target, from, to }, at) => {
    if (target.kind !== 'system' || target.scope === 'global' || ofConnection.has(target.name) || from >= to) return []
    const expression = textOf(lexed, from, to, 'latin1')
    // What has no DEFAULT for a connection to be brought to.
    const isDefault = expression.toUpperCase() === 'DEFAULT'
    if (isDefault && transactionVariables[target.name] !== undefined) return [{ at, expression: `@@global.${target.name}` }]
    return to - from === 1 && isConstant(lexed, from) ? [] : [{ at, expression }]
  })
}

/** Expressions are `latin1`, a character a byte: they go on as they came, in the session's character set. */
function textOf(lexed: Lexed, from: number, to: number, encoding: 'latin1' | 'utf8'): string {
  return from < to ? lexed.bytes.toString(encoding, tokenStart(lexed, from), tokenEnd(lexed, to - 1)) : ''
}

/**
 * @param computed literals for what `toCompute` named
 * @param ofDatabase the collation of the session's database, for SET CHARACTER SET
 */
export function effectOfSet(
  lexed: Lexed,
  assignments: readonly SetOne[],
  before: SessionSettings,
  computed: ReadonlyMap<number, string> = new Map(),
  ofDatabase = '@@collation_database',
): SetEffect {
  const effect: SetEffect = {
    settings: before.copy(),
    autocommitOn: false,
    next: [],
    variables: [],
    pass: 'no',
    ofOne: [],
    setsInsertId: false,
  }
  for (const [at, one] of assignments.entries()) {
    const value = computed.get(at) ?? textOf(lexed, one.from, one.to, 'utf8')
    const plain = unquote(value)
    switch (one.target.kind) {
      case 'user-variable':
        effect.variables.push({ name: one.target.name, expression: textOf(lexed, one.from, one.to, 'latin1') })
        effect.pass = 'pin'
        break
      case 'names': {
        const charset = unquote(lexed.bytes.toString('utf8', tokenStart(lexed, one.from), tokenEnd(lexed, one.from))).toLowerCase()
        requireName(charset)
        refuseUnsafe(charset)
        for (const name of setByNames) effect.settings.set(name, undefined)
        effect.settings.set('names', charset === 'default' ? undefined : value)
        break
      }
      case 'character-set':
        requireName(plain)
        refuseUnsafe(plain.toLowerCase())
        effect.settings.set('character_set_client', value)
        effect.settings.set('character_set_results', value)
        // As servers do: the connection gets the database's.
        effect.settings.set('character_set_connection', undefined)
        effect.settings.set('collation_connection', ofDatabase)
        break
      case 'transaction':
        setTransaction(effect, value, one.target.scope)
        break
      case 'system': {
        const { name, scope } = one.target
        if (scope === 'global') {
          effect.pass = effect.pass === 'pin' ? 'pin' : 'yes'
          effect.ofOne.push(`SET GLOBAL ${name}`)
        } else if (transactionVariables[name] === 'isolation') {
          setTransaction(effect, `ISOLATION LEVEL ${isolationOf(name, plain)}`, scope)
        } else if (transactionVariables[name] === 'access') {
          setTransaction(effect, isOn(name, plain) ? 'READ ONLY' : 'READ WRITE', scope)
        } else if (name === 'autocommit') {
          const on = plain.toUpperCase() === 'DEFAULT' || isOn(name, plain)
          effect.settings.set('autocommit', on ? undefined : '0')
          effect.autocommitOn = on
        } else if (name === 'timestamp' && Number(plain) === 0) {
          // The servers' clocks again, and one instant for all shards of a statement.
          effect.settings.set(name, undefined)
        } else if (ofConnection.has(name)) {
          effect.pass = 'pin'
          effect.setsInsertId ||= name === 'last_insert_id' || name === 'identity'
          effect.ofOne.push(`SET ${name}`)
        } else {
          const wrong = refused[name]
          if (wrong !== undefined && !wrong.off.test(plain))
            throw gateErrors.notForwarded({
              construct: `SET ${name} = ${value}`,
              reason: wrong.reason,
              fix: wrong.fix,
            })
          if (name === 'character_set_results') refuse(plain.toLowerCase(), unlikeAscii)
          else if (name.startsWith('character_set_')) refuseUnsafe(plain.toLowerCase())
          if (name.startsWith('character_set_') || name.startsWith('collation_')) requireName(plain)
          // Each sets the other, as servers do.
          if (name === 'character_set_connection') effect.settings.set('collation_connection', undefined)
          if (name === 'collation_connection') effect.settings.set('character_set_connection', undefined)
          effect.settings.set(name, value)
        }
      }
    }
  }
  return effect
}

function isConstant(lexed: Lexed, token: number): boolean {
  const kind = tokenKind(lexed, token)
  return (
    kind === Kind.Word ||
    kind === Kind.Integer ||
    kind === Kind.Decimal ||
    kind === Kind.String ||
    kind === Kind.Float ||
    kind === Kind.QuotedName
  )
}

function setTransaction(effect: SetEffect, text: string, scope: 'session' | 'global' | 'next'): void {
  if (scope === 'global') {
    effect.pass = effect.pass === 'pin' ? 'pin' : 'yes'
    effect.ofOne.push('SET GLOBAL TRANSACTION')
    return
  }
  const upper = text.toUpperCase().replace(/\s+/g, ' ')
  const level = /ISOLATION LEVEL (READ UNCOMMITTED|READ COMMITTED|REPEATABLE READ|SERIALIZABLE)/.exec(upper)?.[1]
  const access = /READ ONLY/.test(upper) ? 'READ ONLY' : /READ WRITE/.test(upper) ? 'READ WRITE' : undefined
  if (level === undefined && access === undefined) {
    throw gateErrors.notForwarded({
      construct: `SET TRANSACTION ${text}`,
      reason: 'no isolation level or access mode could be read in it',
      fix: 'write SET TRANSACTION ISOLATION LEVEL …',
    })
  }
  if (scope === 'next') {
    effect.next.push(
      `SET TRANSACTION ${[...(level === undefined ? [] : [`ISOLATION LEVEL ${level}`]), ...(access === undefined ? [] : [access])].join(', ')}`,
    )
    return
  }
  if (level !== undefined) effect.settings.set('isolation', level === 'REPEATABLE READ' ? 'REPEATABLE READ' : level)
  if (access !== undefined) effect.settings.set('access', access)
}

export function refuseUnsafe(charset: string): void {
  refuse(charset.split('_')[0] ?? charset, unsafeCharsets)
}

function refuse(charset: string, among: ReadonlySet<string>): void {
  if (among.has(charset)) throw gateErrors.charset({ charset })
}

/** Servers take ids too (28 and TRUE + 27 are gbk), and read escapes in text ('\\gbk'): what is no plain name can not be judged here. */
function requireName(plain: string): void {
  if (!/^[a-z]\w*$/i.test(plain) || /^(true|false)$/i.test(plain)) throw gateErrors.charsetName({ value: plain })
}

/** Errors: 1231, as servers say. */
function isOn(name: string, text: string): boolean {
  if (/^(1|on|true)$/i.test(text)) return true
  if (/^(0|off|false)$/i.test(text)) return false
  throw wrongValue(name, text)
}

const levels = ['READ-UNCOMMITTED', 'READ-COMMITTED', 'REPEATABLE-READ', 'SERIALIZABLE'] as const

function isolationOf(name: string, text: string): string {
  const level = levels.find((one) => one === text.toUpperCase()) ?? (/^[0-3]$/.test(text) ? levels[Number(text)] : undefined)
  if (level === undefined) throw wrongValue(name, text)
  return level.replaceAll('-', ' ')
}

function wrongValue(name: string, text: string): ServerError {
  return new ServerError(1231, '42000', `Variable '${name}' can't be set to the value of '${text}'`)
}

function unquote(text: string): string {
  const first = text[0]
  return (first === "'" || first === '"' || first === '`') && text.length >= 2 ? text.slice(1, -1) : text
}
