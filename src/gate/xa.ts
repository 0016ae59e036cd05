/**
 * Transactions over several shards that are atomic (`transaction_mode: xa`), by the servers' own XA.
 *
 * - The shard that a transaction touches first is its *decider*. Its branch is an ordinary transaction; every other one is begun by XA START. A transaction of one shard costs
 *   nothing more, and one that wrote on one shard only commits in one phase.
 * - COMMIT: PREPARE all branches that wrote but the decider's; insert the decision (`commit`, by the transaction's id) in the decider's transaction and commit that: this one commit is
 *   the outcome, with the decider's rows. Then XA COMMIT the others. The decision's row goes when all have said that they are committed; while one has not, it stays, and `purge` takes it
 *   away once nothing is prepared anywhere.
 * - In doubt (a gate died, a server answered nothing) any gate decides after a while: it inserts `rollback` under the same id on the decider's server. The primary key is the
 *   compare-and-set: that insert waits for a decision under way; whoever comes second finds the first one's word. A gate that wakes up late can't commit: its own insert is refused.
 *   So no branch is committed without a decision that stands, and none rolled back while one may still come.
 * - Nobody reads a branch's rows as committed before the decision; after it, and before the last XA COMMIT, some shards show it and some do not, as parts of a scattered read may.
 *
 * Ids: gtrid `sw1-<random>-<uid of the decider's shard>`, bqual the uid of the branch's shard.
 */
import { append } from '../base/append.ts'
import { randomBytes } from 'node:crypto'
import { decisions as table, judge, type Outcome } from '../mysql/decisions.ts'
import { armedSchemas, armedSchemasDdl, controlSchemaDdl, xaPrefix } from '../mysql/our-schema.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteHex } from '../sql/quote.ts'
import type { Holder } from './backend.ts'
import type { Core } from './core.ts'
import { innerConnection } from './inner-statements.ts'
import { gateErrors } from './errors.ts'
import { shardName } from './transaction.ts'
import type { ShardView } from './view.ts'
import { Within } from './within.ts'

/** Where a gate may die, for tests. */
export const xaCrashPoints = ['prepared-one', 'prepared-all', 'decision-written', 'decided', 'committed-one'] as const
export type XaCrashPoint = (typeof xaCrashPoints)[number]

export class Xa {
  readonly #core: Core
  /** Transactions of this gate that are being committed, by id. */
  readonly active = new Set<string>()
  readonly #ready = new Set<string>()
  readonly #done = new Map<string, string[]>()
  /** Replaced by tests. */
  reached: (point: XaCrashPoint) => Promise<void> | undefined = () => undefined

  constructor(core: Core) {
    this.#core = core
  }

  /** Whether branches of the keyspace are XA's. */
  wanted(keyspace: string): boolean {
    return this.#core.watch.view.keyspaces.get(keyspace)?.record.transactionMode === 'xa'
  }

  newId(decider: ShardView): string {
    // Servers take 64 bytes of it: room for a uid of 47, as a reshard gives at most (`<uuid>.1000-1040`).
    return `${xaPrefix}${randomBytes(6).toString('hex')}-${decider.uid}`
  }

