/**
 * Ingest: what a consumer writes against the same coalesced rows written by hand in bulk, what coalescing saves on the published shape, and how rates go with
 * consumers and shards. One server, relaxed durability, schemas as shards: ratios, not absolute figures, are what this says.
 *
 * By hand: the same records in the same order by partition, cut into batches of the same size, so merged into (nearly) the same rows; decoded and merged before,
 * then written by one loop of transactions that knows nothing of positions, floors or marks. Its rate is told twice: with the decoding and merging, and of the
 * writing alone. In turns with the consumer, medians of the rounds.
 *
 *     npm run bench:ingest -- [--records 40000] [--rounds 3] [--flavour mysql]
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { consumerDefaults } from '../src/ingest/consumer-options.ts'
import { buildBatch } from '../src/ingest/batch.ts'
import { readSchema } from '../src/mysql/introspect.ts'
import { makeRows, type Maker } from '../src/ingest/made-row.ts'
import { planTable, type TablePlan } from '../src/ingest/table-plan.ts'
import { queryStats, queryTables } from '../src/ingest/testkit/query-stats.ts'
import { IngestWorld } from '../src/ingest/testkit/ingest-world.ts'
import { insertStatements, mergeSketches, selectSketches, tableStatements } from '../src/ingest/upsert.ts'
import { flavourNamed } from '../src/mysql/flavour/flavour.ts'
import { connectConsumer } from '../src/ingest/access.ts'
import type { TopicRecord } from '../src/topic/topic.ts'
import { testServer } from '../test/kit/servers.ts'
import { generateShardRanges } from '../src/keyspace/even-shards.ts'
import { Random } from '../test/models/random.ts'

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '40000' },
    rounds: { type: 'string', default: '3' },
    flavour: { type: 'string', default: 'mariadb' },
  },
})
const total = Number(values.records)
const rounds = Number(values.rounds)
const flavour = values.flavour === 'mysql' ? 'mysql' : 'mariadb'
const base = Date.UTC(2026, 0, 5)
const consumerProcess = join(import.meta.dirname, '..', 'src', 'ingest', 'testkit', 'consumer-process.ts')

/** Patterns by a power law, as query fingerprints are: few make most of the records. A batch of 200 then holds some 130 patterns. */
function events(
  count: number,
  random: Random,
  patterns = 4000,
): { db: number; fp: string; at: number; n: number; ms: number; text: string; slow: boolean }[] {
  return Array.from({ length: count }, (_, i) => {
    const p = Math.floor(patterns * random.unit() ** 3)
    return {
      db: p % 97,
      fp: `q${p}`,
      at: base + Math.floor(i / 20),
      n: 1 + random.below(50),
      ms: random.below(5000),
      text: `select ${p}`,
      slow: random.chance(0.01),
    }
  })
}

await using server = await testServer({ flavour, bufferPoolMb: 256, binlog: true })
const definition = queryStats()

async function consumed(
  shards: readonly string[],
  consumers: number,
  batch: number,
  where: 'here' | 'processes' = 'here',
): Promise<{ seconds: number; rowsIn: number; rowsOut: number; cpuUsed: Cpu; world: IngestWorld }> {
  const world = await IngestWorld.create(server, 8)
  await world.branch('main', shards)
  await world.fleet('main', { writers: 1, wanted: 'held' })
  const random = new Random(7)
  for (let sent = 0; sent < total; sent += 2000) await world.send(events(Math.min(2000, total - sent), random))
  const config = { ...consumerDefaults, purgeMs: 1e9, batchRecords: Math.min(200, batch), batchRecordsMax: batch }
  const { port } = server.config
  const args = [join(world.dir, 'topology.sqlite'), world.keyspace, String(port), flavour, '', '0', '1', JSON.stringify(config)]
  const children =
    where === 'here'
      ? []
      : Array.from({ length: consumers }, () => spawn(process.execPath, [...process.execArgv, consumerProcess, ...args]))
  if (where === 'here') for (let i = 0; i < consumers; i++) world.consumer('main', { config })
  // Ready before the clock starts: partitions dealt, shards fenced.
  await world.until('partitions', async () => (await world.reports('main')).reduce((sum, r) => sum + r.partitions.length, 0) === 8)
  const cpu = cpuSeconds()
  const began = performance.now()
  await world.change('main', { wanted: 'running' })
  // Seldom looked at: the looking costs too.
  await world.caughtUp('main', 300_000, 100)
  const seconds = (performance.now() - began) / 1000
  const cpuUsed = cpuSince(cpu)
  const caughtUpAtMs = Date.now()
  await world.until('the last reports', async () => (await world.reports('main')).every((r) => r.atMs > caughtUpAtMs))
  const reports = await world.reports('main')
  const ended = children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
  for (const child of children) child.kill('SIGTERM')
  await Promise.all(ended)
  return {
    seconds,
    rowsIn: reports.reduce((sum, r) => sum + r.rowsIn, 0),
    rowsOut: reports.reduce((sum, r) => sum + r.rowsOut, 0),
    cpuUsed,
    world,
  }
}

