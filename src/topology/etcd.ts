/**
 * The store in etcd (3.4 and later), for installations of several machines. Passes `conformance.ts`.
 *
 * - A key's version is etcd's mod_revision, so versions only grow and never come back. `commit` is one etcd transaction.
 * - **Lost answers.** Each stored value carries the id of the commit that wrote it. When the answer to a commit is lost and one of its
 *   conditions is on a key that it puts, the same transaction is sent again: of two copies at most one can take effect, since the
 *   first changes that key's version. A refused second copy is read back: any of its keys with our id proves that the first was done. What
 *   cannot be proven is SW-TOPOLOGY-002, and so is every lost commit without such a condition (a late copy could undo a newer one).
 * - **Watches** go on from the revision after the last that was seen, at whichever endpoint answers; one that asks for compacted history
 *   reads all anew. A watch says nothing while nothing changes, also when its connection is dead: so as long as there are watches, a read
 *   by quorum is sent every second to the endpoint that they are on, and one without an answer moves them all to the next.
 * - **Leases** are etcd's, in whole seconds and never shorter than asked for; etcd may end one later (its own least is 1.5 election
 *   time-outs), never earlier.
 * - An etcd that was restored from an older copy is refused: versions would come back.
 */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import { systemClock } from '../base/clock.ts'
import { topologyErrors } from './errors.ts'
import { EtcdClient, EtcdError } from './etcd-client.ts'
import type { EtcdClientOptions } from './etcd-client.ts'
import { entryOf, rangeOf, textOf } from './etcd-values.ts'
import type { EtcdKeyValue } from './etcd-values.ts'
import { EtcdWatches } from './etcd-watch.ts'
import type { CommitResult, Condition, Entry, Lease, Put, Snapshot, Store } from './store.ts'

export type EtcdStoreOptions = EtcdClientOptions & {
  /** Ends with '/'. */
  readonly prefix: string
  readonly clock?: Clock
  /** For one answer. */
  readonly requestMs?: number
  /** How long reads, and commits of which nothing was sent, are tried at all endpoints in turn. Default 10 s. */
  readonly patienceMs?: number
}

type RangeAnswer = { revision: number; kvs: EtcdKeyValue[] }

export class EtcdStore implements Store {
  readonly #client: EtcdClient
  readonly #prefix: string
  readonly #clock: Clock
  readonly #requestMs: number
  readonly #patienceMs: number
  readonly #closed = new AbortController()
  readonly #watches: EtcdWatches
  readonly #handle = randomBytes(6).toString('base64url')
  #commits = 0
  #revisionMax = 0

