import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { topologyErrors } from '../topology/errors.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { RoutingRecord } from '../topology/records.ts'
import { attachWorkflow, initialRouting, toOpening, toSwitching } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import { put } from '../topology/typed.ts'
import { decide, readRouting, takeRouting } from './decide.ts'
import type { DecideContext } from './decide.ts'

const hold = { sinceMs: 1, untilMs: 2 }

type Lossy = 'answer lost' | 'request lost'

async function scene(token = 5) {
  const store = new MemoryStore()
  let record: RoutingRecord = initialRouting(['-80', '80-'], token)
  for (const [name, source, targets] of [
    ['a', '-80', ['-40', '40-80']],
    ['b', '80-', ['80-c0', 'c0-']],
  ] as const) {
    const next = attachWorkflow(record, { workflow: name, sources: [source], targets, token })
    assert(next.ok)
    record = next.record
  }
  const lead = await store.commit([], [put(keys.routing('app'), record), put(keys.leader, { v: 1 })])
  assert(lead.ok)
  const losses: Lossy[] = []
  const lossy: Store = {
    get: (key) => store.get(key),
    list: (prefix) => store.list(prefix),
    watch: (prefix, signal) => store.watch(prefix, signal),
    grantLease: (ttlMs) => store.grantLease(ttlMs),
    async commit(conditions, puts) {
      const loss = losses.shift()
      if (loss !== 'request lost') {
        const result = await store.commit(conditions, puts)
        if (loss === undefined) return result
      }
      throw topologyErrors.outcomeUnknown({ keys: 'routing' })
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
  const context: DecideContext = {
    store: lossy,
    clock: systemClock,
    leadership: { token, fence: { key: keys.leader, version: lead.revision }, signal: AbortSignal.timeout(5_000) },
  }
  const change = async (ranges: string[], to: 'switching' | 'back' | 'switched'): Promise<void> => {
    const now = await readRouting(store, 'app')
    const next =
      to === 'switching'
        ? toSwitching(now.value, { ranges, token: now.value.token, hold })
        : toOpening(now.value, { ranges, token: now.value.token, outcome: to })
    assert(next.ok)
    await store.commit([], [put(keys.routing('app'), next.record)])
  }
  return { store, losses, context, change }
}

const toSwitch = (token: number, ranges: string[]) => (record: RoutingRecord) => toSwitching(record, { ranges, token, hold })

describe('decisions on the routing record', () => {
  test('lost to another component’s change: read again, and on', async () => {
    const { context, change } = await scene()
    const base = await readRouting(context.store, 'app')
    await change(['80-'], 'switching')
    const done = await decide(context, 'app', base, toSwitch(5, ['-80']), ['-80'])
    assert.deepEqual(
      done.value.components.map((c) => c.phase),
      ['switching', 'switching'],
    )
  })

  test('somebody else decided on this component: theirs holds', async () => {
    const { context, change } = await scene()
    await change(['-80'], 'switching')
    const base = await readRouting(context.store, 'app')
    await change(['-80'], 'back')
    const switched = (record: RoutingRecord) => toOpening(record, { ranges: ['-80'], token: 5, outcome: 'switched' as const })
    await assert.rejects(decide(context, 'app', base, switched, ['-80']), { code: 'SW-SWITCH-010' })
    assert.deepEqual((await readRouting(context.store, 'app')).value.components[0]?.serving.primary, ['-80'])
  })

  for (const losses of [['answer lost'], ['request lost'], ['request lost', 'answer lost'], ['answer lost', 'answer lost']] as Lossy[][]) {
    test(`no answer (${losses.join(', ')}): read back, and done exactly once`, async () => {
      const scene_ = await scene()
      scene_.losses.push(...losses)
      const base = await readRouting(scene_.store, 'app')
      const done = await decide(scene_.context, 'app', base, toSwitch(5, ['-80']), ['-80'])
      const now = await readRouting(scene_.store, 'app')
      assert.equal(done.version, now.version)
      assert.equal(now.value.components[0]?.phase, 'switching')
    })
  }

  test('a leader whose lease ended commits nothing', async () => {
    const { store, context } = await scene()
    await store.commit([], [put(keys.leader, { v: 1 })])
    await assert.rejects(decide(context, 'app', await readRouting(store, 'app'), toSwitch(5, ['-80']), ['-80']), { code: 'SW-SWITCH-010' })
    assert.equal((await readRouting(store, 'app')).value.components[0]?.phase, 'stable')
  })

  test('the token first: what an older leader prepared fails from then on, and it cannot take it back', async () => {
    const { store, context } = await scene()
    const prepared = await readRouting(store, 'app')
    const lead = await store.commit([], [put(keys.leader, { v: 1 })])
    assert(lead.ok)
    const newer: DecideContext = {
      ...context,
      leadership: { ...context.leadership, token: 6, fence: { key: keys.leader, version: lead.revision } },
    }
    await takeRouting(newer, 'app')
    // Even with a fence that would let it: the record's own version and token refuse.
    const older: DecideContext = { ...context, leadership: { ...context.leadership, fence: newer.leadership.fence } }
    await assert.rejects(decide(older, 'app', prepared, toSwitch(5, ['-80']), ['-80']), { code: 'SW-TOPOLOGY-007' })
    await assert.rejects(takeRouting(older, 'app'), { code: 'SW-TOPOLOGY-007' })
  })
})
