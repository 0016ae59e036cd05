// long: one test for each rule of PROTOCOLS 4 that a server has to be asked about, in the order of the rules
/** The rules of PROTOCOLS 4 on real servers; each of these fails without its rule. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { readSchema } from '../mysql/introspect.ts'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { flavours, sharedServer, type TestServer } from '../../test/kit/servers.ts'
import type { TopicRecord } from '../topic/topic.ts'
import { createTopic, openTopic } from '../topic/open.ts'
import { keys } from '../topology/keys.ts'
import { connectConsumer } from './access.ts'
import type { Range } from './batch.ts'
import type { IngestCrashPoint } from './crash-points.ts'
import { defineTopic, type TopicDefinition } from './definition.ts'
import { json } from './json.ts'
import { keyspaceIdOf, makeRows } from './made-row.ts'
import { Overtaken, Refused, ShardSession, type WriteStatistics } from './shard-session.ts'
import { planTable, type TablePlan } from './table-plan.ts'
import { ensureIngestTables } from './tables.ts'
import { IngestWorld } from './testkit/ingest-world.ts'
import { hourMs, queryStats, type QueryEvent } from './testkit/query-stats.ts'

const base = Date.UTC(2026, 0, 5)

function events(count: number, from = 0): QueryEvent[] {
  return Array.from({ length: count }, (_, i) => {
    const k = from + i
    return {
      db: k % 13,
      fp: `q${k % 7}`,
      at: base + (k % 5) * hourMs,
      n: 1 + (k % 3),
      ms: (k * 31) % 997,
      text: `select ${k % 11}`,
      slow: k % 10 === 0,
    }
  })
}

const counter = defineTopic({
  topic: 't',
  version: 1,
  decode: json({ k: 'text', n: 'integer', id: 'text?' }),
  eventTime: () => base,
  tables: {
    c: {
      kind: 'coalesced',
      shardKey: ['k'],
      key: ['k', 'hour'],
      bucket: { column: 'hour', everyMs: hourMs },
      columns: { k: { merge: 'key' }, hour: { merge: 'key' }, n: { merge: 'sum' }, s: { merge: 'sketch' } },
      map: (event) => ({ k: event.k, n: event.n, s: Number(event.n) }),
    },
  },
})
const counterDdl = `CREATE TABLE c (k VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, hour DATETIME NOT NULL, n BIGINT NOT NULL, s BLOB NOT NULL, PRIMARY KEY (k, hour))`

let schemas = 0

const write = (session: ShardSession, ranges: readonly Range[], epochOf: (partition: number) => bigint): Promise<WriteStatistics> =>
  session.write(session.prepare(ranges, epochOf))

/** One shard, sessions on it by hand. */
class Bench implements AsyncDisposable {
  readonly server: TestServer
  readonly admin: Connection
  readonly schema: string
  readonly definition
  plans: TablePlan[] = []
  readonly #open: Connection[] = []

  constructor(server: TestServer, admin: Connection, definition = counter) {
    this.server = server
    this.admin = admin
    this.schema = `rules_${process.pid}_${++schemas}`
    this.definition = definition
  }

  static async make(server: TestServer, definition = counter, ddl: string[] = [counterDdl]): Promise<Bench> {
    const bench = new Bench(server, await connect(server.config), definition)
    await bench.admin.query(`CREATE DATABASE ${bench.schema}`)
    await bench.admin.useDatabase(bench.schema)
    for (const sql of ddl) await bench.admin.query(sql)
    await ensureIngestTables(bench.admin)
    const { tables } = await readSchema(bench.admin, bench.schema)
    bench.plans = definition.tables.map((table) => {
      const { plan, problems } = planTable({
        definition: table,
        topicId: 't',
        info: tables.find(({ name }) => name === table.table) ?? null,
        vschema: null,
        sharded: false,
      })
      assert.deepEqual(problems, [])
      return plan!
    })
    return bench
  }

