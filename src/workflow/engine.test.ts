import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { keys } from '../topology/keys.ts'
import { topologyErrors } from '../topology/errors.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { Store } from '../topology/store.ts'
import type { ActionContext, Leadership } from './context.ts'
import { runEngine } from './engine.ts'
import type { Definition } from './engine.ts'
import type { ActionRecord } from './records.ts'
import { until } from '../../test/kit/until.ts'
import { requestAction, requestCreate } from './requests.ts'

async function lead(store: Store, token: number): Promise<Leadership & { end: AbortController }> {
  const entry = await store.get(keys.leader)
  const result = await store.commit([], [{ key: keys.leader, value: { v: 1, holder: `c${token}`, token, address: '' } }])
  assert.ok(result.ok, `taking the lead from ${entry?.version}`)
  const end = new AbortController()
  return { token, fence: { key: keys.leader, version: result.revision }, signal: end.signal, end }
}

async function ended(store: Store, workflowUid: string, id: string): Promise<ActionRecord> {
  for await (const snapshot of store.watch(keys.actions, AbortSignal.timeout(15_000))) {
    const action = snapshot.entries.get(keys.action(workflowUid, id))?.value as unknown as ActionRecord | undefined
    if (action?.state === 'done' || action?.state === 'failed') return action
  }
  throw new Error('the action did not end in time')
}

const create = { keyspace: 'k', name: 'w', kind: 'test', spec: {}, data: {}, args: {}, nowMs: 1 }

function engineOf(store: Store, leadership: Leadership, definition: Definition): Promise<void> {
  return runEngine({ store, definitions: [definition], clock: systemClock, log: silentLog, leadership })
}

test('promise 13: the same request twice is one run, and another request under its id is refused', async () => {
  const store = new MemoryStore()
  let runs = 0
  const leadership = await lead(store, 1)
  const engine = engineOf(store, leadership, {
    kind: 'test',
    verbs: { create: async () => {}, go: async () => void runs++, other: async () => {} },
  })
  const { workflow } = await requestCreate(store, { ...create, id: 'create-1' })
  assert.equal((await requestCreate(store, { ...create, id: 'create-1' })).workflow.uid, workflow.uid)
  await assert.rejects(requestCreate(store, { ...create, id: 'create-2' }), { code: 'SW-WORKFLOW-002' })
  await requestAction(store, { keyspace: 'k', name: 'w', id: 'go-1', verb: 'go', args: {}, nowMs: 2 })
  await ended(store, workflow.uid, 'go-1')
  const again = await requestAction(store, { keyspace: 'k', name: 'w', id: 'go-1', verb: 'go', args: {}, nowMs: 3 })
  assert.equal(again.state, 'done')
  await assert.rejects(requestAction(store, { keyspace: 'k', name: 'w', id: 'go-1', verb: 'other', args: {}, nowMs: 3 }), {
    code: 'SW-WORKFLOW-004',
  })
  assert.equal(runs, 1)
  leadership.end.abort()
  await engine
})

test('a new leader goes on where the old one stopped: finished steps are answered, not run again; the old one can change nothing', async () => {
  const store = new MemoryStore()
  const ran: string[] = []
  let reachedB: () => void = () => {}
  const atB = new Promise<void>((resolve) => (reachedB = resolve))
  let goOn: () => void = () => {}
  const released = new Promise<void>((resolve) => (goOn = resolve))
  const definition = (who: string): Definition => ({
    kind: 'test',
    verbs: {
      create: async (context) => {
        const a = await context.step('a', async () => (ran.push(`${who}:a`), 42))
        await context.step('b', async () => {
          ran.push(`${who}:b`)
          if (who === 'old') {
            reachedB()
            await released
          }
          return a + 1
        })
        await context.updateWorkflow((w) => ({ ...w, state: `made by ${who}` }))
      },
    },
  })
  const old = await lead(store, 1)
  const oldEngine = engineOf(store, old, definition('old'))
  const { workflow } = await requestCreate(store, { ...create, id: 'create-1' })
  await atB
  const fresh = await lead(store, 2)
  const freshEngine = engineOf(store, fresh, definition('new'))
  const action = await ended(store, workflow.uid, 'create-1')
  assert.deepEqual(
    action.steps.map((s) => [s.name, s.result]),
    [
      ['a', 42],
      ['b', 43],
    ],
  )
  goOn()
  old.end.abort()
  await oldEngine
  assert.deepEqual(ran, ['old:a', 'old:b', 'new:b'])
  assert.deepEqual(
    [(await store.get(keys.workflow('k', 'w')))?.value].map((value) => (value as { state: string }).state),
    ['made by new'],
  )
  fresh.end.abort()
  await freshEngine
})

