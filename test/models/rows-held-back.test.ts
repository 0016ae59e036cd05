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

/** A target of several sources, and how often a row that another stream's stands in the way of was written there in vain. */
function applier() {
  let nowMs = 0
  let latest = stampOf()
  let blocked: string | null = '(7,'
  let inVain = 0
  const written: string[] = []
  const lane = {
    transaction: (statements: readonly (string | Buffer)[]): Promise<void> => {
      const texts = statements.map(String).filter((text) => text.startsWith('INSERT INTO `t`'))
      const hit = blocked
      if (hit !== null && texts.some((text) => text.includes(hit))) {
        inVain++
        return Promise.reject(new ServerError(1062, '23000', "Duplicate entry '7' for key 'PRIMARY'"))
      }
      written.push(...texts.flatMap((text) => text.match(/\(\d+(?:,\d+)+\)/g) ?? []))
      return Promise.resolve()
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
      clock: { ...systemClock, monotonicMs: () => nowMs },
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
      pendingBytesMax: () => 1 << 20,
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
