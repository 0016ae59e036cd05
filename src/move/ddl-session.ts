/**
 * The session in which a statement of the source is executed on a target (PROTOCOLS 1.13, `--on-ddl exec`): the one that it had on the source, as mysqlbinlog would restore it.
 *
 * Rows that the statement itself fills or converts come by no event, so both sides must make the same of them: a TIMESTAMP's default by the session's zone and clock, a text by its
 * character set, a value that no longer fits by its sql_mode. What each server makes up for itself (ids, random and own values) can't be made the same: `unrepeatable`. Pure.
 */
import { clientText } from '../binlog/client-text.ts'
import type { QueryEvent } from '../binlog/source.ts'
import type { FlavourName } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'

/** Modes of both flavours that have one bit on both: 16 and 2^28 are others, and so is what lies above 32 bits. */
const commonModes = 0xefff_ffefn
const noForeignKeyChecks = 1 << 26
const relaxedUniqueChecks = 1 << 27
/** MariaDB tells it here, from 10.8 on; MySQL in a field of its own. */
const explicitDefaults = 1 << 24

/** Statements that make a session like the event's. Otherwise why there are none. */
export function sessionSql(event: QueryEvent, from: FlavourName, to: FlavourName): string[] | { readonly refused: string } {
  const { session } = event
  if (!session.complete || session.charset === null) return { refused: 'the binlog does not tell the session that it ran in' }
  // Spliced names are UTF-8, and a literal's bytes mean what its session's set says.
  if (!event.text.equals(Buffer.from(clientText(event.text, session.charset.client))))
    return { refused: 'its text is in another character set than UTF-8' }
  const sql: string[] = []
  const { client, connection, server } = session.charset
  if (from === to) {
    sql.push(
      `SET @@session.character_set_client=${client}, @@session.collation_connection=${connection}, @@session.collation_server=${server}`,
    )
    if (session.sqlMode !== null) sql.push(`SET @@session.sql_mode=${session.sqlMode}`)
  } else {
    // Numbers of newer collations are the flavour's own; what text is, its characters say.
    sql.push('SET NAMES utf8mb4')
    if (session.sqlMode !== null) sql.push(`SET @@session.sql_mode=${session.sqlMode & commonModes}`)
  }
  if (session.timeZone !== null) sql.push(`SET @@session.time_zone=${quoteString(session.timeZone)}`)
  if (session.lcTimeNames !== null) sql.push(`SET @@session.lc_time_names=${session.lcTimeNames}`)
  const flags = session.flags ?? 0
  const explicit = from === 'mariadb' ? (flags & explicitDefaults) !== 0 : session.explicitDefaultsForTimestamp
  // What a column is that says no more than TIMESTAMP. Older servers can't set it, and others not every account: only where it matters.
  if (explicit !== null && /\btimestamp\b/i.test(event.text.toString('latin1')))
    sql.push(`SET @@session.explicit_defaults_for_timestamp=${explicit ? 1 : 0}`)
  sql.push(
    `SET @@session.foreign_key_checks=${(flags & noForeignKeyChecks) === 0 ? 1 : 0}, @@session.unique_checks=${(flags & relaxedUniqueChecks) === 0 ? 1 : 0}`,
    `SET @@session.timestamp=${event.startedAt}.${String(session.micros).padStart(6, '0')}`,
  )
  return sql
}
