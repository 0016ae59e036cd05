/**
 * Transactions over several shards of which a side knows the outcome (gate/xa.ts, docs/decisions/015). The server of the shard that one touched first has its decision; a branch
 * that is prepared elsewhere, as its server did not answer in time, learns of it only there. A side that is closed, or gone, tells nobody: the branch would stay in doubt and an acknowledged
 * COMMIT be lost. So a side is left only when no server that serves has such a branch; one that can not be asked may have one.
 *
 * Asked twice: before clients are held, when what is found may be a COMMIT under way, which is gone a moment later; and under the fence, when that side takes no decision any more: its
 * servers refuse it, and where only schemas are closed the gates themselves do (gate/xa.ts, `decide`).
 *
 * What is prepared after that look has no decision and gets none: its gate is refused, and rolls it back. Where that gate dies first, no other one knows the decider, which serves no more:
 * the leader ends it (`endInDoubt`), in the gates' own way: who inserts first under the transaction's id has decided. It looks for as long as the side is there, and a last time before
 * the side is taken away. Nothing is prepared before the decider's server has the table of decisions.
 *
 * Sessions are of its own, and cut when time is up: on a claimed one it would wait behind other workflows' statements, and it changes nothing that a claim guards.
 */
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Connection } from '../mysql/connection.ts'
import { hasDecisions, judge, unknownXid, xidText } from '../mysql/decisions.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavourOf, type XaTransaction } from '../mysql/flavour/flavour.ts'
import { deciderOf } from '../mysql/our-schema.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord, ShardRecord } from '../topology/records.ts'
import { servesPrimary } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'
import { switchErrors } from './errors.ts'
import { connectAs, readServerAccess } from './server-access.ts'
import { settled } from './settled.ts'

type Context = { readonly store: Store; readonly clock: Clock }
type Going = readonly { readonly uid: string; readonly serverId: string }[]

const lookEveryMs = 50
/** A server that has not answered by then may have one. */
const silentMs = 5_000
/** For a prepared transaction, whose connection may end, to be ended by the gates. */
const endMs = 10_000

/**
 * @param goes the shards that are left
 * @param patienceMs for what is found at first to end
 * @throws SW-SWITCH-053 something has not ended; SW-SWITCH-024 of a server that can not be asked, or says nothing
 */
