/**
 * PROTOCOLS 1.4: an event can reach the tail before its row is visible. Semi-synchronous replication with nobody to acknowledge stalls each commit exactly there (AFTER_SYNC): in
 * the binlog, which readers get, and not yet in the engine. Copies that run through such stalls must lose no update.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { besideEachOther } from '../../test/kit/beside.ts'
import { testServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { announceDdl } from '../binlog/control-schema.ts'
import { fill, World } from './testkit/world.ts'

const semiSync = {
  mariadb: { prefix: 'rpl_semi_sync_master', noReplica: 'rpl_semi_sync_master_wait_no_slave', plugin: null },
  mysql: {
    prefix: 'rpl_semi_sync_source',
    noReplica: 'rpl_semi_sync_source_wait_no_replica',
    plugin: "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
  },
} as const

/** Each commit of this server is stalled for `stallMs` until one of them has waited that long. */
async function arm(conn: Connection, flavour: 'mariadb' | 'mysql', stallMs: number): Promise<void> {
  const { prefix, noReplica } = semiSync[flavour]
  await conn.query(`SET GLOBAL ${prefix}_enabled=0`)
  await conn.query(`SET GLOBAL ${prefix}_wait_point='AFTER_SYNC', GLOBAL ${prefix}_timeout=${stallMs}, GLOBAL ${noReplica}=1`)
  await conn.query(`SET GLOBAL ${prefix}_enabled=1`)
}

besideEachOther('commits that stall', (flavour) => {
  test(`1.4 on ${flavour}: commits stalled between binlog and engine while chunks are read: the tail has the event, readers not yet the row, nothing is lost`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] })
    await fill(world, 0, 4000, 4000)
    const { plugin } = semiSync[flavour]
    if (plugin !== null) await world.s.query(plugin)
    const reader = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
    const record = world.record(0)
    const running = world.start(record, { pace: () => ({ copyBytesPerSecondMax: 60_000 }) })
    await world.until('copying', () => (world.reports.get(record.uid)?.copy.rowsDone ?? 0) > 200)

    const onTargets = async (id: number): Promise<string | null> => {
      for (const { schema } of world.targetRefs) {
        const v = await world.t.value(`SELECT v FROM ${schema}.item WHERE id = ${id}`)
        if (v !== null && v !== undefined) return v
      }
      return null
    }
    let seenBefore = 0
    let stalls = 0
    const ids = (await reader.allText('SELECT id FROM item ORDER BY id')).map(({ id }) => Number(id))
    // Each stall has rows of its own: a later one must not mend what one has lost.
    const classes = 8
    while (world.state(record.uid) === 'copying' && stalls < classes) {
      await arm(reader, flavour, 700)
      const first = ids.find((id) => id % classes === stalls)!
      const before = await reader.value(`SELECT v FROM item WHERE id = ${first}`)
      let committed = false
      const commit = world.s.query(`UPDATE item SET v = v + 1 WHERE id % ${classes} = ${stalls}`).then(() => (committed = true))
      // The first rows are copied: what the tail brings shows on the target.
      while (!committed) {
        const [there, here] = [await onTargets(first), await reader.value(`SELECT v FROM item WHERE id = ${first}`)]
        if (!committed && here === before && there === String(Number(before) + 1)) {
          seenBefore++
          break
        }
      }
      await commit
      stalls++
    }
    assert.ok(stalls >= 2, `${stalls} stalls in the copy`)
    assert.ok(seenBefore >= 1, 'the target had a row that no reader of the source could see yet: the stall is where it should be')
    await reader.query(`SET GLOBAL ${semiSync[flavour].prefix}_enabled=0`)
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await world.assertEqual()
    reader.destroy()
    await running.stop()
  })

  test(`1.4, 1.13 on ${flavour}: a statement that is stalled between binlog and its commit is gone on behind by what it makes, not by what the tables still look like`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] })
    await fill(world, 0, 20, 100)
    const { plugin } = semiSync[flavour]
    if (plugin !== null) await world.s.query(plugin)
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    // As the stream of the other direction does it, which has altered the targets first.
    for (const { schema } of world.targetRefs) await world.t.query(`ALTER TABLE ${schema}.item ADD extra INT NOT NULL DEFAULT 5`)
    await announceDdl(world.s, 'ALTER', world.sourceRefs[0]!.schema, 'item')
    await arm(world.s, flavour, 1500)
    await world.s.query('ALTER TABLE item ADD extra INT NOT NULL DEFAULT 5')
    await world.s.query('INSERT INTO item VALUES (7001, 3, NULL, "new", 1, 9)')
    await world.drain(record.uid)
    await world.assertEqual()
    await running.stop()
  })

  for (const whose of ['its own session', 'another session'] as const)
    test(`1.9 on ${flavour}: an XA COMMIT of ${whose} that is stalled between binlog and engine: the server knows the xid for as long as the rows are not visible`, async () => {
      await using server = await testServer({ flavour })
      const [committer, watcher] = [await connect(server.config), await connect(server.config)]
      const preparer = whose === 'its own session' ? committer : await connect(server.config)
      try {
        const { plugin } = semiSync[flavour]
        if (plugin !== null) await watcher.query(plugin)
        await watcher.query('CREATE DATABASE d')
        await watcher.query('CREATE TABLE d.t (id INT PRIMARY KEY)')
        for (const sql of ["XA START 'x'", 'INSERT INTO d.t VALUES (1)', "XA END 'x'", "XA PREPARE 'x'"]) await preparer.query(sql)
        // The xid is the server's once its session has ended.
        if (preparer !== committer) await preparer.close()
        await arm(watcher, flavour, 1500)
        let committed = false
        const commit = until('the commit to be taken', () => committer.query("XA COMMIT 'x'").catch(() => null)).then(
          () => (committed = true),
        )
        let stalled = 0
        while (!committed) {
          // Asked in this order: one that is forgotten by then must show.
          const known = (await watcher.allText('XA RECOVER')).length > 0
          const visible = (await watcher.value('SELECT id FROM d.t')) !== undefined
          assert.ok(known || visible, 'the server has forgotten the xid, and its row is not visible')
          if (known && !visible) stalled++
        }
        await commit
        assert.ok(stalled > 3, 'the stall is where it should be')
        assert.deepEqual(await watcher.allText('XA RECOVER'), [])
        assert.equal(await watcher.value('SELECT id FROM d.t'), '1')
      } finally {
        for (const conn of [committer, watcher, preparer]) conn.destroy()
      }
    })
})
