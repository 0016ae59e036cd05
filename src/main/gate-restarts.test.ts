/** Who asks for a restart, and who does it: they meet in the topology, and each outcome can be read there. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { until } from '../../test/kit/until.ts'
import { systemClock } from '../base/clock.ts'
import { listGateRestarts, restartGate } from '../control/gate-restarts.ts'
import type { Drained } from '../gate/gate.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { GateRecord, GateRestart } from '../topology/records.ts'
import { put, readRecord } from '../topology/typed.ts'
import { GateRestarts } from './gate-restarts.ts'
import { mainErrors } from './errors.ts'

const shortMs = 200
let store: MemoryStore
let asked: string[]
let replace: (id: string, draining: (next: string) => Promise<void>) => Promise<Drained | null>
let restarts: GateRestarts
let running: Promise<void>

beforeEach(async () => {
  store = new MemoryStore()
  asked = []
  replace = async (id, draining) => {
    await draining(`${id}-next`)
    return { sessions: 3, cut: 0, ms: 5 }
  }
  for (const id of ['gate-1', 'gate-2', 'gate-other'])
    await store.commit([], [put<GateRecord>(keys.gate(id), { v: 1, id, pid: 1, host: '', port: 1, seen: {}, open: {}, lastHold: {} })])
  const gates = {
    drainMs: 10_000,
    has: (id: string) => /^gate-\d$/.test(id),
    replace: (id: string, draining: (next: string) => Promise<void>) => {
      asked.push(id)
      return replace(id, draining)
    },
  }
  restarts = new GateRestarts(store, systemClock, gates, () => {})
  running = restarts.run()
})
afterEach(async () => {
  restarts.stop()
  await running
})

const ask = (gate: string): ReturnType<typeof restartGate> => restartGate(store, systemClock, gate, 'me', shortMs)
const stateOf = async (gate: string): Promise<string | undefined> =>
  (await readRecord<GateRestart>(store, keys.gateRestart(gate)))?.value.state

test('promise 13: a gate is restarted once, however often that is asked for, and what came of it can be read', async () => {
  await Promise.all([ask('gate-1'), ask('gate-1')])
  await until('it is done', async () => (await stateOf('gate-1')) === 'done')
  assert.equal((await ask('gate-1')).state, 'done')
  assert.deepEqual(asked, ['gate-1'])
  const [done] = await listGateRestarts(store)
  assert.deepEqual([done?.next, done?.drained, done?.actor], ['gate-1-next', { sessions: 3, cut: 0, ms: 5 }, 'me'])
})

test('promise 7: where no other process comes up, that is told with what to do; asked for again, it is tried again', async () => {
  const works = replace
  replace = () => Promise.reject(mainErrors.childFailed({ process: 'gate', seconds: 20, log: '/logs/gate.out' }))
  await ask('gate-1')
  await until('it has failed', async () => (await stateOf('gate-1')) === 'failed')
  assert.match((await listGateRestarts(store))[0]?.problem ?? '', /did not become ready within 20 s; read \/logs\/gate.out/)
  replace = works
  await ask('gate-1')
  await until('it is done', async () => (await stateOf('gate-1')) === 'done')
})

test('promise 7: one that nobody here started is refused, and is not restarted later; one behind another says so', async () => {
  await assert.rejects(ask('gate-0x'), { code: 'SW-API-003' })
  await assert.rejects(ask('gate-other'), { code: 'SW-CONTROL-007' })
  assert.equal(await stateOf('gate-other'), 'failed')
  let release = (): void => {}
  replace = async (id, draining) => {
    await draining(`${id}-next`)
    await new Promise<void>((resolve) => (release = resolve))
    return null
  }
  await ask('gate-1')
  await assert.rejects(ask('gate-2'), { code: 'SW-CONTROL-008', message: /gate-1 is being/ })
  release()
  await until('it is done', async () => (await stateOf('gate-1')) === 'done')
  assert.equal(await stateOf('gate-2'), 'failed')
  assert.deepEqual(asked, ['gate-1'])
})
