import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectionLost, ServerError } from '../mysql/errors.ts'
import { gateErrors } from './errors.ts'
import { ElsewhereError, Rerouted } from './execution-errors.ts'
import { outcomeOf, outcomeOfServer } from './read-outcome.ts'
import type { ReadOutcome } from './read-outcome.ts'
import { Refusals } from './refusals.ts'
import type { ShardView } from './view.ts'

test('a branch is blamed for what it does, not for what a client asks: lost, refused, not ready, too slow, broken inside', () => {
  const table: [unknown, unknown, ReadOutcome][] = [
    [new ConnectionLost('outcomeUnknown', 's'), undefined, 'failed'],
    [gateErrors.notReady({ keyspace: 'k', reason: 'x' }), undefined, 'failed'],
    [gateErrors.unreachable({ shard: 's', cause: 'x' }), undefined, 'failed'],
    [gateErrors.poolTimeout({ shard: 's', waitedMs: 1, max: 1 }), undefined, 'failed'],
    [new TypeError('x is not a function'), undefined, 'failed'],
    [new ServerError(1044, '42000', 'denied'), undefined, 'failed'],
    [new ServerError(3024, 'HY000', 'maximum statement execution time exceeded'), undefined, 'failed'],
    [new ServerError(1317, '70100', 'interrupted'), undefined, 'failed'],
    [new ServerError(1317, '70100', 'interrupted'), gateErrors.killed(), 'client'],
    [new ConnectionLost('outcomeUnknown', 's'), gateErrors.killed(), 'client'],
    [new ServerError(1317, '70100', 'interrupted'), gateErrors.tooLong({ user: 'u', ms: 1 }), 'failed'],
    [gateErrors.movedTransaction({ keyspace: 'k' }), undefined, 'client'],
    [gateErrors.tooManyRows({ max: 1, what: 'rows', user: 'u' }), undefined, 'client'],
    [new Rerouted(), undefined, 'again'],
    [new ElsewhereError({} as ShardView, 1, new ServerError(1146, '42S02', 'no table')), undefined, 'missing'],
  ]
  for (const [error, stopped, wanted] of table) assert.equal(outcomeOf(error, stopped), wanted, String(error))
})

test('of a server’s own numbers', () => {
  const numbers: [number, ReadOutcome][] = [
    [1054, 'missing'],
    [1146, 'missing'],
    [1176, 'missing'],
    [1064, 'client'],
    [1365, 'client'],
    [1213, 'client'],
    [1205, 'failed'],
    [1030, 'failed'],
    [1053, 'failed'],
    [1040, 'failed'],
    [1969, 'failed'],
  ]
  for (const [number, wanted] of numbers) assert.equal(outcomeOfServer(number), wanted, String(number))
})

test('another branch is asked once for what many clients get wrong, and again when that was a while ago', async () => {
  let now = 0
  let asked = 0
  const refusals = new Refusals(() => now)
  const ask = async (): Promise<boolean> => (asked++, true)
  assert.deepEqual(await Promise.all([refusals.alike('a', ask), refusals.alike('a', ask)]), [true, true])
  assert.equal(asked, 1)
  await refusals.alike('b', ask)
  now = 10_000
  await refusals.alike('a', ask)
  assert.equal(asked, 3)
})
