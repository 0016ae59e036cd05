/** Single rules of PROTOCOLS 1, each by a case that fails without it. */
import { moverDefaults } from './config.ts'
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { connect } from '../mysql/connect.ts'
import { currentPosition } from '../binlog/position.ts'
import { positionContains } from '../binlog/within.ts'
import { type ServerPair, ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import type { Failpoints } from './crash-points.ts'
import { readSeen } from './seen.ts'
import { ensureMoveTables, forgetStreams, readTarget, seedPosition } from './tables.ts'
import { holdAt } from './testkit/kill-at.ts'
import { fill, itemTable, workload, World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  const on = (): Promise<ServerPair> => servers.of(flavour)

  test(`1.7 on ${flavour}: a mover that is held in mid-transaction keeps nothing once another has taken over`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 500, 1000)
    const load = workload(world, 0, 11, { ids: 1000, uniques: 50, pauseMs: 2 })
    const record = world.record(0)
    // Each target has one landing at least.
    const failpoints = holdAt('copy.beforeLandCommit', 1)
    const first = world.start(record, { failpoints })
    await failpoints.held
    world.reports.delete(record.uid)
    const second = world.start(record)
    await world.untilRunning(record.uid)
    await load.stop()
    await world.drain(record.uid)
    failpoints.letGo()
    await first.stop()
    world.reports.delete(record.uid)
    await world.assertEqual()
    await second.stop()
  })

  test(`1.5 on ${flavour}: a transaction larger than the budget goes in parts and ends whole; killed between parts it is done again`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 1000, 1000)
    const record = world.record(0)
    let hits = 0
    const killing: Failpoints = { hit: (at) => (at === 'part.afterSome' && hits++ === 3 ? Promise.reject(new Error('killed')) : undefined) }
    const running = world.start(record, { config: { partBytesMax: 20_000 }, failpoints: killing })
    await world.untilRunning(record.uid)
    await world.s.query('START TRANSACTION')
    for (let n = 0; n < 5; n++) await world.s.query('UPDATE item SET v = v + 1, name = REPEAT("x", 20), owner = owner + 1')
    await world.s.query('DELETE FROM item WHERE id % 3 = 0')
    await world.s.query('COMMIT')
    await running.done
    assert.ok(hits > 3, 'it went in parts')
    const past = `stream_uid = '${record.uid}' AND (intent_marker, intent_groups) > (at_marker, at_groups)`
    const torn = await world.t.value(`SELECT COUNT(*) FROM _shardwright.move_stream WHERE ${past}`)
    assert.notEqual(torn, '0', 'a target that has some of it says so: it stands at no boundary until it has all')
    world.reports.delete(record.uid)
    const again = world.start(record, { config: { partBytesMax: 20_000 } })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await world.assertEqual()
    await again.stop()
  })

  test(`1.10 on ${flavour}: a source that has not executed what was read of it (another server, a failover that lost some) is not followed, and nothing is written`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 50, 100)
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await running.stop()
    world.reports.delete(record.uid)
    // Its address is another server's now, which knows nothing of those positions.
    world.start({ ...record, generation: record.generation + 1, source: { ...record.source, serverId: record.targets[0]!.serverId } })
    await world.until('failure', () => world.state(record.uid) === 'failed')
    const error = world.reports.get(record.uid)?.error
    assert.equal(error?.code, 'SW-MOVE-041', JSON.stringify(error))
    assert.match(error?.what ?? '', /lacks transactions that stream .* has read/)
    world.reports.delete(record.uid)
    const again = world.start({ ...record, generation: record.generation + 2 })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await world.assertEqual()
    await again.stop()
  })

  test(`1.10 on ${flavour}: what an earlier version had read, and did not store, is taken for all that the source has`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    await fill(world, 0, 10, 10)
    const record = world.record(0)
    let running = world.start(record)
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await running.stop()
    const seen = (): Promise<string[]> => readSeen(world.t, record.uid, world.targetRefs[0]!.uid)
    const { position = '' } = (await readTarget(world.t, record.uid, world.targetRefs[0]!.uid)) ?? {}
    const shows = (await seen()).filter((one) => !positionContains(position, one))
    assert.deepEqual(shows, [], 'all that was read is applied and stored')
    await world.t.query(`DROP TABLE _shardwright.move_seen`)
    await world.s.query('UPDATE item SET v = v + 1')
    const there = await currentPosition(world.s)
    world.reports.clear()
    running = world.start(record)
    await world.untilRunning(record.uid)
    const [all = ''] = await seen()
    await world.drain(record.uid)
    await running.stop()
    assert.ok(positionContains(all, there), `${all} is to contain ${there}`)
    // From then on it is known.
    world.reports.clear()
    running = world.start(record)
    await world.untilRunning(record.uid)
    assert.equal((await seen()).includes(all), false)
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 10)
    await running.stop()
  })

  test(`1.12 on ${flavour}: a row with id 0 keeps it, by copy and by tail, in a table that counts ids by itself`, async () => {
    const ddl = 'CREATE TABLE counted (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, owner INT NOT NULL, v INT NOT NULL)'
    const tables = [{ name: 'counted', shardKey: 'owner', ddl }]
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'], tables }, on())
    // It stands there: those that the move makes count nothing.
    await world.t.useDatabase(world.targetRefs[0]!.schema)
    await world.t.query(ddl)
    await using writer = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
    await writer.query("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")
    await writer.query('INSERT INTO counted VALUES (0, 1, 1), (5, 2, 2)')
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    assert.equal(await world.assertEqual(), 2)
    await writer.query('UPDATE counted SET v = v + 1')
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 2)
    await running.stop()
  })

  test(`1.13, 1.10 on ${flavour}: DDL on a moved table stops the stream, on another it does not`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    await fill(world, 0, 10, 10)
    const record = world.record(0)
    world.start(record)
    await world.untilRunning(record.uid)
    await world.s.query('CREATE TABLE other (a INT)')
    await world.s.query('ALTER TABLE other ADD b INT')
    await world.s.query('ANALYZE TABLE item')
    await world.s.query('CREATE TABLE IF NOT EXISTS item (a INT)')
    // In ROW format no query is in the binlog.
    await world.s.query('CREATE TABLE filled AS SELECT * FROM item')
    await world.s.query('CREATE TEMPORARY TABLE of_session AS SELECT * FROM item')
    await world.s.query('DROP TEMPORARY TABLE of_session')
    if (flavour === 'mariadb') await world.s.query('SET STATEMENT max_statement_time=60 FOR ALTER TABLE other ADD c INT')
    await world.drain(record.uid)
    await world.s.query('ALTER TABLE item ADD extra INT')
    await world.until('failure', () => world.state(record.uid) === 'failed')
    const error = world.reports.get(record.uid)?.error
    assert.equal(error?.code, 'SW-MOVE-002')
    assert.match(error?.what ?? '', /ALTER TABLE item ADD extra/)
  })

  test(`1.8 on ${flavour}: both directions run: what one applied the other skips, changes go both ways once`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 200, 1000)
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await world.s.query('UPDATE item SET v = v + 1')
    await world.drain(record.uid)
    // The way back, from each target, at its position of now.
    await ensureMoveTables(world.s)
    const reverse = await Promise.all(
      world.targetRefs.map(async (ref, i) => {
        const uid = `${world.prefix}-reverse${i}`
        const conn = await connect(world.target.config)
        const position = await currentPosition(conn)
        conn.destroy()
        const made = await seedPosition(world.s, {
          streamUid: uid,
          workflowUid: record.workflowUid,
          direction: 'reverse',
          sourceUid: ref.uid,
          targetUid: world.sourceRefs[0]!.uid,
          position,
        })
        assert.ok(made)
        return {
          ...record,
          uid,
          direction: 'reverse' as const,
          source: ref,
          targets: [world.sourceRefs[0]!],
          copy: 'none' as const,
          movesReference: i === 0,
        }
      }),
    )
    const back = reverse.map((one) => world.start(one, { shares: world.sharesOf(reverse) }))
    await world.untilRunning(...reverse.map(({ uid }) => uid))
    await world.s.query('UPDATE item SET v = v + 1 WHERE id % 2 = 0')
    await world.drain(record.uid)
    // Now the other side is written; the forward stream must not bring it again, the reverse ones bring it once.
    for (const { schema } of world.targetRefs) await world.t.query(`UPDATE ${schema}.item SET v = v + 1000, name = 'new side'`)
    const marker = await (await import('../binlog/control-schema.ts')).bumpControlMarker(world.t)
    await world.until('reverse marker', () =>
      reverse.every(({ uid }) => (world.reports.get(uid)?.targets[0]?.controlMarker ?? 0) >= marker),
    )
    await world.drain(record.uid)
    await world.assertEqual()
    assert.equal(await world.s.value(`SELECT COUNT(*) FROM item WHERE v >= 1000 AND name = 'new side'`), '200')
    const applied = running.stream.report().applied.rowChanges
    assert.ok(applied <= 320, `the forward stream applied ${applied} changes: an echo came back`)
    for (const one of [running, ...back]) await one.stop()
    await forgetStreams(world.t, record.workflowUid)
    assert.equal(await readTarget(world.t, record.uid, world.targetRefs[0]!.uid), null)
  })

  test(`1.5 on ${flavour}: after a failover to a server with the groups in another order each target is given what it does not have`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 50, 100)
    const record = world.record(0)
    let running = world.start(record)
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await running.stop()
    world.reports.delete(record.uid)
    // Two transactions of one target; the source has them as 2, 1. The target had 1 when the server that had 1, 2 was lost: another one it would have by the count of groups.
    const where = `stream_uid = '${record.uid}'`
    const position = (uid: string): Promise<string | null | undefined> =>
      world.t.value(`SELECT position FROM _shardwright.move_stream WHERE ${where} AND target_uid = '${uid}'`)
    const row = (id: number): string => `(${id}, 1, NULL, 'new', ${id})`
    const sid = '11111111-2222-3333-4444-555555555555'
    const gtids = flavour === 'mysql' ? [`${sid}:2`, `${sid}:1`] : ['', '77-7-1']
    const schema = world.sourceRefs[0]!.schema
    for (const [i, id] of [1001, 1002].entries()) {
      if (flavour === 'mysql') await world.s.query(`SET gtid_next='${gtids[i]}'`)
      // The number is looked at by what the session has before the statement.
      else if (i === 1) for (const set of ['gtid_domain_id=77, server_id=7', 'gtid_seq_no=1']) await world.s.query(`SET SESSION ${set}`)
      await world.s.query(`INSERT INTO ${schema}.item VALUES ${row(id)}`)
    }
    await world.s.query(
      flavour === 'mysql'
        ? "SET gtid_next='AUTOMATIC'"
        : 'SET SESSION gtid_domain_id=@@GLOBAL.gtid_domain_id, server_id=@@GLOBAL.server_id',
    )
    // Of shard key 1.
    const home = world.targetRefs[0]!
    const stood = (await position(home.uid)) ?? ''
    await world.t.query(`INSERT INTO ${home.schema}.item VALUES ${row(1002)}`)
    await world.t.query(
      `UPDATE _shardwright.move_stream SET position = '${stood}${stood.endsWith(';') ? '' : ','}${gtids[1]}', at_groups = at_groups + 1, intent_marker = at_marker, intent_groups = at_groups WHERE ${where} AND target_uid = '${home.uid}'`,
    )
    running = world.start({ ...record, generation: record.generation + 1 })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 52)
    await running.stop()
  })

  test(`1.1, 1.12 on ${flavour}: every type, character set and key survives copy and tail byte by byte; reference tables go to all targets`, async () => {
    const json = flavour === 'mysql' ? 'JSON' : 'JSON'
    const tables = [
      itemTable,
      {
        name: 'country',
        shardKey: null,
        ddl: 'CREATE TABLE country (code CHAR(2) CHARACTER SET ascii PRIMARY KEY, name VARCHAR(50) CHARACTER SET latin1)',
      },
      {
        name: 'every',
        shardKey: 'owner',
        ddl: `CREATE TABLE every (a VARCHAR(20) CHARACTER SET latin1 NOT NULL, b BINARY(4) NOT NULL, owner INT NOT NULL, t TINYINT UNSIGNED, d DECIMAL(20,5), f FLOAT, g DOUBLE,
          dt DATETIME(6), ts TIMESTAMP(3) NULL, ti TIME(2), da DATE, y YEAR, bi BIT(13), e ENUM('x','y','é'), s SET('p','q','r'), j ${json}, bl BLOB, tx TEXT CHARACTER SET utf16,
          geo POINT, z INT(5) UNSIGNED ZEROFILL, gen INT AS (t + 1) STORED, PRIMARY KEY (b, a), KEY e (e))`,
      },
    ]
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables }, on())
    await world.s.useDatabase(world.sourceRefs[0]!.schema)
    const insert = async (from: number): Promise<void> => {
      for (let i = from; i < from + 40; i++) {
        await world.s.query(`INSERT INTO every (a, b, owner, t, d, f, g, dt, ts, ti, da, y, bi, e, s, j, bl, tx, geo, z) VALUES
          ('é''\\\\${i}', x'0${i % 10}000000', ${i}, ${i % 256}, ${i}.12345, ${i} / 3, ${i} / 7, '2024-02-29 12:34:56.789012', '2024-03-31 02:30:00.123', '-12:34:56.78',
          '2024-02-29', ${1970 + (i % 100)}, b'1010101010101', 'é', 'p,r', '{"k": [1, 2.5, "é", null], "n": ${i}}', x'00270a0d5c1a00', 'täxt €', ST_GeomFromText('POINT(${i} 2)'), ${i})`)
      }
      await world.s.query(`REPLACE INTO country VALUES ('F${from % 10}', 'Fr\u00e9'), ('DE', 'D${from}')`)
      await world.s.query(`INSERT INTO every (a, b, owner) VALUES ('null ${from}', x'01020304', ${from})`)
    }
    await insert(0)
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await insert(100)
    // 1.5: another spelling of a key is the same key to the target's collation.
    await world.s.query('UPDATE every SET a = UPPER(a) WHERE owner % 7 = 1')
    await world.s.query("UPDATE every SET a = CONCAT(a, 'ß'), f = f * 3, owner = owner + 17 WHERE owner % 2 = 0")
    await world.s.query("UPDATE country SET code = 'XX' WHERE code = 'DE'")
    await world.drain(record.uid)
    await world.s.query('UPDATE every SET a = UPPER(a) WHERE owner IN (101, 103)') // 1.5: the same key to the target's collation
    await world.drain(record.uid)
    const rows = await world.assertEqual()
    assert.ok(rows > 80)
    await running.stop()
  })
}