async function byHand(
  records: readonly TopicRecord[],
  batch: number,
): Promise<{ seconds: number; makeSeconds: number; rows: number; cpuUsed: Cpu }> {
  await using connection = await connectConsumer({ flavour, connect: server.config }, 60_000)
  const schema = 'by_hand'
  await connection.query(`DROP DATABASE IF EXISTS ${schema}`)
  await connection.query(`CREATE DATABASE ${schema}`)
  await connection.useDatabase(schema)
  for (const ddl of queryTables) await connection.query(ddl)
  const { tables } = await readSchema(connection, schema)
  await connection.query('COMMIT')
  const plans = definition.tables.map(
    (table) =>
      planTable({
        definition: table,
        topicId: 't',
        info: tables.find(({ name }) => name === table.table) ?? null,
        vschema: null,
        sharded: false,
      }).plan as TablePlan,
  )
  const maker: Maker = { definition, plans }
  const cpu = cpuSeconds()
  const making = performance.now()
  const batches: ReturnType<typeof buildBatch>[] = []
  for (const [partition, list] of Map.groupBy(records, (record) => record.partition)) {
    const items = list.map((record) => ({ record, dead: null, ...makeRows(maker, record, 't') }))
    for (let from = 0; from < items.length; from += batch)
      batches.push(buildBatch([{ partition, from: 0n, to: 1n << 62n, leaderEpoch: 0, items: items.slice(from, from + batch) }], new Map()))
  }
  const makeSeconds = (performance.now() - making) / 1000
  const began = performance.now()
  let rows = 0
  for (const built of batches) {
    for (const table of built.tables) {
      const statements = tableStatements(table.plan, schema, flavourNamed(flavour))
      let sorted = table.sorted()
      if (table.plan.sketches.length > 0) {
        const found = await connection.query(selectSketches(table.plan, schema, sorted))
        const { there, fresh } = mergeSketches(table.plan, sorted, found.kind === 'rows' ? found.rows : [])
        sorted = [...there, ...fresh]
      }
      rows += sorted.length
      await connection.pipeline(insertStatements(statements, sorted).map(({ sql }) => sql))
    }
    await connection.query('COMMIT')
  }
  return { seconds: (performance.now() - began) / 1000, makeSeconds, rows, cpuUsed: cpuSince(cpu) }
}

type Cpu = { readonly client: number; readonly server: number }

/** Since then, of this process and of the server: what a shared machine cannot distort. */
function cpuSince(then: Cpu): Cpu {
  const now = cpuSeconds()
  return { client: now.client - then.client, server: now.server - then.server }
}

function cpuSeconds(): Cpu {
  const { user, system } = process.cpuUsage()
  const fields = readFileSync(`/proc/${server.pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return { client: (user + system) / 1e6, server: (Number(fields[11]) + Number(fields[12])) / 100 }
}

const perRow = ({ client, server: of }: Cpu, rows: number): string =>
  `${((1e6 * client) / rows).toFixed(0)} + ${((1e6 * of) / rows).toFixed(0)} µs`
const rate = (rows: number, seconds: number): string => Math.round(rows / seconds).toLocaleString('en')
const median = (list: readonly number[]): number => list.toSorted((x, y) => x - y)[Math.floor(list.length / 2)] ?? 0
for (const batch of [200, 1000]) {
  const runs: { withMaking: number; writing: number }[] = []
  let said = ''
  for (let round = 0; round < rounds; round++) {
    const fleet = await consumed(['-'], 1, batch)
    const records = fleet.world.sent.map((one): TopicRecord => {
      const { partition, offset, ...event } = one
      return { partition, offset, timestampMs: event.at, key: null, value: Buffer.from(JSON.stringify(event)) }
    })
    const hand = await byHand(records, batch)
    await fleet.world[Symbol.asyncDispose]()
    const fleetRate = fleet.rowsOut / fleet.seconds
    runs.push({ withMaking: fleetRate / (hand.rows / (hand.seconds + hand.makeSeconds)), writing: fleetRate / (hand.rows / hand.seconds) })
    said = `last round: by hand ${rate(hand.rows, hand.seconds + hand.makeSeconds)} merged rows/s (writing alone ${rate(hand.rows, hand.seconds)}), ${hand.rows} rows; consumer ${rate(fleet.rowsOut, fleet.seconds)} rows/s, ${rate(total, fleet.seconds)} records/s, ${fleet.rowsOut} rows; CPU a merged row, client + server: by hand ${perRow(hand.cpuUsed, hand.rows)}, consumer ${perRow(fleet.cpuUsed, fleet.rowsOut)}; writes saved by coalescing ${(100 * (1 - fleet.rowsOut / fleet.rowsIn)).toFixed(0)} %`
  }
  console.log(
    `batches of ${batch}: consumer / by hand ${median(runs.map((run) => run.withMaking)).toFixed(2)}, to its writing alone ${median(runs.map((run) => run.writing)).toFixed(2)} (medians of ${rounds}); ${said}`,
  )
}
for (const [shards, consumers] of [
  [1, 1],
  [1, 2],
  [2, 1],
  [2, 2],
  [4, 1],
  [4, 2],
  [8, 1],
  [8, 2],
  [8, 4],
] as const) {
  const fleet = await consumed(generateShardRanges(shards), consumers, 1000, 'processes')
  console.log(
    `${shards} shards, ${consumers} consumer processes: ${rate(total, fleet.seconds)} records/s, ${rate(fleet.rowsOut, fleet.seconds)} rows/s`,
  )
  await fleet.world[Symbol.asyncDispose]()
}