  async session(hit: (point: IngestCrashPoint) => Promise<void> | undefined = () => undefined, leaseMs = 5000): Promise<ShardSession> {
    const connection = await connectConsumer({ flavour: this.server.flavour, connect: this.server.config }, leaseMs)
    this.#open.push(connection)
    const session = new ShardSession({
      connection,
      schema: this.schema,
      key: { shardUid: this.schema, branchId: 'b', topicId: 't' },
      failpoints: { hit },
    })
    await session.begin(this.definition.tables.map(({ table }) => table))
    return session
  }

  range(partition: number, from: number, to: number, value: (offset: number) => object = () => ({ k: 'a', n: 1 })): Range {
    const items = Array.from({ length: to - from }, (_, i) => {
      const record: TopicRecord = {
        partition,
        offset: BigInt(from + i),
        timestampMs: base,
        key: null,
        value: Buffer.from(JSON.stringify(value(from + i))),
      }
      const { rows, eventTimeMs } = makeRows({ definition: this.definition, plans: this.plans }, record, 't')
      return { record, eventTimeMs, rows, dead: null }
    })
    return { partition, from: BigInt(from), to: BigInt(to), leaderEpoch: 0, items }
  }

  async sum(column = 'n'): Promise<number> {
    return Number(await this.admin.value(`SELECT COALESCE(SUM(${column}),0) FROM ${this.schema}.c`))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#open) connection.destroy()
    await this.admin.query(`DROP DATABASE ${this.schema}`)
    this.admin.destroy()
  }
}

