/**
 * The lasting fence: a closed server takes no client write (PROTOCOLS 3, "Closed is durable"). One interface, four kinds (`fence-kinds.ts`);
 * which one stands on a server is written there before it is laid (`fence-note.ts`), so that opening undoes exactly that.
 *
 * - `locks`: every client account locked (survives a restart; a restarted server has new sessions only) *and* read_only=1 (stops the
 *   sessions that lived when the accounts were locked). Laid in that order: a restart between the two leaves it closed, the other way
 *   round it would let in sessions that nothing stops. Locks are laid without the binlog: they must not reach replicas.
 * - `kill`: account locks, then sessions ended until a look finds none, one still logging in included: a killed client's last statement may
 *   still commit.
 * - `persist`: read_only=1 that MySQL loads again; no account may exist that passes it.
 * - `triggers`: see `fence-triggers.ts`; the only kind that acts on schemas, so that a server may hold what goes on serving.
 *
 * Events are disabled under each of them but the last, which stops them itself. Opened in the order read_only=0, then unlock: an unlocked
 * account on a server always means that it is open.
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
import { alterEvent, enabledEvents, forgetEvents, noteEvents, notedEvents } from './fence-events.ts'
import type { EventName } from './fence-events.ts'
import { chooseFence } from './fence-choice.ts'
import type { FenceChoice } from './fence-choice.ts'
import { keepsOut } from './fence-kinds.ts'
import type { FenceKind } from './fence-kinds.ts'
import { readFenceNote, writeFenceNote } from './fence-note.ts'
import { setReadOnly } from './fence-read-only.ts'
import type { FenceNote } from './fence-note.ts'
import {
  armedSchemas,
  armTriggers,
  disarmTriggers,
  dropFenceTriggers,
  installFenceTriggers,
  triggerFenceState,
  within,
} from './fence-triggers.ts'
import type { OurNames } from './server-access.ts'
import { isOpen, killedView, killSessions, listClientSessions, listConnecting } from './sessions.ts'
import type { ClientSession, KilledSession } from './sessions.ts'

export type ClosedOptions = {
  /** user@host allowed by name to pass: neither locked nor killed. */
  readonly allowUnfenced: readonly string[]
  /** What armed triggers act on; absent: all that they stand on. Every other kind closes the whole server. */
  readonly schemas?: readonly string[]
}

export type FenceState = {
  readonly kind: FenceKind
  readonly readOnly: boolean
  /** Client accounts that are not locked. */
  readonly unlocked: readonly Account[]
  readonly sessions: readonly ClientSession[]
  /** Sessions that read_only does not stop. */
  readonly passing: readonly ClientSession[]
  /** Enabled events, where the scheduler runs. */
  readonly events: readonly EventName[]
  /** Client accounts that read_only does not stop and that are not locked. */
  readonly privileged: readonly Account[]
  /** Of armed triggers: whether they are, and tables that lack some. */
  readonly triggers: { readonly armed: boolean; readonly bare: readonly string[] } | null
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
  const [readOnly, accounts, procedures, sessions, events, note] = await Promise.all([
    connection.value('SELECT @@GLOBAL.read_only'),
    flavourOf(connection).accounts(connection),
    definersOfProcedures(connection),
    listClientSessions(connection, ours, new Set(options.allowUnfenced)),
    enabledEvents(connection, 'running'),
    readFenceNote(connection),
  ])
  const unlocked = clientAccounts(accounts, ours, options.allowUnfenced).filter((account) => !account.locked)
  return {
    kind: note?.kind ?? 'locks',
    readOnly: readOnly === '1',
    unlocked,
    sessions,
    passing: sessions.filter(passes(accounts, procedures)),
    events,
    privileged: unlocked.filter((account) => account.passesReadOnly.length > 0 || procedures.has(accountName(account))),
    triggers: note?.kind === 'triggers' ? await triggerFenceState(connection, options.schemas ?? note.schemas) : null,
  }
}

/**
 * `fenceState`, looked at again while it is open for nothing but sessions: one that is just being refused its login, or has been killed, is seen
 * for a moment. Those that stay are there at every look.
 */
