/**
 * Whether text means to the gate what it means to servers. A literal passes two character sets on its way: it is read in the client's, and made one of the connection's
 * (collation_connection sets that too). One that is not UTF-8 at either place may reach the row, or a comparison, as another text than the gate has read. Pure.
 */
import { Kind, type Lexed, tokenEnd, tokenKind, tokenStart } from '../sql/lexer.ts'
import { planErrors } from './plan/errors.ts'
import type { TextWay } from './plan/plan.ts'
import type { SessionSettings } from './settings.ts'

const ofClient = ['names', 'character_set_client'] as const
export const onTheWay = [...ofClient, 'character_set_connection', 'collation_connection'] as const

/**
 * The setting that is in the way; null: text is UTF-8 all the way. What is no plain name (SET CHARACTER SET takes the database's) counts as in the way.
 * @param wide all of Unicode, not only what utf8mb3 holds
 */
export function notUtf8(settings: Pick<SessionSettings, 'get'>, wide = false): string | null {
  return firstOther(onTheWay, settings, wide)
}

function firstOther(names: readonly string[], settings: Pick<SessionSettings, 'get'>, wide: boolean): string | null {
  for (const name of names) {
    const value = settings.get(name)
    if (value !== undefined && !(wide ? /^['"`]?utf8mb4/i : /^['"`]?utf8/i).test(value))
      return name === 'names' ? value : `${name} ${value}`
  }
  return null
}

/** Under a connection's character set binary, by NAMES or by itself. */
export function literalsAreBytes(settings: Pick<SessionSettings, 'get'>): boolean {
  return onTheWay.some((name) => /^['"`]?binary\b/i.test(settings.get(name) ?? ''))
}

export function textWay(settings: Pick<SessionSettings, 'get'>): TextWay {
  if (notUtf8(settings, true) === null) return 'utf8mb4'
  if (notUtf8(settings) === null) return 'utf8mb3'
  const [names, ...own] = onTheWay.map((name) => {
    const value = settings.get(name)
    // A collation begins with its character set's name. What is no plain name is known to the server alone.
    return value === undefined ? null : (/^['"`]?([a-z0-9]+)(?:_\w+)?['"`]?(?:\s|$)/i.exec(value)?.[1]?.toLowerCase() ?? '')
  })
  const [client, ...connection] = own.map((charset) => charset ?? names ?? 'utf8mb4')
  return client !== '' && connection.every((charset) => charset === client) ? 'same' : 'converted'
}

/**
 * What stands outside of quotes is letters here, whatever the bytes. Servers go by the character set: 0xA0 is a space in latin1 (tried), so that another table is meant than the
 * gate has read, and other bytes are none in other sets. Errors: SW-GATE-100.
 */
export function refuseOtherLetters(lexed: Lexed, settings: Pick<SessionSettings, 'get'>): void {
  const charset = firstOther(ofClient, settings, false)
  if (charset === null) return
  for (let token = 0; token < lexed.count; token++) {
    const kind = tokenKind(lexed, token)
    if (kind !== Kind.Word && kind !== Kind.UserVariable && kind !== Kind.SystemVariable) continue
    const [start, end] = [tokenStart(lexed, token), tokenEnd(lexed, token)]
    if (lexed.bytes[end - 1] === 0x60 || lexed.bytes[start + 1] === 0x27 || lexed.bytes[start + 1] === 0x22) continue
    for (let at = start; at < end; at++) {
      if ((lexed.bytes[at] as number) < 0x80) continue
      throw planErrors.refused({
        construct: `a name that is not ASCII, outside of quotes, under the character set ${charset}`,
        reason: 'servers read its bytes by that set, some as spaces',
        instead: 'SET NAMES utf8mb4, or put the name into quotes',
      })
    }
  }
}
