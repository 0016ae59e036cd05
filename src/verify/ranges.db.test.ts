/** A span that takes too long is cut and still compared whole; listings of more rows than are held at once are halved. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { flavours } from '../../test/kit/servers.ts'
import { systemClock } from '../base/clock.ts'
import { readSourceTables } from '../move/source-tables.ts'
import { planComparison, readDefinitions, readEstimates } from './comparison.ts'
import { shardGroups } from './groups.ts'
import { boundAfter, compareSpan, type Bound } from './ranges.ts'
import { Sessions } from './sessions.ts'
import { itemTable, VerifyWorld } from './testkit/world.ts'

for (const flavour of flavours()) {
  test(`on ${flavour}: nothing is lost where a span is cut, by time or by the number of rows held`, async () => {
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-'] })
    const rows = 90_000
    for (const [conn, refs] of [
      [world.s, world.sources],
      [world.t, world.targets],
    ] as const) {
      await conn.useDatabase(refs[0]!.schema)
      if (conn === world.t) await conn.query(itemTable.ddl)
      for (let at = 0; at < rows; at += 5000) {
        // Every second row differs on the target: 45,000 candidates.
        const a = (id: number): string => (conn === world.t && id % 2 === 0 ? 'x' : 'y')
        await conn.query(
          `INSERT INTO item VALUES ${Array.from({ length: 5000 }, (_, i) => `(${at + i}, ${at + i}, '${a(at + i)}', NULL, 1)`).join(',')}`,
        )
      }
    }
    const abort = new AbortController()
    await using sessions = new Sessions({ addresses: world.addresses, clock: systemClock, perServerMax: 4, signal: abort.signal })
    const [group] = shardGroups(world.streams())
    const shards = [...world.sources, ...world.targets]
    const use: Sessions['reader'] = (id, work) => sessions.reader(id, work)
    const [table] = await readSourceTables(world.s, '-', world.sources[0]!.schema, world.streams()[0]!.tables)
    const comparison = planComparison(group!, table!, await readDefinitions(shards, use), await readEstimates(shards, use), new Map())

    const emits: number[] = []
    for (const limitMs of [60_000, 10]) {
      const candidates = new Set<string>()
      let largest = 0
      let calls = 0
      const compared = await compareSpan(
        sessions,
        comparison,
        { lo: null, hi: null },
        async (keys) => {
          calls++
          largest = Math.max(largest, keys.size)
          for (const key of keys) candidates.add(key)
        },
        limitMs,
      )
      assert.equal(compared, rows)
      assert.deepEqual(
        [...candidates].map(Number).sort((x, y) => x - y),
        Array.from({ length: rows / 2 }, (_, i) => i * 2),
      )
      assert.ok(largest <= 40_000, `${largest} keys were held at once`)
      emits.push(calls)
    }
    assert.ok(emits[0]! > 1 && emits[1]! > emits[0]!, `cut by rows into ${emits[0]} listings, by time into ${emits[1]}`)

    // Digests of 90,000 rows do not fit into a cell (their shard keys do): the server sums them itself then.
    await using small = new Sessions({
      addresses: world.addresses,
      clock: systemClock,
      perServerMax: 4,
      signal: abort.signal,
      cellBytesMax: 1 << 20,
    })
    for (const differing of [[], [4_711]]) {
      await world.t.query(`UPDATE item SET a = IF(id IN (-1${differing.map((id) => `, ${id}`).join('')}), 'x', 'y')`)
      const candidates: number[] = []
      const compared = await compareSpan(small, comparison, { lo: null, hi: null }, async (keys) => {
        candidates.push(...[...keys].map(Number))
      })
      assert.deepEqual([compared, candidates], [rows, differing])
    }
  })
}

for (const flavour of flavours()) {
  test(`on ${flavour}: a key whose columns lie in both directions is walked whole, span by span and where a span is cut`, async () => {
    const mixed = {
      name: 'mixed',
      shardKey: 'owner',
      ddl: 'CREATE TABLE mixed (g INT NOT NULL, id INT NOT NULL, owner INT NOT NULL, v INT NOT NULL, PRIMARY KEY (g, id DESC))',
    }
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-'], tables: [mixed] })
    const rows = 12_000
    await world.t.useDatabase(world.targets[0]!.schema)
    await world.t.query(mixed.ddl)
    await world.s.useDatabase(world.sources[0]!.schema)
    for (const conn of [world.s, world.t]) {
      const v = (id: number): number => (conn === world.t && id % 100 === 0 ? 1 : 0)
      const values = Array.from({ length: rows }, (_, id) => `(${id % 7}, ${id}, ${id}, ${v(id)})`)
      await conn.query(`INSERT INTO mixed VALUES ${values.join()}`)
    }
    const abort = new AbortController()
    await using sessions = new Sessions({ addresses: world.addresses, clock: systemClock, perServerMax: 4, signal: abort.signal })
    const [group] = shardGroups(world.streams())
    const shards = [...world.sources, ...world.targets]
    const use: Sessions['reader'] = (id, work) => sessions.reader(id, work)
    const [table] = await readSourceTables(world.s, '-', world.sources[0]!.schema, world.streams()[0]!.tables)
    assert.deepEqual(table!.plan.keyDescending, [false, true])
    const comparison = planComparison(group!, table!, await readDefinitions(shards, use), await readEstimates(shards, use), new Map())
    for (const [spanRows, limitMs] of [
      [700, 60_000],
      [rows * 2, 1],
    ] as const) {
      const candidates: string[] = []
      let compared = 0
      for (let lo: Bound = null; ;) {
        const from: Bound = lo
        const hi: Bound = await sessions.reader('source', (conn) => boundAfter(conn, comparison, comparison.pacer, from, spanRows))
        compared += await compareSpan(sessions, comparison, { lo, hi }, async (keys) => void candidates.push(...keys), limitMs)
        if (hi === null) break
        lo = hi
      }
      assert.equal(compared, rows)
      const ids = candidates.map((key) => Number(key.split(',')[1])).sort((x, y) => x - y)
      assert.deepEqual(
        ids,
        Array.from({ length: rows / 100 }, (_, i) => i * 100),
      )
    }
  })
}
