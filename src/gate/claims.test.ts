/** Promise 7: transactions that hold connections while they wait for more all come to their end, whatever the order in which they ask. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Claims } from './claims.ts'

type Holder = { readonly name: number }

const never = (): Error => new Error('late')

test('promise 7: whatever transactions ask for, in whatever order, none waits for ever while the others end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 8 }),
      fc.array(fc.tuple(fc.nat({ max: 5 }), fc.nat({ max: 1 })), { minLength: 30, maxLength: 80, size: 'max' }),
      fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 2 }),
      async (max, asks, shards) => {
        const claims = new Claims<Holder>(max)
        // No more on a server than anybody is promised.
        const on = new Map(shards.map((count, i) => [`s${i}`, Math.min(count, max)]))
        const holders = Array.from({ length: 6 }, (_, name): Holder => ({ name }))
        const held = new Map<Holder, Map<string, number>>()
        const waiting = new Map<Holder, Promise<void>>()
        const count = (holder: Holder, server: string): number => held.get(holder)?.get(server) ?? 0
        const end = (holder: Holder): void => {
          for (const [server, n] of held.get(holder) ?? []) for (let i = 0; i < n; i++) claims.release(holder, server)
          held.delete(holder)
        }
        for (const [who, where] of asks) {
          const holder = holders[who] as Holder
          const server = `s${where}`
          if (waiting.has(holder) || count(holder, server) >= (on.get(server) ?? 0)) continue
          claims.claim(holder, 'k', on)
          const got = (): void => {
            if (!held.has(holder)) held.set(holder, new Map())
            held.get(holder)?.set(server, count(holder, server) + 1)
          }
          const wait = claims.take(holder, server, 1, 60_000, never, null)
          if (wait === undefined) got()
          else
            waiting.set(
              holder,
              wait.then(() => {
                waiting.delete(holder)
                got()
              }),
            )
        }
        // Whoever does not wait ends, until nobody is left.
        while (held.size > 0 || waiting.size > 0) {
          const [runs] = [...held.keys()].filter((holder) => !waiting.has(holder))
          assert.ok(runs !== undefined, 'all wait')
          end(runs)
          await new Promise((resolve) => setImmediate(resolve))
        }
        for (const server of on.keys()) assert.equal(claims.heldOn(server), 0)
      },
    ),
  )
})

test('with one shard a server nobody waits before all connections are out; the next comes in when one is given back', async () => {
  const claims = new Claims<Holder>(3)
  const [a, b, c, d] = [{ name: 1 }, { name: 2 }, { name: 3 }, { name: 4 }] as const
  for (const holder of [a, b, c, d]) claims.claim(holder, 'k', new Map([['s', 1]]))
  for (const holder of [a, b, c]) assert.equal(claims.take(holder, 's', 1, 1000, never, null), undefined)
  const wait = claims.take(d, 's', 1, 1000, never, null)
  assert.ok(wait !== undefined)
  claims.release(b, 's')
  await wait
  assert.equal(claims.heldOn('s'), 3)
})

test('who waits too long, or is stopped, is told so, and nothing of it is counted', async () => {
  const claims = new Claims<Holder>(1)
  const [a, b] = [{ name: 1 }, { name: 2 }]
  assert.equal(claims.take(a, 's', 1, 10, never, null), undefined)
  await assert.rejects(claims.take(b, 's', 1, 10, never, null) ?? Promise.resolve(), /late/)
  const stop = new AbortController()
  const wait = claims.take(b, 's', 1, 10_000, never, stop.signal)
  stop.abort(new Error('stopped'))
  await assert.rejects(wait ?? Promise.resolve(), /stopped/)
  claims.release(a, 's')
  assert.equal(claims.take(b, 's', 1, 10, never, null), undefined)
})
