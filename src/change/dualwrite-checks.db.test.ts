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
import { foreignText, isForeignWrite } from './other-writers.ts'
import { noted, writersInTheWay } from './writers-seen.ts'
import { positionsNow, watchWriters } from './writers-watch.ts'
import { connect } from '../mysql/connect.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { openTopic } from '../topic/open.ts'
import { keys } from '../topology/keys.ts'
import type { FleetReport } from '../topology/dualwrite-records.ts'
import type { KeyspaceRecord, ShardRecord } from '../topology/records.ts'
import { listRecords, readRecord, updateRecord } from '../topology/typed.ts'
import { until } from '../../test/kit/until.ts'
import { definition, TwoBranches } from '../verify/ladder/testkit/two-branches.ts'
import { costNow } from './dualwrite-checks.ts'
import { growthOf, growthPerDay, steadyBytes } from './branch-size.ts'
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
    await until('the fleet to tell what it costs', async () =>
      (await listRecords<FleetReport>(world.store, keys.fleetReportsOf('app'))).some(({ value }) => value.records >= 1000),
    )
    const { blocking, all } = await check()
    assert.deepEqual(blocking, [])
    assert.match(all.find((finding) => finding.check === 'writers')!.what, /only fleets wrote/)
    assert.match(all.find((finding) => finding.check === 'deterministic')!.what, /are equal/)
    assert.match(
      all.find((finding) => finding.check === 'cost')!.what,
      /a record costs the consumers [1-9]\d* µs of CPU and has a transaction open on the shards for [1-9]\d* µs/,
    )
    assert.match(costNow([]), /is unknown/)
    assert.match(all.find((finding) => finding.check === 'disk')!.what, /will hold .* when its window is full/)
    const left = await world.sql.allText(`SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '\\_sw\\_scratch%'`)
    assert.deepEqual(left, [], 'scratch schemas are removed')
    assert.equal(
      Number(await world.sql.value(`SELECT COUNT(*) FROM _shardwright.ingest_position WHERE branch_id LIKE '\\_sw\\_scratch%'`)),
      0,
    )
  })

  test('another writer is found by its transactions, with tables, and who it was; replicas of old shards are in the way beside it', async () => {
    const replicas = (ids: string[]) =>
      updateRecord<ShardRecord>(world.store, keys.shard('app', '-80'), (now) => (now === null ? null : { ...now, replicas: ids }))
    await replicas(['r1'])
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
      found(blocking, 'replicas', /app@replica are answered by replicas of the old shards -80 \(r1\)/)
      const one = found(blocking, 'writers', /main__80\.slow were not the fleet's/)
      assert.match(one.what, /batch@.*INSERT INTO/)
    } finally {
      stop.abort()
      await replicas([])
      await writing
      batch.destroy()
      await world.sql.query(`DELETE FROM ${world.at('main', '-80', 'slow')} WHERE part = 99`)
    }
  })

  test('growth counts the rows of the same old and new buckets on every shard', async () => {
    const shards = (await listRecords<ShardRecord>(world.store, keys.shards('app'))).map((record) => record.value)
    const growth = await growthOf(world.store, shards, 'main-id', definition.tables)
    const perBucket = async (name: string, column: string): Promise<number[]> => {
      const both = ['-80', '80-'].map((shard) => `SELECT FLOOR(UNIX_TIMESTAMP(${column})) AS b FROM ${world.at('main', shard, name)}`)
      const rows = await world.sql.allText(`SELECT b, COUNT(*) AS n FROM (${both.join(' UNION ALL ')}) AS x GROUP BY b ORDER BY b`)
      return rows.map((row) => Number(row['n']))
    }
    for (const [name, column] of [
      ['hourly', 'bucket'],
      ['slow', 'at'],
    ] as const) {
      const whole = (await perBucket(name, column)).slice(1, -1)
      const mean = (some: readonly number[]): number => some.reduce((a, b) => a + b, 0) / some.length
      const one = growth.find(({ table }) => table === name)
      assert.ok(whole.length >= 6, `${whole.length} whole buckets`)
      assert.deepEqual([one?.rowsBefore, one?.rowsNow], [mean(whole.slice(0, 3)), mean(whole.slice(-3))])
    }
  })

  test('who writes the old branch is watched on: found whenever it writes, not twice, over ALTER, and what can not be looked at is said', async () => {
    const shards = (await listRecords<ShardRecord>(world.store, keys.shards('app'))).map((record) => record.value)
    let seen = await positionsNow({ store: world.store, clock: systemClock, shards }, AbortSignal.timeout(10_000))
    const start = seen
    const startedMs = systemClock.nowMs()
    const gaps: string[] = []
    let notes = 0
    const watching = (): { stop: () => Promise<void> } => {
      const stop = new AbortController()
      const work = watchWriters(
        { store: world.store, clock: systemClock, shards, free: ['city'], allowed: false, signal: stop.signal },
        seen.servers,
        async (note) => {
          notes++
          seen = noted(seen, note, systemClock.nowMs())
          if (note.gap !== null) gaps.push(note.gap)
        },
      )
      return { stop: async () => (stop.abort(new Error('enough')), assert.rejects(work, /enough/)) }
    }
    const transactions = (): number => seen.found.reduce((sum, one) => sum + one.transactions, 0)
    const foreign = (): Promise<unknown> =>
      world.sql.query(`INSERT INTO ${world.at('main', '80-', 'slow')} VALUES (1, 97, ${++n}, '2026-01-01', 60, 'x', NULL)`)
    let n = 0
    let watch = watching()
    await until('it looks', () => notes > 0)
    await world.produce(300, 1)
    await world.untilCaughtUp('main')
    await foreign()
    await until('it is found', () => transactions() === 1)
    assert.match(seen.found.map(foreignText).join(), /1 transaction of main_80_\.slow were not the fleet's/)
    await watch.stop()
    // While nobody looks: also found, by whoever looks next, and DDL is in nobody's way.
    await world.sql.query(`ALTER TABLE ${world.at('main', '80-', 'slow')} ADD COLUMN extra INT FIRST, ALGORITHM=INPLACE`)
    await world.sql.query(`ALTER TABLE ${world.at('main', '80-', 'slow')} DROP COLUMN extra`)
    await foreign()
    watch = watching()
    await until('it is found later', () => transactions() === 2)
    await watch.stop()
    // Thrown away meanwhile.
    seen = { ...start, found: seen.found }
    await world.sql.query('FLUSH BINARY LOGS')
    const last = (await world.sql.allText('SHOW BINARY LOGS')).at(-1)!['Log_name']!
    // A file stays for as long as the server believes that somebody reads it.
    const purged = async (): Promise<boolean> => {
      await world.sql.query(`PURGE BINARY LOGS TO '${last}'`)
      return (await world.sql.allText('SHOW BINARY LOGS')).length === 1
    }
    await until('the files are gone', purged)
    watch = watching()
    await until('the gap is told', () => gaps.length > 0)
    assert.match(gaps[0]!, /no longer has the binlog/)
    await foreign()
    await until('it looks on', () => transactions() === 3)
    assert.match(writersInTheWay(seen, startedMs, systemClock.nowMs()) ?? '', /was not seen all the while/)
    // What takes rows away whole is no row event.
    await world.sql.query(`CREATE TABLE ${world.at('main', '-80', 'spare')} (a INT PRIMARY KEY)`)
    await world.sql.query(`TRUNCATE TABLE ${world.at('main', '-80', 'spare')}`)
    await until('TRUNCATE is found', () => transactions() === 4)
    await world.sql.query(`DROP TABLE ${world.at('main', '-80', 'spare')}`)
    await watch.stop()
    await world.sql.query(`DELETE FROM ${world.at('main', '80-', 'slow')} WHERE part = 97`)
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
    const { blocking } = await check({ definition: dependingOn(() => Math.floor(Math.random() * 1e6)) })
    found(blocking, 'deterministic', /differ in slow/)
    // The definition leaves a table of the keyspace out.
    found(blocking, 'tables', /no definition fills hourly/)
    // The same on every day of a branch's making, and another when it is made again.
    found((await check({ definition: dependingOn(() => new Date().getFullYear()) })).blocking, 'deterministic', /differ in slow/)
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

/** Rows of `slow` as they are in the topic, but for one column. */
function dependingOn(ms: () => number): TopicDefinition {
  return defineTopic({
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
          ms: ms(),
          code: 'x',
          label: 'größe',
        }),
      },
    },
  })
}

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
