// Database servers that the machine has already. Runs on any Node ≥ 18 and needs no package.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Something that set-up cannot do by itself: what it is, and the ways out. */
export class SetupProblem extends Error {
  constructor(what, ways = []) {
    super(what)
    this.ways = ways
  }
}

export const minimumVersion = { mariadb: '10.11', mysql: '8.4' }
const variables = { mariadb: 'SHARDWRIGHT_MARIADBD', mysql: 'SHARDWRIGHT_MYSQLD' }
const names = { mariadb: ['mariadbd', 'mysqld'], mysql: ['mysqld'] }

/** A server of this flavour, named by the user or found on the machine; null when there is none. */
export function findServer(flavour) {
  const named = process.env[variables[flavour]]
  if (named) return namedServer(flavour, named)
  if (process.env.SHARDWRIGHT_IGNORE_SYSTEM_SERVERS) return null
  const seen = new Set()
  for (const path of candidates(flavour)) {
    const real = realpathSync(path)
    if (seen.has(real)) continue
    seen.add(real)
    if (isConfined(flavour, real)) continue
    const probed = probe(real)
    if (probed === null || probed.flavour !== flavour || !versionAtLeast(flavour, probed.version)) continue
    const install = describe(flavour, real, probed.version, 'found')
    if (install !== null) return install
  }
  return null
}

function namedServer(flavour, path) {
  const variable = variables[flavour]
  const wrong = (reason) =>
    new SetupProblem(`${variable}=${path}: ${reason}`, [
      `name a server program of ${minimumVersion[flavour]} or newer, or unset ${variable}`,
    ])
  if (!existsSync(path)) throw wrong('there is no such file')
  const probed = probe(path)
  if (probed === null) throw wrong('it does not run, or does not tell its version as a server does')
  if (probed.flavour !== flavour) throw wrong(`it is ${probed.flavour} ${probed.version}`)
  if (!versionAtLeast(flavour, probed.version))
    throw wrong(`version ${probed.version} is too old: ${minimumVersion[flavour]} or newer is needed`)
  const install = describe(flavour, realpathSync(path), probed.version, 'named')
  if (install === null) throw wrong('the files that make its system tables are not beside it (share/mysql, share/mariadb)')
  return install
}

/** Flavour and version by the program's own word. */
export function probe(program) {
  const run = spawnSync(program, ['--no-defaults', '--version'], { encoding: 'utf8', timeout: 20_000 })
  if (run.status !== 0) return null
  const match = /Ver\s+(\d+\.\d+\.\d+)(\S*)/.exec(run.stdout)
  return match === null ? null : { flavour: /mariadb/i.test(match[2]) ? 'mariadb' : 'mysql', version: match[1] }
}

export function versionAtLeast(flavour, version) {
  const [major, minor] = version.split('.').map((part) => Number.parseInt(part, 10))
  const [needMajor, needMinor] = minimumVersion[flavour].split('.').map(Number)
  return major > needMajor || (major === needMajor && minor >= needMinor)
}

function describe(flavour, mysqld, version, how) {
  const basedir = dirname(dirname(mysqld))
  const client =
    [flavour === 'mariadb' ? 'mariadb' : 'mysql', 'mysql'].map((name) => join(basedir, 'bin', name)).find((path) => existsSync(path)) ??
    null
  if (flavour === 'mysql') return { flavour, mysqld, basedir: null, shareDir: null, client, version, how }
  const shareDir = ['mysql', 'mariadb', ''].map((name) => join(basedir, 'share', name)).find(hasSystemTables)
  if (shareDir === undefined) return null
  return { flavour, mysqld, basedir: basedir === '/usr' ? null : basedir, shareDir, client, version, how }
}

function hasSystemTables(dir) {
  return ['mysql_system_tables.sql', 'mariadb_system_tables.sql'].some((name) => existsSync(join(dir, name)))
}

/** Ubuntu's profile keeps the packaged mysqld out of every directory but its own. */
function isConfined(flavour, real) {
  return (
    flavour === 'mysql' &&
    real === '/usr/sbin/mysqld' &&
    existsSync('/etc/apparmor.d/usr.sbin.mysqld') &&
    existsSync('/sys/kernel/security/apparmor')
  )
}

function candidates(flavour) {
  const dirs = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/libexec', '/usr/local/sbin', '/usr/local/bin']
  for (const parent of ['/usr/local', '/opt', '/opt/homebrew/opt']) {
    for (const name of list(parent)) if (/mysql|mariadb/i.test(name)) dirs.push(join(parent, name, 'bin'), join(parent, name, 'sbin'))
  }
  const paths = names[flavour].flatMap((name) => dirs.filter((dir) => dir !== '').map((dir) => join(dir, name)))
  return paths.filter((path) => existsSync(path))
}

function list(dir) {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
