/** A server's own replication, as its administrator sees it: from whom, whether it runs, stopping and starting it. */
import type { Connection } from '../mysql/connection.ts'

/** `of`: MySQL's server_uuid of its source, MariaDB's server_id. Null: it replicates from nobody. */
export async function sourceOf(connection: Connection): Promise<{ of: string; running: boolean; error: string } | null> {
  const row = (await connection.allText('SHOW REPLICA STATUS'))[0]
  if (row === undefined) return null
  const of = connection.flavour === 'mysql' ? row['Source_UUID'] : row['Master_Server_Id']
  const yes = (...names: string[]): boolean => names.some((one) => row[one] === 'Yes')
  return {
    // Before it has connected for the first time MariaDB says 0.
    of: of === '0' ? '' : (of ?? ''),
    running: yes('Replica_IO_Running', 'Slave_IO_Running') && yes('Replica_SQL_Running', 'Slave_SQL_Running'),
    error: row['Last_Error'] ?? row['Last_SQL_Error'] ?? '',
  }
}

/** What it knows of its source stays: it can be started again. */
export async function stopReplicating(connection: Connection): Promise<void> {
  if ((await sourceOf(connection)) !== null) await connection.query('STOP REPLICA')
}

export async function startReplicating(connection: Connection): Promise<void> {
  const source = await sourceOf(connection)
  if (source !== null && !source.running) await connection.query('START REPLICA')
}

export async function endReplication(connection: Connection): Promise<void> {
  if ((await sourceOf(connection)) === null) return
  await connection.query('STOP REPLICA')
  await connection.query('RESET REPLICA ALL')
}