for (const flavour of flavours()) {
  test(`${flavour} 4.2: a missing position row means exactly the start offset`, async () => {
    await using bench = await Bench.make(await sharedServer(flavour))
    const session = await bench.session()
    assert.equal((await session.fence([{ partition: 3, epoch: 1n, start: 123n }])).get(3)?.next, 123n)
    assert.equal((await session.fence([{ partition: 3, epoch: 2n, start: 999n }])).get(3)?.next, 123n, 'written once')
  })

  test(`${flavour} 4.3: whoever fences with a greater epoch ends the right of the one before, also of a transaction that is under way`, async () => {
    await using bench = await Bench.make(await sharedServer(flavour))
    const [old, newer] = [await bench.session(), await bench.session()]
    await old.fence([{ partition: 0, epoch: 1n, start: 0n }])
    assert.equal((await newer.fence([{ partition: 0, epoch: 2n, start: 0n }])).get(0)?.answer, 'fenced')
    await assert.rejects(
      write(old, [bench.range(0, 0, 10)], () => 1n),
      Refused,
    )
    assert.equal((await old.fence([{ partition: 0, epoch: 1n, start: 0n }])).get(0)?.answer, 'newer holder')
    assert.equal(await bench.sum(), 0)
    await write(newer, [bench.range(0, 0, 10)], () => 2n)
    assert.equal(await bench.sum(), 10)
    // Under way: the newer one's fence waits for it, and reads a `next` that has it.
    let held: Promise<unknown> | null = null
    const slow = await bench.session((point) => {
      if (point !== 'write.beforeCommit') return undefined
      held = newer.fence([{ partition: 0, epoch: 4n, start: 0n }])
      return systemClock.sleep(200)
    })
    await slow.fence([{ partition: 0, epoch: 3n, start: 0n }])
    await write(slow, [bench.range(0, 10, 15)], () => 3n)
    const after = (await held!) as Awaited<ReturnType<ShardSession['fence']>>
    assert.equal(after.get(0)?.next, 15n)
  })

  test(`${flavour} 4.4: the same offsets again are refused; of several partitions all move or none`, async () => {
    await using bench = await Bench.make(await sharedServer(flavour))
    const session = await bench.session()
    await session.fence([0, 1].map((partition) => ({ partition, epoch: 1n, start: 0n })))
    await write(session, [bench.range(0, 0, 10), bench.range(1, 0, 5)], () => 1n)
    await assert.rejects(
      write(session, [bench.range(0, 0, 10)], () => 1n),
      Refused,
    )
    await assert.rejects(
      write(session, [bench.range(0, 10, 20), bench.range(1, 0, 5)], () => 1n),
      Refused,
    )
    assert.equal(await bench.sum(), 15)
    assert.equal((await session.fence([{ partition: 0, epoch: 1n, start: 0n }])).get(0)?.next, 10n)
  })

  test(`${flavour} 4.4: matched rows count, not changed ones`, async () => {
    await using bench = await Bench.make(await sharedServer(flavour))
    const session = await bench.session()
    await session.connection.query(`UPDATE ${bench.schema}.c SET n=n WHERE k='x'`)
    await bench.admin.query(`INSERT INTO ${bench.schema}.c VALUES ('x','2026-01-01',1,'')`)
    const result = await session.connection.query(`UPDATE ${bench.schema}.c SET n=n WHERE k='x'`)
    assert.equal(result.kind === 'ok' && result.affectedRows, 1n)
    await session.connection.query('ROLLBACK')
  })

  test(`${flavour} 4.6: of a batch that was cut otherwise before, only the offsets from next on are merged`, async () => {
    await using bench = await Bench.make(await sharedServer(flavour))
    const session = await bench.session()
    await session.fence([{ partition: 0, epoch: 1n, start: 0n }])
    await write(session, [bench.range(0, 0, 20)], () => 1n)
    const again = bench.range(0, 10, 25)
    await write(session, [{ ...again, from: 20n }], () => 1n)
    assert.equal(await bench.sum(), 25)
  })

  test(`${flavour} 4.5: a write that fails on our side, with its positions moved already, is not committed by the fence that follows`, async () => {
    await using bench = await Bench.make(await sharedServer(flavour))
    const session = await bench.session()
    await session.fence([{ partition: 0, epoch: 1n, start: 0n }])
    await write(session, [bench.range(0, 0, 10)], () => 1n)
    await bench.admin.query(`UPDATE ${bench.schema}.c SET s = 'no sketch at all'`)
    await assert.rejects(
      write(session, [bench.range(0, 10, 20)], () => 1n),
      { code: 'SW-INGEST-017' },
    )
    assert.equal((await session.fence([{ partition: 0, epoch: 1n, start: 0n }])).get(0)?.next, 10n)
    assert.equal(await bench.sum(), 10)
    await bench.admin.query(`UPDATE ${bench.schema}.c SET s = ''`)
    await write(session, [bench.range(0, 10, 20)], () => 1n)
    assert.equal(await bench.sum(), 20)
  })

  test(`${flavour}: the published design doubles or loses what is cut again; this one does neither`, async () => {
    const server = await sharedServer(flavour)
    await using bench = await Bench.make(server)
    // Rows of a batch carry one offset of it, unique with topic and partition, and a row that is there is taken for a repetition.
    const published = async (name: string, edge: (from: number, to: number) => number): Promise<number> => {
      await bench.admin.query(
        `CREATE TABLE ${name} (k VARCHAR(20), n INT, topic VARCHAR(20), part INT, off BIGINT, UNIQUE (k, topic, part, off))`,
      )
      const store = (from: number, to: number): Promise<unknown> =>
        bench.admin.query(`INSERT IGNORE INTO ${name} VALUES ('a', ${to - from}, 't', 0, ${edge(from, to)})`)
      await store(10, 19)
      // A crash before the offset was kept: the next batch begins there again and ends elsewhere.
      await store(10, 25)
      return Number(await bench.admin.value(`SELECT SUM(n) FROM ${name}`))
    }
    const events_ = 15
    assert.equal(await published('by_last', (_, to) => to - 1), events_ + 9, 'doubled: [10, 19) counts twice')
    assert.equal(await published('by_first', (from) => from), 9, 'lost: 19 to 24 are taken for a repetition')
    const session = await bench.session()
    await session.fence([{ partition: 0, epoch: 1n, start: 10n }])
    await write(session, [bench.range(0, 10, 19)], () => 1n)
    // The crash: another session, which asks where the shard stands, and cuts as it likes.
    const other = await bench.session()
    const next = (await other.fence([{ partition: 0, epoch: 2n, start: 10n }])).get(0)?.next
    await write(other, [{ ...bench.range(0, 10, 25), from: next! }], () => 2n)
    assert.equal(await bench.sum(), events_)
  })

  test(`${flavour} 4.8: a consumer that freezes in a transaction keeps its locks no longer than its lease`, async () => {
    await using bench = await Bench.make(await sharedServer(flavour))
    const frozen = await connectConsumer({ flavour, connect: bench.server.config }, 1500)
    const session = await bench.session()
    await session.fence([{ partition: 0, epoch: 1n, start: 0n }])
    await frozen.query(`UPDATE _shardwright.ingest_position SET epoch=epoch+0, ranges=ranges+1 WHERE shard_uid='${bench.schema}'`)
    const began = performance.now()
    let next: bigint | undefined
    for (let attempt = 0; next === undefined && attempt < 20; attempt++) {
      next = await session.fence([{ partition: 0, epoch: 2n, start: 0n }]).then(
        (fenced) => fenced.get(0)?.next,
        () => undefined,
      )
    }
    frozen.destroy()
    assert.equal(next, 0n)
    assert.ok(performance.now() - began < 10_000)
  })

  test(`${flavour} 4.9: two consumers that insert one new key at once: sums and sketch have both`, async () => {
    await using bench = await Bench.make(await sharedServer(flavour))
    const b = await bench.session()
    await b.fence([{ partition: 1, epoch: 1n, start: 0n }])
    let entered = false
    const a = await bench.session(async (point) => {
      // After it has looked for the row and before it writes it, the other one inserts it.
      if (point !== 'write.sent' || entered) return
      entered = true
      await systemClock.sleep(50)
      await write(b, [bench.range(1, 0, 3)], () => 1n)
    })
    await a.fence([{ partition: 0, epoch: 1n, start: 0n }])
    let overtaken = 0
    for (;;) {
      try {
        await write(a, [bench.range(0, 0, 4)], () => 1n)
        break
      } catch (error) {
        assert.ok(error instanceof Overtaken, String(error))
        overtaken++
      }
    }
    assert.equal(await bench.sum(), 7)
    const { DDSketch } = await import('./ddsketch.ts')
    assert.equal(DDSketch.decode((await bench.admin.one('SELECT s FROM c'))!['s']!).count, 7)
    assert.ok(overtaken >= 0)
  })

  test(`${flavour} 4.9: a row with a sketch that a record leaves as it was goes through; one that another inserted meanwhile with the same bytes counts too`, async () => {
    const quiet = (sum: boolean): TopicDefinition =>
      defineTopic({
        topic: 't',
        version: 1,
        decode: json({ k: 'text', n: 'integer' }),
        eventTime: () => base,
        tables: {
          c: {
            kind: 'coalesced',
            shardKey: ['k'],
            key: ['k', 'hour'],
            bucket: { column: 'hour', everyMs: hourMs },
            columns: { k: { merge: 'key' }, hour: { merge: 'key' }, ...(sum ? { n: { merge: 'sum' } } : {}), s: { merge: 'sketch' } },
            map: ({ k, n }) => ({ k, ...(sum ? { n } : {}), s: Number(n) === 0 ? [] : Number(n) }),
          },
        },
      })
    const { DDSketch } = await import('./ddsketch.ts')
    await using bench = await Bench.make(await sharedServer(flavour), quiet(true))
    const a = await bench.session()
    await a.fence([{ partition: 0, epoch: 1n, start: 0n }])
    await a.write(a.prepare([bench.range(0, 0, 1, () => ({ k: 'a', n: 5 }))], () => 1n))
    await a.write(a.prepare([bench.range(0, 1, 3, (offset) => ({ k: offset === 1 ? 'a' : 'b', n: 0 }))], () => 1n))
    assert.equal(await bench.sum(), 5)
    await using second = await Bench.make(await sharedServer(flavour), quiet(false), [counterDdl.replace(/\bn BIGINT[^,]*,/, '')])
    const b = await second.session()
    await b.fence([{ partition: 1, epoch: 1n, start: 0n }])
    let entered = false
    const c = await second.session(async (point) => {
      if (point !== 'write.sent' || entered) return
      entered = true
      await systemClock.sleep(50)
      await b.write(b.prepare([second.range(1, 0, 1, () => ({ k: 'a', n: 7 }))], () => 1n))
    })
    await c.fence([{ partition: 0, epoch: 1n, start: 0n }])
    const one = (): Promise<WriteStatistics> => c.write(c.prepare([second.range(0, 0, 1, () => ({ k: 'a', n: 7 }))], () => 1n))
    await assert.rejects(one(), (error) => error instanceof Overtaken)
    await one()
    assert.equal(DDSketch.decode((await second.admin.one('SELECT s FROM c'))!['s']!).count, 2)
  })

  test(`${flavour}: an event id counts once, though a producer sent the event to two partitions`, async () => {
    const once = defineTopic({
      topic: 't',
      version: 1,
      decode: json({ k: 'text', n: 'integer', id: 'text' }),
      eventTime: () => base,
      tables: {
        c: {
          kind: 'coalesced',
          shardKey: ['k'],
          key: ['k', 'hour'],
          bucket: { column: 'hour', everyMs: hourMs },
          eventId: (event) => event.id,
          columns: { k: { merge: 'key' }, hour: { merge: 'key' }, n: { merge: 'sum' }, s: { merge: 'sketch' } },
          map: (event) => ({ k: event.k, n: event.n, s: Number(event.n) }),
        },
      },
    })
    await using bench = await Bench.make(await sharedServer(flavour), once)
    const [a, b] = [await bench.session(), await bench.session()]
    await a.fence([{ partition: 0, epoch: 1n, start: 0n }])
    await b.fence([{ partition: 1, epoch: 1n, start: 0n }])
    const value = (offset: number): object => ({ k: 'a', n: 1, id: `e${Math.floor(offset / 2)}` })
    // Twice within one batch, and the same events again in another partition at the same time.
    await Promise.all([write(a, [bench.range(0, 0, 20, value)], () => 1n), write(b, [bench.range(1, 0, 20, value)], () => 1n)])
    assert.equal(await bench.sum(), 10)
    await write(a, [bench.range(0, 20, 24, value)], () => 1n)
    assert.equal(await bench.sum(), 12)
    assert.equal(keyspaceIdOf(bench.range(0, 0, 1, value).items[0]!.rows[0]!), null)
  })
}

