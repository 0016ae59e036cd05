// Test files, each kind begun in the order given (node --test sorts them by name).
//   node … scripts/run-tests.mjs '{"inOneProcess": FILES, "timeoutMs": N}'          all in this one, one after the other
//   node … scripts/run-tests.mjs '{"atOnce": N, "kinds": [{"files": FILES, "atOnce": N, "timeoutMs": N}, …]}'
//                                each in a process of its own; the first kind that has a file left and is not at its own limit goes first
import { PassThrough, Readable } from 'node:stream'
import { run } from 'node:test'
import report from './test-reporter.mjs'

const plan = JSON.parse(process.argv[2] ?? '')
const events = new PassThrough({ objectMode: true })
Readable.from(report(events)).pipe(process.stdout)

async function tell(tests) {
  for await (const event of tests) {
    const { type, data } = event
    if (type === 'test:fail' && (data.todo === undefined || data.todo === false)) process.exitCode = 1
    events.write(event)
  }
}

const kinds = (plan.kinds ?? []).map((kind) => ({ ...kind, left: [...kind.files], running: 0 }))

async function lane() {
  const next = () => kinds.find(({ left, running, atOnce }) => left.length > 0 && running < atOnce)
  for (let kind = next(); kind !== undefined; kind = next()) {
    kind.running++
    // The limit is each test's. A file whose process does not end, since something was left open, is ended too, and named; several may hang in it.
    const signal = AbortSignal.timeout(3 * kind.timeoutMs)
    await tell(run({ files: [kind.left.shift()], timeout: kind.timeoutMs, signal }))
    kind.running--
  }
}

if (plan.inOneProcess !== undefined) await tell(run({ files: plan.inOneProcess, timeout: plan.timeoutMs, isolation: 'none' }))
else await Promise.all(Array.from({ length: plan.atOnce }, lane))
events.end()
