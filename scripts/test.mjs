// npm test: set-up, checks, and all tests in order of what they need.   npm test -- FILTER…  runs only the files whose
// path has one of the filters in it, without the checks.   SHARDWRIGHT_TEST_FLAVOURS=mariadb limits the servers.
// SHARDWRIGHT_TEST_AGAIN=N: up to N files with servers that failed beside others are run again, each by itself, twice at most; what passes then is named as unsteady, its failure shown, and is none.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, existsSync } from 'node:fs'
import { freemem, tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { runChecks } from './check.mjs'
import { useCompileCache } from './compile-cache.mjs'
import { fail, projectDir, setup } from './setup.mjs'
import { leftPlaces, testPlace } from './test-place.mjs'

const limitMs = Number(process.env.SHARDWRIGHT_TEST_LIMIT_S ?? 3600) * 1000
const againMax = Number(process.env.SHARDWRIGHT_TEST_AGAIN ?? 0)
const filters = process.argv.slice(2).filter((arg) => !arg.startsWith('-'))
const started = Date.now()

/** Of the servers that control provisions in a test: a new data directory is taken as it is. */
const provisioned = { bufferPoolBytes: 64 * 1024 * 1024, redoLogBytes: 48 * 1024 * 1024 }

/** Begun first, the longest before the others, for none of them to be alone at the end. */
const long = `
  move/crash-ddl move/hang-watch move/copy-again move/merge.db change/dualwrite-checks move/sigkill switch/crash move/ddl-executed gate/abandoned
  move/crash-held ladder/ladder move/crash.db gate/slow-clients move/merge-ddl switch/claim gate/lookup.db switch/fence-switch switch/in-doubt
  switch/session-locks gate/xa.db move/landed-ranges gate/deadlocks move/ddl.db gate/changed-beside verify/ranges switch/fence-conformance change/fleet-carry
  switch/mover gate/rolled-back local/local-servers move/visibility move/start-ddl move/lock-waits move/keys.db move/xa.db ingest/rules
  move/pace move/large-rows clients/node gate/prepared-types verify/identifiers gate/left-diagnostics oracle/oracle
  gate/replica-reads binlog/tail.db move/rules topology/etcd change/merge-checks gate/large-packets verify/directions topic/kafka/kafka.db move/stop
  models/streams models/switch.model models/merge fuzz/fuzz.test models/landing binlog/group-decoder models/ingest wire/frames log/crash.test
  expiry.e2e crash.e2e hybrid.e2e dualwrite.e2e ingest-torture.e2e sabotage.e2e switch.e2e clients.e2e console.e2e torture-move.e2e
`
  .trim()
  .split(/\s+/)

const isLong = (path) => long.some((part) => path.includes(part))
/** An `await` beside their tests. */
const own = ['topic/kafka/']

/** Without servers, and yet they wait: for the clock, or for processes. Among those that have a process each they cost nobody anything. */
const waiting = ['src/change/dualwrite-watch.test.ts', 'src/workflow/engine.test.ts', 'test/run-tests.test.ts']
const isEndToEnd = (path) => path.endsWith('.e2e.test.ts')
const hasServers = (path) => path.endsWith('.db.test.ts') || waiting.includes(path)
/** Of those with servers, in a process of their own: the long ones, for others to run beside them, and those that cannot stand behind another. */
const hasOwnProcess = (path) => hasServers(path) && (isLong(path) || waiting.includes(path) || own.some((part) => path.includes(part)))
const isUnit = (path) => path.endsWith('.test.ts') && !isEndToEnd(path) && !hasServers(path)

/**
 * Tests without servers keep a processor busy each, but for moments: three processes for two. The others mostly wait, for servers and for one another: three files at once,
 * of which two are end to end as long as there are such, and more whenever the processors are idle and there is memory. None may depend on how fast it goes.
 */
const groups = [
  { name: 'unit', processes: 3, timeoutMs: 300_000, kinds: [{ files: isUnit, in: ['src', 'test'] }] },
  {
    name: 'end to end, and with servers',
    atOnce: 4,
    atOnceMax: Math.max(4, Math.min(8, Math.floor(freemem() / (2 * 1024 ** 3)))),
    kinds: [
      { files: isEndToEnd, in: ['test'], atOnce: 2, timeoutMs: 300_000 },
      { files: hasOwnProcess, in: ['src', 'test'], atOnce: 8, timeoutMs: 300_000 },
      { files: (path) => hasServers(path) && !hasOwnProcess(path), in: ['src', 'test'], together: 8, atOnce: 8, timeoutMs: 300_000 },
    ],
  },
]

try {
  useCompileCache()
  const { node, missing } = await setup({ flavours: ['mariadb'], optional: ['mysql'] })
  for (const { problem } of missing) console.error(`MySQL is not tested: ${problem.message}`)
  const total = { passed: 0, failed: 0, skipped: 0, failedNames: [] }
  if (filters.length === 0) add(total, await runChecks())
  const taken = groups.flatMap(({ kinds }) => kinds.flatMap((kind) => (kind.list = longestFirst(filesOf(kind)))))
  if (filters.length > 0 && taken.length === 0)
    throw Object.assign(new Error(`no test file has ${filters.join(' or ')} in its path`), { ways: [] })
  await tidy(node, leftPlaces())
  const place = testPlace()
  const env = { SHARDWRIGHT_SERVER_SETTINGS: JSON.stringify(provisioned), ...(place === null ? {} : { TMPDIR: place }) }
  const unsteady = []
  for (const group of groups) {
    let result = await runGroup(node, group, env)
    for (let round = 0; round < 2 && result.failed > 0; round++) result = await againAlone(node, group, env, result, unsteady)
    add(total, result)
  }
  if (process.env.SHARDWRIGHT_KEEP === undefined) await tidy(node, place === null ? [] : [place])
  finish(total, missing, unsteady)
} catch (error) {
  fail(error)
}

function filesOf(kind) {
  return kind.in
    .flatMap((dir) => filesUnder(join(projectDir, dir)))
    .map((file) => relative(projectDir, file))
    .filter((path) => kind.files(path) && (filters.length === 0 || filters.some((filter) => path.includes(filter))))
}

/** Ends the servers under these directories, and those whose test process is no more, with all that they hold. */
async function tidy(node, places) {
  const script = `import('./test/kit/servers.ts').then((kit) => kit.removeLeftovers(${JSON.stringify(places)}))`
  await run(node, ['--disable-warning=ExperimentalWarning', '-e', script], {}, 30_000)
}

function longestFirst(list) {
  const place = (path) => {
    const found = long.findIndex((part) => path.includes(part))
    return found < 0 ? long.length : found
  }
  return [...list].sort((a, b) => place(a) - place(b))
}

async function runGroup(node, group, env) {
  const result = { passed: 0, failed: 0, skipped: 0, failedNames: [] }
  const count = group.kinds.reduce((sum, { list }) => sum + list.length, 0)
  if (count === 0) return result
  const leftMs = limitMs - (Date.now() - started)
  if (leftMs <= 0)
    return { ...result, failed: 1, failedNames: [`${group.name}: not run, the time limit of ${limitMs / 1000} s was reached`] }
  console.log(`\n${group.name}: ${count} files`)
  for (const one of await Promise.all(plansOf(group).map((plan) => runFiles(node, group, plan, env, leftMs)))) add(result, one)
  return result
}

/** Where nothing else takes the processors: what fails again is wrong, what does not depends on how fast it goes. */
async function againAlone(node, group, env, result, unsteady) {
  const names = result.failedNames
  const kinds = group.kinds.map(({ list, timeoutMs }) => ({ files: list.filter((path) => names.includes(path)), atOnce: 1, timeoutMs }))
  const found = kinds.reduce((sum, { files }) => sum + files.length, 0)
  const leftMs = limitMs - (Date.now() - started)
  if (group.processes !== undefined || names.length > againMax || found === 0 || found < names.length || leftMs <= 0) return result
  console.log(`\nagain, one at a time: ${names.join(', ')}`)
  const second = await runFiles(node, group, { atOnce: 1, kinds }, env, leftMs)
  unsteady.push(...names.filter((name) => !second.failedNames.includes(name)))
  return { ...result, passed: result.passed + result.failed - second.failed, failed: second.failed, failedNames: second.failedNames }
}

/** What each of its processes is told (scripts/run-tests.mjs): to have its share of the files itself, or to begin a process for each file. */
function plansOf({ processes, atOnce, atOnceMax, timeoutMs, kinds }) {
  if (processes === undefined)
    return [
      {
        atOnce,
        atOnceMax,
        kinds: kinds.map(({ list, together, atOnce, timeoutMs }) => ({
          files: together === undefined ? list : inLots(list, together),
          atOnce,
          timeoutMs,
        })),
      },
    ]
  const shares = Array.from({ length: processes }, (_, n) => kinds[0].list.filter((_path, i) => i % processes === n))
  return shares.filter((share) => share.length > 0).map((share) => ({ inOneProcess: share, timeoutMs }))
}

/** Neighbours, since they share the most. */
function inLots(list, most) {
  const size = Math.ceil(list.length / Math.ceil(list.length / most))
  return Array.from({ length: Math.ceil(list.length / most) }, (_, n) => list.slice(n * size, (n + 1) * size)).filter(
    (lot) => lot.length > 0,
  )
}

async function runFiles(node, group, plan, env, leftMs) {
  const result = { passed: 0, failed: 0, skipped: 0, failedNames: [] }
  const dir = mkdtempSync(join(tmpdir(), 'shardwright-tally-'))
  const tallyFile = join(dir, 'tally')
  const args = [
    '--disable-warning=ExperimentalWarning',
    '--import=./scripts/lean-runner.mjs',
    '--import=./scripts/end-of-process.mjs',
    'scripts/run-tests.mjs',
    JSON.stringify(plan),
  ]
  const code = await run(node, args, { ...env, SHARDWRIGHT_TEST_TALLY: tallyFile }, leftMs)
  const tally = existsSync(tallyFile) ? JSON.parse(readFileSync(tallyFile, 'utf8').trim().split('\n').at(-1)) : null
  rmSync(dir, { recursive: true, force: true })
  if (tally !== null) {
    Object.assign(result, { passed: tally.passed, failed: tally.failed, skipped: tally.skipped, failedNames: tally.failedFiles })
  }
  if (code !== 0 && result.failed === 0) {
    result.failed = 1
    result.failedNames.push(
      `${group.name}: ${code === 'limit' ? `stopped at the time limit of ${limitMs / 1000} s` : `the test runner ended with ${code}`}`,
    )
  }
  return result
}

function run(node, args, env, timeoutMs) {
  return new Promise((resolve) => {
    const path = `${join(projectDir, 'node_modules', '.bin')}:${process.env.PATH ?? ''}`
    // A group of its own, so that at the limit whatever the tests started ends too.
    const child = spawn(node, args, {
      cwd: projectDir,
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
      env: { ...process.env, PATH: path, ...env },
    })
    const kill = (signal) => {
      try {
        process.kill(-child.pid, signal)
      } catch {}
    }
    let limited = false
    const timer = setTimeout(() => {
      limited = true
      kill('SIGKILL')
    }, timeoutMs)
    const onSignal = (signal) => {
      kill(signal)
      setTimeout(() => kill('SIGKILL'), 2_000).unref()
      process.exitCode = 1
    }
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
    child.on('error', (error) => console.error(error.message))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
      if (signal !== null && !limited) process.exit(1)
      resolve(limited ? 'limit' : code)
    })
  })
}

function add(total, result) {
  total.passed += result.passed
  total.failed += result.failed
  total.skipped += result.skipped ?? 0
  total.failedNames.push(...result.failedNames)
}

function finish(total, missing, unsteady) {
  console.log('')
  for (const name of unsteady) console.log(`unsteady: ${name} failed beside others and passed by itself; why stands above`)
  for (const name of total.failedNames) console.log(`failed: ${name}`)
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
  const untested = missing.length > 0 ? ` (not on ${missing.map((entry) => entry.flavour).join(', ')})` : ''
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}${untested} in ${Math.round((Date.now() - started) / 1000)} s`)
  process.exit(total.failed > 0 ? 1 : 0)
}

function filesUnder(dir) {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      if (entry.name === 'node_modules') return []
      return entry.isDirectory() ? filesUnder(join(dir, entry.name)) : [join(dir, entry.name)]
    })
}
