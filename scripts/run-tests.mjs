// The files of one group, begun in the order given (node --test sorts them by name), each in a process of its own; with a concurrency of 0 all in this
// one, one after the other.   node … scripts/run-tests.mjs CONCURRENCY TIMEOUT_MS FILE…
import { run } from 'node:test'
import report from './test-reporter.mjs'

const [concurrency, timeoutMs, ...files] = process.argv.slice(2)
const how = concurrency === '0' ? { isolation: 'none' } : { concurrency: Number(concurrency) }
const tests = run({ files, timeout: Number(timeoutMs), ...how })
tests.on('test:fail', ({ todo }) => {
  if (todo === undefined || todo === false) process.exitCode = 1
})
tests.compose(report).pipe(process.stdout)
