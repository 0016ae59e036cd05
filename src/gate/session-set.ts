/** SET: what the gate keeps of it for the session, and what goes to a server at once. */
import { Kind, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import { gateErrors } from './errors.ts'
import type { SetOne } from './set-statement.ts'
import type { SessionSettings } from './settings.ts'

/**
 * - `settings`: what is to be in force afterwards; valid once a server has accepted them.
 * - `autocommitOn`: an open transaction must be committed, as the server would.
 * - `next`: statements to run right before the next transaction.
 * - `compute`: their values are to be asked of a server first (`CONCAT(@@sql_mode, …)`): a second evaluation might give another.
 * - `variables`: user variables and their expressions, in order.
 * - `pass`: it must be sent to a server as it is (user variables, globals), on a connection that the session keeps if `pin`.
 */
export type SetEffect = {
  settings: SessionSettings
  autocommitOn: boolean
  next: string[]
  compute: { name: string; expression: string }[]
  variables: { name: string; expression: string }[]
  pass: 'no' | 'yes' | 'pin'
}

/** In these a byte below 0x80 may be the second of a character: quotes could not be told. */
const unsafeCharsets = new Set(['big5', 'cp932', 'gbk', 'sjis', 'gb18030', 'ucs2', 'utf16', 'utf16le', 'utf32', 'swe7'])

const transactionVariables: Readonly<Record<string, 'isolation' | 'access'>> = {
  transaction_isolation: 'isolation',
  tx_isolation: 'isolation',
  transaction_read_only: 'access',
  tx_read_only: 'access',
}

export function effectOfSet(lexed: Lexed, assignments: readonly SetOne[], before: SessionSettings): SetEffect {
  const effect: SetEffect = { settings: before.copy(), autocommitOn: false, next: [], compute: [], variables: [], pass: 'no' }
  for (const one of assignments) {
    const value = one.from < one.to ? lexed.bytes.toString('utf8', tokenStart(lexed, one.from), tokenEnd(lexed, one.to - 1)) : ''
    const plain = unquote(value)
    switch (one.target.kind) {
      case 'user-variable':
        effect.variables.push({ name: one.target.name, expression: value })
        effect.pass = 'pin'
        break
      case 'names': {
        const charset = unquote(lexed.bytes.toString('utf8', tokenStart(lexed, one.from), tokenEnd(lexed, one.from))).toLowerCase()
        refuseUnsafe(charset)
        for (const name of ['character_set_client', 'character_set_results', 'character_set_connection', 'collation_connection'])
          effect.settings.set(name, undefined)
        effect.settings.set('names', charset === 'default' ? undefined : value)
        break
      }
      case 'character-set':
        refuseUnsafe(plain.toLowerCase())
        effect.settings.set('character_set_client', value)
        effect.settings.set('character_set_results', value)
        break
      case 'transaction':
        setTransaction(effect, value, one.target.scope)
        break
      case 'system': {
        const { name, scope } = one.target
        if (scope === 'global') effect.pass = effect.pass === 'pin' ? 'pin' : 'yes'
        else if (transactionVariables[name] !== undefined) {
          const text =
            transactionVariables[name] === 'isolation'
              ? `ISOLATION LEVEL ${plain.replaceAll('-', ' ')}`
              : isOn(plain)
                ? 'READ ONLY'
                : 'READ WRITE'
          setTransaction(effect, text, scope)
        } else if (name === 'autocommit') {
          const on = isOn(plain)
          effect.settings.set('autocommit', on ? undefined : '0')
          effect.autocommitOn = on
        } else if (
          name === 'timestamp' ||
          name === 'insert_id' ||
          name === 'last_insert_id' ||
          name === 'pseudo_thread_id' ||
          name === 'rand_seed1' ||
          name === 'rand_seed2'
        ) {
          // They change by themselves as statements run: state of one connection.
          effect.pass = 'pin'
        } else {
          if (name.startsWith('character_set_') && name !== 'character_set_results') refuseUnsafe(plain.toLowerCase())
          const constant = one.to - one.from === 1 && isConstant(lexed, one.from)
          if (constant) effect.settings.set(name, value)
          else effect.compute.push({ name, expression: value })
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
    effect.pass = 'yes'
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
  const name = charset.split('_')[0] ?? charset
  if (unsafeCharsets.has(name)) throw gateErrors.charset({ charset: name })
}

function isOn(text: string): boolean {
  return /^(1|on|true|default)$/i.test(text)
}

function unquote(text: string): string {
  const first = text[0]
  return (first === "'" || first === '"' || first === '`') && text.length >= 2 ? text.slice(1, -1) : text
}
