/** The clients: what each needs, how it is got by the ordinary package clients, and how it is run. What can't be had is told with its reason. */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Case, Database, Param } from './cases.ts'
import { account } from './world.ts'

const here = import.meta.dirname
export const projectDir = join(here, '..', '..')
/** Kept from run to run. */
const kept = join(projectDir, '.clients')

export type Place = {
  readonly port: number
  readonly tls: string | null
  readonly dir: string
  readonly database: Database
  readonly cases: readonly Case[]
  readonly direct: boolean
}
/** `told`: one text for each outcome, in order. */
export type Ran = { readonly told: string[]; readonly problem: string | null }
export type Client = {
  readonly name: string
  /** Not asked over shards: it does not ask the cases, or tells of answers what no two of them agree in. */
  readonly onlyUnsharded?: boolean
  /** Servers of the other kind do not let it in. */
  readonly only?: 'mysql'
  /** Makes it ready. Throws with the reason for which it can't be had. */
  install(): void
  run(place: Place): Promise<Ran>
}

const node = [process.execPath, '--disable-warning=ExperimentalWarning'] as const
const python = join(kept, 'python', 'bin', 'python')

export function command(program: string, args: readonly string[], options: { cwd?: string; limitS?: number } = {}): void {
  const { cwd, limitS = 300 } = options
  const ran = spawnSync(program, args, { encoding: 'utf8', timeout: limitS * 1000, ...(cwd === undefined ? {} : { cwd }) })
  if (ran.status === 0) return
  const said = `${ran.stderr ?? ''}${ran.stdout ?? ''}`.trim().split('\n').slice(-3).join(' ')
  throw new Error(`${program} ${args.slice(0, 3).join(' ')}: ${ran.error?.message ?? said}`)
}

function has(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
}

function needs(program: string): void {
  if (!has(program)) throw new Error(`${program} is not installed`)
}

export function installNode(): void {
  const dir = join(kept, 'node')
  if (existsSync(join(dir, 'node_modules', 'mariadb')) && existsSync(join(dir, 'node_modules', 'sequelize'))) return
  mkdirSync(dir, { recursive: true })
  cpSync(join(here, 'node', 'package.json'), join(dir, 'package.json'))
  command('npm', ['install', '--no-audit', '--no-fund', '--prefix', dir])
}

function installPython(imported: string): void {
  needs('python3')
  if (!existsSync(python)) command('python3', ['-m', 'venv', join(kept, 'python')])
  if (spawnSync(python, ['-c', `import ${imported}`]).status === 0) return
  const packages = {
    pymysql: ['PyMySQL', 'cryptography'],
    MySQLdb: ['mysqlclient'],
    'mysql.connector': ['mysql-connector-python'],
    sqlalchemy: ['SQLAlchemy'],
  }
  if (imported === 'MySQLdb' && !has('mariadb_config') && process.getuid?.() === 0) {
    command('apt-get', ['update', '-q'])
    command('apt-get', ['install', '-y', '-q', 'libmariadb-dev', 'pkg-config', 'python3-dev', 'gcc'])
  }
  command(python, ['-m', 'pip', 'install', '-q', ...packages[imported as keyof typeof packages]])
}

const nodeModule = (name: string, file: string): string => join(kept, 'node', 'node_modules', name, file)

export const nodeClients: readonly Client[] = [
  { name: 'mysql2 (Node)', install() {}, run: (place) => byLines([...node, join(here, 'node', 'mysql2.ts'), configOf(place)]) },
  {
    name: 'mariadb (Node)',
    install: installNode,
    run: (place) => byLines([...node, join(here, 'node', 'mariadb.ts'), configOf(place), nodeModule('mariadb', 'promise.js')]),
  },
  {
    name: 'Sequelize (mysql2)',
    onlyUnsharded: true,
    install: installNode,
    run: (place) => byLines([...node, join(here, 'node', 'sequelize.ts'), configOf(place), nodeModule('sequelize', 'lib/index.js')]),
  },
]

