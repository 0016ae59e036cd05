/** PROTOCOLS 1.13: statements on moved tables between the making of the targets' tables and the place where a stream begins, or before a run has stored what its tables are. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { ServerPairs, type ServerPair } from '../../test/kit/server-pairs.ts'
import type { CrashPoint, Failpoints } from './crash-points.ts'
import { createTargetTables, renewUnusedTables } from './schema-copy.ts'
import { withTargetLock } from './target-lock.ts'
import { execOf } from './testkit/samples.ts'
import { fill, World } from './testkit/world.ts'

const pairs = new ServerPairs()
after(() => pairs[Symbol.asyncDispose]())

besideEachOther('statements while a stream begins', (flavour) => {
  describe(`DDL while a stream begins, on ${flavour}`, () => {
    let servers: ServerPair
    before(async () => {
      servers = await pairs.of(flavour)
    })

    for (const point of ['start.beforePosition', 'start.positionOnSomeTargets', 'takeOver.afterEpoch'] as const)
      for (const then of ['goes on', 'dies'] as const)
        test(`1.13 exec: two statements at ${point}, where the mover ${then}, do not stop the stream`, async () => {
          await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, servers)
          await using s = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
          await fill(world, 0, 60, 600)
          const record = execOf(world.record(0))
          const failpoints = once(point, async () => {
            await alter(s)
            if (then === 'dies') throw new Error('the mover dies')
          })
          let running = world.start(record, { failpoints })
          if (then === 'dies') {
            await running.done
            world.reports.clear()
            running = world.start(record)
          }
          await world.untilRunning(record.uid)
          await world.drain(record.uid)
          assert.equal(await world.assertEqual(), 60)
          await running.stop()
        })

    test('1.6, 1.13 exec: a stream of a merge that begins behind a statement waits for the one that has yet to come to it', async () => {
      await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'] }, servers)
      const [s0, s1] = await Promise.all(world.sourceRefs.map(({ schema }) => connect({ ...world.source.config, database: schema })))
      try {
        for (const i of [0, 1]) await fill(world, i, 40, 200)
        const records = [execOf(world.record(0)), execOf(world.record(1))] as const
        const shares = world.sharesOf(records)
        const first = world.start(records[0], { shares })
        await world.until('rows of the first', () => (world.reports.get(records[0].uid)?.copy.rowsDone ?? 0) > 0)
        const second = world.start(records[1], { shares, failpoints: once('start.beforePosition', () => alter(s1!)) })
        await world.until(
          'it to wait',
          () => world.failIfFailed(records[1].uid) || world.restarts.some(({ waiting }) => /lacks the column d/.test(waiting?.what ?? '')),
        )
        await alter(s0!)
        await world.untilRunning(...records.map(({ uid }) => uid))
        await world.drain(...records.map(({ uid }) => uid))
        await world.assertEqual()
        await Promise.all([first.stop(), second.stop()])
      } finally {
        for (const conn of [s0, s1]) conn?.destroy()
      }
    })

    test('1.1, 1.13 exec: a reference table follows what its source has become before its stream begins, also where another stream writes to the target', async () => {
      const tables = [
        { name: 'item', shardKey: 'owner', ddl: 'CREATE TABLE item (id BIGINT NOT NULL PRIMARY KEY, owner INT NOT NULL, v INT NOT NULL)' },
        { name: 'country', shardKey: null, ddl: 'CREATE TABLE country (id INT NOT NULL PRIMARY KEY, name VARCHAR(20) NOT NULL)' },
      ]
      await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'], tables }, servers)
      const records = [execOf(world.record(0)), execOf(world.record(1))] as const
      await using s = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
      await s.query("INSERT INTO country VALUES (1, 'a')")
      const shares = world.sharesOf(records)
      const second = world.start(records[1], { shares })
      await world.until('the other stream to write there', () =>
        ['copying', 'running'].includes(world.reports.get(records[1].uid)?.state ?? ''),
      )
      const dying = world.start(records[0], {
        shares,
        failpoints: once('start.beforePosition', async () => {
          await s.query('ALTER TABLE country ADD COLUMN d1 INT NULL DEFAULT 5')
          throw new Error('the mover dies')
        }),
      })
      await dying.done
      world.reports.delete(records[0].uid)
      const first = world.start(records[0], { shares })
      await world.untilRunning(...records.map(({ uid }) => uid))
      await world.drain(...records.map(({ uid }) => uid))
      const [row] = await world.t.allText(`SELECT * FROM ${world.targetRefs[0]!.schema}.country`)
      assert.deepEqual(row, { id: '1', name: 'a', d1: '5' })
      await Promise.all([first.stop(), second.stop()])
    })

    test('1.13: tables that were made for a stream follow what their source has become when it begins, keys too; not one that somebody has altered, or that holds a row', async () => {
      const other = (name: string): { name: string; ddl: string; shardKey: string } => ({
        name,
        shardKey: 'owner',
        ddl: `CREATE TABLE ${name} (id BIGINT NOT NULL PRIMARY KEY, owner INT NOT NULL, v INT NOT NULL, KEY v (v))`,
      })
      const tables = [other('plain'), other('byhand'), other('holding')]
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-'], tables }, servers)
      await using s = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
      const target = { conn: world.t, schema: world.targetRefs[0]!.schema, uid: world.targetRefs[0]!.uid, name: '-' }
      const source = { conn: s, schema: world.sourceRefs[0]!.schema }
      const record = execOf(world.record(0))
      const names = tables.map(({ name }) => name)
      await createTargetTables({ source, target, workflowUid: record.workflowUid, tables: names, deferSecondaryKeys: true })
      for (const name of names) {
        await s.query(`ALTER TABLE ${name} DROP COLUMN v, ADD COLUMN w VARCHAR(20) NOT NULL DEFAULT 'w' AFTER id, ADD KEY w (w, owner)`)
        await s.query(`INSERT INTO ${name} (id, owner) VALUES (1, 2), (3, 4)`)
      }
      await world.t.query(`ALTER TABLE ${target.schema}.byhand ADD COLUMN w VARCHAR(20) NOT NULL DEFAULT 'w' AFTER id, DROP COLUMN v`)
      await world.t.query(`INSERT INTO ${target.schema}.holding VALUES (1, 2, 3)`)
      let running = world.start(record)
      await running.done
      assert.match(world.reports.get(record.uid)?.error?.what ?? '', /SW-MOVE-029|table holding .* lacks the column w/)
      // As it is told to be done.
      await world.t.query(`DELETE FROM ${target.schema}.holding`)
      await world.t.query(`ALTER TABLE ${target.schema}.holding ADD COLUMN w VARCHAR(20) NOT NULL DEFAULT 'w' AFTER id, DROP COLUMN v`)
      world.reports.clear()
      running = world.start(record)
      await world.untilRunning(record.uid)
      await world.drain(record.uid)
      assert.equal(await world.assertEqual(), 6)
      const keys = await world.t.allText(
        `SELECT DISTINCT TABLE_NAME AS t, INDEX_NAME AS k FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = '${target.schema}' AND INDEX_NAME <> 'PRIMARY' ORDER BY t`,
      )
      assert.deepEqual(
        keys.map(({ t, k }) => `${t}.${k}`).filter((key) => key.startsWith('plain')),
        ['plain.w'],
      )
      await running.stop()
    })

    test('1.13: a target that is refused is told at once, though another one is waited for', async () => {
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, servers)
      const [waited, refused] = world.targetRefs
      await world.t.query(`CREATE TABLE ${refused!.schema}.item (id INT NOT NULL PRIMARY KEY, name VARBINARY(7))`)
      let letGo = (): void => undefined
      await using holder = await connect(world.target.config)
      const lock = {
        conn: holder,
        targetUid: waited!.uid,
        clock: systemClock,
        signal: new AbortController().signal,
        onWaiting: () => undefined,
      }
      const held = withTargetLock(lock, () => new Promise<void>((resolve) => (letGo = resolve)))
      const record = world.record(0)
      world.start(record)
      await world.until('failure', () => world.state(record.uid) === 'failed')
      assert.equal(world.reports.get(record.uid)?.error?.code, 'SW-MOVE-037')
      // Idle for half a minute it would have been ended.
      assert.equal(await holder.value('SELECT 1'), '1', 'it was not waited for')
      letGo()
      await held
    })

    test('1.13: a table that was brought to what its source has become in part, by a mover that died or a statement that was refused, is brought to the rest', async () => {
      const tables = [
        { name: 'parent', shardKey: 'owner', ddl: 'CREATE TABLE parent (id BIGINT NOT NULL PRIMARY KEY, owner INT NOT NULL)' },
        {
          name: 'child',
          shardKey: 'owner',
          ddl: 'CREATE TABLE child (id BIGINT NOT NULL PRIMARY KEY, owner INT NOT NULL, p BIGINT, q BIGINT, KEY p (p), KEY q (q), CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent (id))',
        },
      ]
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-'], tables }, servers)
      await using s = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
      const { schema, uid } = world.targetRefs[0]!
      const source = { conn: s, schema: world.sourceRefs[0]!.schema }
      const shown = async (conn: Connection, of: string): Promise<string> =>
        (await conn.allText(`SHOW CREATE TABLE ${of}.child`))[0]?.['Create Table'] ?? ''
      let fails: (() => Error) | null = null
      const conn = new Proxy(world.t, {
        get: (on, name) => {
          const value: unknown = Reflect.get(on, name, on)
          if (typeof value !== 'function') return value
          return (...args: unknown[]) =>
            name === 'query' && fails !== null && /ADD CONSTRAINT/.test(String(args[0])) ? Promise.reject(fails()) : value.apply(on, args)
        },
      })
      const of = {
        source,
        target: { conn, schema, uid, name: '-' },
        workflowUid: 'w',
        tables: ['child', 'parent'],
        deferSecondaryKeys: false,
      }
      await createTargetTables(of)
      await s.query('ALTER TABLE child DROP FOREIGN KEY fk')
      await s.query('ALTER TABLE child ADD COLUMN r INT, ADD CONSTRAINT fk FOREIGN KEY (q) REFERENCES parent (id)')
      fails = () => new Error('the mover dies')
      await assert.rejects(renewUnusedTables(of), /dies/)
      assert.doesNotMatch(await shown(world.t, schema), /FOREIGN KEY/)
      fails = () => serverError
      const serverError = await world.t.query('SELECT 1 FROM no_such.no_such').then(
        () => new Error('it is there'),
        (error: Error) => error,
      )
      await assert.rejects(renewUnusedTables(of), /table child of - could not be made what its source has become.*no_such/)
      fails = null
      await renewUnusedTables(of)
      assert.equal(await shown(world.t, schema), await shown(s, source.schema))
      // As it is told to be done.
      await s.query('ALTER TABLE child ADD COLUMN t INT')
      await world.t.query(`DROP TABLE ${schema}.child`)
      await renewUnusedTables(of)
      await createTargetTables(of)
      assert.equal(await shown(world.t, schema), await shown(s, source.schema))
    })
    test('1.13: a table whose maker died before it had noted it follows what its source has become, and so does one that it had only noted', async () => {
      const tables = [
        {
          name: 'noted',
          shardKey: 'owner',
          ddl: 'CREATE TABLE noted (id BIGINT NOT NULL PRIMARY KEY, owner INT NOT NULL, v INT, KEY v (v))',
        },
      ]
      for (const dies of [/^CREATE TABLE `noted`/, /^SHOW CREATE TABLE/]) {
        await using world = await World.create({ flavour, sources: ['-'], targets: ['-'], tables }, servers)
        await using s = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
        const { schema, uid } = world.targetRefs[0]!
        const conn = new Proxy(world.t, {
          get: (on, name) => {
            const value: unknown = Reflect.get(on, name, on)
            if (typeof value !== 'function') return value
            return (...args: unknown[]) =>
              dies.test(String(args[0])) ? Promise.reject(new Error('the mover dies')) : value.apply(on, args)
          },
        })
        const source = { conn: s, schema: world.sourceRefs[0]!.schema }
        const of = { source, workflowUid: 'w', tables: ['noted'], deferSecondaryKeys: false }
        await assert.rejects(createTargetTables({ ...of, target: { conn, schema, uid, name: '-' } }), /dies/)
        await s.query('ALTER TABLE noted ADD COLUMN w INT NULL AFTER id, DROP KEY v')
        const whole = { ...of, target: { conn: world.t, schema, uid, name: '-' } }
        await renewUnusedTables(whole)
        await createTargetTables(whole)
        const shown = async (on: Connection, in_: string): Promise<string> =>
          (await on.allText(`SHOW CREATE TABLE ${in_}.noted`))[0]?.['Create Table'] ?? ''
        assert.equal(await shown(world.t, schema), await shown(s, source.schema))
      }
    })
  })
})

async function alter(s: Connection): Promise<void> {
  await s.query('UPDATE item SET v = v + 1')
  await s.query('ALTER TABLE item ADD COLUMN d1 INT NULL DEFAULT 6 AFTER id')
  await s.query('UPDATE item SET d1 = v')
  await s.query('ALTER TABLE item ADD COLUMN d2 INT NULL DEFAULT 1')
  await s.query('UPDATE item SET d2 = id')
}

function once(point: CrashPoint, work: () => Promise<void>): Failpoints {
  let met = false
  return {
    hit: (at) => {
      if (at !== point || met) return undefined
      met = true
      return work()
    },
  }
}
