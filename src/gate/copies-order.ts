/**
 * The order in which copies of reference tables are changed: one for all who write to them, whichever gate process they come by.
 *
 * A statement on a reference table runs once a shard, and must find the same rows on each. Row locks don't see to that: at READ COMMITTED what a condition passed over is not locked, so a second writer may
 * change it between two of the first one's shards (and what INSERT … SELECT reads is locked not at all); copies would differ for good.
 *
 * So whoever writes to such a table locks one row a shard first, our own (`control_copies`, by the name of the shard's schema), in the branch that then writes there, and in the order of the shards. It is held as
 * every row lock is: to the branch's COMMIT or ROLLBACK there, by a prepared branch whose gate has died, too. Then:
 * - who comes second to the first shard's row comes when the other has been done with that shard, for which it had to have the rows of all shards: it finds each of them held, or let go by a commit of the same
 *   transaction. So all shards have one order of writers, though each is committed at its own moment;
 * - between its lock and its end on a shard nobody else changes reference tables there: each shard shows a statement what the writers before it have made, and nothing of those behind.
 * With copies that are equal at the beginning, and statements whose outcome rests on nothing but them (plan/shard-key.ts refuses others), they are equal at the end.
 *
 * One row for all reference tables of a keyspace: a statement reads others than it writes, and foreign keys change more. It is a row, and no named lock, as servers see deadlocks of rows, our search over
 * several servers as well (deadlocks.ts), and as it ends with the transaction.
 */
import { controlSchema, controlSchemaDdl, copiesTable, copiesTableDdl } from '../mysql/our-schema.ts'
import type { Connection } from '../mysql/connection.ts'
import { errno, isServerError } from '../mysql/errors.ts'
import { quoteHex } from '../sql/quote.ts'
import type { Holder } from './backend.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { innerConnection } from './inner-statements.ts'
import { shardName } from './transaction.ts'
import type { ShardView } from './view.ts'

const table = `${controlSchema}.${copiesTable}`

export class CopiesOrder {
  readonly #core: Core
  /** Shards that have their row. */
  readonly #ready = new Set<string>()

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * Waits for writers before it, in the transaction of the connection. Errors: the server's (1205, 1213), SW-GATE-215.
   * @param holder by whom connections are held for the statement
   */
  async enter(connection: Connection, shard: ShardView, holder: Holder): Promise<void> {
    await this.#ensure(shard, holder)
    const own = quoteHex(shard.schema)
    try {
      if ((await connection.value(`SELECT 1 FROM ${table} WHERE schema_name = ${own} FOR UPDATE`)) != null) return
    } catch (error) {
      this.#ready.delete(keyOf(shard))
      // The transaction reads what was before the table was made: the next one does not.
      if (!isServerError(error, errno.tableDefinitionChanged)) throw error
    }
    this.#ready.delete(keyOf(shard))
    throw gateErrors.copiesUnordered({ shard: shardName(shard), table })
  }

  /** Made and committed before it is locked: at REPEATABLE READ a row that is not there would be kept out by who looks for it. */
  async #ensure(shard: ShardView, holder: Holder): Promise<void> {
    if (this.#ready.has(keyOf(shard))) return
    const own = quoteHex(shard.schema)
    const backend = await innerConnection(this.#core, shard, undefined, null, holder)
    const { connection } = backend
    try {
      await connection.query(controlSchemaDdl)
      await connection.query(copiesTableDdl)
      // Looked for without a lock: one who holds it is not waited for here.
      const there = await connection.value(`SELECT 1 FROM ${table} WHERE schema_name = ${own}`)
      if (there == null) await connection.query(`INSERT IGNORE INTO ${table} VALUES (${own})`)
      this.#ready.add(keyOf(shard))
    } finally {
      backend.pool.give(backend)
    }
  }
}

function keyOf({ server, schema }: ShardView): string {
  return `${server.id} ${schema}`
}
