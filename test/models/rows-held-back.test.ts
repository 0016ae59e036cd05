import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { ServerError } from '../../src/mysql/errors.ts'
import { modelTable } from './fake-target.ts'
import { noFailpoints } from '../../src/move/crash-points.ts'
import { landingSize } from '../../src/move/landing.ts'
import type { Lane } from '../../src/move/lane.ts'
import type { Change, Stamp } from '../../src/move/pending.ts'
import { stampOf } from '../../src/move/testkit/samples.ts'
import { TargetApplier } from '../../src/move/target-applier.ts'
import { TouchedKeys } from '../../src/move/touched.ts'

const change = (key: number, value = 0): Change => ({
  table: modelTable,
  key: String(key),
  row: `(${key},1,${key},${value})`,
  images: ['1'],
})

/**
 * A target of several sources, and how often a row that another stream's stands in the way of was written there in vain. `lookMs`: what passes between two looks at the clock, as on a machine that
 * has others to serve.
 */
function applier({ lookMs = 0, pendingBytesMax = 1 << 20, lane: takes = (): Promise<void> => Promise.resolve() } = {}) {
  let nowMs = 0
  let latest = stampOf()
  let blocked: string | null = '(7,'
  let inVain = 0
  const written: string[] = []
  const lane = {
    busySinceMs: null,
    transaction: (statements: readonly (string | Buffer)[]): Promise<void> => {
      const texts = statements.map(String).filter((text) => text.startsWith('INSERT INTO `t`'))
      const hit = blocked
      if (hit !== null && texts.some((text) => text.includes(hit))) {
        inVain++
        return Promise.reject(new ServerError(1062, '23000', "Duplicate entry '7' for key 'PRIMARY'"))
      }
      written.push(...texts.flatMap((text) => text.match(/\(\d+(?:,\d+)+\)/g) ?? []))
      return takes()
    },
  }
  const target = new TargetApplier(
    {
      number: 0,
      streamUid: 's',
      targetUid: 't',
      workflowUid: 'w',
      shard: '-',
      schema: 't',
      mode: 'several-sources',
      lanes: [lane as unknown as Lane],
      touched: new TouchedKeys(),
      clock: { ...systemClock, monotonicMs: () => (nowMs += lookMs) },
      failpoints: noFailpoints,
      latest: () => latest,
      writeMarker: () => Promise.resolve(latest.marker + 1),
      onApplied: () => undefined,
      onLanded: () => undefined,
      onThrownAway: () => undefined,
      work: () => ({ rowsRead: 0, rowsRedone: 0 }),
      fold: () => null,
      landings: () => ({ size: landingSize(1), pressing: false }),
      beforeRound: () => undefined,
      exclusion: { shared: (work) => work(), busy: false },
      pendingBytesMax: () => pendingBytesMax,
      oneLaneChangesMax: 100,
      packetMax: 1 << 20,
      bulkLoad: false,
    },
    { applied: latest, intent: { marker: 0, groups: 0 } },
  )
  return {
    target,
    written,
    inVain: () => inVain,
    later: (ms: number) => void (nowMs += ms),
    unblock: () => void (blocked = null),
    read: (at: Partial<Stamp>) => {
      latest = stampOf({ ...latest, ordinal: latest.ordinal + 1, ...at })
      target.wake()
    },
  }
}

test('1.6: rows held back are not tried again with each transaction in parts: while their time has not come the tail goes on without them; then they are, and something newer of them is at once', async () => {
  const one = applier()
  const { target, written, inVain } = one
  const ending = new AbortController()
  const running = target.run(ending.signal)
  const parts = async (group: number, ...changes: Change[]): Promise<void> => {
    await target.beginParts(ending.signal)
    for (const part of changes) await target.applyPart([part], { marker: 1, groups: group })
    one.read({ groups: group })
    target.endParts()
  }
  await parts(1, change(7), change(8))
  for (let group = 2; group < 40; group++) await parts(group, change(100 + group), change(200 + group))
  assert.ok(written.includes('(239,1,239,0)'))
  assert.ok(inVain() < 12, `${inVain()} attempts`)
  // The newest image is what stands in the end, with all that was seen of the key.
  const before = inVain()
  await parts(40, change(7, 5))
  assert.ok(inVain() > before)
  one.unblock()
  one.later(1_000)
  one.read({ marker: 9, groups: 0 })
  while (!target.consistent) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual(
    written.filter((row) => row.startsWith('(7,')),
    ['(7,1,7,5)'],
  )
  ending.abort()
  target.wake()
  await running
})

test('1.6, promise 7: rows held back that fill what may wait are tried when their time has come, whenever the clock is looked at; else the tail, which brings nothing until then, and the target wait for one another', async () => {
  for (const lookMs of [0.3, 0.5, 0.7, 1, 1.3, 1.9]) {
    const { target, read } = applier({ lookMs, pendingBytesMax: 1 })
    const ending = new AbortController()
    const running = target.run(ending.signal)
    await target.beginParts(ending.signal)
    await target.applyPart([change(7)], { marker: 0, groups: 1 })
    read({ groups: 1 })
    target.endParts()
    assert.ok(target.full, 'the tail brings nothing')
    const limit = AbortSignal.timeout(5_000)
    while (!target.extending && !limit.aborted) await target.space(limit)
    assert.ok(target.extending, `${lookMs} ms a look`)
    ending.abort()
    target.wake()
    await running
  }
})

test('1.6, promise 7: a row held back that went with a later part is not said to be waited for', async () => {
  const { target, unblock, later } = applier()
  const { signal } = new AbortController()
  await target.beginParts(signal)
  await target.applyPart([change(7)], { marker: 0, groups: 1 })
  assert.equal(target.waiting?.reason, 'collision')
  unblock()
  later(1_000)
  await target.applyPart([change(8)], { marker: 0, groups: 1 })
  assert.equal(target.pending.count, 0)
  assert.equal(target.waiting, null)
})

test('promise 7: a target tells what it is at and since when, and no values of rows', async () => {
  const { target, later } = applier({ pendingBytesMax: 1 })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  await target.beginParts(ending.signal)
  await target.applyPart([change(7, 4711)], { marker: 0, groups: 1 })
  later(1_500)
  const told = JSON.stringify(target.standing())
  const held = {
    changes: 1,
    full: true,
    onlyHeld: true,
    collisionsInRow: 1,
    parts: 'applying',
    extendTo: null,
    applied: '1/0',
    read: '1/0',
  }
  assert.deepEqual({ ...JSON.parse(told), ...held }, JSON.parse(told))
  assert.deepEqual(JSON.parse(told).doing, { what: 'waits to be rung for', forMs: 1_500 })
  assert.doesNotMatch(told, /4711/)
  ending.abort()
  target.wake()
  await running
})

test('1.12, promise 7: whoever waits for a target to pass a marker does not wait for the last of transactions in parts that follow one another', async () => {
  const { target, read } = applier({ lane: () => new Promise((resolve) => setTimeout(resolve, 1)) })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  let passed = false
  void target.passed(2, ending.signal).then(() => (passed = true))
  read({ marker: 2, groups: 0 })
  for (let group = 1; group < 200 && !passed; group++) {
    await target.beginParts(ending.signal)
    await target.applyPart([change(group + 10)], { marker: 2, groups: group })
    read({ marker: 2, groups: group })
    target.endParts()
  }
  assert.ok(passed)
  ending.abort()
  target.wake()
  await running
})