for (const flavour of flavours())
  for (const onDdl of ['ignore', 'exec'] as const) {
    test(`1.13 on ${flavour}: DDL with --on-ddl ${onDdl}: the stream goes on with the new definition`, async () => {
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, servers.of(flavour))
      await fill(world, 0, 300, 1000)
      const plain = world.record(0)
      const record = { ...plain, options: { ...plain.options, onDdl } }
      const running = world.start(record)
      await world.untilRunning(record.uid)
      await world.s.query('UPDATE item SET v = v + 1')
      if (onDdl === 'ignore')
        for (const { schema } of world.targetRefs) await world.t.query(`ALTER TABLE ${schema}.item ADD extra INT NOT NULL DEFAULT 5`)
      await world.s.query('ALTER TABLE item ADD extra INT NOT NULL DEFAULT 5')
      await world.s.query('UPDATE item SET extra = id WHERE id % 2 = 0')
      await world.drain(record.uid)
      await world.assertEqual()
      await running.stop()
    })
  }

for (const flavour of flavours()) {
  test(`1.11 on ${flavour}: a stream that follows waits while the server it writes to has user triggers`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, servers.of(flavour))
    await fill(world, 0, 10, 10)
    const record = world.record(0)
    let running = world.start(record)
    await world.untilRunning(record.uid)
    await running.stop()
    const schema = world.targetRefs[0]!.schema
    await world.t.useDatabase(schema)
    await world.t.query(`CREATE TRIGGER twice BEFORE UPDATE ON item FOR EACH ROW SET NEW.v = NEW.v + 1`)
    world.reports.clear()
    running = world.start(record)
    await world.s.query('UPDATE item SET v = v + 1')
    await world.until('waiting', () => /triggers on item: twice/.test(world.reports.get(record.uid)?.waiting?.what ?? ''))
    await world.t.query('DROP TRIGGER twice')
    await world.drain(record.uid)
    await world.assertEqual()
    await running.stop()
  })
}

test('promise 7: a copy that is held back says by what, and goes on when told to stop', async () => {
  await using world = await World.create({ flavour: 'mariadb', sources: ['-'], targets: ['-'] }, servers.of('mariadb'))
  await fill(world, 0, 500, 1000)
  const record = world.record(0)
  const running = world.start(record, { config: { pace: { ...moverDefaults.pace, threadsRunningMax: 0 } } })
  await world.until('waiting', () => /the source has \d+ threads at work \(limit 0\)/.test(running.stream.report().waiting?.what ?? ''))
  assert.equal(running.stream.report().copy.rowsDone, 0)
  await running.stop()
  world.reports.clear()
  const again = world.start(record)
  await world.untilRunning(record.uid)
  await world.assertEqual()
  await again.stop()
})
