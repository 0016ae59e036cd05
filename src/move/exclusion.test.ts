/** PROTOCOLS 1.12 and 1.6: unique keys of a target that several streams feed are built when all have copied, and again when they met two rows of one value. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../base/clock.ts'
import type { Waiting } from './applier-options.ts'
import { TargetShare } from './exclusion.ts'

/** Time passes at once; sleeps are told. */
const clock: Clock = { nowMs: () => 7, monotonicMs: () => 7, sleep: (_, signal) => Promise.resolve(signal?.throwIfAborted()) }
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

type Seen = { said: string[]; waiting: Waiting[] }

/** Streams a and b; each passes a marker when the test says so. The one that copies last builds. */
function world(): Seen & { share: TargetShare; join: (uid: string) => () => void; pass: (uid: string) => void } {
  const share = new TargetShare(new Set(['a', 'b']))
  const seen: Seen = { said: [], waiting: [] }
  const passing = new Map<string, () => void>()
  return {
    ...seen,
    share,
    join: (uid) =>
      share.join(uid, {
        standAtMarker: () => Promise.resolve(),
        passMarker: () => (seen.said.push(`${uid} asked`), new Promise((resolve) => passing.set(uid, resolve))),
        onWaiting: (waiting) => void seen.waiting.push(waiting),
      }),
    pass: (uid) => passing.get(uid)?.(),
  }
}

test('1.12: a unique key that met two rows of one value is built again, and only when every stream of the target has passed a fresh marker', async () => {
  const { share, join, pass, said, waiting } = world()
  join('a')
  join('b')
  const answers = ['item: Duplicate entry 5', null]
  const build = async (): Promise<string | null> => (said.push('build'), answers.shift() ?? null)
  const { signal } = new AbortController()
  const done = Promise.all(['a', 'b'].map(async (uid) => (await share.copied(uid, build, clock, signal), said.push(`${uid} done`))))
  await settled()
  assert.deepEqual(said, ['build', 'a asked', 'b asked'])
  assert.match(waiting[0]?.what ?? '', /item: Duplicate entry 5/)
  assert.equal(waiting.length, 2, 'both streams say it')
  await share.shared(async () => said.push('rounds go on'))
  pass('b')
  await settled()
  assert.deepEqual(said.slice(3), ['rounds go on'], 'one is not enough')
  pass('a')
  await done
  assert.equal(said[4], 'build')
  assert.deepEqual(said.slice(5).sort(), ['a done', 'b done'])
})

test('1.12: nothing is built before all have copied; a stream whose run ends is waited for again, and another takes over the building', async () => {
  const { share, join, pass, said } = world()
  const leave = join('a')
  join('b')
  const first = new AbortController()
  const answers = ['item: Duplicate entry 5', null]
  const build = (by: string) => async (): Promise<string | null> => (said.push(`build by ${by}`), answers.shift() ?? null)
  const done = share.copied('b', build('b'), clock, new AbortController().signal)
  await settled()
  assert.deepEqual(said, [], 'a has not copied')
  const ended = assert.rejects(share.copied('a', build('a'), clock, first.signal))
  await settled()
  assert.deepEqual(said, ['build by a', 'a asked', 'b asked'])
  first.abort(new Error('connection lost'))
  leave()
  pass('a')
  pass('b')
  await ended
  await settled()
  assert.equal(said.length, 3, 'b waits for a')
  join('a')
  const again = share.copied('a', build('a again'), clock, new AbortController().signal)
  await Promise.all([done, again])
  assert.equal(said.length, 4, 'built once')
})

test('1.12: a rebuild that fails for another reason fails its own stream; the other tries for itself', async () => {
  const { share, join } = world()
  const leave = join('a')
  join('b')
  const { signal } = new AbortController()
  const done = share.copied('b', async () => null, clock, signal)
  const ended = assert.rejects(
    share.copied('a', () => Promise.reject(new Error('table full')), clock, signal),
    /table full/,
  )
  await ended
  leave()
  share.alreadyCopied('a')
  await done
})

test('1.6, promise 7: streams that line up go on when all have come, or when one has not come in time, and then do not again for a while', async () => {
  const share = new TargetShare(new Set())
  let [nowMs, stood] = [0, 0]
  const slept: number[] = []
  const timed: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async (ms) => void (slept.push(ms), (nowMs += ms)) }
  const join = (uid: string, come: () => Promise<void>): void => {
    const standAtMarker = async (until: AbortSignal): Promise<void> => {
      stood++
      until.addEventListener('abort', () => stood--)
      await come()
    }
    share.join(uid, { standAtMarker, passMarker: () => Promise.resolve(), onWaiting: () => undefined })
  }
  join('a', () => Promise.resolve())
  const { signal } = new AbortController()
  await share.lineUp(timed, signal)
  assert.deepEqual(slept, [], 'one alone has nobody to wait for')
  let late = true
  join('b', () => (late ? new Promise(() => undefined) : Promise.resolve()))
  await share.lineUp(timed, signal)
  assert.equal(stood, 0, 'all go on')
  for (let look = 0; look < 5; look++) await share.lineUp(timed, signal)
  assert.deepEqual(slept, [2_000])
  nowMs += 16_000
  await share.lineUp(timed, signal)
  assert.deepEqual(slept, [2_000, 4_000])
  nowMs += 32_000
  late = false
  const neverOver = { ...timed, sleep: () => new Promise<void>(() => undefined) }
  await share.lineUp(neverOver, signal)
  await share.lineUp(neverOver, signal)
  assert.equal(stood, 0)
})

test('1.6, promise 7: nobody stands for a stream whose tail would not come to the marker in time', async () => {
  const share = new TargetShare(new Set())
  const signal = new AbortController().signal
  const asked: string[] = []
  let behind = true
  const clock = { nowMs: () => 0, monotonicMs: () => nowMs, sleep: () => new Promise<void>((resolve) => setImmediate(resolve)) }
  let nowMs = 0
  for (const uid of ['a', 'b'])
    share.join(uid, {
      passMarker: () => Promise.resolve(),
      readMarker: () => (uid === 'b' && behind ? new Promise(() => undefined) : Promise.resolve()),
      standAtMarker: () => (asked.push(uid), Promise.resolve()),
      onWaiting: () => undefined,
    })
  await share.lineUp(clock, signal)
  assert.deepEqual(asked, [])
  behind = false
  nowMs += 2_000
  await share.lineUp(clock, signal)
  assert.deepEqual(asked, ['a', 'b'])
})
