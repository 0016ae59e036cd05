/**
 * The copy 1 → N beside mydumper + myloader 1 → 1, on the same servers, tables and rows in one run, in turn, round after round; then the catch-up of a backlog. The mover is a process of
 * its own, as in production. Prints seconds, CPU seconds of all that work, rows read on the source, the mover's greatest memory, and medians of the rounds.
 *
 *     node bench/copy.ts [rows of all tables, default 2000000] [mariadb|mysql, default mariadb] [changes of the backlog, default 400000; 0: none] [targets, default 4] [sysbench|wide|text-key|json]
 *         [--rounds 1] [--tables 2] [--threads N] [--fresh]
 *
 * `--fresh`: each goes to a target that has done nothing yet, as that of a reshard; otherwise all to one, which the first of them finds cold and the others warm.
 *
 * Several numbers of targets (`1,4,8,16`): a copy to each in turn, round after round, without the peer, and what a row costs at each as a ratio of the first, by the medians.
 *
 * The peer has as many threads as the mover: as many dump as the mover reads with, as many load as it writes with (`--threads`: both so many instead), and tables in chunks (`--rows`), so that all of
 * them have work. Its rows are counted: mydumper 0.10 may end well without having dumped any.
 *
 * wide: 30 columns, half of them text; text-key: rows keyed and sharded by a VARCHAR; json: a document of ten members (MySQL). Their backlog is not measured: give 0 changes.
 */
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { lanesOf, moverDefaults, readersOf } from '../src/move/config.ts'
import type { TestServer } from '../test/kit/servers.ts'
import { benchTables } from './bench-tables.ts'
import { BenchWorld, median, spread, type Measured } from './bench-world.ts'
import type { MoverBench } from './mover-kit.ts'

const given = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '1' },
    tables: { type: 'string', default: '2' },
    threads: { type: 'string' },
    fresh: { type: 'boolean', default: false },
  },
})
const { positionals, values } = given
const flavour = positionals[1] === 'mysql' ? 'mysql' : 'mariadb'
const changes = Number(positionals[2] ?? 400_000)
const numbers = (positionals[3] ?? '4').split(',').map(Number)
const [targets = 4] = numbers
const shape = benchTables[positionals[4] ?? 'sysbench']
if (shape === undefined) throw new Error(`shapes: ${Object.keys(benchTables).join(', ')}`)
const rounds = Number(values.rounds)
const tables = Number(values.tables)
const rows = Math.ceil(Number(positionals[0] ?? 2_000_000) / tables)
const dumping = Number(values.threads ?? readersOf(moverDefaults, targets))
const loading = Number(values.threads ?? lanesOf(moverDefaults, targets) * targets)

await using world = await BenchWorld.create({ flavour, tables, rows, shape })
const { s, source } = world
if (numbers.length > 1) {
  await byTargets()
  process.exit(0)
}
const peerIsHere = hasPeer()
if (peerIsHere) console.log(`${tables} tables of ${rows} rows; mydumper with ${dumping} threads, myloader with ${loading}`)
const copies: Measured[] = []
const peers: Measured[] = []
for (let round = 1; round <= rounds; round++) {
  if (values.fresh) await world.freshTarget()
  if (peerIsHere) peers.push(await peer())
  if (values.fresh) await world.freshTarget()
  const mover = await world.mover(targets)
  copies.push(await world.measured(`copy 1 → ${targets}`, () => mover.run((report) => report.state === 'running'), mover.pid))
  if (round === rounds && changes > 0) await backlogs(mover)
  await world.forget(mover)
}
console.log(
  `copy: seconds ${spread(copies.map(({ seconds }) => seconds))}, CPU s ${spread(
    copies.map(({ cpu }) => cpu),
    1,
  )}`,
)
if (peers.length > 0) {
  console.log(
    `peer: seconds ${spread(peers.map(({ seconds }) => seconds))}, CPU s ${spread(
      peers.map(({ cpu }) => cpu),
      1,
    )}`,
  )
  const ratio = (of: (one: Measured) => number): string => (median(peers.map(of)) / median(copies.map(of))).toFixed(2)
  console.log(`copy against mydumper + myloader: ${ratio(({ seconds }) => seconds)} × as fast, ${ratio(({ cpu }) => cpu)} × by CPU`)
}
process.exit(0)

async function byTargets(): Promise<void> {
  const measured = new Map(numbers.map((number) => [number, [] as Measured[]]))
  for (let round = 0; round < rounds; round++) {
    for (const [number, list] of measured) {
      const mover = await world.mover(number)
      list.push(await world.measured(`copy 1 → ${number}`, () => mover.run((report) => report.state === 'running'), mover.pid))
      await world.forget(mover)
    }
  }
  const cpuOf = (number: number): number[] => (measured.get(number) ?? []).map(({ cpu }) => cpu)
  for (const number of numbers) {
    const more = (median(cpuOf(number)) / median(cpuOf(targets)) - 1) * 100
    console.log(`1 → ${number}: CPU s ${spread(cpuOf(number), 1)}, ${more.toFixed(0)} % more than 1 → ${targets}`)
  }
}

async function peer(): Promise<Measured> {
  const dump = join(world.dir, 'dump')
  const at = (server: TestServer, threads: number): string[] => `-h ${server.host} -P ${server.port} -u root -t ${threads}`.split(' ')
  const chunk = Math.max(1, Math.min(100_000, Math.ceil(rows / 10)))
  const took = await world.measured('mydumper + myloader 1 → 1', async () => {
    execFileSync('mydumper', [...at(source, dumping), '-B', 'app', '--rows', String(chunk), '-o', dump], { stdio: 'ignore' })
    execFileSync('myloader', [...at(world.target, loading), '-B', 'peer', '-e', '-d', dump], { stdio: 'ignore' })
  })
  for (const name of world.tables) {
    const [there, here] = [await world.t.value(`SELECT COUNT(*) FROM peer.${name}`), await s.value(`SELECT COUNT(*) FROM app.${name}`)]
    if (there !== here) throw new Error(`the peer has ${there} rows of ${name}, the source ${here}`)
  }
  await world.t.query('DROP DATABASE peer')
  rmSync(dump, { recursive: true })
  return took
}

async function backlogs(mover: MoverBench): Promise<void> {
  await mover.stop()
  const [table] = world.tables
  for (let from = 0; from < changes; from += 100)
    await s.query(`UPDATE ${table} SET k = k + 1 WHERE id > ${from % rows} AND id <= ${(from % rows) + 100}`)
  await catchUp(`catch-up of ${changes} row changes`, changes)
  await mover.stop()
  for (let n = 0; n < changes / 1000; n++) await s.query(`UPDATE ${table} SET k = k + 1 WHERE id <= 1000`)
  await catchUp(`catch-up of ${changes} changes of 1,000 hot rows`, Math.floor(changes / 1000) * 1000)

  async function catchUp(name: string, until: number): Promise<void> {
    const { seconds } = await world.measured(name, () => mover.run((report) => report.applied.rowChanges >= until), mover.pid)
    console.log(`${Math.round(until / seconds)} row changes a second`)
  }
}

function hasPeer(): boolean {
  try {
    execFileSync('mydumper', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.log('mydumper is not installed: no comparison')
    return false
  }
}
