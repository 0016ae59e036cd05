/**
 * Takes rows of lookups away that no row has any more (rule 2 of lookup-writes.ts). Always safe to do and never needed for a right answer: whatever is locked, not
 * reachable or in doubt stays for another time: what is locked for some moments later, the rest with the value's next change.
 */
import type { Result } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import type { Backend } from './backend.ts'
import type { Core } from './core.ts'
import { innerConnection, routeInner } from './inner-statements.ts'
import { lookupTable } from './lookup-reads.ts'
import { conditionsOf, idLiteral, nameOf } from './lookup-writes.ts'
import type { LookupEntry } from './plan/lookup.ts'
import type { ShardView } from './view.ts'

const atOnceMax = 4
/** What is locked may be so for a moment only, as by the statement that came next. */
const againAfterMs = [50, 150, 450, null] as const
/** More are let go: nobody waits for a sweep, and memory is bounded. */
const waitingMax = 20_000
/** How long a gate that ends goes on with them. */
const endMs = 1_000

type Batch = { readonly keyspace: string; readonly entries: readonly LookupEntry[] }

/** Of one gate: what ended transactions have left to be swept, behind the back of their clients. */
export class Sweeps {
  readonly #core: Core
  readonly #waiting: Batch[] = []
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()
  #entries = 0

  constructor(core: Core) {
    this.#core = core
  }

  add(keyspace: string, entries: readonly LookupEntry[]): void {
    if (this.#stop.signal.aborted) return
    if (this.#entries + entries.length > waitingMax) {
      this.#core.log.debug({ keyspace, rows: entries.length }, 'rows of lookups are not swept: too many wait')
      return
    }
    this.#waiting.push({ keyspace, entries })
    this.#entries += entries.length
    this.#begin()
  }

  #begin(): void {
    while (this.#running.size < atOnceMax) {
      const batch = this.#waiting.shift()
      if (batch === undefined) return
      const running = sweep(this.#core, batch.keyspace, batch.entries, this.#stop.signal)
        .catch((error: unknown) => this.#core.log.debug({ error }, 'rows of lookups were not swept'))
        .finally(() => {
          this.#running.delete(running)
          this.#entries -= batch.entries.length
          this.#begin()
        })
      this.#running.add(running)
    }
  }

  /** Entries that wait or are being looked at. */
  get count(): number {
    return this.#entries
  }

  /** Nothing waits and nothing runs. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  /** What does not come to its end soon is left: its server may never answer. */
  async stop(): Promise<void> {
    const over = new AbortController()
    await Promise.race([this.settled(), this.#core.clock.sleep(endMs, over.signal).catch(() => {})])
    over.abort()
    this.#stop.abort()
    this.#waiting.length = 0
  }
}

async function sweep(core: Core, keyspace: string, entries: readonly LookupEntry[], stop: AbortSignal): Promise<void> {
  const signal = AbortSignal.any([stop, AbortSignal.timeout(core.config.lookupSweepMs)])
  const keyOf = (entry: LookupEntry): string =>
    `${entry.lookup.lookup.name} ${conditionsOf(entry.lookup.lookup.from, entry)} ${idLiteral(entry)}`
  let left = [...new Map(entries.map((entry) => [keyOf(entry), entry])).values()]
  for (const pauseMs of againAfterMs) {
    const locked: LookupEntry[] = []
    for (const entry of left) {
      if (signal.aborted) return
      await sweepOne(core, keyspace, entry, signal).catch((error: unknown) => {
        if (isServerError(error) && (error.kind === 'lockWait' || error.kind === 'deadlock')) locked.push(entry)
        else core.log.debug({ error }, "a lookup's row was not swept")
      })
    }
    left = locked
    if (left.length === 0 || pauseMs === null) break
    await core.clock.sleep(pauseMs, signal).catch(() => {})
  }
  if (left.length > 0) core.log.debug({ keyspace, rows: left.length }, 'rows of lookups were not swept: they were locked all the time')
}

async function sweepOne(core: Core, keyspace: string, entry: LookupEntry, signal: AbortSignal): Promise<void> {
  const { lookup } = entry.lookup
  const place = lookupTable(lookup, entry.lookup.keyspace)
  const name = nameOf(place.table)
  const where = `${conditionsOf(lookup.from, entry)} AND ${nameOf(lookup.to)} = ${idLiteral(entry)}`
  const parts = await routeInner(core, place.keyspace, Buffer.from(`SELECT 1 FROM ${name} WHERE ${where}`, 'latin1'), signal)
  for (const { shard, text } of parts) {
    // A hold is for writes that can wait: this one can stay undone.
    if (core.holds.active && core.holds.mustWait(place.keyspace, [shard.component.key])) continue
    shard.traffic.writes++
    try {
      await sweepOn(core, shard, signal, async (query) => {
        const there = await query(Buffer.concat([text, Buffer.from(' FOR UPDATE NOWAIT')]))
        if (there.kind === 'rows' && there.rows.length > 0 && !(await stands(core, keyspace, entry, signal)))
          await query(Buffer.from(`DELETE FROM ${name} WHERE ${where}`, 'latin1'))
      })
    } finally {
      shard.traffic.writes--
      if (core.holds.active) core.holds.openChanged(place.keyspace)
    }
  }
}

async function sweepOn(
  core: Core,
  shard: ShardView,
  signal: AbortSignal,
  work: (query: (sql: Buffer) => Promise<Result>) => Promise<void>,
): Promise<void> {
  const backend = await innerConnection(core, shard)
  const leave = cutOff(backend, signal)
  try {
    await backend.connection.query('BEGIN')
    await work((sql) => backend.connection.query(sql))
    await backend.connection.query('COMMIT')
  } catch (error) {
    if (backend.connection.open) await backend.connection.query('ROLLBACK').catch(() => backend.connection.destroy())
    throw error
  } finally {
    leave()
    backend.pool.give(backend)
  }
}

/** Whether a row has the value on the shard of the keyspace id; throws where somebody has such a row under lock. */
async function stands(core: Core, name: string, entry: LookupEntry, signal: AbortSignal): Promise<boolean> {
  const shard = core.keyspace(name).index.find(entry.keyspaceId)
  if (shard === undefined) return true
  const backend = await innerConnection(core, shard)
  const leave = cutOff(backend, signal)
  try {
    const where = conditionsOf(
      entry.lookup.columns.map((column) => column.name),
      entry,
    )
    const text = `SELECT 1 FROM ${nameOf(entry.lookup.table)} WHERE ${where} LIMIT 1 FOR UPDATE NOWAIT`
    const answer = await backend.connection.query(Buffer.from(text, 'latin1'))
    return answer.kind !== 'rows' || answer.rows.length > 0
  } finally {
    leave()
    backend.pool.give(backend)
  }
}

/** A server that does not answer holds up one sweep until its time is over, and no longer. */
function cutOff(backend: Backend, signal: AbortSignal): () => void {
  const cut = (): void => backend.connection.destroy()
  if (signal.aborted) cut()
  signal.addEventListener('abort', cut, { once: true })
  return () => signal.removeEventListener('abort', cut)
}
