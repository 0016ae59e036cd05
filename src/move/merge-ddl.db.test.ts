/** DDL in a merge while a row waits for another source's stream (PROTOCOLS 1.6, 1.13; docs/decisions/025). */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import type { PaceLimits, StreamRecord } from '../topology/records.ts'
import type { Failpoints } from './crash-points.ts'
import { killAt } from './testkit/kill-at.ts'
import { ownersOf } from './testkit/owners.ts'
import { itemTable, World, type Running } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

const statementsAbout = {
  'no key': ['ALTER TABLE item ADD extra INT NOT NULL DEFAULT 3'],
  // The second has a name of its server's, which depends on the names that are there.
  keys: [
    'ALTER TABLE item ADD KEY w (v, name)',
    'ALTER TABLE item ADD COLUMN x INT NULL UNIQUE, ADD INDEX (v)',
    'CREATE INDEX y ON item (name)',
    'ALTER TABLE item DROP INDEX w, RENAME INDEX v TO vv',
  ],
  // A constraint is looked for among unique keys only.
  'the key that waits': ['ALTER TABLE item DROP CONSTRAINT u, ADD INDEX w (v), ADD UNIQUE INDEX u (id, u)'],
}

/** Two sources into one target; a row of `a` is the first's, of `b` the second's. */
async function merging(flavour: 'mariadb' | 'mysql', table = itemTable) {
  const world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'], tables: [table] }, servers.of(flavour))
  const [a, b] = ownersOf(world)
  const on = async (shard: number, ...statements: string[]): Promise<void> => {
    await world.s.useDatabase(world.sourceRefs[shard]!.schema)
    for (const statement of statements) await world.s.query(statement)
  }
  const options = { ...world.record(0).options, onDdl: 'exec' as const }
  const [one, two] = [world.record(0, { options }), world.record(1, { options })]
  return { world, on, a, b, one, two, shares: world.sharesOf([one, two]) }
}

