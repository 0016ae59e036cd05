/** PROTOCOLS 1.10, 1.11, 1.13: what `create` refuses because no binlog would tell of it does not come in later. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { ErrorView, StreamRecord } from '../topology/records.ts'
import { type ServerPair, ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { fill, World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

const cascade = 'ADD up BIGINT NULL, ADD CONSTRAINT away FOREIGN KEY (up) REFERENCES item (id) ON DELETE CASCADE'

for (const flavour of flavours()) {
  const on = (): Promise<ServerPair> => servers.of(flavour)
  const withMode = (world: World, onDdl: StreamRecord['options']['onDdl']): StreamRecord => {
    const record = world.record(0)
    return { ...record, options: { ...record.options, onDdl } }
  }
  const failure = async (world: World, record: StreamRecord): Promise<ErrorView | null> => {
    await world.until('failure', () => world.state(record.uid) === 'failed')
    const error = world.reports.get(record.uid)?.error ?? null
    world.reports.delete(record.uid)
    return error
  }

  // Where the server logs them, the stream carries the statement and the rows.
  test(`1.11, 1.13 exec on ${flavour}: a cascade that comes in by DDL stops the stream where it is not logged, also when it was taken back before the stream came to it`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    await fill(world, 0, 10, 100)
    const record = withMode(world, 'exec')
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await world.s.query(`ALTER TABLE item ${cascade}`)
    if (flavour === 'mysql') {
      await world.s.query("INSERT INTO item (id, owner, name, v, up) VALUES (901, 1, 'up', 1, NULL), (902, 1, 'down', 1, 901)")
      await world.s.query('DELETE FROM item WHERE id = 901')
      await world.drain(record.uid)
      assert.equal(await world.assertEqual(), 10)
      await running.stop()
      return
    }
    const told = await failure(world, record)
    assert.match(`${told?.code} ${told?.what}`, /^SW-MOVE-002 .*ON DELETE CASCADE/)
    const columns = await world.t.allText(`SHOW COLUMNS FROM ${world.targetRefs[0]!.schema}.item LIKE 'up'`)
    assert.deepEqual(columns, [], 'it was not made on the target')
    const stands = await (world.start({ ...record, generation: 2 }), failure(world, record))
    assert.match(`${stands?.code} ${stands?.what}`, /^SW-MOVE-039 .*item on app\/- \(source\).*foreign key away says ON DELETE CASCADE/)
    await world.s.query('ALTER TABLE item DROP FOREIGN KEY away')
    for (const mode of ['exec', 'ignore'] as const) {
      const again = await (world.start({ ...withMode(world, mode), generation: 3 }), failure(world, record))
      assert.match(`${again?.code} ${again?.what}`, /^SW-MOVE-002 .*ON DELETE CASCADE/, 'what it changed meanwhile no event tells')
    }
  })

  test(`1.10, 1.11 on ${flavour}: a stream does not begin where a table cannot be followed, on either side, however it came to be so`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    await fill(world, 0, 10, 100)
    const record = withMode(world, 'ignore')
    const target = `${world.targetRefs[0]!.schema}.item`
    await (async () => {
      const running = world.start(record)
      await world.untilRunning(record.uid)
      await running.stop()
    })()
    world.reports.delete(record.uid)
    // Unlogged, and by hand: no statement comes by in the tail.
    await world.s.query('SET sql_log_bin=0')
    const cases: [side: World['s'], sql: string, back: string, told: RegExp][] = [
      [
        world.s,
        'ALTER TABLE item ENGINE=MyISAM',
        'ALTER TABLE item ENGINE=InnoDB',
        /^SW-MOVE-039 .*item on app\/- \(source\).*kept by MyISAM/,
      ],
      [
        world.t,
        `ALTER TABLE ${target} ENGINE=MyISAM`,
        `ALTER TABLE ${target} ENGINE=InnoDB`,
        /^SW-MOVE-039 .*item on app\/- \(target\).*kept by MyISAM/,
      ],
    ]
    if (flavour === 'mariadb')
      cases.push(
        [
          world.t,
          `ALTER TABLE ${target} ${cascade}`,
          `ALTER TABLE ${target} DROP FOREIGN KEY away, DROP COLUMN up`,
          /^SW-MOVE-039 .*item on app\/- \(target\).*foreign key away says ON DELETE CASCADE/,
        ],
        [world.s, 'ALTER TABLE item ADD SYSTEM VERSIONING', 'ALTER TABLE item DROP SYSTEM VERSIONING', /^SW-MOVE-039 .*system versioned/],
      )
    let generation = 1
    for (const [side, sql, back, told] of cases) {
      await side.query(sql)
      world.start({ ...record, generation: ++generation })
      const error = await failure(world, record)
      assert.match(`${error?.code} ${error?.what}`, told)
      await side.query(back)
    }
    await world.s.query('SET sql_log_bin=1')
    const running = world.start({ ...record, generation: ++generation })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await running.stop()
  })
}
