/** PROTOCOLS 1.14: what holds a copy back, for how long, and that a limit changed meanwhile counts at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../base/clock.ts'
import type { PaceLimits } from '../topology/records.ts'
import { moverDefaults } from './config.ts'
import { Throttle } from './throttle.ts'

function world(): {
  clock: Clock
  limits: PaceLimits
  throttle: Throttle
  slept: () => number
  onSleep: (hook: () => void) => void
  seen: string[]
  reasons: Set<string>
} {
  let nowMs = 1_000_000
  let slept = 0
  let hook = (): void => undefined
  const limits = { ...moverDefaults.pace }
  const seen: string[] = []
  const reasons = new Set<string>()
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms
      slept += ms
      if (throttle.waiting !== null) reasons.add(throttle.waiting.reason ?? 'none')
      seen.push(throttle.waiting?.what ?? '')
      hook()
    },
  }
  const throttle = new Throttle(clock, () => limits)
  return { clock, limits, throttle, slept: () => slept, onSleep: (next) => (hook = next), seen, reasons }
}
const never = new AbortController().signal

test('without limits it waits for nothing', async () => {
  const { throttle, slept } = world()
  await throttle.take({ bytes: 1e12, readMs: 1e9 }, never)
  assert.equal(slept(), 0)
})

test('a rate of bytes: 10 MB at 1 MB/s are ten seconds, and nothing is saved up meanwhile', async () => {
  const { throttle, limits, slept, seen, reasons, clock } = world()
  limits.copyBytesPerSecondMax = 1_000_000
  await clock.sleep(60_000)
  await throttle.take({ bytes: 10_000_000, readMs: 0 }, never)
  assert.equal(slept(), 70_000)
  assert.match(seen.at(-1) ?? '', /limit of 1000000 bytes a second/)
  assert.deepEqual([...reasons], ['rate'])
  assert.equal(throttle.waiting, null)
})

test('a share of the source: 100 ms of reading at 0.1 are a second', async () => {
  const { throttle, limits, slept, seen } = world()
  limits.sourceLoadMax = 0.1
  await throttle.take({ bytes: 1, readMs: 100 }, never)
  assert.equal(Math.round(slept()), 1_000)
  assert.match(seen[0] ?? '', /10 % of the time/)
})

test('a limit that is lifted while it waits counts at once', async () => {
  const { throttle, limits, slept, onSleep } = world()
  limits.copyBytesPerSecondMax = 1
  onSleep(() => (limits.copyBytesPerSecondMax = null))
  await throttle.take({ bytes: 1_000_000_000, readMs: 0 }, never)
  assert.ok(slept() <= 200, `${slept()} ms`)
})

test('a pause ends at its time, or when it is taken back', async () => {
  const { throttle, limits, slept, seen, clock, onSleep } = world()
  limits.pausedUntilMs = clock.nowMs() + 5_000
  await throttle.take({ bytes: 1, readMs: 1 }, never)
  assert.equal(slept(), 5_000)
  assert.match(seen[0] ?? '', /paused until 1970/)
  limits.pausedUntilMs = clock.nowMs() + 1e9
  onSleep(() => (limits.pausedUntilMs = null))
  await throttle.take({ bytes: 1, readMs: 1 }, never)
  assert.equal(slept(), 5_200)
})

test('pressure on the servers holds it as long as it lasts, and is named', async () => {
  const { throttle, slept, seen } = world()
  let left = 3
  throttle.pressure = async () => (left-- > 0 ? 'a replica is behind' : null)
  await throttle.take({ bytes: 1, readMs: 1 }, never)
  assert.equal(slept(), 300)
  assert.deepEqual(new Set(seen), new Set(['a replica is behind']))
})

test('one reader that goes on does not hide what holds another', async () => {
  const limits = { ...moverDefaults.pace }
  let nowMs = 1_000_000
  const sleeping: (() => void)[] = []
  const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: () => new Promise((resolve) => sleeping.push(resolve)) }
  const throttle = new Throttle(clock, () => limits)
  const taken = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  let presses = true
  throttle.pressure = async () => (presses ? 'a replica is behind' : null)
  const first = throttle.take({ bytes: 1, readMs: 1 }, never)
  await taken()
  nowMs += 50
  presses = false
  await throttle.take({ bytes: 1, readMs: 1 }, never)
  assert.equal(throttle.waiting?.what, 'a replica is behind')
  assert.equal(throttle.waiting.sinceMs, 1_000_000)
  presses = true
  const gone = new AbortController()
  const second = throttle.take({ bytes: 1, readMs: 1 }, gone.signal)
  await taken()
  gone.abort()
  sleeping[1]?.()
  await second
  assert.equal(throttle.waiting?.what, 'a replica is behind')
  presses = false
  sleeping[0]?.()
  await first
  assert.equal(throttle.waiting, null)
})
