// npm test: set-up, checks, and all tests in order of what they need.   npm test -- FILTER…  runs only the files whose
// path has one of the filters in it, without the checks.   SHARDWRIGHT_TEST_FLAVOURS=mariadb limits the servers.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { runChecks } from './check.mjs'
import { useCompileCache } from './compile-cache.mjs'
import { fail, projectDir, setup } from './setup.mjs'
import { leftPlaces, testPlace } from './test-place.mjs'

const limitMs = Number(process.env.SHARDWRIGHT_TEST_LIMIT_S ?? 3600) * 1000
const filters = process.argv.slice(2).filter((arg) => !arg.startsWith('-'))
const started = Date.now()

/** Of the servers that control provisions in a test: a new data directory is taken as it is. */
const provisioned = { bufferPoolBytes: 64 * 1024 * 1024, redoLogBytes: 48 * 1024 * 1024 }

/** Begun first, the longest before the others, for none of them to be alone at the end. */
const long = `
  ladder/ladder switch/fence-switch move/merge switch/crash verify/values verify/directions change/fleet-carry topic/kafka/kafka
  move/rules move/crash switch/mover move/hang-watch move/pace binlog/column-values gate/replica-reads
  expiry.e2e crash.e2e hybrid.e2e sabotage.e2e dualwrite.e2e switch.e2e ingest-torture.e2e clients.e2e reshard.e2e
`
  .trim()
  .split(/\s+/)

/** Tests without servers keep a processor busy each; the others mostly wait for servers and for one another. None may depend on how fast it goes. */
const groups = [
  {
    name: 'unit',
    files: (path) => path.endsWith('.test.ts') && !path.endsWith('.db.test.ts'),
    in: ['src', 'test'],
    processes: 2,
    concurrency: 0,
    timeoutMs: 300_000,
  },
  { name: 'with servers', files: (path) => path.endsWith('.db.test.ts'), in: ['src', 'test'], concurrency: 3, timeoutMs: 480_000 },
  { name: 'end to end', files: (path) => path.endsWith('.e2e.test.ts'), in: ['test'], concurrency: 2, timeoutMs: 900_000 },
]

try {
  useCompileCache()
  const { node, missing } = await setup({ flavours: ['mariadb'], optional: ['mysql'] })
  for (const { problem } of missing) console.error(`MySQL is not tested: ${problem.message}`)
  const total = { passed: 0, failed: 0, skipped: 0, failedNames: [] }
  if (filters.length === 0) add(total, await runChecks())
  const taken = new Set()
  for (const group of groups.toReversed?.() ?? [...groups].reverse()) group.list = take(group, taken)
  if (filters.length > 0 && taken.size === 0)
    throw Object.assign(new Error(`no test file has ${filters.join(' or ')} in its path`), { ways: [] })
  await tidy(node, leftPlaces())
  const place = testPlace()
  const env = { SHARDWRIGHT_SERVER_SETTINGS: JSON.stringify(provisioned), ...(place === null ? {} : { TMPDIR: place }) }
  for (const group of groups) add(total, await runGroup(node, group, env))
  if (process.env.SHARDWRIGHT_KEEP === undefined) await tidy(node, place === null ? [] : [place])
  finish(total, missing)
} catch (error) {
  fail(error)
}

function take(group, taken) {
  const files = group.in.flatMap((dir) => filesUnder(join(projectDir, dir)))
  return files
    .map((file) => relative(projectDir, file))
    .filter((path) => group.files(path) && !taken.has(path) && (filters.length === 0 || filters.some((filter) => path.includes(filter))))
    .map((path) => (taken.add(path), path))
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
  if (group.list.length === 0) return result
  const leftMs = limitMs - (Date.now() - started)
  if (leftMs <= 0)
    return { ...result, failed: 1, failedNames: [`${group.name}: not run, the time limit of ${limitMs / 1000} s was reached`] }
  console.log(`\n${group.name}: ${group.list.length} files`)
  const { processes = 1 } = group
  const shares = Array.from({ length: processes }, (_, n) => longestFirst(group.list).filter((_path, i) => i % processes === n))
  const ended = await Promise.all(shares.filter((share) => share.length > 0).map((share) => runFiles(node, group, share, env, leftMs)))
  for (const one of ended) add(result, one)
  return result
}

/** In one process, which begins another for each file or (concurrency 0) has them all. */
async function runFiles(node, group, files, env, leftMs) {
  const result = { passed: 0, failed: 0, skipped: 0, failedNames: [] }
  const dir = mkdtempSync(join(tmpdir(), 'shardwright-tally-'))
  const tallyFile = join(dir, 'tally')
  const args = [
    '--disable-warning=ExperimentalWarning',
    '--import=./scripts/end-of-process.mjs',
    'scripts/run-tests.mjs',
    String(group.concurrency),
    String(group.timeoutMs),
    ...files,
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

function finish(total, missing) {
  console.log('')
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