test('actions of one workflow run one after the other in the order they were asked for', async () => {
  const store = new MemoryStore()
  const order: string[] = []
  let inside = 0
  const leadership = await lead(store, 1)
  const verb = (name: string) => async () => {
    assert.equal(++inside, 1)
    await systemClock.sleep(1)
    order.push(name)
    inside--
  }
  const { workflow } = await requestCreate(store, { ...create, id: 'create-1' })
  for (const [i, name] of ['x', 'y', 'z'].entries())
    await requestAction(store, { keyspace: 'k', name: 'w', id: `id-${name}`, verb: name, args: {}, nowMs: 10 + i })
  const engine = engineOf(store, leadership, { kind: 'test', verbs: { create: verb('create'), x: verb('x'), y: verb('y'), z: verb('z') } })
  await ended(store, workflow.uid, 'id-z')
  assert.deepEqual(order, ['create', 'x', 'y', 'z'])
  leadership.end.abort()
  await engine
})

test('promise 5: what only looks or waits gives way to what takes the change back, and what does neither is waited for', async () => {
  const store = new MemoryStore()
  const order: string[] = []
  const leadership = await lead(store, 1)
  const looks = async ({ signal, action }: ActionContext): Promise<void> => {
    order.push(`${action.id} begins`)
    await systemClock.sleep(60_000, signal)
  }
  let goOn: () => void = () => {}
  const released = new Promise<void>((resolve) => (goOn = resolve))
  const engine = engineOf(store, leadership, {
    kind: 'test',
    verbs: {
      create: async () => {},
      look: looks,
      other: looks,
      work: async ({ signal, action }) => {
        await released
        order.push(`${action.id} ends ${signal.aborted}`)
      },
      back: async ({ action }) => void order.push(action.id),
    },
    givesWayTo: { look: ['back'] },
  })
  const { workflow } = await requestCreate(store, { ...create, id: 'create-1' })
  const ask = (id: string, verb: string, nowMs: number): Promise<unknown> =>
    requestAction(store, { keyspace: 'k', name: 'w', id, verb, args: {}, nowMs })
  await ask('look-1', 'look', 10)
  await until('the look', () => order.includes('look-1 begins'))
  // One that is asked for while another waits in front of it: that gives way as soon as it begins.
  await ask('look-2', 'look', 11)
  await ask('back-1', 'back', 12)
  await ended(store, workflow.uid, 'back-1')
  for (const id of ['look-1', 'look-2']) {
    const { state, error } = await ended(store, workflow.uid, id)
    assert.deepEqual([state, error?.code], ['failed', 'SW-WORKFLOW-008'], id)
    assert.match(error?.what ?? '', /look gave way to back/)
  }
  await ask('work-1', 'work', 13)
  await ask('back-2', 'back', 14)
  goOn()
  await ended(store, workflow.uid, 'back-2')
  assert.deepEqual(order, ['look-1 begins', 'look-2 begins', 'back-1', 'work-1 ends false', 'back-2'])
  leadership.end.abort()
  await engine
})

test('promises 9, 13: a verb that met a commit of unknown outcome is run again until one is known; only one that stays unknown is told', async () => {
  const store = new MemoryStore()
  const leadership = await lead(store, 1)
  const runs = { soon: 0, never: 0 }
  const unknown = (): Error => topologyErrors.outcomeUnknown({ keys: 'routing/k' })
  const engine = engineOf(store, leadership, {
    kind: 'test',
    verbs: {
      create: async () => {},
      soon: async () => {
        if (++runs.soon < 3) throw unknown()
      },
      never: async () => {
        runs.never++
        throw unknown()
      },
    },
  })
  const { workflow } = await requestCreate(store, { ...create, id: 'create-1' })
  for (const verb of ['soon', 'never'] as const)
    await requestAction(store, { keyspace: 'k', name: 'w', id: `${verb}-1`, verb, args: {}, nowMs: 2 })
  assert.equal((await ended(store, workflow.uid, 'soon-1')).state, 'done')
  assert.equal(runs.soon, 3)
  const never = await ended(store, workflow.uid, 'never-1')
  assert.deepEqual([never.state, never.error?.code, runs.never], ['failed', 'SW-TOPOLOGY-002', 6])
  leadership.end.abort()
  await engine
})
