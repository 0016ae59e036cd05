/** PROTOCOLS 1.11, promises 1 and 4: on a server that logs cascades, connections that were reset do not. What they leave out of the binlog stops a stream; nothing that it tells does. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { currentPosition } from '../binlog/position.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import type { ErrorView, StreamRecord } from '../topology/records.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { HiddenCascades } from './hidden-cascades.ts'
import { ensureMoveTables, seedPosition } from './tables.ts'
import { World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

const tables = [
  {
    name: 'Parent',
    shardKey: 'owner',
    ddl: 'CREATE TABLE Parent (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, other INT NOT NULL DEFAULT 0)',
  },
  {
    name: 'child',
    shardKey: 'owner',
    ddl: `CREATE TABLE child (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, parent INT NULL,
      CONSTRAINT away FOREIGN KEY (parent) REFERENCES Parent (id) ON DELETE CASCADE ON UPDATE SET NULL)`,
  },
]

async function failure(world: World, record: StreamRecord): Promise<ErrorView | null> {
  await world.until('failure', () => world.state(record.uid) === 'failed')
  const error = world.reports.get(record.uid)?.error ?? null
  world.reports.delete(record.uid)
  return error
}

/** A connection as a pool or a proxy gives it to its next user. */
async function wasReset(world: World): Promise<Connection> {
  const conn = await connect(world.source.config)
  await conn.reset()
  await conn.useDatabase(world.sourceRefs[0]!.schema)
  return conn
}

async function following(): Promise<World> {
  const world = await World.create({ flavour: 'mysql', sources: ['-'], targets: ['-80', '80-'], tables }, servers.of('mysql'))
  await world.s.query('INSERT INTO Parent (id, owner) VALUES (1, 1), (2, 1), (3, 2), (4, 2), (5, 3)')
  await world.s.query('INSERT INTO child VALUES (10, 1, 1), (20, 1, 2), (30, 2, 3), (31, 2, 3), (40, 2, 4), (60, 7, NULL)')
  return world
}

/** The stream of a way back that begins at the position of now. */
async function wayBack(world: World, onDdl: 'ignore' | 'exec'): Promise<StreamRecord> {
  const [from, to] = [world.targetRefs[0]!, world.sourceRefs[0]!]
  const forward = world.record(0)
  const uid = `${world.prefix}-back`
  await ensureMoveTables(world.s)
  const seed = { streamUid: uid, workflowUid: forward.workflowUid, direction: 'reverse', sourceUid: from.uid, targetUid: to.uid } as const
  assert.ok(await seedPosition(world.s, { ...seed, position: await currentPosition(world.t) }))
  return { ...forward, uid, direction: 'reverse', source: from, targets: [to], copy: 'none', options: { ...forward.options, onDdl } }
}

