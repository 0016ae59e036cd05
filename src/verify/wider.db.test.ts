/** Columns that a target may hold wider than the source compare by their values; generated ones, which no stream carries, by what is stored. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { counts, VerifyWorld, type TestTable } from './testkit/world.ts'

const none = { missing: 0, extra: 0, misplaced: 0, different: 0 }
const pairs = new ServerPairs()
after(() => pairs[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  test(`vdiff on ${flavour}: equal values in wider columns of the targets are equal, in keys too, and the smallest difference is found`, async () => {
    const times: TestTable = {
      name: 'times',
      shardKey: 'owner',
      ddl: `CREATE TABLE times (at DATETIME(3) NOT NULL, owner INT NOT NULL, d DATETIME NULL, t TIME(2) NULL, ts TIMESTAMP(3) NULL, short TINYTEXT, raw TINYBLOB NOT NULL, v VARCHAR(9) NOT NULL,
        PRIMARY KEY (at, owner)) DEFAULT CHARSET=utf8mb4`,
    }
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables: [times] }, pairs)
    await world.s.useDatabase(world.sources[0]!.schema)
    await world.s.query("SET SESSION sql_mode='', time_zone='-03:30'")
    const insert = (i: number): Promise<unknown> =>
      world.s.query(
        `INSERT INTO times VALUES ('2026-01-0${(i % 9) + 1} 10:00:00.${100 + i}', ${i}, '2026-03-29 02:30:00', '-${i % 24}:34:56.78', '2026-07-01 00:00:00.5', 'é ${i}', UNHEX('00FF'), ''),
          ('0000-00-00 00:00:00', ${i}, '0000-00-00', NULL, 0, NULL, '', 'x'), ('2025-12-31 23:59:59.999', ${i}, NULL, '838:59:59', NULL, '', 'é', 'y')`,
      )
    for (let i = 0; i < 200; i++) await insert(i)
    await world.start()
    await world.t.query("SET SESSION sql_mode=''")
    for (const { schema } of world.targets)
      await world.t.query(
        `ALTER TABLE ${schema}.times MODIFY at DATETIME(6) NOT NULL, MODIFY d DATETIME(3) NULL, MODIFY t TIME(6) NULL, MODIFY ts TIMESTAMP(6) NULL, MODIFY short TEXT, MODIFY raw MEDIUMBLOB NOT NULL, MODIFY v VARCHAR(900) NOT NULL`,
      )
    for (let i = 200; i < 220; i++) await insert(i)
    const clean = await world.vdiff()
    assert.deepEqual([clean.state, clean.error, counts(clean, 'times'), clean.tables[0]?.rowsCompared], ['clean', null, none, 660])

    const harm = async (owner: number, set: string): Promise<void> => {
      const where = `owner = ${owner} AND at > '2026-01-01'`
      await world.t.query(`UPDATE ${world.on(world.targets, await world.shardOf('times', where), 'times')} SET ${set} WHERE ${where}`)
    }
    await harm(1, "d = '2026-03-29 02:30:00.001'")
    await harm(2, 't = ADDTIME(t, 0.000001)')
    await harm(3, "ts = '2026-07-01 03:30:00.500001'")
    await harm(4, "short = CONCAT(short, ' ')")
    await harm(5, "raw = ''")
    const found = await world.vdiff({ repair: true })
    assert.deepEqual(found.tables[0]?.samples.map(({ kind, columns }) => `${kind} ${columns.join('+')}`).toSorted(), [
      'different d',
      'different raw',
      'different short',
      'different t',
      'different ts',
    ])
    assert.deepEqual([found.state, found.repairedRows], ['clean', 5])
  })

  test(`vdiff on ${flavour}: a stored generated column that has another value on the target is found`, async () => {
    // MySQL takes what reads the session's time zone; MariaDB refuses that, not what reads its sql_mode.
    const made = flavour === 'mysql' ? 'made DATETIME AS (FROM_UNIXTIME(n)) STORED' : 'made INT AS (n * 2) PERSISTENT'
    const events: TestTable = {
      name: 'events',
      shardKey: 'owner',
      ddl: `CREATE TABLE events (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, n INT NOT NULL, ${made}, twice INT AS (n + n) VIRTUAL)`,
    }
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables: [events] }, pairs)
    await world.s.useDatabase(world.sources[0]!.schema)
    await world.s.query("SET SESSION time_zone='+00:00'")
    for (let i = 0; i < 50; i++) await world.s.query(`INSERT INTO events (id, owner, n) VALUES (${i}, ${i}, ${i + 1000000})`)
    await world.start()
    assert.deepEqual((await world.vdiff()).state, 'clean')
    if (flavour === 'mysql') {
      await world.s.query("SET SESSION time_zone='+05:30'")
      await world.s.query('INSERT INTO events (id, owner, n) VALUES (100, 100, 2000000), (101, 101, 2000001)')
    } else {
      for (const { schema } of world.targets)
        await world.t.query(`ALTER TABLE ${schema}.events MODIFY made INT AS (n * 2 + (id < 2)) PERSISTENT`)
    }
    const found = await world.vdiff()
    assert.deepEqual([found.state, counts(found, 'events')], ['different', { ...none, different: 2 }])
    assert.ok(found.tables[0]?.samples.every(({ columns }) => columns.join() === 'made'))
  })
}
