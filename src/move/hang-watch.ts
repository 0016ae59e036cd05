/**
 * Notices connections that hang: the network lost what was sent or answered, and nobody was told (a firewall that forgot a flow, a cable).
 *
 * How it tells a hang from work: a connection that has waited for an answer for `patienceMs` without a byte received, or gone of a statement of megabytes, is looked up on its
 * server by another connection. Its session is there and not asleep: the server is at work (an ALTER may take hours), or is waiting for us to read. Its session is
 * asleep, or gone: the server has nothing to answer any more, and the connection is ended; what it had sent counts as unknown, and the run begins again where
 * the targets stand. A session that waits for rows of ours (LOAD DATA LOCAL) looks like one at work: the server itself ends it when none come for long (`connectWriter`). Who is at work is told
 * meanwhile (`waiting`, promise 7). A server that can't be asked either, for as long again, is taken for unreachable: connecting anew is then all that can help.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { connectPlain, type ServerAddress } from './access.ts'
import type { Waiting } from './applier-options.ts'
import { moveErrors } from './errors.ts'

const everyMs = 1_000

type Looked = { readonly command: string; readonly state: string }
type Watched = { readonly conn: Connection; readonly address: ServerAddress; bytes: number; sinceMs: number; suspect: boolean }

export class HangWatch {
  readonly #clock: Clock
  readonly #patienceMs: number
  #watched: Watched[] = []
  readonly #unreachableSinceMs = new Map<string, number>()
  /** By server: each is judged by itself. */
  readonly #waiting = new Map<string, Waiting>()

  constructor(clock: Clock, patienceMs: number) {
    this.#clock = clock
    this.#patienceMs = patienceMs
  }

  add(conn: Connection, address: ServerAddress): void {
    this.#watched.push({ conn, address, bytes: -1, sinceMs: 0, suspect: false })
  }

  /** For which answer patience has been over for the longest; null: for none. */
  get waiting(): Waiting | null {
    return [...this.#waiting.values()].sort((a, b) => a.sinceMs - b.sinceMs)[0] ?? null
  }

  /** A watch of its own for what ends with `signal`. */
  static begin(clock: Clock, patienceMs: number, signal: AbortSignal): HangWatch {
    const watch = new HangWatch(clock, patienceMs)
    watch.run(signal).catch(() => undefined)
    return watch
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(everyMs, signal).catch(() => undefined)
      this.#watched = this.#watched.filter(({ conn }) => conn.open)
      const waiting = this.#watched.filter((one) => this.#waitsTooLong(one))
      const byServer = Map.groupBy(waiting, ({ address }) => address.id)
      // Answered meanwhile: what hangs later is another hang, and has its patience again.
      for (const servers of [this.#unreachableSinceMs, this.#waiting])
        for (const id of servers.keys()) if (!byServer.has(id)) servers.delete(id)
      await Promise.all([...byServer.values()].map((suspects) => this.#judge(suspects, signal)))
    }
  }

  #waitsTooLong(one: Watched): boolean {
    const nowMs = this.#clock.monotonicMs()
    const bytes = one.conn.bytesReceived + one.conn.bytesGone
    if (one.conn.outstanding === 0 || bytes !== one.bytes) {
      one.bytes = bytes
      one.sinceMs = nowMs
      one.suspect = false
    }
    return nowMs - one.sinceMs >= this.#patienceMs
  }

  async #judge(suspects: readonly Watched[], signal: AbortSignal): Promise<void> {
    const [first] = suspects
    if (first === undefined) return
    const sessions = await this.#sessionsOf(first.address, signal)
    if (signal.aborted) return
    const told = suspects.find(({ conn }) => sessions === 'unknown' || !waitsForUs(sessions.get(conn.threadId)))
    if (told === undefined) this.#waiting.delete(first.address.id)
    else this.#waiting.set(first.address.id, this.#told(told, sessions))
    if (sessions === 'unknown') {
      const sinceMs = this.#unreachableSinceMs.get(first.address.id) ?? this.#clock.monotonicMs()
      this.#unreachableSinceMs.set(first.address.id, sinceMs)
      if (this.#clock.monotonicMs() - sinceMs >= this.#patienceMs) for (const one of suspects) this.#end(one)
      return
    }
    this.#unreachableSinceMs.delete(first.address.id)
    for (const one of suspects) {
      // Twice in a row: the first look may have met a session between two commands.
      const session = sessions.get(one.conn.threadId)
      if (session !== undefined && session.command !== 'Sleep') one.suspect = false
      else if (one.suspect && this.#waitsTooLong(one)) this.#end(one)
      else one.suspect = true
    }
  }

  #end({ conn, address, sinceMs }: Watched): void {
    conn.destroy(moveErrors.connectionHangs({ server: address.name, seconds: Math.round((this.#clock.monotonicMs() - sinceMs) / 1000) }))
  }

  #told({ conn, address, sinceMs }: Watched, sessions: ReadonlyMap<number, Looked> | 'unknown'): Waiting {
    const session = sessions === 'unknown' ? undefined : sessions.get(conn.threadId)
    const there =
      session === undefined ? 'is not there any more' : `is at ${session.command}${session.state === '' ? '' : `: ${session.state}`}`
    const what = sessions === 'unknown' ? 'which answers nobody' : `where session ${conn.threadId} ${there}`
    return {
      what: `an answer of ${address.name}, ${what}`,
      sinceMs: this.#clock.nowMs() - (this.#clock.monotonicMs() - sinceMs),
      ends: 'the server answers; where it has nothing to answer the connection is ended, and the work begun again',
    }
  }

  async #sessionsOf(address: ServerAddress, signal: AbortSignal): Promise<ReadonlyMap<number, Looked> | 'unknown'> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#patienceMs)])
    try {
      const conn = await connectPlain(address, limit)
      limit.addEventListener('abort', () => conn.destroy(), { once: true })
      const rows = await conn.allText('SHOW PROCESSLIST').finally(() => conn.destroy())
      return new Map(rows.map((row) => [Number(row.Id), { command: row.Command ?? '', state: row.State ?? '' }]))
    } catch {
      return 'unknown'
    }
  }
}

/** A reader whose rows are not taken: what we wait for is told elsewhere. */
function waitsForUs(session: Looked | undefined): boolean {
  return session !== undefined && /writing to net|sending to client/i.test(session.state)
}
