/** What a run does again of the round in whose midst the one before it ended. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Redone, withRedone } from './redone.ts'
import type { TablePlan } from './table-plan.ts'
import type { AddressedChange } from './xa.ts'

const table = { name: 't' } as unknown as TablePlan
const change = (target: number): AddressedChange => ({ target, change: { table, key: '1', row: '(1)', images: null } })
const none = (): boolean => false
const group = (groups: number, targets: number[]) => ({
  at: { marker: 5, groups },
  changes: targets.map(change),
  inParts: false,
  rowChanges: targets.length,
  has: none,
})

test('groups up to where the earlier run was going to count, by target, if they have something for it; then it is over, once', () => {
  let over = 0
  const goingTo = { marker: 5, groups: 4 }
  const redone = new Redone(
    [
      { target: 0, goingTo: { marker: 5, groups: 2 }, round: { transactions: 2, changes: 9 } },
      { target: 2, goingTo, round: { transactions: 3, changes: 8 } },
    ],
    () => over++,
  )
  assert.deepEqual(redone.most.round, { transactions: 3, changes: 8 }, 'the largest, before anything has come')
  redone.note(group(1, [0, 1, 2]))
  redone.note(group(2, [1]))
  redone.note({ ...group(3, [2, 2]), has: (target) => target === 0 })
  assert.deepEqual([redone.most.transactions, redone.most.rowChanges, over], [2, 5, 0])
  redone.note({ ...group(4, [2]), has: (target) => target === 2 })
  assert.equal(over, 1)
  redone.note(group(5, [0, 2]))
  assert.deepEqual([redone.most.transactions, redone.most.rowChanges, redone.most.round, over], [2, 5, { transactions: 3, changes: 8 }, 1])
})

test('a transaction that went in parts counts with all that it changes', () => {
  const redone = new Redone([{ target: 0, goingTo: { marker: 5, groups: 1 }, round: { transactions: 1, changes: null } }], () => undefined)
  redone.note({ ...group(1, []), inParts: true, rowChanges: 5_000 })
  assert.deepEqual(withRedone({ rowsRedone: 7, transactionsRedone: 0 }, redone), {
    rowsRedone: 7,
    transactionsRedone: 1,
    changesRedone: 5_000,
    round: { transactions: 1, changes: null },
  })
})

test('several runs of one process tell together what they did again', () => {
  const ended = { rowsRedone: 0, transactionsRedone: 3, changesRedone: 4, round: { transactions: 5, changes: 6 } }
  const redone = new Redone([{ target: 0, goingTo: { marker: 5, groups: 1 }, round: { transactions: 2, changes: 3 } }], () => undefined)
  redone.note(group(1, [0]))
  assert.deepEqual(withRedone(ended, redone), {
    rowsRedone: 0,
    transactionsRedone: 4,
    changesRedone: 5,
    round: { transactions: 7, changes: 9 },
  })
  assert.deepEqual(withRedone(ended, new Redone([], () => undefined)), ended)
})
