/**
 * The preconditions of a dual-write run (issue 6) on real servers, fleets and a topic: nothing in the way of a sound keyspace, and each harm is found,
 * named, and has its way out.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { defineTopic } from '../ingest/definition.ts'
import type { TopicDefinition } from '../ingest/definition.ts'
import { connectConsumer } from '../ingest/access.ts'
import { noIngestFailpoints } from '../ingest/crash-points.ts'
import { purgeTable } from '../ingest/purge.ts'
import type { TablePlan } from '../ingest/table-plan.ts'
import { tableStatements } from '../ingest/upsert.ts'
import { isForeignWrite } from './other-writers.ts'
import { connect } from '../mysql/connect.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { openTopic } from '../topic/open.ts'
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord } from '../topology/records.ts'
import { readRecord } from '../topology/typed.ts'
import { definition, TwoBranches } from '../verify/ladder/testkit/two-branches.ts'
import { growthPerDay, steadyBytes } from './branch-size.ts'
import { preconditionsFor } from './dualwrite-preconditions.ts'
import type { Finding, PreconditionRequest } from './dualwrite-world.ts'

describe('preconditions', { timeout: 240_000 }, () => {
  let world: TwoBranches
  before(async () => {
    world = await TwoBranches.create({ flavour: 'mariadb' })
    await world.produce(2000, 8)
    world.startFleet('main')
    await world.untilCaughtUp('main')
  })
  after(async () => {
    await world[Symbol.asyncDispose]()
  })

  const check = async (
    change: { definition?: TopicDefinition; spec?: Partial<PreconditionRequest['spec']>; free?: number } = {},
  ): Promise<{ blocking: readonly Finding[]; all: readonly Finding[] }> => {
    const keyspace = await readRecord<KeyspaceRecord>(world.store, keys.keyspace('app'))
    const branch = await readRecord<KeyspaceRecord>(world.store, keys.keyspace('app@wide'))
    const free = change.free === undefined ? {} : { free: async () => change.free ?? null }
    const all = await preconditionsFor({ store: world.store, clock: systemClock, log: silentLog, lookMs: 1200, ...free })({
      own: null,
      keyspace: keyspace!.value,
      branch: branch!.value,
      definitions: [{ definition: change.definition ?? definition, topicUrl: world.url }],
      spec: { bootstrap: 'wait', marginMs: 1000, raiseRetention: false, ...change.spec },
      signal: new AbortController().signal,
    })
    return { blocking: all.filter((finding) => finding.blocks), all }
  }
  const found = (findings: readonly Finding[], name: string, pattern: RegExp): Finding => {
    const one = findings.find((finding) => finding.check === name && pattern.test(finding.what))
    assert.ok(one !== undefined, `${name} ${String(pattern)} is not among ${JSON.stringify(findings)}`)
    assert.notEqual(one.fix, '')
    return one
  }

  test('a sound keyspace: nothing in the way, and what was looked at is told', async () => {
    await world.produce(200, 1)
    const { blocking, all } = await check()
    assert.deepEqual(blocking, [])
    assert.match(all.find((finding) => finding.check === 'writers')!.what, /only fleets wrote/)
    assert.match(all.find((finding) => finding.check === 'deterministic')!.what, /are equal/)
    assert.match(all.find((finding) => finding.check === 'disk')!.what, /will hold .* when its window is full/)
    const left = await world.sql.allText(`SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '\\_sw\\_scratch%'`)
    assert.deepEqual(left, [], 'scratch schemas are removed')
    assert.equal(
      Number(await world.sql.value(`SELECT COUNT(*) FROM _shardwright.ingest_position WHERE branch_id LIKE '\\_sw\\_scratch%'`)),
      0,
    )
  })

  test('another writer is found by its transactions, with tables, and who it was', async () => {
    await world.sql.query(`CREATE USER batch@'%' IDENTIFIED BY 'x'`)
    await world.sql.query(`GRANT ALL ON \`main__80\`.* TO batch@'%'`)
    const batch = await connect({ ...world.server.config, user: 'batch', password: 'x' })
    const stop = new AbortController()
    const writing = (async () => {
      let n = 0
      while (!stop.signal.aborted) {
        await batch.query(`INSERT INTO ${world.at('main', '-80', 'slow')} VALUES (1, 99, ${++n}, '2026-01-01', SLEEP(0.05) + 1, 'x', NULL)`)
        await systemClock.sleep(20)
      }
    })()
    try {
      const { blocking } = await check()
      const one = found(blocking, 'writers', /main__80\.slow were not the fleet's/)
      assert.match(one.what, /batch@.*INSERT INTO/)
    } finally {
      stop.abort()
      await writing
      batch.destroy()
      await world.sql.query(`DELETE FROM ${world.at('main', '-80', 'slow')} WHERE part = 99`)
    }
  })

  test('the fleet’s own purge, which deletes rows, is no other writer, and neither are its statements', async () => {
    const table = definition.tables.find((one) => one.table === 'slow')!
    const first = Date.UTC(2020, 0, 1)
    const rows = Array.from({ length: 2000 }, (_, i) => `(1, 98, ${i}, '2020-01-01 00:00:00' + INTERVAL ${i} SECOND, 60, 'x', NULL)`)
    await world.sql.query(`INSERT INTO ${world.at('main', '-80', 'slow')} VALUES ${rows.join(', ')}`)
    const { flavour, config } = world.server
    const connection = await connectConsumer({ flavour, connect: config }, 30_000)
    const target = {
      connection,
      shard: '-80',
      shardUid: 'main:-80',
      branchId: 'main-id',
      schema: 'main__80',
      failpoints: noIngestFailpoints,
    }
    let deleted = 0
    const stop = new AbortController()
    const purging = (async () => {
      for (let n = 1; n <= 2000 && !stop.signal.aborted; n++) {
        deleted += (await purgeTable(target, table, first + n * 1000)).rows
        await systemClock.sleep(5)
      }
    })()
    try {
      const { blocking, all } = await check()
      assert.deepEqual(blocking, [])
      assert.match(all.find((finding) => finding.check === 'writers')!.what, /only fleets wrote/)
      assert.ok(deleted > 2, `${deleted} rows were purged meanwhile`)
    } finally {
      stop.abort()
      await purging
      await connection.close()
      await world.sql.query(`DELETE FROM ${world.at('main', '-80', 'slow')} WHERE part = 98`)
    }
    assert.equal(await world.sql.value(`SELECT COUNT(*) FROM _shardwright.ingest_mark WHERE topic_id = ''`), '0')
    for (const own of [
      tableStatements({ name: 't', columns: [], definition: table } as unknown as TablePlan, 's', flavourOf({ flavour })).head + '(1)',
      'INSERT INTO _shardwright.ingest_mark (a) VALUES (1)',
    ])
      assert.equal(isForeignWrite(own), false, own)
    assert.equal(isForeignWrite('/* batch */ INSERT INTO s.t VALUES (1)'), true)
  })

  test('disks that are too small, and foreign keys of other schemas that point in, are in the way by name', async () => {
    const parent = world.at('main', '80-', 'slow')
    await world.sql.query('CREATE DATABASE elsewhere')
    await world.sql.query(
      `CREATE TABLE elsewhere.note (tenant BIGINT NOT NULL, part INT NOT NULL, at_offset BIGINT NOT NULL,
        CONSTRAINT outside FOREIGN KEY (tenant, part, at_offset) REFERENCES ${parent} (tenant, part, at_offset))`,
    )
    try {
      const { blocking } = await check({ free: 1000 })
      found(blocking, 'disk', /its disks have 1,000 B free/)
      found(blocking, 'foreignkeys', /elsewhere\.note\.outside refers to slow from outside/)
    } finally {
      await world.sql.query('DROP DATABASE elsewhere')
    }
  })

  test('rows that depend on chance or on the clock: two scratch branches differ', async () => {
    const chancy = defineTopic({
      topic: 'statistics',
      version: 1,
      decode: (record) =>
        record.value === null ? null : (JSON.parse(record.value.toString()) as { tenant: number; ms: number; atMs: number }),
      eventTime: (event) => event.atMs,
      tables: {
        slow: {
          kind: 'row',
          shardKey: ['tenant'],
          key: ['tenant', 'part', 'at_offset'],
          bucket: { column: 'at', everyMs: 1000 },
          retentionMs: 3_600_000,
          columns: {
            tenant: { merge: 'key' },
            part: { merge: 'key', from: 'partition' },
            at_offset: { merge: 'key', from: 'offset' },
            at: { merge: 'value' },
            ms: { merge: 'value' },
            code: { merge: 'value' },
            label: { merge: 'value' },
          },
          map: (event: { tenant: number; ms: number; atMs: number }) => ({
            tenant: event.tenant,
            ms: Math.floor(Math.random() * 1e6),
            code: 'x',
            label: 'größe',
          }),
        },
      },
    })
    const { blocking } = await check({ definition: chancy })
    found(blocking, 'deterministic', /differ in slow/)
    // The definition leaves a table of the keyspace out.
    found(blocking, 'tables', /no definition fills hourly/)
  })

  test('all at once: rows that never expire, a foreign key, a retention below the margin', async () => {
    const eternal = { ...definition, tables: definition.tables.map((table) => ({ ...table, retentionMs: null })) }
    const [parent, child] = [world.at('main', '-80', 'hourly'), world.at('main', '-80', 'slow')]
    await world.sql.query(`ALTER TABLE ${parent} ADD KEY tenant (tenant)`)
    await world.sql.query(`ALTER TABLE ${child} ADD CONSTRAINT points FOREIGN KEY (tenant) REFERENCES ${parent} (tenant)`)
    await using topic = await openTopic(world.url)
    // Far more than how old its records are: none may go.
    await topic.setRetentionMs(100_000_000_000n)
    try {
      const { blocking } = await check({ definition: eternal, spec: { marginMs: 100_000_000_000 } })
      found(blocking, 'expiry', /hourly never expire/)
      found(blocking, 'expiry', /slow never expire/)
      found(blocking, 'foreignkeys', /slow\.points/)
      found(blocking, 'retention', /not more than the margin/)
    } finally {
      await topic.setRetentionMs(null)
      await world.sql.query(`ALTER TABLE ${child} DROP FOREIGN KEY points`)
      await world.sql.query(`ALTER TABLE ${parent} DROP KEY tenant`)
    }
  })

  test('pin needs a topic as long as the rows live, unless its retention may be raised', async () => {
    await using topic = await openTopic(world.url)
    await topic.setRetentionMs(100_000_000_000n)
    try {
      found((await check({ spec: { bootstrap: 'pin', marginMs: 99_999_000_000 } })).blocking, 'retention', /less than the 1 h/)
      assert.deepEqual((await check({ spec: { bootstrap: 'pin+wait', marginMs: 99_999_000_000 } })).blocking, [])
    } finally {
      await topic.setRetentionMs(null)
    }
  })
})

test('steady state is the whole window at the rows that buckets have now, not today’s size', () => {
  const day = 86_400_000
  const young = { heldMs: 2 * day, retentionMs: 8 * day, rowsBefore: 100, rowsNow: 100 }
  assert.equal(steadyBytes(10, young), 40)
  assert.equal(steadyBytes(10, { ...young, rowsNow: 300 }), 60)
  assert.equal(steadyBytes(10, { ...young, heldMs: 8 * day }), 10)
  assert.equal(steadyBytes(10, { ...young, heldMs: 0 }), null)
  assert.ok(Math.abs((growthPerDay(100, 400, 2 * day) ?? 0) - 1) < 1e-9)
  assert.equal(growthPerDay(null, 400, day), null)
  assert.equal(growthPerDay(100, 400, 60_000), null, 'a minute says nothing of a day')
})
