/** PROTOCOLS 1.9: XA transactions, on real servers. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { systemClock, type Clock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { until } from '../../test/kit/until.ts'
import { type ServerPair, ServerPairs } from '../../test/kit/server-pairs.ts'
import type { Failpoints } from './crash-points.ts'
import { holdAt, killAt } from './testkit/kill-at.ts'
import { execOf } from './testkit/samples.ts'
import { fill, itemTable, World } from './testkit/world.ts'
import { TouchedKeys } from './touched.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

besideEachOther('XA transactions', (flavour) => {
  const on = (): Promise<ServerPair> => servers.of(flavour)

  test(`1.9 on ${flavour}: rows of an XA transaction are applied at XA COMMIT, not at PREPARE, and dropped at ROLLBACK`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 100, 100)
    const record = world.record(0)
    let running = world.start(record)
    await world.untilRunning(record.uid)
    const conn = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
    const xa = async (xid: string, sql: string): Promise<void> => {
      await conn.query(`XA START '${xid}'`)
      await conn.query(sql)
      await conn.query(`XA END '${xid}'`)
      await conn.query(`XA PREPARE '${xid}'`)
    }
    await xa(`${world.prefix}a`, 'UPDATE item SET v = 111111 WHERE id < 20')
    conn.destroy()
    const other = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
    await world.drain(record.uid)
    assert.equal(await world.t.value(`SELECT COUNT(*) FROM ${world.targetRefs[0]!.schema}.item WHERE v = 111111`), '0')
    // The mover dies between PREPARE and COMMIT.
    await running.stop()
    world.reports.delete(record.uid)
    running = world.start(record)
    await world.untilRunning(record.uid)
    for (let attempt = 0; ; attempt++) {
      try {
        await other.query(`XA COMMIT '${world.prefix}a'`)
        break
      } catch (error) {
        // The server gives a prepared transaction up only once its session is gone.
        if (attempt > 50) throw error
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    await world.drain(record.uid)
    await world.assertEqual()
    assert.equal(await world.s.value('SELECT COUNT(*) FROM item WHERE v = 111111'), '20')
    other.destroy()
    await running.stop()
  })

  test(`1.9 on ${flavour}: row changes of an XA transaction count once, where they are applied: none at PREPARE, none of one that is rolled back; those of a reference table for one target`, async () => {
    const country = { name: 'country', shardKey: null, ddl: 'CREATE TABLE country (id INT NOT NULL PRIMARY KEY, n INT NOT NULL)' }
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables: [itemTable, country] }, on())
    await fill(world, 0, 100, 100)
    await world.s.query('INSERT INTO country VALUES (1, 0), (2, 0), (3, 0)')
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    const counted = async (): Promise<number> => {
      await world.drain(record.uid)
      return running.stream.report().applied.rowChanges
    }
    await using conn = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
    const before = await counted()
    for (const [number, outcome, changes] of [
      [1, 'ROLLBACK', 0],
      [2, 'COMMIT', 23],
    ] as const) {
      const xid = `'${world.prefix}n${number}'`
      const work = ['UPDATE item SET v = v + 1 WHERE id < 20', 'UPDATE country SET n = n + 1']
      for (const sql of [`XA START ${xid}`, ...work, `XA END ${xid}`, `XA PREPARE ${xid}`]) await conn.query(sql)
      assert.equal((await counted()) - before, 0, 'prepared')
      await conn.query(`XA ${outcome} ${xid}`)
      assert.equal((await counted()) - before, changes, outcome)
    }
    const xid = `'${world.prefix}n3'`
    for (const sql of [`XA START ${xid}`, 'UPDATE item SET v = v + 1 WHERE id < 5', `XA END ${xid}`, `XA COMMIT ${xid} ONE PHASE`])
      await conn.query(sql)
    assert.equal((await counted()) - before, 28, 'in one phase')
    await world.assertEqual()
    await running.stop()
  })

  test(`1.9, 1.4 on ${flavour}: rows that an XA transaction changed and that were read meanwhile are not lost when it is rolled back`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 200, 200)
    const record = world.record(0)
    const failpoints = holdAt('copy.afterRead')
    const running = world.start(record, { failpoints, config: { chunkBytes: 1 << 20 } })
    await failpoints.held
    const conn = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
    const xid = `'${world.prefix}back'`
    for (const sql of [`XA START ${xid}`, 'UPDATE item SET v = v + 1, id = id + 1000 WHERE id < 50', `XA END ${xid}`, `XA PREPARE ${xid}`])
      await conn.query(sql)
    // The tail has come past the PREPARE before the chunk lands.
    await world.drain(record.uid)
    failpoints.letGo()
    await world.untilRunning(record.uid)
    await conn.query(`XA ROLLBACK ${xid}`)
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 200)
    conn.destroy()
    await running.stop()
  })

  test(`1.9, 1.5 on ${flavour}: an XA transaction above the memory budget is kept in parts and applied in parts, killed among them, in one phase too`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 300, 300)
    const record = world.record(0)
    const config = { partBytesMax: 4_000 }
    let running = world.start(record, { config })
    await world.untilRunning(record.uid)
    const xid = (name: string): string => `'${world.prefix}${name}'`
    const work = async (name: string, v: number): Promise<Connection> => {
      const conn = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
      await conn.query(`XA START ${xid(name)}`)
      for (let from = 0; from < 300; from += 50)
        await conn.query(`UPDATE item SET v = ${v}, u = id + ${v} WHERE id >= ${from} AND id < ${from + 50}`)
      await conn.query('DELETE FROM item WHERE id = 7')
      await conn.query(`INSERT INTO item VALUES (7, 12, 7, 'again', ${v})`)
      await conn.query(`XA END ${xid(name)}`)
      return conn
    }
    const prepared = await work('large', 1_000)
    await prepared.query(`XA PREPARE ${xid('large')}`)
    await world.drain(record.uid)
    const there = async (v: number): Promise<number> => {
      const counts = world.targetRefs.map(async ({ schema }) =>
        Number(await world.t.value(`SELECT COUNT(*) FROM ${schema}.item WHERE v = ${v}`)),
      )
      return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
    }
    assert.equal(await there(1_000), 0)
    await running.stop()
    world.reports.delete(record.uid)
    const failpoints = killAt('part.afterSome', 1)
    running = world.start(record, { config, failpoints })
    await world.untilRunning(record.uid)
    await prepared.query(`XA COMMIT ${xid('large')}`)
    await running.done
    assert.ok(failpoints.hits > 1, 'killed among the parts')
    assert.ok((await there(1_000)) > 0)
    world.reports.delete(record.uid)
    running = world.start(record, { config })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    assert.equal(await there(1_000), 300)
    const once = await work('once', 2_000)
    await once.query(`XA COMMIT ${xid('once')} ONE PHASE`)
    const rolled = await work('rolled', 3_000)
    await rolled.query(`XA PREPARE ${xid('rolled')}`)
    await rolled.query(`XA ROLLBACK ${xid('rolled')}`)
    await world.drain(record.uid)
    assert.deepEqual([await there(2_000), await there(3_000)], [300, 0])
    await world.assertEqual()
    for (const conn of [prepared, once, rolled]) conn.destroy()
    await running.stop()
  })

  test(`1.9 on ${flavour}: an xid that is prepared again before its first commit is applied: killed there, each commit gives its own rows`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 100, 100)
    const record = world.record(0)
    let hold: Promise<void> | null = null
    const failpoints: Failpoints = { hit: (at) => (at === 'round.beforePosition' ? (hold ?? undefined) : undefined) }
    let running = world.start(record, { failpoints })
    await world.untilRunning(record.uid)
    const xid = `'${world.prefix}again'`
    const prepare = async (sql: string): Promise<Connection> => {
      const conn = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
      for (const statement of [`XA START ${xid}`, sql, `XA END ${xid}`, `XA PREPARE ${xid}`]) await conn.query(statement)
      return conn
    }
    // So few that they are one transaction with the position on each target: what the kill cuts off has written nothing.
    const first = await prepare('UPDATE item SET v = 111111 WHERE id < 6')
    // Rounds whose positions are behind it: the next run does not read it again.
    await world.s.query('UPDATE item SET v = v + 1 WHERE id >= 20')
    await world.drain(record.uid)
    let reject = (_: Error): void => undefined
    hold = new Promise<void>((_, no) => (reject = no))
    hold.catch(() => undefined)
    await first.query(`XA COMMIT ${xid}`)
    const second = await prepare('UPDATE item SET v = 222222 WHERE id >= 50')
    const read = `SELECT COUNT(*) FROM _shardwright.move_xa WHERE stream_uid = '${record.uid}' AND changes LIKE '%222222%'`
    await until('the second transaction to be read', async () => (await world.t.value(read)) !== '0')
    reject(new Error('killed'))
    await running.done
    hold = null
    world.reports.delete(record.uid)
    running = world.start(record)
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await world.assertEqual()
    await second.query(`XA COMMIT ${xid}`)
    await world.drain(record.uid)
    await world.assertEqual()
    // The same, the second rolled back.
    const third = await prepare('UPDATE item SET v = 333333')
    await third.query(`XA ROLLBACK ${xid}`)
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 100)
    for (const conn of [first, second, third]) conn.destroy()
    await running.stop()
  })

  test(`1.9 on ${flavour}: what was kept of an XA transaction is removed while tables are copied, too, once it is applied everywhere and visible; of earlier runs as well`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, on())
    await fill(world, 0, 100, 100)
    const record = world.record(0)
    const pace = () => ({ pausedUntilMs: Date.now() + 1e9 })
    // A run that ends before it has removed anything.
    const clock: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms === 1_000 ? 1e8 : ms, signal) }
    let running = world.start(record, { pace, clock })
    await world.until('copying', () => world.state(record.uid) === 'copying')
    const commits = async (from: number): Promise<void> => {
      for (let n = from; n < from + 10; n++) {
        const xid = `'${world.prefix}kept${n}'`
        const sql = `UPDATE item SET v = ${1_000 + n} WHERE id = ${n}`
        await committed(world.s, xid, sql)
      }
    }
    const kept = (): Promise<string | null | undefined> =>
      world.t.value(`SELECT COUNT(*) FROM _shardwright.move_xa WHERE stream_uid = '${record.uid}'`)
    await commits(0)
    await world.drain(record.uid)
    await running.stop()
    assert.notEqual(await kept(), '0')
    // What a run before this one would have left, of a commit that this one meets.
    if (flavour === 'mysql') await world.t.query(`UPDATE _shardwright.move_xa SET committed = 1 WHERE stream_uid = '${record.uid}'`)
    world.reports.delete(record.uid)
    running = world.start(record, { pace })
    await world.until('copying', () => world.state(record.uid) === 'copying')
    await commits(10)
    await world.drain(record.uid)
    await until('no row to be kept', async () => (await kept()) === '0', 20_000)
    assert.equal(world.state(record.uid), 'copying')
    await running.stop()
  })
})

test('1.9, promise 8 on mariadb: keys of one large XA transaction are dropped when they are above their budget: what is read is thrown away and read again once the commit is visible', async (t) => {
  await using world = await World.create({ flavour: 'mariadb', sources: ['-'], targets: ['-80', '80-'] }, servers.of('mariadb'))
  await fill(world, 0, 2000, 2000)
  let peak = 0
  let dropped = 0
  const { addUnproven, dropUnproven } = TouchedKeys.prototype
  t.mock.method(TouchedKeys.prototype, 'addUnproven', function (this: TouchedKeys<object>, ...args: Parameters<typeof addUnproven>) {
    addUnproven.apply(this, args)
    peak = Math.max(peak, this.unprovenBytes)
  })
  t.mock.method(TouchedKeys.prototype, 'dropUnproven', function (this: TouchedKeys<object>) {
    dropped++
    dropUnproven.apply(this)
  })
  const record = world.record(0)
  const failpoints = holdAt('copy.afterRead')
  const running = world.start(record, { failpoints, config: { touchedBytesMax: 10_000, partBytesMax: 8_000 } })
  await failpoints.held
  const conn = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
  const xid = `'${world.prefix}large'`
  await committed(conn, xid, 'UPDATE item SET v = v + 1, id = id + 100000 WHERE id < 2000')
  await world.drain(record.uid)
  failpoints.letGo()
  await world.untilRunning(record.uid)
  await world.drain(record.uid)
  assert.equal(await world.assertEqual(), 2000)
  // Looked at between what is given out at once, here for one target; all of them are 275,000.
  assert.ok(dropped > 0 && peak < 200_000, `${dropped} times, ${peak} bytes`)
  conn.destroy()
  await running.stop()
})

test('1.9, promise 8 on mariadb: keys of one large XA transaction are dropped above their budget in a run that copies nothing before the tail has come to DDL, too', async (t) => {
  await using world = await World.create({ flavour: 'mariadb', sources: ['-'], targets: ['-80', '80-'] }, servers.of('mariadb'))
  await fill(world, 0, 500, 500)
  const { dropUnproven } = TouchedKeys.prototype
  let dropped = 0
  t.mock.method(TouchedKeys.prototype, 'dropUnproven', function (this: TouchedKeys<object>) {
    dropped++
    dropUnproven.apply(this)
  })
  const record = execOf(world.record(0))
  const config = { touchedBytesMax: 10_000, partBytesMax: 8_000 }
  let running = world.start(record, { config, pace: () => ({ pausedUntilMs: Date.now() + 1e9 }) })
  await world.until('copying', () => world.state(record.uid) === 'copying')
  await world.drain(record.uid)
  await running.stop()
  world.reports.delete(record.uid)
  const xid = `'${world.prefix}ahead'`
  await committed(world.s, xid, 'UPDATE item SET v = v + 1, id = id + 100000 WHERE id < 500')
  await world.s.query('ALTER TABLE item ADD extra INT NOT NULL DEFAULT 5')
  running = world.start(record, { config })
  await world.untilRunning(record.uid)
  await world.drain(record.uid)
  assert.ok(dropped > 0)
  assert.equal(await world.assertEqual(), 500)
  await running.stop()
})

test('1.9, 1.4 on mariadb: keys of an XA transaction that committed while tables are copied count as touched in later runs too, as long as the server knows the xid', async () => {
  await using world = await World.create({ flavour: 'mariadb', sources: ['-'], targets: ['-80', '80-'] }, servers.of('mariadb'))
  await fill(world, 0, 100, 100)
  const record = world.record(0)
  let running = world.start(record, { pace: () => ({ pausedUntilMs: Date.now() + 1e9 }) })
  await world.until('copying', () => world.state(record.uid) === 'copying')
  const xid = `'${world.prefix}seen'`
  await committed(world.s, xid, 'UPDATE item SET v = 777 WHERE id < 9')
  // Known still, and its rows not visible yet, as on MariaDB just after a commit stands in the binlog (1.9).
  const known = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
  for (const sql of [
    'SET sql_log_bin=0',
    `XA START ${xid}`,
    'UPDATE item SET name = 1 WHERE id = 80',
    `XA END ${xid}`,
    `XA PREPARE ${xid}`,
  ])
    await known.query(sql)
  await world.drain(record.uid)
  await running.stop()
  world.reports.delete(record.uid)
  const hidden = async (sql: string): Promise<void> => {
    for (const one of ['SET sql_log_bin=0', sql, 'SET sql_log_bin=1']) await world.s.query(one)
  }
  await hidden('UPDATE item SET v = 1 WHERE id < 9')
  running = world.start(record)
  await world.untilRunning(record.uid)
  await world.drain(record.uid)
  await hidden('UPDATE item SET v = 777 WHERE id < 9')
  await known.query(`XA ROLLBACK ${xid}`)
  known.destroy()
  assert.equal(await world.assertEqual(), 100)
  await running.stop()
})

/** One statement as an XA transaction, from its start to its commit in one session. */
async function committed(conn: Connection, xid: string, sql: string): Promise<void> {
  for (const statement of [`XA START ${xid}`, sql, `XA END ${xid}`, `XA PREPARE ${xid}`, `XA COMMIT ${xid}`]) await conn.query(statement)
}
