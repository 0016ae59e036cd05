/**
 * Outcomes of transactions over several shards (gate/xa.ts), on the server of the shard that one touched first. The primary key is the compare-and-set: whoever inserts first under a
 * transaction's id has decided, and everybody else obeys.
 */
import type { Connection } from './connection.ts'
import { errno, isServerError } from './errors.ts'
import { controlSchema } from './our-schema.ts'

export const decisions = `${controlSchema}.control_decision`

/** XA COMMIT of what another session has prepared; MariaDB: while that session lives. */
export const unknownXid = 1397

/** `gtrid,bqual` as SQL. */
export function xidText(gtrid: Buffer, bqual: Buffer): string {
  return `X'${gtrid.toString('hex')}',X'${bqual.toString('hex')}'`
}

export type Outcome = 'commit' | 'rollback'

/** What stands, or from now on `rollback`. Waits for a decision under way; errors are the server's (1205: it is being decided still). */
export async function judge(connection: Connection, gtrid: Buffer): Promise<Outcome> {
  const id = `X'${gtrid.toString('hex')}'`
  try {
    await connection.query(`INSERT INTO ${decisions} VALUES (${id}, 'rollback', UTC_TIMESTAMP())`)
    return 'rollback'
  } catch (error) {
    if (!isServerError(error, errno.duplicateEntry)) throw error
    return (await connection.value(`SELECT outcome FROM ${decisions} WHERE gtrid = ${id}`)) === 'commit' ? 'commit' : 'rollback'
  }
}
