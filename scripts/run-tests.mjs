// Test files, each kind begun in the order given (node --test sorts them by name).
//   node … scripts/run-tests.mjs '{"inOneProcess": FILES, "timeoutMs": N}'          all in this one, one after the other
//   node … scripts/run-tests.mjs '{"atOnce": N, "kinds": [{"files": FILES, "atOnce": N, "timeoutMs": N}, …]}'
//                                each in a process of its own; the first kind that has a file left and is not at its own limit goes first
//                                a list of files in its place: those in one process, one after the other (several-files.mjs)
//     "atOnceMax": N             up to so many while the processors have been idle for a share of the time ("idleShare", of the last "settleMs")
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { run } from 'node:test'
import { pathToFileURL } from 'node:url'
import report from './test-reporter.mjs'

const plan = JSON.parse(process.argv[2] ?? '')
const events = new PassThrough({ objectMode: true })
Readable.from(report(events)).pipe(process.stdout)

const failed = new Set()
function take(event) {
  const { type, data } = event
  if (type === 'test:fail' && (data.todo === undefined || data.todo === false)) {
    process.exitCode = 1
    failed.add(data.file)
  }
  events.write(event)
}

/** Of the file itself, beside its tests. */
function tellFailed(path, error) {
  take({ type: 'test:fail', data: { name: relative(process.cwd(), path), file: resolve(path), nesting: 1, details: { error } } })
}

async function tell(tests) {
  for await (const event of tests) take(event)
}

/** Of a suite that stands elsewhere (test/kit/beside.ts, a conformance suite) each test is told as one of the file that has it run: it is that file that failed. */
async function tellOne(path, tests) {
  const file = resolve(path)
  for await (const { type, data } of tests) take({ type, data: data.file === undefined ? data : { ...data, file } })
}

/**
 * In one process the runner passes over what a file throws beside its tests, once it has begun one, and those behind it are never begun. Imported again, a module throws the same again and runs nothing.
 */
async function tellUnloaded(files) {
  for (const path of files) {
    const file = resolve(path)
    if (failed.has(file)) continue
    await import(pathToFileURL(file).href).catch((error) => tellFailed(path, error))
  }
}

let isOver = false
process.on('exit', () => {
  if (isOver) return
  console.error('a test ended the process of all of them')
  process.exitCode = 1
})

const kinds = (plan.kinds ?? []).map((kind) => ({ ...kind, left: [...kind.files], running: 0 }))
const { atOnce = 1, atOnceMax = atOnce, idleShare = 0.25, settleMs = 1_000 } = plan

async function runFile(kind) {
  kind.running++
  const next = kind.left.shift()
  // The limit is each test's. A file whose process does not end is ended too, and named: at three times the limit, for several may hang in it; one with a process of its
  // own also once no test of it has run for a fifth of the limit, since something was left open then.
  const limit = AbortSignal.timeout(3 * kind.timeoutMs)
  if (Array.isArray(next)) await tellSeveral(kind, next, limit)
  else {
    const idle = new AbortController()
    const signal = AbortSignal.any([limit, idle.signal])
    await tellOne(next, endedWhenIdle(run({ files: [next], timeout: kind.timeoutMs, signal }), kind.timeoutMs / 5, idle))
  }
  kind.running--
}

/** Ends what runs them when tests have run, and none has for so long. */
async function* endedWhenIdle(tests, ms, end) {
  let running = 0
  let timer
  for await (const event of tests) {
    const { type } = event
    if (type === 'test:dequeue') running++
    else if (type === 'test:complete') running--
    clearTimeout(timer)
    // The file itself is the one.
    if (running === 1 && type !== 'test:dequeue') timer = setTimeout(() => end.abort(), ms)
    yield event
  }
  clearTimeout(timer)
}

const severalFiles = join(import.meta.dirname, 'several-files.mjs')

/** Told as if each file had a process of its own. One that ends the process is named; those of which nothing was told then get another. */
async function tellSeveral(kind, files, signal) {
  const dir = mkdtempSync(join(tmpdir(), 'shardwright-several-'))
  const at = join(dir, 'at')
  writeFileSync(at, files[0])
  const left = new Set(files)
  let error
  const tests = run({ files: [severalFiles], argv: [at, String(kind.timeoutMs / 5), ...files], timeout: kind.timeoutMs, signal })
  for await (const event of tests) {
    const { type, data } = event
    const isOutcome = type === 'test:pass' || type === 'test:fail'
    // Files are told of in their order, each behind its tests.
    const [current = files.at(-1)] = left
    if (data.nesting > 0) take({ type, data: { ...data, file: resolve(current), nesting: data.nesting - 1 } })
    else if (type === 'test:stdout' || type === 'test:stderr') take({ type, data: { ...data, file: resolve(readFileSync(at, 'utf8')) } })
    else if (isOutcome && left.delete(data.name)) tellFile(data.name, data.details)
    else if (type === 'test:fail') error = data.details.error
  }
  const endedIn = readFileSync(at, 'utf8')
  rmSync(dir, { recursive: true })
  if (left.delete(endedIn)) error = new Error('the process of the test ended', { cause: error })
  if (error !== undefined) tellFile(endedIn, { error, duration_ms: 0 })
  if (left.size > 0) kind.left.unshift([...left])
}

function tellFile(path, { error, duration_ms }) {
  if (error !== undefined && error.failureType !== 'subtestsFailed') tellFailed(path, error)
  take({ type: 'test:summary', data: { file: resolve(path), duration_ms } })
}

/** What the processors did since the last look: the share of their time that nobody wanted. */
const idleSince = (() => {
  const look = () =>
    cpus().reduce(({ idle, all }, { times }) => ({ idle: idle + times.idle, all: all + Object.values(times).reduce((a, b) => a + b) }), {
      idle: 0,
      all: 0,
    })
  let last = look()
  return () => {
    const now = look()
    const share = (now.idle - last.idle) / Math.max(1, now.all - last.all)
    last = now
    return share
  }
})()

async function runKinds() {
  const running = new Set()
  const next = () => kinds.find(({ left, running: n, atOnce: most }) => left.length > 0 && n < most)
  let lookAtMs = 0
  while (running.size > 0 || next() !== undefined) {
    for (let kind = next(); kind !== undefined && running.size < atOnceMax; kind = next()) {
      if (running.size >= atOnce) {
        // One more, and what it takes is seen before another is begun.
        if (performance.now() < lookAtMs) break
        lookAtMs = performance.now() + settleMs
        if (idleSince() < idleShare) break
      }
      const one = runFile(kind).finally(() => running.delete(one))
      running.add(one)
    }
    await Promise.race([...running, new Promise((resolve) => setTimeout(resolve, Math.max(50, settleMs / 4)))])
  }
}

if (plan.inOneProcess !== undefined) {
  await tell(run({ files: plan.inOneProcess, timeout: plan.timeoutMs, isolation: 'none' }))
  await tellUnloaded(plan.inOneProcess)
} else await runKinds()
isOver = true
events.end()
