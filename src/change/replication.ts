/** A server's own replication, as its administrator sees it: from whom, whether it runs, stopping and starting it. */
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'

/** `of`: MySQL's server_uuid of its source, MariaDB's server_id; of several all of them. `running`: all of them. Null: it replicates from nobody. */
export async function sourceOf(connection: Connection): Promise<{ of: string; running: boolean; error: string } | null> {
  const rows = await flavourOf(connection).replications(connection)
  if (rows.length === 0) return null
  const of = rows.map(
    (row) => (connection.flavour === 'mysql' ? (row['Source_UUID'] ?? row['Master_UUID']) : row['Master_Server_Id']) ?? '',
  )
  const errors = rows.map((row) => row['Last_Error'] || row['Last_SQL_Error'] || row['Last_IO_Error'] || '')
  return {
    // Before it has connected for the first time MariaDB says 0.
    of: [...new Set(of.map((one) => (one === '0' ? '' : one)))].join(','),
    running: rows.every((row) => {
      const yes = (...names: string[]): boolean => names.some((one) => row[one] === 'Yes')
      return yes('Replica_IO_Running', 'Slave_IO_Running') && yes('Replica_SQL_Running', 'Slave_SQL_Running')
    }),
    error: errors.find((error) => error !== '') ?? '',
  }
}

/** What it knows of its source stays: it can be started again. */
export async function stopReplicating(connection: Connection): Promise<void> {
  if ((await sourceOf(connection)) !== null) await flavourOf(connection).replicate(connection, 'stop')
}

export async function startReplicating(connection: Connection): Promise<void> {
  const source = await sourceOf(connection)
  if (source !== null && !source.running) await flavourOf(connection).replicate(connection, 'start')
}

export async function endReplication(connection: Connection): Promise<void> {
  if ((await sourceOf(connection)) === null) return
  await flavourOf(connection).replicate(connection, 'stop')
  await flavourOf(connection).replicate(connection, 'forget')
}
