// Unpacks a database server from the system's own package source into a folder of the project: no root, no service, nothing
// of the system's packages changes. apt gets lists, cache and status of its own; the packages are only extracted, and the
// server runs with the libraries that came with it, through the folder's own loader.
//
// Runs on any Node ≥ 18 and needs no package.
import { spawn, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync, chmodSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SetupProblem, minimumVersion, probe, versionAtLeast } from './find-server.mjs'

const wanted = {
  mariadb: { server: ['mariadb-server-core'], more: ['mariadb-client-core'], client: 'mariadb', binary: 'mariadbd', title: 'MariaDB' },
  mysql: { server: ['mysql-server-core'], more: [], client: 'mysql', binary: 'mysqld', title: 'MySQL' },
  // No server, but its own command line and mysqldump, for tests of clients: `server` is then `mysql`.
  'mysql-client': {
    server: ['mysql-client-core'],
    more: [],
    client: null,
    binary: 'mysql',
    beside: ['mysqldump'],
    title: 'MySQL command line',
    of: 'mysql',
  },
}

/** Folder of an unpacked server, and what stands in it once it is whole. */
export function unpackedInstall(projectDir, flavour) {
  const dir = join(projectDir, '.servers', flavour)
  const file = join(dir, 'install.json')
  if (!existsSync(file)) return null
  const { version, shareDir, client } = JSON.parse(readFileSync(file, 'utf8'))
  return {
    flavour,
    mysqld: join(dir, 'server'),
    basedir: join(dir, 'root', 'usr'),
    shareDir: join(dir, 'root', shareDir),
    client: client ? join(dir, 'client') : null,
    version,
    how: 'unpacked',
  }
}

/** @throws SetupProblem saying what is missing and what to do */
export async function unpackServer(projectDir, flavour, say = () => {}) {
  const had = unpackedInstall(projectDir, flavour)
  if (had !== null && probe(had.mysqld) !== null) return had
  const { title } = wanted[flavour]
  const cannot = (reason) =>
    new SetupProblem(`no ${title} server was found on this machine, and it cannot be unpacked here: ${reason}`, otherWays(flavour))
  if (process.platform !== 'linux') throw cannot(`that is done from Debian packages, and this is ${process.platform}`)
  for (const tool of ['apt-get', 'apt-cache', 'apt-config', 'dpkg-deb'])
    if (!onPath(tool)) throw cannot(`${tool} is missing (not a Debian or Ubuntu system?)`)

  const serversDir = join(projectDir, '.servers')
  mkdirSync(serversDir, { recursive: true })
  const staging = join(serversDir, `.unpacking-${flavour}-${process.pid}-${Date.now()}`)
  try {
    const version = await fetchAndExtract(staging, flavour, say, cannot)
    finish(staging, flavour, version, cannot)
    const dir = join(serversDir, flavour)
    rmSync(dir, { recursive: true, force: true })
    renameSync(staging, dir)
  } finally {
    rmSync(staging, { recursive: true, force: true })
  }
  const install = unpackedInstall(projectDir, flavour)
  const probed = install && probe(install.mysqld)
  if (!probed) throw cannot('the unpacked program does not run on this machine')
  return { ...install, version: probed.version }
}

