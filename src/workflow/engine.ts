/**
 * The durable engine: takes pending actions from the topology, one at a time for each workflow in the order they were
 * asked for, and runs the verb of the workflow's definition.
 *
 * Why it is safe: only the leader runs it, and every commit it makes carries the condition that the leader's record is
 * still its own (`Leadership.fence`): a leader that was paused past its lease can change nothing any more. An action
 * that was `running` when a leader died is run again by the next one; its completed steps are answered from the record.
 * The outside effects of a verb carry protection of their own (claims, tokens), which is not this room's business.
 *
 * What takes a change back must not wait for what only looks or waits (promise 5): a verb may be said to give way to others. Its context's signal aborts when
 * one of those is asked for, it ends as a verb ends that meets an error, and nothing more: where it does not look at the signal it goes on to its end.
 */
import { isSwError, SwError } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { keys } from '../topology/keys.ts'
import type { Snapshot, Store } from '../topology/store.ts'
import { ActionContext, Failures } from './context.ts'
import type { Leadership } from './context.ts'
import { workflowErrors } from './errors.ts'
import type { ActionError, ActionRecord, WorkflowRecord } from './records.ts'

export type Verb = (context: ActionContext) => Promise<void>

export type Definition = {
  readonly kind: string
  readonly verbs: Readonly<Record<string, Verb>>
  /** By verb: those that it gives way to. */
  readonly givesWayTo?: Readonly<Record<string, readonly string[]>>
}

/** An action under way, and what ends it early. */
class Running {
  readonly #way = new AbortController()
  readonly #action: string
  #verb = ''
  #to: readonly string[] = []

  constructor(action: string) {
    this.#action = action
  }

  get signal(): AbortSignal {
    return this.#way.signal
  }

  begins(verb: string, to: readonly string[]): void {
    this.#verb = verb
    this.#to = to
  }