export async function settledFenceState(connection: Connection, ours: OurNames, options: ClosedOptions, clock: Clock): Promise<FenceState> {
  let stayed: ReadonlySet<number> | null = null
  const looksMax = 4
  for (let look = 1; ; look++) {
    const state = await fenceState(connection, ours, options)
    const before: ReadonlySet<number> | null = stayed
    const still: readonly ClientSession[] = before === null ? state.sessions : state.sessions.filter((session) => before.has(session.id))
    const settled = { ...state, sessions: still, passing: state.passing.filter((session) => still.includes(session)) }
    if (isClosed(settled) || !isClosed({ ...state, sessions: [], passing: [] }) || look === looksMax) return settled
    stayed = new Set(still.map((session) => session.id))
    await clock.sleep(15)
  }
}

/** After a restart only "no client session lives" holds of account locks, and is enough: nobody can get in. */
export function isClosed(state: FenceState): boolean {
  return openings(state).length === 0
}

export function describeOpen(state: FenceState): string {
  return openings(state).join('; ')
}

function openings({ kind, readOnly, unlocked, sessions, passing, events, privileged, triggers }: FenceState): string[] {
  const parts: string[] = []
  const say = (open: boolean, what: () => string): void => void (open && parts.push(what()))
  if (kind === 'triggers') {
    say(triggers?.armed !== true, () => 'its triggers are not armed')
    say((triggers?.bare.length ?? 0) > 0, () => `tables without fence triggers: ${triggers?.bare.join(', ')}`)
    return parts
  }
  say(events.length > 0, () => `events are enabled: ${events.map((event) => `${event.schema}.${event.name}`).join(', ')}`)
  say(readOnly && passing.length > 0, () => `${passing.length} sessions that read_only does not stop`)
  if (kind === 'persist') {
    say(!readOnly, () => 'read_only=0')
    say(privileged.length > 0, () => `accounts that pass read_only: ${privileged.map(accountName).join(', ')}`)
    return parts
  }
  say(unlocked.length > 0, () => `accounts not locked: ${unlocked.map(accountName).join(', ')}`)
  say(!readOnly && sessions.length > 0, () => `read_only=0 with ${sessions.length} client sessions`)
  return parts
}

/** Before anybody waits: which fence it will be, noted on the server, and its triggers made if it is that kind. `schemas` are those that it has to hold. SW-SWITCH-036 when the one that is wanted does not fit. */
export async function prepareFence(
  server: ClaimedServer,
  schemas: readonly string[],
  clock: Clock,
  wanted: FenceKind | null = null,
): Promise<FenceChoice> {
  const { connection, serverId } = server
  const choice = await chooseFence(connection, serverId, wanted)
  const note = await readFenceNote(connection)
  if (note !== null && note.kind !== choice.kind && (await standsClosed(connection, note.kind)))
    throw switchErrors.closedOtherwise({ server: serverId, stands: note.kind, wanted: choice.kind })
  const all = [...new Set([...(note?.schemas ?? []), ...schemas])]
  if (note?.kind !== choice.kind || all.length !== note.schemas.length)
    await writeFenceNote(connection, { kind: choice.kind, schemas: all })
  if (choice.kind === 'triggers') await installFenceTriggers(server, all, clock)
  return choice
}

/** Opening undoes what the note says: it must not change under a fence that stands. */
async function standsClosed(connection: Connection, kind: FenceKind): Promise<boolean> {
  const [locked, armed, readOnly] = await Promise.all([
    connection.value(`SELECT COUNT(*) FROM ${controlSchema}.control_locked`),
    armedSchemas(connection),
    connection.value('SELECT @@GLOBAL.read_only'),
  ])
  return Number(locked) > 0 || armed > 0 || (readOnly !== '0' && (kind === 'locks' || kind === 'persist'))
}

/** Tables that were made on a server that is closed: of the kinds of fence only the triggers have to be told. */
export async function fenceNewTables(server: ClaimedServer, clock: Clock): Promise<void> {
  const note = await readFenceNote(server.connection)
  if (note?.kind === 'triggers') await installFenceTriggers(server, note.schemas, clock)
}

/** What a fence leaves behind on these schemas (absent: on all) when no switch is to come any more. */
export async function removeFence(server: ClaimedServer, schemas?: readonly string[]): Promise<void> {
  const note = await readFenceNote(server.connection)
  if (note?.kind !== 'triggers') return
  const gone = schemas ?? note.schemas
  await dropFenceTriggers(server, gone)
  await writeFenceNote(server.connection, { kind: note.kind, schemas: note.schemas.filter((schema) => !gone.includes(schema)) })
}