if (flavours().includes('mysql')) {
  const record = (world: World): StreamRecord => world.record(0)

  test('1.11: what a reset connection does to rows that others refer to stops a stream where the rows of those are in no event, and nowhere else', async () => {
    await using world = await following()
    const running = world.start(record(world))
    await world.untilRunning(record(world).uid)
    await using reset = await wasReset(world)
    // The server does these itself, and logs them.
    await world.s.query('DELETE FROM Parent WHERE id = 1')
    await world.s.query('UPDATE Parent SET id = 22 WHERE id = 2')
    // Nothing refers to the columns, or nothing is followed.
    await reset.query('INSERT INTO Parent (id, owner) VALUES (6, 3)')
    await reset.query('UPDATE Parent SET other = other + 1')
    await reset.query('DELETE FROM child WHERE id = 60')
    await reset.query('SET foreign_key_checks=0')
    await reset.query('DELETE FROM Parent WHERE id = 5')
    await reset.query('SET foreign_key_checks=1')
    await world.drain(record(world).uid)
    assert.equal(await world.assertEqual(), 4 + 4)
    await reset.query('DELETE FROM Parent WHERE id = 3')
    const told = await failure(world, record(world))
    assert.match(
      `${told?.code} ${told?.what}`,
      /^SW-MOVE-045 foreign key away may have changed rows of child \(ON DELETE CASCADE\) with a row of Parent on app\/- .*:\d+\)$/,
    )
    await assert.rejects(world.assertEqual(), 'the rows were in no event')
    await running.stop()
  })

  test('1.11: an UPDATE of the columns that rows refer to does too, and the key may be gone when the stream comes to it', async () => {
    await using world = await following()
    const running = world.start(record(world))
    await world.untilRunning(record(world).uid)
    await world.drain(record(world).uid)
    await running.stop()
    world.reports.delete(record(world).uid)
    {
      await using reset = await wasReset(world)
      await reset.query('UPDATE Parent SET id = 33 WHERE id = 3')
    }
    await world.s.query('ALTER TABLE child DROP FOREIGN KEY away')
    world.start({ ...record(world), options: { ...record(world).options, onDdl: 'ignore' }, generation: 2 })
    const told = await failure(world, record(world))
    assert.match(
      `${told?.code} ${told?.what}`,
      /^SW-MOVE-045 foreign key away may have changed rows of child \(ON UPDATE SET NULL\) with a row of Parent/,
    )
  })

  test('1.11: rows of a table that is not moved count, of whose columns nothing is known', async () => {
    await using world = await following()
    await world.s.query('CREATE TABLE elsewhere (id INT NOT NULL PRIMARY KEY)')
    await world.s.query('INSERT INTO elsewhere VALUES (1)')
    await world.s.query(
      'ALTER TABLE child ADD COLUMN e INT NULL, ADD CONSTRAINT there FOREIGN KEY (e) REFERENCES elsewhere (id) ON UPDATE CASCADE',
    )
    await world.s.query('UPDATE child SET e = 1')
    // The targets' tables are made by the source's text, which names it.
    for (const { schema } of world.targetRefs) await world.t.query(`CREATE TABLE ${schema}.elsewhere (id INT NOT NULL PRIMARY KEY)`)
    world.start(record(world))
    await using reset = await wasReset(world)
    await world.until('start', () => ['copying', 'running', 'failed'].includes(world.state(record(world).uid) ?? ''))
    await reset.query('UPDATE elsewhere SET id = 2')
    const told = await failure(world, record(world))
    assert.match(
      `${told?.code} ${told?.what}`,
      /^SW-MOVE-045 foreign key there may have changed rows of child \(ON UPDATE CASCADE\) with a row of elsewhere/,
    )
  })

  test('1.11: rows are changed by way of tables of which the stream moves none, and whose own rows are in no event either', async () => {
    const all = [
      { name: 'country', shardKey: null, ddl: 'CREATE TABLE country (id INT NOT NULL PRIMARY KEY)' },
      {
        name: 'city',
        shardKey: null,
        ddl: `CREATE TABLE city (id INT NOT NULL PRIMARY KEY, country INT NULL,
          CONSTRAINT lies FOREIGN KEY (country) REFERENCES country (id) ON DELETE CASCADE)`,
      },
      {
        name: 'shop',
        shardKey: 'owner',
        ddl: `CREATE TABLE shop (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, city INT NOT NULL,
          CONSTRAINT stands FOREIGN KEY (city) REFERENCES city (id) ON DELETE CASCADE)`,
      },
    ]
    // Reference tables come from the first source alone.
    await using world = await World.create({ flavour: 'mysql', sources: ['-80', '80-'], targets: ['-'], tables: all }, servers.of('mysql'))
    for (const { schema } of world.sourceRefs) {
      await world.s.useDatabase(schema)
      await world.s.query('INSERT INTO country VALUES (1), (2)')
      await world.s.query('INSERT INTO city VALUES (10, 1), (20, 2)')
    }
    await world.s.query('INSERT INTO shop VALUES (100, 4, 10), (200, 4, 20)')
    const others = world.record(1)
    world.start(world.record(0))
    world.start(others)
    for (const { uid } of [world.record(0), others]) await world.untilRunning(uid)
    await using reset = await connect(world.source.config)
    await reset.reset()
    await reset.useDatabase(world.sourceRefs[1]!.schema)
    await reset.query('DELETE FROM country WHERE id = 1')
    assert.equal(await reset.value('SELECT COUNT(*) FROM shop'), '1')
    const told = await failure(world, others)
    assert.match(
      `${told?.code} ${told?.what}`,
      /^SW-MOVE-045 foreign key lies may have changed rows of city \(ON DELETE CASCADE\) with a row of country on app\/80-/,
    )
  })

  for (const [what, statement, last] of [
    ['a key that comes', 'ALTER TABLE city ADD CONSTRAINT lies FOREIGN KEY (country) REFERENCES country (id) ON DELETE CASCADE', 'country'],
    ['another name', 'RENAME TABLE city TO town', 'town'],
  ] as const)
    test(`1.11, 1.13: so they are when DDL on such a table has brought it in: ${what}`, async () => {
      const all = [
        { name: 'country', shardKey: null, ddl: 'CREATE TABLE country (id INT NOT NULL PRIMARY KEY)' },
        { name: 'city', shardKey: null, ddl: 'CREATE TABLE city (id INT NOT NULL PRIMARY KEY, country INT NULL)' },
        {
          name: 'shop',
          shardKey: 'owner',
          ddl: `CREATE TABLE shop (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, city INT NOT NULL,
            CONSTRAINT stands FOREIGN KEY (city) REFERENCES city (id) ON DELETE CASCADE)`,
        },
      ]
      await using world = await World.create(
        { flavour: 'mysql', sources: ['-'], targets: ['-80', '80-'], tables: all },
        servers.of('mysql'),
      )
      await world.s.query('INSERT INTO country VALUES (1), (2)')
      await world.s.query('INSERT INTO city VALUES (1, 1), (2, 2)')
      await world.s.query('INSERT INTO shop VALUES (100, 4, 1), (200, 4, 2)')
      const others = world.record(0, { movesReference: false })
      world.start(others)
      await world.untilRunning(others.uid)
      await world.s.query(statement)
      await using reset = await wasReset(world)
      await reset.query(`DELETE FROM ${last} WHERE id = 1`)
      assert.equal(await reset.value('SELECT COUNT(*) FROM shop'), '1')
      const told = await failure(world, others)
      assert.match(
        `${told?.code} ${told?.what}`,
        new RegExp(`^SW-MOVE-045 .* may have changed rows of .* \\(ON DELETE CASCADE\\) with a row of ${last} on app/-`),
      )
    })

  test('1.11, 1.13: by a key that has gone they are not, nor by what is kept of other tables', async () => {
    const toys = {
      name: 'toy',
      shardKey: 'owner',
      ddl: `CREATE TABLE toy (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, child INT NULL,
        FOREIGN KEY (child) REFERENCES child (id) ON DELETE CASCADE)`,
    }
    await using world = await World.create(
      { flavour: 'mysql', sources: ['-'], targets: ['-'], tables: [...tables, toys] },
      servers.of('mysql'),
    )
    await world.s.query('INSERT INTO Parent (id, owner) VALUES (1, 1), (2, 1)')
    await world.s.query('INSERT INTO child VALUES (10, 1, 1), (20, 1, 2)')
    const ignoring = { ...record(world), options: { ...record(world).options, onDdl: 'ignore' } } as const
    world.start(ignoring)
    await world.untilRunning(ignoring.uid)
    await world.drain(ignoring.uid)
    await world.t.query(`ALTER TABLE ${world.targetRefs[0]!.schema}.child DROP FOREIGN KEY away`)
    await world.s.query('ALTER TABLE child DROP FOREIGN KEY away')
    await world.drain(ignoring.uid)
    await using reset = await wasReset(world)
    await reset.query('DELETE FROM Parent WHERE id = 1')
    await world.drain(ignoring.uid)
    assert.equal(await world.assertEqual(), 1 + 2)
  })

  test('1.11, 1.13: so they are by a key that the stream of the other direction has brought in', async () => {
    const away = { ...tables[1]!, ddl: tables[1]!.ddl.replace(/,\s*CONSTRAINT.*/s, ')') }
    await using world = await World.create(
      { flavour: 'mysql', sources: ['-'], targets: ['-'], tables: [tables[0]!, away] },
      servers.of('mysql'),
    )
    await world.s.query('INSERT INTO Parent (id, owner) VALUES (1, 1), (2, 1)')
    await world.s.query('INSERT INTO child VALUES (10, 1, 1), (20, 1, 2)')
    const forward = record(world)
    world.start(forward)
    await world.untilRunning(forward.uid)
    await world.drain(forward.uid)
    const back = await wayBack(world, 'exec')
    world.start(back)
    await world.untilRunning(back.uid)
    await world.t.useDatabase(world.targetRefs[0]!.schema)
    await world.t.query('ALTER TABLE child ADD CONSTRAINT away FOREIGN KEY (parent) REFERENCES Parent (id) ON DELETE CASCADE')
    const marker = await bumpControlMarker(world.t)
    await world.until('reverse marker', () => (world.reports.get(back.uid)?.targets[0]?.controlMarker ?? 0) >= marker)
    // The old side serves again.
    await using reset = await wasReset(world)
    await reset.query('DELETE FROM Parent WHERE id = 1')
    assert.equal(await reset.value('SELECT COUNT(*) FROM child'), '1')
    const told = await failure(world, forward)
    assert.match(
      `${told?.code} ${told?.what}`,
      /^SW-MOVE-045 foreign key away may have changed rows of child \(ON DELETE CASCADE\) with a row of Parent on app\/-/,
    )
  })

  test('1.11: so they are on a way back whose stream has never run when the key goes', async () => {
    await using world = await World.create({ flavour: 'mysql', sources: ['-'], targets: ['-'], tables }, servers.of('mysql'))
    await world.s.query('INSERT INTO Parent (id, owner) VALUES (1, 1), (2, 1)')
    await world.s.query('INSERT INTO child VALUES (10, 1, 1), (20, 1, 2)')
    const running = world.start(record(world))
    await world.untilRunning(record(world).uid)
    await world.drain(record(world).uid)
    await running.stop()
    const back = await wayBack(world, 'ignore')
    {
      await using reset = await connect(world.target.config)
      await reset.reset()
      await reset.useDatabase(world.targetRefs[0]!.schema)
      await reset.query('DELETE FROM Parent WHERE id = 1')
      await reset.query('ALTER TABLE child DROP FOREIGN KEY away')
    }
    world.start(back)
    const told = await failure(world, back)
    assert.match(`${told?.code} ${told?.what}`, /^SW-MOVE-045 foreign key away may have changed rows of child \(ON DELETE CASCADE\)/)
  })
}

test('names of tables that foreign keys refer to count in any case, and those of another schema do', () => {
  const key = { name: 'k', table: 'child', columns: ['id'], onDelete: 'CASCADE', onUpdate: null }
  const hidden = new HiddenCascades('Shop', [
    { ...key, referencedSchema: null, referenced: 'Parent' },
    { ...key, referencedSchema: 'far', referenced: 'other' },
  ])
  const seen = [
    ['shop', 'parent'],
    ['Shop', 'Parent'],
    ['far', 'other'],
    ['shop', 'other'],
    ['shop', 'child'],
  ] as const
  assert.deepEqual(
    seen.map(([schema, table]) => hidden.refersTo(schema, table)),
    [true, true, true, false, false],
  )
})
