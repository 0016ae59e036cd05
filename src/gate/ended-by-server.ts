/**
 * Whether an error that a server answered within a transaction has ended its branch there. The number does not say: after 1205 a branch stands, or under
 * `innodb_rollback_on_timeout` all of it is gone, and the connection is in autocommit from then on. The status of its next answer says it; of what is known to undo the
 * statement alone nothing is asked.
 */
import { errno, isServerError } from '../mysql/errors.ts'
import { gateErrors } from './errors.ts'
import { shardName, type Branch, type Transaction } from './transaction.ts'

/** Mistakes in a statement and in its values: no lock, no table and no server is the matter. */
const statementOnly: ReadonlySet<number> = new Set([
  errno.duplicateEntry, 1586, 1064, 1054, 1146, 1048, 1364, 1406, 1264, 1265, 1292, 1366, 1451, 1452, 1136, 1176,
]) // prettier-ignore

export async function hasEnded(branch: Branch, transaction: Transaction, number: number): Promise<boolean> {
  const { connection } = branch.backend
  // Without autocommit, what fails as the first on its branch may have begun nothing there.
  const begun = transaction.explicit || branch.open
  if (statementOnly.has(number) || (!begun && number !== errno.lockWaitTimeout)) return false
  try {
    await connection.ping()
    if (connection.inTransaction) return false
    return begun || (await connection.value('SELECT @@innodb_rollback_on_timeout')) === '1'
  } catch {
    connection.destroy()
    return true
  }
}

/**
 * The same of all branches that a statement over several shards was on.
 * @returns what the client is told; null: all of them stand
 */
export async function endedBy(transaction: Transaction, error: unknown): Promise<Error | null> {
  if (!isServerError(error)) return null
  const branches = [...transaction.branches.values()].filter(({ begun }) => begun)
  const ended = await Promise.all(branches.map((branch) => hasEnded(branch, transaction, error.errno)))
  const first = branches[ended.indexOf(true)]
  return first === undefined ? null : toldOf(first, error)
}

/** A client knows of 1205 that it may be the end of all. */
function toldOf({ shard }: Branch, error: Error): Error {
  if (isServerError(error, errno.lockWaitTimeout)) return error
  return gateErrors.lostTransaction({ shard: shardName(shard), cause: error.message }, error)
}
