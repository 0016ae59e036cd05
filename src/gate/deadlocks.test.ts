/** Whom to give up in a graph of waits: the youngest on each circle, and nobody else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { MemoryStore } from '../topology/memory.ts'
import { until } from '../../test/kit/until.ts'
import type { Core } from './core.ts'
import { Deadlocks, givenUp, type Waiter, type Wait } from './deadlocks.ts'

type T = { readonly name: string }

/** Transactions by what sessions they have, oldest first; waits as `waiting>blocking`. */
function chosen(transactions: Readonly<Record<string, readonly string[]>>, waits: readonly string[]): string[] {
  const all = Object.keys(transactions).map((name): T => ({ name }))
  const nodes = new Map(all.flatMap((one) => (transactions[one.name] ?? []).map((session) => [session, one] as const)))
  const edges = waits.map((text): Wait => {
    const [waiting = '', blocking = ''] = text.split('>')
    return { waiting, blocking }
  })
  return givenUp(edges, nodes, all.toReversed()).map(({ name }) => name)
}

const two = { old: ['a1', 'b1'], young: ['a2', 'b2'] }

test('two that wait for one another on two servers: the younger; who only waits stands', () => {
  assert.deepEqual(chosen(two, ['a1>a2', 'b2>b1']), ['young'])
  assert.deepEqual(chosen(two, ['a1>a2', 'b1>b2']), [])
  assert.deepEqual(chosen({ ...two, youngest: ['a3', 'b3'] }, ['a1>a2', 'b2>b1', 'a3>a1', 'b3>b2']), ['young'])
})

test('a circle through a session that is no part of a larger transaction is one', () => {
  assert.deepEqual(chosen(two, ['a1>x', 'x>a2', 'b2>b1']), ['young'])
})

test('two circles: one of each; one that breaks both is enough', () => {
  const four = { t1: ['a1', 'b1'], t2: ['a2', 'b2'], t3: ['a3', 'b3'], t4: ['a4', 'b4'] }
  assert.deepEqual(chosen(four, ['a1>a2', 'b2>b1', 'a3>a4', 'b4>b3']), ['t4', 't2'])
  assert.deepEqual(chosen(four, ['a1>a4', 'b4>b1', 'a2>a4', 'b4>b2']), ['t4'])
})

test('a transaction that waits for itself, on two shards of one server, is given up', () => {
  assert.deepEqual(chosen({ t: ['a1', 'a2'] }, ['a1>a2']), ['t'])
})

test('whatever the graph: afterwards no circle goes through a transaction, and none is given up in vain', () => {
  const node = fc.nat({ max: 7 })
  fc.assert(
    fc.property(fc.array(fc.tuple(node, node), { maxLength: 20 }), (pairs) => {
      // Each of six has a session on two servers; the rest of the sessions are others'.
      const transactions = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`t${i}`, [`a${i}`, `b${i}`]]))
      const waits = pairs.map(([from, to], i) => (i % 2 === 0 ? `a${from}>a${to}` : `b${from}>b${to}`))
      const gone = chosen(transactions, waits)
      const without = (left: ReadonlySet<string>): string[] => waits.filter((wait) => !left.has(`t${wait[1]}`))
      assert.deepEqual(chosen(transactions, without(new Set(gone))), [])
      for (const one of gone) {
        const rest = new Set(gone.slice(0, gone.indexOf(one)))
        assert.ok(chosen(transactions, without(rest)).includes(one))
      }
    }),
  )
})

test('what other gates were told is taken back, also where its transaction ends while they are told', async () => {
  const waiter: Waiter = { ended: false, busy: true, statements: 1, places: [], giveUp() {} }
  let told = false
  class Telling extends MemoryStore {
    override async commit(...given: Parameters<MemoryStore['commit']>): ReturnType<MemoryStore['commit']> {
      const done = await super.commit(...given)
      told = true
      deadlocks.delete(waiter)
      return done
    }
  }
  const store = new Telling()
  await using lease = await store.grantLease(60_000)
  const core = {
    config: { deadlockCheckMs: 1 },
    clock: systemClock,
    log: silentLog,
    membership: { leaseId: lease.id },
    watch: { view: { keyspaces: new Map() } },
  } as unknown as Core
  const deadlocks = new Deadlocks(core, store, 'gate-1')
  try {
    deadlocks.add(waiter)
    await until('it is told', () => told)
    await until('nothing is told any more', async () => (await store.list('stuck/')).entries.size === 0, 2_000)
  } finally {
    deadlocks.stop()
  }
})

test('what other gates were told is told again by a new lease: it went with the one before', async () => {
  const store = new MemoryStore()
  const first = await store.grantLease(60_000)
  const membership = { leaseId: first.id }
  const core = {
    config: { deadlockCheckMs: 1 },
    clock: systemClock,
    log: silentLog,
    membership,
    watch: { view: { keyspaces: new Map() } },
  } as unknown as Core
  const deadlocks = new Deadlocks(core, store, 'gate-1')
  const told = async (): Promise<boolean> => (await store.list('stuck/')).entries.size === 1
  try {
    deadlocks.add({ ended: false, busy: true, statements: 1, places: [], giveUp() {} })
    await until('it is told', told)
    await using second = await store.grantLease(60_000)
    membership.leaseId = second.id
    await first.revoke()
    await until('it is told again', told, 2_000)
  } finally {
    deadlocks.stop()
  }
})
