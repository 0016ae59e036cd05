import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readSlots } from './dualwrite-records.ts'
import {
  closeSlots,
  closeTenant,
  emergencyBack,
  initialReadRule,
  isClosing,
  mainOnlyRule,
  servingBranch,
  servingScattered,
  servingSlot,
  settle,
  slotOf,
  slotsOfPercent,
  stepSides,
} from './read-rule.ts'
import type { ReadRule } from './dualwrite-records.ts'

const start = initialReadRule('wide', 'uid', [])
const ok = (change: ReturnType<typeof closeSlots>): ReadRule => {
  assert.ok(change.ok, change.ok ? '' : change.reason)
  return change.rule
}
const branchOf = (rule: ReadRule, slot: number): string => {
  const now = servingSlot(rule, slot)
  return now.kind === 'serves' ? now.branch : 'closing'
}

test('ramp: a tenant is sticky: whoever moved stays moved while the share grows, in steps of 0.01 %', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: readSlots }), { minLength: 1, maxLength: 6 }), (steps) => {
      let rule = start
      const moved = new Set<number>()
      for (const step of steps.toSorted((a, b) => a - b)) {
        rule = ok(settle(ok(closeSlots(rule, step)), 'toward'))
        for (const slot of moved) assert.equal(branchOf(rule, slot), 'wide')
        for (let slot = 0; slot < step; slot++) moved.add(slot)
        assert.equal(rule.moved, step)
      }
    }),
  )
  assert.equal(slotsOfPercent(0.001), 1)
  assert.equal(slotsOfPercent(0.1), 10)
  assert.equal(slotsOfPercent(100), readSlots)
})

test('ramp: between two sides a tenant is served by nobody, never by both, whatever steps are taken or given up', () => {
  const step = fc.record({ to: fc.integer({ min: 0, max: readSlots }), way: fc.constantFrom('toward' as const, 'back' as const) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 8 }), fc.integer({ min: 0, max: readSlots - 1 }), (steps, slot) => {
      let rule = start
      for (const { to, way } of steps) {
        const before = branchOf(rule, slot)
        const closed = closeSlots(rule, to)
        if (!closed.ok) continue
        const during = branchOf(closed.rule, slot)
        const sides = stepSides(closed.rule)
        const after = ok(settle(closed.rule, way))
        const then = branchOf(after, slot)
        if (before !== then) {
          assert.equal(during, 'closing')
          assert.deepEqual(sides, { left: before, answering: then })
        }
        if (way === 'back') assert.equal(then, before)
        assert.equal(isClosing(after), false)
        rule = after
      }
    }),
  )
})

test('ramp: what names no one tenant moves last and comes back first', () => {
  const almost = ok(settle(ok(closeSlots(start, readSlots - 1)), 'toward'))
  assert.deepEqual(servingScattered(almost), { kind: 'serves', branch: 'main' })
  const closed = ok(closeSlots(almost, readSlots))
  assert.deepEqual(servingScattered(closed), { kind: 'closing' })
  const all = ok(settle(closed, 'toward'))
  assert.deepEqual(servingScattered(all), { kind: 'serves', branch: 'wide' })
  assert.deepEqual(servingScattered(ok(closeSlots(all, readSlots - 1))), { kind: 'closing' })
})

test('ramp: one tenant by name, there and back, under the same rule of closing; a step at a time', () => {
  const id = Buffer.from('00000000000000aa', 'hex')
  const hex = id.toString('hex')
  const closed = ok(closeTenant(start, hex, 'wide'))
  assert.deepEqual(servingBranch(closed, id), { kind: 'closing' })
  assert.deepEqual(stepSides(closed), { left: 'main', answering: 'wide' })
  assert.equal(closeSlots(closed, 10).ok, false)
  const open = ok(settle(closed, 'toward'))
  assert.deepEqual(servingBranch(open, id), { kind: 'serves', branch: 'wide' })
  assert.deepEqual(ok(settle(closed, 'back')).overrides, {})
  const others = ok(settle(ok(closeSlots(open, slotOf(id) + 1)), 'toward'))
  const back = ok(closeTenant(others, hex, 'main'))
  assert.deepEqual(stepSides(back), { left: 'wide', answering: 'main' })
  const pinned = ok(settle(back, 'toward'))
  assert.deepEqual(servingBranch(pinned, id), { kind: 'serves', branch: 'main' })
  // Given back to its slot, which has moved meanwhile.
  const freed = ok(settle(ok(closeTenant(pinned, hex, null)), 'toward'))
  assert.deepEqual([servingBranch(freed, id), freed.overrides], [{ kind: 'serves', branch: 'wide' }, {}])
})

test('an emergency leaves nothing on the new branch; a rule of main only has nowhere to move to', () => {
  const mid = ok(closeSlots(ok(settle(ok(closeSlots(start, 2500)), 'toward')), 5000))
  const back = emergencyBack(mid)
  assert.deepEqual([back.moved, back.closing, branchOf(back, 0)], [0, null, 'main'])
  assert.equal(closeSlots(mainOnlyRule(), 10).ok, false)
})
