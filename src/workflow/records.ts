import type { Json } from '../topology/store.ts'
import type { ErrorClass } from '../base/errors.ts'

export type JournalEntry = { atMs: number; text: string }

/** A durable change. Its journal explains and decides nothing (PROTOCOLS 3). */
export type WorkflowRecord = {
  v: 1
  uid: string
  keyspace: string
  name: string
  kind: string
  /** A word of the definition's; `ended` tells whether the name is free again. */
  state: string
  ended: boolean
  spec: Json
  /** What the definition has to remember: its own shape. */
  data: Json
  createdAtMs: number
  journal: JournalEntry[]
}

export type ActionError = { code: string; class: ErrorClass; what: string; why: string; fix: string }

export type ActionStep = {
  name: string
  /** null while it runs. */
  ms: number | null
  note?: string
  /** What the step gave: handed back instead of running it again after a restart. */
  result: Json
}

/** One idempotent request to a workflow and its outcome, readable afterwards (promise 13). */
export type ActionRecord = {
  v: 1
  id: string
  verb: string
  args: Json
  /** Who asked, as they say it themselves. */
  actor?: string
  state: 'pending' | 'running' | 'done' | 'failed'
  requestedAtMs: number
  startedAtMs: number | null
  endedAtMs: number | null
  waiting: { what: string; sinceMs: number; ends: string } | null
  steps: ActionStep[]
  text: string[]
  result: Json
  error: ActionError | null
  errors: ActionError[]
}

export const journalEntriesMax = 200

export function withJournal(record: WorkflowRecord, atMs: number, text: string): WorkflowRecord {
  return { ...record, journal: [...record.journal, { atMs, text }].slice(-journalEntriesMax) }
}

export function newAction(id: string, verb: string, args: Json, nowMs: number, actor?: string): ActionRecord {
  return {
    v: 1,
    id,
    verb,
    args,
    ...(actor === undefined ? {} : { actor }),
    state: 'pending',
    requestedAtMs: nowMs,
    startedAtMs: null,
    endedAtMs: null,
    waiting: null,
    steps: [],
    text: [],
    result: null,
    error: null,
    errors: [],
  }
}
