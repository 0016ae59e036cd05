/**
 * npm run test:clients [-- --only NAME] [--flavour mariadb|mysql] [--verbose]: every client against a server itself and through the gate, with TLS and
 * without. Ends with 1 when an outcome differs. What can't be had here is skipped aloud.
 */
import { parseArgs } from 'node:util'
import { compareClient } from './compare.ts'
import { clients } from './programs.ts'
import { startClientWorld } from './world.ts'

const { values } = parseArgs({
  options: { only: { type: 'string', multiple: true }, flavour: { type: 'string' }, shown: { type: 'string', default: '12' } },
})
const chosen = clients.filter(
  ({ name }) => values.only === undefined || values.only.some((part) => name.toLowerCase().includes(part.toLowerCase())),
)
const flavours = (['mariadb', 'mysql'] as const).filter((one) => values.flavour === undefined || values.flavour === one)
let [passed, failed, skipped] = [0, 0, 0]
const ready = chosen.filter((client) => {
  try {
    client.install()
    return true
  } catch (error) {
    skipped++
    console.log(`skipped  ${client.name}: ${error instanceof Error ? error.message : String(error)}`)
    return false
  }
})
const plainAndTls = [
  [false, 'app'],
  [true, 'app'],
] as const
for (const flavour of flavours) {
  await using world = await startClientWorld(flavour)
  for (const client of ready.filter(({ only }) => only === undefined || only === flavour)) {
    for (const [tls, database] of client.onlyUnsharded === true
      ? ([...plainAndTls] as const)
      : ([...plainAndTls, [false, 'shop']] as const)) {
      const { compared, differences, known } = await compareClient(client, world, tls, database)
      const label = `${client.name}, ${flavour}, ${database === 'app' ? (tls ? 'TLS' : 'plain') : 'over four shards'}`
      if (differences.length === 0) {
        passed++
        console.log(`✔ ${label}: ${compared} outcomes, as at the server itself${[...known].map((why) => `, but: ${why}`).join('')}`)
        continue
      }
      failed++
      console.log(`✖ ${label}: ${differences.length} of ${compared} outcomes differ`)
      for (const difference of differences.slice(0, Number(values.shown))) console.log(`    ${difference}`)
    }
  }
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
process.exit(failed === 0 ? 0 : 1)
