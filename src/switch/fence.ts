/**
 * The lasting fence: a closed server takes no client write (PROTOCOLS 3, "Closed is durable").
 *
 * Closed = every client account locked (survives a restart; a restarted server has new sessions only) *and* read_only=1 (stops the
 * sessions that lived when the accounts were locked). Laid in that order: a restart between the two leaves it closed, the other way
 * round it would let in sessions that nothing stops. What we lock is written on the server first, so that `open` unlocks exactly that,
 * whichever controller opens, after whatever crash. Locks are laid without the binlog: they must not reach replicas.
 *
 * Opened in the order read_only=0, then unlock: an unlocked account on a server always means that it is open.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import type { Account, AccountName } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'
import type { ClaimedServer } from './claim.ts'
import { controlSchema } from '../binlog/control-schema.ts'
import { switchErrors } from './errors.ts'
import { connectAs } from './server-access.ts'
import type { OurNames } from './server-access.ts'
import { killedView, killSessions, listClientSessions, listConnecting } from './sessions.ts'
import type { ClientSession, KilledSession } from './sessions.ts'

export type ClosedOptions = {
  /** user@host allowed by name to pass: neither locked nor killed. */
  readonly allowUnfenced: readonly string[]
}

export type FenceState = {
  readonly readOnly: boolean
  /** Client accounts that are not locked. */
  readonly unlocked: readonly Account[]
  readonly sessions: readonly ClientSession[]
  /** Sessions that read_only does not stop. */
  readonly passing: readonly ClientSession[]
}

/** Places in the middle of closing and opening, for tests that kill there. */
export type FenceFailpoint = (point: 'fence.accountsLocked' | 'fence.writable') => Promise<void>
const noFailpoint: FenceFailpoint = async () => undefined

export function accountName(account: AccountName): string {
  return `${account.user}@${account.host}`
}

/** Accounts that a closed server must have locked: all but ours and replication's; of ours the gate's. */
export function clientAccounts(accounts: readonly Account[], ours: OurNames, allowUnfenced: readonly string[]): Account[] {
  return accounts.filter(
    (account) =>
      account.user !== ours.admin && account.user !== ours.mover && !account.replicates && !allowUnfenced.includes(accountName(account)),
  )
}

export async function fenceState(connection: Connection, ours: OurNames, options: ClosedOptions): Promise<FenceState> {
  const [readOnly, accounts, procedures, sessions] = await Promise.all([
    connection.value('SELECT @@GLOBAL.read_only'),
    flavourOf(connection).accounts(connection),
    definersOfProcedures(connection),
    listClientSessions(connection, ours, new Set(options.allowUnfenced)),
  ])
  return {
    readOnly: readOnly === '1',
    unlocked: clientAccounts(accounts, ours, options.allowUnfenced).filter((account) => !account.locked),
    sessions,
    passing: sessions.filter(passes(accounts, procedures)),
  }
}

/** After a restart only "no client session lives" holds, and is enough: nobody can get in. */
export function isClosed(state: FenceState): boolean {
  return state.unlocked.length === 0 && (state.readOnly ? state.passing : state.sessions).length === 0
}

export function describeOpen(state: FenceState): string {
  const parts: string[] = []
  if (state.unlocked.length > 0) parts.push(`accounts not locked: ${state.unlocked.map(accountName).join(', ')}`)
  if (!state.readOnly && state.sessions.length > 0) parts.push(`read_only=0 with ${state.sessions.length} client sessions`)
  if (state.readOnly && state.passing.length > 0) parts.push(`${state.passing.length} sessions that read_only does not stop`)
  return parts.join('; ')
}

/**
 * Closes a server. Idempotent; returns the sessions that it ended: those with an open transaction, whose COMMIT would meet the fence, and
 * those that read_only does not stop. SW-SWITCH-028 when it is open afterwards.
 */
export async function closeServer(
  server: ClaimedServer,
  options: ClosedOptions,
  clock: Clock,
  failpoint: FenceFailpoint = noFailpoint,
): Promise<KilledSession[]> {
  const { connection, ours, serverId } = server
  const toLock = clientAccounts(await flavourOf(connection).accounts(connection), ours, options.allowUnfenced).filter(
    (account) => !account.locked,
  )
  if (toLock.length > 0) {
    const rows = toLock.map((account) => `(${quoteString(account.user)}, ${quoteString(account.host)})`)
    await connection.query(`INSERT IGNORE INTO ${controlSchema}.control_locked (user, host) VALUES ${rows.join(', ')}`)
    await withoutBinlog(
      connection,
      toLock.map((account) => flavourOf(connection).lockAccount(account)),
    )
  }
  await failpoint('fence.accountsLocked')
  await setReadOnly(server, clock)
  // In this order: who has logged in between the two is in the second.
  const [entering, state] = await Promise.all([listConnecting(connection), fenceState(connection, ours, options)])
  if (state.unlocked.length > 0) throw switchErrors.stillOpen({ server: serverId, open: describeOpen(state) })
  const victims = state.sessions.filter((session) => session.transaction !== null || state.passing.includes(session))
  await killSessions(connection, victims)
  if (state.passing.length + entering.length > 0) await untilNonePasses(server, options, entering, clock)
  return victims.map((session) => killedView(serverId, session))
}

/**
 * Which sessions write although read_only is set (*tried* on both databases): those of accounts with the privilege; and, where an account with
 * the privilege has defined a procedure that runs with its definer's rights, any session, which may CALL it. (Functions, views and
 * triggers of such a definer do not pass.)
 */
