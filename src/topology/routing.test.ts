import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RoutingRecord } from './records.ts'
import {
  attachWorkflow,
  componentFor,
  componentOfShard,
  detachWorkflow,
  holdStill,
  initialRouting,
  letGo,
  moveReplicaReads,
  rangesForShards,
  takeToken,
  toOpening,
  toRetired,
  toRetiring,
  toStable,
  toSwitching,
} from './routing.ts'
import type { RoutingChange } from './routing.ts'

const token = 3
const hold = { sinceMs: 1, untilMs: 2 }
function ok(change: RoutingChange): RoutingRecord {
  assert(change.ok, change.ok ? '' : change.error.message)
  return change.record
}
const split = ok(attachWorkflow(initialRouting(['-'], token), { workflow: 'w', sources: ['-'], targets: ['80-', '-80'], token }))
const ranges = ['-']
const states = {
  stable: split,
  switching: ok(toSwitching(split, { ranges, token, hold })),
  openingNew: ok(toOpening(ok(toSwitching(split, { ranges, token, hold })), { ranges, token, outcome: 'switched' })),
  openingBack: ok(toOpening(ok(toSwitching(split, { ranges, token, hold })), { ranges, token, outcome: 'back' })),
  retiring: ok(toRetiring(split, { ranges, token, serving: ['-'] })),
  retired: ok(toRetired(ok(toRetiring(split, { ranges, token, serving: ['-'] })), { ranges, token })),
}
const steps = {
  toSwitching: (r: RoutingRecord) => toSwitching(r, { ranges, token, hold }),
  toOpening: (r: RoutingRecord) => toOpening(r, { ranges, token, outcome: 'switched' }),
  toStable: (r: RoutingRecord) => toStable(r, { ranges, token }),
  toRetiring: (r: RoutingRecord) => toRetiring(r, { ranges, token, serving: ['-'] }),
  toRetired: (r: RoutingRecord) => toRetired(r, { ranges, token }),
  moveReplicaReads: (r: RoutingRecord) => moveReplicaReads(r, { ranges, token, to: 'other' }),
  detach: (r: RoutingRecord) => detachWorkflow(r, { workflow: 'w', token }),
}

