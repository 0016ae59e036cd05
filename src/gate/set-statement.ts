/**
 * Reads SET: which variables get which text. Values stay as the client wrote them, as spans: the server judges them. Pure.
 */
import { Kind, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'

export type SetTarget =
  | { readonly kind: 'user-variable'; readonly name: string }
  | { readonly kind: 'system'; readonly scope: 'session' | 'global' | 'next'; readonly name: string }
  | { readonly kind: 'names' }
  | { readonly kind: 'character-set' }
  /** `SET [SESSION|GLOBAL] TRANSACTION …` */
  | { readonly kind: 'transaction'; readonly scope: 'session' | 'global' | 'next' }

/** Tokens [from, to) are the value (for `transaction`: the characteristics). */
export type SetOne = { readonly target: SetTarget; readonly from: number; readonly to: number }
/** null: not understood; it goes to the server on a connection that the session keeps. */
export type SetAssignments = readonly SetOne[] | null

export function parseSet(lexed: Lexed): SetAssignments {
  const text = (i: number): string => (i < lexed.count ? lexed.bytes.toString('utf8', tokenStart(lexed, i), tokenEnd(lexed, i)) : '')
  const word = (i: number): string => (i < lexed.count && tokenKind(lexed, i) === Kind.Word ? text(i).toUpperCase() : '')
  const out: SetOne[] = []
  let i = 1
  while (i < lexed.count) {
    const to = endOfValue(lexed, i)
    let scope: 'session' | 'global' | null = null
    if (['SESSION', 'LOCAL'].includes(word(i))) scope = 'session'
    else if (['GLOBAL', 'PERSIST', 'PERSIST_ONLY'].includes(word(i))) scope = 'global'
    const at = scope === null ? i : i + 1
    const kind = tokenKind(lexed, at)
    if (word(at) === 'TRANSACTION') {
      out.push({ target: { kind: 'transaction', scope: scope ?? 'next' }, from: at + 1, to: lexed.count })
      return out
    }
    if (scope === null && word(at) === 'NAMES') out.push({ target: { kind: 'names' }, from: at + 1, to })
    else if (scope === null && (word(at) === 'CHARSET' || (word(at) === 'CHARACTER' && word(at + 1) === 'SET'))) {
      out.push({ target: { kind: 'character-set' }, from: word(at) === 'CHARSET' ? at + 1 : at + 2, to })
    } else {
      const equals = text(at + 1)
      // No variable, also where others are set before it (MariaDB): the password of an account.
      if (scope === null && word(at) === 'PASSWORD') return null
      if (equals !== '=' && equals !== ':=') return null
      if (kind === Kind.UserVariable)
        out.push({
          target: {
            kind: 'user-variable',
            name: userVariableName(text(at)),
          },
          from: at + 2,
          to,
        })
      else if (kind === Kind.SystemVariable) {
        const name = text(at).slice(2).replaceAll('`', '').toLowerCase()
        const dot = name.indexOf('.')
        const prefix = dot < 0 ? '' : name.slice(0, dot)
        if (dot >= 0 && !['session', 'local', 'global', 'persist', 'persist_only'].includes(prefix)) return null
        const global = prefix !== '' && prefix !== 'session' && prefix !== 'local'
        const bare = dot < 0 ? name : name.slice(dot + 1)
        // `SET @@transaction_isolation = …` without a scope means the next transaction only.
        const next = dot < 0 && ['transaction_isolation', 'tx_isolation', 'transaction_read_only', 'tx_read_only'].includes(bare)
        out.push({ target: { kind: 'system', scope: global ? 'global' : next ? 'next' : 'session', name: bare }, from: at + 2, to })
      } else if (kind === Kind.Word || kind === Kind.QuotedName) {
        out.push({
          target: { kind: 'system', scope: scope ?? 'session', name: text(at).replaceAll('`', '').toLowerCase() },
          from: at + 2,
          to,
        })
      } else return null
    }
    i = to + 1
  }
  return out.length === 0 ? null : out
}

/** `SET @a = 1, PASSWORD = 'x'`, `…, DEFAULT ROLE r` (MariaDB): the password and role of an account of the server. */
export function setsOfAccount(lexed: Lexed): boolean {
  for (let i = 1; i < lexed.count; i = endOfValue(lexed, i) + 1) {
    const first = lexed.bytes.toString('latin1', tokenStart(lexed, i), tokenEnd(lexed, i)).toUpperCase()
    if (first === 'PASSWORD' || first === 'DEFAULT') return true
  }
  return false
}

function endOfValue(lexed: Lexed, from: number): number {
  let depth = 0
  for (let i = from; i < lexed.count; i++) {
    if (tokenKind(lexed, i) !== Kind.Operator) continue
    const byte = lexed.bytes[tokenStart(lexed, i)]
    if (byte === 0x28) depth++
    else if (byte === 0x29) depth--
    else if (byte === 0x2c && depth === 0) return i
  }
  return lexed.count
}

/** `@Name`, @'name' → name */
export function userVariableName(token: string): string {
  return token
    .slice(1)
    .replace(/^([`'"])(.*)\1$/s, (_, quote: string, inner: string) => inner.replaceAll(quote + quote, quote))
    .toLowerCase()
}
