/**
 * What a mover's memory is at one and at ten times the data, for loads of different shapes: each time a mover of its own from an empty start. Prints its
 * greatest memory, seconds, and what the shape is about.
 *
 *     node bench/load.ts tables|transaction|rows|table|hot|merge [mariadb|mysql, default mariadb] [factor of the larger run, default 10]
 *
 * tables: 50 and 500 tables, one in 25 with rows. transaction: one of 100,000 and of 1,000,000 rows. rows: 4 and 40 rows of 17 MiB (several packets each), copied and then
 * updated. table: 1M and 10M rows. hot: one row updated 2,000 times a second for 4 and 40 s. merge: one source and ten (with a factor of 8: eight) of 200,000 rows of 200 bytes into one target,
 * then a transaction of 50,000 rows on each at once.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '../src/mysql/connect.ts'
import type { Connection } from '../src/mysql/connection.ts'
import type { StreamReport } from '../src/topology/records.ts'
import { testServer } from '../test/kit/servers.ts'
import { byId, fillSysbench, MoverBench, peakMb, sysbenchDdl } from './mover-kit.ts'
import { generateShardRanges } from '../src/keyspace/even-shards.ts'

type Run = { schema: string; size: number; mover: MoverBench; say: (text: string) => void }
type Shape = {
  base: number
  tables: (size: number) => string[]
  /** Before the mover starts. */
  fill: (size: number, schema: string) => Promise<void>
  sources?: (size: number, schema: string) => { shard: string; schema: string }[]
  targets?: number
  /** While it follows. */
  follow: (run: Run) => Promise<void>
}

const shapeName = process.argv[2] ?? 'tables'
const flavour = process.argv[3] === 'mysql' ? 'mysql' : 'mariadb'
const factor = Number(process.argv[4] ?? 10)
const settings = {
  flavour,
  durability: 'relaxed',
  bufferPoolMb: 1024,
  extra: {
    max_allowed_packet: 128 << 20,
    ...(flavour === 'mariadb' ? { innodb_log_file_size: '1G' } : { innodb_redo_log_capacity: '1G', local_infile: 1 }),
  },
} as const
await using source = await testServer(settings)
await using target = await testServer(settings)
const s = await connect(source.config)
const t = await connect(target.config)

const plain = 'id INT NOT NULL PRIMARY KEY, v INT NOT NULL, c CHAR(40) NOT NULL'
const only = (): string[] => ['t1']
const nothing = (): Promise<void> => Promise.resolve()

const shapes: Readonly<Record<string, Shape>> = {
  tables: {
    base: 50,
    tables: (size) => Array.from({ length: size }, (_, i) => `t${i}`),
    fill: async (size) => {
      for (let i = 0; i < size; i++) {
        await s.query(`CREATE TABLE t${i} (${plain}, KEY v (v))`)
        if (i % 25 === 0) await fillPlain(s, `t${i}`, 2_000)
      }
    },
    follow: nothing,
  },
  transaction: {
    base: 100_000,
    tables: only,
    fill: async (size) => {
      await s.query(`CREATE TABLE t1 (${plain})`)
      await s.query(`CREATE TABLE spare (${plain})`)
      await fillPlain(s, 'spare', size)
    },
    follow: async ({ size, mover, say }) => {
      const seconds = await timed(async () => {
        await s.query('INSERT INTO t1 SELECT * FROM spare')
        await mover.caughtUp(s)
      })
      say(`a transaction of ${size} rows written and applied in ${seconds.toFixed(1)} s`)
      const again = await timed(async () => {
        await s.query('UPDATE t1 SET v = v + 1')
        await mover.caughtUp(s)
      })
      say(`one that updates them in ${again.toFixed(1)} s`)
    },
  },
  rows: {
    base: 4,
    tables: only,
    fill: async (size) => {
      await s.query('CREATE TABLE t1 (id INT NOT NULL PRIMARY KEY, v INT NOT NULL, c LONGBLOB NOT NULL)')
      for (let id = 1; id <= size; id++) await s.query(`INSERT INTO t1 VALUES (${id}, 0, REPEAT(CHAR(${id} + 32), ${17 << 20}))`)
    },
    follow: async ({ size, mover, say }) => {
      const seconds = await timed(async () => {
        for (let id = 1; id <= size; id++) await s.query(`UPDATE t1 SET v = v + 1 WHERE id = ${id}`)
        await mover.caughtUp(s)
      })
      say(`${size} rows of 17 MiB updated and applied in ${seconds.toFixed(1)} s`)
    },
  },
  table: {
    base: 1_000_000,
    tables: only,
    fill: async (size) => {
      await s.query(`CREATE TABLE t1 (${plain}, KEY v (v))`)
      await fillPlain(s, 't1', size)
    },
    follow: nothing,
  },
  merge: {
    base: 1,
    tables: only,
    targets: 1,
    sources: (size, schema) => generateShardRanges(size).map((shard, i) => ({ shard, schema: `${schema}_s${i}` })),
    fill: async (size, schema) => {
      for (let i = 0; i < size; i++) {
        await s.query(`CREATE DATABASE ${schema}_s${i} DEFAULT CHARSET utf8mb4`)
        await s.useDatabase(`${schema}_s${i}`)
        await s.query(sysbenchDdl('t1').replace(' AUTO_INCREMENT', ''))
        await fillSysbench(s, 't1', 200_000, i * 200_000)
      }
    },
    follow: async ({ schema, size, mover, say }) => {
      const seconds = await timed(async () => {
        for (let i = 0; i < size; i++) await s.query(`UPDATE ${schema}_s${i}.t1 SET k = k + 1 LIMIT 50000`)
        await mover.caughtUp(s)
      })
      say(`${size} transactions of 50,000 rows written and applied in ${seconds.toFixed(1)} s`)
    },
  },
  hot: {
    base: 4,
    tables: only,
    fill: async () => {
      await s.query(`CREATE TABLE t1 (${plain})`)
      await fillPlain(s, 't1', 1_000)
    },
    follow: async ({ size, mover, say }) => {
      let worst = 0
      let written = false
      const seen = mover.reported((report) => {
        for (const { lag } of report.targets) worst = Math.max(worst, lag?.markerAgeMs ?? worst)
        return written
      })
      const seconds = await timed(async () => {
        const beganMs = performance.now()
        for (let done = 0; done < size * 2_000; done += 100) {
          await s.pipeline(Array.from({ length: 100 }, () => 'UPDATE t1 SET v = v + 1 WHERE id = 7'))
          const aheadMs = ((done + 100) / 2_000) * 1_000 - (performance.now() - beganMs)
          if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs))
        }
      })
      written = true
      await seen
      await mover.caughtUp(s)
      say(
        `${Math.round((size * 2_000) / seconds)} updates a second of one row for ${seconds.toFixed(0)} s; greatest lag reported ${Math.round(worst)} ms`,
      )
    },
  },
}

