/**
 * What the streams of one target share within a workflow: nobody writes while its secondary keys are rebuilt (PROTOCOLS 1.12), which happens once,
 * when every stream that copies into it has landed its last chunk.
 */
import type { Exclusion } from './applier-options.ts'

export class TargetShare implements Exclusion {
  #sharing = 0
  #alone: Promise<void> | null = null
  #idle: (() => void)[] = []
  #expected: ReadonlySet<string>
  readonly #copied = new Set<string>()
  #rebuilt: Promise<void> | null = null
  #waiters: (() => void)[] = []

  constructor(copyingStreams: ReadonlySet<string>) {
    this.#expected = copyingStreams
  }

  /** Streams that copy into this target, when control adds one. */
  expect(copyingStreams: ReadonlySet<string>): void {
    this.#expected = copyingStreams
  }

  async shared<T>(work: () => Promise<T>): Promise<T> {
    while (this.#alone !== null) await this.#alone
    this.#sharing++
    try {
      return await work()
    } finally {
      this.#sharing--
      if (this.#sharing === 0) for (const wake of this.#idle.splice(0)) wake()
    }
  }

  async alone(work: () => Promise<void>): Promise<void> {
    while (this.#alone !== null) await this.#alone
    let end = (): void => undefined
    this.#alone = new Promise((resolve) => {
      end = resolve
    })
    try {
      if (this.#sharing > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
      await work()
    } finally {
      this.#alone = null
      end()
    }
  }

  /** A stream whose copy an earlier run has finished: nobody waits for it. */
  alreadyCopied(streamUid: string): void {
    this.#copied.add(streamUid)
    for (const wake of this.#waiters.splice(0)) wake()
  }

  /** A stream has landed its last chunk; resolves when all have and `rebuild` has run, once, alone. Rejects when it failed or by the signal. */
  async copied(streamUid: string, rebuild: () => Promise<void>, signal: AbortSignal): Promise<void> {
    this.#copied.add(streamUid)
    for (const wake of this.#waiters.splice(0)) wake()
    while ([...this.#expected].some((uid) => !this.#copied.has(uid))) {
      signal.throwIfAborted()
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    signal.throwIfAborted()
    this.#rebuilt ??= this.alone(rebuild)
    try {
      await this.#rebuilt
    } catch (error) {
      this.#rebuilt = null
      throw error
    }
  }
}
