// A test reporter for people and for scripts/test.mjs: one line a file, every failure whole, what a failing file printed,
// and at the end the tally as JSON into the file named by SHARDWRIGHT_TEST_TALLY.
import { appendFileSync } from 'node:fs'
import { relative } from 'node:path'

export default async function* report(source) {
  const files = new Map()
  const told = new Set()
  const of = (file) => {
    const name = file ? relative(process.cwd(), file) : '?'
    if (!files.has(name)) files.set(name, { name, passed: 0, failed: 0, skipped: 0, ms: 0, output: '', failures: [] })
    return files.get(name)
  }
  for await (const { type, data } of source) {
    if (type === 'test:pass' || type === 'test:fail') {
      const entry = of(data.file)
      if (data.nesting === 0) entry.ms += data.details?.duration_ms ?? 0
      const isSuite = data.details?.type === 'suite'
      const error = data.details?.error
      // A parent that fails only since a child did is that child's failure told twice.
      const toldTwice = error?.failureType === 'subtestsFailed'
      if (type === 'test:fail' && data.todo === undefined && !toldTwice) {
        entry.failed++
        entry.failures.push(`  ✖ ${data.name}\n${indent(describe(error))}`)
        // Its process failed at its end, when all its tests had been told: of an error that nobody caught.
        if (told.has(entry)) yield line(entry)
      } else if (type === 'test:pass' && !isSuite) {
        if (data.skip === undefined) entry.passed++
        else entry.skipped++
      }
    } else if (type === 'test:stdout' || type === 'test:stderr') {
      const entry = of(data.file)
      entry.output = (entry.output + data.message).slice(-8_000)
    } else if (type === 'test:summary') {
      if (data.file !== undefined) {
        const entry = of(data.file)
        entry.wholeMs = data.duration_ms
        told.add(entry)
        // Tests that a file takes from a suite elsewhere are counted under that suite's file, below.
        if (entry.passed + entry.failed + entry.skipped > 0) yield line(entry)
      }
    }
  }
  for (const entry of files.values()) if (!told.has(entry) && entry.passed + entry.failed + entry.skipped > 0) yield line(entry)
  const total = { passed: 0, failed: 0, skipped: 0, failedFiles: [] }
  for (const entry of files.values()) {
    total.passed += entry.passed
    total.failed += entry.failed
    total.skipped += entry.skipped
    if (entry.failed > 0) total.failedFiles.push(entry.name)
  }
  if (process.env.SHARDWRIGHT_TEST_TALLY) appendFileSync(process.env.SHARDWRIGHT_TEST_TALLY, `${JSON.stringify(total)}\n`)
}

function line(entry) {
  const counts = `${entry.passed} passed${entry.failed > 0 ? `, ${entry.failed} FAILED` : ''}${entry.skipped > 0 ? `, ${entry.skipped} skipped` : ''}`
  // Of its process, where it has one of its own: others wait for what it has left open, too.
  const head = `${entry.failed > 0 ? '✖' : '✔'} ${entry.name}  ${counts}  ${((entry.wholeMs ?? entry.ms) / 1000).toFixed(1)} s\n`
  if (entry.failed === 0) return head
  const output = entry.output.trim() === '' ? '' : `  printed:\n${indent(entry.output.trim())}\n`
  return `${head}${entry.failures.join('\n')}\n${output}`
}

function describe(error) {
  const cause = error?.cause ?? error
  if (cause === undefined || cause === null) return 'failed without an error'
  if (typeof cause === 'string') return cause
  const told = cause.stack ?? cause.message ?? String(cause)
  // Where the end of what the test used failed too, both are its own fields, and the stack shows neither.
  return 'suppressed' in cause ? `${told}\nfirst: ${describe(cause.suppressed)}\nthen, at its disposal: ${describe(cause.error)}` : told
}

function indent(text) {
  return text.replace(/^/gm, '    ')
}