const shape = shapes[shapeName]
if (shape === undefined) throw new Error(`shapes: ${Object.keys(shapes).join(', ')}`)
const peaks: number[] = []
for (const times of [1, factor]) {
  const size = shape.base * times
  const schema = `app${times}`
  await s.query(`CREATE DATABASE ${schema} DEFAULT CHARSET utf8mb4`)
  await s.useDatabase(schema)
  await shape.fill(size, schema)
  const dir = mkdtempSync(join(tmpdir(), 'sw-bench-'))
  mkdirSync(join(dir, 'logs'))
  try {
    const tables = shape.tables(size).map(byId)
    const shards = generateShardRanges(shape.targets ?? 4)
    const sources = shape.sources?.(size, schema)
    await using mover = await MoverBench.start({
      dir,
      source,
      target,
      t,
      schema,
      shards,
      tables,
      workflow: schema,
      ...(sources === undefined ? {} : { sources }),
    })
    const say = (text: string): void => console.log(`  ${text}`)
    console.log(`${shapeName} × ${times} (${flavour}):`)
    let report: StreamReport | null = null
    const seconds = await timed(async () => {
      report = await mover.run(({ state }) => state === 'running')
    })
    say(
      `copied in ${seconds.toFixed(1)} s: ${(report as StreamReport | null)?.copy.sourceRowsRead ?? 0} rows, ${tables.length} tables, ${((seconds * 1000) / tables.length).toFixed(0)} ms a table; mover at most ${peakMb(mover.pid)} MB by then`,
    )
    await shape.follow({ schema, size, mover, say })
    const peak = peakMb(mover.pid)
    peaks.push(peak)
    say(`mover at most ${peak} MB`)
    await mover.stop()
    for (const warning of mover.warnings()) say(`the mover warned: ${warning}`)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
console.log(`greatest memory at 1 × and ${factor} × the data: ${peaks.join(' and ')} MB`)
process.exit(0)

async function fillPlain(conn: Connection, name: string, rows: number): Promise<void> {
  const first = Math.min(rows, 1_000)
  const values = Array.from({ length: first }, (_, i) => `(${i + 1},${i},'row ${i} of a table of plain rows')`)
  await conn.query(`INSERT INTO ${name} VALUES ${values.join(',')}`)
  for (let have = first; have < rows; have += Math.min(have, rows - have))
    await conn.query(`INSERT INTO ${name} SELECT id + ${have}, v + ${have}, c FROM ${name} WHERE id <= ${Math.min(have, rows - have)}`)
}

async function timed(work: () => Promise<void>): Promise<number> {
  const beganMs = performance.now()
  await work()
  return (performance.now() - beganMs) / 1000
}
