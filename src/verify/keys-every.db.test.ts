/** PROTOCOLS 2: rows are found, told apart and repaired by keys of every type and mix, in whichever order their index has them. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { besideEachOther } from '../../test/kit/beside.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { keyTables } from '../move/testkit/key-tables.ts'
import { counts, VerifyWorld } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())
const none = { missing: 0, extra: 0, misplaced: 0, different: 0 }

besideEachOther('comparison by keys of every type', (flavour) => {
  test(`2, 1.3 on ${flavour}: by keys of every type: clean; a row that is missing, one too many, one changed are found in each table, and repaired`, async () => {
    const tables = keyTables(flavour)
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-'], tables }, await servers.of(flavour))
    for (const conn of [world.s, world.t])
      await conn.query("SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES'")
    const insert = (name: string, keyColumns: readonly string[], rows: readonly string[]): string =>
      `INSERT INTO ${name} (n, ${keyColumns.join(', ')}, owner, v) VALUES ${rows.join()}`
    for (const { name, keyColumns, key } of tables) {
      const rows = Array.from({ length: 40 }, (_, i) => `(${i}, ${key(i).join(', ')}, ${i}, 'old')`)
      await world.s.query(insert(world.on(world.sources, '-', name), keyColumns, rows))
    }
    await world.start()
    const clean = await world.vdiff()
    for (const { name } of tables) assert.deepEqual(counts(clean, name), none, name)
    assert.equal(clean.rowsCompared, 40 * tables.length)

    // Odd ones have a SET's 64th member, or are below zero.
    for (const { name, keyColumns, key } of tables) {
      const there = world.on(world.targets, '-', name)
      await world.t.query(`DELETE FROM ${there} WHERE n = 39`)
      await world.t.query(`UPDATE ${there} SET v = 'other' WHERE n = 37`)
      await world.t.query(insert(there, keyColumns, [`(61, ${key(61).join(', ')}, 61, 'too many')`]))
    }
    const found = await world.vdiff()
    for (const { name } of tables) assert.deepEqual(counts(found, name), { missing: 1, extra: 1, misplaced: 0, different: 1 }, name)
    const repaired = await world.vdiff({ repair: true })
    assert.equal(repaired.state, 'clean')
    const again = await world.vdiff()
    for (const { name } of tables) assert.deepEqual(counts(again, name), none, name)
  })
  test(`2 on ${flavour}: keys that differ only by what their collation equates are one difference each, in whichever batches they are settled`, async () => {
    const name = 'word'
    const ddl = `CREATE TABLE word (w VARCHAR(20) NOT NULL PRIMARY KEY, owner INT NOT NULL) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci`
    const options = { flavour, sources: ['-'], targets: ['-'], tables: [{ name, ddl, shardKey: 'owner' }] }
    await using world = await VerifyWorld.create(options, servers)
    const rows = Array.from({ length: 240 }, (_, i) => `('key ${i}', ${i})`)
    await world.s.query(`INSERT INTO ${world.on(world.sources, '-', name)} VALUES ${rows.join()}`)
    await world.start()
    await world.t.query(`UPDATE ${world.on(world.targets, '-', name)} SET w = UPPER(w)`)
    const found = await world.vdiff()
    assert.deepEqual(counts(found, name), { ...none, different: 240 })
    const repaired = await world.vdiff({ repair: true })
    assert.deepEqual([repaired.state, repaired.repairedRows], ['clean', 240])
    assert.deepEqual(counts(await world.vdiff(), name), none)
  })
})