  /** Makes the table of decisions where it is missing; before anything is prepared. */
  async ensure(shard: ShardView, within: Within | null = null, holder: Holder | null = null): Promise<void> {
    if (this.#ready.has(shard.server.id)) return
    const backend = await innerConnection(this.#core, shard, undefined, null, holder)
    within?.uses(backend.connection)
    try {
      await backend.connection.query(controlSchemaDdl)
      await backend.connection.query(
        `CREATE TABLE IF NOT EXISTS ${table} (gtrid VARBINARY(64) NOT NULL PRIMARY KEY, outcome VARCHAR(8) CHARACTER SET ascii NOT NULL, at DATETIME NOT NULL) ENGINE=InnoDB`,
      )
      await backend.connection.query(armedSchemasDdl)
      this.#ready.add(shard.server.id)
    } finally {
      within?.done(backend.connection)
      backend.pool.give(backend)
    }
  }

  /**
   * WITH CONSISTENT SNAPSHOT of a branch, which XA START does not take: the first consistent read of an InnoDB table does, though it is empty. Of our own table, as DDL on any that is
   * read waits for the transaction. (A savepoint before the read would let go of the table, and of the snapshot with it.)
   */
  async takeSnapshot(shard: ShardView, connection: Connection, holder: Holder): Promise<void> {
    await this.ensure(shard, null, holder)
    await connection.query(`SELECT 1 FROM ${table} LIMIT 1`)
  }

  /**
   * `commit`, within the decider's transaction or in autocommit. Not where triggers close the decider's schema: a switch that leaves it has looked for what it knows the outcome of, and
   * nobody asks it any more. The lock on the armed row makes arming wait for this, and this for arming. 1062: it was decided otherwise.
   * @throws lostTransaction the schema is closed
   */
  async decide(connection: Connection, gtrid: string, decider: ShardView): Promise<void> {
    const armed = `(SELECT armed FROM ${armedSchemas} WHERE schema_name = ${quoteHex(decider.schema)} LOCK IN SHARE MODE)`
    const result = await connection.query(
      `INSERT INTO ${table} SELECT ${quoteHex(gtrid)}, 'commit', UTC_TIMESTAMP() FROM DUAL WHERE IFNULL(${armed}, 0) = 0`,
    )
    if (result.kind === 'ok' && result.affectedRows === 1n) return
    throw gateErrors.lostTransaction({ shard: shardName(decider), cause: 'the side that it is on takes no writes any more' })
  }

  /** What stands, or from now on `rollback`. Errors: of the decider's server, 1205 while it is being decided. */
  async judge(gtrid: string, decider: ShardView, within: Within | null = null, holder: Holder | null = null): Promise<Outcome> {
    await this.ensure(decider, within, holder)
    const backend = await innerConnection(this.#core, decider, undefined, null, holder)
    within?.uses(backend.connection)
    try {
      return await judge(backend.connection, Buffer.from(gtrid))
    } finally {
      within?.done(backend.connection)
      backend.pool.give(backend)
    }
  }

  /** All branches have said that they are committed: the decision is not needed any more. */
  finished(gtrid: string, decider: ShardView): void {
    append(this.#done, decider.uid, gtrid)
  }

  /** What can not be taken away now stays until `purge`. */
  async forgetFinished(ms: number): Promise<void> {
    const forgetting = [...this.#done].map(async ([uid, list]) => {
      this.#done.delete(uid)
      const decider = this.shard(uid)
      if (decider === undefined) return
      await this.#bounded(decider, ms, async (connection) => {
        for (let i = 0; i < list.length; i += 500)
          await connection.query(
            `DELETE FROM ${table} WHERE gtrid IN (${list
              .slice(i, i + 500)
              .map(quoteHex)
              .join(', ')})`,
          )
      })
    })
    for (const one of await Promise.allSettled(forgetting))
      if (one.status === 'rejected')
        this.#core.log.debug({ error: String(one.reason) }, 'decisions that are not needed any more stay for now')
  }

  async #bounded(shard: ShardView, ms: number, work: (connection: Connection) => Promise<void>): Promise<void> {
    const within = new Within(this.#core, ms)
    const run = async (): Promise<void> => {
      const backend = await innerConnection(this.#core, shard)
      within.uses(backend.connection)
      try {
        await work(backend.connection)
      } finally {
        within.done(backend.connection)
        backend.pool.give(backend)
      }
    }
    try {
      await within.wait(run())
    } finally {
      within.end()
    }
  }

  /**
   * Decisions that nobody took away: of gates that died, of branches whose server did not answer. `rollback` stays as long as any connection can: whoever would commit late must
   * find it.
   * @param nothingPrepared on any server, all of which have been asked
   */
  async purge(shard: ShardView, nothingPrepared: boolean, ms: number): Promise<void> {
    await this.#bounded(shard, ms, async (connection) => {
      await connection.query(`DELETE FROM ${table} WHERE outcome = 'rollback' AND at < UTC_TIMESTAMP() - INTERVAL 30 DAY`)
      if (nothingPrepared) await connection.query(`DELETE FROM ${table} WHERE outcome = 'commit' AND at < UTC_TIMESTAMP() - INTERVAL 1 DAY`)
    })
  }

  shard(uid: string): ShardView | undefined {
    for (const keyspace of this.#core.watch.view.keyspaces.values()) {
      const found = keyspace.shards.find((shard) => shard.uid === uid)
      if (found !== undefined) return found
    }
    return undefined
  }
}
