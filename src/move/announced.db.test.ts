/** PROTOCOLS 1.13: DDL of ours passes on the side where a stream executed it, however late it comes; another's does not. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { announceDdl, bumpControlMarker, withdrawDdl } from '../binlog/control-schema.ts'
import { currentPosition } from '../binlog/position.ts'
import { connect } from '../mysql/connect.ts'
import type { StreamRecord } from '../topology/records.ts'
import { type ServerPair, ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import type { Failpoints } from './crash-points.ts'
import { ensureMoveTables, seedPosition } from './tables.ts'
import { killAt } from './testkit/kill-at.ts'
import { fill, World, type Running } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  const on = (): Promise<ServerPair> => servers.of(flavour)
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

  test(`1.13 on ${flavour}: an ALTER that the stream of the other direction executes passes, whatever is logged before it ends, over a restart too; the next one of somebody else stops`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    await fill(world, 0, 20, 100)
    const forward = world.record(0)
    let running = world.start(forward)
    await world.untilRunning(forward.uid)
    await world.drain(forward.uid)
    await ensureMoveTables(world.s)
    const [from] = world.targetRefs
    const back: StreamRecord = {
      ...forward,
      uid: `${world.prefix}-back`,
      direction: 'reverse',
      source: from!,
      targets: [world.sourceRefs[0]!],
      copy: 'none',
      options: { ...forward.options, onDdl: 'exec' },
    }
    const seed = {
      streamUid: back.uid,
      workflowUid: back.workflowUid,
      direction: 'reverse' as const,
      sourceUid: from!.uid,
      targetUid: world.sourceRefs[0]!.uid,
    }
    assert.ok(await seedPosition(world.s, { ...seed, position: await currentPosition(world.t) }))
    const reverse = world.start(back)
    await world.untilRunning(back.uid)

    // The new side serves. A reader of the old one holds up what the reverse stream executes there.
    const { schema } = world.sourceRefs[0]!
    const reader = await connect({ ...world.source.config, database: schema })
    await reader.query('BEGIN')
    await reader.query('SELECT * FROM item')
    const sql = 'ALTER TABLE item ADD extra INT NOT NULL DEFAULT 5'
    await world.t.useDatabase(from!.schema)
    await world.t.query(sql)
    const atWork = async (): Promise<boolean> =>
      (await world.s.allText('SHOW PROCESSLIST')).some(({ Info, Command }) => Info === sql && Command === 'Query')
    for (let look = 0; look < 300 && !(await atWork()); look++) await pause(20)
    assert.ok(await atWork())
    for (const other of ['CREATE TABLE other (a INT)', 'ALTER TABLE other ADD b INT', 'ANALYZE TABLE other']) await world.s.query(other)
    await world.drain(forward.uid)
    // Begun again behind the announcement.
    await running.stop()
    world.reports.delete(forward.uid)
    running = world.start(forward)
    await world.untilRunning(forward.uid)
    await world.drain(forward.uid)
    await reader.query('COMMIT')
    reader.destroy()
    await world.t.query('INSERT INTO item VALUES (7001, 3, NULL, "new", 1, 9)')
    const marker = await bumpControlMarker(world.t)
    await world.until(
      'reverse marker',
      () => world.failIfFailed(back.uid) || (world.reports.get(back.uid)?.targets[0]?.controlMarker ?? 0) >= marker,
    )
    await world.drain(forward.uid)
    assert.equal(await world.assertEqual(), 21)

    // It has come: the same by somebody else is not ours, nor after a restart.
    await running.stop()
    world.reports.delete(forward.uid)
    running = world.start({ ...forward, generation: 2 })
    await world.untilRunning(forward.uid)
    await reverse.stop()
    await world.s.query(`ALTER TABLE ${schema}.item ADD more INT NULL`)
    await world.until('failure', () => world.state(forward.uid) === 'failed')
    assert.equal(world.reports.get(forward.uid)?.error?.code, 'SW-MOVE-002')
    assert.match(world.reports.get(forward.uid)?.error?.what ?? '', /ADD more/)
  })

  test(`1.13 on ${flavour}: an announcement is of one object, and can be taken back`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    await fill(world, 0, 20, 100)
    const record = world.record(0)
    const { schema } = world.sourceRefs[0]!
    let running = world.start(record)
    await world.untilRunning(record.uid)
    await announceDdl(world.s, 'ALTER', schema, 'item')
    await announceDdl(world.s, 'ALTER', schema, 'other')
    await world.s.query('ALTER TABLE item ADD KEY ours (name)')
    await world.drain(record.uid)
    assert.equal(world.state(record.uid), 'running')
    await announceDdl(world.s, 'ALTER', schema, 'item')
    await world.drain(record.uid)
    await running.stop()
    await withdrawDdl(world.s, schema, 'item')
    await world.s.query('ALTER TABLE item ADD KEY theirs (name)')
    world.reports.delete(record.uid)
    running = world.start({ ...record, generation: 2 })
    await world.until('failure', () => world.state(record.uid) === 'failed')
    assert.match(world.reports.get(record.uid)?.error?.what ?? '', /ADD KEY theirs/)
  })

  test(`1.13 on ${flavour}: what a run announced on its target and died over is taken back by the one that does not execute it any more; what another stream announced is not`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, on())
    await fill(world, 0, 20, 100)
    const plain = world.record(0)
    const { schema } = world.targetRefs[0]!
    const announced = (): Promise<string | null | undefined> =>
      world.t.value("SELECT CONCAT(verb, ' ', object_schema, '.', object_name) FROM _shardwright.ddl_announcement")
    let generation = 0
    const start = (onDdl: 'exec' | 'ignore' | 'stop', failpoints?: Failpoints): Running => {
      world.reports.delete(plain.uid)
      return world.start({ ...plain, generation: generation++, options: { ...plain.options, onDdl } }, failpoints && { failpoints })
    }
    for (const onDdl of ['ignore', 'stop'] as const) {
      const dies = start('exec', killAt('ddl.executed', 0))
      await world.untilRunning(plain.uid)
      await world.s.query(`ALTER TABLE item COMMENT 'one ${onDdl}'`)
      await dies.done
      assert.equal(await announced(), `ALTER ${schema}.item`)
      let running = start(onDdl)
      if (onDdl === 'stop') await world.until('failure', () => world.state(plain.uid) === 'failed')
      else await world.drain(plain.uid)
      assert.equal(await announced(), ` ${schema}.item`)
      await running.stop()
      if (onDdl === 'stop') {
        running = start('exec')
        await world.untilRunning(plain.uid)
        await world.drain(plain.uid)
        await running.stop()
      }
      running = start(onDdl)
      await world.untilRunning(plain.uid)
      await announceDdl(world.t, 'ALTER', schema, 'item')
      await world.s.query(`ALTER TABLE item COMMENT 'two ${onDdl}'`)
      if (onDdl === 'stop') await world.until('failure', () => world.state(plain.uid) === 'failed')
      else await world.drain(plain.uid)
      assert.equal(await announced(), `ALTER ${schema}.item`, "another stream's")
      await running.stop()
    }
  })
}
