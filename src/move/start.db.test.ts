/** PROTOCOLS 1.2, 1.3, 1.4, 1.10: what a stream waits for before it begins, and what it refuses to go on with. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ServerPair, ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { StreamRecord } from '../topology/records.ts'
import { markerStream } from './markers.ts'
import { fill, World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

async function failure(world: World, record: StreamRecord): Promise<{ code: string; what: string; fix: string }> {
  await world.until('failure', () => world.state(record.uid) === 'failed')
  const error = world.reports.get(record.uid)?.error
  assert.ok(error !== null && error !== undefined)
  return error
}

for (const flavour of flavours()) {
  const on = (): Promise<ServerPair> => servers.of(flavour)
  const split = { flavour, sources: ['-'], targets: ['-80', '80-'] }

  test(`1.2 on ${flavour}: the copy begins when every transaction and XA id open at the start position has ended, and says what it waits for`, async () => {
    await using world = await World.create(split, on())
    await fill(world, 0, 500, 1000)
    const record = world.record(0)
    const client = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
    const xa = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
    await client.query('BEGIN')
    await client.query('UPDATE item SET v = v + 1000 WHERE id < 100')
    await xa.query("XA START 'before'")
    await xa.query('UPDATE item SET v = v + 1000 WHERE id >= 900')
    await xa.query("XA END 'before'")
    await xa.query("XA PREPARE 'before'")
    const running = world.start(record)
    const waits = (what: RegExp): Promise<void> =>
      world.until(String(what), () => what.test(world.reports.get(record.uid)?.waiting?.what ?? ''))
    await waits(/transactions open on the source since before the copy \(sessions [\d, ]+\) and XA transactions prepared/)
    assert.equal(world.reports.get(record.uid)?.copy.rowsDone, 0)
    // Meanwhile the source is asked for the tail already: it looks for its place, and its log is not purged behind it.
    const isRead = async (): Promise<boolean> =>
      (await client.allText('SHOW PROCESSLIST')).some(({ Command }) => (Command ?? '').startsWith('Binlog Dump'))
    for (let looks = 0; !(await isRead()); looks++) {
      assert.ok(looks < 200, 'the source is asked for its binlog')
      await sleep(50)
    }
    await client.query('COMMIT')
    await waits(/^(?!.*sessions \d+, \d+).*XA transactions prepared before the copy/)
    await xa.query("XA COMMIT 'before'")
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await world.assertEqual()
    client.destroy()
    xa.destroy()
    await running.stop()
  })

  test(`1.3 on ${flavour}: a table without a usable key is refused with the statement that would add one`, async () => {
    const ddl = 'CREATE TABLE item (id INT NOT NULL, owner INT NOT NULL, u INT NULL, UNIQUE KEY u (u), KEY id (id))'
    await using world = await World.create({ ...split, tables: [{ name: 'item', shardKey: 'owner', ddl }] }, on())
    const record = world.record(0)
    world.start(record)
    const error = await failure(world, record)
    assert.equal(error.code, 'SW-MOVE-005')
    assert.match(error.fix, /ALTER TABLE \S+item ADD COLUMN _id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY/)
  })

  test(`1.10 on ${flavour}: a source that has lost what was read of it stops the stream: its last marker must still be there`, async () => {
    await using world = await World.create(split, on())
    await fill(world, 0, 100, 1000)
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await running.stop()
    const back = await connect({ ...world.source.config, sessionSql: ['SET SESSION sql_log_bin=0'] })
    await back.query(`UPDATE _shardwright.marker SET n = 1 WHERE stream = '${markerStream(record.workflowUid, record.uid)}'`)
    back.destroy()
    world.reports.delete(record.uid)
    world.start(record)
    const error = await failure(world, record)
    assert.equal(error.code, 'SW-MOVE-010')
    assert.match(error.what, /its last marker is 1/)
  })

  test(`1.10 on ${flavour}: a partial row image stops the stream with its place in the binlog`, async () => {
    await using world = await World.create(split, on())
    await fill(world, 0, 100, 1000)
    const record = world.record(0)
    world.start(record)
    await world.untilRunning(record.uid)
    await world.s.query("SET SESSION binlog_row_image='MINIMAL'")
    await world.s.query('UPDATE item SET v = v + 1 WHERE id = 0')
    const error = await failure(world, record)
    assert.match(error.what, /a row event of .*item lacks columns, at .*:\d+/)
    await world.s.query("SET SESSION binlog_row_image='FULL'")
  })
}

if (flavours().includes('mysql')) {
  test('1.4 on mysql: with binlog_order_commits=OFF a marker proves nothing, and the stream is refused', async () => {
    await using world = await World.create({ flavour: 'mysql', sources: ['-'], targets: ['-'] }, servers.of('mysql'))
    await fill(world, 0, 100, 1000)
    await world.s.query('SET GLOBAL binlog_order_commits=OFF')
    const record = world.record(0)
    world.start(record)
    const error = await failure(world, record)
    await world.s.query('SET GLOBAL binlog_order_commits=ON')
    assert.equal(error.code, 'SW-MOVE-014')
  })
}
