import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import type { ReadRule } from '../topology/dualwrite-records.ts'
import { closeSlots, emergencyBack, initialReadRule, settle, slotOf } from '../topology/read-rule.ts'
import { BranchReads } from './branch-reads.ts'
import { ReadFigures } from './read-figures.ts'
import { ReadSampler } from './read-sampler.ts'
import { Transaction } from './transaction.ts'
import type { KeyspaceView, View } from './view.ts'

const id = Buffer.from('0102030405060708', 'hex')
const other = [...Array(500).keys()].map((n) => Buffer.from(String(n))).find((one) => slotOf(one) > slotOf(id)) as Buffer

function made(waitMaxMs = 5000): { reads: BranchReads; seen: [string, number][]; show(rule: ReadRule, version: number): KeyspaceView } {
  const seen: [string, number][] = []
  const reads = new BranchReads({
    clock: systemClock,
    waitMaxMs,
    bytesMax: 1000,
    figures: new ReadFigures(),
    sampler: new ReadSampler(),
    acknowledge: (key, version) => seen.push([key, version]),
  })
  return {
    reads,
    seen,
    show(rule, version) {
      const keyspace = { name: 'insights', reads: { rule, version } } as unknown as KeyspaceView
      reads.onView({ keyspaces: new Map([['insights', keyspace]]) } as unknown as View)
      return keyspace
    },
  }
}

const rule = initialReadRule('wide', 'uid', [])
const closing = (closeSlots(rule, slotOf(id) + 1) as { rule: ReadRule }).rule
const opened = (settle(closing, 'toward') as { rule: ReadRule }).rule

test('rule 14: a closing rule is acknowledged only when no read of a closing slot that began before it is running', () => {
  const { reads, seen, show } = made()
  const before = show(rule, 1)
  const mine = reads.choose(before, { rule, version: 1 }, id)
  const others = reads.choose(before, { rule, version: 1 }, other)
  const scattered = reads.choose(before, { rule, version: 1 }, null)
  assert.ok(mine !== 'wait' && others !== 'wait' && scattered !== 'wait')
  assert.equal(mine.branch, 'main')
  const during = show(closing, 2)
  assert.deepEqual(seen, [['reads/insights', 1]])
  assert.equal(reads.choose(during, { rule: closing, version: 2 }, id), 'wait')
  assert.equal(reads.serves(mine.token), false)
  assert.equal(reads.serves(others.token), true)
  reads.end(others.token)
  assert.equal(seen.length, 2 - 1, 'the read of the closing slot is still on its way')
  reads.end(mine.token)
  assert.deepEqual(seen.at(-1), ['reads/insights', 2])
  const after = show(opened, 3)
  const now = reads.choose(after, { rule: opened, version: 3 }, id)
  assert.ok(now !== 'wait')
  assert.equal(now.branch, 'wide')
  assert.deepEqual(seen.at(-1), ['reads/insights', 3])
})

test('a read of a closing slot waits until the record opens; within bounds of time and bytes', async () => {
  const { reads, show } = made(50)
  show(rule, 1)
  show(closing, 2)
  const waiting = reads.wait('insights', 2, 10, new AbortController().signal)
  show(opened, 3)
  await waiting
  show(closing, 4)
  await assert.rejects(reads.wait('insights', 4, 10, new AbortController().signal), { code: 'SW-GATE-210' })
  await assert.rejects(reads.wait('insights', 4, 2000, new AbortController().signal), { code: 'SW-GATE-210' })
  const gone = new AbortController()
  const cut = reads.wait('insights', 4, 10, gone.signal)
  gone.abort(new Error('the client went away'))
  await assert.rejects(cut, /went away/)
})

test('a transaction whose snapshot is older than the step that moved its tenant there does not go on', () => {
  const { reads, show } = made()
  const host = { changed: () => {}, release: () => {}, giveUp: () => {}, core: {} as never, connections: {} }
  const transaction = new Transaction(true, { readOnly: null, snapshot: false, before: [] }, host)
  transaction.branches.set('old-1', {} as never)
  const before = show(rule, 1)
  const first = reads.choose(before, { rule, version: 1 }, id)
  assert.ok(first !== 'wait')
  assert.equal(reads.snapshotHolds(transaction, first.token, 'old-1'), true)
  show(closing, 2)
  show(opened, 3)
  const back = emergencyBack(opened)
  const again = show(back, 4)
  const late = reads.choose(again, { rule: back, version: 4 }, id)
  assert.ok(late !== 'wait')
  assert.equal(
    reads.snapshotHolds(transaction, late.token, 'old-1'),
    false,
    'this snapshot was taken before the tenant had left and come back',
  )
})
