/** PROTOCOLS 1.3, 1.5: keys of every type and mix, each walked in ranges of a few rows, and each changed in every way that a key can be. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { besideEachOther } from '../../test/kit/beside.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { keyChanges, keyTables } from './testkit/key-tables.ts'
import { killAt } from './testkit/kill-at.ts'
import { World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

besideEachOther('keys of every type', (flavour) => {
  test(`1.3, 1.5 on ${flavour}: keys of every type, mixed, downwards, unique without a primary one: by ranges of a few rows, killed in between, and by the tail; the same rows`, async () => {
    const tables = keyTables(flavour)
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables }, servers.of(flavour))
    await world.s.useDatabase(world.sourceRefs[0]!.schema)
    // Zero dates, and a day that no month has.
    await world.s.query("SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES'")
    for (const { name, keyColumns, key } of tables) {
      const rows = Array.from({ length: 40 }, (_, i) => `(${i}, ${key(i).join(', ')}, ${(i * 7919) % 1000}, 'old')`)
      await world.s.query(`INSERT INTO ${name} (n, ${keyColumns.join(', ')}, owner, v) VALUES ${rows.join()}`)
    }
    const change = async (lap: number): Promise<void> => {
      for (const table of tables)
        for (const statements of keyChanges(table, lap)) {
          await world.s.query('BEGIN')
          for (const statement of statements) assert.equal((await world.s.query(statement)).kind, 'ok')
          await world.s.query('COMMIT')
        }
    }
    const record = world.record(0)
    const config = { chunkBytes: 200, touchedBytesMax: 1 << 20 }
    const failpoints = killAt('copy.landedOnSomeTargets', 40)
    await world.start(record, { failpoints, config }).done
    assert.ok(failpoints.hits > 40, 'killed among its chunks')
    // Some ranges have landed, of some tables: what changes in them is the tail's, what changes elsewhere the copy's.
    await change(0)
    world.reports.delete(record.uid)
    const running = world.start(record, { config })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    const { chunksDone = 0 } = running.stream.report().copy
    assert.ok(chunksDone > 4 * tables.length, `${chunksDone} chunks of ${tables.length} tables`)
    const rows = await world.assertEqual()
    assert.equal(rows, 41 * tables.length)
    await change(1)
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 42 * tables.length)
    await running.stop()
  })
})
