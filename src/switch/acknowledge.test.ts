import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../base/clock.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { GateRecord } from '../topology/records.ts'
import { put } from '../topology/typed.ts'
import { gatesAcknowledged } from './acknowledge.ts'

const gate = (id: string, seen: number, open: number): GateRecord => ({
  v: 1,
  id,
  pid: 1,
  host: '',
  port: 1,
  seen: { app: seen },
  open: { app: open },
  lastHold: {},
})

/** All at once: they only wait. Times lie so far apart that a busy machine does not move one to another’s place. */
describe('gates acknowledge', { concurrency: true }, () => {
  async function run(gates: GateRecord[], later: [number, GateRecord | string][] = []) {
    await using store = new MemoryStore()
    const write = (record: GateRecord): Promise<unknown> => store.commit([], [put(keys.gate(record.id), record)])
    for (const record of gates) await write(record)
    const started = performance.now()
    const changes = (async () => {
      for (const [atMs, what] of later) {
        await delay(Math.max(0, started + atMs - performance.now()))
        if (typeof what === 'string') await store.commit([], [{ key: keys.gate(what), value: undefined }])
        else await write(what)
      }
    })()
    const result = await gatesAcknowledged({
      store,
      keyspace: 'app',
      version: 7,
      seenMs: 750,
      graceMs: 1_500,
      clock: systemClock,
      signal: AbortSignal.timeout(20_000),
    })
    const ms = performance.now() - started
    await changes
    return { ...result, ms }
  }

  test('no gate: at once', async () => {
    const { gates, ms } = await run([])
    assert.equal(gates, 0)
    assert(ms < 250)
  })

  test('all have seen and nothing is open: at once; older versions do not count', async () => {
    assert((await run([gate('a', 7, 0), gate('b', 9, 0)])).ms < 250)
    const { ms, silent } = await run([gate('a', 7, 0), gate('b', 6, 0)], [[300, gate('b', 7, 0)]])
    assert(ms >= 275 && ms < 700, `${ms} ms`)
    assert.deepEqual(silent, [])
  })

  test('a transaction that ends within the grace is waited for', async () => {
    const { ms, open } = await run(
      [gate('a', 7, 2)],
      [
        [200, gate('a', 7, 1)],
        [1000, gate('a', 7, 0)],
      ],
    )
    assert(ms >= 975 && ms < 1450, `${ms} ms`)
    assert.equal(open, 0)
  })

  test('one that does not is told, and the wait ends', async () => {
    const { ms, open } = await run([gate('a', 7, 1)])
    assert(ms >= 1475 && ms < 2250, `${ms} ms`)
    assert.equal(open, 1)
  })

  test('a silent gate is named and not waited for longer than it may take', async () => {
    const { ms, silent } = await run([gate('a', 7, 0), gate('dead', 3, 0)])
    assert(ms >= 725 && ms < 1900, `${ms} ms`)
    assert.deepEqual(silent, ['dead'])
  })

  test('a silent gate does not cut the grace of transactions at another', async () => {
    const { ms } = await run([gate('a', 7, 1), gate('dead', 3, 0)], [[1100, gate('a', 7, 0)]])
    assert(ms >= 1075 && ms < 1450, `${ms} ms`)
  })

  test('a gate whose lease ends is not waited for', async () => {
    const { ms } = await run([gate('a', 7, 0), gate('dead', 3, 0)], [[250, 'dead']])
    assert(ms < 700, `${ms} ms`)
  })
})