/**
 * Closes a server. Idempotent; returns the sessions that it ended: those with an open transaction, whose COMMIT would meet the fence, and
 * those that it does not stop. SW-SWITCH-028 when it is open afterwards.
 */
export async function closeServer(
  server: ClaimedServer,
  options: ClosedOptions,
  clock: Clock,
  failpoint: FenceFailpoint = noFailpoint,
): Promise<KilledSession[]> {
  const { connection, ours, serverId } = server
  const [accounts, events, noted] = await Promise.all([
    flavourOf(connection).accounts(connection),
    enabledEvents(connection, 'all'),
    readFenceNote(connection),
  ])
  const note: FenceNote = noted ?? { kind: (await prepareFence(server, [], clock)).kind, schemas: [] }
  if (note.kind === 'triggers') {
    const killed = await armTriggers(server, options.schemas ?? note.schemas, new Set(options.allowUnfenced), clock)
    await failpoint('fence.accountsLocked')
    const state = await fenceState(connection, ours, options)
    if (!isClosed(state)) throw switchErrors.stillOpen({ server: serverId, open: describeOpen(state) })
    return killed
  }
  const toLock = keepsOut(note.kind) ? clientAccounts(accounts, ours, options.allowUnfenced).filter((account) => !account.locked) : []
  if (toLock.length > 0) {
    const rows = toLock.map((account) => `(${quoteString(account.user)}, ${quoteString(account.host)})`)
    await connection.query(`INSERT IGNORE INTO ${controlSchema}.control_locked (user, host) VALUES ${rows.join(', ')}`)
  }
  if (toLock.length > 0)
    await withoutBinlog(
      connection,
      toLock.map((account) => flavourOf(connection).lockAccount(account)),
    )
  await failpoint('fence.accountsLocked')
  const ended =
    note.kind === 'kill' ? [] : await setReadOnly(server, options.allowUnfenced, clock, note.kind === 'persist' ? 'PERSIST' : 'GLOBAL')
  // In this order: who has logged in between the two is in the second.
  const [entering, state] = await Promise.all([listConnecting(connection), fenceState(connection, ours, options)])
  if (keepsOut(note.kind) && state.unlocked.length > 0) throw switchErrors.stillOpen({ server: serverId, open: describeOpen(state) })
  if (note.kind === 'persist' && state.privileged.length > 0) throw switchErrors.stillOpen({ server: serverId, open: describeOpen(state) })
  const passing = note.kind === 'kill' ? state.sessions : state.passing
  const victims = state.sessions.filter((session) => isOpen(session) || passing.includes(session))
  await killSessions(connection, victims)
  await disableEvents(server, events, clock)
  if (passing.length + entering.length > 0) await untilNonePasses(server, options, entering, clock, note.kind)
  return [...ended, ...victims].map((session) => killedView(serverId, session))
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
  kind: FenceKind,
): Promise<void> {
  const waitedFor = new Set(entering.map((session) => session.id))
  const triesMax = 400
  for (let tries = 0; tries < triesMax; tries++) {
    // In this order: one that has logged in between the two is in the second.
    const stillEntering = (await listConnecting(server.connection)).filter((session) => waitedFor.has(session.id))
    const state = await fenceState(server.connection, server.ours, options)
    const passing = kind === 'kill' ? state.sessions : state.passing
    if (passing.length + stillEntering.length === 0) return
    await killSessions(server.connection, [...passing, ...stillEntering])
    await clock.sleep(5)
  }
  throw switchErrors.stillOpen({ server: server.serverId, open: 'sessions that nothing stops do not end' })
}

/** One that runs holds its own definition, and may wait for a lock of a client's: it is ended. */
async function disableEvents(server: ClaimedServer, events: readonly EventName[], clock: Clock): Promise<void> {
  if (events.length === 0) return
  const { connection, ours } = server
  await noteEvents(connection, events)
  const attemptsMax = 5
  for (let attempt = 1; ; attempt++) {
    const running = (await listClientSessions(connection, ours)).filter(({ command }) => command === 'Connect')
    await killSessions(connection, running)
    try {
      return await withoutBinlog(
        connection,
        events.map((event) => alterEvent(event, 'DISABLE')),
      )
    } catch (error) {
      if (!isServerError(error) || error.kind !== 'lockWait' || attempt === attemptsMax) throw error
    }
    await clock.sleep(10)
  }
}