  look(snapshot: Snapshot, workflowUid: string): void {
    if (this.#to.length === 0 || this.#way.signal.aborted) return
    for (const action of actionsOf(snapshot)) {
      if (action.uid !== workflowUid || action.record.id === this.#action || !this.#to.includes(action.record.verb)) continue
      if (action.record.state === 'pending') this.#way.abort(workflowErrors.gaveWay({ verb: this.#verb, to: action.record.verb }))
    }
  }
}

export type EngineOptions = {
  readonly store: Store
  readonly definitions: readonly Definition[]
  readonly clock: Clock
  readonly log: Log
  readonly leadership: Leadership
}

/** Runs until the leadership ends; rejects only for faults of the store. */
export async function runEngine(options: EngineOptions): Promise<void> {
  const { store, leadership, log } = options
  const running = new Map<string, { readonly action: Running; readonly work: Promise<void> }>()
  const stop = new AbortController()
  const signal = AbortSignal.any([leadership.signal, stop.signal])
  const startDue = (snapshot: Snapshot): void => {
    for (const [workflowUid, { action }] of running) action.look(snapshot, workflowUid)
    for (const [workflowUid, { id }] of due(snapshot)) {
      if (running.has(workflowUid) || signal.aborted) continue
      const action = new Running(id)
      const work = runAction(options, workflowUid, id, action)
        .catch((error: unknown) => log.error({ error, workflowUid, action: id }, 'an action could not be carried out'))
        .then(async () => {
          running.delete(workflowUid)
          // The next one of this workflow may have come while this one ran, and no later change would tell of it.
          if (!signal.aborted) startDue(await store.list(keys.actions))
        })
        .catch((error: unknown) => log.error({ error }, 'the actions could not be read'))
      running.set(workflowUid, { action, work })
    }
  }
  try {
    for await (const snapshot of store.watch(keys.actions, signal)) startDue(snapshot)
  } finally {
    stop.abort()
    await Promise.allSettled([...running.values()].map(({ work }) => work))
  }
}

/** Of each workflow the oldest action that is not finished. */
function due(snapshot: Snapshot): Map<string, ActionRecord> {
  const first = new Map<string, ActionRecord>()
  for (const { uid: workflowUid, record: action } of actionsOf(snapshot)) {
    if (action.state !== 'pending' && action.state !== 'running') continue
    const other = first.get(workflowUid)
    if (
      other === undefined ||
      action.requestedAtMs < other.requestedAtMs ||
      (action.requestedAtMs === other.requestedAtMs && action.id < other.id)
    ) {
      first.set(workflowUid, action)
    }
  }
  return first
}

function* actionsOf(snapshot: Snapshot): Generator<{ uid: string; record: ActionRecord }> {
  for (const entry of snapshot.entries.values())
    yield { uid: entry.key.split('/')[1] ?? '', record: entry.value as unknown as ActionRecord }
}

/** How often an action is carried out whose commits the topology does not tell the outcome of. */
const runsMax = 6

/**
 * An outcome that the topology did not tell (SW-TOPOLOGY-002; a repeat that it refused and that proves nothing, after etcd was lost) is no answer for
 * the person who asked: the action is run again from its start, as the next leader would run it had this one died there. Verbs stand that; what was
 * done is found in the records that they read.
 */
async function runAction(options: EngineOptions, workflowUid: string, actionId: string, running: Running): Promise<void> {
  const { clock, leadership, log } = options
  for (let run = 1; ; run++) {
    try {
      return await runOnce(options, workflowUid, actionId, running, run === runsMax)
    } catch (error) {
      if (!isSwError(error, 'SW-TOPOLOGY-002') || run === runsMax || leadership.signal.aborted) throw error
      log.warn({ workflowUid, action: actionId, run, error }, 'the topology did not tell the outcome of a commit; the action is run again')
      await clock.sleep(50 * 2 ** run, leadership.signal).catch(() => undefined)
    }
  }
}

/** @throws SW-TOPOLOGY-002, unless it is the `last` run: then that is the action's error */
async function runOnce(options: EngineOptions, workflowUid: string, actionId: string, running: Running, last: boolean): Promise<void> {
  const { store, clock, leadership, definitions } = options
  const entry = await store.get(keys.action(workflowUid, actionId))
  const action = entry?.value as unknown as ActionRecord | undefined
  if (action === undefined || (action.state !== 'pending' && action.state !== 'running')) return
  const log = options.log.child({ workflowUid, action: action.id, verb: action.verb })
  const workflow = await findWorkflow(store, workflowUid)
  if (workflow === null) {
    log.warn({}, 'an action of a workflow that is no longer there')
    await store.commit([], [{ key: keys.action(workflowUid, action.id), value: undefined }])
    return
  }
  const { signal } = running
  const context = new ActionContext({ store, clock, log, leadership, workflow, action, signal })
  try {
    await context.begin()
    const definition = definitions.find((d) => d.kind === workflow.kind)
    const verb = definition?.verbs[action.verb]
    if (verb === undefined) {
      throw workflowErrors.unknownVerb({ kind: workflow.kind, verb: action.verb, verbs: Object.keys(definition?.verbs ?? {}).join(', ') })
    }
    running.begins(action.verb, definition?.givesWayTo?.[action.verb] ?? [])
    running.look(await store.list(keys.actions), workflowUid)
    await verb(context)
    await context.finish({ state: 'done' })
  } catch (error) {
    if (leadership.signal.aborted || (error instanceof SwError && error.code === 'SW-WORKFLOW-005')) {
      log.warn({ error }, 'leadership ended; the next leader goes on with this action')
      return
    }
    if (isSwError(error, 'SW-TOPOLOGY-002') && !last) throw error
    const why: unknown = signal.aborted ? signal.reason : error
    log.error({ error: why }, 'an action failed')
    await context.finish({ state: 'failed', errors: errorsOf(why, action.verb) })
  }
}

function errorsOf(error: unknown, verb: string): ActionError[] {
  if (error instanceof Failures) return error.errors.map((e) => e.toJSON())
  if (error instanceof SwError) return [error.toJSON()]
  return [workflowErrors.internal({ verb, message: error instanceof Error ? error.message : String(error) }).toJSON()]
}

async function findWorkflow(store: Store, uid: string): Promise<WorkflowRecord | null> {
  const all = await store.list(keys.workflows)
  for (const entry of all.entries.values()) {
    const workflow = entry.value as unknown as WorkflowRecord
    if (workflow.uid === uid) return workflow
  }
  return null
}
