/** PROTOCOLS 1.13, `--on-ddl exec`: each statement of the source is done on the targets whole and once, whatever it meets there. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import type { PaceLimits, StreamRecord } from '../topology/records.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { type ServerPair, ServerPairs } from '../../test/kit/server-pairs.ts'
import { forgetStreams } from './tables.ts'
import { atWorkOnTarget } from './testkit/at-work.ts'
import { holdAt, killAt } from './testkit/kill-at.ts'
import { execOf } from './testkit/samples.ts'
import { fill, World, type Running } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

/** What the table is on each side: the same, if every statement was done. */
async function assertAlike(world: World): Promise<void> {
  const shown = async (conn: Connection, schema: string): Promise<string[]> =>
    ((await conn.allText(`SHOW CREATE TABLE ${schema}.item`))[0]?.['Create Table'] ?? '').split(/,?\n/).toSorted()
  const source = await shown(world.s, world.sourceRefs[0]!.schema)
  for (const { schema } of world.targetRefs) assert.deepEqual(await shown(world.t, schema), source)
}

/** Nothing is copied until these statements of the source are on the targets; then everything is. */
async function copiedBehind(world: World, record: StreamRecord, ...statements: readonly string[]): Promise<Running> {
  let pace: Partial<PaceLimits> = { pausedUntilMs: Date.now() + 1e9 }
  const running = world.start(record, { pace: () => pace })
  await world.until('copying', () => running.stream.report().state === 'copying')
  for (const statement of statements) await world.s.query(statement)
  await world.drain(record.uid)
  pace = {}
  await world.untilRunning(record.uid)
  await world.drain(record.uid)
  return running
}

