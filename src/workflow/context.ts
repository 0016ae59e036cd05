import type { Clock } from '../base/clock.ts'
import type { SwError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Condition, Json, Put, Store } from '../topology/store.ts'
import { keys } from '../topology/keys.ts'
import { updateRecord } from '../topology/typed.ts'
import { AuditTrail } from './audit.ts'
import { workflowErrors } from './errors.ts'
import { withJournal } from './records.ts'
import type { ActionRecord, WorkflowRecord } from './records.ts'

/** The right to change things: ends when `signal` aborts; every commit carries `fence`, so a late one fails. */
export type Leadership = { readonly token: number; readonly fence: Condition; readonly signal: AbortSignal }

/** How the log names a controller: tokens order them, whichever process they are. */
export function controllerName(leadership: Pick<Leadership, 'token'>): string {
  return `controller ${leadership.token}`
}

/** Several failures of one action, found at once. */
export class Failures extends Error {
  override name = 'Failures'
  readonly errors: readonly SwError[]
  constructor(errors: readonly SwError[]) {
    super(errors.map((e) => e.message).join('; '))
    this.errors = errors
  }
}

/**
 * What a verb of a definition works with. A verb may be run again from its start after a crash or a change of leader, at
 * any point: what `step` completed is not run again but answered from the record, everything outside a step must be
 * harmless to repeat.
 */
export class ActionContext {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly leadership: Leadership
  /** Ends with the leadership, and when the action has to give way to another (engine.ts). */
  readonly signal: AbortSignal
  readonly #workflowKey: string
  readonly #actionKey: string
  /** The workflow's log. */
  readonly audit: AuditTrail
  workflow: WorkflowRecord
  action: ActionRecord

  constructor(options: {
    store: Store
    clock: Clock
    log: Log
    leadership: Leadership
    workflow: WorkflowRecord
    action: ActionRecord
    signal?: AbortSignal
  }) {
    this.store = options.store
    this.clock = options.clock
    this.log = options.log
    this.leadership = options.leadership
    const { signal: ends } = options.leadership
    this.signal = options.signal === undefined ? ends : AbortSignal.any([ends, options.signal])
    this.workflow = options.workflow
    this.action = options.action
    this.#workflowKey = keys.workflow(options.workflow.keyspace, options.workflow.name)
    this.#actionKey = keys.action(options.workflow.uid, options.action.id)
    this.audit = new AuditTrail({
      ...options,
      keyspace: options.workflow.keyspace,
      workflow: options.workflow.name,
      actor: controllerName(options.leadership),
      verb: options.action.verb,
      action: options.action.id,
    })
  }

  /** Runs `work` once, durably: its result (JSON) is stored with its name and time, and given back after a restart. */
  async step<T extends Json>(name: string, work: () => Promise<T>, note?: (result: T) => string): Promise<T> {
    const done = this.action.steps.find((step) => step.name === name && step.ms !== null)
    if (done !== undefined) return done.result as T
    const startedMs = this.clock.monotonicMs()
    await this.#change((action) => ({
      ...action,
      steps: [...action.steps.filter((s) => s.name !== name), { name, ms: null, result: null }],
    }))
    const result = await work()
    const ms = Math.round(this.clock.monotonicMs() - startedMs)
    const text = note?.(result)
    await this.#change(
      (action) => ({
        ...action,
        waiting: null,
        steps: action.steps.map((s) => (s.name === name ? { name, ms, ...(text === undefined ? {} : { note: text }), result } : s)),
      }),
      [this.audit.put('step', name, { outcome: text === undefined ? 'done' : `done: ${text}`, ms })],
    )
    return result
  }

  /** Says what the action waits for from now on (promise 7); null when it goes on. */
  async waiting(what: string | null, ends = ''): Promise<void> {
    if ((this.action.waiting?.what ?? null) === what) return
    await this.#change((action) => ({ ...action, waiting: what === null ? null : { what, sinceMs: this.clock.nowMs(), ends } }))
  }

  /** A line for the person who asked. */
  async say(...lines: string[]): Promise<void> {
    await this.#change((action) => ({ ...action, text: [...action.text, ...lines] }))
  }

  async result(result: Json): Promise<void> {
    await this.#change((action) => ({ ...action, result }))
  }

  /** Changes the workflow's record, with other puts in the same commit when given. */
  async updateWorkflow(change: (workflow: WorkflowRecord) => WorkflowRecord, also: readonly Put[] = []): Promise<void> {
    this.workflow = await this.#fenced<WorkflowRecord>(this.#workflowKey, change, also)
  }

  async journal(text: string): Promise<void> {
    await this.updateWorkflow((workflow) => withJournal(workflow, this.clock.nowMs(), text), [this.audit.put('note', text)])
  }

  async finish(outcome: { state: 'done' } | { state: 'failed'; errors: ActionRecord['errors'] }): Promise<void> {
    await this.audit.flush()
    const errors = outcome.state === 'failed' ? outcome.errors : []
    await this.#change(
      (action) => ({ ...action, state: outcome.state, endedAtMs: this.clock.nowMs(), waiting: null, error: errors[0] ?? null, errors }),
      // What was refused before anything was done, and what was begun and failed, read alike; the errors tell them apart.
      [
        ...errors.slice(0, 40).map((error) => this.audit.put('refusal', `${error.code} ${error.what}`, { outcome: error.fix })),
        this.audit.put('outcome', this.action.verb, {
          outcome: outcome.state,
          ms: this.action.startedAtMs === null ? null : this.clock.nowMs() - this.action.startedAtMs,
        }),
      ],
    )
  }

  async begin(): Promise<void> {
    await this.#change((action) => ({ ...action, state: 'running', startedAtMs: action.startedAtMs ?? this.clock.nowMs() }))
  }

  async #change(change: (action: ActionRecord) => ActionRecord, also: readonly Put[] = []): Promise<void> {
    this.action = await this.#fenced<ActionRecord>(this.#actionKey, change, also)
  }

  /** Compare-and-set under the leader's fence: SW-WORKFLOW-005 when it no longer leads. */
  async #fenced<T extends { v: 1 }>(key: string, change: (value: T) => T, also: readonly Put[]): Promise<T> {
    const result = await updateRecord<T>(
      this.store,
      key,
      (current) => (current === null ? null : change(current)),
      [this.leadership.fence],
      also,
    )
    if (!result.ok) throw workflowErrors.notLeader()
    if (result.value === null) throw workflowErrors.gone({ key })
    return result.value
  }
}
