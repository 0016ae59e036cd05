/**
 * A comparison of all rows of a 1 → 4 reshard beside our own copy of the same rows: seconds, and CPU seconds of the servers and of this process.
 * Mover and verifier run here, one server has the source, another the four targets. First at rest, then under live writes.
 *
 *     node bench/vdiff.ts [rows, default 2000000] [mariadb|mysql, default mariadb]
 */
import { readFile } from 'node:fs/promises'
import { connect } from '../src/mysql/connect.ts'
import type { VdiffReport } from '../src/topology/records.ts'
import { VerifyWorld } from '../src/verify/testkit/world.ts'

const rows = Number(process.argv[2] ?? 2_000_000)
const flavour = process.argv[3] === 'mysql' ? 'mysql' : 'mariadb'

await using world = await VerifyWorld.create({
  flavour,
  sources: ['-'],
  targets: ['-40', '40-80', '80-c0', 'c0-'],
  bufferPoolMb: Math.ceil(rows / 4000) + 64,
  tables: [
    {
      name: 'sbtest1',
      shardKey: 'id',
      ddl: "CREATE TABLE sbtest1 (id INT NOT NULL PRIMARY KEY, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', KEY k_1 (k)) DEFAULT CHARSET=utf8mb4",
    },
  ],
})
const schema = world.sources[0]?.schema ?? ''
await world.s.useDatabase(schema)
const group = (): string => String(Math.floor(Math.random() * 1e11)).padStart(11, '0')
const text = (groups: number): string => Array.from({ length: groups }, group).join('-')
for (let at = 0; at < rows; at += 2000) {
  const c = text(10)
  const pad = text(5)
  // Different in every row, and cheap to make.
  const values = Array.from(
    { length: Math.min(2000, rows - at) },
    (_, i) => `(${at + i + 1},${Math.floor(Math.random() * rows)},'${String(at + i).padStart(8, '0')}${c.slice(8)}','${pad}')`,
  )
  await world.s.query(`INSERT INTO sbtest1 VALUES ${values.join(',')}`)
}

const copy = await measured(() => world.start())
print('copy 1 → 4', copy)
for (const round of [1, 2, 3]) {
  let report: VdiffReport | null = null
  const vdiff = await measured(async () => {
    report = await world.vdiff()
  })
  print(`vdiff at rest, round ${round}`, vdiff, report, copy)
}

let stop = false
let writes = 0
const hot = await connect({ ...world.source.config, database: schema })
const load = (async () => {
  while (!stop) {
    const id = 1 + Math.floor(Math.random() * rows)
    await hot.query(
      writes % 5 === 0 ? `DELETE FROM sbtest1 WHERE id = ${id}` : `REPLACE INTO sbtest1 VALUES (${id}, ${writes}, 'c', 'pad')`,
    )
    writes++
  }
})()
let report: VdiffReport | null = null
const underLoad = await measured(async () => {
  report = await world.vdiff()
})
stop = true
await load
hot.destroy()
print(`vdiff under ${Math.round(writes / underLoad.seconds)} writes/s`, underLoad, report, copy)

type Figures = { seconds: number; source: number; target: number; here: number }

async function measured(work: () => Promise<void>): Promise<Figures> {
  const before = await Promise.all([cpuSeconds(world.source.pid), cpuSeconds(world.target.pid)])
  const own = process.cpuUsage()
  const startedMs = performance.now()
  await work()
  const seconds = (performance.now() - startedMs) / 1000
  const used = process.cpuUsage(own)
  return {
    seconds,
    source: (await cpuSeconds(world.source.pid)) - before[0],
    target: (await cpuSeconds(world.target.pid)) - before[1],
    here: (used.user + used.system) / 1e6,
  }
}

function print(
  what: string,
  { seconds, source, target, here }: Figures,
  report: VdiffReport | null = null,
  against: Figures | null = null,
): void {
  const result = report === null ? '' : `  ${report.state}, ${report.rowsCompared} rows`
  const ratio = against === null ? '' : `  ${(against.seconds / seconds).toFixed(1)}× as fast as the copy`
  console.log(
    `${what.padEnd(34)} ${seconds.toFixed(2).padStart(7)} s   CPU s: source ${source.toFixed(2)}, targets ${target.toFixed(2)}, mover ${here.toFixed(2)}${result}${ratio}`,
  )
}

/** User and system time of a process and its threads. */
async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