besideEachOther(
  'statements of a merge',
  (flavour) => {
    test(`1.6, 1.13 on ${flavour}: a stream that comes to a statement while its row waits for another stream goes on when that has come, and when its own change behind the statement is what frees the place`, async () => {
      const { world, on, a, b, one, two, shares } = await merging(flavour)
      await using _world = world
      let [first, second] = [one, two].map((record) => world.start(record, { shares }))
      await on(1, `INSERT INTO item VALUES (1, ${b}, 5, 'n', 0)`)
      await world.untilRunning(one.uid, two.uid)
      await world.drain(one.uid, two.uid)
      // The other stream is behind.
      await second!.stop()
      await on(1, 'DELETE FROM item')
      await on(0, `INSERT INTO item VALUES (1, ${a}, 5, 'n', 1)`, 'CREATE INDEX by_name ON item (name)')
      await world.until('a row that waits', () => /collides/.test(first!.stream.report().waiting?.what ?? ''))
      second = world.start(two, { shares })
      await world.drain(one.uid, two.uid)
      assert.equal(await world.assertEqual(), 1)
      // This one is.
      await first!.stop()
      await on(0, `INSERT INTO item VALUES (2, ${a}, 7, 'n', 1), (3, ${a}, 8, 'n', 1), (9, ${a}, 9, 'n', 1)`)
      await on(0, 'DROP INDEX by_name ON item', 'DELETE FROM item WHERE id = 2', 'UPDATE item SET u = NULL WHERE id = 3')
      await on(1, `INSERT INTO item VALUES (2, ${b}, NULL, 'm', 2), (4, ${b}, 8, 'm', 2), (5, ${b}, 7, 'm', 2)`)
      await world.drain(two.uid)
      first = world.start(one, { shares })
      await world.drain(one.uid, two.uid)
      assert.equal(await world.assertEqual(), 6)
      await first.stop()
      await second.stop()
    })

    for (const key of flavour === 'mysql' ? (['a generated column', 'an expression'] as const) : (['a generated column'] as const))
      test(`1.6, 1.13 on ${flavour}: so does one whose unique key is over ${key}, which rows do not carry`, async () => {
        const generated = key === 'a generated column'
        const columns = `id BIGINT NOT NULL, owner INT NOT NULL, mail VARCHAR(30) NOT NULL, v INT NOT NULL, PRIMARY KEY (id)`
        const unique = generated ? 'g VARCHAR(30) AS (lower(mail)) VIRTUAL, UNIQUE KEY g (g)' : 'UNIQUE KEY g ((lower(mail)))'
        const { world, on, a, b, one, two, shares } = await merging(flavour, {
          ...itemTable,
          ddl: `CREATE TABLE item (${columns}, ${unique})`,
        })
        await using _world = world
        const [before, second] = [one, two].map((record) => world.start(record, { shares }))
        await world.untilRunning(one.uid, two.uid)
        await before!.stop()
        const insert = (id: number, owner: number, mail: string): string =>
          `INSERT INTO item (id, owner, mail, v) VALUES (${id}, ${owner}, '${mail}', 1)`
        await on(0, insert(2, a!, 'x'), 'CREATE INDEX by_v ON item (v)', "UPDATE item SET mail = 'z' WHERE id = 2")
        await on(1, insert(4, b!, 'X'))
        await world.drain(two.uid)
        const first = world.start(one, { shares })
        await world.drain(one.uid, two.uid)
        assert.equal(await world.assertEqual(), 2)
        await first.stop()
        await second!.stop()
      })

    for (const subject of ['no key', 'keys', 'the key that waits'] as const)
      test(`1.6, 1.13 on ${flavour}: while a unique key waits for the end of the copy, a statement about ${subject} does not wait for two rows of one value, of which the one to go stands behind it`, async () => {
        const { world, on, a, b, one, two, shares } = await merging(flavour)
        await using _world = world
        let paused: Partial<PaceLimits> = { pausedUntilMs: Date.now() + 1e9 }
        const start = (record: StreamRecord, failpoints?: Failpoints): Running =>
          world.start(record, { shares, pace: () => paused, ...(failpoints === undefined ? {} : { failpoints }) })
        await on(0, `INSERT INTO item VALUES (99, ${a}, 80, 'n', 0)`)
        let first = start(one)
        const second = start(two)
        await world.until('copying', () => [first, second].every(({ stream }) => stream.report().state === 'copying'))
        for (const [n, statement] of statementsAbout[subject].entries()) {
          await on(0, `INSERT INTO item (id, owner, u, name, v) VALUES (1${n}, ${a}, ${n}, 'n', 0)`)
          await world.drain(one.uid, two.uid)
          await first.stop()
          world.reports.delete(one.uid)
          await on(0, statement, `DELETE FROM item WHERE id = 1${n}`)
          await on(1, `INSERT INTO item (id, owner, u, name, v) VALUES (2${n}, ${b}, ${n}, 'm', 2)`)
          await world.drain(two.uid)
          assert.equal(await world.t.value(`SELECT COUNT(*) FROM ${world.targetRefs[0]!.schema}.item WHERE u = ${n}`), '2')
          for (const point of [
            ...(subject === 'the key that waits' ? (['keys.built'] as const) : []),
            'ddl.noted',
            'ddl.executed',
          ] as const) {
            const failpoints = killAt(point, 0)
            const killed = start(one, failpoints)
            await world.until(`death at ${point} of "${statement}"`, () => world.state(one.uid) === 'failed', 40_000)
            await killed.done
            world.reports.delete(one.uid)
          }
          first = start(one)
          await world.drain(one.uid)
          await on(1, statement)
          await world.drain(one.uid, two.uid)
        }
        paused = {}
        await world.untilRunning(one.uid, two.uid)
        await on(0, `INSERT INTO item (id, owner, u, name, v) VALUES (98, ${a}, 81, 'n', 0)`)
        await world.drain(one.uid, two.uid)
        assert.equal(await world.assertEqual(), statementsAbout[subject].length + 2)
        const shown = async (conn: Connection, schema: string): Promise<string[]> =>
          ((await conn.allText(`SHOW CREATE TABLE ${schema}.item`))[0]?.['Create Table'] ?? '').split(/,?\n/).toSorted()
        assert.deepEqual(await shown(world.t, world.targetRefs[0]!.schema), await shown(world.s, world.sourceRefs[0]!.schema))
        await first.stop()
        await second.stop()
      })

    test(`1.6, 1.13 on ${flavour}: a unique key that a statement adds, and that meets a row which another stream has yet to take away, is made when it has`, async () => {
      const { world, on, a, b, one, two, shares } = await merging(flavour)
      await using _world = world
      let [first, second] = [one, two].map((record) => world.start(record, { shares }))
      await on(1, `INSERT INTO item VALUES (1, ${b}, NULL, 'n', 5)`)
      await world.untilRunning(one.uid, two.uid)
      await world.drain(one.uid, two.uid)
      await second!.stop()
      const statement = 'ALTER TABLE item ADD UNIQUE KEY w (v)'
      await on(1, 'DELETE FROM item', statement)
      await on(0, `INSERT INTO item VALUES (2, ${a}, NULL, 'n', 5)`, statement)
      await world.until('a wait that says what for', () =>
        /for "ALTER TABLE item ADD UNIQUE KEY w \(v\)" Duplicate/.test(first!.stream.report().waiting?.what ?? ''),
      )
      // Killed meanwhile, it is met again.
      await first!.stop()
      world.reports.delete(one.uid)
      first = world.start(one, { shares })
      second = world.start(two, { shares })
      await world.drain(one.uid, two.uid)
      assert.equal(await world.assertEqual(), 1)
      await first.stop()
      await second.stop()
    })

    for (const order of ['the same order', 'another order'] as const)
      test(`1.6, 1.13 on ${flavour}: rows between two statements that another stream has executed both are read by what the first made there; where the sources made them in another order they stop the stream (${order})`, async () => {
        const { world, on, a, b, one, two, shares } = await merging(flavour)
        await using _world = world
        await on(0, ...Array.from({ length: 9 }, (_, i) => `INSERT INTO item VALUES (${i}, ${a}, ${i}, 'n', 3)`))
        await on(1, ...Array.from({ length: 9 }, (_, i) => `INSERT INTO item VALUES (1${i}, ${b}, 1${i}, 'n', 3)`))
        const [first, second] = [one, two].map((record) => world.start(record, { shares }))
        await world.untilRunning(one.uid, two.uid)
        await world.drain(one.uid, two.uid)
        await second!.stop()
        const [d, e] = ['ALTER TABLE item ADD d INT NULL AFTER id', 'ALTER TABLE item ADD e INT NULL AFTER id']
        await on(0, d, 'UPDATE item SET d = id', e, 'UPDATE item SET e = id + 1')
        await world.drain(one.uid)
        // The columns at a place are of one type, before, between and behind.
        if (order === 'the same order') await on(1, d, 'UPDATE item SET d = id', e, 'UPDATE item SET e = id + 2 WHERE id > 14')
        else await on(1, e, 'UPDATE item SET e = id', d, 'UPDATE item SET d = id + 2 WHERE id > 14')
        world.reports.delete(two.uid)
        const again = world.start(two, { shares })
        if (order === 'the same order') {
          await world.drain(one.uid, two.uid)
          assert.equal(await world.assertEqual(), 18)
        } else {
          await again.done
          assert.equal(world.reports.get(two.uid)?.error?.code, 'SW-MOVE-033')
        }
        await first!.stop()
        await again.stop()
      })

    test(`promise 7 on ${flavour}: while a statement is executed on a target for one stream, it says so, and the other one that it keeps from writing does`, async () => {
      const { world, on, b, one, two, shares } = await merging(flavour)
      await using _world = world
      const [first, second] = [one, two].map((record) => world.start(record, { shares }))
      await world.untilRunning(one.uid, two.uid)
      await using reader = await connect({ ...world.target.config, database: world.targetRefs[0]!.schema })
      await reader.query('BEGIN')
      await reader.query('SELECT * FROM item')
      await on(0, 'ALTER TABLE item ADD extra INT NOT NULL DEFAULT 1')
      const waitsFor = (running: Running | undefined, what: RegExp): boolean => what.test(running?.stream.report().waiting?.what ?? '')
      await world.until('a stream that executes', () => waitsFor(first, /executes "ALTER TABLE item ADD extra/))
      await on(1, `INSERT INTO item VALUES (1, ${b}, 5, 'n', 0)`)
      await world.until('a stream that is kept from writing', () => waitsFor(second, /another stream, for which a statement is executed/))
      await reader.query('COMMIT')
      await on(1, 'ALTER TABLE item ADD extra INT NOT NULL DEFAULT 1')
      await world.drain(one.uid, two.uid)
      assert.equal(await world.assertEqual(), 1)
      assert.deepEqual(
        [first, second].map((running) => running?.stream.report().waiting),
        [null, null],
      )
      await first?.stop()
      await second?.stop()
    })
  },
  2,
)
