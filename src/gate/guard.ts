/**
 * What a user's limits do to the statements of one session: how many rows and bytes an answer may have, how long a statement may run, how many may run at
 * once. Users without limits cost one comparison.
 *
 * Statements of an open transaction do not wait for a turn: what they hold locked may be what the others wait for.
 */
import { unreachable } from '../base/assert.ts'
import type { UserLimits, UserRecord } from '../topology/records.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'

type Waiter = { readonly max: number; readonly turn: () => void }

/** Statements of one user that run at this gate. */
class Turns {
  running = 0
  readonly waiting: Waiter[] = []

  /** One is over. Who waits is counted before it wakes: whoever comes in between finds its place taken. */
  over(): void {
    this.running--
    for (let next = this.waiting[0]; next !== undefined && this.running < next.max; next = this.waiting[0]) {
      this.running++
      this.waiting.shift()
      next.turn()
    }
  }
}

/** Of all users of a gate. */
export class UserTurns {
  readonly #turns = new Map<string, Turns>()

  of(user: string): Turns {
    let turns = this.#turns.get(user)
    if (turns === undefined) this.#turns.set(user, (turns = new Turns()))
    return turns
  }
}

export type Quota = { readonly rows: number; readonly bytes: number }

export class Guard {
  readonly #core: Core
  /** Stops what runs, for the reason given. */
  readonly #interrupt: (why: Error) => void
  #user = ''
  #limits: UserLimits | null = null
  #turns: Turns | null = null
  #timer: NodeJS.Timeout | null = null
  /** Of one answer; null: none. */
  quota: Quota | null = null

  constructor(core: Core, interrupt: (why: Error) => void) {
    this.#core = core
    this.#interrupt = interrupt
  }

  /** By the user's record of now. */
  follow(user: UserRecord): void {
    this.#user = user.name
    this.#limits = user.limits ?? null
    const { rows, bytes } = user.limits ?? {}
    this.quota = rows === undefined && bytes === undefined ? null : { rows: rows ?? Infinity, bytes: bytes ?? Infinity }
  }

  get on(): boolean {
    return this.#limits !== null
  }

  get user(): string {
    return this.#user
  }

  get refusesScatter(): boolean {
    return this.#limits?.scatter === 'refused'
  }

  get allowsMultiStatements(): boolean {
    return this.#limits?.multiStatements === 'allowed'
  }

  exceeded(what: 'rows' | 'bytes'): Error {
    return gateErrors.tooManyRows({ user: this.#user, max: this.quota?.[what], what })
  }

  /** Errors: SW-GATE-032. */
  requireWithin(rows: number, bytes: number): void {
    if (this.quota === null) return
    if (rows > this.quota.rows) throw this.exceeded('rows')
    if (bytes > this.quota.bytes) throw this.exceeded('bytes')
  }

  /** Before a statement. Errors: SW-GATE-034 no turn came. */
  async begin(inTransaction: boolean, signal: AbortSignal): Promise<void> {
    const { concurrent, ms } = this.#limits ?? {}
    if (concurrent !== undefined) await this.#turn(concurrent, inTransaction, signal)
    if (ms !== undefined) this.#timer = setTimeout(() => this.#interrupt(gateErrors.tooLong({ user: this.#user, ms })), ms)
  }

  /** After it, however it ended. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const turns = this.#turns
    if (turns === null) return
    this.#turns = null
    turns.over()
  }

  async #turn(max: number, inTransaction: boolean, signal: AbortSignal): Promise<void> {
    const turns = this.#core.turns.of(this.#user)
    const waitMs = this.#core.config.poolWaitMs
    if (turns.running < max || inTransaction) turns.running++
    else {
      const outcome = await waitFor(turns.waiting, max, waitMs, signal)
      switch (outcome) {
        case 'turn':
          break
        case 'ended':
          throw signal.reason as Error
        case 'late':
          throw gateErrors.tooManyAtOnce({ user: this.#user, max, waitedMs: waitMs })
        default:
          unreachable(outcome)
      }
    }
    this.#turns = turns
  }
}

/** 'turn': it is counted as running already. */
function waitFor(queue: Waiter[], max: number, waitMs: number, signal: AbortSignal): Promise<'turn' | 'ended' | 'late'> {
  return new Promise((resolve) => {
    const done = (outcome: 'turn' | 'ended' | 'late'): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', ended)
      const at = queue.indexOf(waiter)
      if (at >= 0) queue.splice(at, 1)
      resolve(outcome)
    }
    const waiter: Waiter = { max, turn: () => done('turn') }
    const ended = (): void => done('ended')
    const timer = setTimeout(() => done('late'), waitMs)
    signal.addEventListener('abort', ended, { once: true })
    queue.push(waiter)
  })
}
