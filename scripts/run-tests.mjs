// Test files, each kind begun in the order given (node --test sorts them by name).
//   node … scripts/run-tests.mjs '{"inOneProcess": FILES, "timeoutMs": N}'          all in this one, one after the other
//   node … scripts/run-tests.mjs '{"atOnce": N, "kinds": [{"files": FILES, "atOnce": N, "timeoutMs": N}, …]}'
//                                each in a process of its own; the first kind that has a file left and is not at its own limit goes first
//     "atOnceMax": N             up to so many while the processors have been idle for a share of the time ("idleShare", of the last "settleMs")
import { cpus } from 'node:os'
import { relative, resolve } from 'node:path'
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

async function tell(tests) {
  for await (const event of tests) take(event)
}

/**
 * In one process the runner passes over what a file throws beside its tests, once it has begun one, and those behind it are never begun. Imported again, a module throws the same again and runs nothing.
 */
async function tellUnloaded(files) {
  for (const path of files) {
    const file = resolve(path)
    if (failed.has(file)) continue
    await import(pathToFileURL(file).href).catch((error) =>
      take({ type: 'test:fail', data: { name: relative(process.cwd(), file), file, nesting: 1, details: { error } } }),
    )
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
  // The limit is each test's. A file whose process does not end, since something was left open, is ended too, and named; several may hang in it.
  const signal = AbortSignal.timeout(3 * kind.timeoutMs)
  await tell(run({ files: [kind.left.shift()], timeout: kind.timeoutMs, signal }))
  kind.running--
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
