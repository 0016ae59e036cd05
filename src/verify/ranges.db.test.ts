/** A span that takes too long is cut and still compared whole; listings of more rows than are held at once are halved. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { flavours } from '../../test/kit/servers.ts'
import { systemClock } from '../base/clock.ts'
import { readSourceTables } from '../move/source-tables.ts'
import { planComparison, readDefinitions, readEstimates } from './comparison.ts'
import { shardGroups } from './groups.ts'
import { compareSpan } from './ranges.ts'
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
  })
}
