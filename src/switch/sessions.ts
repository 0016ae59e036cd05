/** Who is connected to a server, and which of them have a transaction open. Works without performance_schema. */
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavourOf, loggingIn } from '../mysql/flavour/flavour.ts'
import type { Session } from '../mysql/flavour/flavour.ts'
import type { OurNames } from './server-access.ts'

export type ClientSession = Session

export type KilledSession = {
  readonly server: string
  readonly user: string
  readonly host: string
  readonly query: string | null
  readonly transaction: boolean
  /** When its transaction began. */
  readonly sinceMs: number | null
}

/** Where accounts were locked before it connected, who is logging in never will be in, so it counts nowhere but while locks are laid. */
const systemUsers = new Set(['system user', 'event_scheduler', loggingIn])
const systemCommands = /^(Daemon|Binlog Dump|Slave|Replica|Group)/i

/** Everybody but our own admin and mover, the server's threads, replication, and `spare` (user@host as in an account). */
export async function listClientSessions(
  connection: Connection,
  ours: OurNames,
  spare: ReadonlySet<string> = new Set(),
): Promise<ClientSession[]> {
  const sessions = await flavourOf(connection).sessions(connection, 'whole')
  return sessions
    .map((session) => ({ ...session, host: session.host.replace(/:\d+$/, '') }))
    .filter(({ user, host, command }) => {
      if (user === ours.admin || user === ours.mover || systemUsers.has(user) || systemCommands.test(command)) return false
      return !spare.has(`${user}@${host}`) && !spare.has(`${user}@%`)
    })
}

/** Whether it has a transaction open that could write, or holds locks or a snapshot for later statements. A plain SELECT that runs by itself is answered by a side that is closed meanwhile. */
export function isOpen({ transaction }: ClientSession): boolean {
  return transaction !== null && !transaction.onlyReads
}

/** Sessions that are just logging in, of whichever account. */
export async function listConnecting(connection: Connection): Promise<ClientSession[]> {
  return (await flavourOf(connection).sessions(connection, 'start')).filter((session) => session.user === loggingIn)
}

/** Ends sessions, all in one round trip; one that is gone already is no error. */
export async function killSessions(
  connection: Connection,
  sessions: readonly ClientSession[],
  how: 'CONNECTION' | 'QUERY' = 'CONNECTION',
): Promise<void> {
  if (sessions.length === 0) return
  for (const result of await connection.pipelineSettled(sessions.map((session) => `KILL ${how} ${session.id}`))) {
    if (result.status === 'rejected' && !isServerError(result.reason, 1094)) throw result.reason
  }
}

export function killedView(server: string, { user, host, query, transaction }: ClientSession): KilledSession {
  return {
    server,
    user,
    host,
    query,
    transaction: transaction !== null,
    sinceMs: transaction === null ? null : transaction.startedAtS * 1_000,
  }
}