const pythonClients: readonly Client[] = (
  [
    ['PyMySQL', 'pymysql', 'pymysql'],
    ['mysqlclient', 'MySQLdb', 'mysqlclient'],
    ['MySQL Connector/Python', 'mysql.connector', 'connector'],
  ] as const
).flatMap(([name, imported, argument]): Client[] => [
  {
    name,
    install: () => installPython(imported),
    run: (place) => byLines([python, join(here, 'python', 'cases.py'), configOf(place), argument]),
  },
  {
    name: `SQLAlchemy (${name})`,
    onlyUnsharded: true,
    install: () => (installPython(imported), installPython('sqlalchemy')),
    run: (place) => byLines([python, join(here, 'python', 'sqlalchemy_cases.py'), configOf(place), argument]),
  },
])

const goProgram = join(kept, 'go', 'cases')
const goClient: Client = {
  name: 'go-sql-driver/mysql',
  install() {
    needs('go')
    if (existsSync(goProgram)) return
    mkdirSync(join(kept, 'go'), { recursive: true })
    command('go', ['build', '-o', goProgram, '.'], { cwd: join(here, 'go') })
  },
  run: (place) => byLines([goProgram, configOf(place)]),
}

const connector = 'mysql-connector-j-9.1.0.jar'
/**
 * Asked for a cursor, the gate gives the rows at once: so what it says is compared with what the server says without one. (A server's cursor reads a temporary
 * table, whose columns it describes otherwise, and which Connector/J 9.1 can not always read on MySQL 9.7.)
 */
const javaClients = (
  [
    ['Connector/J', '', ''],
    ['Connector/J, server-side prepared', '&useServerPrepStmts=true', ''],
    ['Connector/J, cursors', '&useServerPrepStmts=true', '&useCursorFetch=true'],
  ] as const
).map(([name, more, atTheGate]): Client => ({
  name,
  install() {
    needs('javac')
    const dir = join(kept, 'java')
    if (!existsSync(join(dir, connector))) {
      needs('mvn')
      command('mvn', ['-q', 'dependency:copy', '-Dartifact=com.mysql:mysql-connector-j:9.1.0', `-DoutputDirectory=${dir}`], { cwd: here })
    }
    command('javac', ['-d', dir, join(here, 'java', 'Cases.java')])
  },
  run: (place) =>
    byLines([
      'java',
      '-cp',
      `${join(kept, 'java')}:${join(kept, 'java', connector)}`,
      'Cases',
      javaConfig(place, more + (place.direct ? '' : atTheGate)),
    ]),
}))

type CommandLine = { readonly name: string; readonly program: string; readonly own: boolean }

/** What Debian calls mysql is MariaDB's; MySQL's own is unpacked beside it. */
const mysqlsOwn = join(projectDir, '.servers', 'mysql-client')

function installMysqlsOwn(): void {
  const script = `import('./scripts/unpack-server.mjs').then((m) => m.unpackServer(process.cwd(), 'mysql-client'))`
  command(process.execPath, ['-e', script], { cwd: projectDir })
}

function secured({ own }: CommandLine, tls: string | null): string[] {
  if (own) return tls === null ? ['--ssl-mode=DISABLED', '--get-server-public-key'] : ['--ssl-mode=VERIFY_CA', `--ssl-ca=${tls}`]
  return tls === null ? ['--skip-ssl'] : [`--ssl-ca=${tls}`, '--ssl-verify-server-cert']
}

const lines: readonly CommandLine[] = [
  { name: 'mysql command line', program: 'mysql', own: false },
  { name: 'mariadb command line', program: 'mariadb', own: false },
  { name: "MySQL's own command line", program: join(mysqlsOwn, 'server'), own: true },
]