test('4.5: answers are lost at COMMIT, connections are killed anywhere: each record takes effect once', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 2)
  await using proxy = await FaultProxy.start(server.config)
  await world.branch('main', ['-80', '80-'])
  await world.fleet('main')
  let n = 0
  let commits = 0
  let unanswered = 0
  const kill = async (): Promise<void> => {
    const rows = await world.admin.allText('SELECT id FROM information_schema.PROCESSLIST WHERE id <> CONNECTION_ID()')
    for (const row of rows) await world.admin.query(`KILL ${row['id']}`).catch(() => undefined)
  }
  /** The server commits; nobody hears of it. */
  const loseAnswer = (): undefined => {
    proxy.loseAnswers()
    void systemClock.sleep(60).then(() => (unanswered++, proxy.heal()))
  }
  const hit = (point: IngestCrashPoint): Promise<void> | undefined => {
    if (point === 'write.beforeCommit') return ++commits % 4 === 3 && commits < 30 ? loseAnswer() : undefined
    return (point === 'write.sent' || point === 'fence.beforeCommit') && ++n % 4 === 0 && n < 40 ? kill() : undefined
  }
  world.consumer('main', { failpoints: { hit }, addresses: () => ({ host: proxy.host, port: proxy.port }) })
  for (let i = 0; i < 15; i++) await world.send(events(100, i * 100))
  await world.caughtUp('main')
  assert.ok(n > 8 && unanswered > 0, `${n} hits, ${unanswered} commits without an answer`)
  await world.assertExact('main')
})

