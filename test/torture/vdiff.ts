/**
 * No false difference: comparison after comparison of a 1 → 4 while four sessions write at random and two more update one row each as fast as they can.
 *
 *   npm run torture:vdiff -- --rounds 200 [--flavour mysql] [--seed 1] [--rows 20000]
 */
import { parseArgs } from 'node:util'
import { connect } from '../../src/mysql/connect.ts'
import { isServerError } from '../../src/mysql/errors.ts'
import { counts, VerifyWorld } from '../../src/verify/testkit/world.ts'
import { seeded } from './seeded.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    flavour: { type: 'string', default: 'mariadb' },
    seed: { type: 'string', default: '1' },
    rows: { type: 'string', default: '20000' },
  },
})
const flavour = values.flavour === 'mysql' ? 'mysql' : 'mariadb'
const rounds = Number(values.rounds)
const rows = Number(values.rows)

await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-40', '40-80', '80-c0', 'c0-'] })
const item = world.on(world.sources, '-', 'item')
for (let at = 0; at < rows; at += 2000)
  await world.s.query(
    `INSERT INTO ${item} VALUES ${Array.from({ length: 2000 }, (_, i) => `(${at + i}, ${((at + i) * 7919) % 5000}, 'row', NULL, 1)`).join(',')}`,
  )
await world.start()

let stopped = false
let writes = 0
let hotUpdates = 0
let deadlocks = 0
const writer = async (number: number): Promise<void> => {
  const conn = await connect(world.source.config)
  const random = seeded(Number(values.seed) * 100 + number)
  const below = (n: number): number => Math.floor(random() * n)
  while (!stopped) {
    const id = below(rows)
    const statements = [
      `UPDATE ${item} SET n = n + 1, a = CONCAT('v', n) WHERE id = ${id}`,
      `UPDATE ${item} SET owner = ${below(5000)} WHERE id = ${id}`,
      `DELETE FROM ${item} WHERE id = ${id}`,
      `REPLACE INTO ${item} VALUES (${id}, ${below(5000)}, NULL, 'x', 1)`,
      `INSERT IGNORE INTO ${item} VALUES (${id}, ${below(5000)}, 'y', NULL, 1)`,
    ]
    try {
      await conn.query(statements[below(statements.length)] ?? '')
      writes++
    } catch (error) {
      if (!isServerError(error)) throw error
      if (error.errno === 1213) deadlocks++
    }
  }
  conn.destroy()
}
const heater = async (id: number): Promise<void> => {
  const conn = await connect(world.source.config)
  const update = `UPDATE ${item} SET n = n + 1 WHERE id = ${id}`
  await conn.query(`REPLACE INTO ${item} VALUES (${id}, 7, 'hot', NULL, 0)`)
  while (!stopped) {
    await conn.pipeline(Array.from({ length: 50 }, () => update))
    hotUpdates += 50
  }
  conn.destroy()
}
const startedMs = performance.now()
const load = Promise.all([...[1, 2, 3, 4].map(writer), heater(rows + 1), heater(rows + 2)])
let bad = 0
let compared = 0
for (let round = 1; round <= rounds; round++) {
  const report = await world.vdiff()
  compared += report.rowsCompared
  const found = report.state === 'failed' ? null : counts(report)
  if (report.state !== 'clean') {
    bad++
    console.log(`round ${round}: ${report.state} ${JSON.stringify(found)} ${JSON.stringify(report.error ?? report.tables[0]?.samples)}`)
  }
  if (round % 20 === 0) {
    const seconds = (performance.now() - startedMs) / 1000
    console.log(
      `round ${round}: ${bad} with a difference; ${compared} rows compared; ${Math.round(writes / seconds)} random writes/s, each hot row updated ${Math.round(hotUpdates / 2 / seconds)} times/s, ${deadlocks} deadlocks`,
    )
  }
}
stopped = true
await load
console.log(
  `${rounds} rounds on ${flavour}, seed ${values.seed}: ${bad} false differences in ${Math.round((performance.now() - startedMs) / 1000)} s`,
)
if (bad > 0) process.exitCode = 1
