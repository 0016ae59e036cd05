/** Servers for this room's tests: own data directory and port, loopback only, ended with the test by pid. */
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from '../../mysql/connect.ts'
import type { Connection, ConnectOptions } from '../../mysql/connection.ts'
import type { Flavour } from '../../topology/records.ts'

const programs: Record<Flavour, string> = {
  mariadb: process.env['SHARDWRIGHT_MARIADBD'] ?? '/usr/sbin/mariadbd',
  mysql: process.env['SHARDWRIGHT_MYSQLD'] ?? '/tmp/mysql9/mysqld',
}

export function flavourAvailable(flavour: Flavour): boolean {
  return existsSync(programs[flavour])
}

const templates = new Map<Flavour, string>()

function template(flavour: Flavour): string {
  const made = templates.get(flavour)
  if (made !== undefined) return made
  const dir = join(mkdtempSync(join(tmpdir(), 'sw-switch-template-')), 'data')
  if (flavour === 'mariadb') {
    execFileSync('mariadb-install-db', ['--no-defaults', `--datadir=${dir}`, '--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve'], { stdio: 'ignore' })
  } else {
    execFileSync(programs.mysql, ['--initialize-insecure', `--datadir=${dir}`, '--user=root'], { stdio: 'ignore' })
    rmSync(join(dir, 'auto.cnf'))
  }
  templates.set(flavour, dir)
  process.on('exit', () => rmSync(join(dir, '..'), { recursive: true, force: true }))
  return dir
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

let lastServerId = 100 + (process.pid % 10_000) * 10

export class TestServer {
  readonly flavour: Flavour
  readonly port: number
  readonly #dir: string
  readonly #serverId: number
  #process: ChildProcess | null = null

  constructor(flavour: Flavour, port: number, dir: string) {
    this.flavour = flavour
    this.port = port
    this.#dir = dir
    this.#serverId = ++lastServerId
  }

  static async start(flavour: Flavour): Promise<TestServer> {
    const dir = mkdtempSync(join(tmpdir(), 'sw-switch-server-'))
    cpSync(template(flavour), join(dir, 'data'), { recursive: true })
    const server = new TestServer(flavour, await freePort(), dir)
    await server.up()
    return server
  }

  async up(): Promise<void> {
    const common = [
      ...(this.flavour === 'mariadb' ? ['--no-defaults', '--gtid-strict-mode=ON'] : ['--gtid-mode=ON', '--enforce-gtid-consistency=ON', '--mysqlx=OFF']),
      // A starting MariaDB removes what other servers have in a shared tmpdir.
      `--tmpdir=${this.#dir}`, `--datadir=${join(this.#dir, 'data')}`, `--port=${this.port}`, '--bind-address=127.0.0.1', `--socket=${join(this.#dir, 's')}`,
      `--pid-file=${join(this.#dir, 'pid')}`, `--server-id=${this.#serverId}`, '--log-bin=binlog', '--binlog-format=ROW', '--binlog-row-image=FULL',
      '--innodb-buffer-pool-size=32M', '--skip-name-resolve', '--performance-schema=OFF', '--innodb-flush-log-at-trx-commit=1', '--sync-binlog=1', '--user=root',
    ]
    const child = spawn(programs[this.flavour], common, { stdio: 'ignore' })
    this.#process = child
    // A test that fails half way through must neither hang on its servers nor leave them.
    child.unref()
    const last = (): boolean => child.kill('SIGKILL')
    process.once('exit', last)
    child.once('exit', () => process.removeListener('exit', last))
    const limit = Date.now() + 30_000
    for (;;) {
      try {
        const connection = await connect({ host: '127.0.0.1', port: this.port, user: 'sw_probe', password: 'x', connectTimeoutMs: 1_000 })
        await connection.close()
        return
      } catch (error) {
        // 1045, 1130: it answers.
        const errno = (error as { errno?: number }).errno
        if (errno === 1045 || errno === 1130) return
        if (Date.now() > limit || this.#process.exitCode !== null) throw error
        await delay(30)
      }
    }
  }

  get options(): ConnectOptions {
    return { socketPath: join(this.#dir, 's'), user: 'root', password: '' }
  }

  root(): Promise<Connection> {
    return connect(this.options)
  }

  async kill9(): Promise<void> {
    const child = this.#process
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }

  async stop(): Promise<void> {
    await this.kill9()
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
