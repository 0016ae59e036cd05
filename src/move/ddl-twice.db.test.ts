/** PROTOCOLS 1.13: two statements on a table within the tail's lag (ddl-ahead.ts), and statements met again (ddl-executed.ts). */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import type { StreamRecord } from '../topology/records.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { testServer, type TestServer } from '../../test/kit/servers.ts'
import { noFailpoints, type Failpoints } from './crash-points.ts'
import { executeOnce } from './ddl-executed.ts'
import { ensureMoveTables } from './tables.ts'
import { execOf } from './testkit/samples.ts'
import { fill, World } from './testkit/world.ts'

besideEachOther('two statements', (flavour) => {
  describe(`DDL twice on ${flavour}`, () => {
    let source: TestServer
    let target: TestServer
    let lower: TestServer | undefined
    before(async () => {
      // Table maps without names: nothing in them tells columns of one type apart.
      const extra = { 'binlog-row-metadata': 'MINIMAL' }
      // MySQL takes it when a data directory is made, and never after.
      const small = flavour === 'mariadb' ? [{ flavour, extra: { 'lower-case-table-names': '1' } }] : []
      const made = await Promise.all([{ flavour, extra }, { flavour }, ...small].map((options) => testServer(options)))
      ;[source, target, lower] = made as [TestServer, TestServer, TestServer | undefined]
    })
    after(async () => {
      await Promise.all([source, target, lower].map((server) => server?.[Symbol.asyncDispose]()))
    })

    for (const onDdl of ['exec', 'ignore'] as const) {
      const outcome = onDdl === 'exec' ? 'are read by the definition of the targets' : 'stop the stream'
      test(`1.13 rows between two statements that the tail has not come to, --on-ddl ${onDdl}: they ${outcome}`, async () => {
        await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, { source, target })
        await using s = await connect({ ...source.config, database: world.sourceRefs[0]!.schema })
        await fill(world, 0, 60, 600)
        const plain = world.record(0)
        const record: StreamRecord = { ...plain, options: { ...plain.options, onDdl } }
        let running = world.start(record)
        await world.untilRunning(record.uid)
        await running.stop()
        // The same types at the same places before, between and behind: (id, owner, u, v), (id, v, owner, u), (id, owner, v, u).
        await s.query('UPDATE item SET v = id + 1, u = id')
        await s.query('ALTER TABLE item MODIFY v INT NULL AFTER id, MODIFY owner INT NULL, MODIFY u INT NULL')
        await s.query('UPDATE item SET v = 1000 + id, owner = 3 * id, u = 7000 + id')
        await s.query('ALTER TABLE item MODIFY v INT NULL AFTER owner')
        await s.query('UPDATE item SET v = v + 1 WHERE id < 300')
        world.reports.clear()
        running = world.start(record)
        if (onDdl === 'exec') {
          await world.untilRunning(record.uid)
          await world.drain(record.uid)
          assert.equal(await world.assertEqual(), 60)
          await running.stop()
          return
        }
        await running.done
        const error = world.reports.get(record.uid)?.error
        assert.equal(error?.code, 'SW-MOVE-033')
        assert.match(error.what, /ALTER TABLE item MODIFY v INT NULL AFTER id.*ALTER TABLE item MODIFY v INT NULL AFTER owner/)
      })
    }

    test('1.13 a statement that another one follows only behind the definitions is read by what the source says', async () => {
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, { source, target })
      await using s = await connect({ ...source.config, database: world.sourceRefs[0]!.schema })
      await fill(world, 0, 60, 600)
      const plain = world.record(0)
      const record: StreamRecord = { ...plain, options: { ...plain.options, onDdl: 'ignore' } }
      const running = world.start(record)
      await world.untilRunning(record.uid)
      for (const change of ['MODIFY v INT NOT NULL AFTER id', 'MODIFY v INT NOT NULL AFTER owner']) {
        await s.query(`ALTER TABLE item ${change}`)
        await s.query('UPDATE item SET v = v + 1, owner = owner + 5')
        await world.drain(record.uid)
      }
      // The comparison is by place; the stream writes by name.
      for (const { schema } of world.targetRefs) await world.t.query(`ALTER TABLE ${schema}.item MODIFY v INT NOT NULL AFTER owner`)
      await world.assertEqual()
      await running.stop()
    })

    test('1.13 exec: chunks that were read before a statement and wait to land do not land behind it', async () => {
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, { source, target })
      await using s = await connect({ ...source.config, database: world.sourceRefs[0]!.schema })
      await fill(world, 0, 3000, 30_000)
      const record = execOf(world.record(0))
      // While all that was read is applied whatever may land lands: one that comes when the statement has been executed is what would be seen.
      let [read, late] = [0, false]
      let comes = (): void => undefined
      const held = new Promise<void>((resolve) => (comes = resolve))
      const hit: Failpoints['hit'] = (at) => {
        if (at === 'copy.afterRead' && ++read === 4) {
          late = true
          return held
        }
        if (at !== 'ddl.definedOnSomeTargets') return undefined
        comes()
        // A chunk lands after 300 ms at the latest.
        return systemClock.sleep(400)
      }
      const running = world.start(record, { failpoints: { hit }, config: { chunkBytes: 4096 } })
      await world.until('a chunk that was read and is late', () => late)
      await s.query('TRUNCATE TABLE item')
      await s.query("INSERT INTO item VALUES (1, 1, NULL, 'new', 1)")
      await world.untilRunning(record.uid)
      await world.drain(record.uid)
      assert.equal(await world.assertEqual(), 1)
      await running.stop()
    })

    if (flavour === 'mariadb')
      test('1.13 exec: an ALTER that is logged when it begins and when it ends is made when it ends; one that fails, never', async () => {
        await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, { source, target })
        await using s = await connect({ ...source.config, database: world.sourceRefs[0]!.schema })
        await fill(world, 0, 60, 600)
        const record = execOf(world.record(0))
        const running = world.start(record)
        await world.untilRunning(record.uid)
        await s.query('SET SESSION binlog_alter_two_phase=1')
        await s.query("INSERT INTO item VALUES (9001, 1, NULL, 'one', 7), (9002, 1, NULL, 'two', 7)")
        await assert.rejects(s.query('ALTER TABLE item ADD UNIQUE KEY once (v)'), /Duplicate/)
        await s.query('UPDATE item SET v = v + 1')
        await s.query('ALTER TABLE item ADD extra INT NOT NULL DEFAULT 5 AFTER id')
        await s.query('UPDATE item SET extra = v')
        await world.drain(record.uid)
        assert.equal(await world.assertEqual(), 62)
        await running.stop()
      })

    if (flavour === 'mariadb')
      test('1.10: a schema that was attached by another spelling, on a server that writes names in small letters, is read all the same', async () => {
        await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, { source: lower!, target })
        await fill(world, 0, 60, 600)
        const plain = world.record(0)
        const record = { ...plain, source: { ...plain.source, schema: plain.source.schema.toUpperCase() } }
        const running = world.start(record)
        await world.untilRunning(record.uid)
        await world.s.query('UPDATE item SET v = v + 1, owner = owner + 5')
        await world.drain(record.uid)
        assert.equal(await world.assertEqual(), 60)
        await running.stop()
      })

    if (flavour === 'mariadb')
      test('1.13 exec: two statements that spell the table otherwise, on servers that write names in small letters, are told apart all the same', async () => {
        await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, { source: lower!, target: lower! })
        await fill(world, 0, 60, 600)
        const record = execOf(world.record(0))
        let running = world.start(record)
        await world.untilRunning(record.uid)
        await running.stop()
        await using s = await connect({ ...lower!.config, database: world.sourceRefs[0]!.schema })
        await s.query('ALTER TABLE ITEM ADD a INT NULL')
        await s.query('UPDATE item SET a = v')
        await s.query('ALTER TABLE Item ADD b INT NULL')
        world.reports.clear()
        running = world.start(record)
        await world.untilRunning(record.uid)
        await world.drain(record.uid)
        assert.equal(await world.assertEqual(), 60)
        await running.stop()
      })

    test('1.13 exec: while another stream executes the statement on a target it is waited for, however long, and by name', async () => {
      await using one = await connect(target.config)
      await using two = await connect(target.config)
      await ensureMoveTables(one)
      await one.query('CREATE DATABASE IF NOT EXISTS waits')
      await one.query('CREATE TABLE waits.t (id INT PRIMARY KEY)')
      const ddl = {
        schema: 'waits',
        tables: ['t'],
        place: { marker: 1, groups: 1 },
        statement: Buffer.from('ALTER TABLE waits.t ADD a INT'),
        keys: 'any' as const,
      }
      const waits: string[] = []
      const run = (conn: typeof one, stream: string, execute: () => Promise<void>): Promise<unknown> =>
        executeOnce(
          {
            conn,
            on: { streamUid: stream, targetUid: 'waits-t', workflowUid: 'waits', direction: 'forward' },
            write: async (statements) => void (await conn.pipeline(statements)),
            alone: (work) => work(),
            clock: systemClock,
            signal: new AbortController().signal,
            failpoints: noFailpoints,
            onWaiting: (waiting) => void (/another stream/.test(waiting?.what ?? '') && waits.push(waiting?.what ?? '')),
          },
          ddl,
          { prepare: async () => null, execute, define: async () => ({}), refuse: (what) => new Error(what) },
        )
      let letGo = (): void => undefined
      const held = new Promise<void>((resolve) => (letGo = resolve))
      let first: Promise<unknown> = Promise.resolve()
      await new Promise<void>((executes) => {
        first = run(one, 'one', async () => {
          executes()
          await held
          await one.query(ddl.statement)
        })
      })
      const second = run(two, 'two', () => Promise.reject(new Error('it was executed by the other')))
      for (let look = 0; look < 500 && waits.length < 2; look++) await systemClock.sleep(20)
      assert.ok(waits.length >= 2)
      letGo()
      await first
      await second
      assert.match(waits[0] ?? '', /another stream executes on the same target/)
    })

    test('1.13 exec: nobody changes the table while a stream has yet to see whether its statement was done; what stands in the way before that is waited for, and refused when it stays', async () => {
      await using one = await connect(target.config)
      await using two = await connect(target.config)
      await ensureMoveTables(one)
      await one.query('CREATE DATABASE IF NOT EXISTS unsettled')
      await one.query('CREATE TABLE unsettled.t (id INT PRIMARY KEY)')
      const waits: string[] = []
      let keys: string | null = null
      let hoursPassed = 0
      const run = (conn: typeof one, stream: string, column: string, execute?: () => Promise<void>): Promise<unknown> =>
        executeOnce(
          {
            conn,
            on: { streamUid: stream, targetUid: 'unsettled-t', workflowUid: 'unsettled', direction: 'forward' },
            write: async (statements) => void (await conn.pipeline(statements)),
            alone: (work) => work(),
            clock: {
              ...systemClock,
              monotonicMs: () => hoursPassed * 3_600_000,
              sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 20), signal),
            },
            signal: new AbortController().signal,
            failpoints: noFailpoints,
            onWaiting: (waiting) => void (waiting !== null && waits.push(waiting.what)),
          },
          { schema: 'unsettled', tables: ['t'], place: { marker: 1, groups: 1 }, statement: Buffer.from(column), keys: 'any' },
          {
            prepare: async () => keys,
            execute: execute ?? (async () => void (await conn.query(`ALTER TABLE unsettled.t ADD ${column} INT`))),
            define: async () => ({}),
            refuse: (what) => new Error(`refused: ${what}`),
          },
        )
      await assert.rejects(
        run(one, 'one', 'a', () => Promise.reject(new Error('the server is busy'))),
        /busy/,
      )
      const other = run(two, 'two', 'b')
      for (let look = 0; look < 500 && !waits.some((what) => /stream one, which has yet to see/.test(what)); look++)
        await systemClock.sleep(10)
      hoursPassed = 1
      assert.match(waits.at(-1) ?? '', /stream one, which has yet to see|executes "b"/)
      await run(one, 'one', 'a')
      await other
      const columns = await one.allText(
        "SELECT COLUMN_NAME AS c FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'unsettled' ORDER BY ORDINAL_POSITION",
      )
      assert.deepEqual(
        columns.map(({ c }) => c),
        ['id', 'a', 'b'],
      )

      keys = 'before it two rows hold 5'
      const third = run(one, 'three', 'c')
      for (let look = 0; look < 500 && !waits.includes(keys); look++) await systemClock.sleep(10)
      keys = null
      await third
      assert.ok(waits.includes('before it two rows hold 5'))
      keys = 'for ever'
      const fourth = run(one, 'four', 'd')
      fourth.catch(() => undefined)
      for (let look = 0; look < 500 && !waits.includes(keys); look++) await systemClock.sleep(10)
      hoursPassed = 2
      await assert.rejects(fourth, /refused: for ever/)

      // One that has gone past its statement, which somebody else has made, does not look at it again.
      keys = null
      await assert.rejects(
        run(one, 'five', 'e', () => Promise.reject(new Error('the server is busy'))),
        /busy/,
      )
      await one.query(
        `INSERT INTO _shardwright.move_stream (stream_uid, target_uid, workflow_uid, direction, source_uid, epoch, position, at_marker, at_groups, intent_marker, intent_groups, control_marker, copy_state, server_identity)
        VALUES ('five', 'unsettled-t', 'unsettled', 'forward', 's', 1, '', 1, 2, 1, 2, 0, 'done', '')`,
      )
      let isDone = false
      run(two, 'six', 'f').then(
        () => (isDone = true),
        () => undefined,
      )
      for (let look = 0; look < 500 && !isDone; look++) await systemClock.sleep(10)
      assert.ok(isDone, `it waits for ${waits.at(-1)}`)
    })

    test('1.13 exec: a statement met again after a crash is not executed twice, nor is the same one of another source; the next one is', async () => {
      await using conn = await connect(target.config)
      await ensureMoveTables(conn)
      await conn.query('CREATE DATABASE IF NOT EXISTS twice')
      await conn.query('CREATE TABLE twice.t (id INT PRIMARY KEY, a INT, b INT)')
      await conn.query('INSERT INTO twice.t VALUES (1, 10, 20)')
      const swap = Buffer.from('ALTER TABLE twice.t CHANGE a b INT, CHANGE b a INT')
      const on = (stream: string) => ({ streamUid: stream, targetUid: 'twice-t', workflowUid: 'twice', direction: 'forward' })
      let executed = 0
      const once = (stream: string, marker: number, crash = false): Promise<unknown> =>
        executeOnce(
          {
            conn,
            on: on(stream),
            write: async (statements) => void (await conn.pipeline(statements)),
            alone: (work) => work(),
            clock: systemClock,
            signal: new AbortController().signal,
            failpoints: noFailpoints,
            onWaiting: () => undefined,
          },
          { schema: 'twice', tables: ['t'], place: { marker, groups: 2 }, statement: swap, keys: 'any' },
          {
            prepare: async () => null,
            define: async () => ({}),
            refuse: (what) => new Error(what),
            execute: async () => {
              executed++
              await conn.query(swap)
              if (crash) throw new Error('killed')
            },
          },
        )
      const row = (): Promise<string | null | undefined> => conn.value('SELECT CONCAT(a, b) FROM twice.t')
      await assert.rejects(once('one', 5, true), /killed/)
      await once('one', 5)
      assert.deepEqual([executed, await row()], [1, '2010'])
      await once('two', 71)
      await once('two', 71)
      assert.deepEqual([executed, await row()], [1, '2010'])
      await once('two', 90)
      assert.deepEqual([executed, await row()], [2, '1020'])
      await once('one', 6)
      assert.deepEqual([executed, await row()], [2, '1020'])
    })
  })
})
