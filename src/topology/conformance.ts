/** The suite that every store must pass (node:test). `open` gives two handles on the same state: two processes, where the store can. */
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import type { Snapshot, Store } from './store.ts'

export type Opened = { a: Store; b: Store; close(): Promise<void> }

/** Follows a watch; `until` resolves with the first snapshot that satisfies, within a limit. */
function follow(store: Store, prefix: string) {
  const stop = new AbortController()
  const seen: Snapshot[] = []
  let wake: () => void = () => undefined
  const done = (async () => {
    for await (const snapshot of store.watch(prefix, stop.signal)) {
      seen.push(snapshot)
      wake()
    }
  })()
  return {
    seen,
    async until(condition: (snapshot: Snapshot) => boolean, limitMs = 5_000): Promise<Snapshot> {
      const limit = Date.now() + limitMs
      for (;;) {
        const found = seen.find(condition)
        if (found !== undefined) return found
        assert(Date.now() < limit, `the watch of ${prefix} never showed it; last: ${JSON.stringify([...(seen.at(-1)?.entries ?? [])])}`)
        await Promise.race([new Promise<void>((resolve) => (wake = resolve)), delay(100)])
      }
    },
    async stop(): Promise<void> {
      stop.abort()
      await done
    },
  }
}

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const limit = Date.now() + 5_000
  while (!(await condition())) {
    assert(Date.now() < limit, what)
    await delay(2)
  }
}