besideEachOther('statements that are executed on targets', (flavour) => {
  const on = (): Promise<ServerPair> => servers.of(flavour)
  const executing = (world: World): StreamRecord => execOf(world.record(0))

  test(`1.13 exec on ${flavour}: while keys wait for the end of the copy, a statement about one of them does all that it says, the next one too`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 60, 600)
    const running = await copiedBehind(
      world,
      executing(world),
      'ALTER TABLE item DROP INDEX v, ALTER v SET DEFAULT 5',
      'ALTER TABLE item RENAME INDEX u TO uu, ADD INDEX w (v, name)',
      'UPDATE item SET u = id, v = v + 1',
      'ALTER TABLE item DROP INDEX w, ADD extra INT NOT NULL DEFAULT 7 AFTER id',
      'INSERT INTO item (id, owner, name, extra) VALUES (9001, 4, "last", 1)',
    )
    assert.equal(await world.assertEqual(), 61)
    await assertAlike(world)
    await running.stop()
  })

  test(`1.11, 1.13 exec on ${flavour}: a foreign key that comes while tables are copied finds the key that it refers to, and does not ask for rows that are still to come`, async () => {
    const tables = [
      {
        name: 'item',
        shardKey: 'owner',
        ddl: 'CREATE TABLE item (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, name VARCHAR(20) NOT NULL DEFAULT "", u INT NOT NULL, KEY o (owner))',
      },
      {
        name: 'Other',
        shardKey: 'owner',
        ddl: 'CREATE TABLE Other (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, u INT NOT NULL, UNIQUE KEY u (u), KEY o (owner))',
      },
    ]
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'], tables }, on())
    await world.s.query('INSERT INTO Other VALUES (1, 1, 7), (2, 2, 8)')
    await world.s.query('INSERT INTO item (id, owner, u) VALUES (1, 1, 7)')
    const running = await copiedBehind(
      world,
      executing(world),
      // The row that this one refers to waits for the copy.
      'INSERT INTO item (id, owner, u) VALUES (2, 2, 8)',
      'ALTER TABLE item ADD CONSTRAINT fk FOREIGN KEY (u) REFERENCES Other (u)',
    )
    assert.equal(await world.assertEqual(), 4)
    await assertAlike(world)
    await running.stop()
  })

  if (flavour === 'mysql')
    test('1.13 exec on mysql: a key without a name, with an expression behind a column, gets the name that it has on the source', async () => {
      const ddl =
        'CREATE TABLE item (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, v INT NOT NULL, name VARCHAR(20) NOT NULL, KEY ((lower(name))))'
      await using world = await World.create(
        { flavour, sources: ['-'], targets: ['-'], tables: [{ name: 'item', shardKey: 'owner', ddl }] },
        on(),
      )
      await world.s.query("INSERT INTO item VALUES (1, 1, 1, 'a')")
      const running = await copiedBehind(world, executing(world), 'ALTER TABLE item ADD INDEX (v, (lower(name)))')
      await assertAlike(world)
      await running.stop()
    })

  test(`1.5, 1.13 exec on ${flavour}: a column, then a unique key less, before the tail has come to the first: the key that waits was the source's, and a mover that dies when it is built goes on`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 60, 600)
    const record = executing(world)
    let paced: Partial<PaceLimits> = { pausedUntilMs: Date.now() + 1e9 }
    const pace = () => paced
    const first = world.start(record, { pace })
    await world.until('copying', () => first.stream.report().state === 'copying')
    await world.drain(record.uid)
    await first.stop()
    world.reports.delete(record.uid)
    await world.s.query('ALTER TABLE item ADD extra INT NOT NULL DEFAULT 7')
    await world.s.query('ALTER TABLE item DROP INDEX u')
    // Both targets have made the first by then, and one has built its keys for the second.
    const second = world.start(record, { pace, failpoints: killAt('ddl.noted', 2) })
    await second.done
    const indexes = `SELECT COUNT(*) FROM information_schema.STATISTICS WHERE INDEX_NAME = 'u' AND TABLE_SCHEMA = '${world.targetRefs[0]!.schema}'`
    assert.equal(await world.t.value(indexes), '1')
    world.reports.delete(record.uid)
    paced = {}
    const third = world.start(record, { pace })
    await world.untilRunning(record.uid)
    await world.s.query('UPDATE item SET u = 5, extra = id')
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 60)
    await assertAlike(world)
    await third.stop()
  })

  test(`1.13 exec on ${flavour}: "there already" is no proof that a statement was done: it stops the stream, at the second start too`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    await fill(world, 0, 10, 100)
    const record = executing(world)
    world.start(record)
    await world.untilRunning(record.uid)
    await world.t.query(`ALTER TABLE ${world.targetRefs[0]!.schema}.item ADD extra INT NULL`)
    await world.s.query('ALTER TABLE item ADD extra INT NULL, ALTER v SET DEFAULT 5')
    const failed = (): Promise<void> => world.until('failure', () => world.state(record.uid) === 'failed')
    await failed()
    for (const generation of [2, 3]) {
      assert.equal(world.reports.get(record.uid)?.error?.code, 'SW-MOVE-028', JSON.stringify(world.reports.get(record.uid)?.error))
      world.reports.delete(record.uid)
      world.start({ ...record, generation })
      await failed()
    }
    await world.t.query(`ALTER TABLE ${world.targetRefs[0]!.schema}.item DROP COLUMN extra`)
    world.reports.delete(record.uid)
    const again = world.start({ ...record, generation: 4 })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await assertAlike(world)
    await again.stop()
  })

  test(`1.7, 1.13 exec on ${flavour}: a statement that goes on at the server when its mover has died is waited for, and not made twice`, async () => {
    const ddl =
      'CREATE TABLE item (id BIGINT NOT NULL, owner INT NOT NULL, u INT NULL, name VARCHAR(30) CHARACTER SET utf8mb4 NOT NULL, v INT NOT NULL, a INT NULL, b INT NULL, PRIMARY KEY (id))'
    await using world = await World.create(
      { flavour, sources: ['-'], targets: ['-'], tables: [{ name: 'item', shardKey: 'owner', ddl }] },
      on(),
    )
    await world.s.query(
      `INSERT INTO ${world.sourceRefs[0]!.schema}.item VALUES (1, 1, NULL, 'one', 1, 10, 20), (2, 2, NULL, 'two', 2, 11, 21)`,
    )
    await world.s.useDatabase(world.sourceRefs[0]!.schema)
    const record = executing(world)
    let running = world.start(record)
    await world.untilRunning(record.uid)
    const reader = await connect({ ...world.target.config, database: world.targetRefs[0]!.schema })
    for (const sql of ['ALTER TABLE item CHANGE a b INT NULL, CHANGE b a INT NULL', 'ALTER TABLE item ADD INDEX (name)']) {
      await world.drain(record.uid)
      await reader.query('BEGIN')
      await reader.query('SELECT * FROM item')
      await world.s.query(sql)
      await world.s.query('UPDATE item SET v = v + 1, a = a + 100')
      const atWork = await atWorkOnTarget(world, new RegExp(`^${sql.slice(0, 20)}`))
      assert.equal(await atWork(), 1, 'it waits for the reader')
      // What a kill leaves behind: the session is at work, and nobody listens.
      await running.stop()
      assert.equal(await atWork(), 1)
      assert.match(JSON.stringify(world.reports.get(record.uid)), /"state":"starting".*a statement may still be executed/)
      world.reports.delete(record.uid)
      running = world.start(record)
      await world.until('a wait that says what for', () =>
        /still executes: ALTER TABLE item/.test(running.stream.report().waiting?.what ?? ''),
      )
      assert.equal(await atWork(), 1, 'it is not executed beside itself')
      await reader.query('COMMIT')
      await world.untilRunning(record.uid)
      await world.drain(record.uid)
      await world.assertEqual()
      await assertAlike(world)
    }
    reader.destroy()
    await running.stop()
  })

  if (flavour === 'mariadb')
    test('1.13 exec on mariadb: how long a statement may take is said for its source: on a target that is busier it is not ended and begun again', async () => {
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
      await fill(world, 0, 10, 100)
      const record = executing(world)
      const running = world.start(record)
      await world.untilRunning(record.uid)
      await using reader = await connect({ ...world.target.config, database: world.targetRefs[0]!.schema })
      await reader.query('BEGIN')
      await reader.query('SELECT * FROM item')
      await world.s.query(
        'SET STATEMENT max_statement_time=1, sql_mode=@@sql_mode, lock_wait_timeout=1 FOR ALTER TABLE item ADD INDEX (name)',
      )
      await world.until('a wait that says what for', () => /executes "/.test(running.stream.report().waiting?.what ?? ''))
      await systemClock.sleep(2_500)
      await reader.query('COMMIT')
      await world.drain(record.uid)
      await assertAlike(world)
      assert.equal(running.stream.report().retries, 1, 'behind the statement, and never before')
      await running.stop()
    })

  test(`1.7 on ${flavour}: a statement that the server still executes when its workflow ends is ended with it`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    await fill(world, 0, 10, 100)
    const record = executing(world)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    const reader = await connect({ ...world.target.config, database: world.targetRefs[0]!.schema })
    await reader.query('BEGIN')
    await reader.query('SELECT * FROM item')
    await world.s.query('ALTER TABLE item ADD INDEX (name)')
    const atWork = await atWorkOnTarget(world, /^ALTER TABLE item/)
    await running.stop()
    assert.equal(await atWork(), 1)
    await forgetStreams(world.t, record.workflowUid)
    assert.equal(await atWork(), 0)
    await reader.query('COMMIT')
    reader.destroy()
    const [shown] = await world.t.allText(`SHOW CREATE TABLE ${world.targetRefs[0]!.schema}.item`)
    assert.doesNotMatch(shown?.['Create Table'] ?? '', /KEY `name`/)
  })

  test(`1.7, 1.13 exec on ${flavour}: a mover that is held within a statement writes nothing of it once another has taken over`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 20, 100)
    const record = executing(world)
    const failpoints = holdAt('ddl.executed')
    const first = world.start(record, { failpoints })
    await world.untilRunning(record.uid)
    await world.s.query('ALTER TABLE item ADD one INT NULL')
    await failpoints.held
    world.reports.delete(record.uid)
    const second = world.start(record)
    await world.untilRunning(record.uid)
    await world.s.query('ALTER TABLE item ADD two INT NULL AFTER id')
    await world.s.query('UPDATE item SET one = v, two = id')
    await world.drain(record.uid)
    const stored = (): Promise<Record<string, string | null>[]> =>
      world.t.allText(
        `SELECT (SELECT GROUP_CONCAT(definition ORDER BY target_uid) FROM _shardwright.move_definition WHERE stream_uid = '${record.uid}') AS definitions,
          (SELECT GROUP_CONCAT(done ORDER BY target_uid, at_marker) FROM _shardwright.move_ddl WHERE stream_uid = '${record.uid}') AS done`,
      )
    const before = await stored()
    assert.equal(before[0]?.['done'], '1,1,1,1')
    failpoints.letGo()
    await first.stop()
    assert.deepEqual(await stored(), before)
    assert.equal(await world.assertEqual(), 20)
    await assertAlike(world)
    await second.stop()
  })

  test(`1.7, 1.12 on ${flavour}: keys that the server still builds when their mover has died are waited for, and not built twice`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    await fill(world, 0, 60, 600)
    const record = world.record(0)
    const reader = await connect({ ...world.target.config, database: world.targetRefs[0]!.schema })
    let reading = false
    const failpoints = {
      hit: (at: string) =>
        at === 'copy.beforeKeys' && !reading
          ? (async () => {
              reading = true
              await reader.query('BEGIN')
              await reader.query('SELECT * FROM item')
            })()
          : undefined,
    }
    const running = world.start(record, { failpoints })
    await world.until('reader', () => reading)
    const atWork = await atWorkOnTarget(world, /ALTER TABLE .*item/)
    await running.stop()
    assert.equal(world.state(record.uid), 'starting')
    world.reports.delete(record.uid)
    const again = world.start(record)
    // A server looks each second whether who waits for a lock is still there: on a busy machine it has ended that one before another mover comes.
    let atWorkStill = true
    void (async () => {
      while (atWorkStill) {
        await new Promise((resolve) => setTimeout(resolve, 100))
        atWorkStill &&= (await atWork()) > 0
      }
    })()
    const waits = (): boolean => /still executes: ALTER TABLE/.test(again.stream.report().waiting?.what ?? '')
    await world.until('a wait that says what for', () => waits() || !atWorkStill)
    atWorkStill = false
    await reader.query('COMMIT')
    reader.destroy()
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await world.assertEqual()
    await assertAlike(world)
    await again.stop()
  })
})
