/**
 * KILL of a session of another gate. A client stops its statement by a second connection, and another process on the same port may have taken that one.
 *
 * A session's number holds the slot of its gate (membership.ts), which no two gates have at a time. Who is asked to KILL what is not its own writes a request to the gate of that slot, under its own
 * lease. That gate watches for its own: it does what is asked and removes the request, or writes into it that it has no such session of that user.
 */
import { randomBytes } from 'node:crypto'
import { keys } from '../topology/keys.ts'
import type { GateThreads, KillRequest } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { absent, put, readRecord, recordsOf } from '../topology/typed.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { sessionsPerSlot } from './membership.ts'

const answerMs = 3_000

export class Kills {
  readonly #core: Core
  readonly #store: Store
  readonly #gate: string
  readonly #stop = new AbortController()
  #running: Promise<void> | null = null

  /** @param gate whose sessions these are */
  constructor(core: Core, store: Store, gate: string) {
    this.#core = core
    this.#store = store
    this.#gate = gate
  }

  start(): void {
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  /** Resolves when the session's gate has done it. Errors: SW-GATE-016 nobody has such a session of that user, SW-GATE-043; of the store. */
  async ask(threadId: number, what: 'connection' | 'query', user: string, signal: AbortSignal): Promise<void> {
    const owner = await readRecord<GateThreads>(this.#store, keys.gateThreads(Math.floor(threadId / sessionsPerSlot)))
    const { leaseId } = this.#core.membership
    if (owner === null || owner.value.gate === this.#gate) throw gateErrors.unknownThread({ id: threadId })
    if (leaseId === null) throw gateErrors.killUnanswered({ id: threadId, ms: 0 })
    const key = keys.kill(owner.value.gate, randomBytes(10).toString('hex'))
    await this.#store.commit([absent(key)], [put<KillRequest>(key, { v: 1, threadId, what, user, unknown: false }, leaseId)])
    try {
      for await (const snapshot of this.#store.watch(key, AbortSignal.any([signal, AbortSignal.timeout(answerMs)]))) {
        const [request] = recordsOf<KillRequest>(snapshot)
        if (request === undefined) return
        if (request.value.unknown) throw gateErrors.unknownThread({ id: threadId })
      }
      signal.throwIfAborted()
      throw gateErrors.killUnanswered({ id: threadId, ms: answerMs })
    } finally {
      await this.#store.commit([], [{ key, value: undefined }]).catch(() => {})
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    const taken = new Set<string>()
    while (!signal.aborted) {
      try {
        for await (const snapshot of this.#store.watch(keys.killsOf(this.#gate), signal)) {
          for (const key of taken) if (!snapshot.entries.has(key)) taken.delete(key)
          for (const { key, value, version } of recordsOf<KillRequest>(snapshot)) {
            if (value.unknown || taken.has(key)) continue
            taken.add(key)
            const session = this.#core.sessions.get(value.threadId)
            const known = session !== undefined && session.user === value.user
            if (known) session.kill(value.what)
            await this.#store.commit([{ key, version }], [known ? { key, value: undefined } : put(key, { ...value, unknown: true })])
          }
        }
      } catch (error) {
        if (signal.aborted) return
        this.#core.log.warn({ error: String(error) }, 'what other gates ask to KILL can not be read; trying again')
        await this.#core.clock.sleep(100, signal).catch(() => {})
      }
    }
  }
}
