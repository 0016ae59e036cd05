import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerErrorKind } from '../mysql/errors.ts'
import { judgeLoss, judgeRefusal, type Circumstances, type Verdict } from './failures.ts'

const kinds: ServerErrorKind[] = [
  'deadlock',
  'lockWait',
  'readOnly',
  'accountLocked',
  'interrupted',
  'killed',
  'tooManyConnections',
  'duplicate',
  'access',
  'other',
]
const write: Circumstances = { passedOn: false, rereadable: false, effect: 'write', whole: true, transaction: 'none' }
const read: Circumstances = { passedOn: false, rereadable: true, effect: 'read', whole: true, transaction: 'none' }

test('promise 11: a refused statement, case by case', () => {
  const table: [ServerErrorKind, boolean, Circumstances, Verdict][] = [
    ['readOnly', true, write, 'repeat'],
    ['readOnly', false, write, 'repeat'],
    ['readOnly', true, { ...write, transaction: 'first' }, 'repeat'],
    ['readOnly', true, { ...write, transaction: 'later' }, 'moved'],
    ['readOnly', true, { ...write, transaction: 'later', passedOn: true }, 'pass-and-end'],
    ['interrupted', true, write, 'repeat'],
    ['interrupted', false, write, 'pass'],
    ['interrupted', true, { ...write, transaction: 'later' }, 'moved'],
    ['killed', true, write, 'unknown'],
    ['killed', true, read, 'repeat'],
    ['killed', false, read, 'pass'],
    ['killed', true, { ...read, passedOn: true }, 'pass'],
    ['killed', false, { ...write, transaction: 'later' }, 'lost'],
    ['deadlock', false, { ...write, transaction: 'later' }, 'pass-and-end'],
    ['deadlock', false, write, 'pass'],
    ['duplicate', true, { ...write, transaction: 'later' }, 'pass'],
    ['lockWait', false, { ...write, transaction: 'later' }, 'pass'],
    ['readOnly', true, { ...write, whole: false }, 'partly'],
    ['readOnly', true, { ...write, whole: false, transaction: 'first' }, 'partly'],
    ['interrupted', true, { ...write, whole: false }, 'partly'],
    ['interrupted', false, { ...write, whole: false }, 'pass'],
    ['killed', true, { ...write, whole: false, transaction: 'later' }, 'partly'],
  ]
  for (const [kind, moving, c, verdict] of table)
    assert.equal(judgeRefusal(kind, moving, c), verdict, `${kind} ${moving} ${JSON.stringify(c)}`)
})

test('promise 11: of all cases, none sends again what may have been done or told', () => {
  for (const passedOn of [false, true]) {
    for (const rereadable of [false, true]) {
      for (const effect of ['read', 'lock', 'write'] as const) {
        if (rereadable && effect !== 'read') continue
        for (const [transaction, whole] of [
          ['none', true],
          ['first', true],
          ['later', true],
          ['none', false],
          ['first', false],
          ['later', false],
        ] as const) {
          if (rereadable && !whole) continue
          const c: Circumstances = { passedOn, rereadable, effect, whole, transaction }
          for (const kind of kinds) {
            for (const moving of [false, true]) {
              const verdict = judgeRefusal(kind, moving, c)
              if (verdict !== 'repeat') continue
              assert.ok(whole, `${kind}: a part may stand`)
              assert.ok(!passedOn && transaction !== 'later', `${kind}: told or begun already`)
              assert.ok(kind === 'readOnly' || (moving && (kind === 'interrupted' || rereadable)), `${kind}: may have been done`)
            }
          }
          for (const outcome of ['nothingSent', 'outcomeUnknown'] as const) {
            const verdict = judgeLoss(outcome, c)
            assert.equal(verdict === 'half', passedOn)
            if (verdict === 'repeat') assert.ok(transaction !== 'later' && (outcome === 'nothingSent' || (effect !== 'write' && whole)))
            if (verdict === 'lost') assert.ok(whole || outcome === 'nothingSent', 'a part may be committed')
            if (verdict === 'repeat' && transaction === 'none') assert.ok(outcome === 'nothingSent' || rereadable)
          }
        }
      }
    }
  }
})
