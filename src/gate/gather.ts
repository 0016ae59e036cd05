/**
 * Runs a statement that no shard can answer alone: the rows that matter are fetched from the shards into temporary tables on one connection, and
 * the client's own statement runs over those (docs/decisions/011-rows-put-together-at-one-place.md).
 *
 * - The answer is the server's own evaluation of the client's text, types and all; what the gate decides is only which rows can't matter (plan/gather-plan.ts).
 * - Memory: rows pass through in pieces; what the server holds is bounded by `scatterBytesMax`.
 * - Each shard is read in one snapshot: that of the transaction, or one begun for the statement.
 * - The connection is out of the client's transaction, which may be read only, and is reset before anybody else gets it: its tables are gone then.
 *   Temporary tables are allowed on read-only servers and leave nothing in a row-format binlog (gather.db.test.ts).
 */
import type { Backend } from './backend.ts'
import type { Core } from './core.ts'
import { fill, unlessReopened } from './gather-fill.ts'
import { refuseSettings, type GatherJob } from './gather-job.ts'
import { Readers } from './gather-readers.ts'
import type { RouteInputs } from './plan/plan.ts'
import type { Runner } from './runner.ts'
import type { Scatter } from './scatter.ts'
import { mayReadAgain, type ReadOptions, type RunningPart, type ScatterResult } from './scatter-parts.ts'
import { atInstant } from './settings.ts'
import type { Transaction } from './transaction.ts'
import type { KeyspaceView, ShardView } from './view.ts'

let turn = 0

/** Where statements are put together: one shard after the other. */
export function nextHome(keyspace: KeyspaceView): ShardView {
  return keyspace.shards[turn++ % keyspace.shards.length] as ShardView
}

export class Gather {
  readonly #core: Core
  readonly #runner: Runner
  readonly #scatter: Scatter

  constructor(core: Core, runner: Runner, scatter: Scatter) {
    this.#core = core
    this.#runner = runner
    this.#scatter = scatter
  }

  async read(
    job: GatherJob,
    keyspace: KeyspaceView,
    inputs: RouteInputs<ShardView>,
    transaction: Transaction | null,
    options: ReadOptions,
  ): Promise<ScatterResult<void>> {
    const { connections, settings } = this.#runner
    const again = mayReadAgain(options, transaction)
    const home = nextHome(keyspace)
    const readers = new Readers(this.#runner, this.#scatter, transaction, job.steps.length > 1, options.timestamp, options.mayWrite)
    const had = transaction === null ? 0 : transaction.statements
    const { pools } = this.#core
    // Of a transaction each shard's is counted as its branch is opened; the scratch table's is beside them.
    const leave = await (transaction === null
      ? pools.admit([...new Set(job.steps.flatMap((step) => step.shards)), home], connections.signal)
      : this.#runner.roomBeside(transaction, [home]))
    if (transaction !== null) transaction.busy = true
    let at = home
    let scratch: Backend | null = null
    let mark: RunningPart | null = null
    try {
      try {
        refuseSettings(settings)
        scratch = await connections.openPlain(home, settings.scratch, 'read')
        scratch.dirty = true
        mark = { connection: scratch.connection, effect: 'read' }
        this.#scatter.mark(mark)
        const into = {
          connection: scratch.connection,
          written: false,
          lock: () => (transaction === null ? '' : job.lock),
          at: (shard: ShardView) => void (at = shard),
        } as const
        await fill(job, into, readers, inputs, this.#core.config.scatterBytesMax, settings.get('sql_mode'))
        at = home
        // The client's own SELECT: from here on its sql_select_limit counts, and the instant.
        const wanted = atInstant(settings.signature, options.timestamp)
        if (scratch.signature !== wanted) await connections.bringToSettings(scratch, wanted)
      } catch (error) {
        const refusal = await this.#scatter.judgeRead(
          at,
          error as Error,
          transaction,
          // What a part has called outside a transaction stands.
          transaction === null ? again || !readers.asked : had === 0,
          again,
        )
        return { kind: 'refused', shard: at, cause: refusal }
      }
      const tables = new Map(job.steps.map((step) => [step.name, step.plan.table]))
      try {
        return await this.#scatter.read(
          [{ shard: home, text: job.text, backend: scratch, ...(job.parameters === undefined ? {} : { parameters: job.parameters }) }],
          { kind: 'concat', hiddenColumns: 0, limit: null, offset: 0n },
          null,
          { ...options, column: (c) => (tables.has(c.orgTable) ? { ...c, orgTable: tables.get(c.orgTable) as string } : c) },
        )
      } catch (error) {
        throw unlessReopened(error)
      }
    } finally {
      if (mark !== null) this.#scatter.unmark(mark)
      await readers.end()
      if (scratch !== null) {
        if (scratch.connection.open && scratch.connection.inTransaction) await scratch.connection.query('ROLLBACK').catch(() => {})
        connections.done(scratch, false)
      }
      leave?.()
      if (transaction !== null) {
        transaction.busy = false
        if (transaction.expelled !== null && !transaction.ended) await transaction.rollback()
        else this.#scatter.settle(transaction)
      }
    }
  }
}