async function fetchAndExtract(staging, flavour, say, cannot) {
  const { title, server, more } = wanted[flavour]
  const sources = sourcesFor(flavour)
  if (sources.length === 0)
    throw cannot('no Debian or Ubuntu package source is configured (/etc/apt/sources.list, /etc/apt/sources.list.d)')
  const config = writeAptConfig(join(staging, 'apt'), sources)
  const env = { ...process.env, APT_CONFIG: config, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' }
  say(`unpacking ${title} from ${sources.map((source) => source.name).join(', ')}`)

  const update = await runTool('apt-get', ['-qq', 'update'], env, 150_000)
  const available = aptVersion(server[0], env)
  if (available === null) {
    if (update.code !== 0 || update.output !== '')
      throw cannot(`the package lists could not be fetched: ${lastLine(update.output) || 'no answer'}`)
    throw cannot(`the package source has no ${server[0]}`)
  }
  const of = wanted[flavour].of ?? flavour
  if (!versionAtLeast(of, available))
    throw cannot(`the package source has ${title} ${available}, and ${minimumVersion[of]} or newer is needed`)
  const packages = [...server, ...more.filter((name) => aptVersion(name, env) !== null)]
  const install = await runTool('apt-get', ['-qq', '-y', '--download-only', 'install', ...packages], env, 170_000)
  if (install.code !== 0) throw cannot(`the packages could not be fetched: ${lastLine(install.output)}`)

  const root = join(staging, 'root')
  mkdirSync(root)
  const archives = join(staging, 'apt', 'cache', 'archives')
  for (const deb of readdirSync(archives).filter((name) => name.endsWith('.deb'))) {
    const extracted = await runTool('dpkg-deb', ['-x', join(archives, deb), root], env, 60_000)
    if (extracted.code !== 0) throw cannot(`${deb} could not be extracted: ${lastLine(extracted.output)}`)
  }
  rmSync(join(staging, 'apt'), { recursive: true, force: true })
  // What comes along only because a whole system would have it.
  for (const junk of ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/perl', 'usr/share/info'])
    rmSync(join(root, junk), { recursive: true, force: true })
  return available
}

/** Programs that run the unpacked binaries with their own loader and libraries, wherever the folder stands. */
function finish(staging, flavour, version, cannot) {
  const { binary, client } = wanted[flavour]
  const root = join(staging, 'root')
  const loader = findFile(root, (name) => /^ld-linux.*\.so\.\d+$/.test(name))
  const libc = findFile(root, (name) => name === 'libc.so.6')
  const program = findFile(join(root, 'usr'), (name, path) => name === binary && /\/s?bin\//.test(path))
  if (!loader || !libc || !program) throw cannot('the packages do not hold what was expected (loader, C library, server)')
  const inRoot = (path) => path.slice(root.length + 1)
  const libDirs = [
    ...new Set([dirname(libc), join(root, 'usr', 'lib', basename(dirname(libc))), join(root, 'lib', basename(dirname(libc)))]),
  ]
  const libs = [...libDirs, ...libDirs.map((dir) => join(dir, 'mysql', 'private')), join(root, 'usr/lib/mysql/private')].filter((dir) =>
    existsSync(dir),
  )
  const write = (name, target) => {
    const script = `#!/bin/sh
case $0 in */*) here=\${0%/*} ;; *) here=. ;; esac
exec "$here/root/${inRoot(loader)}" --library-path "${libs.map((dir) => `$here/root/${inRoot(dir)}`).join(':')}" "$here/root/${inRoot(target)}" "$@"
`
    writeFileSync(join(staging, name), script)
    chmodSync(join(staging, name), 0o755)
  }
  write('server', program)
  for (const beside of wanted[flavour].beside ?? []) {
    const found = findFile(join(root, 'usr'), (name, path) => name === beside && /\/bin\//.test(path))
    if (!found) throw cannot(`the packages do not hold ${beside}`)
    write(beside, found)
  }
  const clientProgram = findFile(join(root, 'usr'), (name, path) => name === client && /\/bin\//.test(path))
  if (clientProgram) write('client', clientProgram)
  const messages = findFile(join(root, 'usr/share'), (name, path) => name === 'errmsg.sys' && path.includes('/english/'))
  const shareDir = messages ? inRoot(dirname(dirname(messages))) : 'usr/share/mysql'
  const probed = probe(join(staging, 'server'))
  writeFileSync(
    join(staging, 'install.json'),
    `${JSON.stringify({ version: probed?.version ?? version, shareDir, client: Boolean(clientProgram) }, null, 2)}\n`,
  )
}

/** apt with nothing of the system's but its sources, keys and way to the network (proxies, time-outs). */
function writeAptConfig(dir, sources) {
  for (const sub of ['lists/partial', 'cache/archives/partial', 'log', 'empty']) mkdirSync(join(dir, sub), { recursive: true })
  writeFileSync(join(dir, 'status'), '')
  writeFileSync(join(dir, 'sources.list'), `${sources.flatMap((source) => source.lines).join('\n')}\n`)
  const dump = execFileSync('apt-config', ['dump', '--format', '%F "%v";%n', 'Acquire'], { encoding: 'utf8' })
  const network = dump.split('\n').filter((line) => /^Acquire::(http|https|Retries|Force|Check-|Queue)/i.test(line))
  const own = {
    'Dir::State': join(dir, 'state'),
    'Dir::State::lists': join(dir, 'lists'),
    'Dir::State::status': join(dir, 'status'),
    'Dir::Cache': join(dir, 'cache'),
    'Dir::Log': join(dir, 'log'),
    'Dir::Etc::parts': join(dir, 'empty'),
    'Dir::Etc::main': join(dir, 'empty', 'none'),
    'Dir::Etc::sourcelist': join(dir, 'sources.list'),
    'Dir::Etc::sourceparts': join(dir, 'empty'),
    'Dir::Etc::preferences': join(dir, 'empty', 'none'),
    'Dir::Etc::preferencesparts': join(dir, 'empty'),
    'APT::Sandbox::User': 'root',
    'APT::Install-Recommends': 'false',
    'APT::Install-Suggests': 'false',
    'APT::Update::Error-Mode': 'any',
    'Acquire::Languages': 'none',
    'Acquire::PDiffs': 'false',
    'Acquire::http::Timeout': '20',
    'Acquire::https::Timeout': '20',
    'Acquire::Retries': '2',
  }
  const file = join(dir, 'apt.conf')
  mkdirSync(join(dir, 'state'), { recursive: true })
  writeFileSync(file, [...network, ...Object.entries(own).map(([name, value]) => `${name} "${value}";`)].join('\n') + '\n')
  return file
}

/**
 * The machine's own sources, only those of the distribution. MySQL is in no stable Debian: it comes from the same mirror's
 * unstable suite, whose packages bring their own C library, so nothing of it meets the system's.
 */
function sourcesFor(flavour) {
  const own = systemSources()
  if (flavour === 'mariadb') return own
  const debian = own.find((source) => /\/debian\/?$/.test(source.uri))
  if (debian === undefined) return own
  return [{ ...debian, name: 'Debian unstable', lines: [`deb ${debian.options}${debian.uri} sid main`] }]
}

function systemSources() {
  const files = ['/etc/apt/sources.list', ...listDir('/etc/apt/sources.list.d').map((name) => join('/etc/apt/sources.list.d', name))]
  const sources = []
  for (const file of files) {
    let text
    try {
      text = readFileSync(file, 'utf8')
    } catch {
      continue
    }
    if (file.endsWith('.sources')) for (const stanza of text.split(/\n\s*\n/)) sources.push(...fromStanza(stanza))
    else if (file.endsWith('.list')) for (const line of text.split('\n')) sources.push(...fromLine(line))
  }
  return sources.filter((source) => /\/(debian|debian-security|ubuntu|ubuntu-ports)\/?$/.test(source.uri))
}

function fromLine(line) {
  const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+?)\s*(?:#.*)?$/.exec(line)
  if (match === null) return []
  const [, options, uri, suite, components] = match
  return [source(uri, [suite], components.split(/\s+/), options ? `[${options.trim()}] ` : '')]
}

function fromStanza(stanza) {
  const fields = {}
  let last = null
  for (const line of stanza.split('\n')) {
    if (line.startsWith('#')) continue
    const match = /^([\w-]+):\s*(.*)$/.exec(line)
    if (match !== null) fields[(last = match[1].toLowerCase())] = match[2].trim()
    else if (last !== null && /^\s/.test(line)) fields[last] += `\n${line.trim()}`
  }
  if (!/\bdeb\b/.test(fields.types ?? '') || /^no$/i.test(fields.enabled ?? '')) return []
  const key = fields['signed-by'] ?? ''
  // A key written out in the stanza cannot go on a line; apt's own trusted keys are tried instead.
  const options = key.startsWith('/') ? `[signed-by=${key.split(/\s+/).join(',')}] ` : ''
  return words(fields.uris).map((uri) => source(uri, words(fields.suites), words(fields.components), options))
}

function source(uri, suites, components, options) {
  const useful = components.filter((name) => name === 'main' || name === 'universe')
  const lines = suites.map((suite) => `deb ${options}${uri} ${suite} ${useful.length > 0 ? useful.join(' ') : 'main'}`)
  return { uri, options, lines, name: suites.join(', ') }
}

const words = (text) => (text ?? '').split(/\s+/).filter((word) => word !== '')

function aptVersion(name, env) {
  try {
    const text = execFileSync('apt-cache', ['policy', name], { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    const version = /Candidate:\s*(\S+)/.exec(text)?.[1]
    return version === undefined || version === '(none)' ? null : version.replace(/^\d+:/, '')
  } catch {
    return null
  }
}

function runTool(command, args, env, timeoutMs) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    const timer = setTimeout(() => {
      output += `\n${command} took longer than ${timeoutMs / 1000} s`
      child.kill('SIGKILL')
    }, timeoutMs)
    child.on('error', (error) => (output += error.message))
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, output: output.trim() })
    })
  })
}