/** Opens a server, or under armed triggers `schemas` of it: undoes what `closeServer` did and nothing else. Idempotent. */
export async function openServer(
  server: ClaimedServer,
  failpoint: FenceFailpoint = noFailpoint,
  schemas?: readonly string[],
): Promise<void> {
  const { connection } = server
  const [readOnly, locked, note, events] = await Promise.all([
    connection.value('SELECT @@GLOBAL.read_only'),
    lockedByUs(server),
    readFenceNote(connection),
    notedEvents(connection),
  ])
  if (note?.kind === 'triggers') await disarmTriggers(connection, schemas ?? note.schemas)
  if (note?.kind === 'persist') await connection.query('RESET PERSIST IF EXISTS read_only')
  // The other kinds did not set it.
  if (readOnly !== '0' && note?.kind !== 'kill' && note?.kind !== 'triggers') await connection.query('SET GLOBAL read_only = 0')
  await failpoint('fence.writable')
  if (locked.accounts.length + events.length > 0)
    await withoutBinlog(connection, [
      ...locked.accounts.map((account) => flavourOf(connection).unlockAccount(account)),
      ...events.map((event) => alterEvent(event, 'ENABLE')),
    ])
  if (locked.noted > 0) await connection.query(`DELETE FROM ${controlSchema}.control_locked`)
  if (events.length > 0) await forgetEvents(connection)
}

/**
 * A replica that was closed and is not made the primary after all: clients may log in and read again. read_only stays, and so do the notes: they
 * are its primary's, whose binlog removes them.
 */
export async function openForReads(server: ClaimedServer): Promise<void> {
  const { accounts } = await lockedByUs(server)
  const { connection } = server
  if (accounts.length > 0)
    await withoutBinlog(
      connection,
      accounts.map((account) => flavourOf(connection).unlockAccount(account)),
    )
}

/** Some may have been dropped meanwhile. The gate's account is ours alone: on a server that was provisioned closed it was made locked. */
async function lockedByUs({ connection, ours }: ClaimedServer): Promise<{ accounts: Account[]; noted: number }> {
  const [listed, accounts] = await Promise.all([
    connection.allText(`SELECT user, host FROM ${controlSchema}.control_locked`),
    flavourOf(connection).accounts(connection),
  ])
  const byUs = new Set(listed.map((row) => `${row['user']}@${row['host']}`))
  return {
    accounts: accounts.filter((account) => account.locked && (byUs.has(accountName(account)) || account.user === ours.gate)),
    noted: listed.length,
  }
}

/** Ends what client sessions remain, after `graceMs` for those that run a statement; under armed triggers those of the closed schemas. Returns them. */
export async function killClients(server: ClaimedServer, options: ClosedOptions, graceMs: number, clock: Clock): Promise<KilledSession[]> {
  const { connection, ours, serverId } = server
  const spare = new Set(options.allowUnfenced)
  const note = await readFenceNote(connection)
  const kind = note?.kind ?? 'locks'
  const schemas = kind === 'triggers' ? (options.schemas ?? note?.schemas ?? []) : null
  const killed: KilledSession[] = []
  const untilMs = clock.monotonicMs() + graceMs
  const roundsMax = 1_000
  for (let round = 0; round < roundsMax; round++) {
    const all = await listClientSessions(connection, ours, spare)
    const sessions = schemas === null ? all : all.filter((session) => within(session, schemas))
    if (sessions.length === 0) break
    const graceOver = clock.monotonicMs() >= untilMs
    // `Killed` sessions are on their way out; what they still run can only read: the server is closed.
    const victims = sessions.filter((session) => session.command !== 'Killed' && (graceOver || session.command === 'Sleep'))
    await killSessions(connection, victims)
    killed.push(...victims.map((session) => killedView(serverId, session)))
    // Where they may log in again, who comes back is refused its writes; ending them for ever would end nothing.
    if (graceOver && (victims.length === 0 || !keepsOut(kind))) break
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
