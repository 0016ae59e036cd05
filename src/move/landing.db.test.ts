/** Chunks that land together on real servers. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { flavours } from '../../test/kit/servers.ts'
import type { Failpoints } from './crash-points.ts'
import { fill, workload, World } from './testkit/world.ts'

const shards = ['-20', '20-40', '40-60', '60-80', '80-a0', 'a0-c0', 'c0-e0', 'e0-']

for (const flavour of flavours()) {
  test(`1.4 on ${flavour}: of eight targets each takes several chunks in a transaction, and every row arrives, changed ones in their newest image`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: shards })
    await fill(world, 0, 6_000, 12_000)
    const seed = Date.now() % 100_000
    const load = workload(world, 0, seed, { ids: 12_000, uniques: 300, pauseMs: 5 })
    const record = world.record(0)
    let landings = 0
    const failpoints: Failpoints = { hit: (point) => void (landings += point === 'copy.beforeLandCommit' ? 1 : 0) }
    const running = world.start(record, { failpoints, config: { rangesKept: 1_000 } })
    await world.untilRunning(record.uid)
    await load.stop()
    await world.drain(record.uid)
    await world.assertEqual()
    await running.stop()
    const chunks = Number(await world.t.value(`SELECT COUNT(*) FROM _shardwright.move_chunk WHERE stream_uid = '${record.uid}'`))
    assert.ok(chunks >= 20 * shards.length, `seed ${seed}: ${chunks} chunks`)
    assert.ok(landings <= chunks / 2, `seed ${seed}: ${landings} landings of ${chunks} chunks`)
  })
}
