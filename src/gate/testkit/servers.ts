/** A MariaDB server of our own for tests: data under the system's temporary folder, a port the system chose, loopback only. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { connect } from '../../mysql/connect.ts'
import type { Connection } from '../../mysql/connection.ts'

const run = promisify(execFile)

export type TestServer = {
  port: number
  pid: number
  admin(): Promise<Connection>
  stop(): Promise<void>
}

export async function startMariadb(): Promise<TestServer> {
  const dir = await mkdtemp(path.join(tmpdir(), 'sw-gate-'))
  const data = path.join(dir, 'data')
  await cp(await template(), data, { recursive: true })
  // A temporary folder of its own: a server that starts removes the temporary tables of others from a shared one.
  const temporary = path.join(dir, 'tmp')
  await mkdir(temporary)
  const port = await freePort()
  const child = spawn(
    'mariadbd',
    [
      '--no-defaults',
      `--datadir=${data}`,
      `--tmpdir=${temporary}`,
      `--port=${port}`,
      `--socket=${path.join(dir, 's.sock')}`,
      '--bind-address=127.0.0.1',
      '--user=root',
      '--innodb-buffer-pool-size=64M',
      '--skip-log-bin',
      '--innodb-flush-log-at-trx-commit=2',
      '--max-connections=400',
      `--pid-file=${path.join(dir, 'pid')}`,
      '--local-infile=1',
      '--loose-skip-name-resolve',
    ],
    { stdio: 'ignore' },
  )
  // However the test ends, its server ends with it.
  const orphan = (): void => void child.kill('SIGKILL')
  process.on('exit', orphan)
  const admin = (): Promise<Connection> => connect({ host: '127.0.0.1', port, user: 'root' })
  for (let i = 0; ; i++) {
    try {
      const connection = await admin()
      await connection.query("CREATE USER IF NOT EXISTS sw_gate@'%' IDENTIFIED BY 'gate-secret'")
      await connection.query(
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, LOCK TABLES, CREATE TEMPORARY TABLES, EXECUTE, REFERENCES, CREATE VIEW, SHOW VIEW, TRIGGER, CREATE ROUTINE, ALTER ROUTINE ON *.* TO sw_gate@'%'",
      )
      await connection.close()
      break
    } catch (error) {
      if (i > 200 || child.exitCode !== null) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  return {
    port,
    pid: child.pid ?? 0,
    admin,
    async stop() {
      await ended(child)
      await rm(dir, { recursive: true, force: true })
    },
  }
}

let made: Promise<string> | null = null

/** An empty data directory, made once a process and copied for each server. */
function template(): Promise<string> {
  made ??= (async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'sw-gate-template-'))
    process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
    const data = path.join(dir, 'data')
    await run('mariadb-install-db', [
      '--no-defaults',
      `--datadir=${data}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      '--user=root',
      `--tmpdir=${dir}`,
    ])
    return data
  })()
  return made
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGKILL')
  await gone
}

export async function freePort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}