export async function requireNoneInDoubt({ store, clock }: Context, goes: Going, patienceMs: number, signal: AbortSignal): Promise<void> {
  const sessions = new Sessions(store, AbortSignal.any([signal, AbortSignal.timeout(patienceMs + silentMs)]))
  try {
    if (!(await anyDecided(sessions, goes))) return
    const servers = await servingServers(store)
    const untilMs = clock.monotonicMs() + patienceMs
    let found: string[] | null = null
    for (;;) {
      const look = async (id: string): Promise<string[]> =>
        (await prepared(sessions, id, goes)).map(({ gtrid }) => `${gtrid.toString('latin1')} on ${id}`)
      const now = (await settled(servers.map(look))).flat()
      found = found === null ? now : found.filter((one) => now.includes(one))
      if (found.length === 0) return
      if (clock.monotonicMs() >= untilMs) throw switchErrors.inDoubt({ branches: found.join(', ') })
      await clock.sleep(lookEveryMs, signal)
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    sessions.end()
  }
}

/**
 * Ends what is prepared where it serves and was to be decided by one of these shards, which serve no more. What can not be ended now, or on a server that says nothing, is looked at again
 * by the next call: this one takes a few seconds at most, and fails only when the signal aborts.
 */
export async function endInDoubt(
  { store, log }: { readonly store: Store; readonly log: Log },
  goes: Going,
  signal: AbortSignal,
): Promise<void> {
  const sessions = new Sessions(store, AbortSignal.any([signal, AbortSignal.timeout(silentMs)]))
  const serverOf = new Map(goes.map(({ uid, serverId }) => [uid, serverId]))
  const notYet = (server: string, error: unknown): void => {
    signal.throwIfAborted()
    if (!isServerError(error, unknownXid)) log.warn({ server, error: String(error) }, 'transactions in doubt could not be ended there yet')
  }
  const end = async (id: string, { gtrid, bqual }: XaTransaction, decider: string): Promise<void> => {
    const outcome = await judge(await sessions.of(decider), gtrid)
    const xid = xidText(gtrid, bqual)
    await (await sessions.of(id)).query(`XA ${outcome.toUpperCase()} ${xid}`)
    log.warn({ xid, outcome, server: id }, 'a transaction that was in doubt, of a shard that serves no more, was ended')
  }
  try {
    if (!(await anyDecided(sessions, goes))) return
    // One that can not be ended keeps no other from it.
    await settled(
      (await servingServers(store)).map(async (id) => {
        const there = await prepared(sessions, id, goes).catch((error: unknown) => (notYet(id, error), []))
        for (const one of there) {
          const decider = serverOf.get(deciderOf(one.gtrid.toString('latin1')) ?? '')
          if (decider !== undefined) await end(id, one, decider).catch((error: unknown) => notYet(id, error))
        }
      }),
    )
  } catch (error) {
    notYet('of those that are left', error)
  } finally {
    sessions.end()
  }
}

/**
 * Before shards are taken away for good: nobody could be asked for their outcomes any more.
 * @param tolerated codes of what does not keep them from it
 */
export async function endTheirsInDoubt(
  context: Context & { readonly log: Log },
  goes: Going,
  signal: AbortSignal,
  tolerated: readonly string[] = [],
): Promise<void> {
  await endInDoubt(context, goes, signal)
  try {
    await requireNoneInDoubt(context, goes, endMs, signal)
  } catch (error) {
    if (!isSwError(error) || !tolerated.includes(error.code)) throw error
  }
}

/** One for each server, made when first needed; when the signal aborts all are cut, and whoever waits for an answer is told which server gave none. */
class Sessions {
  readonly #store: Store
  readonly #signal: AbortSignal
  readonly #open = new Map<string, Promise<Connection>>()

  constructor(store: Store, signal: AbortSignal) {
    this.#store = store
    this.#signal = signal
    signal.addEventListener('abort', this.end, { once: true })
  }

  of(id: string): Promise<Connection> {
    const there = this.#open.get(id)
    if (there !== undefined) return there
    const connecting = this.#connect(id)
    this.#open.set(id, connecting)
    return connecting
  }

  async #connect(id: string): Promise<Connection> {
    try {
      const sessionSql = ['SET SESSION autocommit = 1, lock_wait_timeout = 3, innodb_lock_wait_timeout = 3']
      return await connectAs(await readServerAccess(this.#store, id), 'admin', { sessionSql }, this.#signal)
    } catch (error) {
      throw switchErrors.serverUnreachable({ server: id, reason: error instanceof Error ? error.message : String(error) }, error)
    }
  }

  readonly end = (): void => {
    this.#signal.removeEventListener('abort', this.end)
    for (const connecting of this.#open.values()) connecting.then((connection) => connection.destroy()).catch(() => undefined)
  }
}

async function anyDecided(sessions: Sessions, goes: Going): Promise<boolean> {
  const deciders = [...new Set(goes.map((shard) => shard.serverId))]
  return (await settled(deciders.map((id) => asked(sessions, id, hasDecisions)))).includes(true)
}

async function prepared(sessions: Sessions, serverId: string, goes: Going): Promise<XaTransaction[]> {
  const uids = new Set(goes.map((shard) => shard.uid))
  const all = await asked(sessions, serverId, (connection) => flavourOf(connection).xaRecover(connection))
  return all.filter(({ gtrid }) => uids.has(deciderOf(gtrid.toString('latin1')) ?? ''))
}

/** @throws SW-SWITCH-024 */
async function asked<T>(sessions: Sessions, server: string, ask: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await sessions.of(server)
  try {
    return await ask(connection)
  } catch (error) {
    if (connection.open) throw error
    throw switchErrors.serverUnreachable({ server, reason: 'it has not said which transactions are prepared there' }, error)
  }
}

/** A transaction may have touched any keyspace. */
async function servingServers(store: Store): Promise<string[]> {
  const [routings, shards] = await Promise.all([
    listRecords<RoutingRecord>(store, keys.routings),
    listRecords<ShardRecord>(store, keys.allShards),
  ])
  const byKeyspace = new Map(routings.map(({ key, value }) => [key.slice(keys.routings.length), value]))
  const serving = shards.flatMap(({ value: { keyspace, name, serverId } }) => {
    const record = byKeyspace.get(keyspace)
    return record !== undefined && servesPrimary(record, name) ? [serverId] : []
  })
  return [...new Set(serving)]
}
