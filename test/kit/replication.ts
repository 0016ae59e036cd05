/** Replication between test servers, by an administrator's account of each. */
import type { Connection } from '../../src/mysql/connection.ts'

/** What a MariaDB server needs to be followed further on. */
export function replicaSettings(flavour: 'mariadb' | 'mysql'): Record<string, string> {
  return flavour === 'mariadb' ? { 'log-slave-updates': 'ON' } : {}
}

export async function follow(replica: Connection, source: Connection, port: number): Promise<void> {
  await source.query("CREATE USER IF NOT EXISTS repl@'%' IDENTIFIED BY 'r'")
  await source.query("GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
  await replica.query(
    replica.flavour === 'mysql'
      ? `CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = ${port}, SOURCE_USER = 'repl', SOURCE_PASSWORD = 'r', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1`
      : `CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = ${port}, MASTER_USER = 'repl', MASTER_PASSWORD = 'r', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1`,
  )
  await replica.query('SET GLOBAL read_only = 1')
  await replica.query('START REPLICA')
}

/** A new MySQL server has transactions of its own, which no other has. */
export async function forgetOwn(replica: Connection): Promise<void> {
  if (replica.flavour === 'mysql') await replica.query('RESET BINARY LOGS AND GTIDS')
}

export async function replicates(replica: Connection): Promise<boolean> {
  const row = (await replica.allText('SHOW REPLICA STATUS'))[0]
  const yes = (...names: string[]): boolean => names.some((name) => row?.[name] === 'Yes')
  return yes('Replica_IO_Running', 'Slave_IO_Running') && yes('Replica_SQL_Running', 'Slave_SQL_Running')
}
