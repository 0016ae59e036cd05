/**
 * The ramp of PROTOCOLS 4.14–4.16 as a random model (the part of models/ingest.py that concerns reads), with the code's own rule and decider:
 * two gates that learn of the rule late and may pause, reads under way for any time, shards of both sides that apply each topic partition at
 * their own speed, controllers that die anywhere and are followed by others. No tenant may ever show less than a read that had ended before
 * showed. Each rule that is taken out is found.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { initialReadRule, closeSlots, isClosing, servingSlot, settle } from '../topology/read-rule.ts'
import type { ReadRule } from '../topology/dualwrite-records.ts'
import { behindOf, neededBy, nextRamp, rampStart } from './ramp.ts'
import type { RampDecision, RampEvent, ShardVectors } from './ramp.ts'

type Broken = 'none' | 'no closing' | 'H before the acknowledgements' | 'one partition only' | 'acknowledged with reads under way'

type Read = {
  readonly slot: number
  readonly floor: number
  readonly version: number
  branch: 'main' | 'wide'
  endsAt: number
  shows: number | null
}

const partitions = ['t/0', 't/1']
const limits = { holdMs: 10, nearMs: 0, refuseBehind: true, gatesMs: 60, reachMs: 80 }

function run(seed: number, broken: Broken): string | null {
  const random = rng(seed)
  const chance = (p: number): boolean => random() < p
  const pick = (n: number): number => Math.floor(random() * n)
  let rule: ReadRule = initialReadRule('wide', 'w', [])
  let version = 1
  const sides = {
    main: new Map([['-', new Map(partitions.map((p) => [p, 0n]))]]),
    wide: new Map(['-80', '80-'].map((shard) => [shard, new Map(partitions.map((p) => [p, 0n]))])),
  }
  const ends = new Map(partitions.map((p) => [p, 0n]))
  /** A tenant's rows come from both partitions: a read shows the sum of what its shard has applied of each. */
  const shownBy = (branch: 'main' | 'wide', slot: number): number => {
    const shard = branch === 'main' ? '-' : slot < 5000 ? '-80' : '80-'
    return partitions.reduce((sum, p) => sum + Number(sides[branch].get(shard)?.get(p) ?? 0n), 0)
  }
  const gates = [0, 1].map(() => ({ rule, version, reads: [] as Read[], paused: 0, acknowledged: 1 }))
  const shown = new Map<number, number>()
  let controller: { decision: RampDecision; closedVersion: number; startedAt: number; needed: ShardVectors | null } | null = null
  const vectors = (branch: 'main' | 'wide'): Map<string, Map<string, bigint>> =>
    new Map([...sides[branch]].map(([shard, vector]) => [shard, new Map(vector)]))
  const commit = (expected: number, next: ReadRule): boolean => {
    if (version !== expected) return false
    rule = next
    version++
    return true
  }
  for (let now = 0; now < 1500; now++) {
    for (const p of partitions) if (chance(0.3)) ends.set(p, (ends.get(p) ?? 0n) + 1n)
    for (const side of [sides.main, sides.wide])
      for (const vector of side.values())
        for (const p of partitions)
          if (chance(0.3) && (vector.get(p) ?? 0n) < (ends.get(p) ?? 0n))
            vector.set(
              p,
              (vector.get(p) ?? 0n) + BigInt(1 + pick(2)) > (ends.get(p) ?? 0n) ? (ends.get(p) ?? 0n) : (vector.get(p) ?? 0n) + 1n,
            )
    for (const gate of gates) {
      if (gate.paused > 0) {
        gate.paused--
        continue
      }
      if (chance(0.01)) gate.paused = pick(40)
      if (chance(0.3) && gate.version !== version) {
        gate.rule = rule
        gate.version = version
      }
      for (const read of gate.reads.filter((one) => one.endsAt <= now)) {
        // The server answers at any moment between; it is asked here at the end or was before.
        const value = read.shows ?? shownBy(read.branch, read.slot)
        if (value < read.floor) return `slot ${read.slot} showed ${value} after ${read.floor} at ${now}`
        shown.set(read.slot, Math.max(shown.get(read.slot) ?? 0, value))
        gate.reads.splice(gate.reads.indexOf(read), 1)
      }
      for (const read of gate.reads) if (read.shows === null && chance(0.3)) read.shows = shownBy(read.branch, read.slot)
      const blocked = gate.reads.some((read) => read.version < gate.version && servingSlot(gate.rule, read.slot).kind === 'closing')
      if (!blocked || broken === 'acknowledged with reads under way') gate.acknowledged = gate.version
      if (chance(0.5)) {
        const slot = pick(20) * 500
        const serving = servingSlot(gate.rule, slot)
        if (serving.kind === 'serves')
          gate.reads.push({
            slot,
            floor: shown.get(slot) ?? 0,
            version: gate.version,
            branch: serving.branch as 'main' | 'wide',
            endsAt: now + pick(12),
            shows: null,
          })
      }
    }
    // A controller begins, does one thing at a time, or dies.
    if (controller === null) {
      if (!chance(0.05)) continue
      if (isClosing(rule)) {
        const back = settle(rule, 'back')
        if (back.ok) commit(version, back.rule)
        continue
      }
      controller = { decision: rampStart, closedVersion: 0, startedAt: now, needed: null }
      continue
    }
    if (chance(0.01)) {
      controller = null
      continue
    }
    const c: NonNullable<typeof controller> = controller
    const left = rule.closing === null ? null : rule.closing.toward === 'wide' ? 'main' : 'wide'
    const answering = left === 'main' ? 'wide' : 'main'
    const needed = (): ShardVectors => {
      const from = vectors(left ?? 'main')
      if (broken === 'one partition only') for (const vector of from.values()) vector.delete('t/1')
      return neededBy(from, [...sides[answering].keys()])
    }
    let event: RampEvent | null = null
    switch (c.decision.effect) {
      case 'hold':
        event = { kind: 'held', held: false, behind: null }
        break
      case 'close': {
        const change = closeSlots(rule, pick(21) * 500)
        if (!change.ok) event = { kind: 'close refused', reason: change.reason }
        else if (broken === 'no closing') {
          const at = settle(change.rule, 'toward')
          if (at.ok) commit(version, at.rule)
          event = { kind: 'close refused', reason: 'done at once' }
        } else {
          commit(version, change.rule)
          c.closedVersion = version
          c.startedAt = now
          event = { kind: 'closed' }
        }
        break
      }
      case 'await gates': {
        if (broken === 'H before the acknowledgements' && c.needed === null) c.needed = needed()
        const silent = gates.flatMap((gate, i) => (gate.acknowledged < c.closedVersion ? [`gate ${i}`] : []))
        if (silent.length === 0 || now - c.startedAt > limits.gatesMs) event = { kind: 'acknowledged', silent }
        break
      }
      case 'measure':
        event = { kind: 'measured', needed: c.needed ?? needed(), nowMs: now }
        break
      case 'look':
        event = { kind: 'positions', at: vectors(answering), nowMs: now }
        break
      case 'open':
      case 'back': {
        const change = settle(rule, c.decision.effect === 'open' ? 'toward' : 'back')
        event = { kind: 'settled', done: version === c.closedVersion && change.ok && commit(c.closedVersion, change.rule) }
        break
      }
      case 'none':
        controller = null
    }
    if (controller !== null && event !== null) c.decision = nextRamp(c.decision.state, event, limits)
  }
  return null
}

