/**
 * Whether text means to the gate what it means to servers. A literal passes two character sets on its way: it is read in the client's, and made one of the connection's
 * (collation_connection sets that too). One that is not UTF-8 at either place may reach the row, or a comparison, as another text than the gate has read. Pure.
 */
import type { TextWay } from './plan/plan.ts'
import type { SessionSettings } from './settings.ts'

export const onTheWay = ['names', 'character_set_client', 'character_set_connection', 'collation_connection'] as const

/**
 * The setting that is in the way; null: text is UTF-8 all the way. What is no plain name (SET CHARACTER SET takes the database's) counts as in the way.
 * @param wide all of Unicode, not only what utf8mb3 holds
 */
export function notUtf8(settings: Pick<SessionSettings, 'get'>, wide = false): string | null {
  for (const name of onTheWay) {
    const value = settings.get(name)
    if (value !== undefined && !(wide ? /^['"`]?utf8mb4/i : /^['"`]?utf8/i).test(value))
      return name === 'names' ? value : `${name} ${value}`
  }
  return null
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
