/** A split of one source into several targets, under writes, on real servers. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { flavours } from '../../test/kit/servers.ts'
import { fill, workload, World } from './testkit/world.ts'

for (const flavour of flavours()) {
  test(`promises 1, 3, 4 on ${flavour}: copy and follow under writes with wandering keys, shard keys and unique values`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-40', '40-80', '80-c0', 'c0-'] })
    await fill(world, 0, 3000, 6000)
    const seed = Date.now() % 100_000
    const load = workload(world, 0, seed, { ids: 6000, uniques: 300 })
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await new Promise((resolve) => setTimeout(resolve, 500))
    const transactions = await load.stop()
    await world.drain(record.uid)
    const rows = await world.assertEqual()
    assert.ok(rows > 500 && transactions > 100, `seed ${seed}: ${rows} rows, ${transactions} transactions`)
    await running.stop()
    assert.equal(world.state(record.uid), 'stopped')
  })
}
