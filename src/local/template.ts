import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { copyDirectory } from './copy-directory.ts'
import { withDirectoryLock } from './directory-lock.ts'
import { localErrors } from './errors.ts'
import type { LocalFlavour, ServerInstall } from './installs.ts'
import { installConfig, templateRedoLogBytes, userArguments } from './server-config.ts'

/**
 * Data directories are made once per server version and copied from then on: initialising takes seconds, copying a tenth
 * of one. A copy must not carry what tells servers apart, so MySQL's auto.cnf (server uuid) is not copied; MariaDB keeps
 * no such file (what it reports as its uid comes from the machine, which is why positions are guarded by an id of our own).
 *
 * The accounts in it: root@localhost and root@127.0.0.1, without password, and the server's own. The server's start sets
 * a password when it is asked to (`rootPassword`).
 *
 * A template appears under its name by one rename when it is whole; making it is done by one process at a time.
 */
export async function dataDirTemplate(install: ServerInstall, templatesDir: string, clock: Clock): Promise<string> {
  const key = createHash('sha256')
    .update(JSON.stringify([templateFormat, install.mysqld, install.version]))
    .digest('hex')
    .slice(0, 8)
  const template = join(templatesDir, `${install.flavour}-${install.version.replace(/[^\w.]+/g, '_').slice(0, 40)}-${key}`)
  if (existsSync(template)) return template
  return withDirectoryLock(templatesDir, clock, 120_000, async () => {
    if (existsSync(template)) return template
    const making = join(templatesDir, `.making-${randomBytes(6).toString('hex')}`)
    try {
      await mkdir(making, { recursive: true, mode: 0o700 })
      await initialise[install.flavour](install, making)
      await rm(join(making, 'auto.cnf'), { force: true })
      await removeSpareRedo(making)
      await rename(making, template)
    } catch (error) {
      await rm(making, { recursive: true, force: true })
      throw error
    }
    return template
  })
}

/**
 * Copies the template to `to`, which must not exist; it appears there by one rename. `durable`: each file is on disk
 * before that, since a server only writes out the pages that it changes.
 */
export async function copyTemplate(template: string, to: string, durable: boolean): Promise<void> {
  const copying = `${to}.copying-${randomBytes(4).toString('hex')}`
  try {
    await copyDirectory(template, copying, durable)
    await rename(copying, to)
  } catch (error) {
    await rm(copying, { recursive: true, force: true })
    throw error
  }
}

/** Redo files in reserve: MySQL removes them at each start and makes its own, so that copying them would be a third of all work. */
async function removeSpareRedo(dataDir: string): Promise<void> {
  const redo = join(dataDir, '#innodb_redo')
  for (const name of existsSync(redo) ? await readdir(redo) : []) if (name.endsWith('_tmp')) await rm(join(redo, name))
}

/** Raised when what a template holds changes, so that older ones are not used. */
const templateFormat = 3

const initialise: Record<LocalFlavour, (install: ServerInstall, dataDir: string) => Promise<void>> = {
  async mariadb(install, dataDir) {
    const share = mariadbShareDir(install)
    const files = ['system_tables', 'performance_tables', 'system_tables_data', 'gis', 'sys_schema'].map((part) =>
      bootstrapFile(share, part),
    )
    const input: (string | { file: string })[] = [
      'CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n',
      ...files.filter((file) => file !== null).map((file) => ({ file })),
      "\nUSE mysql;\nDELETE FROM global_priv WHERE User IN ('root', '') AND Host NOT IN ('localhost', '127.0.0.1');\n",
      "DELETE FROM proxies_priv WHERE User = 'root' AND Host NOT IN ('localhost', '127.0.0.1');\n",
    ]
    const args = [
      '--bootstrap',
      `--innodb-log-file-size=${templateRedoLogBytes}`,
      '--skip-log-bin',
      '--log-warnings=0',
      '--max-allowed-packet=8M',
      '--net-buffer-length=16K',
    ]
    await run(install, dataDir, args, input)
  },
  async mysql(install, dataDir) {
    const sql = `${dataDir}.sql`
    await writeFile(
      sql,
      "CREATE USER 'root'@'127.0.0.1' IDENTIFIED BY '';\nGRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\nGRANT PROXY ON ''@'' TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n",
    )
    try {
      await run(
        install,
        dataDir,
        [
          '--initialize-insecure',
          `--innodb-redo-log-capacity=${templateRedoLogBytes}`,
          '--skip-log-bin',
          '--secure-file-priv=NULL',
          `--init-file=${sql}`,
        ],
        [],
      )
    } finally {
      await rm(sql, { force: true })
    }
  },
}

function mariadbShareDir(install: ServerInstall): string {
  const candidates = [install.shareDir, ...['mysql', 'mariadb', ''].map((name) => join(install.basedir ?? '/usr', 'share', name))]
  return candidates.find((dir) => dir !== null && bootstrapFile(dir, 'system_tables') !== null) ?? '/usr/share/mysql'
}

/** The parts of MariaDB's own initialisation, under the names that they have had in the versions served here. */
function bootstrapFile(share: string, part: string): string | null {
  const names = part === 'gis' ? ['maria_add_gis_sp_bootstrap.sql'] : [`mariadb_${part}.sql`, `mysql_${part}.sql`]
  return names.map((name) => join(share, name)).find((file) => existsSync(file)) ?? null
}

async function run(install: ServerInstall, dataDir: string, args: string[], input: readonly (string | { file: string })[]): Promise<void> {
  const program = Object.entries(installConfig(install)).map(([name, value]) => `--${name}=${value}`)
  const child = spawn(install.mysqld, ['--no-defaults', ...userArguments(), ...program, `--datadir=${dataDir}`, ...args], {
    cwd: dataDir,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(code === 0 ? '' : `exit ${code ?? signal}`))
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      output = (output + text).slice(-20_000)
    })
  }
  // A server that gives up early closes its input; its exit status and words say why, not our EPIPE.
  child.stdin.on('error', () => {})
  for (const part of input) {
    const chunks = typeof part === 'string' ? [part] : createReadStream(part.file)
    for await (const chunk of chunks) {
      if (!child.stdin.writable) break
      if (!child.stdin.write(chunk)) await Promise.race([new Promise((resolve) => child.stdin.once('drain', resolve)), ended])
    }
  }
  child.stdin.end()
  const how = await ended
  if (how !== '')
    throw localErrors.initFailed({
      flavour: install.flavour,
      version: install.version,
      dir: dataDir,
      tail: `${how}: ${errorLines(output)}`,
    })
}

/** The lines of a server's log that say what went wrong, else its last ones. */
export function errorLines(log: string): string {
  const lines = log.split('\n').filter((line) => line.trim() !== '')
  const errors = lines.filter((line) => /\berror\b/i.test(line))
  return (errors.length > 0 ? errors : lines).slice(-4).join(' | ')
}

export async function logTail(file: string): Promise<string> {
  try {
    return errorLines((await readFile(file, 'utf8')).slice(-20_000))
  } catch {
    return 'no log'
  }
}
