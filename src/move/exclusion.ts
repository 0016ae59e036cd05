/**
 * What the streams of one target share within a workflow: nobody writes while its secondary keys are rebuilt (PROTOCOLS 1.12), which happens once,
 * when every stream that copies into it has landed its last chunk.
 *
 * Unique keys of a target with several sources wait for the rows too. Why that loses nothing: each stream keeps the target, for the rows it owns, at its source's
 * state at X, and nothing in that needs a unique key: rounds delete by key and shard key and INSERT, landings INSERT, and another stream's row under the same key is still
 * told by the primary key, which stays. So once all have copied, two rows with one unique value are either two streams at different points (one applied that the
 * value was taken, the other not yet that it was given up), or two rows of the sources themselves. The first ends when all have passed markers committed after the
 * rebuild failed: whatever stood apart then is past; only values that moved since can collide again, in the few milliseconds by which the streams are apart. The second stays until the
 * application ends it, and is shown as what the streams wait for. No row is removed either way: the server refuses the key instead.
 *
 * A rebuild that died is begun again by whoever comes back: what is built is known by its name, what is not stands in `move_key`.
 */
import type { Clock } from '../base/clock.ts'
import type { Exclusion, Waiting } from './applier-options.ts'

/** A run of a stream that writes to the target. */
export type Sharer = {
  /** The shard that it reads. */
  readonly source?: string
  /** Resolves when this target has applied up to a marker that was committed on the stream's source after the call, or the run has ended. */
  passMarker: () => Promise<void>
  /** Its tail stops at such a marker, until the signal; resolves when the target has applied up to there. */
  standAtMarker: (until: AbortSignal) => Promise<void>
  /** Resolves when its tail has come to a marker that was committed after the call; or by the signal. */
  readMarker?: (until: AbortSignal) => Promise<void>
  onWaiting: (waiting: Waiting) => void
}

/** How long tails stand at most, at first and when it has failed some times; and how often that long they do not in between. */
const [standMs, standMsMax, standEvery] = [2_000, 16_000, 8]

/** Builds what is missing and looks at what must hold then; returns what stands in the way of it, or null when all is well. */
export type Rebuild = () => Promise<string | null>

export class TargetShare implements Exclusion {
  #sharing = 0
  #alone: Promise<void> | null = null
  #idle: (() => void)[] = []
  #expected: ReadonlySet<string>
  readonly #sharers = new Map<string, Sharer>()
  readonly #copied = new Set<string>()
  /** Streams whose copy is recorded as done: nobody waits for them, running or not. */
  readonly #done = new Set<string>()
  #rebuilt = false
  #linedUp: Promise<void> | null = null
  #lineUpsFailed = 0
  #lineUpAtMs = 0
  #rebuilding: Promise<void> | null = null
  #waiters: (() => void)[] = []

  constructor(copyingStreams: ReadonlySet<string>) {
    this.#expected = copyingStreams
  }

  /** Streams that copy into this target, when control adds one. */
  expect(copyingStreams: ReadonlySet<string>): void {
    this.#expected = copyingStreams
  }