export function storeConformance(name: string, open: () => Promise<Opened>): void {
  describe(`topology store: ${name}`, () => {
    let opened: Opened
    let a: Store
    let b: Store
    let n = 0
    /** Each test has keys of its own. */
    const space = (): string => `t${++n}/`
    before(async () => {
      opened = await open()
      ;({ a, b } = opened)
    })
    after(() => opened.close())

    test('an absent key reads as null and has version 0', async () => {
      const p = space()
      assert.equal(await a.get(`${p}x`), null)
      assert.deepEqual(await a.commit([{ key: `${p}x`, version: 1 }], []), { ok: false, conflicts: [`${p}x`] })
      assert.equal((await a.commit([{ key: `${p}x`, version: 0 }], [])).ok, true)
    })

    test('a commit is seen by the other handle, with the revision as version', async () => {
      const p = space()
      const result = await a.commit([], [{ key: `${p}x`, value: { deep: [1, null, 'ü\u0000', true, 1.5] } }])
      assert(result.ok)
      assert.deepEqual(await b.get(`${p}x`), { key: `${p}x`, value: { deep: [1, null, 'ü\u0000', true, 1.5] }, version: result.revision })
    })

    test('all or nothing: one false condition of several changes nothing and names itself', async () => {
      const p = space()
      const first = await a.commit([], [{ key: `${p}x`, value: 1 }])
      assert(first.ok)
      const refused = await b.commit(
        [
          { key: `${p}x`, version: first.revision },
          { key: `${p}y`, version: 7 },
        ],
        [
          { key: `${p}x`, value: 2 },
          { key: `${p}z`, value: 3 },
        ],
      )
      assert.deepEqual(refused, { ok: false, conflicts: [`${p}y`] })
      assert.equal((await a.get(`${p}x`))?.value, 1)
      assert.equal(await a.get(`${p}z`), null)
    })

    test('a version never comes back: deleted and made again is another version', async () => {
      const p = space()
      const first = await a.commit([], [{ key: `${p}x`, value: 1 }])
      assert(first.ok)
      await a.commit([], [{ key: `${p}x`, value: undefined }])
      assert.equal(await b.get(`${p}x`), null)
      await b.commit([], [{ key: `${p}x`, value: 1 }])
      assert.equal((await a.commit([{ key: `${p}x`, version: first.revision }], [{ key: `${p}x`, value: 2 }])).ok, false)
    })

    test('compare-and-set under contention loses nothing', async () => {
      const p = space()
      const add = async (store: Store): Promise<void> => {
        for (let done = 0; done < 25;) {
          const now = await store.get(`${p}n`)
          const result = await store.commit(
            [{ key: `${p}n`, version: now?.version ?? 0 }],
            [{ key: `${p}n`, value: Number(now?.value ?? 0) + 1 }],
          )
          if (result.ok) done++
        }
      }
      await Promise.all([add(a), add(b), add(a)])
      assert.equal((await a.get(`${p}n`))?.value, 75)
    })

    test('a list is one instant, has its prefix only, and says its revision', async () => {
      const p = space()
      await a.commit(
        [],
        ['a', 'b/1', 'b/2', 'bb', 'c'].map((key) => ({ key: p + key, value: key })),
      )
      const list = await b.list(`${p}b/`)
      assert.deepEqual([...list.entries.keys()], [`${p}b/1`, `${p}b/2`])
      assert(list.revision >= (list.entries.get(`${p}b/1`)?.version ?? Infinity))
      assert.deepEqual((await b.list(`${p}nothing`)).entries.size, 0)
      assert.deepEqual([...(await b.list(p, `${p}b/`)).entries.keys()], [`${p}a`, `${p}bb`, `${p}c`])
      assert.deepEqual([...(await b.list(p, `${p}b`)).entries.keys()], [`${p}a`, `${p}c`])
      assert((await b.list(p, `${p}b`)).revision >= list.revision)
    })

    test('a watch begins with the state as it is, then shows puts and deletions of the other handle', async () => {
      const p = space()
      await a.commit([], [{ key: `${p}x`, value: 1 }])
      const watch = follow(a, p)
      await watch.until((s) => s.entries.get(`${p}x`)?.value === 1)
      await b.commit(
        [],
        [
          { key: `${p}x`, value: 2 },
          { key: `${p}y`, value: 1 },
        ],
      )
      const both = await watch.until((s) => s.entries.get(`${p}x`)?.value === 2)
      assert.equal(both.entries.get(`${p}y`)?.value, 1, 'one commit is one instant in a watch, too')
      await b.commit([], [{ key: `${p}x`, value: undefined }])
      await watch.until((s) => !s.entries.has(`${p}x`) && s.entries.has(`${p}y`))
      await watch.stop()
    })

    test('a watch never shows an older state after a newer one, and always the last', async () => {
      const p = space()
      const watch = follow(b, p)
      for (let i = 1; i <= 200; i++)
        await (i % 2 ? a : b).commit(
          [],
          [
            { key: `${p}x`, value: i },
            { key: `other/${p}`, value: i },
          ],
        )
      await watch.until((s) => s.entries.get(`${p}x`)?.value === 200)
      await watch.stop()
      const values = watch.seen.map((s) => Number(s.entries.get(`${p}x`)?.value ?? 0))
      assert.deepEqual(
        values,
        [...values].sort((x, y) => x - y),
      )
      const revisions = watch.seen.map((s) => s.revision)
      assert.deepEqual(
        revisions,
        [...revisions].sort((x, y) => x - y),
      )
    })

    test('watch latency: the median of a change made by the other handle is under 10 ms', async () => {
      const p = space()
      const watch = follow(b, p)
      const times: number[] = []
      for (let i = 0; i < 15; i++) {
        await a.commit([], [{ key: `${p}x`, value: i }])
        const committed = performance.now()
        await watch.until((s) => s.entries.get(`${p}x`)?.value === i)
        times.push(performance.now() - committed)
      }
      await watch.stop()
      const median = times.sort((x, y) => x - y)[7] ?? Infinity
      assert(median < 10, `median ${median} ms`)
    })

    test('a record under a lease ends with it, unless renewed; the watch shows that', async () => {
      const p = space()
      const lease = await a.grantLease(600)
      await a.commit(
        [],
        [
          { key: `${p}x`, value: 1, leaseId: lease.id },
          { key: `${p}kept`, value: 1 },
        ],
      )
      const watch = follow(b, p)
      const started = Date.now()
      while (Date.now() - started < 1_000) {
        await lease.renew()
        await delay(40)
      }
      assert.equal((await b.get(`${p}x`))?.value, 1, 'it was renewed')
      await watch.until((s) => s.entries.has(`${p}kept`) && !s.entries.has(`${p}x`))
      await watch.stop()
      await assert.rejects(lease.renew(), { code: 'SW-TOPOLOGY-003' })
      await assert.rejects(a.commit([], [{ key: `${p}x`, value: 2, leaseId: lease.id }]), { code: 'SW-TOPOLOGY-003' })
      assert.equal(await a.get(`${p}x`), null)
    })

    test('revoking a lease removes its records at once; a put without lease frees a record from it', async () => {
      const p = space()
      const lease = await a.grantLease(60_000)
      await a.commit(
        [],
        [
          { key: `${p}x`, value: 1, leaseId: lease.id },
          { key: `${p}y`, value: 1, leaseId: lease.id },
        ],
      )
      await b.commit([], [{ key: `${p}y`, value: 2 }])
      await lease.revoke()
      assert.equal(await b.get(`${p}x`), null)
      assert.equal((await b.get(`${p}y`))?.value, 2)
      await lease.revoke()
    })

    test('a condition on a leased record holds only while the lease does', async () => {
      const p = space()
      const lease = await a.grantLease(100)
      const put = await a.commit([], [{ key: `${p}leader`, value: 'a', leaseId: lease.id }])
      assert(put.ok)
      await until(async () => (await b.get(`${p}leader`)) === null, 'the lease never ended')
      assert.deepEqual(await a.commit([{ key: `${p}leader`, version: put.revision }], [{ key: `${p}x`, value: 1 }]), {
        ok: false,
        conflicts: [`${p}leader`],
      })
    })
  })
}
