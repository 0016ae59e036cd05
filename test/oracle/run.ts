/** `npm run oracle`: see README.md. */
import { parseArgs } from 'node:util'
import { Oracle } from './oracle.ts'
import { printReport } from './report.ts'
import type { Flavour } from './world.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    n: { type: 'string', default: '20000' },
    flavour: { type: 'string', default: 'mariadb' },
    clients: { type: 'string', default: '1' },
    reshard: { type: 'boolean', default: false },
    shards: { type: 'string', default: '4' },
    mode: { type: 'string', default: 'multi' },
    show: { type: 'string', default: '10' },
    refused: { type: 'string', default: '0' },
  },
})
const oracle = new Oracle({
  seed: Number(values.seed),
  count: Number(values.n),
  flavour: values.flavour as Flavour,
  clients: Number(values.clients),
  reshard: values.reshard,
  shards: values.shards === '1' ? 1 : 4,
  mode: values.mode as 'multi' | 'xa',
})
const report = await oracle.run()
process.stdout.write(printReport(report, { differences: Number(values.show), refused: Number(values.refused) }))
process.exitCode = report.failures.length === 0 && report.wrong === 0 ? 0 : 1
