import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Core } from './core.ts'
import { Guard, UserTurns } from './guard.ts'

const core = { turns: new UserTurns(), config: { poolWaitMs: 50 } } as unknown as Core
const guardOf = (concurrent: number): Guard => {
  const guard = new Guard(core, () => {})
  guard.follow({ v: 1, name: 'ann', sha1: '', sha256: '', limits: { concurrent } })
  return guard
}
const { signal } = new AbortController()
const running = (): number => core.turns.of('ann').running

test('never more statements run than a user may have at once: a turn is handed over, and nobody takes it in between', async () => {
  const [first, waits, comes] = [guardOf(1), guardOf(1), guardOf(1)]
  await first.begin(false, signal)
  const turn = waits.begin(false, signal)
  first.end()
  // In the same moment: the one that waits has not woken yet.
  await assert.rejects(comes.begin(false, signal), { code: 'SW-GATE-034' })
  await turn
  assert.equal(running(), 1)
  waits.end()
  assert.equal(running(), 0)
})

test('statements of transactions run beyond the limit, and whoever waits does not come in over them', async () => {
  const [plain, inTransaction, waits] = [guardOf(1), guardOf(1), guardOf(1)]
  await plain.begin(false, signal)
  await inTransaction.begin(true, signal)
  let came = false
  const turn = waits.begin(false, signal).then(() => (came = true))
  plain.end()
  await new Promise(setImmediate)
  assert.deepEqual([came, running()], [false, 1])
  inTransaction.end()
  await turn
  waits.end()
  assert.equal(running(), 0)
})

test('one that was ended or came too late while it waited holds no turn', async () => {
  const [first, late, ended, last] = [guardOf(1), guardOf(1), guardOf(1), guardOf(1)]
  await first.begin(false, signal)
  const abort = new AbortController()
  const killed = ended.begin(false, abort.signal)
  abort.abort(new Error('killed'))
  await assert.rejects(killed, /killed/)
  await assert.rejects(late.begin(false, signal), { code: 'SW-GATE-034' })
  late.end()
  ended.end()
  first.end()
  assert.equal(running(), 0)
  await last.begin(false, signal)
  last.end()
})