const commandLines = lines.map((line): Client => ({
  name: line.name,
  onlyUnsharded: true,
  ...(line.own && { only: 'mysql' as const }),
  install: () => (line.own ? installMysqlsOwn() : needs(line.program)),
  async run(place) {
    const { program } = line
    const script = place.cases.filter((one) => one.params === undefined && one.loose !== true).map((one) => `${one.sql};`)
    const secure = secured(line, place.tls)
    const args = [
      '-h127.0.0.1',
      `-P${place.port}`,
      `-u${account.user}`,
      `-p${account.password}`,
      ...secure,
      '--force',
      '-vvv',
      '--column-type-info',
      '-t',
      place.database,
    ]
    await run([program, ...args], `${place.cases.find((one) => one.id === 'drop')?.sql};`)
    const ran = await run([program, ...args], script.join('\n'))
    return {
      told: `${ran.out}\n${ran.err}`.replaceAll(/\(\d+\.\d+ sec\)/g, '').split('\n--------------\n'),
      problem: ran.code === 0 || ran.code === 1 ? null : ran.err,
    }
  },
}))

const dumps: readonly CommandLine[] = [
  { name: 'mariadb-dump', program: 'mariadb-dump', own: false },
  { name: 'mysqldump', program: join(mysqlsOwn, 'mysqldump'), own: true },
]

const dumpClients = dumps.map((line): Client => ({
  name: line.name,
  onlyUnsharded: true,
  ...(line.own && { only: 'mysql' as const }),
  install: () => (line.own ? installMysqlsOwn() : needs(line.program)),
  async run(place) {
    const secure = secured(line, place.tls)
    const at = ['-h127.0.0.1', `-P${place.port}`, `-u${account.user}`, `-p${account.password}`, ...secure]
    if (place.direct) {
      const made = place.cases.filter((one) => ['drop', 'create', 'create notes', 'insert id'].includes(one.id)).map((one) => `${one.sql};`)
      await run(
        [line.own ? join(mysqlsOwn, 'server') : 'mariadb', ...at, place.database],
        [...made, "INSERT INTO kinds (i, vc, bl) VALUES (1, 'ü''', x'00ff')", ''].join('\n'),
      )
    }
    const told: string[] = []
    for (const options of [[], ['--single-transaction', '--routines', '--triggers'], ['--no-data', '--skip-lock-tables']]) {
      const ran = await run([line.program, ...at, '--skip-dump-date', ...options, place.database], '')
      if (ran.code !== 0) return { told, problem: ran.err }
      // The server's GTIDs grow with whatever is written between.
      told.push(ran.out.replace(/^-- (Host|Server version).*$/gm, '').replace(/^(SET @@GLOBAL.GTID_PURGED=).*$/gm, '$1'))
    }
    return { told, problem: null }
  },
}))

const sysbench: Client = {
  name: 'sysbench',
  onlyUnsharded: true,
  install: () => needs('sysbench'),
  async run(place) {
    const at = [
      '--db-driver=mysql',
      '--mysql-host=127.0.0.1',
      `--mysql-port=${place.port}`,
      `--mysql-user=${account.user}`,
      `--mysql-password=${account.password}`,
      `--mysql-db=${place.database}`,
      '--tables=2',
      '--table-size=500',
      '--threads=2',
      '--mysql-ignore-errors=none',
      `--mysql-ssl=${place.tls === null ? 'off' : 'on'}`,
    ]
    const told: string[] = []
    // Where it looks for them, under these names.
    if (place.tls !== null) {
      const from = dirname(place.tls)
      for (const [file, name] of [
        ['ca.pem', 'cacert.pem'],
        ['server.pem', 'client-cert.pem'],
        ['server.key', 'client-key.pem'],
      ] as const)
        cpSync(join(from, file), join(place.dir, name))
    }
    for (const [workload, what, mode] of [
      ['oltp_read_write', 'cleanup', 'auto'],
      ['oltp_read_write', 'prepare', 'auto'],
      ['oltp_point_select', 'run', 'auto'],
      ['oltp_read_only', 'run', 'disable'],
      ['oltp_write_only', 'run', 'auto'],
      ['oltp_read_write', 'cleanup', 'auto'],
    ] as const) {
      const ran = await run(
        [
          'sysbench',
          workload,
          ...at,
          '--events=200',
          '--time=0',
          `--db-ps-mode=${mode}`,
          ...(workload === 'oltp_write_only' ? ['--threads=1'] : []),
          what,
        ],
        '',
        place.dir,
      )
      if (ran.code !== 0)
        return {
          told,
          problem: `${workload} ${what}: ${ran.out
            .split('\n')
            .filter((line) => /FATAL|error/i.test(line))
            .slice(0, 3)
            .join(' ')} ${ran.err}`,
        }
      told.push(/transactions: +\d+/.exec(ran.out)?.[0] ?? what)
    }
    return { told, problem: null }
  },
}