function passes(accounts: readonly Account[], definers: ReadonlySet<string>): (session: ClientSession) => boolean {
  const privileged = accounts.filter((account) => account.passesReadOnly.length > 0)
  if (privileged.some((account) => definers.has(accountName(account)))) return () => true
  const users = new Set(privileged.map((account) => account.user))
  return (session) => users.has(session.user)
}

/** user@host of every definer with whose rights some procedure runs. */
export async function definersOfProcedures(connection: Connection): Promise<ReadonlySet<string>> {
  const rows = await connection.allText(
    "SELECT DISTINCT DEFINER AS definer FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'PROCEDURE' AND SECURITY_TYPE = 'DEFINER'",
  )
  return new Set(rows.map((row) => row['definer'] ?? ''))
}

/**
 * A killed session's last statement may still commit; where read_only does not stop it, the fence stands once it is gone. Who was logging in while the
 * accounts were being locked (`entering`) may have passed the check already: they must be in, and be judged, or be gone.
 */
async function untilNonePasses(
  server: ClaimedServer,
  options: ClosedOptions,
  entering: readonly ClientSession[],
  clock: Clock,
): Promise<void> {
  const waitedFor = new Set(entering.map((session) => session.id))
  const triesMax = 400
  for (let tries = 0; tries < triesMax; tries++) {
    // In this order: one that has logged in between the two is in the second.
    const stillEntering = (await listConnecting(server.connection)).filter((session) => waitedFor.has(session.id))
    const { passing } = await fenceState(server.connection, server.ours, options)
    if (passing.length + stillEntering.length === 0) return
    await killSessions(server.connection, [...passing, ...stillEntering])
    await clock.sleep(5)
  }
  throw switchErrors.stillOpen({ server: server.serverId, open: 'sessions that read_only does not stop do not end' })
}

/** MySQL waits here for writers that queue behind our own table locks (MariaDB does not): they are interrupted (1317: not applied). */
async function setReadOnly(server: ClaimedServer, clock: Clock): Promise<void> {
  const { connection, ours, serverId } = server
  let settled = false
  const setting = connection.query('SET GLOBAL read_only = 1').finally(() => {
    settled = true
  })
  setting.catch(() => undefined)
  try {
    await Promise.race([setting, clock.sleep(3)])
    if (!settled) {
      await using second = await connectAs(server.access, 'admin')
      while (!settled) {
        const waiting = (await listClientSessions(second, ours)).filter((session) => /^waiting for/i.test(session.state))
        await killSessions(second, waiting, 'QUERY')
        await Promise.race([setting, clock.sleep(5)])
      }
    }
    await setting
  } catch (error) {
    if (isServerError(error, 1227, 1238)) throw switchErrors.readOnlyRefused({ server: serverId, reason: error.serverMessage }, error)
    throw error
  }
}

/** Opens a server: undoes what `closeServer` did and nothing else. Idempotent. */
export async function openServer(server: ClaimedServer, failpoint: FenceFailpoint = noFailpoint): Promise<void> {
  const { connection } = server
  const [readOnly, listed, accounts] = await Promise.all([
    connection.value('SELECT @@GLOBAL.read_only'),
    connection.allText(`SELECT user, host FROM ${controlSchema}.control_locked`),
    flavourOf(connection).accounts(connection),
  ])
  if (readOnly !== '0') await connection.query('SET GLOBAL read_only = 0')
  await failpoint('fence.writable')
  const byUs = new Set(listed.map((row) => `${row['user']}@${row['host']}`))
  // Some may have been dropped meanwhile. The gate's account is ours alone: on a server that was provisioned closed it was made locked.
  const toUnlock = accounts.filter((account) => account.locked && (byUs.has(accountName(account)) || account.user === server.ours.gate))
  if (toUnlock.length > 0)
    await withoutBinlog(
      connection,
      toUnlock.map((account) => flavourOf(connection).unlockAccount(account)),
    )
  if (listed.length > 0) await connection.query(`DELETE FROM ${controlSchema}.control_locked`)
}

/** Ends what client sessions remain, after `graceMs` for those that run a statement. Returns them. */
export async function killClients(server: ClaimedServer, options: ClosedOptions, graceMs: number, clock: Clock): Promise<KilledSession[]> {
  const { connection, ours, serverId } = server
  const spare = new Set(options.allowUnfenced)
  const killed: KilledSession[] = []
  const untilMs = clock.monotonicMs() + graceMs
  const roundsMax = 1_000
  for (let round = 0; round < roundsMax; round++) {
    const sessions = await listClientSessions(connection, ours, spare)
    if (sessions.length === 0) break
    const graceOver = clock.monotonicMs() >= untilMs
    // `Killed` sessions are on their way out; what they still run can only read: the server is closed.
    const victims = sessions.filter((session) => session.command !== 'Killed' && (graceOver || session.command === 'Sleep'))
    await killSessions(connection, victims)
    killed.push(...victims.map((session) => killedView(serverId, session)))
    if (graceOver && victims.length === 0) break
    await clock.sleep(graceOver ? 2 : 4)
  }
  return killed
}

/** `sql_log_bin` is put back in the same write, whatever the statements say: a marker that is not logged would never be drained. */
async function withoutBinlog(connection: Connection, statements: readonly string[]): Promise<void> {
  const results = await connection.pipelineSettled(['SET SESSION sql_log_bin = 0', ...statements, 'SET SESSION sql_log_bin = 1'])
  if (results.at(-1)?.status === 'rejected') connection.destroy()
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