test('4.5: a shard that goes back (a failover that lost transactions) is filled again from where it stands', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 2)
  await world.branch('main', ['-80', '80-'])
  await world.fleet('main')
  const consumer = world.consumer('main')
  await world.send(events(500))
  await world.caughtUp('main')
  const [schema, uid] = [world.schema('main', '80-'), `${world.keyspace}/80-`]
  const tables = ['query_hour', 'slow_query', 'pattern']
  const ours = ['ingest_position', 'ingest_mark']
  const { admin } = world
  await admin.query(`CREATE DATABASE ${schema}_old`)
  for (const table of tables) await admin.query(`CREATE TABLE ${schema}_old.${table} AS SELECT * FROM ${schema}.${table}`)
  for (const table of ours)
    await admin.query(`CREATE TABLE ${schema}_old.${table} AS SELECT * FROM _shardwright.${table} WHERE shard_uid='${uid}'`)
  await world.send(events(500, 500))
  await world.caughtUp('main')
  // The server dies and comes back as its replica was.
  await admin.query('BEGIN')
  for (const table of tables) {
    await admin.query(`DELETE FROM ${schema}.${table}`)
    await admin.query(`INSERT INTO ${schema}.${table} SELECT * FROM ${schema}_old.${table}`)
  }
  for (const table of ours) {
    await admin.query(`DELETE FROM _shardwright.${table} WHERE shard_uid='${uid}'`)
    await admin.query(`INSERT INTO _shardwright.${table} SELECT * FROM ${schema}_old.${table}`)
  }
  await admin.query('COMMIT')
  for (const row of await admin.allText('SELECT id FROM information_schema.PROCESSLIST WHERE id <> CONNECTION_ID()'))
    await admin.query(`KILL ${row['id']}`).catch(() => undefined)
  await world.send(events(100, 1000))
  await world.caughtUp('main')
  await world.assertExact('main')
  await consumer.stop()
})