test('no tenant goes back in time: 200 random runs of ramps both ways, with gates that pause and controllers that die', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const found = run(seed, 'none')
    assert.equal(found, null, `seed ${seed}: ${found}`)
  }
})

for (const broken of ['no closing', 'H before the acknowledgements', 'one partition only', 'acknowledged with reads under way'] as const) {
  test(`the model finds it when the rule is taken out: ${broken}`, () => {
    let seed = 1
    while (seed <= 600 && run(seed, broken) === null) seed++
    assert.ok(seed <= 600, 'not found in 600 runs')
  })
}

test('a step that is given up by somebody else can not open any more; what is not known is waited for, then given up', () => {
  const needed = new Map([['-80', new Map([['t/0', 5n]])]])
  let decision: RampDecision = { state: { kind: 'reaching', needed, untilMs: 100 }, effect: 'look' }
  decision = nextRamp(decision.state, { kind: 'positions', at: new Map(), nowMs: 50 }, limits)
  assert.equal(decision.effect, 'look')
  assert.equal(
    nextRamp(decision.state, { kind: 'positions', at: new Map([['-80', new Map([['t/1', 9n]])]]), nowMs: 60 }, limits).effect,
    'look',
  )
  decision = nextRamp(decision.state, { kind: 'positions', at: new Map([['-80', new Map([['t/0', 4n]])]]), nowMs: 100 }, limits)
  assert.equal(decision.effect, 'back')
  const lost = nextRamp(decision.state, { kind: 'settled', done: false }, limits)
  assert.deepEqual(lost.state, { kind: 'ended', outcome: 'lost', reason: 'another step or controller changed the read rule' })
  assert.equal(nextRamp({ kind: 'closing' }, { kind: 'close refused', reason: 'x' }, limits).effect, 'none')
  assert.equal(nextRamp({ kind: 'acknowledging' }, { kind: 'failed', reason: 'x' }, limits).effect, 'back')
  assert.equal(nextRamp({ kind: 'acknowledging' }, { kind: 'acknowledged', silent: ['gate 1'] }, limits).effect, 'back')
})

test('H of a shard is what all shards of the side being left that meet its range have applied, per topic partition', () => {
  const left = new Map([
    [
      '-80',
      new Map([
        ['t/0', 5n],
        ['t/1', 1n],
      ]),
    ],
    [
      '80-',
      new Map([
        ['t/0', 3n],
        ['t/1', 9n],
      ]),
    ],
  ])
  const needed = neededBy(left, ['-40', '40-c0', 'c0-'])
  assert.deepEqual(Object.fromEntries(needed.get('-40') ?? []), { 't/0': 5n, 't/1': 1n })
  assert.deepEqual(Object.fromEntries(needed.get('40-c0') ?? []), { 't/0': 5n, 't/1': 9n })
  assert.match(behindOf(needed, left) ?? '', /positions of shard -40 are not known/)
})

function rng(seed: number): () => number {
  let state = seed * 2654435761
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
