/**
 * Positions asked of a server. "Absent", "unreadable" and "try again" are three answers: absent is a value here, the other two are errors
 * (SwError, ServerError, ConnectionLost).
 */
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import { binlogErrors } from './errors.ts'
import { MariadbGtidState, parseMariadbGtid } from './mariadb-gtid.ts'
import { parsePosition, positionText } from './position-text.ts'
import type { Coordinates, Position } from './source.ts'

/** Everything the server has committed to its binlog: a tail opened here gives what comes after. @throws binlogOff */
export async function currentPosition(connection: Connection): Promise<Position> {
  if (connection.flavour === 'mariadb') {
    // The status first: a position that is behind its coordinates is harmless, these are only for messages.
    const { at } = await endOfBinlog(connection)
    return positionText('mariadb', at, (await connection.value('SELECT @@GLOBAL.gtid_binlog_pos')) ?? '')
  }
  const { at } = await endOfBinlog(connection)
  const row = (
    await connection.allText('SELECT @@GLOBAL.gtid_mode AS mode, @@GLOBAL.gtid_executed AS executed, @@GLOBAL.server_uuid AS uuid')
  )[0]
  if (row?.['mode'] === 'ON') return positionText('mysql', at, (row['executed'] ?? '').replace(/\s+/g, ''))
  return positionText('file', at, row?.['uuid'] ?? '')
}

/** `executed`: MySQL's GTIDs, read before the place; '' where it has none. @throws binlogOff */
export async function endOfBinlog(connection: Connection): Promise<{ at: Coordinates; executed: string }> {
  const newer = connection.flavour === 'mysql' && connection.versionNumber >= 80_200
  const row = (await connection.allText(newer ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS'))[0]
  if (row === undefined) throw binlogErrors.binlogOff({ server: `(connection ${connection.threadId})` })
  return {
    at: { file: row['File'] ?? '', offset: Number(row['Position'] ?? 4) },
    executed: (row['Executed_Gtid_Set'] ?? '').replace(/\s+/g, ''),
  }
}

/** Whether the server has executed everything of the position: false after a failover or crash that lost transactions. */
export async function executedContains(connection: Connection, position: Position): Promise<boolean> {
  return (await notExecuted(connection, position)) === null
}

/** What of the position the server has not executed, for people; null: it has all of it. */
export async function notExecuted(connection: Connection, position: Position): Promise<string | null> {
  const parts = parsePosition(position)
  if (parts.kind === 'mariadb') {
    // gtid_binlog_state has the last sequence number of every (domain, server) pair.
    const state = (await connection.value('SELECT @@GLOBAL.gtid_binlog_state')) ?? ''
    const last = new Map<string, bigint>()
    for (const text of state.split(',').filter((item) => item !== '')) {
      const { domain, server, sequence } = parseMariadbGtid(text.trim())
      last.set(`${domain}-${server}`, sequence)
    }
    const lacks = parts.state.entries().flatMap(([, text]) => {
      const { domain, server, sequence } = parseMariadbGtid(text)
      const has = last.get(`${domain}-${server}`)
      if ((has ?? -1n) >= sequence) return []
      return [has === undefined ? `up to ${text}` : `${domain}-${server}-${has + 1n} to ${text}`]
    })
    return lacks.length === 0 ? null : lacks.join(', ')
  }
  if (parts.kind === 'mysql') {
    const lacks = await connection.value(`SELECT GTID_SUBTRACT(${quoteString(parts.executed.toString())}, @@GLOBAL.gtid_executed)`)
    return lacks === '' ? null : (lacks ?? 'all of it').replace(/\s+/g, '')
  }
  const uuid = await connection.value('SELECT @@GLOBAL.server_uuid')
  if (uuid !== parts.serverUuid) return `what ${parts.serverUuid} has executed: it is ${uuid}`
  const { at: end } = await endOfBinlog(connection)
  const { file, offset } = parts.at
  const has = fileNumber(file) < fileNumber(end.file) || (file === end.file && offset <= end.offset)
  return has ? null : `${end.file}:${end.offset} to ${file}:${offset}`
}

/** Whether all that follows the position is still in the server's binlogs. The dump itself is the last word. */
export async function stillAvailable(connection: Connection, position: Position): Promise<boolean> {
  const parts = parsePosition(position)
  if (parts.kind === 'mysql') {
    return (await connection.value(`SELECT GTID_SUBSET(@@GLOBAL.gtid_purged, ${quoteString(parts.executed.toString())})`)) === '1'
  }
  const files = (await connection.allText('SHOW BINARY LOGS')).map((row) => row['Log_name'] ?? '')
  const first = files[0]
  if (first === undefined) return false
  if (parts.kind === 'file') return files.includes(parts.at.file)
  // The oldest file begins with the state before it: what we lack of it is gone.
  const before = MariadbGtidState.parse((await connection.value(`SELECT BINLOG_GTID_POS(${quoteString(first)}, 4)`)) ?? '')
  return before.entries().every(([domain, text]) => {
    const ours = parts.state.get(domain)
    return ours !== undefined && parseMariadbGtid(ours).sequence >= parseMariadbGtid(text).sequence
  })
}

function fileNumber(file: string): number {
  return Number(/(\d+)$/.exec(file)?.[1] ?? '0')
}