test('4.7: offsets that the topic no longer holds stop the partition, by name; nothing is skipped', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 1)
  const url = `log://${world.dir}/short`
  await createTopic(url, { partitions: 1, segmentBytes: 2000, retentionBytes: 4000n })
  const { openProducer } = await import('../topic/open.ts')
  await using producer = await openProducer(url)
  for (let i = 0; i < 40; i++)
    await producer.send(events(20, i * 20).map((event) => ({ partition: 0, key: null, value: Buffer.from(JSON.stringify(event)) })))
  await using topic = await openTopic(url)
  await world.until('retention', async () => ((await topic.startOffsets()).get(0) ?? 0n) > 0n)
  await world.branch('main', ['-80', '80-'])
  await world.fleet('main', { topicUrl: url, topicId: topic.id, startOffsets: { 0: '0' } })
  world.consumer('main')
  await world.until('the stop', async () =>
    (await world.reports('main')).some(({ partitions }) => partitions[0]?.error?.code === 'SW-INGEST-007'),
  )
  const report = (await world.reports('main'))[0]
  assert.match(report?.error?.what ?? '', /partition 0: shard .* still needs offsets 0 to \d+/)
  for (const { next } of (await world.positions('main')).values()) assert.equal(next, 0n)
})

test('4.12: a change of definition takes effect from one offset on; older code is refused', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 1)
  await world.branch('main', ['-80', '80-'])
  await world.fleet('main')
  const first = world.consumer('main')
  await world.send(events(300))
  await world.caughtUp('main')
  await first.stop()
  const two = queryStats({ version: 2, factor: 100, previous: [queryStats()] })
  await world.change('main', { definitionVersion: 2, definitionDigest: two.digest })
  const second = world.consumer('main', { definition: two })
  await world.send(events(300, 300))
  await world.caughtUp('main')
  const total = async (): Promise<number> => {
    let sum = 0
    for (const shard of ['-80', '80-'])
      sum += Number((await world.rows('main', shard, 'SELECT COALESCE(SUM(queries),0) AS n FROM {}.query_hour'))[0]?.['n'])
    return sum
  }
  const n = (from: number, to: number): number => world.sent.slice(from, to).reduce((sum, event) => sum + event.n, 0)
  assert.equal(await total(), n(0, 300) + 100 * n(300, 600))
  await second.stop()
  // A branch that is made of the topic anew decodes each record by the version of its offset: here, wholly by the first, as nothing was fixed there.
  await world.change('main', { definitionVersion: 1, definitionDigest: queryStats().digest })
  world.consumer('main')
  await world.until('the refusal', async () => (await world.reports('main')).some(({ error }) => error?.code === 'SW-INGEST-008'))
  assert.equal(await total(), n(0, 300) + 100 * n(300, 600))
})