  constructor(options: EtcdStoreOptions) {
    this.#client = new EtcdClient(options)
    this.#prefix = options.prefix
    this.#clock = options.clock ?? systemClock
    this.#requestMs = options.requestMs ?? 3_000
    this.#patienceMs = options.patienceMs ?? 10_000
    this.#watches = new EtcdWatches({
      client: this.#client,
      prefix: this.#prefix,
      clock: this.#clock,
      requestMs: this.#requestMs,
      closed: this.#closed.signal,
      list: (prefix) => this.list(prefix),
      probe: () => this.#probe(),
    })
  }

  async get(key: string): Promise<Entry | null> {
    const answer = await this.#range({ key: this.#key(key) })
    const kv = answer.kvs[0]
    return kv === undefined ? null : entryOf(kv, this.#prefix)
  }

  async list(prefix: string, except?: string): Promise<Snapshot> {
    const whole = rangeOf(this.#prefix + prefix)
    const { revision, kvs } = await (except === undefined ? this.#range(whole) : this.#around(whole, rangeOf(this.#prefix + except)))
    const entries = kvs.map((kv) => entryOf(kv, this.#prefix))
    return { revision, entries: new Map(entries.map((entry) => [entry.key, entry])) }
  }

  async commit(conditions: readonly Condition[], puts: readonly Put[]): Promise<CommitResult> {
    const id = `${this.#handle}.${++this.#commits}`
    // etcd refuses a transaction that names a key twice; the last one counts, as elsewhere.
    const last = [...new Map(puts.map((put) => [put.key, put])).values()]
    const body = this.#transaction(conditions, last, id)
    const guarded = conditions.some((condition) => last.some((put) => put.key === condition.key))
    const keysTouched = last.map((put) => put.key).join(', ')
    const startedMs = this.#clock.monotonicMs()
    let lost = false
    for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 2, 200)) {
      this.#requireOpen()
      const at = this.#client.at
      try {
        const { answer, revision } = await this.#ask('/v3/kv/txn', body, this.#requestMs)
        if (answer['succeeded'] === true) return { ok: true, revision }
        const conflicts = conflictsOf(conditions, answer)
        if (!lost) return { ok: false, conflicts }
        return await this.#judge(conflicts, conditions, last, id)
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error
        if (/lease not found/.test(error.message)) {
          const lease = last.find((put) => put.leaseId !== undefined)?.leaseId ?? 'of the commit'
          if (!lost) throw topologyErrors.leaseGone({ lease }, error)
          // The first copy may have been done while the lease lived.
          throw topologyErrors.outcomeUnknown({ keys: keysTouched }, error)
        }
        if (error.failure === 'refused') {
          if (lost) throw topologyErrors.outcomeUnknown({ keys: keysTouched }, error)
          throw topologyErrors.refusedByEtcd({ endpoints: this.#client.names, reason: error.message }, error)
        }
        lost ||= error.failure === 'lost'
        this.#client.rotate(at)
        if (lost && !guarded) throw topologyErrors.outcomeUnknown({ keys: keysTouched }, error)
        if (this.#clock.monotonicMs() - startedMs > this.#patienceMs) {
          if (lost) throw topologyErrors.outcomeUnknown({ keys: keysTouched }, error)
          throw this.#unreachable(startedMs, error)
        }
      }
      await this.#clock.sleep(pauseMs)
    }
  }

  watch(prefix: string, signal: AbortSignal): AsyncIterable<Snapshot> {
    return this.#watches.watch(prefix, signal)
  }

  async grantLease(ttlMs: number): Promise<Lease> {
    const seconds = Math.ceil(ttlMs / 1_000)
    // A grant whose answer is lost leaves a lease that nobody renews: it ends by itself.
    const granted = await this.#patiently(() => this.#client.call('/v3/lease/grant', { TTL: seconds }, this.#requestMs))
    const id = String(granted['ID'])
    const gone = (): Error => topologyErrors.leaseGone({ lease: id })
    // Three tries must fit into the time that the lease has.
    const renewMs = Math.max(250, Math.min(this.#requestMs, ttlMs / 3))
    const renew = async (): Promise<void> => {
      const at = this.#client.at
      try {
        const answer = await this.#client.call('/v3/lease/keepalive', { ID: id }, renewMs)
        if (!(Number(answer['TTL'] ?? 0) > 0)) throw gone()
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error
        if (/lease not found/.test(error.message)) throw gone()
        this.#client.rotate(at)
        throw topologyErrors.unreachable({ endpoints: this.#client.names, waitedMs: Math.round(renewMs), reason: error.message }, error)
      }
    }
    const revoke = async (): Promise<void> => {
      if (this.#closed.signal.aborted) return
      try {
        await this.#patiently(() => this.#client.call('/v3/lease/revoke', { ID: id }, this.#requestMs))
      } catch (error) {
        if (!(error instanceof Error) || !/lease not found/.test(error.message)) throw error
      }
    }
    return { id, ttlMs, renew, revoke, [Symbol.asyncDispose]: revoke }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed.signal.aborted) return
    this.#closed.abort()
    await this.#watches.ended()
    this.#client.close()
  }

  #key(key: string): string {
    return Buffer.from(this.#prefix + key).toString('base64')
  }

  #transaction(conditions: readonly Condition[], puts: readonly Put[], id: string): object {
    return {
      compare: conditions.map(({ key, version }) => ({
        target: 'MOD',
        result: 'EQUAL',
        key: this.#key(key),
        mod_revision: String(version),
      })),
      success: puts.map((put) =>
        put.value === undefined
          ? { request_delete_range: { key: this.#key(put.key) } }
          : { request_put: { key: this.#key(put.key), value: textOf(id, put.value), lease: put.leaseId ?? '0' } },
      ),
      failure: conditions.map(({ key }) => ({ request_range: { key: this.#key(key) } })),
    }
  }

  /** The second copy of a commit was refused: was the first one done? */
  async #judge(conflicts: readonly string[], conditions: readonly Condition[], puts: readonly Put[], id: string): Promise<CommitResult> {
    for (const put of puts) {
      if (put.value === undefined) continue
      const kv = (await this.#range({ key: this.#key(put.key) })).kvs[0]
      if (kv !== undefined && entryOf(kv, this.#prefix).commit === id) return { ok: true, revision: Number(kv.mod_revision) }
    }
    // Not done, and a late copy never will be, if a key that it puts is as it was and a version that it wants is gone for good.
    const untouched = conditions.some((one) => puts.some((put) => put.key === one.key) && !conflicts.includes(one.key))
    const never = conditions.some((one) => one.version !== 0 && conflicts.includes(one.key))
    if (untouched && never) return { ok: false, conflicts }
    throw topologyErrors.outcomeUnknown({ keys: puts.map((put) => put.key).join(', ') })
  }

  async #range(range: { key: string; range_end?: string }): Promise<RangeAnswer> {
    const { answer, revision } = await this.#patiently(() => this.#ask('/v3/kv/range', range, this.#requestMs))
    return { revision, kvs: (answer['kvs'] ?? []) as EtcdKeyValue[] }
  }

  /** Both sides of a gap, in one transaction, so of one instant. */
  async #around(whole: { key: string; range_end: string }, gap: { key: string; range_end: string }): Promise<RangeAnswer> {
    const ranges = [
      { key: whole.key, range_end: gap.key },
      { key: gap.range_end, range_end: whole.range_end },
    ]
    const body = { compare: [], success: ranges.map((range) => ({ request_range: range })), failure: [] }
    const { answer, revision } = await this.#patiently(() => this.#ask('/v3/kv/txn', body, this.#requestMs))
    const responses = (answer['responses'] ?? []) as { response_range?: { kvs?: EtcdKeyValue[] } }[]
    return { revision, kvs: responses.flatMap((response) => response.response_range?.kvs ?? []) }
  }

  /** A read by quorum at the endpoint that watches are on, without patience. */
  async #probe(): Promise<void> {
    const range = { key: Buffer.from(this.#prefix).toString('base64'), keys_only: true, limit: '1' }
    await this.#ask('/v3/kv/range', range, Math.min(this.#requestMs, 1_500), this.#closed.signal)
  }

  /** For what may be done twice: tried at every endpoint in turn until one answers. */
  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    const startedMs = this.#clock.monotonicMs()
    for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 2, 200)) {
      this.#requireOpen()
      const at = this.#client.at
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error
        if (error.failure === 'refused') throw topologyErrors.refusedByEtcd({ endpoints: this.#client.names, reason: error.message }, error)
        this.#client.rotate(at)
        if (this.#clock.monotonicMs() - startedMs > this.#patienceMs) throw this.#unreachable(startedMs, error)
      }
      await this.#clock.sleep(pauseMs)
    }
  }

  /** Every answer by quorum is at least as new as whatever was known before it was asked for. */
  async #ask(
    path: string,
    body: object,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<{ answer: Record<string, unknown>; revision: number }> {
    const known = this.#revisionMax
    const answer = await this.#client.call(path, body, timeoutMs, signal)
    const revision = Number((answer['header'] as { revision?: string } | undefined)?.revision ?? 0)
    if (revision < known) {
      const reason = `its revision went back from ${known} to ${revision}: it was restored from an older copy`
      throw topologyErrors.unusable({ path: this.#client.names, reason })
    }
    this.#revisionMax = Math.max(this.#revisionMax, revision)
    return { answer, revision }
  }

  #requireOpen(): void {
    if (this.#closed.signal.aborted) throw topologyErrors.unusable({ path: this.#client.names, reason: 'it was closed' })
  }

  #unreachable(startedMs: number, error: EtcdError): Error {
    const waitedMs = Math.round(this.#clock.monotonicMs() - startedMs)
    return topologyErrors.unreachable({ endpoints: this.#client.names, waitedMs, reason: error.message }, error)
  }
}

/** Keys whose version is not the one wanted, from the reads of the transaction's other branch. */
function conflictsOf(conditions: readonly Condition[], answer: Record<string, unknown>): string[] {
  const responses = (answer['responses'] ?? []) as { response_range?: { kvs?: EtcdKeyValue[] } }[]
  return conditions
    .filter(({ version }, i) => Number(responses[i]?.response_range?.kvs?.[0]?.mod_revision ?? 0) !== version)
    .map(({ key }) => key)
}
