/**
 * Whose locks the writers of a stream wait for (promise 7). A lane takes a transaction again whose lock did not come (`lane.ts`), for minutes, and a table that somebody has locked is waited for as
 * long as the server's own limit says; meanwhile everything stands, and nothing but this tells who has it.
 *
 * Asked only of lanes that have been in one transaction for some seconds, by the target's own session for such questions while that is free.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { blockersOf, flavourOf } from '../mysql/flavour/flavour.ts'
import type { Session } from '../mysql/flavour/flavour.ts'
import type { Waiting } from './applier-options.ts'
import type { Lane } from './lane.ts'

const everyMs = 1_000
const patienceMs = 2_000

type Target = { readonly name: string; readonly meta: Connection; readonly lanes: readonly Lane[]; readonly xaLane: Lane }

export class LockWaits {
  readonly #targets: readonly Target[]
  readonly #clock: Clock
  readonly #onChange: () => void
  #waiting: Waiting | null = null

  constructor(targets: readonly Target[], clock: Clock, onChange: () => void) {
    this.#targets = targets
    this.#clock = clock
    this.#onChange = onChange
  }

  get waiting(): Waiting | null {
    return this.#waiting
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(everyMs, signal).catch(() => undefined)
      if (signal.aborted) return
      const before = this.#waiting?.what
      this.#waiting = await this.#look()
      if (this.#waiting?.what !== before) this.#onChange()
    }
  }

  async #look(): Promise<Waiting | null> {
    for (const target of this.#targets) {
      for (const lane of [...target.lanes, target.xaLane]) {
        const busyMs = lane.busySinceMs === null ? 0 : this.#clock.monotonicMs() - lane.busySinceMs
        if (busyMs < patienceMs || target.meta.outstanding > 0) continue
        const what = await whoHas(target, lane.conn.threadId)
        if (what === null) continue
        const ends = 'whoever has it ends its transaction, or is ended; the write is tried again by itself'
        return { what, sinceMs: this.#waiting?.what === what ? this.#waiting.sinceMs : this.#clock.nowMs() - busyMs, ends }
      }
    }
    return null
  }
}

async function whoHas({ name, meta, lanes, xaLane }: Target, writer: number): Promise<string | null> {
  const flavour = flavourOf(meta)
  const ours = new Set([...lanes, xaLane].map(({ conn }) => conn.threadId))
  try {
    const blockers = blockersOf(await flavour.lockWaits(meta), writer)
    const sessions = await flavour.sessions(meta, 'start')
    const state = sessions.find(({ id }) => id === writer)?.state ?? ''
    if (blockers.length > 0) {
      const told = blockers
        .map((id) =>
          describe(
            id,
            sessions.find((session) => session.id === id),
          ),
        )
        .join('; ')
      return `a lock on rows of ${name} that others have: ${told}`
    }
    if ((await meta.value(`SELECT trx_state FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = ${writer}`)) === 'LOCK WAIT') {
      // A MySQL without performance_schema knows, and does not tell: whoever has had a transaction open for longest.
      const open = sessions.filter(({ id, transaction }) => transaction !== null && !ours.has(id))
      const oldest = open.toSorted((a, b) => (a.transaction?.startedAtS ?? 0) - (b.transaction?.startedAtS ?? 0)).slice(0, 3)
      const told = oldest.map((session) => describe(session.id, session)).join('; ')
      return `a lock on rows of ${name}, of one of those that have transactions open there: ${told === '' ? 'nobody to be seen' : told}`
    }
    // Those of whole tables: the server tells that it waits, not for whom.
    return /^waiting for .*lock/i.test(state) ? `a lock on a table of ${name} (${state}): somebody alters it, or has locked it` : null
  } catch (error) {
    // An account that may not ask.
    if (isServerError(error)) return null
    throw error
  }
}

function describe(id: number, session: Session | undefined): string {
  if (session === undefined) return `session ${id}`
  const at = session.query === null ? `${session.command.toLowerCase()} within a transaction` : session.query.slice(0, 100)
  return `session ${id} of ${session.user}@${session.host} (${at})`
}
