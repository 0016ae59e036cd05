import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { whileLeading } from './while-leading.ts'

for (const [begins, expected] of [
  ['at once', ['look', 'warn', 'sleep 7', 'look', 'sleep 7', 'look']],
  ['after a pause', ['sleep 7', 'look', 'warn', 'sleep 7', 'look', 'sleep 7', 'look']],
] as const)
  test(`a look that fails is taken again after a pause; with the lead all of it ends; begun ${begins}`, async () => {
    const lead = new AbortController()
    const done: string[] = []
    let looks = 0
    const log = { ...silentLog, warn: () => void done.push('warn') }
    const clock = {
      ...systemClock,
      sleep: async (ms: number, signal?: AbortSignal) => {
        signal?.throwIfAborted()
        done.push(`sleep ${ms}`)
      },
    }
    const options = { clock, log, leadership: { signal: lead.signal }, everyMs: 7, begins, failing: 'it failed' }
    await whileLeading(options, async () => {
      done.push('look')
      if (++looks === 1) throw new Error('no')
      if (looks < 3) return
      lead.abort(new Error('the lead is over'))
      throw new Error('of no interest any more')
    })
    assert.deepEqual(done, expected)
  })