function findFile(dir, matches) {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name)
    // Links lead out of the folder or to what is found anyway; a linked file counts when its target is there.
    if (entry.isDirectory()) {
      const found = findFile(path, matches)
      if (found !== null) return found
    } else if (matches(entry.name, path) && (entry.isFile() || (existsSync(path) && statSync(path).isFile()))) return path
  }
  return null
}

function otherWays(flavour) {
  const variable = flavour === 'mysql' ? 'SHARDWRIGHT_MYSQLD=/path/to/mysqld' : 'SHARDWRIGHT_MARIADBD=/path/to/mariadbd'
  const other = flavour === 'mysql' ? 'mariadb' : 'mysql'
  return [
    `install ${wanted[flavour].title} ${minimumVersion[flavour]} or newer (the server program is enough, no service is needed), or`,
    `name a server program by  ${variable}, or`,
    `use the other flavour:  --flavour ${other}`,
  ]
}

function onPath(tool) {
  return (process.env.PATH ?? '').split(':').some((dir) => dir !== '' && existsSync(join(dir, tool)))
}

function listDir(dir) {
  try {
    return readdirSync(dir).sort()
  } catch {
    return []
  }
}

function lastLine(text) {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return lines.find((line) => line.startsWith('E: ')) ?? lines.at(-1) ?? ''
}
