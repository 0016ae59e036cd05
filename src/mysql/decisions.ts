/**
 * Outcomes of transactions over several shards (gate/xa.ts), on the server of the shard that one touched first. The primary key is the compare-and-set: whoever inserts first under a
 * transaction's id has decided, and everybody else obeys.
 */
import { quoteHex, quoteString } from '../sql/quote.ts'
import type { Connection } from './connection.ts'
import { errno, isServerError } from './errors.ts'
import { controlSchema } from './our-schema.ts'

const table = 'control_decision'
export const decisions = `${controlSchema}.${table}`

/** XA COMMIT of what another session has prepared; MariaDB: while that session lives. */
export const unknownXid = 1397

/** `gtrid,bqual` as SQL. */
export function xidText(gtrid: Buffer | string, bqual: Buffer | string): string {
  return `${quoteHex(gtrid)},${quoteHex(bqual)}`
}

/** Whether the table is there: nothing is prepared before its decider's server has it. */
export async function hasDecisions(connection: Connection): Promise<boolean> {
  const named = `TABLE_SCHEMA = ${quoteString(controlSchema)} AND TABLE_NAME = ${quoteString(table)}`
  return (await connection.value(`SELECT COUNT(*) FROM information_schema.TABLES WHERE ${named}`)) !== '0'
}

export type Outcome = 'commit' | 'rollback'

/** What stands, or from now on `rollback`. Waits for a decision under way; errors are the server's (1205: it is being decided still). */
export async function judge(connection: Connection, gtrid: Buffer): Promise<Outcome> {
  const id = quoteHex(gtrid)
  try {
    await connection.query(`INSERT INTO ${decisions} VALUES (${id}, 'rollback', UTC_TIMESTAMP())`)
    return 'rollback'
  } catch (error) {
    if (!isServerError(error, errno.duplicateEntry)) throw error
    return (await connection.value(`SELECT outcome FROM ${decisions} WHERE gtrid = ${id}`)) === 'commit' ? 'commit' : 'rollback'
  }
}
