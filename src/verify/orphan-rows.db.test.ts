/** PROTOCOLS 1.11: what a foreign key does not meet on the targets, written after the copy. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { flavours } from '../../test/kit/servers.ts'
import { VerifyWorld } from './testkit/world.ts'

const tables = [
  { name: 'parent', shardKey: 'owner', ddl: 'CREATE TABLE parent (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL)' },
  {
    name: 'child',
    shardKey: 'owner',
    ddl: 'CREATE TABLE child (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, p INT NULL, KEY p (p), CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent (id))',
  },
]

for (const flavour of flavours()) {
  test(`1.11 on ${flavour}: a vdiff finds rows whose other row of a foreign key went to another shard after the copy, by key; none while pairs are written`, async () => {
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables })
    const [child, parent] = [world.on(world.sources, '-', 'child'), world.on(world.sources, '-', 'parent')]
    const ids = Array.from({ length: 100 }, (_, i) => i)
    await world.s.query(`INSERT INTO ${parent} VALUES ${ids.map((i) => `(${i},${i})`).join()}`)
    await world.s.query(`INSERT INTO ${child} VALUES ${ids.map((i) => `(${i},${i},${i % 3 === 0 ? 'NULL' : i})`).join()}`)
    await world.start()
    let stop = false
    const pairs = (async () => {
      for (let i = 1_000; !stop; i++) {
        await world.s.query('BEGIN')
        await world.s.query(`INSERT INTO ${parent} VALUES (${i},${i})`)
        await world.s.query(`INSERT INTO ${child} VALUES (${i},${i},${i})`)
        await world.s.query('COMMIT')
      }
    })()
    const clean = await world.vdiff()
    stop = true
    await pairs
    assert.deepEqual([clean.state, clean.tables.map(({ orphans }) => orphans)], ['clean', [undefined, undefined]])
    await world.s.query('SET foreign_key_checks=0')
    await world.s.query(`INSERT INTO ${child} VALUES (500, 1, 9999)`)
    await world.s.query('SET foreign_key_checks=1')
    // 1 and 2 lie in one shard, 4 in the other.
    await world.s.query(`UPDATE ${child} SET p = 4 WHERE id IN (1, 2)`)
    const found = await world.vdiff()
    const table = found.tables.find(({ name }) => name === 'child')!
    assert.deepEqual([found.state, table.orphans, table.different + table.missing + table.extra + table.misplaced], ['different', 2, 0])
    assert.deepEqual(
      table.samples.map(({ kind, key, columns }) => [kind, key, ...columns]),
      [
        ['orphan', '1', 'p'],
        ['orphan', '2', 'p'],
      ],
    )
    await world.s.query(`UPDATE ${child} SET p = id WHERE id IN (1, 2)`)
    assert.equal((await world.vdiff()).state, 'clean')
  })
}
