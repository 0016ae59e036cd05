/**
 * Who a server is, whatever its address. Another one may come to answer there (a failover behind a virtual address, a copy that was restored, a port
 * given to somebody else), and it may lack what the first has acknowledged: nothing of ours is sent to it until the topology names it (PROTOCOLS 1.4;
 * DESIGN promise 2).
 *
 * MySQL: `server_uuid`. MariaDB's `server_uid` is made of its port and network card and changes when a machine or container moves; so the random id of
 * our own table, which a copied data directory and a replica carry along, with `server_id`, which a replica cannot share with its primary. A copy
 * of a MariaDB data directory that is started with the same server_id at the same address is not told apart.
 */
import type { Connection } from './connection.ts'
import { errno, isServerError } from './errors.ts'
import { controlSchema } from './our-schema.ts'

const identitySql = {
  mysql: 'SELECT @@server_uuid',
  mariadb: `SELECT CONCAT(@@server_id, '/', (SELECT server_uid FROM ${controlSchema}.server WHERE id = 1))`,
} as const

/** Printable ASCII, compared as a whole; '' for a MariaDB server that was never attached. */
export async function readIdentity(connection: Connection): Promise<string> {
  try {
    return (await connection.value(identitySql[connection.flavour])) ?? ''
  } catch (error) {
    if (isServerError(error, errno.badDatabase, errno.noSuchTable)) return ''
    throw error
  }
}