test('poison: stops its partition at its offset with all before it written; or goes to the dead letters, counted', async () => {
  const server = await sharedServer('mariadb')
  for (const poison of ['stop', 'dead-letter'] as const) {
    await using world = await IngestWorld.create(server, 1)
    await world.branch('main', ['-80', '80-'])
    const definition = queryStats({ poison })
    await world.fleet('main', {}, definition)
    await world.send(events(100))
    await world.producer.send([{ key: null, value: Buffer.from('not json') }])
    // One that only the server refuses: a sum beyond its column is told at the upsert.
    await world.admin.query(`ALTER TABLE ${world.schema('main', '-80')}.slow_query ADD CONSTRAINT small CHECK (ms < 5000)`)
    await world.admin.query(`ALTER TABLE ${world.schema('main', '80-')}.slow_query ADD CONSTRAINT small CHECK (ms < 5000)`)
    const good = world.sent.length
    await world.send(events(100, 100))
    world.consumer('main', { definition })
    if (poison === 'stop') {
      await world.until('the stop', async () =>
        (await world.reports('main')).some(({ partitions }) => partitions[0]?.error?.code === 'SW-INGEST-005'),
      )
      await world.until('all before it', async () => {
        const shards = [...(await world.positions('main')).values()]
        return shards.length === 2 && shards.every(({ next }) => next === 100n)
      })
      await world.assertExact('main', world.sent.slice(0, good))
      continue
    }
    await world.caughtUp('main')
    await world.assertExact('main')
    // In the middle of a backlog, where the next batch is made before this one is refused.
    await world.change('main', { wanted: 'held' })
    await world.producer.send([{ partition: 0, key: null, value: Buffer.from(JSON.stringify({ ...events(1)[0], ms: 9999, slow: true })) }])
    await world.send(events(600, 200))
    await world.change('main', { wanted: 'running' })
    await world.caughtUp('main')
    const letters = await world.admin.allText(
      `SELECT at_offset, reason, record_value FROM _shardwright.ingest_dead WHERE shard_uid LIKE '${world.keyspace}/%' ORDER BY at_offset`,
    )
    assert.deepEqual(
      letters.map((row) => row['at_offset']),
      ['100', '201'],
    )
    assert.match(letters[1]?.['reason'] ?? '', /small/)
    const counted = [...(await world.positions('main')).values()].reduce((sum, { dead }) => sum + dead, 0n)
    assert.equal(counted, 2n, 'the positions count what is kept')
    await world.assertExact('main')
  }
})

test('poison: a time that is no instant stops its partition, and nothing behind it is passed over', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 1)
  await world.branch('main', ['-'])
  await world.fleet('main')
  await world.send(events(120))
  await world.producer.send([{ key: null, value: Buffer.from(JSON.stringify({ ...events(1)[0], at: 1e17 })) }])
  await world.producer.send(events(300, 120).map((event) => ({ key: null, value: Buffer.from(JSON.stringify(event)) })))
  world.consumer('main')
  await world.until('the stop', async () =>
    (await world.reports('main')).some(({ partitions }) => partitions[0]?.error?.code === 'SW-INGEST-005'),
  )
  await world.until('all before it', async () => [...(await world.positions('main')).values()].every(({ next }) => next === 120n))
  await world.assertExact('main')
})

test('held at a vector of offsets: every shard stands exactly there, and goes on when told', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 2)
  await world.branch('main', ['-40', '40-80', '80-'])
  await world.fleet('main', { holdAt: { 0: '100', 1: '77' } })
  await world.send(events(1000))
  world.consumer('main')
  const at = async (): Promise<string> =>
    [...(await world.positions('main'))]
      .map(([key, { next }]) => `${key.split(' ')[1]}:${next}`)
      .sort()
      .join(' ')
  await world.until('the hold', async () => (await at()) === '0:100 0:100 0:100 1:77 1:77 1:77')
  await world.until('its report', async () => (await world.reports('main')).some(({ state }) => state === 'held'))
  await world.assertExact(
    'main',
    world.sent.filter(({ partition, offset }) => offset < (partition === 0 ? 100n : 77n)),
  )
  await world.change('main', { holdAt: null })
  await world.caughtUp('main')
  await world.assertExact('main')
})

