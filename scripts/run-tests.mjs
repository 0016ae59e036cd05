// The files of one group, begun in the order given (node --test sorts them by name).   node … scripts/run-tests.mjs CONCURRENCY TIMEOUT_MS FILE…
import { run } from 'node:test'
import report from './test-reporter.mjs'

const [concurrency, timeoutMs, ...files] = process.argv.slice(2)
const tests = run({ files, concurrency: Number(concurrency), timeout: Number(timeoutMs) })
tests.on('test:fail', ({ todo }) => {
  if (todo === undefined || todo === false) process.exitCode = 1
})
tests.compose(report).pipe(process.stdout)
