/**
 * The log of a workflow: every request, step, refusal, kill and decision with who, when, what went in and what came of it. Append-only: each
 * entry is a record of its own, put under the condition that it is not there yet, and nothing changes or removes one.
 *
 * What must not be missing goes into the very commit that it tells of (requests, decisions, ends of actions): `auditPut`. What would hold
 * clients up goes beside it, in order and one commit at a time (steps of a switch): `AuditTrail`; a controller that dies may take the last of those with it.
 */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { keys } from '../topology/keys.ts'
import type { Json, Put, Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'

export const auditKinds = ['request', 'step', 'decision', 'kill', 'refusal', 'outcome', 'note'] as const

export type AuditEntry = {
  readonly atMs: number
  /** Who asked, or which controller did it. */
  readonly actor: string
  readonly kind: (typeof auditKinds)[number]
  readonly verb: string | null
  /** The request that it belongs to. */
  readonly action: string | null
  readonly what: string
  readonly inputs: Json
  readonly outcome: string
  readonly ms: number | null
}
export type AuditRecord = AuditEntry & { readonly v: 1 }

/** Of one workflow's name: it outlives a workflow that has ended. */
export function auditPut(keyspace: string, workflow: string, entry: AuditEntry): Put {
  // In the order of time, and never the same key twice.
  const key = `${String(Math.floor(entry.atMs)).padStart(15, '0')}-${String(++counter).padStart(9, '0')}-${randomBytes(4).toString('hex')}`
  const record: AuditRecord = { v: 1, ...entry }
  return { key: keys.audit(keyspace, workflow, key), value: record as unknown as Json }
}
let counter = 0

export async function readAudit(store: Store, keyspace: string, workflow: string): Promise<AuditRecord[]> {
  return (await listRecords<AuditRecord>(store, keys.auditOf(keyspace, workflow))).map((record) => record.value)
}

export type AuditTrailOptions = { store: Store; clock: Clock; log: Log; keyspace: string; workflow: string; actor: string; verb: string; action: string } // prettier-ignore

const gatherMs = 100

/** Entries of one action, written behind its back. */
export class AuditTrail {
  readonly #options: AuditTrailOptions
  #waiting: Put[] = []
  #hurry = new AbortController()
  #writing: Promise<void> | null = null

  constructor(options: AuditTrailOptions) {
    this.#options = options
  }

  entry(kind: AuditEntry['kind'], what: string, more: Partial<AuditEntry> = {}): AuditEntry {
    const { clock, actor, verb, action } = this.#options
    return { atMs: clock.nowMs(), actor, kind, verb, action, what, inputs: null, outcome: '', ms: null, ...more }
  }

  /** For a commit that carries it. */
  put(kind: AuditEntry['kind'], what: string, more: Partial<AuditEntry> = {}): Put {
    return auditPut(this.#options.keyspace, this.#options.workflow, this.entry(kind, what, more))
  }

  append(kind: AuditEntry['kind'], what: string, more: Partial<AuditEntry> = {}): void {
    this.#waiting.push(this.put(kind, what, more))
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null
    })
  }

  /** Until all of it stands. */
  async flush(): Promise<void> {
    this.#hurry.abort()
    while (this.#writing !== null) await this.#writing
    this.#hurry = new AbortController()
  }

  async #write(): Promise<void> {
    const { store, log, clock } = this.#options
    const attemptsMax = 5
    // The steps of a switch follow each other within milliseconds, while clients wait: one commit for several.
    await clock.sleep(gatherMs, this.#hurry.signal).catch(() => undefined)
    // A commit that is too large is refused by etcd: 128 operations.
    for (let batch = this.#waiting.splice(0, 50), attempt = 1; batch.length > 0;) {
      try {
        await store.commit(batch.map(({ key }) => ({ key, version: 0 })), batch) // prettier-ignore
        batch = this.#waiting.splice(0, 50)
        attempt = 1
      } catch (error) {
        if (++attempt > attemptsMax) {
          // The log of the process has them.
          log.error({ error: String(error), entries: batch.map(({ value }) => value) }, 'the log of a workflow could not be written')
          batch = this.#waiting.splice(0, 50)
        } else await clock.sleep(50 * attempt)
      }
    }
  }
}
