import { randomUUID } from 'node:crypto'
import { keys } from '../topology/keys.ts'
import type { Json, Put, Store } from '../topology/store.ts'
import { auditPut } from './audit.ts'
import { workflowErrors } from './errors.ts'
import { newAction } from './records.ts'
import type { ActionRecord, WorkflowRecord } from './records.ts'

/**
 * Enters a request for an action, once however often it is sent: the same id with the same verb and arguments answers the
 * record that is there. Errors: SW-WORKFLOW-003 no such workflow, -004 the id names another request.
 */
export async function requestAction(
  store: Store,
  request: { keyspace: string; name: string; id: string; verb: string; args: Json; nowMs: number; actor?: string },
): Promise<ActionRecord> {
  const entry = await store.get(keys.workflow(request.keyspace, request.name))
  if (entry === null) throw workflowErrors.notFound({ keyspace: request.keyspace, name: request.name })
  const workflow = entry.value as unknown as WorkflowRecord
  const key = keys.action(workflow.uid, request.id)
  const action = newAction(request.id, request.verb, request.args, request.nowMs, request.actor)
  const result = await store.commit(
    [{ key, version: 0 }],
    [{ key, value: action as unknown as Json }, requested(request, request.verb, request.args)],
  )
  if (result.ok) return action
  return existing(store, key, request)
}

/**
 * Makes a workflow's record and its `create` action in one commit. A name is free again when its last workflow ended.
 * Errors: SW-WORKFLOW-002 the name is in use, -004 the id names another request.
 */
export async function requestCreate(
  store: Store,
  request: { id: string; keyspace: string; name: string; kind: string; spec: Json; data: Json; args: Json; nowMs: number; actor?: string },
  /** What goes into the same commit, by the new workflow's uid. */
  also: (workflowUid: string) => readonly Put[] = () => [],
): Promise<{ workflow: WorkflowRecord; action: ActionRecord }> {
  const key = keys.workflow(request.keyspace, request.name)
  const entry = await store.get(key)
  const last = entry === null ? null : (entry.value as unknown as WorkflowRecord)
  if (last !== null) {
    const again = await store.get(keys.action(last.uid, request.id))
    if (again !== null) {
      const action = again.value as unknown as ActionRecord
      const same = action.verb === 'create' && last.kind === request.kind && sameJson(last.spec, request.spec)
      if (!same) throw workflowErrors.idInUse({ id: request.id, verb: action.verb === 'create' ? 'another create' : action.verb })
      return { workflow: last, action }
    }
    if (!last.ended) throw workflowErrors.nameInUse({ name: request.name, keyspace: request.keyspace, state: last.state })
  }
  const workflow: WorkflowRecord = {
    v: 1,
    uid: randomUUID(),
    keyspace: request.keyspace,
    name: request.name,
    kind: request.kind,
    state: 'creating',
    ended: false,
    spec: request.spec,
    data: request.data,
    createdAtMs: request.nowMs,
    journal: [{ atMs: request.nowMs, text: 'asked for' }],
  }
  const action = newAction(request.id, 'create', request.args, request.nowMs, request.actor)
  const result = await store.commit(
    [{ key, version: entry?.version ?? 0 }],
    [
      { key, value: workflow as unknown as Json },
      { key: keys.action(workflow.uid, action.id), value: action as unknown as Json },
      requested(request, 'create', request.spec),
      ...also(workflow.uid),
    ],
  )
  if (!result.ok) return requestCreate(store, request, also)
  return { workflow, action }
}

function requested(
  request: { keyspace: string; name: string; id: string; nowMs: number; actor?: string },
  verb: string,
  inputs: Json,
): Put {
  const { keyspace, name, id, nowMs, actor = 'unknown' } = request
  const entry = { atMs: nowMs, actor, kind: 'request', verb, action: id, what: verb, inputs, outcome: 'taken', ms: null } as const
  return auditPut(keyspace, name, entry)
}

async function existing(store: Store, key: string, request: { id: string; verb: string; args: Json }): Promise<ActionRecord> {
  const entry = await store.get(key)
  const action = entry?.value as unknown as ActionRecord | undefined
  if (action === undefined || action.verb !== request.verb)
    throw workflowErrors.idInUse({ id: request.id, verb: action?.verb ?? 'removed' })
  if (!sameJson(action.args, request.args)) throw workflowErrors.idInUse({ id: request.id, verb: `${action.verb} with other arguments` })
  return action
}

/** Equal whatever the order of their keys; a key without a value is no key. */
function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  return canonical(a) === canonical(b)
}

function canonical(value: Json | undefined): string {
  return (
    JSON.stringify(value, (_key, part: unknown) =>
      part !== null && typeof part === 'object' && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([x], [y]) => (x < y ? -1 : 1)))
        : part,
    ) ?? ''
  )
}