export const clients: readonly Client[] = [
  ...nodeClients,
  ...pythonClients,
  goClient,
  ...javaClients,
  ...commandLines,
  ...dumpClients,
  sysbench,
]

// ── how they are told what to do ──

function configOf({ port, tls, dir, database, cases }: Place): string {
  const file = join(dir, 'config.json')
  const casesFile = join(dir, 'cases.json')
  writeFileSync(casesFile, JSON.stringify(cases))
  writeFileSync(file, JSON.stringify({ host: '127.0.0.1', port, ...account, database, tls, cases: casesFile }))
  return file
}

/** Java has no JSON of its own: a line for each form of each case. */
function javaConfig({ port, tls, dir, database, cases }: Place, more: string): string {
  const escape = (text: string): string =>
    text.replaceAll('\\', '\\b').replaceAll('\t', '\\t').replaceAll('\n', '\\n').replaceAll('\r', '\\r')
  const paramOf = (param: Param): string => (param.t === 'null' ? 'null:' : `${param.t}:${escape(param.v.repeat(param.repeat ?? 1))}`)
  const lines = cases.flatMap((one) =>
    formsOf(one).map((form) => [one.id, form, escape(one.sql), ...(one.params ?? []).map(paramOf)].join('\t')),
  )
  writeFileSync(join(dir, 'cases.tsv'), `${lines.join('\n')}\n`)
  const secure = tls === null ? 'sslMode=DISABLED&allowPublicKeyRetrieval=true' : `sslMode=VERIFY_CA&trustCertificateKeyStoreType=PEM`
  if (tls !== null) truststore(tls, dir)
  const store = tls === null ? '' : `&trustCertificateKeyStoreUrl=file:${join(dir, 'trust.p12')}&trustCertificateKeyStorePassword=changeit`
  const url = `jdbc:mysql://127.0.0.1:${port}/${database}?${secure.replace('PEM', 'PKCS12')}${store}${more}`
  const file = join(dir, 'config.properties')
  const quoted = (text: string): string =>
    [...text].map((c) => (c < '\u0080' ? c : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)).join('')
  writeFileSync(file, `url=${url}\nuser=${account.user}\npassword=${quoted(account.password)}\ncases=${join(dir, 'cases.tsv')}\n`)
  return file
}

function truststore(ca: string, dir: string): void {
  const file = join(dir, 'trust.p12')
  if (existsSync(file)) return
  command('keytool', [
    '-importcert',
    '-noprompt',
    '-alias',
    'ca',
    '-file',
    ca,
    '-keystore',
    file,
    '-storetype',
    'PKCS12',
    '-storepass',
    'changeit',
  ])
}

function formsOf(one: Case): ('text' | 'prepared')[] {
  return one.params !== undefined || one.prepared === true ? ['text', 'prepared'] : ['text']
}

// ── how they are heard ──

async function byLines(words: readonly string[]): Promise<Ran> {
  const ran = await run(words, '')
  return {
    told: ran.out.split('\n').filter((line) => line !== ''),
    problem: ran.code === 0 ? null : ran.err.split('\n').slice(-12).join('\n'),
  }
}

const limitMs = 180_000

function run(
  [program, ...args]: readonly string[],
  input: string,
  cwd?: string,
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const options = { timeout: limitMs, env: { ...process.env, LC_ALL: 'C.UTF-8' }, ...(cwd === undefined ? {} : { cwd }) }
    const child = spawn(program as string, args, options)
    const [out, err]: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on('data', (data: Buffer) => out.push(data))
    child.stderr.on('data', (data: Buffer) => err.push(data))
    child.on('error', (error) => err.push(Buffer.from(error.message)))
    child.on('close', (code) => resolve({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }))
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}
