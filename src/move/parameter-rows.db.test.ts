/** A copy to MariaDB sends rows as parameters (parameter-rows.ts); where its server lets nobody prepare statements, by LOAD DATA. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { fill, workload, World } from './testkit/world.ts'

for (const [settings, way] of [
  [{ local_infile: 1 }, 'Com_stmt_prepare'],
  [{ local_infile: 1, max_prepared_stmt_count: 0 }, 'Com_load'],
] as const) {
  test(`promises 1, 3 on mariadb: rows land under writes, by ${way}`, async () => {
    await using world = await World.create({ flavour: 'mariadb', sources: ['-'], targets: ['-80', '80-'], settings })
    await fill(world, 0, 3000, 6000)
    const load = workload(world, 0, Date.now() % 100_000, { ids: 6000, uniques: 300 })
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await load.stop()
    await world.drain(record.uid)
    assert.ok((await world.assertEqual()) > 500)
    await running.stop()
    const counts = new Map((await world.t.allText("SHOW GLOBAL STATUS LIKE 'Com_%'")).map((row) => [row.Variable_name, Number(row.Value)]))
    assert.ok((counts.get(way) ?? 0) > 0)
    if (way === 'Com_stmt_prepare') assert.equal(counts.get('Com_load'), 0)
  })
}
