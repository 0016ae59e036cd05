/** A server for the gate's tests and bench, with the account that gates come with. */
import { connect } from '../../mysql/connect.ts'
import type { Connection, ConnectOptions } from '../../mysql/connection.ts'
import { findPort } from '../../local/find-port.ts'
import type { LocalFlavour } from '../../local/installs.ts'
import { oneFlavour, testServer } from '../../../test/kit/servers.ts'

export type TestServer = {
  port: number
  pid: number
  admin(options?: Partial<ConnectOptions>): Promise<Connection>
  stop(): Promise<void>
}

const rights =
  'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, LOCK TABLES, CREATE TEMPORARY TABLES, EXECUTE, REFERENCES, CREATE VIEW, SHOW VIEW, TRIGGER, CREATE ROUTINE, ALTER ROUTINE, PROCESS'

export async function startMariadb(
  settings: Readonly<Record<string, string | number>> = {},
  flavour: LocalFlavour = oneFlavour(),
): Promise<TestServer> {
  const server = await testServer({ flavour, binlog: false, bufferPoolMb: 64, extra: { 'max-connections': 400, ...settings } })
  const admin = (options: Partial<ConnectOptions> = {}): Promise<Connection> => connect({ ...server.config, ...options })
  await using connection = await admin()
  await connection.query("CREATE USER IF NOT EXISTS sw_gate@'%' IDENTIFIED BY 'gate-secret'")
  await connection.query(`GRANT ${rights}${flavour === 'mysql' ? ', XA_RECOVER_ADMIN' : ''} ON *.* TO sw_gate@'%'`)
  return {
    port: server.port,
    get pid() {
      return server.pid
    },
    admin,
    async stop() {
      await server[Symbol.asyncDispose]()
    },
  }
}

export function freePort(): Promise<number> {
  return findPort(0)
}