describe('routing record', () => {
  /** Every state with every step: a new one of either fails the compile until its cells are written. */
  const table: Record<keyof typeof states, Record<keyof typeof steps, string | null>> = {
    stable: {
      toSwitching: 'switching',
      toOpening: null,
      toStable: null,
      toRetiring: 'retiring',
      toRetired: null,
      moveReplicaReads: 'stable',
      detach: null,
    },
    switching: {
      toSwitching: null,
      toOpening: 'opening',
      toStable: null,
      toRetiring: null,
      toRetired: null,
      moveReplicaReads: null,
      detach: null,
    },
    openingNew: {
      toSwitching: null,
      toOpening: null,
      toStable: 'stable',
      toRetiring: null,
      toRetired: null,
      moveReplicaReads: null,
      detach: null,
    },
    openingBack: {
      toSwitching: null,
      toOpening: null,
      toStable: 'stable',
      toRetiring: null,
      toRetired: null,
      moveReplicaReads: null,
      detach: null,
    },
    retiring: {
      toSwitching: null,
      toOpening: null,
      toStable: null,
      toRetiring: null,
      toRetired: 'stable',
      moveReplicaReads: null,
      detach: null,
    },
    retired: {
      toSwitching: null,
      toOpening: null,
      toStable: null,
      toRetiring: null,
      toRetired: null,
      moveReplicaReads: null,
      detach: 'stable',
    },
  }
  for (const [state, row] of Object.entries(table)) {
    for (const [step, expected] of Object.entries(row)) {
      test(`${state} × ${step} → ${expected ?? 'refused'}`, () => {
        const result = steps[step as keyof typeof steps](states[state as keyof typeof states])
        assert.equal(result.ok ? result.record.components[0]?.phase : null, expected)
        if (!result.ok) assert.equal(result.error.code, 'SW-TOPOLOGY-006')
      })
    }
  }

  test('the hold lasts from switching to stable, whichever way it goes', () => {
    for (const state of ['switching', 'openingNew', 'openingBack'] as const) assert.deepEqual(states[state].components[0]?.hold, hold)
    assert.equal(ok(toStable(states.openingNew, { ranges, token })).components[0]?.hold, null)
  })

  test('switched: sides swap, epoch grows, replica reads follow; given up: nothing of that', () => {
    const switched = ok(toStable(states.openingNew, { ranges, token })).components[0]
    assert.deepEqual(
      [switched?.serving, switched?.other, switched?.epoch, switched?.to],
      [{ primary: ['-80', '80-'], replica: ['-80', '80-'] }, ['-'], 1, null],
    )
    const back = ok(toStable(states.openingBack, { ranges, token }))
    assert.deepEqual(back, split)
    const again = ok(
      toOpening(ok(toSwitching({ ...back, components: [switched!] }, { ranges, token, hold })), { ranges, token, outcome: 'switched' }),
    ).components[0]
    assert.deepEqual([again?.serving.primary, again?.other, again?.epoch], [['-'], ['-80', '80-'], 2])
  })

  test('an older leader is refused; a newer takes the record over', () => {
    for (const step of Object.values(steps)) {
      const result = step({ ...states.stable, token: token + 1 })
      assert(!result.ok && result.error.code === 'SW-TOPOLOGY-007')
    }
    assert.equal(ok(takeToken(split, 9)).token, 9)
    assert(!takeToken(split, 2).ok)
  })

  test('retiring is refused when the other side serves, or still answers replica reads', () => {
    assert(!toRetiring(split, { ranges, token, serving: ['-80', '80-'] }).ok)
    const moved = ok(moveReplicaReads(split, { ranges, token, to: 'other' }))
    assert(!toRetiring(moved, { ranges, token, serving: ['-'] }).ok)
  })

  test('4 → 8 → 2: components merge at create, split at the end', () => {
    const four = initialRouting(['-40', 'c0-', '80-c0', '40-80'], token)
    assert.deepEqual(
      four.components.map((c) => c.range),
      ['-40', '40-80', '80-c0', 'c0-'],
    )
    const eightNames = ['-20', '20-40', '40-60', '60-80', '80-a0', 'a0-c0', 'c0-e0', 'e0-']
    const eight = ok(attachWorkflow(four, { workflow: 'w8', sources: ['-40', '40-80', '80-c0', 'c0-'], targets: eightNames, token }))
    assert.deepEqual(
      eight.components.map((c) => [c.range, c.other]),
      [
        ['-40', ['-20', '20-40']],
        ['40-80', ['40-60', '60-80']],
        ['80-c0', ['80-a0', 'a0-c0']],
        ['c0-', ['c0-e0', 'e0-']],
      ],
    )
    assert.deepEqual(rangesForShards(eight, 'w8', ['-40']), ['-40'])
    assert.deepEqual(rangesForShards(eight, 'w8', ['-20', '20-40', 'c0-']), ['-40', 'c0-'])
    assert.throws(() => rangesForShards(eight, 'w8', ['-20']), { code: 'SW-KEYSPACE-009' })
    const all = eight.components.map((c) => c.range)
    const sw = ok(
      toStable(ok(toOpening(ok(toSwitching(eight, { ranges: all, token, hold })), { ranges: all, token, outcome: 'switched' })), {
        ranges: all,
        token,
      }),
    )
    const done = ok(
      detachWorkflow(ok(toRetired(ok(toRetiring(sw, { ranges: all, token, serving: eightNames })), { ranges: all, token })), {
        workflow: 'w8',
        token,
      }),
    )
    assert.deepEqual(
      done.components.map((c) => [c.range, c.workflow, c.epoch]),
      eightNames.map((name) => [name, null, 1]),
    )
    const two = ok(attachWorkflow(done, { workflow: 'w2', sources: eightNames, targets: ['-80', '80-'], token }))
    assert.deepEqual(
      two.components.map((c) => [c.range, c.serving.primary]),
      [
        ['-80', eightNames.slice(0, 4)],
        ['80-', eightNames.slice(4)],
      ],
    )
    assert.equal(componentFor(two, Buffer.from('7f', 'hex'))?.range, '-80')
    assert.equal(componentFor(two, Buffer.from('80', 'hex'))?.range, '80-')
    assert.equal(componentOfShard(two, '80-')?.range, '80-')
  })

  test('two workflows on one shard, and shards that do not serve, are refused', () => {
    assert(!attachWorkflow(split, { workflow: 'v', sources: ['-'], targets: ['-40', '40-'], token }).ok)
    assert(!attachWorkflow(initialRouting(['-'], token), { workflow: 'v', sources: ['-80', '80-'], targets: ['-'], token }).ok)
    const wrong = attachWorkflow(initialRouting(['-'], token), { workflow: 'v', sources: ['-'], targets: ['-80'], token })
    assert(!wrong.ok && wrong.error.code.startsWith('SW-KEYSPACE'))
  })
})

test('writes are held while a server is exchanged only where nothing moves; a switch takes the hold over and ends it', () => {
  const held = ok(holdStill(split, { ranges, token, hold }))
  assert.deepEqual(held.components[0], { ...split.components[0], hold })
  assert.deepEqual(ok(letGo(held, { ranges, token })), split)
  for (const state of [states.switching, states.openingNew, states.openingBack, states.retiring]) {
    assert.equal(holdStill(state, { ranges, token, hold }).ok, false)
    assert.equal(letGo(state, { ranges, token }).ok, false)
  }
  const later = { sinceMs: 5, untilMs: 6 }
  const switching = ok(toSwitching(held, { ranges, token, hold: later }))
  assert.deepEqual(switching.components[0]?.hold, later)
  assert.equal(ok(toStable(ok(toOpening(switching, { ranges, token, outcome: 'back' })), { ranges, token })).components[0]?.hold, null)
  assert.equal(holdStill(split, { ranges, token: token + 1, hold }).ok, false)
})
