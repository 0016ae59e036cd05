// long: one harness, and what it shows of rows held back
import { statementText, type Statement, type StatementBytes } from '../../src/mysql/statement.ts'
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { ServerError } from '../../src/mysql/errors.ts'
import { modelTable } from './fake-target.ts'
import { Doing } from '../../src/move/doing.ts'
import { noFailpoints } from '../../src/move/crash-points.ts'
import { landingSize } from '../../src/move/landing.ts'
import { HeldStore } from '../../src/move/held-store.ts'
import type { Collided, Lane } from '../../src/move/lane.ts'
import { Pending, type Change, type Stamp } from '../../src/move/pending.ts'
import { stampOf } from '../../src/move/testkit/samples.ts'
import { TargetApplier } from '../../src/move/target-applier.ts'
import { tailRoom } from '../../src/move/tail-room.ts'
import { TouchedKeys } from '../../src/move/touched.ts'

const change = (key: number, value = 0): Change => ({
  table: modelTable,
  key: String(key),
  row: `(${key},1,${key},${value})`,
  images: ['1'],
})

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

/**
 * A target of several sources, and how often a row that another stream's stands in the way of was written there in vain. `lookMs`: what passes between two looks at the clock, as on a machine that
 * has others to serve.
 */
function applier({
  lookMs = 0,
  pendingBytesMax = 1 << 20,
  lane: takes = (): Promise<void> => Promise.resolve(),
  blocked: inTheWay = /^\(7,/,
  redoTo = 0,
  held: kept = [] as readonly Change[],
  stoodAt = null as number | null,
} = {}) {
  let nowMs = 0
  let latest = stampOf()
  let blocked: RegExp | null = inTheWay
  let inVain = 0
  const written: string[] = []
  const said: string[] = []
  const attempts = { transactions: 0, statements: 0 }
  const lane = {
    busySinceMs: null,
    transaction: (statements: readonly Statement[]): Promise<void> => {
      const given = statements.map((statement) => statementText(statement))
      said.push(...given)
      const texts = given.filter((text) => text.startsWith('INSERT INTO `t`'))
      const hit = blocked
      const rows = texts.flatMap((text) => text.match(/\(\d+(?:,\d+)+\)/g) ?? [])
      if (hit !== null && rows.some((row) => hit.test(row))) {
        inVain++
        return Promise.reject(new ServerError(1062, '23000', "Duplicate entry '7' for key 'PRIMARY'"))
      }
      written.push(...rows)
      return takes()
    },
    attempt: async (statements: readonly StatementBytes[]): Promise<Collided> => {
      const collided = new Map<number, ServerError>()
      attempts.transactions++
      attempts.statements += statements.length
      for (const [place, statement] of statements.entries())
        await lane.transaction([statement]).catch((error: ServerError) => collided.set(place, error))
      return collided
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
      read: () => latest.position,
      sourcePosition: () => Promise.resolve(latest.position),
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
    {
      applied: latest,
      intent: { marker: redoTo, groups: 0 },
      ...(stoodAt === null ? {} : { stoodAt: { marker: stoodAt, groups: 0 } }),
      ...(kept.length === 0
        ? {}
        : {
            stoodAt: { marker: redoTo, groups: 0 },
            held: { store: new HeldStore({ streamUid: 's', targetUid: 't', workflowUid: 'w', packetMax: 1 << 20 }), rows: kept },
          }),
    },
  )
  // A test that fails ends its run as well.
  const [run, ended] = [target.run.bind(target), new AbortController()]
  target.run = (signal) => run(AbortSignal.any([signal, ended.signal]))
  ends.push(() => (ended.abort(), target.wake()))
  return {
    target,
    written,
    said,
    attempts,
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
    for (const part of changes) await target.applyPart([part], { marker: 1, groups: group }, ending.signal)
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
  while (!target.whole) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual(
    written.filter((row) => row.startsWith('(7,')),
    ['(7,1,7,5)'],
  )
  ending.abort()
  target.wake()
  await running
})

test('1.6, promise 7: rows held back are tried when their time has come, whenever the clock is looked at and though nobody rings', async () => {
  for (const lookMs of [0.3, 0.5, 0.7, 1, 1.3, 1.9]) {
    const { target, read, inVain } = applier({ lookMs })
    const ending = new AbortController()
    const running = target.run(ending.signal)
    await target.beginParts(ending.signal)
    await target.applyPart([change(7)], { marker: 0, groups: 1 }, ending.signal)
    read({ groups: 1 })
    target.endParts()
    const before = inVain()
    const limit = AbortSignal.timeout(5_000)
    while (inVain() === before && !limit.aborted) await target.space(limit)
    assert.ok(inVain() > before, `${lookMs} ms a look`)
    ending.abort()
    target.wake()
    await running
  }
})

test('1.6, promise 8: a target with a row held back takes no more of what comes behind it than one without: it is written, and only the row waits', async () => {
  const { target, read, written, inVain } = applier({ lookMs: 1, pendingBytesMax: 4_000 })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  target.pending.add(change(7))
  read({ groups: 1 })
  while (inVain() === 0) await new Promise((resolve) => setImmediate(resolve))
  let most = 0
  const limit = AbortSignal.timeout(10_000)
  for (let group = 2; group < 400; group++) {
    await tailRoom([target], () => 8_000, limit, new Doing(systemClock))
    target.pending.add(change(1_000 + group))
    most = Math.max(most, target.heldBytes)
    // No marker comes by.
    read({ groups: group })
  }
  assert.ok(most < 8_500, `${most} bytes at once`)
  assert.equal(target.rowsHeldBack, 1)
  while (!written.includes('(1399,1,1399,0)') && !limit.aborted) await target.space(limit)
  assert.ok(!limit.aborted)
  ending.abort()
  target.wake()
  await running
})

test('1.6: of a round that collides all that passes is written by about one statement a row that does not, few transactions, and none that writes nothing', async () => {
  const { target, read, attempts } = applier({ blocked: /^\(\d*[02468],/ })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  for (let key = 0; key < 1_000; key++) target.pending.add(change(key))
  read({ groups: 1 })
  while (target.rowsHeldBack === 0) await target.space(ending.signal)
  assert.equal(target.rowsHeldBack, 500)
  assert.ok(attempts.transactions < 20 && attempts.statements < 1_100, JSON.stringify(attempts))
  ending.abort()
  target.wake()
  await running
})

test('1.6: what is held back is tried a thousand rows at a time, each in its turn, and no sooner again than it took', async () => {
  const { target, read, unblock, written, later } = applier({ blocked: /^/ })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  for (let key = 0; key < 2_500; key++) target.pending.add(change(key))
  read({ groups: 1 })
  while (target.rowsHeldBack < 2_500) await target.space(ending.signal)
  unblock()
  later(10_000)
  target.wake()
  const limit = AbortSignal.timeout(5_000)
  while (!target.whole && !limit.aborted) await target.space(limit)
  assert.ok(target.whole)
  assert.equal(new Set(written).size, 2_500)
  ending.abort()
  target.wake()
  await running
})

test('1.6, promise 8: rows held back take as much memory as they may, and the tail goes on slowly: what they wait for may be behind them', async () => {
  const { target, read, later } = applier({ blocked: /^/, pendingBytesMax: 200_000 })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  for (let key = 0; key < 800; key++) target.pending.add(change(key))
  read({ groups: 1 })
  while (target.rowsHeldBack < 800) await target.space(ending.signal)
  assert.ok(target.full)
  assert.match(target.waiting?.what ?? '', /800 such rows .* read slowly/)
  later(1_100)
  assert.ok(!target.full, 'it reads on, though nothing of them has gone')
  ending.abort()
  target.wake()
  await running
})

test('1.6: a row that collides while a stream does again what an earlier run had begun is not said to be of another source', async () => {
  for (const [redoTo, said] of [
    [9, /a later time or of another source/],
    [0, /a row of another source/],
  ] as const) {
    const { target, read } = applier({ redoTo })
    const ending = new AbortController()
    const running = target.run(ending.signal)
    target.pending.add(change(7))
    read({ groups: 1 })
    while (target.waiting === null) await target.space(ending.signal)
    assert.match(target.waiting.what, said)
    ending.abort()
    target.wake()
    await running
  }
})

test('1.6, promise 7: a row held back that went with a later part is not said to be waited for', async () => {
  const { target, unblock, later } = applier()
  const ending = new AbortController()
  await target.beginParts(ending.signal)
  await target.applyPart([change(7)], { marker: 0, groups: 1 }, ending.signal)
  assert.equal(target.waiting?.reason, 'collision')
  unblock()
  later(1_000)
  await target.applyPart([change(8)], { marker: 0, groups: 1 }, ending.signal)
  assert.equal(target.rowsHeldBack, 0)
  assert.equal(target.waiting, null)
})

test('promise 7: a target tells what it is at and since when, and no values of rows', async () => {
  const { target, later } = applier()
  const ending = new AbortController()
  const running = target.run(ending.signal)
  await target.beginParts(ending.signal)
  await target.applyPart([change(7, 4711)], { marker: 0, groups: 1 }, ending.signal)
  later(1_500)
  const told = JSON.stringify(target.standing())
  const held = {
    changes: 0,
    full: false,
    heldBack: 1,
    collisionsInRow: 1,
    parts: 'applying',
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
    await target.applyPart([change(group + 10)], { marker: 2, groups: group }, ending.signal)
    read({ marker: 2, groups: group })
    target.endParts()
  }
  assert.ok(passed)
  ending.abort()
  target.wake()
  await running
})

test('1.6, promise 7: how many rows are held back and for how long no position was stored is told, also while they are tried', async () => {
  let entered = (): void => undefined
  let letGo = (): void => undefined
  const { target, read, later, unblock } = applier({
    lane: () => (entered(), new Promise((resolve) => ((letGo = resolve), setTimeout(resolve, 50)))),
  })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  assert.equal(target.positionAgeMs, 0)
  target.pending.add(change(7))
  read({ groups: 1 })
  while (target.rowsHeldBack === 0) await target.space(ending.signal)
  later(30_000)
  assert.ok(target.positionAgeMs >= 30_000)
  const tried = new Promise<void>((resolve) => (entered = resolve))
  unblock()
  target.wake()
  await tried
  assert.equal(target.rowsHeldBack, 1)
  letGo()
  while (!target.whole) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual([target.rowsHeldBack, target.positionAgeMs], [0, 0])
  ending.abort()
  target.wake()
  await running
})

test('1.6, promise 7: rows that an earlier run has kept are held back, wait until the tail is again where the target stood, and keep no tail from getting there', async () => {
  const rows = Array.from({ length: 800 }, (_, key) => change(key))
  const { target, read, inVain, later, unblock } = applier({ held: rows, redoTo: 9, blocked: /^/, pendingBytesMax: 4_000 })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  assert.equal(target.rowsHeldBack, 800)
  for (let marker = 2; marker < 9; marker++) {
    read({ marker, groups: 0 })
    later(500)
    target.wake()
    await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual([target.full, target.whole, inVain()], [false, false, 0])
  }
  read({ marker: 9, groups: 0 })
  while (inVain() === 0) await target.space(ending.signal)
  assert.ok(!target.whole)
  unblock()
  later(10_000)
  target.wake()
  while (!target.whole) await new Promise((resolve) => setTimeout(resolve, 5))
  ending.abort()
  target.wake()
  await running
})

/** Until a statement of that kind was sent. */
async function sent(said: readonly string[], kind: RegExp): Promise<void> {
  while (!said.some((text) => kind.test(text))) await new Promise((resolve) => setTimeout(resolve, 2))
}

test('1.6, promise 3: a stop within a transaction in parts takes away no row that is kept: what is being tried may be refused, and the stored position does not have it', async () => {
  let block = false
  let letGo = (): void => undefined
  let entered = (): void => undefined
  const { target, read, later, said } = applier({
    lane: () => (block ? (entered(), new Promise((resolve) => (letGo = resolve))) : Promise.resolve()),
  })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  target.pending.add(change(7))
  read({ groups: 1 })
  while (target.rowsHeldBack === 0) await target.space(ending.signal)
  later(5_000)
  target.wake()
  await sent(said, /^REPLACE INTO _shardwright\.move_held/)
  await sent(said, /^UPDATE _shardwright\.move_stream SET position/)
  await target.beginParts(ending.signal)
  later(5_000)
  const parts = new AbortController()
  const tried = new Promise<void>((resolve) => (entered = resolve))
  const part = target.applyPart([change(8)], { marker: 1, groups: 2 }, parts.signal)
  block = true
  await tried
  ending.abort()
  target.wake()
  await running
  let settled = false
  const settling = target.settle().then(() => (settled = true))
  await new Promise((resolve) => setTimeout(resolve, 60))
  assert.equal(settled, false, 'a part is on its way')
  block = false
  await target.storePositionNow()
  letGo()
  await part
  await settling
  await target.storePositionNow()
  assert.equal(target.rowsHeldBack, 1)
  assert.deepEqual(
    said.filter((text) => text.startsWith('DELETE FROM _shardwright.move_held')),
    [],
  )
})

test('1.5, promise 3: nobody is told that a target is behind a transaction in parts before the position there is stored', async () => {
  const { target, read, said } = applier({ blocked: /^$/ })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  for (const groups of [1, 2]) {
    await target.beginParts(ending.signal)
    await target.applyPart([change(groups)], { marker: 1, groups }, ending.signal)
    assert.equal(target.whole, false)
    read({ groups, marker: 1, controlMarker: groups })
    target.endParts()
    while (!target.whole) await new Promise((resolve) => setTimeout(resolve, 1))
    assert.ok(said.some((text) => text.includes(`at_marker = 1, at_groups = ${groups}, control_marker = ${groups}`)))
    assert.equal(target.controlMarker, groups)
  }
  ending.abort()
  target.wake()
  await running
})

test('1.5, promise 7: transactions in parts follow one another below the intent of an earlier run, too', async () => {
  const { target, read, said } = applier({ blocked: /^$/, redoTo: 9 })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  for (const groups of [1, 2, 3]) {
    await target.beginParts(ending.signal)
    await target.applyPart([change(groups)], { marker: 1, groups }, ending.signal)
    read({ groups, marker: 1 })
    target.endParts()
  }
  await sent(said, /at_marker = 1, at_groups = 3/)
  assert.equal(target.whole, false)
  ending.abort()
  target.wake()
  await running
})

test('1.6, promise 7: a control marker that was reached stays so when a row is held back behind it', async () => {
  const { target, read } = applier()
  const ending = new AbortController()
  const running = target.run(ending.signal)
  read({ groups: 1, controlMarker: 5 })
  while (target.controlMarker < 5) await new Promise((resolve) => setTimeout(resolve, 1))
  target.pending.add(change(7))
  read({ groups: 2, controlMarker: 6 })
  while (target.rowsHeldBack === 0) await target.space(ending.signal)
  assert.equal(target.controlMarker, 5)
  ending.abort()
  target.wake()
  await running
})

test('1.5: a run that is stopped before it comes to where the target stood stores no position behind that', async () => {
  const { target, read, said } = applier({ stoodAt: 9 })
  const ending = new AbortController()
  const running = target.run(ending.signal)
  for (const marker of [2, 10]) {
    read({ marker, groups: 0 })
    while (target.applied.marker < marker) await new Promise((resolve) => setTimeout(resolve, 1))
    await target.storePositionNow()
    assert.equal(
      said.some((text) => text.includes('SET position')),
      marker > 9,
    )
  }
  ending.abort()
  target.wake()
  await running
})

test('1.6, promise 7: no statement that keeps rows is longer than the target takes; a row that would be is not kept', async () => {
  const store = new HeldStore({ streamUid: 's', targetUid: 't', workflowUid: 'w', packetMax: 64 << 10 })
  const held = new Pending()
  const zeros = (key: number, bytes: number): Change => ({ ...change(key), row: `(${key},1,${key},'${'\0'.repeat(bytes)}')` })
  for (let key = 0; key < 40; key++) held.add(zeros(key, 1_000))
  assert.equal(store.mayKeep(held), true)
  const lengths: number[] = []
  await store.keep(held, { transaction: (statements) => (lengths.push(...statements.map((one) => String(one).length)), Promise.resolve()) })
  assert.ok(lengths.length > 1 && Math.max(...lengths) < 64 << 10, lengths.join())
  held.add(zeros(40, 6_000))
  assert.equal(store.mayKeep(held), false)
})
