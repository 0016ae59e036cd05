/**
 * A comparison of all rows of a 1 → 4 reshard beside our own copy of the same rows, both by the mover's own process, as in production: seconds, and CPU seconds of servers and mover. First at rest,
 * then under live writes. `--rounds`: so many copies, each followed by a comparison at rest; medians of both.
 *
 *     node bench/vdiff.ts [rows of all tables, default 2000000] [mariadb|mysql, default mariadb] [--rounds 3] [--tables 2]
 */
import { parseArgs } from 'node:util'
import { connect } from '../src/mysql/connect.ts'
import { BenchWorld, median, spread, type Measured } from './bench-world.ts'
import type { MoverBench } from './mover-kit.ts'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '3' }, tables: { type: 'string', default: '2' } },
})
const flavour = positionals[1] === 'mysql' ? 'mysql' : 'mariadb'
const rounds = Number(values.rounds)
const tables = Number(values.tables)
const rows = Math.ceil(Number(positionals[0] ?? 2_000_000) / tables)

await using world = await BenchWorld.create({ flavour, tables, rows })
const copies: Measured[] = []
const vdiffs: Measured[] = []
for (let round = 1; round <= rounds; round++) {
  const mover = await world.mover(4)
  copies.push(await world.measured('copy 1 → 4', () => mover.run((report) => report.state === 'running'), mover.pid))
  vdiffs.push(await compared('vdiff at rest', mover))
  if (round === rounds) await underWrites(mover)
  await world.forget(mover)
}
const seconds = ({ seconds: took }: Measured): number => took
console.log(`copy: seconds ${spread(copies.map(seconds))}; vdiff at rest: seconds ${spread(vdiffs.map(seconds))}`)
console.log(`vdiff at rest: ${(median(copies.map(seconds)) / median(vdiffs.map(seconds))).toFixed(2)} × as fast as the copy`)
process.exit(0)

async function compared(name: string, mover: MoverBench): Promise<Measured> {
  return world.measured(
    name,
    async () => {
      const { state, rowsCompared } = await mover.vdiff()
      if (state !== 'clean') throw new Error(`${name}: ${state}`)
      if (rowsCompared < 0.9 * rows * tables) throw new Error(`${name}: ${rowsCompared} rows compared of ${rows * tables}`)
    },
    mover.pid,
  )
}

async function underWrites(mover: MoverBench): Promise<void> {
  let stop = false
  let writes = 0
  const hot = await connect({ ...world.source.config, database: 'app' })
  const load = (async () => {
    while (!stop) {
      const id = 1 + Math.floor(Math.random() * rows)
      await hot.query(
        writes % 5 === 0 ? `DELETE FROM sbtest1 WHERE id = ${id}` : `REPLACE INTO sbtest1 VALUES (${id}, ${writes}, 'c', 'pad')`,
      )
      writes++
    }
  })()
  const took = await compared('vdiff under live writes', mover)
  stop = true
  await load
  hot.destroy()
  const times = (median(copies.map(({ seconds }) => seconds)) / took.seconds).toFixed(2)
  console.log(`${Math.round(writes / took.seconds)} writes a second meanwhile; ${times} × as fast as the copy`)
}
