/**
 * Whether text means to the gate what it means to servers. A literal passes two character sets on its way: it is read in the client's, and made one of the connection's
 * (collation_connection sets that too). One that is not UTF-8 at either place may reach the row, or a comparison, as another text than the gate has read. Pure.
 */
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
