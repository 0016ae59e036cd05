// Makes a fresh clone runnable: Node packages (which bring the Node to run on), and a database server. The second time it
// only compares stamps. Runs on any Node ≥ 18 and needs no package.
//
//   node scripts/setup.mjs [--flavour mariadb|mysql|both] [--quiet]
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const projectDir = dirname(dirname(fileURLToPath(import.meta.url)))
const serversFile = join(projectDir, '.servers', 'servers.json')

/**
 * Packages and servers of these flavours. `optional` flavours may be missing: what is wrong with them is returned.
 * @returns {{ node: string, missing: { flavour: string, problem: Error }[] }}
 */
export async function setup({ flavours = ['mariadb'], optional = [], quiet = false } = {}) {
  const say = (text) => quiet || console.error(`setup: ${text}`)
  const wanted = [...flavours, ...optional]
  // All at once: they wait for three places of the network. What fails is told when the others are done.
  const [packages, ...servers] = await Promise.allSettled([installPackages(say), ...wanted.map((flavour) => provideServer(flavour, say))])
  if (packages.status === 'rejected') throw packages.reason
  const missing = []
  for (const [i, server] of servers.entries()) {
    if (server.status !== 'rejected') continue
    if (i < flavours.length) throw server.reason
    missing.push({ flavour: wanted[i], problem: server.reason })
  }
  return { node: runtime(), missing }
}

/** The Node that runs this project: 24 or newer, from the packages or the one that runs now. */
export function runtime() {
  const own = join(projectDir, 'node_modules', '.bin', 'node')
  if (existsSync(own)) return own
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  throw problem(`Node 24 is needed; this is ${process.version} on ${process.platform}-${process.arch}, for which no package brings it`, [
    'install Node 24 or newer and run this again with it',
  ])
}

async function installPackages(say) {
  const lock = join(projectDir, 'package-lock.json')
  const stampFile = join(projectDir, 'node_modules', '.shardwright-stamp')
  const text = existsSync(lock) ? readFileSync(lock) : readFileSync(join(projectDir, 'package.json'))
  const stamp = `${createHash('sha256').update(text).digest('hex')} ${process.platform}-${process.arch}`
  if (readOr(stampFile, '') === stamp) return
  // What follows is loaded only when there is something to do: the second time must take no time.
  const { installNodePackages } = await import('./packages.mjs')
  await installNodePackages(projectDir, say)
  const check = spawnSync(runtime(), ['--version'], { encoding: 'utf8' })
  const major = Number(/^v(\d+)/.exec(check.stdout ?? '')?.[1] ?? 0)
  if (major < 24) {
    const said = check.error?.message ?? (check.stderr || check.stdout).trim().split('\n')[0]
    throw problem(`${runtime()} does not run as Node 24 here (${said})`, [
      'it needs glibc 2.28 or newer; else install Node 24 or newer and run this again with it',
    ])
  }
  writeFileSync(stampFile, stamp)
}

async function provideServer(flavour, say) {
  const servers = readServers()
  const had = servers[flavour]
  const environment = `${process.env[flavour === 'mysql' ? 'SHARDWRIGHT_MYSQLD' : 'SHARDWRIGHT_MARIADBD'] ?? ''}|${process.env.SHARDWRIGHT_IGNORE_SYSTEM_SERVERS ?? ''}`
  if (
    had !== undefined &&
    had.stamp === stampOf(had.mysqld) &&
    had.environment === environment &&
    (had.how !== 'unpacked' || had.mysqld.startsWith(projectDir))
  )
    return
  const { findServer } = await import('./find-server.mjs')
  const { unpackServer } = await import('./unpack-server.mjs')
  const started = Date.now()
  const install = findServer(flavour) ?? (await unpackServer(projectDir, flavour, say))
  writeServers({ ...readServers(), [flavour]: { ...install, stamp: stampOf(install.mysqld), environment } })
  say(`${flavour} ${install.version} ${install.how}: ${install.mysqld} (${seconds(started)})`)
}

function stampOf(file) {
  try {
    const { mtimeMs, size } = statSync(file)
    return `${Math.round(mtimeMs)}-${size}`
  } catch {
    return 'missing'
  }
}

function readServers() {
  try {
    return JSON.parse(readFileSync(serversFile, 'utf8'))
  } catch {
    return {}
  }
}

function writeServers(servers) {
  mkdirSync(dirname(serversFile), { recursive: true })
  const temporary = `${serversFile}.${process.pid}`
  writeFileSync(temporary, `${JSON.stringify(servers, null, 2)}\n`)
  renameSync(temporary, serversFile)
}

function readOr(file, otherwise) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return otherwise
  }
}

function problem(what, ways) {
  return Object.assign(new Error(what), { ways })
}

const seconds = (started) => `${((Date.now() - started) / 1000).toFixed(1)} s`

/** Prints a problem as a person can use it, and ends with 1. */
export function fail(error) {
  console.error(`\nset-up cannot go on: ${error.message}`)
  for (const way of error.ways ?? []) console.error(`  - ${way}`)
  if (error.ways === undefined) console.error(error.stack)
  process.exit(1)
}

/** `--flavour x` or `--flavour=x` among arguments; null when absent. */
export function flavourArgument(args) {
  const at = args.findIndex((arg) => arg === '--flavour' || arg.startsWith('--flavour='))
  if (at < 0) return null
  const value = args[at].includes('=') ? args[at].split('=')[1] : args[at + 1]
  if (value === 'mariadb' || value === 'mysql' || value === 'both') return value
  throw problem(`--flavour ${value ?? ''}: unknown`, ['use  --flavour mariadb, mysql or both'])
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const args = process.argv.slice(2)
    const flavour = flavourArgument(args) ?? 'mariadb'
    const { node } = await setup({ flavours: flavour === 'both' ? ['mariadb', 'mysql'] : [flavour], quiet: args.includes('--quiet') })
    const { ensureConsole } = await import('./build-console.mjs')
    const unbuilt = ensureConsole(node)
    if (unbuilt !== null) console.error(`setup: ${unbuilt}`)
  } catch (error) {
    fail(error)
  }
}