  /** A run begins; ends by what is returned. */
  join(streamUid: string, sharer: Sharer): () => void {
    this.#sharers.set(streamUid, sharer)
    return () => {
      if (this.#sharers.get(streamUid) !== sharer) return
      this.#sharers.delete(streamUid)
      this.#copied.delete(streamUid)
    }
  }

  /** Shards whose streams write here. */
  sources(): string[] {
    return [...new Set([...this.#sharers.values()].flatMap(({ source }) => source ?? []))]
  }

  /** What it is at (`Mover.standing`). */
  standing(): object {
    const expected = [...this.#expected].filter((uid) => !this.#copied.has(uid) && !this.#done.has(uid))
    return { sharing: this.#sharing, somebodyAlone: this.busy, notCopied: expected, keysBuilt: this.#rebuilt }
  }

  get busy(): boolean {
    return this.#alone !== null
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

  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#alone !== null) await this.#alone
    let end = (): void => undefined
    this.#alone = new Promise((resolve) => {
      end = resolve
    })
    try {
      if (this.#sharing > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
      return await work()
    } finally {
      this.#alone = null
      end()
    }
  }

  /**
   * A row that went from one source to another stands in the way, or waits, for as long as the two streams are apart. Where rows wander all the time some row is always held back, and no target comes to a boundary: nothing lands, no
   * position is stored, no marker is reported. So the tails stop at markers that are committed on all sources at about one time. Whoever is ahead waits there for the others; when all have come, each value is
   * where it was at that time, once, and no row collides but those of the few milliseconds between the markers.
   *
   * First all are asked whether their tails come to such markers in that time at all: where one is further behind nobody stands.
   *
   * Nobody waits for ever: a tail goes on when all have come, or after some seconds, which are more when it has failed and seldom (a stream that is hours behind, two sources that hold one value).
   */
  async lineUp(clock: Clock, signal: AbortSignal): Promise<void> {
    if (this.#sharers.size < 2 || clock.monotonicMs() < this.#lineUpAtMs) return
    this.#linedUp ??= this.#lineUp(clock, signal).finally(() => (this.#linedUp = null))
    await this.#linedUp
  }

  async #lineUp(clock: Clock, signal: AbortSignal): Promise<void> {
    const limitMs = Math.min(standMsMax, standMs * 2 ** this.#lineUpsFailed)
    const over = new AbortController()
    const until = AbortSignal.any([signal, over.signal])
    // Nobody stands for one that would not come in time.
    if (!(await this.#areNear(limitMs, clock, until))) {
      over.abort()
      this.#lineUpsFailed = Math.min(10, this.#lineUpsFailed + 1)
      this.#lineUpAtMs = clock.monotonicMs() + limitMs
      return
    }
    const standing = Promise.all([...this.#sharers.values()].map((sharer) => sharer.standAtMarker(until)))
    const outcome = await Promise.race([
      standing.then(() => 'lined up' as const),
      clock.sleep(limitMs, until).then(() => 'too late' as const),
    ]).catch(() => 'too late' as const)
    over.abort()
    this.#lineUpsFailed = outcome === 'lined up' ? 0 : Math.min(10, this.#lineUpsFailed + 1)
    if (outcome === 'too late') this.#lineUpAtMs = clock.monotonicMs() + standEvery * limitMs
  }

  async #areNear(limitMs: number, clock: Clock, until: AbortSignal): Promise<boolean> {
    const reading = [...this.#sharers.values()].flatMap(({ readMarker }) => (readMarker === undefined ? [] : [readMarker(until)]))
    if (reading.length === 0) return true
    const late = new AbortController()
    const near = Promise.race([
      Promise.all(reading).then(() => true),
      clock.sleep(limitMs, AbortSignal.any([until, late.signal])).then(() => false),
    ]).catch(() => false)
    return near.finally(() => late.abort())
  }

  /** A stream whose copy an earlier run has finished: nobody waits for it. */
  alreadyCopied(streamUid: string): void {
    this.#done.add(streamUid)
    this.#wake()
  }

  /**
   * A stream has landed its last chunk; resolves when all have and `rebuild` has left nothing to build. One of them does it; when that one's run ends, another.
   * Rejects when its own rebuild failed, or by the signal.
   */
  async copied(streamUid: string, rebuild: Rebuild, clock: Clock, signal: AbortSignal): Promise<void> {
    this.#copied.add(streamUid)
    this.#wake()
    while (!this.#rebuilt) {
      await this.#allCopied(signal)
      if (this.#rebuilding === null) {
        this.#rebuilding = this.#rebuild(rebuild, clock, signal).finally(() => {
          this.#rebuilding = null
          this.#wake()
        })
        await this.#rebuilding
      } else await this.#woken(signal)
    }
    signal.throwIfAborted()
  }

  async #rebuild(rebuild: Rebuild, clock: Clock, signal: AbortSignal): Promise<void> {
    await this.untilWell(rebuild, clock, signal)
    this.#rebuilt = true
  }

  /** Does something alone until it says that nothing stands in the way; between two times all streams of the target pass fresh markers, and say what they wait for. */
  async untilWell(work: Rebuild, clock: Clock, signal: AbortSignal): Promise<void> {
    const sinceMs = clock.nowMs()
    for (let attempt = 0; ; attempt++) {
      const inTheWay = await this.alone(work)
      if (inTheWay === null) return
      const waiting: Waiting = {
        what: inTheWay,
        sinceMs,
        ends: 'the streams apply what came since and it is tried again; if it lasts, rows of the sources do not meet it: correct one of them',
      }
      for (const uid of this.#copied) this.#sharers.get(uid)?.onWaiting(waiting)
      await clock.sleep(Math.min(5_000, 20 * 2 ** Math.min(attempt, 8)), signal)
      await this.#allCopied(signal)
      await this.#passMarkers(signal)
    }
  }

  /** A run that ends meanwhile is none to wait for: it comes back by itself, and the server tells if it was missed. */
  async #passMarkers(signal: AbortSignal): Promise<void> {
    const passing = [...this.#sharers.values()].map((sharer) => sharer.passMarker().catch(() => undefined))
    const aborted = new AbortController()
    try {
      await Promise.race([
        Promise.all(passing),
        new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true, signal: aborted.signal })),
      ])
    } finally {
      aborted.abort()
    }
    signal.throwIfAborted()
  }

  async #allCopied(signal: AbortSignal): Promise<void> {
    while ([...this.#expected].some((uid) => !this.#copied.has(uid) && !this.#done.has(uid))) await this.#woken(signal)
    signal.throwIfAborted()
  }

  async #woken(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const ended = new AbortController()
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true, signal: ended.signal })
    })
    ended.abort()
    signal.throwIfAborted()
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake()
  }
}
