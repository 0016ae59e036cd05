/**
 * What a kill -9 of the mover costs: the copy 1 → N, or of several sources, once undisturbed, once killed several times; then a backlog, killed in its middle. Rows that were read again are
 * counted by the source itself, beside what the stream says at its resume; of the tail what is done again is looked at beside the round that was broken off, and more is a failure.
 *
 *     node bench/resume.ts [rows, default 2000000] [mariadb|mysql, default mariadb] [kills of the copy, default 4] [changes of the backlog of one source, default 400000] [targets, default 4] [sources, default 1]
 */
import { BenchWorld } from './bench-world.ts'
import type { MoverBench } from './mover-kit.ts'

const rows = Number(process.argv[2] ?? 2_000_000)
const flavour = process.argv[3] === 'mysql' ? 'mysql' : 'mariadb'
const kills = Number(process.argv[4] ?? 4)
const changes = Number(process.argv[5] ?? 400_000)
const targets = Number(process.argv[6] ?? 4)
const sources = Number(process.argv[7] ?? 1)

await using world = await BenchWorld.create({ flavour, rows, ...(sources > 1 ? { sources } : {}) })
const { s } = world

for (const times of [0, kills]) {
  const mover = await world.mover(targets)
  const readBefore = await world.rowsRead()
  const beganMs = performance.now()
  let told = 0
  const copied = mover.run((report) => report.state === 'running')
  for (let kill = 1; kill <= times; kill++) {
    // Anywhere within its share of the copy.
    const share = (kill - 0.9 + 0.8 * Math.random()) / times
    const { state } = await mover.reported(
      (report) => report.state === 'running' || (report.state === 'copying' && report.copy.rowsDone > (rows / sources) * share),
    )
    if (state === 'running') throw new Error('the copy ended between two reports, before it could be killed: give more rows')
    mover.kill9()
    const { pid } = mover
    const redone = new Map<string, number>()
    await mover.reported((report) => {
      const resumes = report.mover.includes(String(pid)) && report.resumed !== null
      if (resumes) redone.set(report.streamUid, report.resumed?.rowsRedone ?? 0)
      return resumes
    })
    const rowsRedone = [...redone.values()].reduce((sum, each) => sum + each, 0)
    told += rowsRedone
    console.log(`kill ${kill} at ${(share * 100).toFixed(0)} %: ${rowsRedone} rows are told to be read again (${percent(rowsRedone)})`)
  }
  await copied
  const seconds = (performance.now() - beganMs) / 1000
  const again = (await world.rowsRead()) - readBefore - rows
  console.log(
    times === 0
      ? `undisturbed: ${seconds.toFixed(2)} s, ${again} rows read besides each once`
      : `killed ${times} times: ${again} rows read again, ${percent(again / times)} of the copy a kill; told: ${told}`,
  )
  if (times > 0 && changes > 0 && sources === 1) await backlog(mover)
  await world.forget(mover)
}
process.exit(0)

async function backlog(mover: MoverBench): Promise<void> {
  await mover.stop()
  for (let from = 0; from < changes; from += 100)
    await s.query(`UPDATE sbtest1 SET k = k + 1 WHERE id > ${from % rows} AND id <= ${(from % rows) + 100}`)
  const done = mover.run((report) => report.applied.rowChanges >= changes / 2)
  await mover.reported((report) => report.applied.rowChanges > changes / 4)
  mover.kill9()
  const { pid } = mover
  await done
  const { resumed } = await mover.reported((report) => report.mover.includes(String(pid)) && report.resumed !== null)
  const { transactionsRedone: again = 0, changesRedone = 0, round = null } = resumed ?? {}
  const of = round === null ? 'between two rounds' : `in a round of ${round.transactions} (${round.changes ?? 'unknown'} row changes)`
  console.log(
    `a backlog of ${changes / 100} transactions, killed in its first half ${of}: ${again} transactions (${changesRedone} row changes) done again`,
  )
  if (again > (round?.transactions ?? 0) || changesRedone > (round === null ? 0 : (round.changes ?? Infinity)))
    throw new Error('more was done again than one round')
}

function percent(part: number): string {
  return `${((part / rows) * 100).toFixed(2)} %`
}
