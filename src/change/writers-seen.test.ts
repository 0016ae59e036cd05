import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Position } from '../binlog/source.ts'
import type { ForeignWrites } from './other-writers.ts'
import { noted, nothingSeen, writersInTheWay } from './writers-seen.ts'
import type { WritersAt, WritersSeen } from './writers-seen.ts'

const at = (lookedAtMs: number, sinceMs = 0): WritersAt => ({ position: 'p' as Position, sinceMs, lookedAtMs })
const both = (a: number, b: number): WritersSeen => ({
  ...nothingSeen,
  wanted: ['a', 'b'],
  settleMs: 1000,
  servers: { a: at(a), b: at(b) },
})
const found: ForeignWrites = { server: 'a', tables: ['app.t'], transactions: 1, first: 'g1', alsoWrote: [], seen: ['job@host: UPDATE'] }

test('promise 6: a server that is not looked at, or was long ago, is not one that nobody writes', () => {
  assert.equal(writersInTheWay(both(100_000, 100_000), 5_000, 100_000), null)
  assert.match(writersInTheWay(undefined, 5_000, 0) ?? '', /not looked at yet/)
  assert.match(writersInTheWay(nothingSeen, 5_000, 0) ?? '', /not looked at yet/)
  assert.match(writersInTheWay({ ...both(0, 0), servers: { a: at(0) } }, 5_000, 0) ?? '', /writes b can not be seen/)
  // The other server's notes do not stand in for it, nor does a position that moves without having caught up.
  const one = noted(both(100_000, 60_000), { server: 'a', at: at(100_000), found: null, gap: null }, 100_000)
  assert.match(
    writersInTheWay({ ...one, trouble: { atMs: 0, because: 'refused' } }, 5_000, 100_000) ?? '',
    /writes b can not be seen: refused/,
  )
})

test('what began anew after the comparison was not seen all the while', () => {
  const gap = noted(both(9000, 9000), { server: 'b', at: at(9000, 6000), found: null, gap: 'purged' }, 9000)
  assert.match(writersInTheWay(gap, 5000, 9000) ?? '', /who wrote b was not seen all the while/)
  assert.equal(writersInTheWay(gap, 6001, 9000), null)
})

test('what others wrote counts until it was compared, with the bucket closed that it may have gone into', () => {
  const once = noted(both(9000, 9000), { server: 'a', at: at(9000), found, gap: null }, 8000)
  assert.match(writersInTheWay(once, 5000, 8500) ?? '', /a: 1 transaction of app\.t .*in 1 s, .*validate again/)
  assert.match(writersInTheWay(once, 8999, 9500) ?? '', /then validate again/)
  assert.equal(writersInTheWay(once, 9000, 9500), null)
  assert.match(writersInTheWay(once, null, 9500) ?? '', /validate again/, 'nothing was ever compared')
  const twice = noted(
    once,
    { server: 'a', at: at(9000), found: { ...found, tables: ['app.u'], seen: ['late@host: DELETE'] }, gap: null },
    9100,
  )
  assert.deepEqual(
    twice.found.map(({ tables, transactions, first, seen, lastMs }) => [tables, transactions, first, seen, lastMs]),
    [[['app.u', 'app.t'], 2, 'g1', ['late@host: DELETE', 'job@host: UPDATE'], 9100]],
  )
  assert.deepEqual(noted(twice, { server: 'b', at: at(9500), found: null, gap: null }, 9500).found, twice.found)
})
