/** `npm run fuzz -- --minutes 10 --seed S`: see README.md. */
import { parseArgs } from 'node:util'
import { fuzz } from './fuzz.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string', default: String(Date.now() % 1_000_000) } },
})
const endMs = Date.now() + Number(values.minutes) * 60_000
console.log(`fuzzing for ${values.minutes} min: npm run fuzz -- --minutes ${values.minutes} --seed ${values.seed}`)
const report = await fuzz({ seed: Number(values.seed), untilMs: () => Date.now() >= endMs, progress: (line) => console.log(line) })
console.log(`${report.texts} texts, ${report.packets} packets, ${report.attacks} attacks: ${report.findings.length} findings`)
process.exit(report.findings.length === 0 ? 0 : 1)
