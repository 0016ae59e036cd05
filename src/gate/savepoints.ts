/**
 * SAVEPOINT, ROLLBACK TO and RELEASE of a transaction, whichever keyspaces it has touched: on every branch that is open, and on those opened later when they are. A branch
 * that was opened after the savepoint has it as its first statement, so going back undoes all of it.
 */
import { isSwError } from '../base/errors.ts'
import { ServerError } from '../mysql/errors.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { gateErrors } from './errors.ts'
import type { Passthrough } from './passthrough.ts'
import type { Runner } from './runner.ts'
import { shardName } from './transaction.ts'

const words = { savepoint: 'SAVEPOINT', 'rollback-to': 'ROLLBACK TO SAVEPOINT', 'release-savepoint': 'RELEASE SAVEPOINT' } as const

/** Errors: 1305 there is none of that name; SW-GATE-007, 008. */
export async function savepoint(runner: Runner, { verb, name: given }: Extract<Passthrough, { kind: 'savepoint' }>): Promise<void> {
  const transaction = await runner.currentTransaction()
  const name = given.toLowerCase()
  const at = transaction?.savepoints.findIndex((one) => one.name === name) ?? -1
  if (verb !== 'savepoint' && at < 0) throw new ServerError(1305, '42000', `SAVEPOINT ${given} does not exist`)
  if (transaction === null) return
  const sql = Buffer.from(`${words[verb]} ${quoteIdentifier(given)}`)
  for (const branch of transaction.branches.values()) {
    try {
      await branch.backend.connection.query(sql)
    } catch (error) {
      if (isSwError(error) && error.code === 'SW-MYSQL-001') throw error
      runner.transaction = null
      await transaction.rollback()
      throw gateErrors.lostTransaction({ shard: shardName(branch.shard), cause: 'at a savepoint' }, error)
    }
  }
  // As the servers do: a name stands once, and going back to one, or releasing it, forgets those after it.
  if (verb === 'savepoint') transaction.savepoints = [...transaction.savepoints.filter((one) => one.name !== name), { name, sql }]
  else transaction.savepoints.length = verb === 'rollback-to' ? at + 1 : at
}
