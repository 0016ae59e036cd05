/**
 * A comparison of all rows of a 1 → 4 reshard beside our own copy of the same rows: seconds, and CPU seconds of the servers and of this process.
 * Mover and verifier run here, one server has the source, another the four targets. First at rest, then under live writes.
 *
 *     node bench/vdiff.ts [rows, default 2000000] [mariadb|mysql, default mariadb]
 */
import { connect } from '../src/mysql/connect.ts'
import type { VdiffReport } from '../src/topology/records.ts'
import { VerifyWorld } from '../src/verify/testkit/world.ts'
import { cpuSeconds, fillSysbench, sysbenchDdl } from './mover-kit.ts'

const rows = Number(process.argv[2] ?? 2_000_000)
const flavour = process.argv[3] === 'mysql' ? 'mysql' : 'mariadb'

await using world = await VerifyWorld.create({
  flavour,
  sources: ['-'],
  targets: ['-40', '40-80', '80-c0', 'c0-'],
  bufferPoolMb: Math.ceil(rows / 4000) + 64,
  tables: [{ name: 'sbtest1', shardKey: 'id', ddl: sysbenchDdl('sbtest1') }],
})
const schema = world.sources[0]?.schema ?? ''
await world.s.useDatabase(schema)
await fillSysbench(world.s, 'sbtest1', rows)
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
  const before = [cpuSeconds(world.source.pid), cpuSeconds(world.target.pid)]
  const own = process.cpuUsage()
  const startedMs = performance.now()
  await work()
  const seconds = (performance.now() - startedMs) / 1000
  const used = process.cpuUsage(own)
  return {
    seconds,
    source: cpuSeconds(world.source.pid) - (before[0] ?? 0),
    target: cpuSeconds(world.target.pid) - (before[1] ?? 0),
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