/** `SHARDWRIGHT_PINNED_RECORDS=200000` for what a production topic holds. */
const pinnedRecords = Number(process.env['SHARDWRIGHT_PINNED_RECORDS'] ?? 400)

test('a fleet says that it is held when what it had read is written, not when it was told', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 2)
  await world.branch('main', ['-80', '80-'])
  await world.fleet('main')
  let writes = 0
  const hit = (point: IngestCrashPoint): Promise<void> | undefined =>
    point === 'write.beforeCommit' ? (writes++, systemClock.sleep(100)) : undefined
  world.consumer('main', { failpoints: { hit } })
  await world.send(events(1500))
  await world.until('a write', async () => writes > 0)
  await world.change('main', { wanted: 'held' })
  await world.until('it to be held', async () => (await world.reports('main')).some(({ state }) => state === 'held'))
  const told = writes
  await systemClock.sleep(400)
  assert.equal(writes, told)
  await world.change('main', { wanted: 'running' })
  await world.caughtUp('main')
  await world.assertExact('main')
})

test('a pinned branch built twice from the same offsets is identical, whatever the batches, shards and consumers', async (t) => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 3)
  for (const [branch, shards] of [
    ['one', ['-80', '80-']],
    ['two', ['-80', '80-']],
  ] as const) {
    await world.branch(branch, shards)
    await world.fleet(branch)
  }
  for (let from = 0; from < pinnedRecords; from += 5000) await world.send(events(Math.min(5000, pinnedRecords - from), from))
  const few = pinnedRecords > 5000 ? 97 : 7
  world.consumer('one', { config: { batchRecords: 1, batchRecordsMax: few, lingerMs: 1 } })
  world.consumer('two', { config: { batchRecords: 500, batchRecordsMax: 1000 } })
  world.consumer('two')
  const limitMs = 30_000 + pinnedRecords
  const everyMs = pinnedRecords > 5000 ? 500 : 20
  await world.caughtUp('one', limitMs, everyMs)
  await world.caughtUp('two', limitMs, everyMs)
  t.diagnostic(`${world.sent.length} records`)
  for (const shard of ['-80', '80-'])
    for (const table of ['query_hour', 'slow_query', 'pattern']) {
      const sums = await Promise.all(
        ['one', 'two'].map((branch) => world.admin.all(`CHECKSUM TABLE ${world.schema(branch, shard)}.${table} EXTENDED`)),
      )
      assert.equal(String(sums[0]?.[0]?.['Checksum']), String(sums[1]?.[0]?.['Checksum']), `${table} on ${shard}`)
    }
})

test('4.1: a holder that is frozen past its lease wakes up as a zombie: it writes nothing more', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 1)
  await world.branch('main', ['-80', '80-'])
  await world.fleet('main')
  let wake = (): void => undefined
  let frozen = false
  const asleep = new Promise<void>((resolve) => (wake = resolve))
  // It stops just before it sends; its timers, and so its lease, go on: so the lease is taken away as the store would.
  world.consumer('main', {
    failpoints: { hit: (point) => (point === 'write.beforeSend' && !frozen ? ((frozen = true), asleep) : undefined) },
  })
  await world.send(events(200))
  await world.until('the freeze', async () => frozen)
  const gone = [keys.partitionLease(world.keyspace, 0), keys.consumer(world.keyspace, 'c1')]
  await world.store.commit(
    [],
    gone.map((key) => ({ key, value: undefined })),
  )
  try {
    world.consumer('main')
    await world.caughtUp('main')
    const epochs = new Set([...(await world.positions('main')).values()].map(({ epoch }) => epoch))
    assert.deepEqual([...epochs], [2n])
  } finally {
    wake()
  }
  await world.send(events(200, 200))
  await world.caughtUp('main')
  await world.assertExact('main')
})
