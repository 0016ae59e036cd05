/** PROTOCOLS 1.9: keys of XA transactions whose commit may not be visible yet, above their budget. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import type { TablePlan } from './table-plan.ts'
import { TouchedKeys } from './touched.ts'
import { XaUpkeep } from './xa-upkeep.ts'
import type { TargetXaStore } from './xa.ts'

const table = { name: 't' } as unknown as TablePlan
/** As XA RECOVER tells it, and as the tail does. */
const recovered = { formatID: '1', gtrid_length: '1', bqual_length: '0', data: Buffer.from('a') }
const xid = "X'61',X'',1"

function world() {
  const touched = new TouchedKeys<TablePlan>()
  const state = { nowMs: 5_000, known: true, pauses: [] as number[], next: (): void => undefined }
  const clock = {
    ...systemClock,
    nowMs: () => state.nowMs,
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        state.pauses.push(ms)
        state.next = resolve
        signal?.addEventListener('abort', () => resolve())
      }),
  }
  const source = { flavour: 'mariadb', all: () => Promise.resolve(state.known ? [recovered] : []) }
  const xa = { keeps: false, forget: () => Promise.resolve() }
  const upkeep = new XaUpkeep({
    xa: xa as unknown as TargetXaStore,
    touched,
    copying: new Set([table]),
    keysBytesMax: () => 100,
    source: source as unknown as Connection,
    clock,
  })
  const brings = (key: string): void => {
    touched.addUnproven(table, key, xid)
    upkeep.keysTouched(null)
  }
  const paused = async (times: number): Promise<void> => {
    while (state.pauses.length < times) await new Promise((resolve) => setImmediate(resolve))
  }
  return { touched, state, upkeep, brings, paused }
}

test('1.9, promise 8: keys are dropped above their budget, with no copier too', () => {
  const { touched, upkeep, brings } = world()
  brings('1')
  assert.deepEqual([touched.unprovenBytes > 0, touched.mustProve, upkeep.waiting], [true, false, null])
  for (let key = 2; key < 100; key++) brings(String(key))
  assert.deepEqual([touched.unprovenBytes, touched.mustProve], [0, true])
})

test('1.9, promise 7: the copy that waits until the source has forgotten a transaction says so, and that is asked for at once and often', async () => {
  const { touched, state, upkeep, brings, paused } = world()
  const stop = new AbortController()
  const running = upkeep.run(
    () => 0,
    () => ({ ordinal: 0, marker: 0 }),
    stop.signal,
  )
  await paused(1)
  for (const key of ['1', '2']) brings(key)
  await paused(2)
  assert.deepEqual(state.pauses, [1_000, 100], 'asked before the second is over')
  assert.deepEqual([upkeep.waiting?.reason, upkeep.waiting?.sinceMs], ['xa', 5_000])
  state.nowMs += 100
  state.next()
  await paused(3)
  assert.deepEqual([state.pauses.at(-1), upkeep.waiting?.sinceMs], [100, 5_000])
  state.known = false
  state.next()
  await paused(4)
  assert.deepEqual([state.pauses.at(-1), touched.mustProve, upkeep.waiting], [1_000, false, null])
  stop.abort()
  await running
})
